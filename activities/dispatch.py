"""The permit role: the only one that can issue, and only when the gate holds at that moment.

The request names a proposal, a revision and a step. Where executors say what a step touches, they have to have said it
since the step before ended; else the answer asks for that, once, and nothing is refused yet. Everything else is read
here: proposal, revision, votes and what people signed for them, the directory and policy in force today, holds, stops,
earlier steps. The gate (`policy/gate.py`) is asked again, and its inputs are kept in the entry, so that anybody can ask
it once more.

At the commit, what is true: the forward permit, the undo permit, their signatures, the reservation of what they touch
and the entry that says what is about to happen are all durable, or none of them is. Where others have what it needs, it
has a place in the row instead, and the answer says when to ask again (`activities/reserving.py`). Issuing again gives
the same permit. Where the record is behind the copy outside of it (`activities/anchored.py`), an open gate issues
nothing, and no permit is given again. Where people can
cure what closed the gate, the answer says so; the control role then measures by itself and decides whether they are
asked (`activities/remeasuring.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.anchored import Anchored
from activities.cases import CaseFile, read_case
from activities.clock import Clock, differs
from activities.database import Database, lock_key
from activities.documents import Documents, InForce
from activities.halt_proofs import Releases as HaltReleases
from activities.ledger import Ledger
from activities.observing import is_capped
from activities.permit_signing import PermitSigner
from activities.permits import Issued, read_issued, store_permits
from activities.proving import Prover
from activities.releases import Releases
from activities.reproving import unfounded_escalations, unproven_votes
from activities.reserving import asks_again_at, reserve, take_over
from activities.resolutions import fresh_resolution
from activities.reviews import open_review
from activities.starting import gather
from policy.anchoring import Behind, reasons_of
from policy.approval.counting import assurance_at_dispatch
from policy.base import Reason, RecordModel
from policy.facts import Facts
from policy.gate import (
    HALTED,
    DispatchInputs,
    curable,
    may_dispatch,
    only_halted,
    out_of_turn,
    stopped_by_others,
)
from policy.gate_inputs import gate_inputs
from policy.halting import halts_on, said_of
from policy.issuing import issue
from policy.ledger import EntryKind, EntryRef
from policy.outcome import StepRecord
from policy.permit import Direction, Permit
from policy.proposal import ActionProposal
from policy.remedying import remedied
from policy.reserving import unreserved
from policy.resolving import asked_of, carried, ended_at
from policy.reviewing import review_of
from policy.revision import Revision
from policy.targets import TargetResolution
from workflows.messages import DispatchRequest, DispatchResult
from workflows.ports import PermitPort

# How often what has not begun asks whether a halt was released.
HALTED_PAUSE, TICK = timedelta(minutes=5), timedelta(seconds=1)
_TURN = text("SELECT pg_advisory_xact_lock(:key)")


class PermitActivities(PermitPort):
    """Issues permits against the record, as the permit or application role."""

    def __init__(
        self,
        database: Database,
        documents: Documents,
        clock: Clock,
        prover: Prover,
        signer: PermitSigner,
        anchored: Anchored,
    ) -> None:
        self._database = database
        self._documents = documents
        self._clock = clock
        self._prover = prover
        self._signer = signer
        self._anchored = anchored
        self._halt_releases = HaltReleases(documents)
        self._releases = Releases(documents, prover)

    @activity.defn(name="dispatch")
    async def dispatch(self, request: DispatchRequest) -> DispatchResult:
        return await self._prover.with_keys(lambda: self._dispatch(request))

    async def _dispatch(self, request: DispatchRequest) -> DispatchResult:
        async with self._anchored.issuing() as issuing, self._database.transaction(request.proposal_id) as connection:
            if await differs(self._clock, request.now):
                return DispatchResult(stale=True)
            ledger = Ledger(connection, request.proposal_id, request.now)
            file = await read_case(connection, request.proposal_id, ledger)
            if file is None or file.revision is None or file.revision.revision != request.revision:
                return _unknown(file, request)
            issued = await read_issued(connection, request.proposal_id, request.revision)
            behind = await issuing.behind(connection, request.proposal_id)
            if behind is None and (mine := issued.of_step(request.step)):
                await issuing.remember(connection, request.proposal_id, await ledger.head())
                return _result(mine, await ledger.head())
            in_force = await self._documents.in_force(connection)
            resolution = await _resolution(connection, file, issued.records, in_force, request)
            if resolution is None and not request.unresolved and _is_due(file) and _asks(file, in_force):
                return DispatchResult(resolve=True)
            await _take_turns(connection, file.proposal, file.revision, in_force)
            asked = _Asked(connection, ledger, request, file, in_force, issued, behind, resolution)
            result = await self._answer(asked)
            if result.permit_id is not None:
                await issuing.remember(connection, request.proposal_id, await ledger.head())
            return result

    async def _answer(self, asked: "_Asked") -> DispatchResult:
        """Ask the gate, and where it is open, whether there is room."""
        connection, request, file, in_force = asked.connection, asked.request, asked.file, asked.in_force
        facts = await gather(connection, file.received, in_force, request.now, resolution=asked.resolution)
        facts = await self._with_unshown(asked, facts)
        inputs = await self._inputs(asked, facts)
        kept = _kept(inputs, facts, in_force, asked.behind)
        reasons = may_dispatch(inputs) or reasons_of(kept)
        if only_halted(reasons) and request.step == 1:
            retry_at = min(request.now + HALTED_PAUSE, max(file.absolute_deadline, request.now) + TICK)
            return await _wait(asked, kept, retry_at, inputs.halted or HALTED)
        reserved = None if reasons else await reserve(connection, file, facts, in_force, request.step, request.now)
        if reserved is not None:
            kept["reserved"] = reserved.model_dump(mode="json")
            if reserved.waits and request.step == 1:
                await take_over(connection, asked.ledger, file, reserved, request.now)
                retry_at = asks_again_at(reserved, request.now, file.absolute_deadline)
                return await _wait(asked, kept, retry_at, reserved.says)
            reasons = unreserved(reserved, request.step)
        if reasons:
            return await _refuse(asked, inputs, kept, reasons)
        return await self._issue(asked, inputs, facts, kept)

    async def _with_unshown(self, asked: "_Asked", facts: Facts) -> Facts:
        """The facts with the holds whose release nothing shows.

        Raises:
            ApplicationError: nobody can say now, and there is time to ask again.
        """
        within = (*facts.resolved, *facts.objects)
        found = await self._releases.standing(asked.connection, (asked.file.proposal.target_ref,), within)
        if not found:
            return facts
        if any(item.passing for item in found) and asked.request.now <= asked.file.absolute_deadline:
            raise ApplicationError(found[0].hold.reason, type="Unverifiable")
        holds = (*facts.observed.holds, *(item.hold for item in found))
        revision = asked.file.revision
        if revision is not None and revision.evaluation.verdict.asks:
            # What people approved to remedy it was assessed by whoever took it for released: no more is said of it.
            let_through = remedied(holds, asked.file.proposal.remedies) - {one.hold_id for one in facts.observed.holds}
            holds = tuple(one for one in holds if one.hold_id not in let_through)
        return facts.model_copy(update={"observed": facts.observed.model_copy(update={"holds": holds})})

    async def _inputs(self, asked: "_Asked", facts: Facts) -> DispatchInputs:
        file, in_force, now = asked.file, asked.in_force, asked.request.now
        halts = halts_on(file.halts, facts.target_environment)
        assert file.revision is not None
        return gate_inputs(
            file.proposal,
            file.revision,
            step=asked.request.step,
            now=now,
            ballots=file.ballots,
            resolution=file.resolution,
            stop=file.stop,
            closed=file.result is not None,
            facts=facts,
            document=in_force.policy,
            directory=in_force.directory,
            records=asked.issued.records,
            permitted_revisions=asked.issued.others,
            events=file.events,
            unproven=await unproven_votes(asked.connection, file, self._prover, in_force.directory, now),
            unfounded=await unfounded_escalations(asked.connection, file, self._documents),
            halted=said_of(await self._halt_releases.in_force(asked.connection, halts)),
            taken_over=file.taken_over,
        )

    async def _issue(
        self, asked: "_Asked", inputs: DispatchInputs, facts: Facts, kept: dict[str, Any]
    ) -> DispatchResult:
        connection, ledger, file, request = asked.connection, asked.ledger, asked.file, asked.request
        assert file.revision is not None
        assert file.assessment_digest is not None
        permits = issue(
            file.proposal,
            file.revision,
            file.assessment_digest,
            step=request.step,
            now=request.now,
            document=asked.in_force.policy,
            assurance=assurance_at_dispatch(inputs, facts.proposed_with),
            until=inputs.permit_until_now,
            targets=facts.targets_of(request.step),
        )
        permits = await self._signer.signed(connection, permits, file, inputs, asked.in_force.directory)
        await store_permits(connection, permits)
        content = {**kept, "permits": _json(permits), **self._signer.kept(permits)}
        await ledger.append(EntryKind.dispatched, content, request.revision, request.step, new=True)
        if request.step == 1:
            await _owe_review(connection, ledger, file, request.now)
        return _result(permits, await ledger.head())


@dataclass(frozen=True)
class _Asked:
    """What a permit is asked for with, as the record has it under the proposal's lock."""

    connection: AsyncConnection
    ledger: Ledger
    request: DispatchRequest
    file: CaseFile
    in_force: InForce
    issued: Issued
    behind: Behind | None
    resolution: TargetResolution | None


