"""One edit at a time: whatever is changed in an exported file, the audit fails and names it."""

import base64
import copy
import json
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from activities.auditing import audit
from activities.matching import _timer
from policy.canonical import digest
from policy.permit import entry_id
from tests.unit.tampering import (
    Doc,
    Edit,
    answer,
    at_time,
    chain_again,
    entries,
    event,
    in_payload,
    load,
    name_of,
    named,
    of_entry,
    of_event,
    position,
    set_to,
    top,
)
from worker import workflow_runner

UPDATE_ACCEPTED = "WORKFLOW_EXECUTION_UPDATE_ACCEPTED"


def _drop_tail(doc: Doc) -> str:
    doc["history"]["events"].pop()
    return name_of(doc["history"]["events"][-1])


def _drop_long_tail(doc: Doc) -> str:
    del doc["history"]["events"][20:]
    return name_of(doc["history"]["events"][-1])


def _drop_event(doc: Doc) -> str:
    del doc["history"]["events"][9]
    return name_of(doc["history"]["events"][9])


def _drop_event_and_number_again(doc: Doc) -> str:
    item = event(doc, "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", 2)
    doc["history"]["events"].remove(item)
    for number, other in enumerate(doc["history"]["events"], start=1):
        other["eventId"] = str(number)
    return "event "


def _swap_events(doc: Doc) -> str:
    events = doc["history"]["events"]
    events[8], events[9] = events[9], events[8]
    return name_of(events[8])


def _repeat_close(doc: Doc) -> str:
    last = doc["history"]["events"][-1]
    again = {**copy.deepcopy(last), "eventId": str(int(last["eventId"]) + 1)}
    doc["history"]["events"].append(again)
    return name_of(again)


def _other_history(doc: Doc) -> str:
    doc["history"] = load("two-steps")["history"]
    return "event 1 (WORKFLOW_EXECUTION_STARTED)"


def _other_ledger(doc: Doc) -> str:
    doc["entries"] = load("two-steps")["entries"]
    return "ledger entry 1"


def _drop_entry(at: int) -> Edit:
    def edit(doc: Doc) -> str:
        del doc["entries"][at]
        return f"ledger entry {at + 1}" if at >= 0 else "ledger entry"

    return edit


def _drop_entry_and_chain_again(doc: Doc) -> str:
    values = entries(doc)
    del values[position(doc, "reminded")]
    chain_again(doc, values)
    return "ledger entry"


def _swap_entries(doc: Doc) -> str:
    doc["entries"][2], doc["entries"][3] = doc["entries"][3], doc["entries"][2]
    return "ledger entry 3"


def _forge_vote(doc: Doc) -> str:
    """A second approval by somebody who never sent one, with a ledger that is written anew around it."""
    values = entries(doc)
    at = position(doc, "decision_counted")
    forged = copy.deepcopy(values[at])
    content = forged["content"]
    content["submission"] |= {"decision_id": "forged", "proof": {"kind": "claimed", "identity": "carol"}}
    content["person"] = {"person_id": "person:carol", "groups": ["oncall"]}
    content["ballot"] |= {"decision_id": "forged", "person_id": "person:carol", "groups": ["oncall"]}
    content["receipt"] |= {"decision_id": "forged"}
    forged["entry_id"] = entry_id(doc["proposal_id"], "decision_counted", "forged")
    values.insert(at, forged)
    chain_again(doc, values)
    return f"ledger entry {at + 1}"


def _other_policy(doc: Doc) -> str:
    """Another policy under the digest of the one that was in force."""
    found = next(item for item in doc["documents"] if item["kind"] == "policy")
    found["body"] = found["body"].replace("deadline: 90s", "deadline: 80s")
    return f"document policy {found['digest']}"


def _other_policy_everywhere(doc: Doc) -> str:
    """Another policy, with its own digest, which every entry is made to name."""
    found = next(item for item in doc["documents"] if item["kind"] == "policy")
    old, body = found["digest"], found["body"].replace("deadline: 90s", "deadline: 80s")
    found |= {"body": body, "digest": digest(body.encode())}
    text = json.dumps(entries(doc)).replace(old, found["digest"])
    chain_again(doc, json.loads(text))
    return "ledger entry 1 (assessed)"


def _drop_document(kind: str) -> Edit:
    def edit(doc: Doc) -> str:
        doc["documents"] = [item for item in doc["documents"] if item["kind"] != kind]
        return "ledger entry 1 (assessed)"

    return edit


