"""What the gate looks at, put together in one place: where a permit is asked for, and where an auditor asks again.

What an assessment of today says is computed here, from the facts of today and the documents in force today.
"""

from datetime import datetime
from typing import Any

from policy.approval.standing import Ballot, CaseEvent
from policy.document import PolicySet
from policy.evaluation import Evaluation
from policy.facts import Facts
from policy.gate import DispatchInputs
from policy.judging import judge
from policy.outcome import StepRecord
from policy.people.directory import Directory
from policy.proposal import ActionProposal
from policy.revision import Revision, barred


def gate_inputs(
    proposal: ActionProposal,
    revision: Revision,
    *,
    step: int,
    now: datetime,
    ballots: tuple[Ballot, ...],
    resolution: str | None,
    stop: str | None,
    closed: bool,
    facts: Facts,
    document: PolicySet,
    directory: Directory,
    records: tuple[StepRecord, ...],
    events: tuple[CaseEvent, ...] = (),
) -> DispatchInputs:
    """The inputs of `policy.gate.may_dispatch`; pure.

    Args:
        proposal: what was approved.
        revision: its newest assessment.
        step: which step is to run, from 1.
        now: the instant (UTC) of the question.
        ballots: the counted votes.
        resolution: the final fact, if there is one.
        stop: the kind of the stop, if there was one.
        closed: whether the action has its result.
        facts: as of now.
        document: the policy in force now.
        directory: the directory in force now.
        records: what became of every permit so far.
        events: what the record noted besides.
    """
    judged = judge(document, proposal, facts)
    return DispatchInputs(
        proposal_id=revision.proposal_id,
        revision=revision.revision,
        step=step,
        steps=len(proposal.steps),
        now=now,
        absolute_deadline=revision.absolute_deadline,
        resolution=resolution,
        stop=stop,
        closed=closed,
        assessed_verdict=revision.evaluation.verdict,
        **_of_today(judged.evaluation, facts),
        assessed_tier=revision.assessment.risk_tier,
        tier_now=judged.assessment.risk_tier,
        assessed_resolved=revision.facts.resolved,
        resolved_now=facts.resolved,
        remedies=proposal.remedies,
        holds=facts.holds,
        case=revision.case(ballots, events),
        groups_now=_groups(ballots, directory),
        records=records,
        dry_run=proposal.dry_run,
    )


def _of_today(today: Evaluation, facts: Facts) -> dict[str, Any]:
    """What the policy in force now says of the action."""
    return {
        "verdict_now": today.verdict,
        "reasons_now": today.reasons,
        "chain_now": today.chain,
        "requesters_now": barred(facts, today),
        "permit_until_now": today.permit_until,
    }


def _groups(ballots: tuple[Ballot, ...], directory: Directory) -> dict[str, tuple[str, ...]]:
    """The groups today of who voted. Who voted under an id that is somebody's alias by now is no second person."""
    people = {name: directory.person(name) for name in sorted({ballot.person_id for ballot in ballots})}
    return {name: person.groups for name, person in people.items() if person is not None and person.person_id == name}
