"""A finding: something about a governed document that its author should know, where it stands, and what to do.

- An error is something that cannot be used, or never does what it says: it is not published.
- A warning is something that can hardly be meant. An info is something to know, such as what was not looked at.
"""

from collections.abc import Iterable
from enum import StrEnum

from policy.base import RecordModel
from policy.checks.positions import Place

MAX_FINDINGS = 500


class Severity(StrEnum):
    """How bad it is, worst first."""

    error = "error"
    warning = "warning"
    info = "info"


class Finding(RecordModel):
    """One finding. `line` and `column` count from 1; `document` is the name that the document gives itself."""

    severity: Severity
    code: str
    line: int
    column: int
    message: str
    document: str = ""

    def __str__(self) -> str:
        return f"{self.line}:{self.column} {self.severity} {self.code}: {self.message}"


def finding(severity: Severity, code: str, place: Place, message: str, document: str = "") -> Finding:
    """A finding at a place."""
    return Finding(
        severity=severity, code=code, line=place.line, column=place.column, message=message, document=document
    )


def in_order(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """In the order of the text, each once, and not more than somebody reads."""
    unique = dict.fromkeys(sorted(found, key=lambda item: (item.line, item.column, item.code, item.message)))
    return tuple(unique)[:MAX_FINDINGS]


def worst(found: Iterable[Finding]) -> Severity | None:
    """The worst severity among findings; None where there is none."""
    order = list(Severity)
    return min((item.severity for item in found), key=order.index, default=None)
