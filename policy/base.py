"""The two kinds of model, and the types that all of them share.

- `EdgeModel`: what comes from outside (proposal, decision, governed documents). Unknown fields are refused: a typo must
  not silently weaken what somebody meant. Nothing is converted: "1", 1.0 and true are not the integer 1.
- `RecordModel`: what Countersign writes and reads itself. Unknown fields are ignored and new fields have defaults, so
  that a worker of the previous release can read what the next one wrote during a rolling deploy.
- An instant is an RFC 3339 text with an offset, and is kept in UTC.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


class EdgeModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class RecordModel(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


def _written_as_instant(value: Any) -> Any:
    """Pydantic would read the text "1700000000" as seconds since 1970, and refuses any text where it reads strictly."""
    if not isinstance(value, str):
        return value
    if not _RFC3339.fullmatch(value):
        raise ValueError("instant must be written like 2030-01-31T09:00:00Z")
    return datetime.fromisoformat(value.upper())


def _in_utc(value: datetime) -> datetime:
    """Midnight of year 1 in Tokyo is before the first instant that UTC can say."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("instant is out of range: use a year from 2 to 9998") from None


ProposalId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$"
Name = Annotated[str, StringConstraints(pattern=_NAME)]
Operation = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$", max_length=100)]
Text = Annotated[str, StringConstraints(max_length=4000)]
Instant = Annotated[AwareDatetime, BeforeValidator(_written_as_instant), AfterValidator(_in_utc)]


def is_name(text: str) -> bool:
    """Whether a text can be a `Name`."""
    return re.fullmatch(_NAME, text) is not None


class Reason(RecordModel):
    """Why something is as it is: a code for programs, a sentence for people."""

    code: str
    message: str


def instant_text(at: datetime) -> str:
    """RFC 3339 in UTC with a `Z`, microseconds only where there are some: one text per instant.

    Raises:
        ValueError: the instant has no offset, so that it would mean something else on another machine.
    """
    if at.tzinfo is None:
        raise ValueError(f"instant {at.isoformat()} has no offset, give it one")
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
