"""Step-up: how strong the proof of a vote must be, and how long ago its author may have authenticated.

- A stage says it (`proofs`), or the document for tiers, environments and stages (`proofs`, `policy/document.py`). Of
  all that speak of a vote the strongest assurance counts, and the shortest age.
- Where nothing speaks of a vote, any proof will do that is accepted at all. It speaks of approvals and releases unless
  it says otherwise: to deny is never made harder by silence.
- With `max_age` a proof must show when somebody authenticated, or be a gesture for this statement alone; a key that a
  program can use shows neither. So what is critical never rides on an earlier login.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field

from policy.base import EdgeModel, Name
from policy.decision import Refusal, Wanted
from policy.operations import RiskTier
from policy.proofs import Assurance, Principal, too_old
from policy.rules.durations import PositiveDuration, written

if TYPE_CHECKING:
    from policy.rules.chains import ApprovalChain, Stage

ProvedVote = Literal["approve", "release", "deny", "revoke"]


class ProofDemand(EdgeModel):
    """What the proof of some votes must show at least."""

    assurance: Assurance
    max_age: PositiveDuration | None = None
    votes: Annotated[tuple[ProvedVote, ...], Field(min_length=1)] = ("approve", "release")


class ProofRule(ProofDemand):
    """The same for the actions and stages that it lists; a list that it does not give fits everything."""

    tiers: Annotated[tuple[RiskTier, ...], Field(min_length=1)] | None = None
    environments: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    stages: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None

    def speaks_of(self, tier: RiskTier, environment: str | None) -> bool:
        """Whether it is about an action."""
        return (self.tiers is None or tier in self.tiers) and (
            self.environments is None or environment in self.environments
        )

    @property
    def demand(self) -> ProofDemand:
        """What it asks for."""
        return ProofDemand(assurance=self.assurance, max_age=self.max_age, votes=self.votes)


def with_proofs(stage: "Stage", rules: Iterable[ProofRule]) -> "Stage":
    """A stage with what the rules about its action ask of its votes, besides its own."""
    found = [item.demand for item in rules if item.stages is None or stage.name in item.stages]
    return stage.model_copy(update={"proofs": tuple(dict.fromkeys((*stage.proofs, *found)))}) if found else stage


def wanted_of(demands: Iterable[ProofDemand], vote: str) -> Wanted | None:
    """What a vote must show at least; None for nothing."""
    asked = [item for item in demands if vote in item.votes]
    if not asked:
        return None
    ages = [item.max_age for item in asked if item.max_age is not None]
    return Wanted(
        assurance=max((item.assurance for item in asked), key=lambda item: item.rank),
        max_age_seconds=int(min(ages).total_seconds()) if ages else None,
    )


def wanted_by_vote(demands: Iterable[ProofDemand]) -> dict[str, Wanted]:
    """What each vote must show at least; votes of which nothing is asked are left out."""
    asked = tuple(demands)
    found = {vote: wanted_of(asked, vote) for vote in get_args(ProvedVote)}
    return {vote: wanted for vote, wanted in found.items() if wanted is not None}


def said_of(wanted: Wanted) -> str:
    """What a proof must show, in words."""
    if wanted.max_age_seconds is None:
        return f"a proof of {wanted.assurance}"
    age = written(timedelta(seconds=wanted.max_age_seconds))
    return f"a proof of {wanted.assurance} and an authentication at most {age} old"


def sayings(by_vote: Mapping[str, Wanted]) -> list[str]:
    """What some votes must show, in words; votes of which the same is asked are said together."""
    votes: dict[str, list[str]] = {}
    for vote, wanted in by_vote.items():
        votes.setdefault(said_of(wanted), []).append(vote)
    return [f"{' and '.join(names)} {'needs' if len(names) == 1 else 'need'} {said}" for said, names in votes.items()]


def wanted_in(chain: "ApprovalChain", stage: int, vote: str) -> Wanted | None:
    """What a vote in a stage must show at least; None for nothing, or where there is no such stage."""
    return wanted_of(chain.stages[stage - 1].proofs, vote) if 0 < stage <= len(chain.stages) else None


def too_weak(principal: Principal, wanted: Wanted | None, at: datetime) -> tuple[Refusal, str] | None:
    """Why a proof is too weak for what is wanted, at the instant (UTC) at which it was first seen, or None."""
    if wanted is None:
        return None
    if principal.assurance.rank < wanted.assurance.rank:
        message = f"this vote needs {wanted.assurance}, its proof shows {principal.assurance}"
        return Refusal.assurance_too_low, message
    if wanted.max_age_seconds is None:
        return None
    age = timedelta(seconds=wanted.max_age_seconds)
    if not too_old(principal, age, at):
        return None
    when = principal.authenticated_at
    shown = f"{principal.identity} did at {when.isoformat()}" if when is not None else "its proof shows no time"
    return Refusal.authentication_too_old, f"this vote needs an authentication at most {written(age)} old: {shown}"
