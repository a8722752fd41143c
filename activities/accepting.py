"""People say what becomes of what nobody could measure; the rules are in `policy/undecided.py`.

At the commit of an acceptance, what is true: the decision is durable, and every permit that nobody used is void, so
that no undo can be claimed any more, whoever asks. A revocation is taken as ever.

What a workflow asks here is only how it stands. That people are asked, until when, and what happens then is put on
record once, and they are told; the sweep tells them once more before their time is over, whatever became of the run.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.advancing import standing_of
from activities.cases import REVOKED, CaseFile
from activities.deciding import Reading, SaidBy, who_decides
from activities.ledger import Ledger
from activities.outbox import about_case, tell, write
from activities.permits import read_issued
from activities.recording import void_unused
from activities.tables import DecisionRow
from policy.approval.revoking import why_not_authorized
from policy.base import instant_text
from policy.canonical import parse_canonical
from policy.decision import DecisionReceipt, DecisionSubmission, Refusal, Vote
from policy.ledger import EntryKind
from policy.notices import occasions
from policy.outcome import StepRecord
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.proofs import Principal
from policy.rules.stepping_up import too_weak, wanted_of
from policy.undecided import accepted_reason, undecided
from workflows.messages import CaseResult, Judged

_DECISION = DecisionRow.__table__.c  # type: ignore[attr-defined]
_ACCEPTED = select(_DECISION.person_id, _DECISION.body).where(
    _DECISION.proposal_id == bindparam("proposal_id"),
    _DECISION.revision == bindparam("revision"),
    _DECISION.vote == str(Vote.accept),
    _DECISION.counted,
)


async def with_acceptance(connection: AsyncConnection, file: CaseFile) -> CaseFile:
    """The case with the acceptance that counts, where there is one."""
    if file.accepted is not None or file.revision is None or file.judging is None:
        return file
    wanted = {"proposal_id": file.proposal.proposal_id, "revision": file.revision.revision}
    row = (await connection.execute(_ACCEPTED, wanted)).first()
    if row is None:
        return file
    return replace(file, accepted=accepted_reason(row.person_id, parse_canonical(row.body).get("justification", "")))


def read_acceptance(
    file: CaseFile,
    submission: DecisionSubmission,
    said_by: SaidBy,
    directory: Directory,
    records: tuple[StepRecord, ...],
    now: datetime,
) -> Reading:
    """Whether somebody may accept what was done as it stands; pure.

    Args:
        file: the case, with the acceptance that counts.
        submission: the decision.
        said_by: whoever made it, or why its proof does not show it.
        directory: who is who at that instant.
        records: one per permit that was issued.
        now: the instant (UTC) at which it was first seen.
    """
    person, why = who_decides(file, submission, said_by, directory, now)
    if why is not None or person is None or not isinstance(said_by, Principal):
        return Reading(person=person, refusal=why)
    principal = said_by
    if (why := _against(file, submission, person, records, now)) is not None:
        return Reading(person=person, refusal=why, principal=principal)
    assert file.revision is not None
    wanted = wanted_of(file.revision.evaluation.revoke_proofs, Vote.revoke)
    if (weak := too_weak(said_by, wanted, now)) is not None:
        return Reading(person=person, refusal=weak, wanted=wanted, principal=principal)
    return Reading(person=person, accepts=True, principal=principal)


def _against(
    file: CaseFile,
    submission: DecisionSubmission,
    person: PersonFacts,
    records: tuple[StepRecord, ...],
    now: datetime,
) -> tuple[Refusal, str] | None:
    until = file.judged_until(records) if file.result is None and file.resolution == "approved" else None
    if until is None:
        return Refusal.not_pending, "nothing of this proposal waits for somebody to accept it"
    if now > until:
        return Refusal.not_pending, f"it was to be said until {instant_text(until)}: the verb of the policy applies"
    if not submission.justification.strip():
        return Refusal.justification_missing, "who accepts what nobody could measure says why"
    assert file.revision is not None
    if person.person_id in file.revision.facts.requesters:
        return Refusal.not_authorized, f"{person.person_id} stands behind the proposal: others say whether it stays"
    evaluation = file.revision.evaluation
    why = why_not_authorized(
        person,
        "during",
        behind=(),
        rules=evaluation.revocations,
        chain=evaluation.chain,
        standing=standing_of(file, now),
    )
    return (Refusal.not_authorized, why) if why is not None else None


def accepted_receipt(submission: DecisionSubmission) -> DecisionReceipt:
    """The answer to an acceptance that counts."""
    return DecisionReceipt(
        decision_id=submission.decision_id,
        counted=True,
        message="accepted: what was done is kept, and nothing is undone",
        resolution="approved",
    )


async def accept(
    connection: AsyncConnection, file: CaseFile, submission: DecisionSubmission, reading: Reading, now: datetime
) -> CaseFile:
    """Void what nobody used, so that nothing is undone any more; returns the case with the acceptance."""
    assert file.revision is not None
    assert reading.person is not None
    records = (await read_issued(connection, file.proposal.proposal_id, file.revision.revision)).records
    await void_unused(connection, file, records, now)
    return replace(file, accepted=accepted_reason(reading.person.person_id, submission.justification))


async def judge(connection: AsyncConnection, ledger: Ledger, file: CaseFile, now: datetime) -> CaseResult:
    """How it stands with what nobody could measure: people are asked, somebody accepted it, or their time is over."""
    file = await with_acceptance(connection, file)
    assert file.revision is not None
    proposal_id, revision = file.proposal.proposal_id, file.revision.revision
    records = (await read_issued(connection, proposal_id, revision)).records
    until = file.judged_until(records)
    if until is not None:
        await _ask(connection, ledger, file, revision, until, now)
    asked: Judged = "" if until is None else "people" if now <= until else "lapsed"
    return CaseResult(
        standing=standing_of(file, now, time_itself=True),
        resolution=file.resolution,
        stopped=file.stop == REVOKED,
        judged="accepted" if file.accepted is not None else asked,
        judged_until=until,
        entry=await ledger.head(),
    )


async def remind(connection: AsyncConnection, file: CaseFile, now: datetime) -> None:
    """Tell people, once, that their time is nearly over, where it is; whoever sweeps asks."""
    if file.judging is None or file.revision is None or file.result is not None:
        return
    records = (await read_issued(connection, file.proposal.proposal_id, file.revision.revision)).records
    until, report = file.judged_until(records), undecided(records)
    if until is None or report is None or not file.judging.remind_at(report) <= now <= until:
        return
    await write(connection, [(occasions.judging_ends(about_case(file), file.judging, until, now), None)])


async def _ask(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, revision: int, until: datetime, now: datetime
) -> None:
    """Put on record, once, that people are asked, and tell them."""
    assert file.judging is not None
    content = {"revision": revision, "until": instant_text(until), "judging": file.judging.model_dump(mode="json")}
    await ledger.append(EntryKind.judging, content, revision)
    notice = occasions.judging(about_case(file), file.judging, until, now)
    await tell(connection, file, None, None, now, also=(notice,))
