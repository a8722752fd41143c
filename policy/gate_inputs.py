"""What the gate looks at, put together in one place: where a permit is asked for, and where an auditor asks again.

What an assessment of today says is computed here, from the facts of today and the documents in force today.
"""

from datetime import datetime
from typing import Any

from policy.approval.standing import Ballot, CaseEvent
from policy.document import PolicySet
from policy.evaluation import Evaluation
from policy.facts import Facts
from policy.gate import DispatchInputs, acting_key
from policy.judging import barred, judge
from policy.operations import RiskTier
from policy.outcome import StepRecord
from policy.people.delegation import acting
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.proposal import ActionProposal
from policy.revision import Revision


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
        **_age(document, facts),
        assessed_resolved=revision.facts.resolved,
        resolved_now=facts.resolved,
        remedies=proposal.remedies,
        holds=facts.holds,
        case=revision.case(ballots, events),
        people_now=_people(ballots, directory, revision, now, facts, judged.assessment.risk_tier),
        records=records,
        dry_run=proposal.dry_run,
    )


def _age(document: PolicySet, facts: Facts) -> dict[str, Any]:
    """How old the directory is and may be; nothing where the policy takes any."""
    seconds = document.directory_seconds
    return {} if seconds is None else {"directory_at": facts.observed.directory_at, "directory_seconds": seconds}


def _people(
    ballots: tuple[Ballot, ...],
    directory: Directory,
    revision: Revision,
    now: datetime,
    facts: Facts,
    tier: RiskTier | None,
) -> dict[str, PersonFacts]:
    """What the directory says today of who voted, and of for whom: under both ids, and together (`acting_key`).

    Who voted under an id that is somebody's alias by now is no second person.
    """
    conditions = revision.evaluation.chain.conditions if revision.evaluation.chain is not None else ()
    names = {name for ballot in ballots for name in (ballot.person_id, ballot.delegator) if name is not None}
    known = {name: directory.facts(name, now, conditions) for name in sorted(names)}
    found = {name: person for name, person in known.items() if person is not None and person.person_id == name}
    for ballot in ballots:
        if ballot.delegator in found and ballot.person_id in found:
            acts = acting(
                directory,
                ballot.person_id,
                ballot.delegator,
                now,
                environment=facts.target_environment,
                tier=tier,
                conditions=conditions,
            )
            if isinstance(acts, PersonFacts):
                found[acting_key(ballot)] = acts
    return found


def _of_today(today: Evaluation, facts: Facts) -> dict[str, Any]:
    """What the policy in force now says of the action."""
    return {
        "verdict_now": today.verdict,
        "reasons_now": today.reasons,
        "chain_now": today.chain,
        "requesters_now": barred(facts, today),
        "permit_until_now": today.permit_until,
    }
