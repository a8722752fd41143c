"""Permits, what became of them, and their reports: the record's rows as the types of `policy`.

1. A row is believed only where its columns, its body and their digest say the same: the body is what people approved,
   the columns are what the database keeps unique.
2. The signature stands beside them. It is verified where the permit is claimed (`activities/permit_trust.py`).
3. The id of a permit follows from what it is for; a permit under another id is no permit.
4. What is read here is read inside the caller's transaction, under the lock that the caller took.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Row, Select, Text, bindparam, insert, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.halts import HALTS, halts_in, taken_over_by
from activities.ledger import Ledger, head_of
from activities.tables import EffectReportRow, PermitRow, PermitUseRow, ProposalRow, ResultRow, StopRow
from policy.canonical import canonical, digest, digest_of
from policy.catalog import normalize
from policy.errors import CountersignError, explain
from policy.halting import HaltFact
from policy.outcome import EffectReport, StepRecord
from policy.permit import Direction, Permit, permit_id
from policy.proposal import StopVerb
from policy.targets import targets_digest

_PERMIT = PermitRow.__table__.c  # type: ignore[attr-defined]
_USE = PermitUseRow.__table__.c  # type: ignore[attr-defined]
_REPORT = EffectReportRow.__table__.c  # type: ignore[attr-defined]
_PROPOSAL = ProposalRow.__table__.c  # type: ignore[attr-defined]
_STOP = StopRow.__table__.c  # type: ignore[attr-defined]
_RESULT = ResultRow.__table__.c  # type: ignore[attr-defined]

_PERMITS: Select[Any] = select(
    _PERMIT.permit_id,
    _PERMIT.proposal_id,
    _PERMIT.revision,
    _PERMIT.step,
    _PERMIT.direction,
    _PERMIT.action_digest,
    _PERMIT.body,
    _PERMIT.digest,
    _PERMIT.expires_at,
    _PERMIT.signed,
)
_STEP = (_PERMIT.proposal_id, _PERMIT.revision, _PERMIT.step)
_OF_ONE_STEP = _PERMITS.where(
    tuple_(*_STEP) == select(*_STEP).where(_PERMIT.permit_id == bindparam("permit_id")).scalar_subquery()
)
_ISSUED = (
    _PERMITS.add_columns(_PERMIT.issued_at, _USE.use, _USE.used_at, _REPORT.body.label("report"))
    .select_from(PermitRow)
    .outerjoin(PermitUseRow, _USE.permit_id == _PERMIT.permit_id)
    .outerjoin(EffectReportRow, _REPORT.permit_id == _PERMIT.permit_id)
    .where(_PERMIT.proposal_id == bindparam("proposal_id"))
    .order_by(_PERMIT.step, _PERMIT.direction)
)
_HEAD = head_of(bindparam("proposal_id", type_=Text))
_STATE = (
    select(
        _PROPOSAL.action_digest,
        _USE.use,
        _USE.attempt_token,
        _USE.used_at,
        _REPORT.body,
        _STOP.kind,
        _PROPOSAL.body.label("proposal"),
        _RESULT.proposal_id.label("closed"),
        _HEAD.c.position,
        _HEAD.c.digest.label("head"),
        HALTS.label("halts"),
        taken_over_by(_PROPOSAL.proposal_id).label("taken_over"),
    )
    .select_from(ProposalRow)
    .outerjoin(PermitUseRow, _USE.permit_id == bindparam("permit_id"))
    .outerjoin(EffectReportRow, _REPORT.permit_id == bindparam("permit_id"))
    .outerjoin(StopRow, _STOP.proposal_id == _PROPOSAL.proposal_id)
    .outerjoin(ResultRow, _RESULT.proposal_id == _PROPOSAL.proposal_id)
    .outerjoin(_HEAD, true())
    .where(_PROPOSAL.proposal_id == bindparam("proposal_id"))
)
_ISSUE = insert(PermitRow)
_USE_ONCE = insert(PermitUseRow)


@dataclass(frozen=True)
class Issued:
    """The permits of a revision as the record has them, by step and direction, with their uses and reports.

    `others` are the other revisions of which a permit was issued.
    """

    rows: Sequence[Row[Any]]
    others: tuple[int, ...] = ()

    @property
    def records(self) -> tuple[StepRecord, ...]:
        """What became of every permit, as `policy.outcome` and `policy.gate` ask for it."""
        return tuple(_record(row) for row in self.rows)

    @property
    def unused_until(self) -> datetime | None:
        """When the last forward permit that nobody used expires; None without any."""
        return max((row.expires_at for row in self.rows if row.use is None and row.expires_at), default=None)

    def of_step(self, step: int) -> tuple[Permit, ...]:
        """The permits of one step.

        Raises:
            PermitError: a row does not hold together.
        """
        return tuple(read_permit(row) for row in self.rows if row.step == step)


class PermitError(CountersignError):
    """What the record holds as a permit is none."""


@dataclass(frozen=True)
class PermitUse:
    """What the record has of one permit at one instant, and of its proposal what can forbid its use.

    `halts` are all that there ever were, those with a release too.
    """

    use: Literal["unused", "void", "claimed"]
    attempt_token: str | None
    used_at: datetime | None
    report: EffectReport | None
    action_digest: str
    stop: str | None
    undone_when_stopped: bool
    closed: bool
    target: str | None = None
    remedies: str | None = None
    dry_run: bool = False
    halts: tuple[HaltFact, ...] = ()
    taken_over: str | None = None


def resolved_digest(resolved: Sequence[str]) -> str:
    """The digest that a permit carries of the ids it is for."""
    return digest_of(list(resolved))


async def store_permits(connection: AsyncConnection, permits: Sequence[Permit]) -> None:
    """Insert permits with their signatures; the database refuses a second one for the same step and direction."""
    await connection.execute(_ISSUE, [_permit_row(permit) for permit in permits])


def _permit_row(permit: Permit) -> dict[str, Any]:
    body = canonical(permit.model_dump(mode="json"))
    return {
        "permit_id": UUID(permit.permit_id),
        "proposal_id": permit.proposal_id,
        "revision": permit.revision,
        "step": permit.step,
        "direction": str(permit.direction),
        "action_digest": permit.action_digest,
        "body": body,
        "digest": digest(body),
        "issued_at": permit.issued_at,
        "expires_at": permit.expires_at,
        "signed": permit.signed,
    }


async def store_claim(connection: AsyncConnection, claim: Mapping[str, Any]) -> None:
    """Insert what `claim_row` made; the database refuses a second use of a permit."""
    await connection.execute(_USE_ONCE, claim)


async def step_permits(connection: AsyncConnection, wanted: str) -> tuple[Permit | None, Permit | None]:
    """The permit with that id, and the permit of the same step in the other direction, where the record has them.

    Raises:
        PermitError: a row does not hold together.
    """
    try:
        key = UUID(wanted)
    except ValueError:
        return None, None
    rows = await connection.execute(_OF_ONE_STEP, {"permit_id": key})
    found = {permit.permit_id == str(key): permit for permit in map(read_permit, rows)}
    return found.get(True), found.get(False)


async def read_issued(connection: AsyncConnection, proposal_id: str, revision: int) -> Issued:
    """Every permit of a revision, what became of it, and which other revisions have one, in one statement."""
    rows = (await connection.execute(_ISSUED, {"proposal_id": proposal_id})).all()
    others = sorted({row.revision for row in rows if row.revision != revision})
    return Issued([row for row in rows if row.revision == revision], tuple(others))


def _record(row: Row[Any]) -> StepRecord:
    return StepRecord(
        step=row.step,
        direction=row.direction,
        use=row.use or "unused",
        report=None if row.report is None else read_report(row.report),
        issued_at=row.issued_at,
        used_at=row.used_at,
    )


async def read_use(connection: AsyncConnection, permit: Permit, ledger: Ledger | None = None) -> PermitUse:
    """Use, report, stop and result in one statement; `ledger` then knows its head."""
    wanted = {"permit_id": UUID(permit.permit_id), "proposal_id": permit.proposal_id}
    row = (await connection.execute(_STATE, wanted)).one()
    if ledger is not None:
        ledger.knows(row.position, row.head)
    proposal = json.loads(row.proposal)
    return PermitUse(
        use=row.use or "unused",
        attempt_token=row.attempt_token,
        used_at=row.used_at,
        report=None if row.body is None else read_report(row.body),
        action_digest=row.action_digest,
        stop=row.kind,
        undone_when_stopped=row.kind == "revoked" or (row.kind is not None and _compensates(proposal)),
        closed=row.closed is not None,
        target=normalize(proposal["target"]) if "target" in proposal else None,
        remedies=proposal.get("remedies"),
        dry_run=proposal.get("dry_run", False) is True,
        halts=halts_in(row.halts),
        taken_over=row.taken_over,
    )


def _compensates(proposal: Mapping[str, Any]) -> bool:
    """Whether what was approved for a stop that nobody verified is to compensate."""
    return bool(proposal.get("on_stop", StopVerb.compensate) == StopVerb.compensate)


def claim_row(permit: Permit, *, token: str, used_by: str, run_id: str | None, at: datetime) -> dict[str, Any]:
    """The values of the row that claims a permit for an attempt."""
    return {
        "permit_id": UUID(permit.permit_id),
        "use": "claimed",
        "attempt_token": token,
        "used_by": used_by,
        "run_id": run_id,
        "used_at": at,
        "effect": permit.operation if permit.direction is Direction.do and not permit.dry_run else None,
    }


def read_report(body: bytes) -> EffectReport:
    """The report in a row's body."""
    return EffectReport.model_validate_json(body)


