"""Claiming a permit: the transaction in which an attempt gets the right to act, or does not.

1. One row decides: a permit is claimed by one attempt, once, or void. The row is written under the proposal's lock,
   after the stop, the result, the expiry and, for an undo, the cause were read under the same lock.
2. What a claim may do is in the permit as stored, and only if its proposal has the digest that the permit names. A hold
   that came after the permit was issued forbids a step, unless the action was approved to remedy it; that one was
   released is asked again (`activities/releases.py`). A halt forbids every step, and no undo, until its release is
   proved.
3. The same attempt asking again is answered, not given a second go. Another attempt is refused, and the refusal is
   recorded: once for each attempt, and at most `REFUSALS_KEPT` for a proposal.
4. Whoever asks for what was reported gets the report, and no right to act: so an action that is started again goes on
   where its record is. That another attempt asked for a step is recorded all the same.
5. An undo may be carried out twice: a later attempt of the same activity goes on while there is no report.
6. Before that, the signatures of a step's permits are verified (`activities/permit_trust.py`): that of its undo, too,
   because an undo does not wait for the record later.
7. What an executor resolves it does by the targets in its permit only: a permit to do it without any is refused.
8. An effect that could outlast the window of its permit is not begun.
9. A permit is for a dry run exactly where its proposal is one, and nothing is undone after a dry run.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import Select, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.attempt import Attempt
from activities.cases import read_holds
from activities.clock import TOLERANCE, Clock, SystemClock
from activities.database import Database, lock_key
from activities.ledger import Ledger
from activities.permit_trust import PermitTrust
from activities.permits import PermitError, PermitUse, claim_row, read_issued, read_use, step_permits, store_claim
from activities.tables import LedgerEntryRow, PermitRow, PermitUseRow
from policy.gate import HALTED, ON_HOLD, TAKEN_OVER, may_undo
from policy.ledger import EntryKind
from policy.observed import HoldFact
from policy.outcome import Baseline, EffectReport
from policy.permit import Direction, Permit, entry_id
from policy.proposal import MAX_STEPS
from policy.remedying import unremedied
from signing.permits import PermitRefusedError

REFUSALS_KEPT = 20
_ENTRY = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]


_PERMIT = PermitRow.__table__.c  # type: ignore[attr-defined]
_USE = PermitUseRow.__table__.c  # type: ignore[attr-defined]
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
# The forward permit of a later step that nobody claimed in time.
_EXPIRED = (
    select(_PERMIT.permit_id)
    .outerjoin(PermitUseRow, _USE.permit_id == _PERMIT.permit_id)
    .where(
        _PERMIT.proposal_id == bindparam("proposal_id"),
        _PERMIT.revision == bindparam("revision"),
        _PERMIT.direction == str(Direction.do),
        _PERMIT.step > bindparam("step"),
        _PERMIT.expires_at < bindparam("now"),
        _USE.permit_id.is_(None),
    )
)


@dataclass(frozen=True)
class Before:
    """What earlier reports say that an attempt needs: what was read before the first step, and of an undo the targets
    that its step touched; none where that was all of them.
    """

    baselines: tuple[Baseline, ...] = ()
    touched: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claimed:
    """The attempt may act, if it does at once: since the instant `at`. `undo` is the permit that undoes the step."""

    permit: Permit
    undo: Permit | None
    at: datetime
    before: Before = Before()


@dataclass(frozen=True)
class Reported:
    """There is a report; nothing is left to do. `refused` is what is recorded where another attempt asked."""

    report: EffectReport
    refused: "Refused | None" = None


@dataclass(frozen=True)
class Refused:
    """The attempt may not act. `passing`: what stands against it may be gone when it asks again."""

    code: str
    message: str
    effect: Literal["none", "unknown"] = "none"
    passing: bool = False


class Claims:
    """Claims permits for the executor role.

    Args:
        database: the record, as the executor or application role.
        clock: tells whether a permit has expired.
        executors: the names of the executors that this process has.
        trust: which permits are believed.
        resolves: executor and operation where one finds out what it would touch.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        executors: frozenset[str],
        trust: PermitTrust,
        *,
        resolves: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        self._database = database
        self._clock = clock
        self._executors = executors
        self._resolves = resolves
        self._trust = trust

    async def claim(self, permit_id: str, attempt: Attempt, *, tried: bool) -> Claimed | Reported | Refused:
        """Claim a permit for an attempt.

        Args:
            permit_id: which one.
            attempt: who asks.
            tried: this attempt asked before, got no answer, and has not acted.

        Raises:
            DatabaseUnavailableError: it may be claimed or not; ask again with `tried`.
        """
        return await self._trust.with_keys(lambda: self._claim(permit_id, attempt, tried=tried))

    async def ended_by(self, permit: Permit) -> Refused | None:
        """What on record ends a step that runs: a halt, a hold, a take-over, a stop, a revocation; None where nothing.

        Raises:
            DatabaseUnavailableError: nobody can say; ask again.
        """
        return await self._trust.with_keys(lambda: self._ended_by(permit))

    async def _ended_by(self, permit: Permit) -> Refused | None:
        async with self._database.snapshot() as connection:
            found = await read_use(connection, permit)
            if (halted := await self._trust.halted(connection, found.halts, permit)) is not None:
                return Refused(HALTED, halted)
            against = _stopped(found) or await _on_hold(connection, permit, found)
            if against is not None:
                return against
            # Often asked: what an action left is asked about when the permit is claimed, and not again.
            named = _named(permit, found)
            standing = await self._trust.releases.standing_of_people(connection, named, permit.held_as)
            return _under(standing[0].hold) if standing else None

    async def _claim(self, permit_id: str, attempt: Attempt, *, tried: bool) -> Claimed | Reported | Refused:
        now = await self._clock.now()
        async with self._database.transaction() as connection:
            try:
                permit, other = await step_permits(connection, permit_id)
            except PermitError as error:
                return Refused("malformed_permit", str(error))
            if permit is None:
                return Refused("unknown_permit", f"the record has no permit {permit_id}")
            attempt = attempt.under(permit)
            # What forbids a claim is read after this, in a statement of its own, so that it is not older than the lock.
            await connection.execute(_LOCK, {"key": lock_key(permit.proposal_id)})
            found = await read_use(connection, permit)
            mine = Claimed(permit, other, now)
            if found.use == "unused":
                refused = await self._refusal(connection, mine, found, attempt.started_at)
                if refused is None:
                    row = claim_row(permit, **attempt.columns, at=now)
                    await store_claim(connection, row)
                answer: Claimed | Reported | Refused = refused or mine
            else:
                answer = _again(mine, found, attempt, tried=tried)
                if isinstance(answer, Claimed):
                    answer = await self._unproven(connection, mine) or answer
            if isinstance(answer, Claimed):
                answer = replace(answer, before=await read_before(connection, permit))
            refused = (
                answer.refused if isinstance(answer, Reported) else answer if isinstance(answer, Refused) else None
            )
            if refused is not None and (attempt.last or not refused.passing):
                await _note(connection, permit, attempt, refused, now)
        return answer

    async def _refusal(
        self, connection: AsyncConnection, asked: Claimed, found: PermitUse, started_at: datetime
    ) -> Refused | None:
        """Why a permit that nobody used may not be claimed now, or None."""
        permit, now = asked.permit, asked.at
        if (refused := _not_permitted(permit, found)) is not None:
            return refused
        if permit.executor not in self._executors:
            known = ", ".join(sorted(self._executors)) or "none"
            return Refused("unknown_executor", f"executor {permit.executor} is not here (here: {known})")
        if (refused := await self._unproven(connection, asked)) is not None:
            return refused
        if permit.direction is Direction.undo:
            return await _no_undo(
                connection, permit, stopped=found.stop is not None and found.undone_when_stopped, now=now
            )
        # Another clock than the machine's need not run with the server's.
        if isinstance(self._clock, SystemClock) and abs(now - started_at) > TOLERANCE:
            return Refused(
                "clock_differs", f"it is {now} here and was {started_at} at Temporal's: set this clock right"
            )
        if permit.expires_at is None or now > permit.expires_at:
            return Refused("permit_expired", f"the permit expired at {permit.expires_at}, it is {now}")
        if (halted := await self._trust.halted(connection, found.halts, permit)) is not None:
            return Refused(HALTED, halted)
        unfit = self._unfit(permit, now) or _stopped(found)
        return unfit or await _on_hold(connection, permit, found) or await self._released(connection, permit, found)

    async def _released(self, connection: AsyncConnection, permit: Permit, found: PermitUse) -> Refused | None:
        """A hold that was released, as the record has it, and nothing shows that it was."""
        named = _named(permit, found)
        standing = await self._trust.releases.standing(connection, named, permit.held_as)
        if not standing:
            return None
        known = (*await read_holds(connection, named, permit.held_as), *(item.hold for item in standing))
        against = unremedied(known, found.remedies)
        if not against:
            return None
        passing = any(item.passing for item in standing)
        return replace(_under(against[0]), passing=passing)

    def _unfit(self, permit: Permit, now: datetime) -> Refused | None:
        """Why an effect is not begun now, or not by this permit, or None."""
        if not permit.begins_in_time(now):
            message = f"it takes up to {permit.timeout_seconds} s and has to be over by {permit.over_by}, it is {now}"
            return Refused("window_too_short", message)
        if (permit.executor, permit.operation) in self._resolves and not permit.targets:
            message = f"executor {permit.executor} resolves {permit.operation}, and the permit names no target of it"
            return Refused("unresolved_permit", message)
        return None

    async def _unproven(self, connection: AsyncConnection, asked: Claimed) -> Refused | None:
        """Why the permits that would be acted on are not believed, or None."""
        undo = asked.undo if asked.permit.direction is Direction.do else None
        permits = (asked.permit,) if undo is None else (asked.permit, undo)
        try:
            await self._trust.check(connection, permits, asked.at)
        except PermitRefusedError as error:
            return Refused(error.code, str(error))
        return None


