"""What was done past Countersign, brought in as evidence afterwards: who says it, and of what.

- It is one person's signed statement that something was done on a target while Countersign could not be asked: what, by
  whom, when, why nobody asked, and where more is to be read. Whoever states it need not be who did it.
- It authorizes nothing: it is no permit, opens no gate, releases no hold and is no history that an action is judged by.
  It may explain an effect for which there is no permit; that there is none stays as it is.
- Anybody whom the directory knows may state it. It counts once, by its id.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple

from pydantic import Field, StringConstraints, model_validator

from policy.base import EdgeModel, Instant, Name, ProposalId
from policy.catalog import normalize
from policy.decision import CLOCK_SKEW, Refusal
from policy.errors import CountersignError
from policy.people.directory import Directory
from policy.proofs import Principal, Proof
from policy.receiving import receive_as

# The ledger of what is about no action. No proposal can have this id.
OUTSIDE_LEDGER = "@outside"
MAX_VALIDITY = timedelta(days=1)
_Sentence = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class OutsideError(CountersignError):
    """A statement about what was done outside cannot be read."""


class OutsideStatement(EdgeModel):
    """What one person signs (`docs/spec/decision.md`). `references` are tickets, chats or logs, as people have them."""

    statement_id: ProposalId
    audience: Name | None = None
    target: Name
    what: _Sentence
    done_by: Name
    began_at: Instant
    ended_at: Instant
    because: _Sentence
    references: Annotated[tuple[_Sentence, ...], Field(max_length=20)] = ()
    issued_at: Instant
    expires_at: Instant
    proof: Proof

    @model_validator(mode="after")
    def _in_order(self) -> "OutsideStatement":
        if self.ended_at < self.began_at:
            raise ValueError("ended_at is before began_at")
        if self.expires_at - self.issued_at > MAX_VALIDITY:
            raise ValueError("it says that it counts for longer than a day: issue it anew")
        return self

    @property
    def target_ref(self) -> str:
        """The target as the catalog writes it."""
        return normalize(self.target)


def covers(statement: OutsideStatement, ids: Iterable[str], happened: "Happened") -> bool:
    """Whether a statement speaks of what happened; pure.

    It explains that, and makes none of it authorized. `ids` are what its target stands for by the catalog of today: the
    resource whose trail it is, or a part of it that what was changed is in.
    """
    if not statement.began_at <= happened.at <= statement.ended_at:
        return False
    changed = f"/{happened.target.partition('@')[0]}/"
    return any(
        happened.resource == one
        or (one.startswith(f"{happened.resource}/") and f"{one.removeprefix(happened.resource)}/" in changed)
        for one in {statement.target, *ids}
    )


class Happened(NamedTuple):
    """What a trail says that happened: to which resource and what of it, when (UTC)."""

    resource: str
    target: str
    at: datetime


def receive_outside(value: Any) -> OutsideStatement:
    """Read a JSON value as a statement.

    Raises:
        OutsideError: it is none.
    """
    return receive_as(OutsideStatement, value, "outside statement", OutsideError)


def why_not(
    statement: OutsideStatement, said_by: Principal, directory: Directory, at: datetime
) -> tuple[Refusal, str] | None:
    """Why a statement whose proof holds does not count at an instant (UTC), or None."""
    if at > statement.expires_at:
        return Refusal.expired, f"it expired at {statement.expires_at.isoformat()}"
    if statement.issued_at > at + CLOCK_SKEW:
        return Refusal.not_yet_valid, f"it is issued at {statement.issued_at.isoformat()}, in the future"
    if statement.ended_at > at + CLOCK_SKEW:
        return Refusal.not_yet_valid, f"it says what ends at {statement.ended_at.isoformat()}, in the future"
    if directory.resolve(said_by.identity) is None:
        return Refusal.unknown_person, f"identity {said_by.identity} is nobody in the directory"
    return None
