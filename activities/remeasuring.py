"""Measuring an action again while people are asked, and asking them anew where it is not what they were asked about.

- What was found is compared with the revision that people vote on (`policy/approval/drift.py`), under the policy in
  force. Nothing new: nothing is written. Nothing material: an entry and an event, votes stay. Material: the next
  revision, sealed, with what changed and whose votes are void. Vanished: the case ends as withdrawn.
- Where executors say what it would touch, it is measured by what they said lately, and not at all where they did not:
  that nobody answers is no news of the target.
- One measurement counts in each slot of the policy's `min_interval`; none while the case is held.
- At dispatch people are asked again only where that can cure what closed the gate and no permit was ever issued. Votes
  are kept where nothing but the standing of who voted was lost.
- After `max_voids` voids a revision opens held. The absolute deadline is that of the first revision.

All of it happens under the proposal's lock; the database refuses a revision after a permit besides.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.advancing import standing_of
from activities.cases import KEPT, CaseFile, read_case
from activities.documents import InForce
from activities.ledger import Ledger
from activities.outbox import about_case, tell
from activities.permits import read_issued
from activities.registering import note_assessed, store_resolution, store_revision
from activities.resolutions import fresh_resolution
from activities.starting import gather
from activities.tables import CaseEventRow, LedgerEntryRow
from policy.approval.ballot import CaseEvent
from policy.approval.cadence import next_slot
from policy.approval.drift import LAPSED, Drift, compare, effect_of, keep
from policy.approval.standing import Ballot, Standing
from policy.base import Reason, RecordModel
from policy.canonical import canonical, digest, parse_canonical
from policy.decision import Vote
from policy.document import Verdict
from policy.gate import DispatchInputs, case_of_today, curable, may_dispatch
from policy.gate_inputs import gate_inputs
from policy.ledger import EntryKind
from policy.notices.occasions import resolved
from policy.notices.occasions_told import superseded
from policy.permit import entry_id
from policy.reserving import HELD, crowded_reasons
from policy.resolving import asked_of
from policy.revision import Revision, Superseded, VoidedVote, assess_revision, revision_digest
from policy.rules.drifting import UNSAID
from policy.sealing import seal

VANISHED = "effect_vanished"
_REASON = 2000
_EVENT = insert(CaseEventRow)
_ENTRY = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]


async def remeasure(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, standing: Standing, in_force: InForce, now: datetime
) -> CaseFile:
    """Measure an open case again, and write what comes of it; the case as it is then."""
    base, rules = file.revision, in_force.policy.drift
    if base is None or rules is None or standing.held or now < not_before(file, base, rules.min_interval):
        return file
    measured = await _measure(connection, file, base, in_force, now)
    if measured is None:
        return file
    drift = compare(base, measured, rules)
    if drift.kind == "material":
        final = successor(file, measured, drift, max_voids=rules.max_voids)
        return await _open(connection, ledger, file, final, now)
    if drift.effect == newest_effect(file, base):
        return file
    await _note(connection, ledger, file, measured.model_copy(update={"revision": base.revision}), drift, now)
    return await read_case(connection, base.proposal_id) or file


async def ask_again(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, in_force: InForce, now: datetime
) -> CaseFile:
    """Ask people again after the gate closed, where that can cure it; the case as it is then."""
    base = file.revision
    if base is None or file.resolution != "approved" or file.stop is not None or file.result is not None:
        return file
    measured = await _measure(connection, file, base, in_force, now, await _crowded(connection, base))
    if measured is None:
        return file
    issued = await read_issued(connection, base.proposal_id, base.revision)
    inputs = gate_inputs(
        file.proposal,
        base,
        step=1,
        now=now,
        ballots=file.ballots,
        resolution=file.resolution,
        stop=file.stop,
        closed=False,
        facts=measured.facts,
        document=in_force.policy,
        directory=in_force.directory,
        records=issued.records,
        permitted_revisions=issued.others,
    )
    rules = in_force.policy.drift or UNSAID
    drift = compare(base, measured, rules)
    if drift.kind == "vanished" or not curable(inputs, closed_by(inputs, measured)):
        return file
    if drift.kind == "material":
        final = successor(file, measured, drift, max_voids=rules.max_voids)
        return await _open(connection, ledger, file, final, now)
    kept = kept_votes(measured, base, inputs)
    final = successor(file, measured, drift, max_voids=rules.max_voids, kept=kept)
    return await _open(connection, ledger, file, final, now, kept=kept)


def successor(
    file: CaseFile, measured: Revision, drift: Drift, *, max_voids: int, kept: tuple[Ballot, ...] | None = None
) -> Revision:
    """The revision that follows the one of a case; pure. `kept` is None where its votes are void."""
    base = file.revision
    assert base is not None
    assert file.assessment_digest is not None
    going_on = {ballot.decision_id for ballot in kept or ()}
    gone = [item for item in file.ballots if item.decision_id not in going_on]
    superseded = Superseded(
        revision=base.revision,
        digest=file.assessment_digest,
        rule=drift.rule if kept is None else LAPSED,
        changes=drift.changes if kept is None else (*_lost(gone), *drift.changes),
        voided=tuple(VoidedVote(decision_id=item.decision_id, person_id=item.person_id) for item in gone),
        kept=tuple(ballot.decision_id for ballot in kept or ()),
    )
    voids = base.voids + (kept is None)
    held = kept is None and voids >= max_voids and measured.evaluation.chain is not None
    return measured.model_copy(update={"superseded": superseded, "voids": voids, "held": held})


def _lost(gone: Sequence[Ballot]) -> tuple[str, ...]:
    """Whose approval does not count any more, as a sentence."""
    people = dict.fromkeys(item.person_id for item in gone if item.vote is Vote.approve)
    return (f"the approval of {', '.join(people)} does not count any more",) if people else ()


def kept_votes(measured: Revision, base: Revision, inputs: DispatchInputs) -> tuple[Ballot, ...]:
    """The votes of a revision that the next one keeps; pure. `inputs` are those of the gate that closed."""
    case = measured.case()
    assert case is not None
    return keep(case, case_of_today(inputs).ballots, base.revision)


def newest_effect(file: CaseFile, base: Revision) -> str:
    """What was compared when the case was measured last and something new was found, or when it opened."""
    known = [event.effect for event in file.events if event.kind == "remeasured" and event.effect]
    return known[-1] if known else effect_of(base)


def not_before(file: CaseFile, base: Revision, interval: timedelta) -> datetime:
    """From when on a measurement counts; pure."""
    known = [event.at for event in file.events if event.kind == "remeasured"]
    return next_slot(base.assessed_at, max((base.assessed_at, *known)), interval)


def closed_by(inputs: DispatchInputs, measured: Revision) -> tuple[Reason, ...]:
    """What closed the gate, or left no room behind it; pure."""
    return may_dispatch(inputs) or crowded_reasons(measured.facts)


async def _crowded(connection: AsyncConnection, base: Revision) -> tuple[str, ...]:
    """What the permit role found in the way when it refused the first step, where it refused for that."""
    key = UUID(entry_id(base.proposal_id, EntryKind.dispatch_refused, base.revision, 1))
    body = await connection.scalar(select(_ENTRY.body).where(_ENTRY.entry_id == key))
    refused = parse_canonical(body)["content"]["reasons"] if body is not None else ()
    return crowded_in(Reason.model_validate(item) for item in refused)


def crowded_in(refused: Iterable[Reason]) -> tuple[str, ...]:
    """What was in the way, of the reasons of a refusal; pure."""
    return tuple(item.message for item in refused if item.code == HELD)


async def _measure(
    connection: AsyncConnection,
    file: CaseFile,
    base: Revision,
    in_force: InForce,
    now: datetime,
    crowded: tuple[str, ...] = (),
) -> Revision | None:
    """What would be the next revision; None where the executors did not say lately what it would touch."""
    resolution = None
    if asked_of(file.proposal, in_force.operations, in_force.catalog):
        resolution = await fresh_resolution(connection, file.received.action_digest, now)
        if resolution is None:
            return None
    facts = await gather(connection, file.received, in_force, now, resolution=resolution)
    if crowded:
        seen = facts.observed.model_copy(update={"crowded": crowded})
        facts = facts.model_copy(update={"observed": seen})
    return assess_revision(
        file.received,
        facts,
        in_force.policy,
        in_force.digests,
        revision=base.revision + 1,
        assessed_at=now,
        absolute_deadline=base.absolute_deadline,
    )


async def _note(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, measured: Revision, drift: Drift, now: datetime
) -> None:
    """Write what was measured without a material change; a vanished effect ends the case."""
    assert file.revision is not None
    value = measured.value()
    found = revision_digest(canonical(value))
    event = event_of(file, drift, now)
    content = {
        "base": {"revision": file.revision.revision, "digest": file.assessment_digest},
        "digest": found,
        "revision": value,
        "drift": drift.model_dump(mode="json"),
    }
    await ledger.append(EntryKind.remeasured, content, file.revision.revision, found)
    await _store_event(connection, file.revision, found, event.kind, canonical(event.model_dump(mode="json")), event.at)
    if drift.kind == "vanished":
        base = file.revision
        reasons, standing = vanished_reasons(drift), standing_of(file, now)
        await store_resolution(connection, base.proposal_id, base.revision, "withdrawn", reasons, now)
        if standing is not None:
            also = resolved(about_case(file), standing, "withdrawn", reasons, now)
            await tell(connection, file, standing, standing, now, also=also)


def event_of(file: CaseFile, drift: Drift, now: datetime) -> CaseEvent:
    """What the case notes of a measurement, after everything that it noted before; pure."""
    case = file.case
    assert case is not None
    reason = "; ".join(drift.changes)[:_REASON] or "as it was assessed"
    return CaseEvent(kind="remeasured", at=case.after(now), stage=0, reason=reason, effect=drift.effect)


def vanished_reasons(drift: Drift) -> tuple[Reason, ...]:
    """Why a case ended whose effect is gone."""
    return (Reason(code=VANISHED, message=f"nothing is left to do: {'; '.join(drift.changes)}"),)


async def _open(
    connection: AsyncConnection,
    ledger: Ledger,
    file: CaseFile,
    final: Revision,
    now: datetime,
    *,
    kept: tuple[Ballot, ...] = (),
) -> CaseFile:
    """Store the next revision with its screen, what it keeps, and the entries that say so."""
    value = final.value()
    body = canonical(value)
    assessment_digest = revision_digest(body)
    sealed = seal(file.proposal, final, assessment_digest)
    denied = final.evaluation.verdict is Verdict.deny
    await store_revision(connection, final, body, sealed, resolution="denied" if denied else None)
    await note_assessed(ledger, final, assessment_digest, value, sealed)
    if final.superseded is not None and final.superseded.rule == LAPSED:
        content = votes_kept(final, assessment_digest, kept).model_dump(mode="json")
        await ledger.append(EntryKind.votes_kept, content, final.revision, new=True)
        await _store_event(connection, final, KEPT, KEPT, canonical({"ballots": content["ballots"]}), now)
    after = await read_case(connection, final.proposal_id) or file
    voters = tuple(dict.fromkeys(ballot.person_id for ballot in file.ballots))
    changes = "; ".join(final.superseded.changes if final.superseded else ())
    also = (superseded(about_case(after), voters, changes[:_REASON], now),) if voters else ()
    await tell(connection, after, None, standing_of(after, now), now, also=also)
    return after


class KeptVotes(RecordModel):
    """The content of the entry that says which votes a revision keeps."""

    revision: int
    old_digest: str
    new_digest: str
    rule: str
    decisions: tuple[str, ...]
    ballots: tuple[Ballot, ...]


def votes_kept(final: Revision, assessment_digest: str, kept: tuple[Ballot, ...]) -> KeptVotes:
    """Which votes a revision keeps, as the record has it; pure."""
    assert final.superseded is not None
    return KeptVotes(
        revision=final.revision,
        old_digest=final.superseded.digest,
        new_digest=assessment_digest,
        rule=final.superseded.rule,
        decisions=final.superseded.kept,
        ballots=kept,
    )


async def _store_event(
    connection: AsyncConnection, revision: Revision, key: str, kind: str, body: bytes, at: datetime
) -> None:
    row = {"proposal_id": revision.proposal_id, "revision": revision.revision, "key": key, "kind": kind, "body": body}
    await connection.execute(_EVENT, {**row, "digest": digest(body), "happened_at": at})
