"""Every error of the rules, grouped by whose fault it is.

- `ProposalError`: the platform sent something that is not a proposal.
- `DecisionError`: somebody sent something that is not a decision.
- `DocumentError`: an operator wrote a policy, catalog, directory or registry that cannot be used.
- `ConditionError`: a condition of a policy could not be evaluated for an action.
- `TransitionError`: Countersign itself is wrong; the state machine was asked for a step it does not have.
- `AuditError`: an exported history or ledger does not hold together.

Messages are lowercase and name the field, the value and the fix.
"""

from pydantic import ValidationError

MESSAGE_LIMIT = 300


class CountersignError(Exception):
    """Base of all errors that a person is meant to read."""


class ProposalError(CountersignError):
    """The proposal is malformed; nothing was registered."""


class DecisionError(CountersignError):
    """The submission is not a decision; no vote was recorded."""


class DocumentError(CountersignError):
    """A governed document (policy, operations, catalog, directory) cannot be used.

    `line` and `column` count from 1, where the place is known; the message names them, too.
    """

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}, column {column}: {message}")
        self.line = line
        self.column = column


class ConditionError(CountersignError):
    """A condition of a policy has no answer for this action; whatever asked it denies."""


class TransitionError(CountersignError):
    """The lifecycle has no such transition; the state is unchanged."""


class AuditError(CountersignError):
    """An export cannot be read or does not hold together."""


class CanonicalError(CountersignError):
    """A value has no RFC 8785 form, or a text is not strict JSON."""


def explain(error: ValidationError) -> str:
    """One line that names each wrong field, what is wrong with it, and the value, cut to a readable length."""
    parts = []
    for item in error.errors(include_url=False, include_context=False):
        field = ".".join(_printable(str(part)) for part in item["loc"]) or "<root>"
        message = item["msg"].removeprefix("Value error, ")
        parts.append(f"{field}: {message[:1].lower()}{message[1:]} (got {repr(item['input'])[:60]})")
    text = "; ".join(parts)
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def _printable(name: str) -> str:
    """A field name that nobody declared is whatever the sender wrote."""
    return name if name.isprintable() else repr(name)
