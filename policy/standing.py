"""Where a case stands: the chain and the ballots in, the state of every stage out.

- Stages open one after the other; a stage opens at the instant at which the one before it was approved.
- Ballots are read in order of arrival. A ballot counts in its own stage only, and only if it was received while that
  stage was open and not after its deadline.
- The newest vote of a person replaces the older ones until the stage is resolved. Retracting takes it away, abstaining
  replaces it by no vote, recusing takes the person out of the whole case.
- Denials reach the threshold: denied. Approvals fill every seat (`policy/quorum.py`): approved. Neither by the deadline:
  the stage's verb.
- The same function serves the answer to a vote, the timers, `explain`, the gate at dispatch and the auditor.
"""

from datetime import datetime
from typing import Literal

from policy.base import Instant, Reason, RecordModel
from policy.decision import Assurance, Refusal, Vote
from policy.document import ApprovalChain, Stage
from policy.duties import conflict
from policy.escalation import Due, deadline_of, requirements_at, schedule
from policy.quorum import tally

ResolutionKind = Literal["pending", "approved", "denied", "expired"]
StageState = Literal["waiting", "open", "approved", "denied", "expired"]
_OPINIONS = (Vote.approve, Vote.deny, Vote.abstain, Vote.retract)


class Ballot(RecordModel):
    """A decision that was accepted, with what the directory said of its author at that instant."""

    decision_id: str
    person_id: str
    groups: tuple[str, ...]
    stage: int
    vote: Vote
    received_at: Instant
    assurance: Assurance
    justification: str = ""


class ApprovalCase(RecordModel):
    """Everything the question depends on. `opened_at` is when the first stage opened."""

    chain: ApprovalChain
    opened_at: Instant
    absolute_deadline: Instant
    requesters: tuple[str, ...]
    ballots: tuple[Ballot, ...] = ()


class StageStanding(RecordModel):
    """One stage: its state, who counts, who denied, what is missing, and until when. Numbers start at 1."""

    number: int
    name: str
    state: StageState
    opened_at: Instant | None = None
    resolved_at: Instant | None = None
    deadline: Instant | None = None
    approvals: tuple[str, ...] = ()
    denials: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()


class Standing(RecordModel):
    """The whole case at one instant. `stage` is the open stage, or the one in which it was resolved."""

    resolution: ResolutionKind
    stage: int
    stages: tuple[StageStanding, ...]
    due: tuple[Due, ...] = ()
    recused: tuple[str, ...] = ()
    resolved_at: Instant | None = None
    reasons: tuple[Reason, ...] = ()

    @property
    def current(self) -> StageStanding:
        return self.stages[self.stage - 1]


def stand(case: ApprovalCase, now: datetime, *, deadline_counts_as_passed: bool) -> Standing:
    """Evaluate a case at an instant.

    Args:
        case: chain, ballots in order of arrival, and who asks.
        now: the instant (UTC).
        deadline_counts_as_passed: at exactly the deadline, True when time itself is evaluated, False when a decision is.
    """
    stages: list[StageStanding] = []
    recused = tuple(dict.fromkeys(ballot.person_id for ballot in case.ballots if ballot.vote is Vote.recuse))
    opened_at = case.opened_at
    for number, stage in enumerate(case.chain.stages, start=1):
        elsewhere = {person for earlier in stages for person in earlier.approvals}
        found = _stage(case, number, stage, opened_at, now, elsewhere, deadline_counts_as_passed)
        stages.append(found)
        if found.state != "approved":
            later = enumerate(case.chain.stages[number:], start=number + 1)
            waiting = [StageStanding(number=at, name=item.name, state="waiting") for at, item in later]
            return _standing(case, found, (*stages, *waiting), recused, now)
        assert found.resolved_at is not None
        opened_at = found.resolved_at
    return Standing(
        resolution="approved",
        stage=len(stages),
        stages=tuple(stages),
        recused=recused,
        resolved_at=opened_at,
        reasons=(Reason(code="approved", message="every stage was approved"),),
    )


def _standing(
    case: ApprovalCase, at: StageStanding, stages: tuple[StageStanding, ...], recused: tuple[str, ...], now: datetime
) -> Standing:
    stage = case.chain.stages[at.number - 1]
    if at.state == "open":
        assert at.opened_at is not None
        due = schedule(stage, at.number, at.opened_at, case.absolute_deadline)
        return Standing(
            resolution="pending",
            stage=at.number,
            stages=stages,
            due=tuple(item for item in due if item.at > now or item.kind == "deadline"),
            recused=recused,
        )
    if at.state == "denied":
        reason = Reason(code="denied", message=f"stage {at.name} was denied by {', '.join(at.denials)}")
    else:
        missing = ", ".join(at.missing)
        reason = Reason(
            code=f"expired_{stage.on_expiry}", message=f"stage {at.name} passed its deadline without {missing}"
        )
    return Standing(
        resolution="denied" if at.state == "denied" else "expired",
        stage=at.number,
        stages=stages,
        recused=recused,
        resolved_at=at.resolved_at,
        reasons=(reason,),
    )