def _other_directory(doc: Doc) -> str:
    """The refused approver is put into a group after the fact."""
    found = next(item for item in doc["documents"] if item["kind"] == "directory")
    old, body = found["digest"], found["body"].replace("groups: [leads]", "groups: [leads, dba]")
    found |= {"body": body, "digest": digest(body.encode())}
    chain_again(doc, json.loads(json.dumps(entries(doc)).replace(old, found["digest"])))
    return "(decision_counted)"


def _input(change: Callable[[Any], Any]) -> Callable[[Doc], None]:
    return lambda attributes: in_payload(attributes["input"], change)


def _update(change: Callable[[Any], Any]) -> Callable[[Doc], None]:
    return lambda attributes: in_payload(attributes["acceptedRequest"]["input"]["args"], change)


def _outcome(change: Callable[[Any], Any]) -> Callable[[Doc], None]:
    return lambda attributes: in_payload(attributes["outcome"]["success"], change)


def _result(change: Callable[[Any], Any]) -> Callable[[Doc], None]:
    return lambda attributes: in_payload(attributes["result"], change)


def _attribute(attributes: Doc) -> None:
    fields = attributes["searchAttributes"]["indexedFields"]
    fields["CountersignState"]["data"] = base64.b64encode(b'"approved"').decode()


def _finished_sooner(found: Doc) -> None:
    timings = found["content"]["result"]["timings"]
    timings["finished_at"] = timings["proposed_at"]


