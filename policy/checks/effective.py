"""What of a policy is in effect at an instant: its rules, those that only observe, freezes, windows, exceptions.

With an operation or a target only what may speak of them is said: what its lists exclude is left out. A condition is
shown and not answered, because only an action can answer it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from policy.base import Instant, RecordModel
from policy.catalog import normalize
from policy.document import PolicyDocument, PolicySet, Rule
from policy.rules.admission import AdmissionLimit
from policy.rules.aggregate import aggregate_text
from policy.rules.calendars import Calendar
from policy.rules.match import Where

What = Literal[
    "limit", "admission", "aggregate", "freeze", "window", "rule", "observing", "warning", "exception", "break_glass"
]
ORDER: tuple[What, ...] = (
    "limit",
    "admission",
    "aggregate",
    "freeze",
    "window",
    "rule",
    "observing",
    "warning",
    "exception",
    "break_glass",
)


class Effective(RecordModel):
    """One thing in effect. `until` is when it ends, where that is known; `says` is what it does."""

    what: What
    id: str
    document: str
    says: str
    until: Instant | None = None


def effective(
    policy: PolicySet, at: datetime, *, operation: str | None = None, target: str | None = None
) -> tuple[Effective, ...]:
    """Everything in effect at an instant (UTC), by kind and then in the order of the documents; pure."""
    found = [item for part in policy.documents for item in _of(part, at, operation, target)]
    return tuple(sorted(found, key=lambda item: ORDER.index(item.what)))


def _of(part: PolicyDocument, at: datetime, operation: str | None, target: str | None) -> Iterator[Effective]:
    asked = {"operations": operation, "targets": normalize(target) if target else None}
    if not _speaks(part.metadata.covers, asked):
        return
    yield from _limiting(part, asked)
    name = part.metadata.name
    for calendar in part.calendars:
        if _speaks(calendar.match, asked):
            yield from _calendar(calendar, name, at)
    for rule in part.rules:
        if _speaks(rule.match, asked):
            yield _rule(rule, name, at)
    yield from _lifting(part, at, asked)


def _limiting(part: PolicyDocument, asked: dict[str, str | None]) -> Iterator[Effective]:
    name = part.metadata.name
    for limit in part.limits:
        if _speaks(limit.match, asked):
            yield Effective(what="limit", id=limit.id, document=name, says=limit.reason + _if(limit.when))
    for admission in part.admission:
        if _speaks(admission.match, asked):
            yield Effective(what="admission", id=admission.id, document=name, says=_admits(admission))
    for together in part.aggregate:
        if _speaks(together.match, asked):
            says = aggregate_text(together) + _if(together.when)
            yield Effective(what="aggregate", id=together.id, document=name, says=says)


def _admits(limit: AdmissionLimit) -> str:
    most = ((limit.max_pending, "pending"), (limit.max_per_hour, "an hour"))
    return ", ".join(f"{count} {what}" for count, what in most if count is not None) + f" per {limit.per}"


def _calendar(calendar: Calendar, document: str, at: datetime) -> Iterator[Effective]:
    ends = [span.end for span in calendar.spans(at) if span.start <= at < span.end]
    if calendar.kind != "peak" and ends:
        says = calendar.reason or "no reason given"
        yield Effective(what=calendar.kind, id=calendar.id, document=document, says=says, until=max(ends))


def _lifting(part: PolicyDocument, at: datetime, asked: dict[str, str | None]) -> Iterator[Effective]:
    name = part.metadata.name
    for exception in part.exceptions:
        if exception.current(at) and _speaks(exception.match, asked):
            says = f"lifts {', '.join(exception.lifts)}: {exception.reason}{_if(exception.when)}"
            yield Effective(what="exception", id=exception.id, document=name, says=says, until=exception.expires_at)
    for glass in part.break_glass:
        if _speaks(glass.match, asked):
            yield Effective(what="break_glass", id=glass.id, document=name, says=f"asks {glass.chain} in an emergency")


def _rule(rule: Rule, document: str, at: datetime) -> Effective:
    chains = ", ".join(choice.chain for choice in rule.choices)
    windows = f" inside of {', '.join(rule.windows)}, {rule.outside} outside" if rule.windows else ""
    says = f"{rule.verdict}{f' by {chains}' if chains else ''}{windows}{_if(rule.when)}"
    if rule.enforced(at):
        return Effective(what="rule", id=rule.id, document=document, says=says)
    doing: What = "observing" if rule.enforcement == "observe" else "warning"
    return Effective(what=doing, id=rule.id, document=document, says=f"{says}, enforced from {rule.enforce_from}")


def _speaks(match: Where | None, asked: dict[str, str | None]) -> bool:
    """Whether the lists of a match leave room for what is asked about."""
    for field, value in asked.items():
        names: Any = getattr(match, field, None)
        known = names and {normalize(item) if field == "targets" else item for item in names}
        if value is not None and known and value not in known:
            return False
    return True


def _if(when: str | None) -> str:
    return f" if `{' '.join(when.split())}`" if when else ""