async def read_before(connection: AsyncConnection, permit: Permit) -> Before:
    """What the reports before a permit say that it needs; nothing is read where it needs nothing."""
    compares = permit.step > 1 and any(item.needs_baseline for item in permit.criteria)
    partly = permit.direction is Direction.undo and len(permit.places) > 1
    if not compares and not partly:
        return Before()
    records = (await read_issued(connection, permit.proposal_id, permit.revision)).records
    reports = {item.step: item.report for item in records if item.direction == "do" and item.report is not None}
    first, mine = reports.get(1), reports.get(permit.step)
    return Before(
        baselines=first.baselines if compares and first is not None else (),
        touched=mine.touched if partly and mine is not None else (),
    )


def _not_permitted(permit: Permit, found: PermitUse) -> Refused | None:
    """What a permit says that its proposal does not, or an undo of what a dry run cannot have done."""
    if permit.action_digest != found.action_digest:
        return Refused("action_digest_mismatch", f"the proposal is {found.action_digest}, not what was permitted")
    if permit.dry_run != found.dry_run:
        return Refused("dry_run_mismatch", f"dry_run of the proposal is {found.dry_run}, the permit says otherwise")
    if permit.dry_run and permit.direction is Direction.undo:
        return Refused("nothing_to_undo", "a dry run changed nothing")
    return None


