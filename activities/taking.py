"""Taking decisions: read each, store it counted or refused, and evaluate the case with it. Refused ones are evidence.

- The first writer of a decision id wins: the same decision again gets the stored receipt, another one under the same id
  is refused and changes nothing.
- Several that waited together are taken one after the other in order of arrival, in one transaction: each is judged by
  the case as the ones before it left it, and a resolution is written before the next one is read.
- A refusal that is not listed any more (`policy/refusals.py`) is answered and not stored: sent again, it is judged
  again.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.accepting import accept, accepted_receipt, read_acceptance, with_acceptance
from activities.advancing import settle, standing_of
from activities.cases import FIRST_REVISION, CaseFile
from activities.deciding import Reading, SaidBy, read_decision, with_ballot
from activities.documents import InForce
from activities.ledger import Ledger
from activities.listing import Listing
from activities.outbox import about_case, tell
from activities.permits import read_issued
from activities.proving import Prover
from activities.reconsidering import reconsider
from activities.revoking import read_revocation, revoke, revoked_receipt
from activities.statements import columns_of, content_of
from activities.tables import DecisionRow
from activities.telemetry import note_first_decision
from policy.approval.standing import Ballot, Standing, stand
from policy.canonical import canonical, digest
from policy.decision import DecisionReceipt, DecisionSubmission, Refusal, Vote, receive_decision
from policy.errors import DecisionError
from policy.ledger import EntryKind, EntryRef
from policy.notices.occasions_told import said
from policy.people.directory import Directory
from policy.proofs import Assurance
from workflows.messages import DecisionMessage, DecisionRequest, DecisionsRequest

_DECISION = DecisionRow.__table__.c  # type: ignore[attr-defined]
_STORED = select(_DECISION.receipt, _DECISION.digest).where(
    _DECISION.proposal_id == bindparam("proposal_id"), _DECISION.decision_id == bindparam("decision_id")
)
_INSERT = insert(DecisionRow)


def read_submission(message: DecisionMessage | DecisionRequest) -> tuple[DecisionSubmission | None, str]:
    """The decision in a message, or None and why it is none."""
    if message.problem is not None:
        return None, message.problem
    try:
        return receive_decision(message.submission), ""
    except DecisionError as error:
        return None, str(error)


@dataclass(frozen=True)
class Taken:
    """What came of one decision: its receipt, how the case stands, and the case as it leaves it."""

    receipt: DecisionReceipt
    standing: Standing | None
    file: CaseFile


def moved(before: CaseFile, *taken: Taken) -> bool:
    """Whether any of some decisions, or what was noted with them, changed how the case stands."""
    after = taken[-1].file
    noted = (after.resolution, after.events) != (before.resolution, before.events)
    return noted or any(item.receipt.counted for item in taken)


class Taking:
    """Takes decisions of one case inside one transaction.

    Args:
        connection: in a transaction that holds the proposal's lock.
        ledger: of the proposal.
        in_force: the governed documents; None where nothing well-formed is taken.
        prover: verifies who made a decision.
        request: which case, when, and what was not listed before.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        ledger: Ledger,
        in_force: InForce | None,
        prover: Prover,
        request: DecisionRequest | DecisionsRequest,
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._in_force = in_force
        self._prover = prover
        self._proposal_id, self._now = request.proposal_id, request.now
        self._listing = Listing(connection, request.proposal_id, request.unlisted)

    @property
    def unlisted(self) -> dict[str, int]:
        """How many refusals were not listed, by code."""
        return dict(self._listing.unlisted)

    async def take(self, file: CaseFile, message: DecisionMessage | DecisionRequest) -> Taken:
        """Take one message; everything that its receipt says is stored with it, unless it is not listed."""
        submission, problem = read_submission(message)
        if submission is None:
            receipt = await self._note_malformed(message, problem)
            return await self._settled(file, receipt, standing_of(file, self._now))
        if (before := await _before(self._connection, message, submission, self._proposal_id)) is not None:
            return await self._settled(file, before, standing_of(file, self._now))
        assert self._in_force is not None
        directory = self._in_force.directory
        said_by = await self._prover.decided(message.submission, submission, directory, self._now)
        reading = await self._read(file, submission, said_by, directory)
        standing = self._standing_with(file, reading)
        receipt = receipt_of(submission, reading, standing, file)
        await self._keep(file, message, submission, reading, receipt)
        if reading.revokes is not None:
            file = await revoke(self._connection, self._ledger, file, submission, reading, self._now)
            return Taken(receipt, standing, file)
        if reading.accepts:
            return Taken(receipt, standing, await accept(self._connection, file, submission, reading, self._now))
        if reading.ballot is not None:
            asked = file
            file = replace(file, ballots=(*file.ballots, reading.ballot))
            file = await reconsider(self._connection, self._ledger, file, self._in_force, self._now)
            standing = standing_of(file, self._now)
            await self._tell(asked, reading.ballot, standing)
        return await self._settled(file, receipt, standing)

    async def _read(
        self, file: CaseFile, submission: DecisionSubmission, said_by: SaidBy, directory: Directory
    ) -> Reading:
        if submission.vote not in (Vote.revoke, Vote.accept):
            return read_decision(file, submission, said_by, directory, self._now)
        issued = await read_issued(self._connection, self._proposal_id, submission.revision)
        if submission.vote is Vote.accept:
            file = await with_acceptance(self._connection, file)
            return read_acceptance(file, submission, said_by, directory, issued.records, self._now)
        return read_revocation(file, submission, said_by, directory, issued.records, self._now)

    async def close(self) -> EntryRef | None:
        """Note what was not listed; the newest entry."""
        await self._listing.note(self._ledger)
        return await self._ledger.head()

    async def _note_malformed(self, message: DecisionMessage | DecisionRequest, problem: str) -> DecisionReceipt:
        """Record that something came that is no decision."""
        receipt = refused(None, Refusal.malformed, problem)
        if await self._listing.lists(None, Refusal.malformed):
            content = _content(message, Reading(), receipt, directory=None)
            await self._ledger.append(EntryKind.decision_refused, content, message.channel, message.arrival, problem)
        return receipt

    async def _keep(
        self,
        file: CaseFile,
        message: DecisionMessage | DecisionRequest,
        submission: DecisionSubmission,
        reading: Reading,
        receipt: DecisionReceipt,
    ) -> None:
        assert self._in_force is not None
        person = reading.person.person_id if reading.person else None
        if not reading.counts and not await self._listing.lists(person, receipt.code or ""):
            return
        await _store(self._connection, self._proposal_id, self._now, message, submission, reading, receipt)
        kind = EntryKind.decision_counted if reading.counts else EntryKind.decision_refused
        content = _content(message, reading, receipt, directory=self._in_force.directory_digest)
        await self._ledger.append(kind, content, submission.decision_id)
        if reading.ballot is not None and not file.ballots and submission.revision == FIRST_REVISION:
            note_first_decision(file, self._now)

    async def _tell(self, file: CaseFile, ballot: Ballot, standing: Standing | None) -> None:
        """Write what people are told of a decision that counts."""
        if standing is not None:
            also = said(about_case(file), ballot, file.ballots, standing.current)
            await tell(self._connection, file, standing_of(file, self._now), standing, self._now, also=also)

    async def _settled(self, file: CaseFile, receipt: DecisionReceipt, standing: Standing | None) -> Taken:
        """What came of it, after what the standing amounts to is on record: a deadline that has passed is, too."""
        resolution = await settle(self._connection, self._ledger, file, standing, self._now)
        if resolution is not None and file.resolution is None and standing is not None:
            resolved = {"resolution": resolution, "resolved_at": self._now, "reasons": standing.reasons}
            file = replace(file, **resolved)  # type: ignore[arg-type]
        return Taken(receipt, standing, file)

    def _standing_with(self, file: CaseFile, reading: Reading) -> Standing | None:
        if reading.ballot is None or file.case is None:
            return standing_of(file, self._now)
        return stand(with_ballot(file.case, reading.ballot), self._now, deadline_counts_as_passed=False)


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


