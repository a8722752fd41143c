"""Who wrote each entry: every entry of a ledger must come from a call in the history, or have another known origin.

- An entry of the control or permit role has the instant that its call passed, to a microsecond: the workflow's clock
  when the replay makes the call. Where a workflow task ran longer than it may, Temporal continues it in another one,
  and the replay sees the later start. Where a task failed or timed out, what it wrote lies between the two starts.
- An executor's entry names a permit that the history executes, and lies within the run by the clocks of both sides.
- A server that is sent more updates at once than it holds drops the workflow task that runs. What that task had taken
  is on record, and the next one takes the same decision again and is answered the same.
- Other known origins, which are noted and are no findings: an earlier or another run of the same proposal, the sweep,
  a refused claim of somebody else, a report after the end, the workflow of its review or item, the watcher.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from activities.answers import check_answer
from activities.calls import Call
from activities.history import CLOSING, FROM_OUTSIDE, is_reset
from activities.recomputing import MALFORMED, Recomputation, say
from activities.replaying import LOCAL_ACTIVITY, Event, Replay, value_of
from policy.audit import AuditFile, Finding, ReadEntry
from policy.base import Reason
from policy.errors import AuditError
from policy.gate import out_of_turn
from policy.ledger import EntryKind
from policy.refusals import milestone
from workflows.rollover import Carried

_CLOCK_SKEW = timedelta(minutes=1)
# The workflow's clock is a float of seconds: its last microsecond is rounded.
_ROUNDING = timedelta(microseconds=1)
# What was found from outside of a run, by what its entry has.
_SEEN = {"watched": "seen by the watcher", "trail": "seen by the detector"}
_EXECUTOR_KINDS = (EntryKind.reported, EntryKind.claim_refused)
_DECISION_KINDS = (EntryKind.decision_counted, EntryKind.decision_refused)
_TAKEN_KINDS = (*_DECISION_KINDS, EntryKind.refusals_unlisted)
_TAKES = ("take_decision", "take_decisions")
_CONTROL = ("assess", *_TAKES, "advance", "record")
# What is never written by the run of an action.
_BESIDE = {
    **dict.fromkeys(
        (EntryKind.review_decided, EntryKind.review_overdue, EntryKind.review_closed),
        "written by the workflow of its review",
    ),
    **dict.fromkeys(
        (EntryKind.item_decided, EntryKind.unresolved_overdue, EntryKind.unresolved_closed, EntryKind.amended),
        "written by the workflow of its item",
    ),
    EntryKind.lease_lapsed: "noted by the sweep",
}
_WRITERS: dict[EntryKind, tuple[str, ...]] = {
    EntryKind.dispatched: ("dispatch",),
    EntryKind.dispatch_refused: ("dispatch",),
    EntryKind.queued: ("dispatch",),
    EntryKind.takes_over: ("dispatch",),
    EntryKind.review_opened: ("dispatch",),
    EntryKind.decision_counted: _TAKES,
    EntryKind.decision_refused: _TAKES,
    EntryKind.refusals_unlisted: _TAKES,
    EntryKind.admission_refused: ("assess",),
    EntryKind.assessed: ("assess", "advance"),
    EntryKind.denier_told: ("assess", "advance"),
    EntryKind.remeasured: ("advance",),
    EntryKind.votes_kept: ("advance",),
    EntryKind.start_refused: ("assess",),
}
_DROPPED = "written by a workflow task that the server dropped, and that left no event; what it took was taken again"
_EXECUTOR = ("execute", "observe")
_TASK = "WORKFLOW_TASK_"
# The proposal, and what the run before handed over.
_HANDED = 2
_BROKEN_TASK = (f"{_TASK}FAILED", f"{_TASK}TIMED_OUT")


def read_calls(events: Sequence[Event], replay: Replay) -> tuple[list[Call], list[Finding]]:
    """The activities of a history, each with its answer, in order; and what cannot be read."""
    calls, findings = [], []
    for make, kind, chosen in (
        (_local_call, "schedule_local_activity", _is_local_answer),
        (_queued_call, "schedule_activity", _is_scheduled),
    ):
        commands = [command for command in replay.commands if command.kind == kind]
        made = [event for event in events if chosen(event)]
        for command, event in zip(commands, made, strict=False):
            try:
                calls.append(make(command.said, event, events))
            except MALFORMED as error:
                findings.append(Finding(event.where, f"its activity cannot be read: {say(error)}"))
    return sorted(calls, key=lambda call: call.began), findings


def check_answers(calls: Sequence[Call], books: Recomputation) -> Iterator[Finding]:
    """Every answer, held against the ledger."""
    for call in calls:
        try:
            problems = check_answer(call, books)
        except MALFORMED as error:
            problems = [f"the answer of {call.name} cannot be read: {say(error)}"]
        yield from (Finding(call.where, f"{call.name}: {problem}") for problem in problems)


def check_carried(events: Sequence[Event], entries: Sequence[ReadEntry]) -> Iterator[Finding]:
    """Whether the ledger entry that a run was handed by the run before it is in the ledger."""
    arguments = events[0].said.input.payloads
    if not events[0].said.continued_execution_run_id or len(arguments) < _HANDED:
        return
    try:
        carried = Carried.model_validate(value_of(arguments[_HANDED - 1 : _HANDED])).entry
    except MALFORMED as error:
        yield Finding(events[0].where, f"what the run before handed over cannot be read: {say(error)}")
        return
    if carried is not None and carried.digest not in {e.digest for e in entries if e.position == carried.position}:
        yield Finding(events[0].where, f"the run before knew entry {carried.position} with digest {carried.digest}")


def explain_entries(
    file: AuditFile, events: Sequence[Event], calls: Sequence[Call], entries: Sequence[ReadEntry]
) -> tuple[list[Finding], list[str]]:
    """The entries that nothing explains, and notes about those that somebody else than this run wrote."""
    findings, notes = [], []
    dropped = {entry.at for entry in entries if _taken_before(entry, calls, events)}
    for entry in entries:
        if _written_by(entry, calls, events):
            continue
        origin = _DROPPED if entry.at in dropped else _origin(file, entry, calls, events)
        if origin is None:
            at = entry.at.isoformat()
            findings.append(Finding(entry.where, f"at {at}, and no activity of the history wrote it then"))
        else:
            notes.append(f"{entry.where}: {origin}")
    return findings, notes


def _written_by(entry: ReadEntry, calls: Sequence[Call], events: Sequence[Event]) -> bool:
    if entry.kind in _EXECUTOR_KINDS or (entry.kind is EntryKind.violation and entry.late):
        within = events[0].at - _CLOCK_SKEW <= entry.at <= events[-1].at + _CLOCK_SKEW
        permit = entry.content["permit_id"]
        asked = [call for call in calls if call.name in _EXECUTOR and call.asked.get("permit_id") == permit]
        mine = entry.kind is not EntryKind.claim_refused or entry.content["run_id"] in _runs(events)
        return within and mine and any(entry.at >= call.began - _CLOCK_SKEW for call in asked)
    names = _WRITERS.get(entry.kind, _CONTROL)
    return any(call.name in names and call.ran_at(entry.at) and _is_about(entry, call) for call in calls)


def _taken_before(entry: ReadEntry, calls: Sequence[Call], events: Sequence[Event]) -> bool:
    """Whether a decision was taken earlier in this run than any call of the history took it, and one did later.

    So were refusals that were only counted: taken again, they reach the same number.
    """
    if entry.kind not in _TAKEN_KINDS or entry.at < events[0].at or _written_by(entry, calls, events):
        return False
    later = [call for call in calls if call.name in _TAKES and call.spans[0][0] > entry.at]
    if entry.kind is EntryKind.refusals_unlisted:
        reached = milestone(0, entry.content["count"]) or 0
        return any(_unlisted(call) >= reached for call in later)
    return any(_is_about(entry, call) for call in later)


def _unlisted(call: Call) -> int:
    """How many refusals were not listed up to the end of a call."""
    return sum(sum(said.get("unlisted", {}).values()) for said in (call.asked, call.told or {}))


def _is_about(entry: ReadEntry, call: Call) -> bool:
    """Whether a decision's entry is about a decision of a call; others are told apart by their instant."""
    if entry.kind not in _DECISION_KINDS:
        return True
    return any(_says(entry, message) for message in call.asked.get("messages", (call.asked,)))