def _stopped(found: PermitUse) -> Refused | None:
    """What has stopped the action of a forward permit since it was issued."""
    if found.taken_over is not None:
        return Refused(TAKEN_OVER, f"action {found.taken_over} takes over the reservation of this one")
    if found.stop is not None:
        return Refused(found.stop, f"the action was {found.stop}")
    if found.closed:
        return Refused("already_closed", "the action already has its result")
    return None


def _again(mine: Claimed, found: PermitUse, attempt: Attempt, *, tried: bool) -> Claimed | Reported | Refused:
    """The answer for a permit that was used before."""
    undo = mine.permit.direction is Direction.undo
    if found.use == "void":
        return Refused("void", "the permit is void: it was not claimed before its action ended")
    ours = found.attempt_token in attempt.tokens
    another = Refused("claimed_by_another", "another attempt claimed the permit and left no report", "unknown")
    if found.report is not None:
        return Reported(found.report, None if ours or undo else replace(another, message="another attempt claimed it"))
    if ours and undo:
        return mine
    if ours and tried:
        return replace(mine, at=found.used_at or mine.at)
    if ours:
        return Refused("claimed_already", "this attempt claimed the permit before and left no report", "unknown")
    return another


def _under(hold: HoldFact) -> Refused:
    return Refused(ON_HOLD, f"target {hold.target} is under hold: {hold.reason}")


