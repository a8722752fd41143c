"""Taking a decision: read it, store it counted or refused, and evaluate the case with it. Refused ones are evidence.

The first writer of a decision id wins: the same decision again gets the stored receipt, another one under the same id
is refused and changes nothing.
"""

from sqlalchemy import bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.advancing import settle, standing_of
from activities.cases import REVOKED, CaseFile
from activities.deciding import Reading, read_decision, who_decides, with_ballot
from activities.documents import InForce
from activities.ledger import Ledger
from activities.permits import read_issued
from activities.revoking import read_revocation, revoke, revoked_receipt
from activities.tables import DecisionRow
from activities.telemetry import note_first_decision
from policy.approval.standing import Standing, stand
from policy.canonical import canonical, digest
from policy.decision import DecisionReceipt, DecisionSubmission, Refusal, Vote, receive_decision
from policy.errors import DecisionError
from policy.ledger import EntryKind
from workflows.ports import CaseResult, DecisionRequest

_DECISION = DecisionRow.__table__.c  # type: ignore[attr-defined]
_STORED = select(_DECISION.receipt, _DECISION.digest).where(
    _DECISION.proposal_id == bindparam("proposal_id"), _DECISION.decision_id == bindparam("decision_id")
)
_INSERT = insert(DecisionRow)


def read_submission(request: DecisionRequest) -> tuple[DecisionSubmission | None, str]:
    """The decision of a request, or None and why it is none."""
    if request.problem is not None:
        return None, request.problem
    try:
        return receive_decision(request.submission), ""
    except DecisionError as error:
        return None, str(error)


async def note_malformed(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, problem: str, request: DecisionRequest
) -> CaseResult:
    """Record that something came that is no decision."""
    receipt = refused(None, Refusal.malformed, problem)
    content = _content(request, Reading(), receipt, directory=None)
    await ledger.append(EntryKind.decision_refused, content, request.channel, request.arrival, problem)
    return await _answer(connection, ledger, file, receipt, standing_of(file, request.now), request)


async def take(
    connection: AsyncConnection,
    ledger: Ledger,
    file: CaseFile,
    submission: DecisionSubmission,
    in_force: InForce,
    request: DecisionRequest,
) -> CaseResult:
    """Take one decision; everything that the answer says is stored with it."""
    if (before := await _before(connection, submission, request.proposal_id)) is not None:
        return await _answer(connection, ledger, file, before, standing_of(file, request.now), request)
    reading = await _read(connection, file, submission, in_force, request)
    standing = _standing_with(file, reading, request)
    receipt = receipt_of(submission, reading, standing, file)
    await _store(connection, submission, reading, receipt, request)
    kind = EntryKind.decision_counted if reading.counts else EntryKind.decision_refused
    content = _content(request, reading, receipt, directory=in_force.directory_digest)
    await ledger.append(kind, content, submission.decision_id)
    if reading.ballot is not None and not file.ballots:
        note_first_decision(file, request.now)
    if reading.revokes is not None:
        resolution = await revoke(connection, ledger, file, submission, reading, request)
        return CaseResult(
            receipt=receipt, standing=standing, resolution=resolution, stopped=True, entry=await ledger.head()
        )
    return await _answer(connection, ledger, file, receipt, standing, request)


async def _read(
    connection: AsyncConnection,
    file: CaseFile,
    submission: DecisionSubmission,
    in_force: InForce,
    request: DecisionRequest,
) -> Reading:
    if submission.vote is not Vote.revoke:
        return read_decision(file, submission, in_force.directory, request.now)
    person, why = who_decides(file, submission, in_force.directory, request.now)
    if why is not None or person is None:
        return Reading(person=person, refusal=why)
    issued = await read_issued(connection, request.proposal_id, submission.revision)
    return read_revocation(file, submission, person, issued.records, request.now)


