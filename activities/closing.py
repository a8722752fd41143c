"""Final facts: the resolution, the stop and the result of a proposal, each written once.

They are rows unique by proposal id (and revision), never by run. Whoever comes second reads what the first one wrote.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.cases import CaseFile
from activities.item_rows import open_unresolved
from activities.ledger import Ledger
from activities.observing import history_of
from activities.outbox import about_case, tell
from activities.permits import resolved_digest
from activities.tables import HoldReleaseRow, HoldRow, ResultRow, StopRow
from policy.approval.counting import assurance_of, counting
from policy.approval.standing import ApprovalCase
from policy.base import Reason, instant_text
from policy.canonical import canonical, digest
from policy.ledger import EntryKind
from policy.notices import occasions
from policy.outcome import Outcome, StepRecord
from policy.permit import entry_id
from policy.proofs import Assurance
from policy.remedying import remedied
from policy.result import ActionResult, DecidedBy, Offer, ResultResolution, Timings, next_action

_STOP = insert_once(StopRow).on_conflict_do_nothing()
_FINISH = insert(ResultRow)


async def stop(
    connection: AsyncConnection, proposal_id: str, kind: str, actor: str, at: datetime, why: str | None = None
) -> None:
    """Write that an action is stopped, unless it is; `why` is what a revocation says."""
    said = {"why": why} if why is not None else {}
    body = canonical({"proposal_id": proposal_id, "kind": kind, "actor": actor, "at": instant_text(at), **said})
    row = {"proposal_id": proposal_id, "kind": kind, "actor": actor, "body": body, "digest": digest(body)}
    await connection.execute(_STOP, {**row, "stopped_at": at})


async def finish(
    connection: AsyncConnection,
    ledger: Ledger,
    file: CaseFile,
    *,
    resolution: ResultResolution,
    outcome: Outcome,
    reasons: tuple[Reason, ...],
    at: datetime,
    records: tuple[StepRecord, ...] = (),
    dispatched_at: datetime | None = None,
    offer: Offer | None = None,
) -> ActionResult:
    """Write the result of a proposal, with a hold where a person has to look, and the entry that says so."""
    result = make_result(
        file, resolution=resolution, outcome=outcome, reasons=reasons, at=at, dispatched_at=dispatched_at, offer=offer
    )
    body = canonical(result.model_dump(mode="json"))
    row = {"proposal_id": result.proposal_id, "body": body, "digest": digest(body)}
    history = history_of(file.proposal, file.revision, outcome)
    await connection.execute(_FINISH, {**row, "recorded_at": at, **history})
    # What somebody accepted needs nobody else to look.
    holds = outcome.needs_hold and file.accepted is None
    if holds:
        await _hold(connection, file, outcome, reasons, at)
        also = occasions.outcome(about_case(file), outcome, reasons, at) if file.revision else ()
        await tell(connection, file, None, None, at, also=also)
    if outcome is Outcome.succeeded and file.proposal.remedies is not None:
        await _release(connection, file, at)
    if file.taken_over is not None:
        await ledger.append(EntryKind.taken_over, {"by": file.taken_over, "outcome": str(outcome)}, file.taken_over)
    content: dict[str, Any] = {
        "records": [record.model_dump(mode="json") for record in records],
        "result": result.model_dump(mode="json"),
        "steps": len(file.proposal.steps),
    }
    if outcome is Outcome.compensation_failed:
        # What an earlier release recorded says less, and is computed again as it was.
        content["each_undo"] = True
    await ledger.append(EntryKind.recorded, content, "result", new=True)
    if holds:
        await open_unresolved(connection, ledger, file, outcome, at)
    return result


def make_result(
    file: CaseFile,
    *,
    resolution: ResultResolution,
    outcome: Outcome,
    reasons: tuple[Reason, ...],
    at: datetime,
    dispatched_at: datetime | None = None,
    see: str | None = None,
    offer: Offer | None = None,
) -> ActionResult:
    """Put a result together from the record."""
    revision = file.revision
    return ActionResult(
        proposal_id=file.proposal.proposal_id,
        revision=revision.revision if revision else 1,
        action_digest=file.received.action_digest,
        resolution=resolution,
        outcome=outcome,
        next_action=next_action(resolution, outcome, reasons, see, offered=offer is not None),
        reasons=reasons,
        verdict=revision.evaluation.verdict if revision else None,
        risk_tier=revision.assessment.risk_tier if revision else None,
        risk_score=revision.assessment.risk_score if revision else None,
        assurance=_rests_on(file),
        decided_by=_decided_by(file),
        assessment_digest=file.assessment_digest,
        policy_digest=revision.documents.policy if revision else None,
        resolved_digest=resolved_digest(revision.facts.resolved) if revision else None,
        timings=Timings(
            proposed_at=file.registered_at, resolved_at=file.resolved_at, dispatched_at=dispatched_at, finished_at=at
        ),
        dry_run=file.proposal.dry_run,
        see=see,
        offered=offer,
    )


def _decided_by(file: CaseFile) -> tuple[DecidedBy, ...]:
    if file.revision is None:
        return ()
    if file.case is None:
        rule = file.revision.evaluation.decided_by
        return (DecidedBy(person_id=None, vote=str(file.revision.evaluation.verdict), rule=rule),) if rule else ()
    return tuple(
        DecidedBy(
            person_id=ballot.person_id,
            stage=ballot.stage,
            vote=str(ballot.vote),
            at=ballot.received_at,
            assurance=ballot.assurance,
        )
        for ballot in counting(file.case, _resolved_at(file, file.case))
    )


def _rests_on(file: CaseFile) -> Assurance:
    """The lowest assurance of those whose word it is: of who approved, or where nobody was asked, of who proposed."""
    if file.revision is None:
        return Assurance.claimed
    proposed = file.revision.facts.proposed_with
    return proposed if file.case is None else assurance_of(file.case, _resolved_at(file, file.case), proposed)


def _resolved_at(file: CaseFile, case: ApprovalCase) -> datetime:
    return file.resolved_at or case.opened_at


async def _hold(
    connection: AsyncConnection, file: CaseFile, outcome: Outcome, reasons: tuple[Reason, ...], at: datetime
) -> None:
    target, owner = file.proposal.target_ref, (file.revision.facts.target_owner if file.revision else None) or "nobody"
    reason = f"{outcome}: {'; '.join(item.message for item in reasons)}"[:500]
    row = {"target": target, "proposal_id": file.proposal.proposal_id, "reason": reason, "owner": owner}
    facts = file.revision.facts if file.revision else None
    body = canonical({**row, "resolved": [*facts.resolved, *facts.objects] if facts is not None else []})
    hold_id = UUID(entry_id(file.proposal.proposal_id, "hold"))
    values = {**row, "body": body, "hold_id": hold_id, "digest": digest(body), "placed_at": at}
    await connection.execute(insert_once(HoldRow).values(**values).on_conflict_do_nothing())


async def _release(connection: AsyncConnection, file: CaseFile, at: datetime) -> None:
    """An approved action that named what it remedies has succeeded: the hold on its target ends."""
    by = file.proposal.proposal_id
    assert file.revision is not None
    through = remedied(file.revision.facts.holds, file.proposal.remedies)
    for hold in file.revision.facts.holds:
        if hold.hold_id not in through:
            continue
        body = canonical({"hold_id": hold.hold_id, "proposal_id": by, "released_by": "remedy", "at": instant_text(at)})
        row = {"hold_id": UUID(hold.hold_id), "proposal_id": by, "released_by": "remedy", "released_at": at}
        once = insert_once(HoldReleaseRow).values(**row, body=body, digest=digest(body)).on_conflict_do_nothing()
        await connection.execute(once)
