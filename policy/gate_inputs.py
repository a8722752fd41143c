"""What the gate looks at, put together in one place: where a permit is asked for, and where an auditor asks again.

What an assessment of today says is computed here, from the facts of today and the documents in force today.
"""

from datetime import datetime
from typing import Any

from policy.approval.drift import compare
from policy.approval.standing import Ballot
from policy.document import PolicySet
from policy.facts import Facts
from policy.gate import DispatchInputs
from policy.judging import Judgement, judge
from policy.outcome import StepRecord
from policy.people.directory import Directory
from policy.proposal import ActionProposal
from policy.revision import Revision, barred
from policy.rules.drifting import UNSAID


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
    """
    judged = judge(document, proposal, facts)
    today = judged.evaluation
    return DispatchInputs(
        **_assessed(revision),
        step=step,
        steps=len(proposal.steps),
        now=now,
        resolution=resolution,
        stop=stop,
        closed=closed,
        verdict_now=today.verdict,
        reasons_now=today.reasons,
        tier_now=judged.assessment.risk_tier,
        chain_now=today.chain,
        requesters_now=barred(facts, today),
        permit_until_now=today.permit_until,
        resolved_now=facts.resolved,
        remedies=proposal.remedies,
        holds=facts.holds,
        case=revision.case(ballots),
        groups_now=_groups(ballots, directory),
        records=records,
        dry_run=proposal.dry_run,
        material_now=_material(revision, facts, judged, document),
        permitted_revisions=permitted_revisions,
    )


def _groups(ballots: tuple[Ballot, ...], directory: Directory) -> dict[str, tuple[str, ...]]:
    """The groups today of who voted. Who voted under an id that is somebody's alias by now is no second person."""
    people = {name: directory.person(name) for name in sorted({ballot.person_id for ballot in ballots})}
    return {name: person.groups for name, person in people.items() if person is not None and person.person_id == name}


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


def _material(revision: Revision, facts: Facts, judged: Judgement, document: PolicySet) -> tuple[str, ...]:
    """What changed and is material because the policy in force lists it."""
    today = {"facts": facts, "timing": judged.timing, "assessment": judged.assessment, "evaluation": judged.evaluation}
    return compare(revision, revision.model_copy(update=today), document.drift or UNSAID).listed
