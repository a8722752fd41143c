"""The two kinds of model.

- `EdgeModel`: what comes from outside (proposal, decision, governed documents). Unknown fields are refused: a typo must
  not silently weaken what somebody meant.
- `RecordModel`: what Countersign writes and reads itself. Unknown fields are ignored and new fields have defaults, so
  that a worker of the previous release can read what the next one wrote during a rolling deploy.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints


class EdgeModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, ser_json_inf_nan="constants")


class RecordModel(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


ProposalId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$")]
Operation = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$", max_length=100)]
Text = Annotated[str, StringConstraints(max_length=4000)]
Instant = AwareDatetime


class Reason(RecordModel):
    """Why something is as it is: a code for programs, a sentence for people."""

    code: str
    message: str


def instant_text(at: datetime) -> str:
    """RFC 3339 in UTC with a `Z`, microseconds only where there are some: one text per instant."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
