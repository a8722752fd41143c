"""Walking a ledger from its first entry: every recorded evaluation is computed again from what came before it.

It uses the functions that wrote the entries, on a case that is put together from the entries alone, so it needs no
database. What came of each entry is kept, so that a history can be compared with it (`activities/comparing.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from activities.case_events import KINDS
from activities.cases import FIRST_REVISION, REVOKED, CaseFile, revoked_reason, stored_proposal
from activities.closing import make_result
from activities.recomputing_debts import Debts, check_label, check_labels
from activities.recomputing_decisions import check_decided
from activities.recomputing_halts import Halts
from activities.recomputing_items import Items
from activities.recomputing_outside import Outside
from activities.recomputing_permits import Permitted
from activities.recomputing_reservations import check_lapsed, check_moved_over
from activities.recomputing_restored import Restored
from activities.recomputing_revisions import check_remeasured, check_superseding, unkept
from activities.recomputing_revocations import check_revocation
from activities.recomputing_signatures import check_signature
from activities.recomputing_starts import check_refused_start
from activities.recording import conclusion
from activities.remeasuring import crowded_in, votes_kept
from policy.admission import check_refused
from policy.approval.standing import Ballot, CaseEvent, Standing
from policy.approval.today import today_of
from policy.audit import AuditFile, Finding, GovernedDocuments, ReadEntry
from policy.audit_entries import check_entry, check_told
from policy.audit_evaluations import (
    check_assessed,
    check_due,
    check_records,
    check_resolved,
    compare,
)
from policy.audit_events import check_event
from policy.base import Reason
from policy.canonical import canonical, digest
from policy.document import Verdict
from policy.errors import AuditError, CountersignError
from policy.ledger import EntryKind
from policy.outcome import EffectReport, StepRecord
from policy.permit import Permit, entry_id
from policy.proposal import ReceivedProposal
from policy.refusals import Listed, check_unlisted
from policy.result import ActionResult
from policy.revision import Revision
from policy.sealing import check_sealed, sealed_of
from policy.signature import Signed
from policy.trails import check_trail
from policy.watching import check_watched
from signing.delegations import read_proved_directory

# What reading a content that is not what its kind promises can raise.
MALFORMED = (CountersignError, ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError)


class Recomputation:
    """One ledger, computed again. `cases` has the case after each entry, by position; `findings` what differs, and
    `notes` what may.
    """

    def __init__(self, file: AuditFile, entries: Sequence[ReadEntry]) -> None:
        self.entries = tuple(entries)
        self.cases: dict[int, CaseFile] = {}
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.received: ReceivedProposal | None = None
        self.case: CaseFile | None = None
        self.proposal_id = file.proposal_id
        self._documents = GovernedDocuments(file.documents, read_proved_directory)
        self._debts = Debts(self._documents)
        self._items = Items(self._documents, file.released)
        self._permitted = Permitted(self._documents)
        self._listed = Listed()
        self._kept: tuple[Ballot, ...] | None = None
        self._checks: dict[EntryKind, Callable[[ReadEntry], list[str]]] = {
            EntryKind.start_refused: self._start_refused,
            EntryKind.admission_refused: self._admission_refused,
            EntryKind.assessed: self._assessed,
            EntryKind.remeasured: self._remeasured,
            EntryKind.votes_kept: self._votes_kept,
            EntryKind.denier_told: self._denier_told,
            EntryKind.decision_counted: self._decided,
            EntryKind.decision_refused: self._decided,
            EntryKind.refusals_unlisted: self._unlisted,
            EntryKind.reminded: self._due,
            EntryKind.escalated: self._due,
            EntryKind.held: self._due,
            EntryKind.vote_dropped: self._noted,
            EntryKind.unreachable: self._noted,
            EntryKind.graced: self._noted,
            EntryKind.resolved: self._resolved,
            EntryKind.stopped: self._stopped,
            EntryKind.dispatched: self._dispatched,
            EntryKind.dispatch_refused: self._dispatched,
            EntryKind.queued: self._dispatched,
            **dict.fromkeys((EntryKind.takes_over, EntryKind.taken_over), self._moved_over),
            EntryKind.claim_refused: self._permitted.claim_refused,
            EntryKind.reported: lambda entry: self._permitted.reported(entry, self._known()[0]),
            EntryKind.judging: lambda entry: self._permitted.judging(entry, *self._known()),
            EntryKind.recorded: self._recorded,
            EntryKind.violation: self._violation,
            EntryKind.offered: lambda entry: self._debts.offered(entry, self._known()[0]),
            EntryKind.review_opened: lambda entry: self._debts.opened(entry, self._known()[0]),
            EntryKind.review_decided: self._debts.decided,
            EntryKind.review_overdue: self._debts.overdue,
            EntryKind.review_closed: self._debts.closed,
            **self._items.checks(lambda: self._known()[0]),
            EntryKind.outside_stated: Outside(self._documents).stated,
            EntryKind.lease_lapsed: lambda entry: check_lapsed(entry, self._known()[0], self._permitted.leased),
            **Halts(self._documents).checks,
            EntryKind.restore_acknowledged: Restored(self._documents).acknowledged,
        }
        if file.proposal is not None:
            self._read_proposal(file.proposal)
        for entry in self.entries:
            self._walk(entry)
        self._compare_told()
        self._compare_result(file.result)

    @property
    def permits(self) -> dict[str, Permit]:
        """Every permit that was issued, by id."""
        return self._permitted.permits

    @property
    def reports(self) -> dict[str, EffectReport]:
        """Every report, by the id of its permit."""
        return self._permitted.reports

    def entry(self, kind: EntryKind, *key: object) -> ReadEntry | None:
        """The entry of a kind about something, or None."""
        wanted = entry_id(self.proposal_id, str(kind), *key)
        return next((entry for entry in self.entries if entry.entry_id == wanted), None)

    def _read_proposal(self, text: str) -> None:
        try:
            self.received = stored_proposal(text.encode(), digest(text.encode()))
            if self.received.proposal.proposal_id != self.proposal_id:
                self._find("proposal", f"it is proposal {self.received.proposal.proposal_id}")
        except MALFORMED as error:
            self._find("proposal", f"malformed: {say(error)}")

    def _walk(self, entry: ReadEntry) -> None:
        try:
            problems = self._checks[entry.kind](entry)
            problems += check_entry(self.proposal_id, entry, self._revision)
        except MALFORMED as error:
            problems = [f"cannot be computed again: {say(error)}"]
        self.findings += [Finding(entry.where, problem) for problem in problems]
        if self.case is not None:
            self.cases[entry.position] = self.case

    @property
    def _revision(self) -> int | None:
        return self.case.revision.revision if self.case is not None and self.case.revision is not None else None

    def _find(self, where: str, what: str) -> None:
        self.findings.append(Finding(where, what))

    def _known(self) -> tuple[CaseFile, Revision]:
        if self.case is None or self.case.revision is None:
            raise AuditError("no entry before it says that the action was assessed")
        return self.case, self.case.revision

    # -- one method a kind ------------------------------------------------------------------------------------------

    def _start_refused(self, entry: ReadEntry) -> list[str]:
        return check_refused_start(entry, self.proposal_id, self.received, self._documents)

    def _admission_refused(self, entry: ReadEntry) -> list[str]:
        return check_refused(self._documents.policy(entry.content["documents"]["policy"]), entry.content)

    def _assessed(self, entry: ReadEntry) -> list[str]:
        if self.received is None:
            return ["the file has no proposal that was assessed"]
        content, before = entry.content, self.case
        if before is None and content.get("signed") is not None:
            self.received = self.received.model_copy(update={"signed": Signed.model_validate(content["signed"])})
        known = before.revision if before is not None else None
        claimed = content["assessment_digest"]
        found = check_assessed(self.received, content["revision"], claimed, entry.at, self._documents, before=known)
        revision = Revision.model_validate(content["revision"])
        if before is not None:
            refused, permitted = bool(self._permitted.refusals), bool(self.permits)
            problems, self._kept = check_superseding(
                before, revision, entry.at, self._documents, refused=refused, permitted=permitted
            )
            found += problems
            if revision.facts.observed.crowded != crowded_in(self._permitted.refusals):
                found.append("what it says was in the way is not what the refusal before it says")
            self._permitted.refusals.clear()
        elif revision.revision != FIRST_REVISION or revision.superseded is not None:
            found.append(f"it is revision {revision.revision}, and no entry before it has another one")
        found += self._signature(content["revision"])
        wrong, said = check_sealed(self.received.proposal, revision, entry.content)
        self.notes += [f"{entry.where}: {note}" for note in said]
        found += wrong
        verdict = revision.evaluation.verdict
        resolution = {Verdict.allow: "approved", Verdict.deny: "denied"}.get(verdict)
        self.case = CaseFile(
            received=self.received,
            registered_at=before.registered_at if before is not None else entry.at,
            absolute_deadline=revision.absolute_deadline,
            revision=revision,
            assessment_digest=entry.content["assessment_digest"],
            resolution=resolution,
            resolved_at=entry.at if resolution else None,
            stop=None,
            result=None,
            reasons=revision.evaluation.reasons if resolution else (),
            kept=sealed_of(entry.content["screen"]) if entry.content.get("screen") is not None else None,
        )
        return found

    def _remeasured(self, entry: ReadEntry) -> list[str]:
        case, base = self._known()
        content = entry.content
        found = check_assessed(
            case.received, content["revision"], content["digest"], entry.at, self._documents, before=base
        )
        found += self._signature(content["revision"])
        problems, self.case = check_remeasured(case, content, entry.at, self._documents)
        return found + problems

    def _votes_kept(self, entry: ReadEntry) -> list[str]:
        case, revision = self._known()
        kept, self._kept = self._kept, None
        if kept is None or case.assessment_digest is None:
            return ["nothing before it says that votes are kept"]
        self.case = replace(case, ballots=kept)
        return compare("votes", entry.content, votes_kept(revision, case.assessment_digest, kept))

    def _denier_told(self, entry: ReadEntry) -> list[str]:
        self._known()
        return [] if isinstance(entry.content["told"], list) else ["it does not say who was told"]

    def _decided(self, entry: ReadEntry) -> list[str]:
        case, _ = self._known()
        content = entry.content
        if entry.kind is EntryKind.decision_refused:
            self._listed.of[content["person"]["person_id"] if content["person"] else None] += 1
        stopped = self.entry(EntryKind.stopped, "stop") is not None
        found, self.case = check_decided(entry, case, self._documents, self._permitted, stopped=stopped)
        return found

    def _unlisted(self, entry: ReadEntry) -> list[str]:
        self._known()
        return check_unlisted(entry.content, self._listed)

    def _noted(self, entry: ReadEntry) -> list[str]:
        case, revision = self._known()
        event = CaseEvent.model_validate(entry.content["event"])
        today = today_of(case.proposal, revision, self._documents.directory(entry.content["directory"]))
        found = check_event(case.case, event, entry.content, today)
        if KINDS[event.kind] is not entry.kind:
            found.append(f"it is about {event.kind}")
        self.case = replace(case, events=(*case.events, event))
        return found

    def _due(self, entry: ReadEntry) -> list[str]:
        if "event" in entry.content:
            return self._noted(entry)
        case, _ = self._known()
        return check_due(case.case, entry.content, entry.at, entry.kind)

    def _resolved(self, entry: ReadEntry) -> list[str]:
        case, _ = self._known()
        found = check_resolved(case.case, entry.content, entry.at)
        if case.resolution is not None:
            found.append(f"it was {case.resolution} before")
        standing = Standing.model_validate(entry.content["standing"])
        resolved = {"resolution": entry.content["kind"], "resolved_at": entry.at, "reasons": standing.reasons}
        self.case = replace(case, **resolved)
        return found

    def _dispatched(self, entry: ReadEntry) -> list[str]:
        case, revision = self._known()
        found = check_signature(case.received, entry.content["observed"], entry.content, self._documents)
        return found + self._permitted.dispatched(entry, case, revision, self.entries[: entry.position - 1])

    def _moved_over(self, entry: ReadEntry) -> list[str]:
        return check_moved_over(entry, self._known()[0])

    def _stopped(self, entry: ReadEntry) -> list[str]:
        case, _ = self._known()
        kind, actor, found = entry.content["kind"], entry.content["actor"], []
        reason, revoked = Reason(code="withdrawn", message=f"withdrawn by {actor}"), None
        if kind == REVOKED:
            reason = revoked = revoked_reason(actor, entry.content["why"])
            found += check_revocation(entry, self.entry(EntryKind.decision_counted, entry.content["decision_id"]))
        elif kind != "withdrawn":
            found.append(f"kind {kind} is none that this release writes")
        self.case = replace(case, stop=kind, revoked=revoked)
        if case.resolution is None:
            self.case = replace(self.case, resolution="withdrawn", resolved_at=entry.at, reasons=(reason,))
        return found

    def _recorded(self, entry: ReadEntry) -> list[str]:
        case, revision = self._known()
        content = entry.content
        records = tuple(StepRecord.model_validate(item) for item in content["records"])
        found = check_records(records, self._permitted.of_revision(revision.revision), self.reports)
        if content["steps"] != len(case.proposal.steps):
            found.append(f"steps is {content['steps']}, the proposal has {len(case.proposal.steps)}")
        if case.result is not None:
            found.append("the action had its result before")
        resolution, outcome, reasons = conclusion(
            case, records, tuple(self._permitted.refusals), each_undo=bool(content.get("each_undo"))
        )
        computed = make_result(
            case,
            resolution=resolution,
            outcome=outcome,
            reasons=reasons,
            at=entry.at,
            dispatched_at=min((record.issued_at for record in records if record.issued_at), default=None),
            offer=self._debts.offer,
        )
        self.case = replace(case, result=ActionResult.model_validate(content["result"]))
        return found + compare("result", content["result"], computed)

    def _signature(self, revision: Mapping[str, Any]) -> list[str]:
        assert self.received is not None
        return check_signature(self.received, revision["facts"]["observed"], revision, self._documents)

    def _violation(self, entry: ReadEntry) -> list[str]:
        found = [] if isinstance(entry.content["what"], str) else ["it does not say what was violated"]
        found += check_watched(entry.content) if "watched" in entry.content else []
        found += check_trail(entry.content) if "trail" in entry.content else []
        return found + (check_label(entry, self._known()[1]) if "undoes" in entry.content else [])

    # ---------------------------------------------------------------------------------------------------------------

    def _compare_told(self) -> None:
        try:
            problems = [*check_told(self.entries), *unkept(self.entries), *check_labels(self.entries)]
            permitted = next((entry for entry in self.entries if entry.kind is EntryKind.dispatched), None)
            problems += [*self._debts.missing(self.case, permitted), *self._items.missing()]
        except MALFORMED as error:
            problems = [f"cannot be computed again: {say(error)}"]
        for problem in problems:
            self._find("ledger", problem)

    def _compare_result(self, stored: str | None) -> None:
        """The stored result is what the last entry about it says."""
        recorded = self.case.result if self.case is not None else None
        text = canonical(recorded.model_dump(mode="json")).decode() if recorded is not None else None
        if stored != text:
            state = "has none" if text is None else "has another" if stored is not None else "has one"
            self._find("result", f"the file {'has none' if stored is None else 'has one'}, the ledger {state}")


def say(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return " ".join(str(error).split())[:300] or type(error).__name__
