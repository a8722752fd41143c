"""What every entry of a kind owes: the one id it can have, its mark of lateness, and a report's own logic.

- An entry's id follows from what it is about, so nobody can give an entry another kind or another subject.
- Where an assessment knew of an earlier denial of the same effect, those who denied it were told, and nowhere else.
- An executor's report is about its permit, and its status follows from its measurements of the approved criteria. That
  of a dry run has no effect and no measurement, and nothing else is a dry run.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from policy.audit import ReadEntry
from policy.audit_measurements import check_measurements
from policy.base import Reason
from policy.canonical import canonical
from policy.gate import out_of_turn
from policy.ledger import EntryKind, of_revision
from policy.outcome import Baseline, EffectReport
from policy.permit import Direction, Permit, entry_id
from policy.refusals import unlisted_key
from policy.revision import Revision
from policy.screens.telling import telling
from policy.trails import trail_key
from policy.watching import watched_key

_Content: TypeAlias = Mapping[str, Any]


def _decision_key(content: _Content) -> tuple[object, ...]:
    # What was no decision at all has no decision id.
    if content["directory"] is None:
        return content["channel"], content["arrival"], content["receipt"]["message"]
    return (content["submission"]["decision_id"],)


def _event_key(content: _Content) -> tuple[object, ...]:
    return content["revision"], content["key"]


def _due_key(content: _Content) -> tuple[object, ...]:
    # What somebody was escalated to for another cause than time is an event.
    if "event" in content:
        return _event_key(content)
    return content["due"]["stage"], content["due"]["kind"], content["due"]["index"]


def _step_key(content: _Content) -> tuple[object, ...]:
    return content["inputs"]["revision"], content["inputs"]["step"]


def _refusal_key(content: _Content) -> tuple[object, ...]:
    asked = out_of_turn(tuple(Reason.model_validate(reason) for reason in content["reasons"]))
    return (*_step_key(content), *(("out_of_turn",) if asked else ()))


def _violation_key(content: _Content) -> tuple[object, ...]:
    if "watched" in content:
        return watched_key(content["watched"])
    if "trail" in content:
        return trail_key(content["trail"])
    if "undoes" in content:
        return "undoes", content["revision"]
    if "told" in content:
        return "told", content["told"]["permit_id"]
    return "report", content["permit_id"], content["reported_by"]


# The revision of a resolution is that of the case: `check_entry` is told it.
_KEYS: dict[EntryKind, Callable[[_Content], tuple[object, ...]]] = {
    EntryKind.start_refused: lambda content: (content["start"]["workflow_id"], content["start"]["run_id"]),
    EntryKind.admission_refused: lambda content: (content["start"]["workflow_id"], content["start"]["run_id"]),
    EntryKind.assessed: lambda content: (content["revision"]["revision"],),
    EntryKind.denier_told: lambda content: (content["revision"],),
    EntryKind.decision_counted: _decision_key,
    EntryKind.decision_refused: _decision_key,
    EntryKind.refusals_unlisted: unlisted_key,
    EntryKind.remeasured: lambda content: (content["base"]["revision"], content["digest"]),
    EntryKind.votes_kept: lambda content: (content["revision"],),
    EntryKind.reminded: _due_key,
    EntryKind.escalated: _due_key,
    EntryKind.held: _due_key,
    EntryKind.vote_dropped: _event_key,
    EntryKind.unreachable: _event_key,
    EntryKind.graced: _event_key,
    EntryKind.stopped: lambda _: ("stop",),
    EntryKind.queued: lambda content: (content["inputs"]["revision"],),
    EntryKind.takes_over: lambda content: (content["taken"],),
    EntryKind.taken_over: lambda content: (content["by"],),
    EntryKind.dispatched: _step_key,
    EntryKind.dispatch_refused: _refusal_key,
    EntryKind.claim_refused: lambda content: (content["permit_id"], content["attempt_token"]),
    EntryKind.reported: lambda content: (content["permit_id"],),
    EntryKind.judging: lambda content: (content["revision"],),
    EntryKind.recorded: lambda _: ("result",),
    EntryKind.violation: _violation_key,
    EntryKind.offered: lambda content: (content["revision"],),
    EntryKind.review_opened: lambda _: ("review",),
    EntryKind.review_decided: lambda content: (content["submission"]["decision_id"],),
    EntryKind.review_overdue: lambda _: ("review",),
    EntryKind.review_closed: lambda _: ("review",),
    EntryKind.unresolved_opened: lambda _: ("unresolved",),
    EntryKind.unresolved_overdue: lambda content: ("unresolved", content["page"]),
    EntryKind.unresolved_closed: lambda _: ("unresolved",),
    EntryKind.item_decided: lambda content: (content["item"]["item_id"], content["submission"]["decision_id"]),
    EntryKind.amended: lambda content: (content["number"],),
    EntryKind.outside_stated: lambda content: (content["statement"]["statement_id"],),
    EntryKind.lease_lapsed: lambda content: (content["lease_until"],),
    EntryKind.halted: lambda content: (content["halt"]["halt_id"],),
    EntryKind.halt_refused: lambda content: (content["digest"],),
    EntryKind.halt_signed: lambda content: (content["digest"],),
    EntryKind.halt_released: lambda content: (content["halt_id"],),
    EntryKind.restore_acknowledged: lambda content: tuple(
        sorted(item["statement"]["acknowledgement_id"] for item in content["acknowledged"])
    ),
}


# What can happen in each revision anew.
_IN_A_REVISION = (EntryKind.reminded, EntryKind.escalated)


def check_entry(proposal_id: str, entry: ReadEntry, revision: int | None) -> list[str]:
    """Whether an entry has the id and the mark of lateness that its content gives it.

    Args:
        proposal_id: whose ledger it is in.
        entry: which one.
        revision: of the case when the entry was written; None before the first assessment.
    """
    key = (revision,) if entry.kind is EntryKind.resolved else _KEYS[entry.kind](entry.content)
    if entry.kind in _IN_A_REVISION:
        key = (*key, *of_revision(revision))
    found = []
    if entry.entry_id != entry_id(proposal_id, str(entry.kind), *key):
        found.append(f"entry id {entry.entry_id} is not that of an entry about this")
    if entry.late != _written_late(entry):
        found.append(f"late is {entry.late}, its content says otherwise")
    return found


def check_told(entries: Sequence[ReadEntry]) -> list[str]:
    """Whether the people who denied an effect were told of it exactly where the assessment knew of their denial."""
    owed = {}
    for entry in entries:
        if entry.kind is EntryKind.assessed:
            revision = Revision.model_validate(entry.content["revision"])
            owed[revision.revision] = telling(revision)
    told = {entry.content["revision"]: entry.content for entry in entries if entry.kind is EntryKind.denier_told}
    found = []
    for number in sorted({*owed, *told}):
        wanted, said = owed.get(number), told.get(number)
        if wanted is not None and said is None:
            found.append(f"revision {number}: {', '.join(wanted['told'])} denied this effect before and was not told")
        elif said is not None and canonical(said) != canonical(wanted):
            found.append(f"revision {number}: what the denier was told is not what the assessment knew")
    return found


def check_report(
    permit: Permit, report: EffectReport, content: _Content, baselines: tuple[Baseline, ...] = ()
) -> list[str]:
    """Whether a report is about its permit, and concludes from its measurements what they say; `baselines` are what was
    read before the first step.
    """
    real = {"revision": permit.revision, "step": permit.step, "direction": str(permit.direction)}
    real |= {"action_digest": permit.action_digest}
    found = [f"{name} is {content[name]}, its permit's is {it}" for name, it in real.items() if content[name] != it]
    if report.permit_id != permit.permit_id:
        found.append(f"its report is about permit {report.permit_id}")
    if report.finished_at < report.started_at:
        found.append("it ended before it began")
    if report.observed and (report.effect == "none" or permit.direction is Direction.undo or permit.dry_run):
        found.append("it says what was seen to be done, and nothing was, or nobody may look")
    if permit.dry_run or report.dry_run:
        return found + _check_rehearsal(permit, report)
    return [*found, *check_measurements(permit, report, baselines)]


def _check_rehearsal(permit: Permit, report: EffectReport) -> list[str]:
    found = []
    if permit.dry_run != report.dry_run:
        found.append(f"dry_run is {report.dry_run}, its permit's is {permit.dry_run}")
    if report.effect != "none" or report.measurements:
        found.append("a dry run is reported with an effect or a measurement")
    if report.status == "succeeded" and not report.passed("do"):
        found.append("it is reported as succeeded without a rehearsal of the step")
    if report.status == "succeeded" and any(item.passed is False for item in report.rehearsals):
        found.append("it is reported as succeeded with a rehearsal that failed")
    return found


def _written_late(entry: ReadEntry) -> bool:
    if entry.kind is EntryKind.violation:
        return "reported_by" in entry.content
    return entry.kind is EntryKind.reported and bool(entry.content["report"].get("late"))
