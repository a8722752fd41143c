"""What the gate looks at, put together in one place: where a permit is asked for, and where an auditor asks again.

What an assessment of today says is computed here, from the facts of today and the documents in force today.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from policy.approval.drift import compare
from policy.approval.standing import Ballot, CaseEvent
from policy.approval.today import Today
from policy.document import PolicySet
from policy.facts import Facts
from policy.gate import DispatchInputs, acting_key
from policy.issuing import latest_start
from policy.judging import Judgement, barred, judge
from policy.outcome import StepRecord
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.proposal import ActionProposal
from policy.resolving import moved
from policy.revision import Revision
from policy.rules.drifting import UNSAID
from policy.rules.touched import unfound


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
    permitted_revisions: tuple[int, ...] = (),
    events: tuple[CaseEvent, ...] = (),
    unproven: Mapping[str, str] | None = None,
    unfounded: tuple[str, ...] = (),
    halted: str | None = None,
    taken_over: str | None = None,
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
        records: what became of every permit of this revision so far.
        permitted_revisions: the other revisions of which a permit was issued.
        events: what the record noted besides.
        unproven: why votes are not what somebody signed, by decision id.
        unfounded: what speaks against the escalations that were noted.
        halted: by whom everything is halted, or the target's environment; None where nothing is.
        taken_over: the id of the action that takes over its reservation; None where none does.
    """
    judged = judge(document, proposal, facts)
    return DispatchInputs(
        **_then_and_now(proposal, revision, facts, judged, document, step),
        step=step,
        now=now,
        resolution=resolution,
        stop=stop,
        closed=closed,
        case=revision.case(ballots, events),
        people_now=_people(ballots, _today(directory, revision, facts, judged), now),
        records=records,
        permitted_revisions=permitted_revisions,
        unproven=dict(unproven or {}),
        unfounded=unfounded,
        halted=halted,
        taken_over=taken_over,
    )


def _then_and_now(
    proposal: ActionProposal, revision: Revision, facts: Facts, judged: Judgement, document: PolicySet, step: int
) -> dict[str, Any]:
    """What was approved, and what is so today."""
    return {
        **_assessed(revision),
        **_of_today(judged, facts),
        **_of_step(proposal, revision, facts, judged, step),
        **_age(document, facts),
        **_proposed(proposal),
        **_otherwise(proposal, revision, facts),
        "material_now": _material(revision, facts, judged, document),
    }


def _proposed(proposal: ActionProposal) -> dict[str, Any]:
    """What the proposal says."""
    return {"steps": len(proposal.steps), "remedies": proposal.remedies, "dry_run": proposal.dry_run}


def _age(document: PolicySet, facts: Facts) -> dict[str, Any]:
    """How old the directory is and may be; nothing where the policy takes any."""
    seconds = document.directory_seconds
    return {} if seconds is None else {"directory_at": facts.observed.directory_at, "directory_seconds": seconds}


def _today(directory: Directory, revision: Revision, facts: Facts, judged: Judgement) -> Today:
    chain = revision.evaluation.chain
    return Today(
        directory,
        environment=facts.target_environment,
        tier=judged.assessment.risk_tier,
        conditions=chain.conditions if chain is not None else (),
    )


def _people(ballots: tuple[Ballot, ...], today: Today, now: datetime) -> dict[str, PersonFacts]:
    """What the directory says today of who voted, and of for whom: under both ids, and together (`acting_key`).

    Who voted under an id that is somebody's alias by now is no second person.
    """
    names = {name for ballot in ballots for name in (ballot.person_id, ballot.delegator) if name is not None}
    known = {name: today.person(name, now) for name in sorted(names)}
    found = {
        name: person for name, person in known.items() if isinstance(person, PersonFacts) and person.person_id == name
    }
    for ballot in ballots:
        if ballot.delegator in found and ballot.person_id in found:
            acts = today.person(ballot.person_id, now, ballot.delegator, signed=ballot.signed)
            if isinstance(acts, PersonFacts):
                found[acting_key(ballot)] = acts
    return found