async def _refuse(
    asked: _Asked, inputs: DispatchInputs, kept: dict[str, Any], reasons: tuple[Reason, ...]
) -> DispatchResult:
    """The gate is closed, or there is no room; what has begun and is halted goes by the verb for a stop."""
    content = {**kept, "reasons": _json(reasons)}
    await asked.ledger.append(EntryKind.dispatch_refused, content, *refusal_key(asked.request, reasons))
    return DispatchResult(
        reasons=reasons,
        curable=curable(inputs, reasons),
        entry=await asked.ledger.head(),
        halted=asked.request.step > 1 and stopped_by_others(reasons),
    )


async def _wait(asked: _Asked, kept: dict[str, Any], retry_at: datetime, waits_for: str) -> DispatchResult:
    """It waits: noted once, answered with when to ask again."""
    await asked.ledger.append(EntryKind.queued, kept, asked.request.revision)
    entry = await asked.ledger.head()
    return DispatchResult(retry_at=retry_at, waits_for=waits_for, entry=entry)


def _is_due(file: CaseFile) -> bool:
    """Whether a permit may be asked for at all; where not, that is refused and goes on record."""
    return file.resolution == "approved" and file.stop is None and file.result is None


def _asks(file: CaseFile, in_force: InForce) -> bool:
    """Whether executors have to say what it touches."""
    return bool(asked_of(file.proposal, in_force.operations, in_force.catalog))


