"""Whether a hold that the record has as released is, asked again by whoever issues permits and whoever claims them.

- Whoever keeps cases writes the releases; whoever lets something happen believes none of them. A release that nothing
  shows is none: the hold still stands, and says why.
- People released it: what is unresolved must be what the approved revision and its policy make of it, and what they
  said is read again, by the directory in force when they said it: whoever leaves later leaves no target held. What is
  older than the hold counts for nothing, and neither does what a key says that was revoked since: nobody knows who had
  it. What they said must settle the item.
- An action remedied it: people were asked for it and its permits were issued while the hold stood; it names what left
  the hold, or what was to remedy that; it acted on the same target; and by what its executor reported it succeeded.
- Where what the release says is not shown, any action serves that remedied it. So nothing is on hold for ever.
- What a person put on hold, two people release by what they signed (`activities/halt_proofs.py`); nothing remedies it.
  That is verified once in a process, also while a step runs.
- Permits and reports are believed as the record has them: control can write neither.
- Only holds that were released are asked about. Where a target has none, that is one statement.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Text, bindparam, exists, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.cases import stored_proposal
from activities.clock import TOLERANCE
from activities.documents import Documents
from activities.held_targets import released_by_people
from activities.item_answers import ItemFile, ItemReading, read_item_answer, with_said
from activities.item_rows import read_repair
from activities.permits import PermitError, read_issued
from activities.proving import Prover
from activities.tables import AssessmentRow, HoldReleaseRow, HoldRow, PermitRow, ProposalRow
from activities.tables_items import ItemDecisionRow, UnresolvedRow
from policy.canonical import digest, parse_canonical
from policy.criteria import effective
from policy.decision import Refusal, receive_decision
from policy.errors import CountersignError
from policy.items import Item, made_of, settled, unresolved_item
from policy.observed import HoldFact
from policy.outcome import Outcome, conclude
from policy.permit import Direction, Permit
from policy.proposal import ActionProposal
from policy.revision import Revision

_MOST_REPAIRS = 20
_HOLD = HoldRow.__table__.c  # type: ignore[attr-defined]
_RELEASE = HoldReleaseRow.__table__.c  # type: ignore[attr-defined]
_PROPOSAL = ProposalRow.__table__.c  # type: ignore[attr-defined]
_ASSESSMENT = AssessmentRow.__table__.c  # type: ignore[attr-defined]
_PERMIT = PermitRow.__table__.c  # type: ignore[attr-defined]
_ITEM = UnresolvedRow.__table__.c  # type: ignore[attr-defined]
_SAID = ItemDecisionRow.__table__.c  # type: ignore[attr-defined]
_RESOLVED = func.convert_from(_HOLD.body, "UTF8").cast(JSONB)["resolved"]
_REMEDIES = func.convert_from(_PROPOSAL.body, "UTF8").cast(JSONB)["remedies"].astext
_EVERY = (
    select(
        *(_HOLD[name] for name in ("hold_id", "target", "proposal_id", "reason", "placed_at", "body")),
        _RELEASE.released_by,
        _RELEASE.proposal_id.label("repair"),
        _REMEDIES.label("remedies"),
    )
    .join(HoldReleaseRow, _RELEASE.hold_id == _HOLD.hold_id)
    .outerjoin(ProposalRow, _PROPOSAL.proposal_id == _HOLD.proposal_id)
)
_RELEASED = _EVERY.where(
    or_(
        _HOLD.target == func.any(bindparam("targets", type_=ARRAY(Text))),
        func.jsonb_exists_any(_RESOLVED, bindparam("resolved", type_=ARRAY(Text))),
    )
).order_by(_HOLD.placed_at)
_NEWEST = _EVERY.order_by(_HOLD.placed_at.desc()).limit(bindparam("most"))
_APPROVED = (
    select(_PERMIT.revision, _PROPOSAL.body, _ASSESSMENT.body.label("assessed"))
    .join(ProposalRow, _PROPOSAL.proposal_id == _PERMIT.proposal_id)
    .join(
        AssessmentRow,
        (_ASSESSMENT.proposal_id == _PERMIT.proposal_id) & (_ASSESSMENT.revision == _PERMIT.revision),
    )
    .where(_PERMIT.proposal_id == bindparam("proposal_id"), _PERMIT.direction == str(Direction.do))
    .order_by(_PERMIT.revision.desc())
    .limit(1)
)
_STATEMENTS = (
    select(_SAID.body, _SAID.received_at)
    .where(_SAID.item_id == bindparam("item_id"), _SAID.counted)
    .order_by(_SAID.received_at, _SAID.arrival)
)
_UNRESOLVED = select(_ITEM.body).where(_ITEM.proposal_id == bindparam("proposal_id"))
_REPAIRS = (
    select(_PROPOSAL.proposal_id)
    .where(
        bindparam("named") == _REMEDIES,
        _PROPOSAL.absolute_deadline >= bindparam("since"),
        exists().where(_PERMIT.proposal_id == _PROPOSAL.proposal_id),
    )
    .order_by(_PROPOSAL.registered_at)
    .limit(_MOST_REPAIRS)
)


class Released(NamedTuple):
    """A hold that the record has as released: `by` what, and by the action `repair` where it names one.

    `halt_id` is the halt of a target that it goes with, where a person placed it.
    """

    hold: HoldFact
    resolved: tuple[str, ...]
    placed_at: datetime
    by: str
    repair: str | None
    halt_id: str | None = None


class Standing(NamedTuple):
    """A hold that stands although a release is on record, placed at an instant (UTC); `halt_id` is that of a person's.

    `passing`: nobody could say just now whose a proof is.
    """

    hold: HoldFact
    passing: bool
    placed_at: datetime
    halt_id: str | None


class _UnshownError(Exception):
    """A release is not shown, and why."""

    def __init__(self, why: str, *, passing: bool = False) -> None:
        super().__init__(why)
        self.passing = passing


@dataclass(frozen=True)
class _Approved:
    """An action for which permits were issued, as they say that it was approved."""

    proposal: ActionProposal
    revision: Revision
    assessment_digest: str
    permits: tuple[Permit, ...]
    succeeded: bool


async def read_released(
    connection: AsyncConnection, targets: Sequence[str], resolved: Sequence[str]
) -> tuple[Released, ...]:
    """The holds on targets that have a release, the oldest first; parameters as of `activities.cases.read_holds`."""
    rows = await connection.execute(_RELEASED, {"targets": list(targets), "resolved": list(resolved)})
    return tuple(_released(row) for row in rows)


def _released(row: Any) -> Released:
    body = parse_canonical(row.body)
    return Released(
        hold=HoldFact(
            hold_id=str(row.hold_id),
            target=row.target,
            proposal_id=row.proposal_id,
            reason=row.reason,
            remedies=row.remedies,
        ),
        resolved=tuple(body.get("resolved", ())),
        placed_at=row.placed_at,
        by=row.released_by,
        repair=row.repair,
        halt_id=body.get("halt_id"),
    )


class Releases:
    """Asks whether releases are shown.

    Args:
        documents: the governed documents.
        prover: verifies again who made a statement.
    """

    def __init__(self, documents: Documents, prover: Prover) -> None:
        self._documents = documents
        self._prover = prover
        self._proved: set[str] = set()

    async def standing(
        self, connection: AsyncConnection, targets: Sequence[str], resolved: Sequence[str]
    ) -> tuple[Standing, ...]:
        """The holds on targets that have a release which nothing shows.

        Raises:
            KeysWantedError: keys of an issuer must be fetched first.
        """
        return await self._standing(connection, await read_released(connection, targets, resolved))

    async def standing_of_people(
        self, connection: AsyncConnection, targets: Sequence[str], resolved: Sequence[str]
    ) -> tuple[Standing, ...]:
        """The same of what people placed alone: no issuer is asked, and what is proved is verified once."""
        every = await read_released(connection, targets, resolved)
        return await self._standing(connection, (one for one in every if one.hold.proposal_id is None))

    async def unshown(self, connection: AsyncConnection, most: int) -> tuple[tuple[Standing, ...], bool]:
        """Those of so many holds with a release, the newest of them, which nothing shows; and whether there are more.

        Raises:
            KeysWantedError: keys of an issuer must be fetched first.
        """
        rows = [_released(row) for row in await connection.execute(_NEWEST, {"most": most + 1})]
        return await self._standing(connection, rows[:most]), len(rows) > most

    async def _standing(self, connection: AsyncConnection, every: Iterable[Released]) -> tuple[Standing, ...]:
        found = []
        for released in every:
            try:
                await self._shown(connection, released)
            except _UnshownError as error:
                reason = f"{released.hold.reason}; its release is not shown: {error}"
                hold = released.hold.model_copy(update={"reason": reason})
                found.append(Standing(hold, error.passing, released.placed_at, released.halt_id))
        return tuple(found)

    async def _shown(self, connection: AsyncConnection, released: Released) -> None:
        if released.hold.proposal_id is None:
            await self._as_signed(connection, released)
            return
        try:
            await self._as_said(connection, released, released.hold.proposal_id)
        except _UnshownError:
            if not await _remedied_by_any(connection, released):
                raise

    async def _as_signed(self, connection: AsyncConnection, released: Released) -> None:
        """Whether two people released what a person had placed. What was proved once stays so."""
        name, halt_id = released.hold.hold_id, released.halt_id
        if name in self._proved:
            return
        if halt_id is None:
            raise _UnshownError("no action left it, so nothing shows who may end it")
        why = await released_by_people(connection, self._documents, name, released.hold.target, halt_id)
        if why is not None:
            raise _UnshownError(why)
        self._proved.add(name)

    async def _as_said(self, connection: AsyncConnection, released: Released, proposal_id: str) -> None:
        """Whether a hold that an action left ended as its release says."""
        if released.by == "item":
            await self._by_people(connection, released, proposal_id)
        elif released.by == "remedy" and released.repair is not None:
            await _remedied(connection, released, released.repair)
        else:
            raise _UnshownError(f"released by {released.by}, which is nobody")

    async def _by_people(self, connection: AsyncConnection, released: Released, proposal_id: str) -> None:
        """Whether people settled what is unresolved of an action."""
        (item, kept_out), at = await self._item(connection, proposal_id), released.placed_at
        file, why = ItemFile(item), "people have not settled what is unresolved"
        for row in (await connection.execute(_STATEMENTS, {"item_id": item.item_id})).all():
            if row.received_at < at:
                continue
            reading = await self._read(connection, file, row.body, row.received_at)
            if reading.refusal is not None:
                why = f"a statement about it does not hold: {reading.refusal[1]}"
                if reading.refusal[0] is Refusal.unverifiable:
                    raise _UnshownError(why, passing=True)
            if reading.person is not None and reading.person.person_id in kept_out:
                continue
            file = with_said(file, reading)
            if settled(item, file.said, row.received_at) is not None:
                return
        raise _UnshownError(why)

    async def _item(self, connection: AsyncConnection, proposal_id: str) -> tuple[Item, tuple[str, ...]]:
        """What is unresolved of an action, where the record has what its approval makes of it, and who is kept out of
        it by today's rules, though an earlier release took their word.
        """
        action = await _approved(connection, proposal_id)
        body = await connection.scalar(_UNRESOLVED, {"proposal_id": proposal_id})
        if body is None:
            raise _UnshownError("nothing is on record that people could have settled")
        try:
            stored = Item.model_validate_json(body)
            policy = await self._documents.policy_by_digest(connection, action.revision.documents.policy)
            real = unresolved_item(
                action.proposal,
                action.revision,
                action.assessment_digest,
                policy,
                outcome=stored.outcome,
                at=stored.opened_at,
            )
        except (CountersignError, ValueError) as error:
            raise _UnshownError(f"what is unresolved cannot be read: {error!s:.200}") from None
        if real is None or not made_of(stored, real, action.revision):
            raise _UnshownError("what was unresolved is not what the approved revision makes of it")
        return stored, real.people

    async def _read(self, connection: AsyncConnection, file: ItemFile, body: bytes, at: datetime) -> ItemReading:
        """Read a statement again as of the instant (UTC) at which it was first seen."""
        try:
            value = parse_canonical(body)
            submission = receive_decision(value)
        except CountersignError as error:
            raise _UnshownError(f"a statement about it is malformed: {error!s:.200}") from None
        today = await self._documents.directory_in_force(connection)
        says_now = await self._prover.decided(value, submission, today, at) if today is not None else None
        repair = await read_repair(connection, submission.repaired_by)
        first: ItemReading | None = None
        for directory in await self._documents.directories_at(connection, at, at - TOLERANCE):
            said_by = await self._prover.decided(value, submission, directory, at)
            if isinstance(says_now, tuple) and says_now[0] is Refusal.revoked_key:
                said_by = says_now
            reading = read_item_answer(file, submission, said_by, directory, repair, at)
            if reading.counts:
                return reading
            # What the directory of that instant refuses is refused, whatever an earlier one could not say.
            first = first or reading
        return first or ItemReading(person=None, refusal=(Refusal.unknown_person, "no directory was in force then"))


async def _remedied_by_any(connection: AsyncConnection, released: Released) -> bool:
    """Whether some action that names what left the hold has remedied it."""
    wanted = {"named": released.hold.proposal_id, "since": released.placed_at}
    for name in (await connection.scalars(_REPAIRS, wanted)).all():
        try:
            await _remedied(connection, released, name)
        except _UnshownError:
            continue
        return True
    return False


async def _remedied(connection: AsyncConnection, released: Released, by: str) -> None:
    """Whether an action remedied what left a hold."""
    action = await _approved(connection, by)
    if action.proposal.dry_run or not action.succeeded:
        raise _UnshownError(f"by what its executor reported, action {by} has not succeeded")
    if not action.revision.evaluation.verdict.asks:
        raise _UnshownError(f"nobody was asked for action {by}")
    if min(permit.issued_at for permit in action.permits) < released.placed_at - TOLERANCE:
        raise _UnshownError(f"action {by} began before there was anything to remedy")
    ids = {name for permit in action.permits for name in permit.held_as}
    if released.hold.target not in (action.proposal.target_ref, *ids) and not ids & set(released.resolved):
        raise _UnshownError(f"action {by} acted on {action.proposal.target_ref}")
    named, seen = action.proposal.remedies, {by}
    while named != released.hold.proposal_id:
        if named is None or named in seen:
            raise _UnshownError(f"action {by} does not remedy it")
        seen.add(named)
        named = (await _approved(connection, named)).proposal.remedies


async def _approved(connection: AsyncConnection, proposal_id: str) -> _Approved:
    """An action as its permits say that it was approved."""
    row = (await connection.execute(_APPROVED, {"proposal_id": proposal_id})).first()
    if row is None:
        raise _UnshownError(f"no permit of action {proposal_id} is on record")
    issued = await read_issued(connection, proposal_id, row.revision)
    action, assessment = digest(row.body), digest(row.assessed)
    try:
        proposal = stored_proposal(row.body, action).proposal
        permits = tuple(permit for step in range(1, len(proposal.steps) + 1) for permit in issued.of_step(step))
        revision = Revision.model_validate_json(row.assessed)
    except (CountersignError, PermitError, ValueError) as error:
        raise _UnshownError(f"action {proposal_id} cannot be read: {error!s:.200}") from None
    if not permits or any((one.action_digest, one.assessment_digest) != (action, assessment) for one in permits):
        raise _UnshownError(f"action {proposal_id} is not what its permits were issued for")
    outcome, _ = conclude(
        issued.records,
        len(proposal.steps),
        stopped_to_ask=False,
        criteria=len(effective(proposal, revision.facts.operations)),
        dry_run=proposal.dry_run,
    )
    return _Approved(proposal, revision, assessment, permits, outcome is Outcome.succeeded)