def report_body(report: EffectReport) -> bytes:
    """The canonical bytes of a report."""
    return canonical(report.model_dump(mode="json"))


def read_permit(row: Row[Any]) -> Permit:
    """The permit in a row.

    Raises:
        PermitError: body, digest and columns do not say the same, or the body is no permit.
    """
    try:
        permit = Permit.model_validate_json(row.body)
    except ValidationError as error:
        raise PermitError(f"permit {row.permit_id} is malformed: {explain(error)}") from None
    said = (permit.proposal_id, permit.revision, permit.step, str(permit.direction), permit.action_digest)
    kept = (row.proposal_id, row.revision, row.step, row.direction, row.action_digest)
    wrong = [
        what
        for what, same in (
            ("digest", digest(row.body) == row.digest),
            ("columns", (*said, permit.expires_at) == (*kept, row.expires_at)),
            ("id", permit.permit_id == str(row.permit_id) == permit_id(*said[:3], permit.direction)),
            ("resolved_digest", permit.resolved_digest == resolved_digest(permit.resolved)),
            ("targets_digest", permit.targets_digest == (targets_digest(permit.targets) if permit.targets else None)),
        )
        if not same
    ]
    if wrong:
        raise PermitError(f"permit {row.permit_id}: its {', '.join(wrong)} and its body disagree")
    return permit.model_copy(update={"signed": row.signed})
