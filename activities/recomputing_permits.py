"""Computing again what a ledger says of permits: issued, refused, claimed, reported.

The gate is asked again with what the entries before left, and what was signed is verified again; an undo needs the
cause that it needed then.
"""

from collections.abc import Sequence

from activities.cases import REVOKED, CaseFile
from activities.recomputing_proofs import unproven_again
from activities.recomputing_reservations import check_reserved
from activities.recomputing_signed_permits import check_signed, said_before
from policy.audit import GovernedDocuments, ReadEntry
from policy.audit_entries import check_report
from policy.audit_evaluations import Before, check_dispatch
from policy.base import Reason
from policy.gate import may_undo, out_of_turn
from policy.ledger import EntryKind
from policy.outcome import Baseline, EffectReport, StepRecord
from policy.permit import Direction, Permit, permit_id
from policy.proposal import StopVerb
from policy.reserving import Lease
from policy.revision import Revision
from policy.undecided import check_judging


class Permitted:
    """The permits of one ledger as far as it was walked. `refusals` are why the gate closed on the open revision,
    `leased` what it has of each scope, and until when.
    """

    def __init__(self, documents: GovernedDocuments) -> None:
        self.permits: dict[str, Permit] = {}
        self.reports: dict[str, EffectReport] = {}
        self.refusals: list[Reason] = []
        self.leased: dict[str, Lease] = {}
        self._documents = documents

    def of_revision(self, revision: int) -> tuple[Permit, ...]:
        """The permits of a revision, in the order in which they were issued."""
        return tuple(item for item in self.permits.values() if item.revision == revision)

    def forward(self, revision: int) -> tuple[StepRecord, ...]:
        """Every step of a revision that was permitted, with its report where it has one."""
        return tuple(
            StepRecord(step=item.step, direction="do", use="unused", report=self.reports.get(item.permit_id))
            for item in self.of_revision(revision)
            if item.direction == "do"
        )

    def dispatched(
        self, entry: ReadEntry, case: CaseFile, revision: Revision, earlier: Sequence[ReadEntry]
    ) -> list[str]:
        """What differs where a permit was asked for, whatever the answer; `earlier` are the entries before it."""
        directory = self._documents.directory(entry.content["documents"]["directory"])
        recorded = entry.content["inputs"].get("unproven", {})
        before = Before(
            received=case.received,
            revision=revision,
            assessment_digest=case.assessment_digest or "",
            ballots=case.ballots,
            events=case.events,
            resolution=case.resolution,
            stop=case.stop,
            closed=case.result is not None,
            permits=self.of_revision(revision.revision),
            reports=self.reports,
            unproven=unproven_again(earlier, case, directory, recorded),
            permitted_revisions=tuple(sorted({item.revision for item in self.permits.values()} - {revision.revision})),
        )
        permitted = entry.kind is EntryKind.dispatched
        found = check_dispatch(before, entry.content, entry.at, self._documents, kind=entry.kind)
        found += check_reserved(entry, case, self._documents, self.leased)
        if permitted:
            found += check_signed(entry.content, case, revision, self._documents, said_before(earlier))
        for item in entry.content["permits"] if permitted else ():
            permit = Permit.model_validate(item)
            if permit.permit_id in self.permits:
                found.append(f"permit {permit.permit_id} was issued before")
            self.permits[permit.permit_id] = permit
        if entry.kind is EntryKind.dispatch_refused:
            reasons = tuple(Reason.model_validate(item) for item in entry.content["reasons"])
            self.refusals += () if out_of_turn(reasons) else reasons
        return found

    def claim_refused(self, entry: ReadEntry) -> list[str]:
        """What differs where a claim was refused."""
        known = entry.content["permit_id"] in self.permits
        return [] if known else [f"no entry before it issues permit {entry.content['permit_id']}"]

    def reported(self, entry: ReadEntry, case: CaseFile) -> list[str]:
        """What differs where an executor reported."""
        content = entry.content
        permit = self.permits.get(content["permit_id"])
        if permit is None:
            return [f"no entry before it issues permit {content['permit_id']}"]
        report = EffectReport.model_validate(content["report"])
        found = check_report(permit, report, content, self._baselines(permit))
        if permit.permit_id in self.reports:
            found.append(f"permit {permit.permit_id} was reported before")
        if permit.direction == "undo":
            claimed = self._claimed()
            reasons = may_undo(
                permit.step,
                claimed,
                stopped=_compensates(case),
                dispatch_refused=bool(self.refusals),
                spared=permit.judging is not None and permit.judging.spares(claimed, report.started_at),
            )
            found += [f"it was undone without a cause: {reason.message}" for reason in reasons]
        self.reports[permit.permit_id] = report
        return found

    def judging(self, entry: ReadEntry, case: CaseFile, revision: Revision) -> list[str]:
        """What differs where people were asked what becomes of what nobody could measure."""
        return check_judging(entry.content, case.judging, self.forward(revision.revision))

    def _baselines(self, permit: Permit) -> tuple[Baseline, ...]:
        """What was read before the first step of the same revision."""
        first = permit_id(permit.proposal_id, permit.revision, 1, Direction.do)
        return self.reports[first].baselines if first in self.reports else ()

    def _claimed(self) -> tuple[StepRecord, ...]:
        return tuple(
            StepRecord(step=item.step, direction=item.direction.value, use="claimed", report=self.reports[name])
            for name, item in self.permits.items()
            if name in self.reports
        )


def _compensates(case: CaseFile) -> bool:
    return case.stop is not None and (case.stop == REVOKED or case.proposal.on_stop is StopVerb.compensate)