async def _on_hold(connection: AsyncConnection, permit: Permit, found: PermitUse) -> Refused | None:
    """A hold on the target, or on an id under any other name, that the action does not remedy."""
    holds = await read_holds(connection, _named(permit, found), permit.held_as)
    against = unremedied(holds, found.remedies)
    return _under(against[0]) if against else None


def _named(permit: Permit, found: PermitUse) -> tuple[str, ...]:
    """The names under which a hold on what a permit is for may have been placed."""
    return (*((found.target,) if found.target is not None else ()), *permit.resolved)


async def _no_undo(connection: AsyncConnection, permit: Permit, *, stopped: bool, now: datetime) -> Refused | None:
    records = (await read_issued(connection, permit.proposal_id, permit.revision)).records
    refused = (await connection.execute(_closed_gates(permit))).scalar_one() > 0
    expired = (await connection.execute(_EXPIRED, _later(permit, now))).first() is not None
    spared = permit.judging is not None and permit.judging.spares(records, now)
    reasons = may_undo(permit.step, records, stopped=stopped, dispatch_refused=refused, expired=expired, spared=spared)
    if not reasons:
        return None
    forward = next((item for item in records if item.step == permit.step and item.direction == "do"), None)
    running = forward is not None and forward.use == "claimed" and forward.report is None
    unknown = any(item.step > permit.step and item.report and item.report.effect == "unknown" for item in records)
    unclaimed = any(item.step > permit.step and item.direction == "do" and item.use == "unused" for item in records)
    # The clock of whoever asks may be ahead of this one.
    judged = spared and permit.judging is not None and permit.judging.on_expiry == "compensate"
    waits = {"later_step_open": not unknown, "no_cause_to_undo": unclaimed or judged}.get(reasons[0].code, False)
    return Refused(reasons[0].code, reasons[0].message, passing=running or waits)


def _later(permit: Permit, now: datetime) -> dict[str, object]:
    return {"proposal_id": permit.proposal_id, "revision": permit.revision, "step": permit.step, "now": now}


async def _note(connection: AsyncConnection, permit: Permit, attempt: Attempt, refused: Refused, now: datetime) -> None:
    kept = (await connection.execute(_count(permit, EntryKind.claim_refused))).scalar_one()
    if kept >= REFUSALS_KEPT:
        return
    content = {
        "permit_id": permit.permit_id,
        "step": permit.step,
        "direction": str(permit.direction),
        "code": refused.code,
        "message": refused.message,
        "attempt_token": attempt.token,
        "run_id": attempt.run_id,
        "used_by": attempt.worker,
    }
    ledger = Ledger(connection, permit.proposal_id, now)
    await ledger.append(EntryKind.claim_refused, content, permit.permit_id, attempt.token)


def _closed_gates(permit: Permit) -> Select[int]:
    """How often the gate was closed for a later step; who asked out of turn has another entry and caused nothing."""
    later = range(permit.step + 1, MAX_STEPS + 1)
    ids = [UUID(entry_id(permit.proposal_id, EntryKind.dispatch_refused, permit.revision, step)) for step in later]
    return select(func.count()).where(_ENTRY.entry_id.in_(ids))


def _count(permit: Permit, kind: EntryKind) -> Select[int]:
    return select(func.count()).where(_ENTRY.proposal_id == permit.proposal_id, _ENTRY.kind == str(kind))