def _says(entry: ReadEntry, message: dict[str, Any]) -> bool:
    if entry.content["directory"] is None:
        return bool(entry.content["arrival"] == message["arrival"])
    submission = message["submission"]
    return isinstance(submission, dict) and submission.get("decision_id") == entry.content["submission"]["decision_id"]


def _origin(file: AuditFile, entry: ReadEntry, calls: Sequence[Call], events: Sequence[Event]) -> str | None:
    """Where an entry comes from that this run did not write; None where nothing explains it."""
    if (beside := _BESIDE.get(entry.kind)) is not None:
        return beside
    if entry.kind is EntryKind.violation and not _SEEN.keys().isdisjoint(entry.content):
        return next(said for name, said in _SEEN.items() if name in entry.content)
    first = next((call.told for call in calls if call.name == "assess" and call.told), None) or {}
    reset = max((event.at for event in events if is_reset(event)), default=None)
    known = max((_position(call) for call in calls if reset or call.name == "assess"), default=0)
    if (
        entry.kind in (EntryKind.start_refused, EntryKind.admission_refused)
        and entry.content["start"]["run_id"] != file.run_id
    ):
        return "another start, which was refused"
    if entry.kind is EntryKind.claim_refused and entry.content["run_id"] not in _runs(events):
        return "somebody else tried to claim a permit, and was refused"
    if entry.kind is EntryKind.dispatch_refused and _asked_out_of_turn(entry):
        return "somebody else asked for a permit that was not due, and was refused"
    if entry.at < (reset or events[0].at) and (entry.position <= known or _was_refused(first)):
        return "written before this run"
    if entry.at >= events[-1].at and entry.late:
        return "reported late, after this run"
    if entry.at >= events[-1].at and (_was_refused(first) or events[-1].name != "WORKFLOW_EXECUTION_COMPLETED"):
        return "written after this run, by another one or by the sweep"
    if entry.kind is EntryKind.recorded and entry.content["result"]["next_action"] == "ask_a_person":
        return "recorded by the sweep or by another run, because no report had come"
    return "opened by the sweep, because no item was open" if entry.kind is EntryKind.unresolved_opened else None