def _stage(
    case: ApprovalCase,
    number: int,
    stage: Stage,
    opened_at: datetime,
    now: datetime,
    elsewhere: set[str],
    deadline_counts_as_passed: bool,
) -> StageStanding:
    deadline = deadline_of(stage, opened_at, case.absolute_deadline)
    newest: dict[str, Ballot] = {}
    recused: set[str] = set()
    acknowledged: dict[str, None] = {}

    def found(state: StageState, at: datetime | None, instant: datetime) -> StageStanding:
        requirements = requirements_at(stage, opened_at, instant)
        counting = _approvals(newest, recused, case.requesters, elsewhere)
        seats = tally(requirements, counting)
        return StageStanding(
            number=number,
            name=stage.name,
            state=state,
            opened_at=opened_at,
            resolved_at=at,
            deadline=deadline,
            approvals=tuple(dict.fromkeys(seats.seated.values())),
            denials=_denials(newest),
            missing=seats.missing,
            groups=tuple(dict.fromkeys(group for item in requirements for group in item.groups)),
            acknowledged=tuple(acknowledged),
        )

    for ballot in case.ballots:
        if ballot.vote is Vote.recuse and opened_at <= ballot.received_at:
            recused.add(ballot.person_id)
        if ballot.stage != number or not opened_at <= ballot.received_at <= deadline:
            continue
        if ballot.vote is Vote.acknowledge:
            acknowledged[ballot.person_id] = None
        if ballot.vote in _OPINIONS:
            newest.pop(ballot.person_id, None)
            newest[ballot.person_id] = ballot
        if len(_denials(newest)) >= stage.deny_threshold:
            return found("denied", ballot.received_at, ballot.received_at)
        seats = tally(
            requirements_at(stage, opened_at, ballot.received_at),
            _approvals(newest, recused, case.requesters, elsewhere),
        )
        if seats.met:
            return found("approved", ballot.received_at, ballot.received_at)
    if now > deadline or (deadline_counts_as_passed and now == deadline):
        return found("expired", deadline, deadline)
    return found("open", None, now)


def _approvals(
    newest: dict[str, Ballot], recused: set[str], requesters: tuple[str, ...], elsewhere: set[str]
) -> list[tuple[str, frozenset[str]]]:
    return [
        (ballot.person_id, frozenset(ballot.groups))
        for ballot in newest.values()
        if ballot.vote is Vote.approve
        and ballot.person_id not in recused
        and not conflict(ballot.person_id, ballot.vote, requesters=requesters, approved_elsewhere=elsewhere)
    ]


def _denials(newest: dict[str, Ballot]) -> tuple[str, ...]:
    return tuple(person for person, ballot in newest.items() if ballot.vote is Vote.deny)


def refuse(case: ApprovalCase, ballot: Ballot) -> tuple[Refusal, str] | None:
    """Why a ballot does not count when it arrives, or None; asked before it joins the case.

    The instant of the decision is `ballot.received_at`: when the worker first saw it, never what the sender wrote.
    """
    standing = stand(case, ballot.received_at, deadline_counts_as_passed=False)
    if standing.resolution == "expired":
        return Refusal.past_deadline, f"the deadline of stage {standing.current.name} has passed"
    if standing.resolution != "pending":
        return Refusal.not_pending, f"this proposal is already {standing.resolution}"
    if ballot.stage < standing.stage:
        return Refusal.stage_closed, f"stage {ballot.stage} is closed, stage {standing.stage} is open"
    if ballot.stage > standing.stage:
        return Refusal.stage_not_open, f"stage {ballot.stage} is not open yet, stage {standing.stage} is"
    if ballot.person_id in standing.recused:
        return Refusal.recused, f"{ballot.person_id} stepped out of this case"
    if ballot.vote is Vote.deny:
        if not ballot.justification.strip():
            return Refusal.justification_missing, "a denial needs a justification"
        if ballot.person_id in case.requesters:
            return None
    elsewhere = {person for stage in standing.stages[: standing.stage - 1] for person in stage.approvals}
    if found := conflict(ballot.person_id, ballot.vote, requesters=case.requesters, approved_elsewhere=elsewhere):
        return found
    if set(ballot.groups).isdisjoint(standing.current.groups):
        asked = ", ".join(standing.current.groups)
        return (
            Refusal.not_eligible,
            f"{ballot.person_id} is in none of the groups that stage {standing.stage} asks: {asked}",
        )
    return None


def due_until(case: ApprovalCase, now: datetime) -> tuple[Due, ...]:
    """Every reminder and escalation that has become due by an instant, in stages that were still open at theirs."""
    found: list[Due] = []
    for standing, stage in zip(stand(case, now, deadline_counts_as_passed=True).stages, case.chain.stages, strict=True):
        if standing.opened_at is None:
            continue
        end = min(now, standing.resolved_at or now)
        due = schedule(stage, standing.number, standing.opened_at, case.absolute_deadline)
        found += [item for item in due if item.kind != "deadline" and item.at <= end]
    return tuple(found)
