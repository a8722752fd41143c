"""The record against the copy outside of it: before a permit is issued, after it was, and while a worker runs.

- It is compared within the transaction that issues, after its connection is there: no server that is behind can come
  between the two. A local file is read in microseconds; where it is not, the transaction gives up as always.
- After the commit, and before anybody is told a permit's id, the copy remembers an entry of that transaction. Where it
  cannot, nobody is told, and whoever asks again is given the same permit once it can.
- A lost copy of a record without permits is made anew when a worker starts, and at no other time.
- While the record is behind, what people handed in is looked at every few seconds. What counts is an entry of the
  record's own ledger before the copy goes on; what does not is said in the log, once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.anchor import Anchor
from activities.clock import Clock
from activities.database import Database, DatabaseUnavailableError
from activities.documents import Documents, InForce
from activities.ledger import Ledger
from activities.proving import Prover
from activities.tables import LedgerEntryRow, PermitRow
from activities.telemetry import Meter, Sample
from policy.anchoring import (
    RECORD_LEDGER,
    AnchorCopy,
    AnchorError,
    Behind,
    Known,
    compare,
    digest_of_copy,
    missing_of,
    proposals_of,
    read_copy,
    refusal_of,
)
from policy.canonical import parse_canonical, parse_json
from policy.errors import CanonicalError, CountersignError
from policy.ledger import EntryKind, EntryRef
from policy.proofs import Domain, Principal
from policy.restoring import (
    AcknowledgementError,
    RecordHead,
    Said,
    Situation,
    acknowledged,
    counted,
    receive_acknowledgement,
)

log = logging.getLogger("countersign.anchor")

EVERY = timedelta(seconds=5)
MAX_STATEMENTS = 10

_ENTRY = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]
_PERMITTED = select(exists().select_from(PermitRow))
_ACKNOWLEDGED = select(_ENTRY.body).where(
    _ENTRY.proposal_id == RECORD_LEDGER, _ENTRY.kind == str(EntryKind.restore_acknowledged)
)


@dataclass
class Issuing:
    """One transaction that may issue. `begins`: there was no copy yet, and nothing that it could have remembered."""

    anchor: Anchor
    known: Known | None = None
    begins: bool = False

    async def behind(self, connection: AsyncConnection, proposal_id: str) -> Behind | None:
        """Why nothing may be issued for a proposal; None where nothing speaks against it.

        Args:
            connection: the transaction that would issue.
            proposal_id: for which proposal.
        """
        body = await self.anchor.read()
        self.begins = body is None
        return refusal_of(body, await compared(connection, body), proposal_id)

    async def remember(self, connection: AsyncConnection, proposal_id: str, entry: EntryRef | None) -> None:
        """Have the copy remember an entry that this transaction wrote or found, once it is committed."""
        if entry is not None:
            self.known = await known_of(connection, proposal_id, entry)


class Anchored:
    """A worker's copy, and what follows where the record is behind it.

    Args:
        anchor: where the copy is.
        documents: whose policy and directory say who may acknowledge.
        prover: verifies the statements.
    """

    def __init__(self, anchor: Anchor, documents: Documents, prover: Prover) -> None:
        self._anchor = anchor
        self._documents = documents
        self._prover = prover
        self._said = ""

    @asynccontextmanager
    async def issuing(self) -> AsyncIterator[Issuing]:
        """Put it around a transaction that may issue; at the end of the block the copy remembers what it was told.

        Raises:
            AnchorError: the copy could not be read or written; what was committed is given to nobody.
        """
        work = Issuing(self._anchor)
        yield work
        if (known := work.known) is not None:
            await self._anchor.change(lambda body: _with_entry(body, known, begins=work.begins))

    async def begin(self, database: Database) -> None:
        """Make the copy where nothing was ever permitted; safe to run again.

        Raises:
            AnchorError: the copy could not be written.
            DatabaseUnavailableError: the record could not be read.
        """
        async with database.snapshot() as connection:
            permitted = await connection.scalar(_PERMITTED)
        if not permitted:
            await self._anchor.change(lambda body: AnchorCopy().body if body is None else None)

    async def settle(self, database: Database, now: datetime) -> Behind | None:
        """How the record is behind, once what people handed in was looked at; None where it is in order.

        Raises:
            AnchorError: the copy could not be read or written.
            DatabaseUnavailableError: the record could not be read.
        """
        behind = await compare_with(database, self._anchor)
        if behind is None:
            return self._tell("", None)
        if (handed_in := await self._anchor.acknowledgement()) is None:
            return self._tell(behind.reason.message, behind)
        try:
            await self._prover.with_keys(lambda: self._take(database, handed_in, now))
        except CountersignError as error:
            return self._tell(f"{behind.reason.message}; what was handed in does not count: {error}", behind)
        await self._anchor.put_aside()
        return self._tell("", None)

    @asynccontextmanager
    async def watched(self, database: Database, clock: Clock, meter: Meter | None) -> AsyncIterator[None]:
        """Compare at once, and inside the block every few seconds.

        Raises:
            AnchorError: the copy could not be read or written.
            DatabaseUnavailableError: the record could not be read at first.
        """
        await self.begin(database)
        await self._look(database, clock, meter)
        watching = asyncio.create_task(self._watch(database, clock, meter))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self, database: Database, clock: Clock, meter: Meter | None) -> None:
        while True:
            await asyncio.sleep(EVERY.total_seconds())
            try:
                await self._look(database, clock, meter)
            except (AnchorError, DatabaseUnavailableError) as error:
                self._tell(f"the copy outside the record could not be compared: {error}", None)
            except Exception:
                # Permits are still compared one by one; but nobody's acknowledgement would be taken any more.
                log.exception("the copy outside the record is not looked at any more")
                raise

    async def _look(self, database: Database, clock: Clock, meter: Meter | None) -> None:
        behind = await self.settle(database, await clock.now())
        if meter is not None:
            meter.measure(Sample("countersign_record_behind", int(behind is not None)))

    def _tell(self, what: str, behind: Behind | None) -> Behind | None:
        """Log what is wrong when it changes, and once it is in order."""
        if what and what != self._said:
            log.error("%s", what)
        elif self._said and not what:
            log.warning("the record is in order with the copy outside of it: permits are issued")
        self._said = what
        return behind

    async def _take(self, database: Database, handed_in: bytes, now: datetime) -> None:
        """Write that people acknowledged it, and go on from there.

        Raises:
            AcknowledgementError: what they handed in does not suffice.
        """
        values = read_statements(handed_in)
        body = await self._anchor.read()
        async with database.transaction(RECORD_LEDGER) as connection:
            in_force = await self._documents.in_force(connection)
            missing = missing_entries(body, await found_of(connection, body))
            used = [parse_canonical(row)["content"] for row in await connection.scalars(_ACKNOWLEDGED)]
            ids = frozenset(item["statement"]["acknowledgement_id"] for one in used for item in one["acknowledged"])
            situation = situation_of(body, missing, ids)
            said = [await self._read(value, in_force, now) for value in values]
            people, problems = counted(said, situation, in_force.policy, in_force.directory, now)
            if problems:
                raise AcknowledgementError("; ".join(problems))
            if (wrong := await _unknown_head(connection, said)) is not None:
                raise AcknowledgementError(wrong)
            content = {
                "copy": parse_json(body) if body is not None and _copy_of(body) is not None else None,
                "copy_digest": situation.copy_digest,
                "missing": [item.model_dump(mode="json") for item in missing],
                "documents": in_force.digests.model_dump(mode="json"),
                "people": list(people),
                "acknowledged": [
                    {"statement": value, "principal": item.principal.model_dump(mode="json")}
                    for value, item in zip(values, said, strict=True)
                ],
            }
            key = sorted(item.statement.acknowledgement_id for item in said)
            entry = await Ledger(connection, RECORD_LEDGER, now).append(EntryKind.restore_acknowledged, content, *key)
            known = await known_of(connection, RECORD_LEDGER, entry)
        follows = acknowledged(_copy_of(body), missing, proposals_of(missing), known).body
        await self._anchor.change(lambda current: follows if current == body else None)

    async def _read(self, value: Any, in_force: InForce, now: datetime) -> Said:
        statement = receive_acknowledgement(value)
        by = await self._prover.prove(value, statement.proof, in_force.directory, now, domain=Domain.acknowledgement)
        if not isinstance(by, Principal):
            raise AcknowledgementError(f"statement {statement.acknowledgement_id}: {by[0]}: {by[1]}")
        return Said(statement, by)


async def compare_with(database: Database, anchor: Anchor) -> Behind | None:
    """How a record is behind a copy; None where it is not.

    Raises:
        AnchorError: the copy could not be read.
        DatabaseUnavailableError: the record could not be read.
    """
    body = await anchor.read()
    async with database.snapshot() as connection:
        return await compared(connection, body)


async def compared(connection: AsyncConnection, body: bytes | None) -> Behind | None:
    """The same within a transaction, of a copy that was read."""
    permitted = body is None and bool(await connection.scalar(_PERMITTED))
    return compare(body, await found_of(connection, body), permitted=permitted)


async def found_of(connection: AsyncConnection, body: bytes | None) -> Mapping[int, str]:
    """The digests that the record has of the entries that a copy remembers, by number."""
    copy = _copy_of(body)
    if copy is None or not copy.entries:
        return {}
    wanted = [item.seq for item in copy.entries]
    rows = await connection.execute(select(_ENTRY.seq, _ENTRY.digest).where(_ENTRY.seq.in_(wanted)))
    return {row.seq: row.digest for row in rows}


async def known_of(connection: AsyncConnection, proposal_id: str, entry: EntryRef) -> Known:
    """An entry as it is remembered."""
    wanted = select(_ENTRY.seq, _ENTRY.digest, _ENTRY.recorded_at).where(
        _ENTRY.proposal_id == proposal_id, _ENTRY.position == entry.position
    )
    row = (await connection.execute(wanted)).one()
    return Known(seq=row.seq, digest=row.digest, proposal_id=proposal_id, at=row.recorded_at)


async def head_of_record(connection: AsyncConnection) -> RecordHead | None:
    """The newest entry of the whole ledger; None of an empty one."""
    row = (await connection.execute(select(_ENTRY.seq, _ENTRY.digest).order_by(_ENTRY.seq.desc()).limit(1))).first()
    return RecordHead(seq=row.seq, digest=row.digest) if row is not None else None


def missing_entries(body: bytes | None, found: Mapping[int, str]) -> tuple[Known, ...]:
    """What a record lacks of a copy; nothing where nobody knows."""
    copy = _copy_of(body)
    return missing_of(copy, found) if copy is not None else ()


def situation_of(body: bytes | None, missing: Sequence[Known], used: frozenset[str] = frozenset()) -> Situation:
    """What a statement must be about now."""
    copy = _copy_of(body)
    return Situation(digest_of_copy(body), copy.newest if copy is not None else None, proposals_of(missing), used)


def read_statements(body: bytes) -> list[Any]:
    """The statements that were handed in, as JSON values.

    Raises:
        AcknowledgementError: they are none.
    """
    try:
        value = parse_json(body)
    except CanonicalError as error:
        raise AcknowledgementError(f"malformed acknowledgement: {error}") from None
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_STATEMENTS:
        raise AcknowledgementError(f"malformed acknowledgement: write a list of 1 to {MAX_STATEMENTS} statements")
    return value


async def _unknown_head(connection: AsyncConnection, said: Sequence[Said]) -> str | None:
    """Which statement is about another record than this one, in a sentence."""
    for item in said:
        head = item.statement.record
        if head is None:
            continue
        if await connection.scalar(select(_ENTRY.digest).where(_ENTRY.seq == head.seq)) != head.digest:
            return f"the statement of {item.principal.identity} is about a record whose entry {head.seq} is another"
    return None


def _copy_of(body: bytes | None) -> AnchorCopy | None:
    try:
        return read_copy(body) if body is not None else None
    except AnchorError:
        return None


def _with_entry(body: bytes | None, known: Known, *, begins: bool) -> bytes | None:
    if body is None and not begins:
        raise AnchorError("the copy outside the record is gone since it was compared: nothing is given to anybody")
    copy = read_copy(body) if body is not None else AnchorCopy()
    return None if copy.remembers(known) else copy.with_entry(known).body