def refused(
    submission: DecisionSubmission | None, code: Refusal, message: str, standing: Standing | None = None
) -> DecisionReceipt:
    """The receipt of a decision that does not count."""
    return DecisionReceipt(
        decision_id=submission.decision_id if submission else "",
        counted=False,
        code=code,
        message=message,
        missing=standing.current.missing if standing else (),
        resolution=standing.resolution if standing else "unknown",
    )


async def _answer(
    connection: AsyncConnection,
    ledger: Ledger,
    file: CaseFile,
    receipt: DecisionReceipt,
    standing: Standing | None,
    request: DecisionRequest,
) -> CaseResult:
    """The answer, after what the standing amounts to is on record: a deadline that has passed is, too."""
    resolution = await settle(connection, ledger, file, standing, request.now)
    return CaseResult(
        receipt=receipt,
        standing=standing,
        resolution=resolution,
        stopped=file.stop == REVOKED,
        entry=await ledger.head(),
    )


def _standing_with(file: CaseFile, reading: Reading, request: DecisionRequest) -> Standing | None:
    if reading.ballot is None or file.case is None:
        return standing_of(file, request.now)
    return stand(with_ballot(file.case, reading.ballot), request.now, deadline_counts_as_passed=False)


def receipt_of(
    submission: DecisionSubmission, reading: Reading, standing: Standing | None, file: CaseFile
) -> DecisionReceipt:
    """The answer to a decision that was read; pure. `standing` is how the case stands with it."""
    if reading.refusal is not None:
        receipt = refused(submission, *reading.refusal, standing=standing)
        return receipt.model_copy(update={"resolution": file.resolution}) if file.resolution else receipt
    if reading.revokes is not None:
        return revoked_receipt(submission, reading.revokes)
    assert standing is not None
    return DecisionReceipt(
        decision_id=submission.decision_id,
        counted=True,
        message="counted",
        missing=standing.current.missing,
        resolution=standing.resolution,
    )


async def _before(
    connection: AsyncConnection, submission: DecisionSubmission, proposal_id: str
) -> DecisionReceipt | None:
    """The receipt of a decision id that was seen before."""
    key = {"proposal_id": proposal_id, "decision_id": submission.decision_id}
    found = (await connection.execute(_STORED, key)).first()
    if found is None:
        return None
    if found.digest != digest(_body(submission)):
        message = f"decision id {submission.decision_id} was used for another decision: choose a new one"
        return refused(submission, Refusal.decision_id_reused, message)
    return DecisionReceipt.model_validate_json(found.receipt)


async def _store(
    connection: AsyncConnection,
    submission: DecisionSubmission,
    reading: Reading,
    receipt: DecisionReceipt,
    request: DecisionRequest,
) -> None:
    body = _body(submission)
    ballot = reading.ballot.model_dump(mode="json") if reading.ballot else None
    row = {
        "proposal_id": request.proposal_id,
        "decision_id": submission.decision_id,
        "revision": submission.revision,
        "stage": submission.stage,
        "person_id": reading.person.person_id if reading.person else None,
        "vote": str(submission.vote),
        "counted": reading.counts,
        "code": receipt.code,
        "body": body,
        "digest": digest(body),
        "receipt": canonical({**receipt.model_dump(mode="json"), "ballot": ballot}),
        "arrival": request.arrival,
        "received_at": request.now,
    }
    await connection.execute(_INSERT, row)


def _body(submission: DecisionSubmission) -> bytes:
    # Only what was sent: a field that a later release adds must not make another decision of this one.
    return canonical(submission.model_dump(mode="json", exclude_unset=True))


def _content(
    request: DecisionRequest, reading: Reading, receipt: DecisionReceipt, *, directory: str | None
) -> dict[str, object]:
    """What the entry keeps. `directory` is the digest of the one in which the person was looked up."""
    return {
        "submission": request.submission if reading.person or reading.refusal else None,
        "channel": request.channel,
        "arrival": request.arrival,
        "directory": directory,
        "person": reading.person.model_dump(mode="json") if reading.person else None,
        "ballot": reading.ballot.model_dump(mode="json") if reading.ballot else None,
        "receipt": receipt.model_dump(mode="json"),
    }
