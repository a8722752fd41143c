"""Revoking an action: reading who asks against the record, and writing the stop.

At the commit, what is true: the decision, the stop and, where nothing was permitted yet, the resolution are durable
together. From then on the gate issues nothing more, no forward permit can be claimed, and every undo has its cause: the
workflow that is told so only ends what runs.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.advancing import standing_of
from activities.cases import REVOKED, CaseFile, revoked_reason
from activities.closing import stop
from activities.deciding import Reading, SaidBy, who_decides
from activities.ledger import Ledger
from activities.outbox import about_case, tell
from activities.registering import store_resolution
from policy.approval.revoking import Phase, phase_of, why_not_authorized
from policy.decision import DecisionReceipt, DecisionSubmission, Refusal
from policy.ledger import EntryKind
from policy.notices.occasions import resolved
from policy.outcome import StepRecord
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.proofs import Principal
from policy.rules.stepping_up import too_weak, wanted_of

_OVER = "every step has succeeded: undo it by an action of its own, `countersign revoke` proposes it"


def read_revocation(
    file: CaseFile,
    submission: DecisionSubmission,
    said_by: SaidBy,
    directory: Directory,
    records: tuple[StepRecord, ...],
    now: datetime,
) -> Reading:
    """Whether somebody may revoke an action as it stands; pure.

    Args:
        file: the case.
        submission: the revocation.
        said_by: whoever made it, or why its proof does not show it.
        directory: who is who at that instant.
        records: one per permit that was issued.
        now: the instant (UTC) at which it was first seen.
    """
    person, why = who_decides(file, submission, said_by, directory, now)
    if why is not None or person is None or not isinstance(said_by, Principal):
        return Reading(person=person, refusal=why)
    reading = _read(file, submission, person, records, now)
    wanted = wanted_of(file.revision.evaluation.revoke_proofs, submission.vote) if file.revision is not None else None
    if reading.revokes is not None and (weak := too_weak(said_by, wanted, now)) is not None:
        reading = Reading(person=person, refusal=weak, wanted=wanted)
    return replace(reading, principal=said_by)


def _read(
    file: CaseFile,
    submission: DecisionSubmission,
    person: PersonFacts,
    records: tuple[StepRecord, ...],
    now: datetime,
) -> Reading:
    phase = phase_of(records, len(file.proposal.steps))
    if file.result is not None or file.stop is not None or file.resolution not in (None, "approved"):
        state = file.result.outcome if file.result is not None else file.stop or file.resolution
        return Reading(person=person, refusal=(Refusal.not_pending, f"this proposal is {state}"))
    if phase == "over":
        return Reading(person=person, refusal=(Refusal.not_pending, _OVER))
    if not submission.justification.strip():
        return Reading(person=person, refusal=(Refusal.justification_missing, "a revocation needs a justification"))
    assert file.revision is not None
    evaluation = file.revision.evaluation
    why = why_not_authorized(
        person,
        phase,
        behind=file.revision.facts.requesters,
        rules=evaluation.revocations,
        chain=evaluation.chain,
        standing=standing_of(file, now),
    )
    if why is not None:
        return Reading(person=person, refusal=(Refusal.not_authorized, why))
    return Reading(person=person, revokes=phase)


def revoked_receipt(submission: DecisionSubmission, phase: Phase) -> DecisionReceipt:
    """The answer to a revocation that counts."""
    said = {"before": "revoked: nothing runs", "during": "revoked: what runs ends, and what was done is undone"}
    return DecisionReceipt(
        decision_id=submission.decision_id,
        counted=True,
        message=said[phase],
        resolution="withdrawn" if phase == "before" else "approved",
    )


async def revoke(
    connection: AsyncConnection,
    ledger: Ledger,
    file: CaseFile,
    submission: DecisionSubmission,
    reading: Reading,
    now: datetime,
) -> CaseFile:
    """Write the stop of a revocation that counts, and tell people; returns the case with it."""
    assert file.revision is not None
    assert reading.person is not None
    person, why = reading.person.person_id, submission.justification
    proposal_id, revision = file.proposal.proposal_id, file.revision.revision
    why_so = revoked_reason(person, why)
    await stop(connection, proposal_id, REVOKED, person, now, why)
    content = {"kind": REVOKED, "actor": person, "decision_id": submission.decision_id, "why": why}
    await ledger.append(EntryKind.stopped, content, "stop")
    file = replace(file, stop=REVOKED, revoked=why_so)
    if file.resolution is not None:
        return file
    await store_resolution(connection, proposal_id, revision, "withdrawn", (why_so,), now)
    if (standing := standing_of(file, now)) is not None:
        also = resolved(about_case(file), standing, "withdrawn", (why_so,), now)
        await tell(connection, file, standing, standing, now, also=also)
    return replace(file, resolution="withdrawn", resolved_at=now, reasons=(why_so,))