def _position(call: Call) -> int:
    """Up to which entry an answer shows the ledger."""
    return int(((call.told or {}).get("entry") or {}).get("position", 0))


def _asked_out_of_turn(entry: ReadEntry) -> bool:
    return out_of_turn(tuple(Reason.model_validate(reason) for reason in entry.content["reasons"]))


def _was_refused(told: dict[str, Any]) -> bool:
    return bool((told.get("result") or {}).get("resolution") == "refused")


def _runs(events: Sequence[Event]) -> tuple[str, ...]:
    said = events[0].said
    return (said.original_execution_run_id, said.first_execution_run_id)


def _is_local_answer(event: Event) -> bool:
    return event.name == "MARKER_RECORDED" and event.said.marker_name == LOCAL_ACTIVITY


def _is_scheduled(event: Event) -> bool:
    return event.name == "ACTIVITY_TASK_SCHEDULED"


def _local_call(command: Any, event: Event, events: Sequence[Event]) -> Call:
    asked = value_of(command.arguments)
    result = event.said.details.get("result")
    spans = _spans(asked, event, events)
    told = value_of(result.payloads) if result is not None else None
    return Call(command.activity_type, asked, _object(told), event.where, spans, spans[0][0])


def _queued_call(command: Any, event: Event, events: Sequence[Event]) -> Call:
    asked = value_of(command.arguments)
    answered = [item for item in events if getattr(item.said, "scheduled_event_id", None) == event.number]
    done = next((item for item in answered if item.name == "ACTIVITY_TASK_COMPLETED"), None)
    told = value_of(done.said.result.payloads) if done is not None else None
    where = done.where if done is not None else event.where
    return Call(command.activity_type, asked, _object(told), where, _spans(asked, event, events), event.at)


def _object(told: Any) -> dict[str, Any] | None:
    if told is not None and not isinstance(told, dict):
        raise AuditError("its answer is no json object")
    return told


def _spans(asked: dict[str, Any], event: Event, events: Sequence[Event]) -> tuple[tuple[datetime, datetime], ...]:
    """When a call can have run: at the replay's instant, or when the same task was begun before."""
    if "now" not in asked:
        return ((event.at, event.at),)
    now = datetime.fromisoformat(asked["now"])
    began, broken = _begun(events, event.number)
    instants = [now, *began]
    if broken:
        return ((min(instants) - _ROUNDING, max(instants)),)
    return tuple((instant - _ROUNDING, instant + _ROUNDING) for instant in sorted(instants))


def _begun(events: Sequence[Event], number: int) -> tuple[list[datetime], bool]:
    """When the task was begun in which an event was written, and whether it failed before it succeeded.

    A task that runs long is continued in another one; one that broke is scheduled again, after what came meanwhile.
    """
    at = max(index for index in range(number) if events[index].name == f"{_TASK}STARTED")
    began, broken, meanwhile = [], False, False
    while at >= 0:
        name = events[at].name
        if name in FROM_OUTSIDE:
            meanwhile = True
        elif not name.startswith(_TASK) or (meanwhile and name not in _BROKEN_TASK):
            break
        elif name == f"{_TASK}STARTED":
            began.append(events[at].at)
        elif name in _BROKEN_TASK:
            broken, meanwhile = True, False
        at -= 1
    return began, broken


def describe_end(events: Sequence[Event]) -> str | None:
    """A note where a run ended otherwise than by itself."""
    last = events[-1]
    if last.name == "WORKFLOW_EXECUTION_CONTINUED_AS_NEW":
        return f"{last.where}: the action goes on in run {last.said.new_execution_run_id}"
    if last.name in CLOSING and last.name not in ("WORKFLOW_EXECUTION_COMPLETED", "WORKFLOW_EXECUTION_FAILED"):
        return f"{last.where}: the run was ended from outside"
    return None