TWO_STAGES: dict[str, Edit] = {
    "the assessment that the workflow was told": answer("assess", set_to("plan.risk_tier", "low")),
    "the chain that the workflow was told": answer("assess", set_to("plan.standing.stages.1.name", "nobody")),
    "a receipt that the workflow was told": answer("take_decision", set_to("receipt.counted", True)),
    "the standing after a vote": answer("take_decision", set_to("standing.stages.0.approvals", ["person:bob"]), 2),
    "the resolution after a vote": answer("take_decision", set_to("resolution", "denied"), 3),
    "what time brought": answer("advance", set_to("standing.stages.0.groups", ["leads"]), 2),
    "the permit that the workflow was told": answer("dispatch", set_to("permit_id", "another")),
    "the result that the workflow was told": answer("record", set_to("result.reasons", [])),
    "an entry that an answer names": answer("record", set_to("entry.digest", "sha256:" + "0" * 64)),
    "an entry that does not exist": answer("record", set_to("entry.position", 99)),
    "when a local activity completed": of_event(
        "MARKER_RECORDED",
        lambda found: in_payload(found["details"]["data"], set_to("complete_time.seconds", 1)),
        -1,
    ),
    "what the executor answered": of_event("ACTIVITY_TASK_COMPLETED", _result(set_to("message", "all well"))),
    "that the executor succeeded": of_event("ACTIVITY_TASK_COMPLETED", _result(set_to("status", "failed"))),
    "an activity's argument": of_event("ACTIVITY_TASK_SCHEDULED", _input(set_to("permit_id", "another"))),
    "an activity's type": of_event("ACTIVITY_TASK_SCHEDULED", set_to("activityType.name", "observe")),
    "an activity's queue": of_event("ACTIVITY_TASK_SCHEDULED", set_to("taskQueue.name", "elsewhere")),
    "an activity's timeout": of_event("ACTIVITY_TASK_SCHEDULED", set_to("startToCloseTimeout", "9000s")),
    "an activity's attempts": of_event("ACTIVITY_TASK_SCHEDULED", set_to("retryPolicy.maximumAttempts", 5)),
    "a timer's duration": of_event("TIMER_STARTED", set_to("startToFireTimeout", "0.5s")),
    "the timer of the deadline": of_event("TIMER_STARTED", set_to("startToFireTimeout", "8000s"), -1),
    "which timer fired": of_event("TIMER_FIRED", set_to("startedEventId", "3")),
    "a search attribute": of_event("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", _attribute),
    "the return value": of_event("WORKFLOW_EXECUTION_COMPLETED", _result(set_to("outcome", "compensated"))),
    "the proposal that was started": of_event(
        "WORKFLOW_EXECUTION_STARTED", _input(set_to("rationale", "because I say so"))
    ),
    "the workflow's type": of_event("WORKFLOW_EXECUTION_STARTED", set_to("workflowType.name", "Authorize")),
    "the workflow's id": of_event("WORKFLOW_EXECUTION_STARTED", set_to("workflowId", "action/another")),
    "the run's id": of_event("WORKFLOW_EXECUTION_STARTED", set_to("originalExecutionRunId", "another")),
    "who decided, in an update": named(
        "ledger entry 5", of_event(UPDATE_ACCEPTED, _update(set_to("proof.identity", "carol")), 2)
    ),
    "what was decided, in an update": named(
        "ledger entry 5", of_event(UPDATE_ACCEPTED, _update(set_to("vote", "deny")), 2)
    ),
    "the answer to an update": of_event("WORKFLOW_EXECUTION_UPDATE_COMPLETED", _outcome(set_to("counted", True))),
    "when a task started": at_time("WORKFLOW_TASK_STARTED", "59.999999999", 3),
    "when a task was scheduled": at_time("WORKFLOW_TASK_SCHEDULED", "00.000000001", 3),
    "when a timer fired": at_time("TIMER_FIRED", "00.000000001"),
    "when an activity was started": at_time("ACTIVITY_TASK_STARTED", "59.999999999"),
    "a cut tail": _drop_tail,
    "a long cut tail": _drop_long_tail,
    "a missing event": _drop_event,
    "a missing event, numbers mended": _drop_event_and_number_again,
    "two swapped events": _swap_events,
    "a second end": _repeat_close,
    "another action's history": _other_history,
    "another action's ledger": _other_ledger,
    "the first entry missing": _drop_entry(0),
    "an entry missing": _drop_entry(4),
    "the last entry missing": _drop_entry(-1),
    "an entry missing, chain mended": _drop_entry_and_chain_again,
    "two swapped entries": _swap_entries,
    "an entry's bytes": of_entry("decision_counted", set_to("content.receipt.message", "hm"), how="bytes"),
    "an entry and its digest": of_entry("decision_counted", set_to("content.receipt.message", "hm"), how="digest"),
    "the last entry and its digest": of_entry("recorded", set_to("content.result.risk_score", 1), how="chain"),
    "a fact, chain mended": of_entry("assessed", set_to("content.revision.facts.dependents", []), how="chain"),
    "a score, chain mended": of_entry("assessed", set_to("content.revision.assessment.risk_score", 1), how="chain"),
    "the deadline, chain mended": of_entry(
        "assessed", set_to("content.revision.absolute_deadline", "2031-01-01T00:00:00Z"), how="chain"
    ),
    "a refusal, chain mended": of_entry("decision_refused", set_to("content.receipt.code", "expired"), how="chain"),
    "a person's groups, chain mended": of_entry(
        "decision_counted", set_to("content.person.groups", ["dba"]), how="chain"
    ),
    "a ballot, chain mended": of_entry("decision_counted", set_to("content.ballot.vote", "deny"), how="chain"),
    "a submission, chain mended": of_entry(
        "decision_counted", set_to("content.submission.justification", "told to"), how="chain"
    ),
    "a kind of entry, chain mended": of_entry("decision_counted", set_to("kind", "decision_refused"), how="chain"),
    "an entry's id, chain mended": of_entry("resolved", set_to("entry_id", "another"), how="chain"),
    "an entry's instant, chain mended": of_entry("decision_counted", set_to("at", "2026-01-01T00:00:00Z"), how="chain"),
    "a reminder, chain mended": of_entry("reminded", set_to("content.due.index", 7), how="chain"),
    "an escalation, chain mended": of_entry("escalated", set_to("content.due.text", "nothing"), how="chain"),
    "the resolution, chain mended": of_entry("resolved", set_to("content.kind", "denied"), how="chain"),
    "the gate's inputs, chain mended": of_entry("dispatched", set_to("content.inputs.people_now", {}), how="chain"),
    "a permit, chain mended": of_entry("dispatched", set_to("content.permits.0.parameters.value", "4GB"), how="chain"),
    "a permit's ids, chain mended": of_entry("dispatched", set_to("content.permits.0.resolved", ["x"]), how="chain"),
    "a measurement, chain mended": of_entry(
        "reported", set_to("content.report.measurements.0.value", "1kB"), how="chain"
    ),
    "an effect, chain mended": of_entry("reported", set_to("content.report.effect", "none"), how="chain"),
    "the outcome, chain mended": of_entry("recorded", set_to("content.result.outcome", "compensated"), how="chain"),
    "who decided, chain mended": of_entry("recorded", set_to("content.result.decided_by", []), how="chain"),
    "the timings, chain mended": of_entry("recorded", _finished_sooner, how="chain"),
    "a forged vote, chain mended": _forge_vote,
    "a policy's text": _other_policy,
    "another policy, named everywhere": _other_policy_everywhere,
    "a person's groups in the directory": _other_directory,
    "a missing policy": _drop_document("policy"),
    "a missing catalog": _drop_document("catalog"),
    "the registered proposal": top("proposal", lambda text: text.replace("32MB", "64MB"), "ledger entry 1 (assessed)"),
    "no registered proposal": top("proposal", None, "ledger entry 1 (assessed)"),
    "the stored result": top("result", lambda text: text.replace("succeeded", "compensated"), "result"),
    "no stored result": top("result", None, "result"),
    "no ledger": top("entries", [], "ledger"),
    "whose ledger it is": top("proposal_id", "another", "ledger entry 1"),
    "whose workflow it is": top("workflow_id", "action/another", "event 1 (WORKFLOW_EXECUTION_STARTED)"),
    "which run it is": top("run_id", "another", "event 1 (WORKFLOW_EXECUTION_STARTED)"),
}