async def _resolution(
    connection: AsyncConnection,
    file: CaseFile,
    records: Sequence[StepRecord],
    in_force: InForce,
    request: DispatchRequest,
) -> TargetResolution | None:
    """What the executors found since the last step ended; of the steps before this one, what was approved."""
    if not _asks(file, in_force):
        return None
    found = await fresh_resolution(connection, file.received.action_digest, request.now, ended_at(records))
    if found is None or file.revision is None:
        return None
    return carried(found, file.revision.facts.observed.resolution, request.step)


async def _take_turns(
    connection: AsyncConnection, proposal: ActionProposal, revision: Revision, in_force: InForce
) -> None:
    """Where effects an hour or broken glasses are limited, each permit is counted before the next one is asked for."""
    if proposal.dry_run:
        return
    if is_capped(proposal, in_force):
        await connection.execute(_TURN, {"key": lock_key("effects an hour")})
    if (glass := revision.evaluation.break_glass) is not None:
        await connection.execute(_TURN, {"key": lock_key(f"break-glass {glass}")})


def _unknown(file: CaseFile | None, request: DispatchRequest) -> DispatchResult:
    """The answer about a revision that does not act. Where another one is open by now, the workflow goes on with it."""
    message = f"revision {request.revision} of proposal {request.proposal_id} is not open"
    newer = file is not None and file.revision is not None and file.revision.revision > request.revision
    return DispatchResult(reasons=(Reason(code="unknown_request", message=message),), curable=newer)


async def _owe_review(connection: AsyncConnection, ledger: Ledger, file: CaseFile, now: datetime) -> None:
    """What breaks a glass is never without its review: it is owed from the first permit on."""
    assert file.revision is not None
    assert file.assessment_digest is not None
    if (review := review_of(file.proposal, file.revision, file.assessment_digest, now)) is not None:
        await open_review(connection, ledger, review)


def refusal_key(request: DispatchRequest, reasons: tuple[Reason, ...]) -> tuple[object, ...]:
    """What makes a refusal the only one of its kind: whoever asks out of turn cannot take the place of a real one."""
    return (request.revision, request.step, *(("out_of_turn",) if out_of_turn(reasons) else ()))


def _kept(inputs: DispatchInputs, facts: Facts, in_force: InForce, behind: Behind | None) -> dict[str, Any]:
    """What the entry keeps: the gate's inputs, what today's verdict was computed from, how the record is behind."""
    kept = {"behind": behind.model_dump(mode="json")} if behind is not None else {}
    return {
        **kept,
        "inputs": inputs.model_dump(mode="json"),
        "documents": in_force.digests.model_dump(mode="json"),
        "observed": facts.observed.model_dump(mode="json"),
    }


def _result(permits: Sequence[Permit], entry: EntryRef | None) -> DispatchResult:
    ids = {permit.direction: permit.permit_id for permit in permits}
    return DispatchResult(permit_id=ids.get(Direction.do), undo_permit_id=ids.get(Direction.undo), entry=entry)


def _json(items: Sequence[RecordModel]) -> list[dict[str, Any]]:
    return [item.model_dump(mode="json") for item in items]
