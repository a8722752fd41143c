"""Everything the record says of one action, for people: the case, its ledger, and the receipts of its decisions.

It reads in one snapshot and decides nothing. It serves actions whose workflow is closed, deleted or past retention, and
it is what the command line believes where a workflow says something else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.cases import CaseFile, read_case
from activities.documents import Documents
from activities.outside import Stated, stated_outside
from activities.tables import DecisionRow, LedgerEntryRow
from policy.approval.standing import Standing, stand
from policy.canonical import canonical, digest, parse_canonical
from policy.decision import DecisionReceipt
from policy.errors import AuditError
from policy.ledger import EntryKind, verify_chain
from policy.lifecycle import State
from policy.outside import Happened
from policy.screen import Screen, make_screen
from policy.screens.status import status_fields
from policy.sealing import untrue

_ENTRY = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]
_DECISION = DecisionRow.__table__.c  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Dossier:
    """A case with its ledger. `broken` says where its chain does not hold, and is empty where it does; `stated`
    is what people state to have done outside of what a trail says that happened.
    """

    file: CaseFile
    entries: tuple[dict[str, Any], ...]
    broken: str
    receipts: dict[str, DecisionReceipt]
    stated: dict[Happened, tuple[Stated, ...]] = field(default_factory=dict)

    @property
    def screen(self) -> Screen | None:
        """What an approver is shown: as sealed, and where nobody was asked, as it would be; None without assessment."""
        file = self.file
        if file.revision is None or file.assessment_digest is None:
            return None
        return file.sealed.screen if file.sealed else make_screen(file.proposal, file.revision, file.assessment_digest)

    def doubts(self) -> list[str]:
        """What of the digests that a decision names the record does not bear out: each is computed again."""
        file, sealed = self.file, self.file.sealed
        if self.broken:
            return [f"the ledger does not hold together: {self.broken}"]
        found = [] if digest(file.received.body) == file.received.action_digest else ["proposal: has another digest"]
        if file.revision is None:
            return found
        recorded = next((entry["content"]["revision"] for entry in reversed(self.entries) if _assesses(entry)), None)
        if digest(canonical(recorded)) != file.assessment_digest:
            found.append("assessment: its ledger entry has another digest")
        if file.revision.action_digest != file.received.action_digest:
            found.append("assessment: it is of another proposal")
        if sealed is not None and digest(sealed.body) != sealed.presented_digest:
            found.append("screen: has another digest")
        elif sealed is not None and sealed.screen.assessment_digest != file.assessment_digest:
            found.append("screen: it is of another assessment")
        elif sealed is not None:
            lies = untrue(file.proposal, file.revision, file.assessment_digest or "", sealed)
            found += [f"screen: {why}" for why in lies]
        return found

    def standing(self, now: datetime) -> Standing | None:
        """Where the case stands by the recorded votes; None where nobody is asked."""
        case = self.file.case
        at = self.file.resolved_at or now
        return stand(case, at, deadline_counts_as_passed=self.file.resolution is not None) if case else None

    def status(self, now: datetime) -> dict[str, Any]:
        """The same fields as the query `status`. `state` is only known here once the action is closed."""
        file, screen, standing, result = self.file, self.screen, self.standing(now), self.file.result
        revision = file.revision
        return status_fields(
            proposal_id=file.proposal.proposal_id,
            revision=revision.revision if revision else 1,
            state=str(State.closed) if result else str(State.pending) if file.resolution is None else None,
            resolution=file.resolution or file.stop or (standing.resolution if standing else None),
            verdict=revision.evaluation.verdict if revision else None,
            risk_tier=revision.assessment.risk_tier if revision else None,
            risk_score=revision.assessment.risk_score if revision else None,
            action_digest=file.received.action_digest,
            assessment_digest=file.assessment_digest,
            policy_digest=revision.documents.policy if revision else None,
            presented_digest=file.sealed.presented_digest if file.sealed else None,
            screen=screen,
            standing=standing,
            receipts=self.receipts,
            result=result,
            refused_messages=sum(not receipt.counted for receipt in self.receipts.values()),
            dry_run=file.proposal.dry_run,
            accepts_claimed=None,
        )


def _assesses(entry: dict[str, Any]) -> bool:
    return entry["kind"] == EntryKind.assessed and isinstance(entry["content"].get("revision"), dict)


async def read_dossier(connection: AsyncConnection, proposal_id: str) -> Dossier | None:
    """The dossier of an action, or None if it was never registered. Wants a snapshot to read in."""
    file = await read_case(connection, proposal_id)
    if file is None:
        return None
    entries, broken = await _entries(connection, proposal_id)
    stated = await stated_outside(connection, Documents(), _happened(entries)) if _happened(entries) else {}
    receipts = await _receipts(connection, proposal_id)
    return Dossier(file=file, entries=entries, broken=broken, receipts=receipts, stated=stated)


def _happened(entries: Sequence[dict[str, Any]]) -> list[Happened]:
    """What targets' trails say that happened and nobody authorized."""
    trails = [entry["content"]["trail"] for entry in entries if "trail" in entry["content"]]
    return [
        Happened(str(trail["resource"]), str(trail.get("target", "")), datetime.fromisoformat(str(trail["at"])))
        for trail in trails
    ]


async def read_receipt(connection: AsyncConnection, proposal_id: str, decision_id: str) -> DecisionReceipt | None:
    """What a decision was answered, or None if it was not received yet."""
    wanted = select(_DECISION.receipt).where(_DECISION.proposal_id == proposal_id, _DECISION.decision_id == decision_id)
    stored = await connection.scalar(wanted)
    return DecisionReceipt.model_validate(_receipt(stored)) if stored is not None else None


async def _entries(connection: AsyncConnection, proposal_id: str) -> tuple[tuple[dict[str, Any], ...], str]:
    wanted = select(_ENTRY.body, _ENTRY.digest).where(_ENTRY.proposal_id == proposal_id).order_by(_ENTRY.position)
    rows = [(bytes(row.body), row.digest) for row in await connection.execute(wanted)]
    try:
        return tuple(verify_chain(proposal_id, rows)), ""
    except AuditError as error:
        return tuple(parse_canonical(body) for body, _ in rows), str(error)


async def _receipts(connection: AsyncConnection, proposal_id: str) -> dict[str, DecisionReceipt]:
    wanted = select(_DECISION.decision_id, _DECISION.receipt).where(_DECISION.proposal_id == proposal_id)
    rows = await connection.execute(wanted.order_by(_DECISION.received_at, _DECISION.arrival))
    return {row.decision_id: DecisionReceipt.model_validate(_receipt(row.receipt)) for row in rows}


def _receipt(stored: bytes) -> Any:
    value = parse_canonical(stored)
    return value.get("receipt", value)