COMPENSATED: dict[str, Edit] = {
    "what the executor answered about the step": of_event("ACTIVITY_TASK_COMPLETED", _result(set_to("effect", "none"))),
    "what the executor answered about the undo": of_event(
        "ACTIVITY_TASK_COMPLETED", _result(set_to("status", "failed")), 2
    ),
    "which permit undoes": of_event("ACTIVITY_TASK_SCHEDULED", _input(set_to("permit_id", "another")), 2),
    "the report of the undo, chain mended": named(
        "event 16 (ACTIVITY_TASK_COMPLETED)",
        of_entry("reported", set_to("content.report.status", "failed"), how="chain", number=2),
    ),
    "a failure made a success, chain mended": of_entry(
        "reported", set_to("content.report.status", "succeeded"), how="chain"
    ),
    "the permit to undo, chain mended": of_entry(
        "dispatched", set_to("content.permits.1.operation", "postgres.parameter.set"), how="chain"
    ),
    "what the undo was issued as, chain mended": of_entry(
        "recorded", set_to("content.records.1.use", "void"), how="chain"
    ),
    "the return value": of_event("WORKFLOW_EXECUTION_COMPLETED", _result(set_to("outcome", "succeeded"))),
    "a cut tail": _drop_tail,
    "another action's history": _other_history,
}


@pytest.mark.parametrize("name", ["two-stages", "compensated"])
async def test_an_untouched_file_passes(name: str) -> None:
    """A file that nobody changed has no finding, and neither has one that was only written anew."""
    doc = load(name)
    chain_again(doc, entries(doc))

    audited = await audit(json.dumps(doc).encode(), workflow_runner())

    assert audited.findings == ()


@pytest.mark.parametrize("what", TWO_STAGES)
async def test_an_edit_of_an_approved_action_is_named(what: str) -> None:
    """A single edit in the file of an approved action is found, and the finding names the event or the entry."""
    await _found("two-stages", TWO_STAGES[what])


@pytest.mark.parametrize("what", COMPENSATED)
async def test_an_edit_of_a_compensated_action_is_named(what: str) -> None:
    """A single edit in the file of a compensated action is found, and the finding names the event or the entry."""
    await _found("compensated", COMPENSATED[what])


async def _found(name: str, edit: Edit) -> None:
    doc = load(name)
    before = copy.deepcopy(doc)
    expected = edit(doc)
    assert doc != before

    audited = await audit(json.dumps(doc).encode(), workflow_runner())

    texts = [str(finding) for finding in audited.findings]
    assert any(expected in text for text in texts), (expected, texts)


def test_a_clock_that_moved_within_a_task_is_no_edit() -> None:
    """A timer may differ by what its workflow task took, and by no microsecond more."""
    started = SimpleNamespace(
        start_to_fire_timeout=Duration(seconds=1), timer_id="1", workflow_task_completed_event_id=4
    )
    asked = {
        microseconds: SimpleNamespace(start_to_fire_timeout=Duration(seconds=1, nanos=1000 * microseconds), seq=1)
        for microseconds in (0, 17_000, 20_000, 20_001)
    }
    spans = {4: timedelta(milliseconds=20)}
    found = {microseconds: _timer(command, started, spans) for microseconds, command in asked.items()}
    assert [bool(item) for item in found.values()] == [False, False, False, True]
    assert _timer(asked[17_000], started) != ""