def _of_today(judged: Judgement, facts: Facts) -> dict[str, Any]:
    """What the policy in force now says of the action, and what it is about now."""
    today = judged.evaluation
    return {
        "tier_now": judged.assessment.risk_tier,
        "resolved_now": facts.resolved,
        "holds": facts.holds,
        "verdict_now": today.verdict,
        "reasons_now": today.reasons,
        "chain_now": today.chain,
        "requesters_now": barred(facts, today),
        "permit_until_now": today.permit_until,
    }


def _of_step(
    proposal: ActionProposal, revision: Revision, facts: Facts, judged: Judgement, step: int
) -> dict[str, Any]:
    """What is asked of one step: when it has to begin, and what it and those after it would touch."""
    return {
        **_in_time(proposal, revision, facts, judged, step),
        **_touched(proposal, revision, facts, step),
    }


def _in_time(
    proposal: ActionProposal, revision: Revision, facts: Facts, judged: Judgement, step: int
) -> dict[str, Any]:
    """When the step has to begin, so that it is over with its window; nothing where no window closes."""
    until = judged.evaluation.permit_until
    if until is None or not 1 <= step <= len(proposal.steps):
        return {}
    found = len(facts.targets_of(step))
    return {"latest_start_now": latest_start(proposal, revision, step, until, found)}


def _touched(proposal: ActionProposal, revision: Revision, facts: Facts, step: int) -> dict[str, Any]:
    """What the executors found today, against what they had found when it was assessed."""
    steps = enumerate(proposal.steps, start=1)
    ahead = [number for number, one in steps if number >= step and facts.operation(one.operation).resolves]
    unknown = ((number, unfound(number, facts)) for number in ahead)
    return {
        "moved": moved(revision.facts.found, facts.found),
        "unfound": tuple(f"step {number}: {why}" for number, why in unknown if why),
    }


def _assessed(revision: Revision) -> dict[str, Any]:
    """What the approved assessment says."""
    return {
        "proposal_id": revision.proposal_id,
        "revision": revision.revision,
        "absolute_deadline": revision.absolute_deadline,
        "assessed_verdict": revision.evaluation.verdict,
        "assessed_tier": revision.assessment.risk_tier,
        "assessed_resolved": revision.facts.resolved,
    }


def _otherwise(proposal: ActionProposal, revision: Revision, facts: Facts) -> dict[str, Any]:
    """What a permit or the gate takes from the assessment, and is otherwise today."""
    found = []
    if revision.proposal_id != proposal.proposal_id:
        found.append(f"it is an assessment of {revision.proposal_id}")
    for name in dict.fromkeys(proposal.operations):
        before, now = revision.facts.operation(name), facts.operation(name)
        if before.executor != now.executor:
            found.append(f"{name} was assessed for executor {before.executor}, {now.executor} carries it out now")
        if before.criteria != now.criteria:
            found.append(f"{name} has other criteria now than were assessed")
    found += [
        f"probe {probe} is read in another way now than was assessed"
        for probe in sorted({*revision.facts.probes, *facts.probes})
        if revision.facts.probes.get(probe) != facts.probes.get(probe)
    ]
    if revision.facts.guarded != facts.guarded:
        found.append("what its guards are measured on is not what it was when it was assessed")
    return {
        "differing": tuple(found),
        "teams_now": facts.teams if facts.teams != revision.facts.teams else None,
    }


def _material(revision: Revision, facts: Facts, judged: Judgement, document: PolicySet) -> tuple[str, ...]:
    """What changed and is material because the policy in force lists it."""
    today = {"facts": facts, "timing": judged.timing, "assessment": judged.assessment, "evaluation": judged.evaluation}
    return compare(revision, revision.model_copy(update=today), document.drift or UNSAID).listed