def receipt_of(
    submission: DecisionSubmission, reading: Reading, standing: Standing | None, file: CaseFile
) -> DecisionReceipt:
    """The answer to a decision that was read; pure. `standing` is how the case stands with it."""
    assurance = reading.principal.assurance if reading.principal is not None else Assurance.claimed
    if reading.refusal is not None:
        receipt = refused(submission, *reading.refusal, standing=standing)
        more = {"assurance": assurance, "wanted": reading.wanted}
        return receipt.model_copy(update={**more, **({"resolution": file.resolution} if file.resolution else {})})
    if reading.revokes is not None:
        return revoked_receipt(submission, reading.revokes).model_copy(update={"assurance": assurance})
    if reading.accepts:
        return accepted_receipt(submission).model_copy(update={"assurance": assurance})
    assert standing is not None
    return DecisionReceipt(
        decision_id=submission.decision_id,
        counted=True,
        message="counted",
        missing=standing.current.missing,
        resolution=standing.resolution,
        assurance=reading.ballot.assurance if reading.ballot is not None else assurance,
    )


async def _before(
    connection: AsyncConnection,
    message: DecisionMessage | DecisionRequest,
    submission: DecisionSubmission,
    proposal_id: str,
) -> DecisionReceipt | None:
    """The receipt of a decision id that was seen before."""
    key = {"proposal_id": proposal_id, "decision_id": submission.decision_id}
    found = (await connection.execute(_STORED, key)).first()
    if found is None:
        return None
    if found.digest != digest(canonical(message.submission)):
        why = f"decision id {submission.decision_id} was used for another decision: choose a new one"
        return refused(submission, Refusal.decision_id_reused, why)
    return DecisionReceipt.model_validate_json(found.receipt)


async def _store(
    connection: AsyncConnection,
    proposal_id: str,
    now: datetime,
    message: DecisionMessage | DecisionRequest,
    submission: DecisionSubmission,
    reading: Reading,
    receipt: DecisionReceipt,
) -> None:
    row = {
        "proposal_id": proposal_id,
        "revision": submission.revision,
        "stage": submission.stage,
        **columns_of(submission, message.submission, reading, receipt, arrival=message.arrival, now=now),
    }
    await connection.execute(_INSERT, row)


def _content(
    message: DecisionMessage | DecisionRequest, reading: Reading, receipt: DecisionReceipt, *, directory: str | None
) -> dict[str, object]:
    """What the entry keeps. `directory` is the digest of the one in which the person was looked up."""
    received = message.submission if reading.person or reading.refusal else None
    kept = content_of(received, reading, receipt, channel=message.channel, arrival=message.arrival)
    return {**kept, "directory": directory}
