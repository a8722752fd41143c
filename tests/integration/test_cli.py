"""Actions from the command line, against a real Temporal, a real record, a real worker and a real target."""

import asyncio
import json
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from cli import case, exits, sending
from tests.integration.terminal import BOUND_SECONDS, House, proposal, workers


def test_an_action_from_proposal_to_outcome(house: House) -> None:
    """Two people of two groups approve, the parameter is changed, and every command tells the same story."""
    started = house.propose("whole-way")
    assert started.code == exits.OK
    assert started.out.startswith("whole-way: ")
    house.until("whole-way", lambda status: status["state"] == "pending")

    own = house.decide("approve", "whole-way", "ana")
    assert own.code == exits.REFUSED
    assert "refused (self_approval)" in own.out
    first = house.decide("approve", "whole-way", "ben", "--because", "looks right")
    assert first.code == exits.OK
    assert "still missing: 1 of owners" in first.out
    assert "digests were made from the record" in first.out
    second = house.decide("approve", "whole-way", "eva", "--json")
    assert second.json["receipt"]["resolution"] == "approved"
    assert second.json["way"] == "update"

    done = house.run("propose", house.file(proposal("whole-way")), "--wait", "--json")
    assert (done.code, done.json["outcome"]) == (exits.OK, "succeeded")
    shown = " ".join(house.run("show", "whole-way").out.split())
    for part in ("approved, outcome succeeded", "self_approval", "looks right", "sorts \\u{001b}[2J spill"):
        assert part in shown
    assert house.run("explain", "whole-way").out.startswith("approved, outcome succeeded")
    assert house.run("status", "whole-way").json["source"] == "record"


def test_a_pending_action_explains_itself(house: House) -> None:
    """What it waits for, who could unblock it, and what happens when."""
    house.pending("waiting")

    explained = house.run("explain", "waiting")
    assert "stage 1 (dba): 1 of dba" in explained.out
    assert "deadline of stage dba" in explained.out
    answer = house.run("explain", "waiting", "--json").json
    assert answer["could_unblock"] == {"dba": ["dba"], "owners": ["owners"]}
    assert answer["waiting_for"] == ["stage 1 (dba): 1 of dba", "stage 2 (owners), once it opens: 1 of owners"]
    status = house.run("status", "waiting").json
    assert (status["source"], status["mismatches"], status["stage"]) == ("workflow", [], 1)


def test_the_list_shows_who_is_asked(house: House) -> None:
    """Visibility finds a pending action by the group that it waits for."""
    house.pending("listed")

    def found(*more: str) -> list[str]:
        return [row["id"] for row in house.run("list", "--json", *more).json]

    deadline = time.monotonic() + BOUND_SECONDS
    while "listed" not in found("--group", "dba"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "listed" not in found("--group", "owners")
    assert "listed" in house.run("list").out


def test_a_denial_needs_a_reason_and_ends_the_action(house: House) -> None:
    """`deny` without a reason is a wrong call; with one, the action is denied for good."""
    house.pending("denied")

    with pytest.raises(SystemExit) as ended:
        house.decide("deny", "denied", "ben")
    assert ended.value.code == exits.USAGE
    assert house.decide("deny", "denied", "ben", "--because", "not today").code == exits.OK
    done = house.run("propose", house.file(proposal("denied")), "--wait")
    assert done.code == exits.REFUSED
    assert "stage dba was denied by ben" in done.out
    late = house.decide("approve", "denied", "ben")
    assert late.code == exits.FAILED
    assert "action denied is denied: it waits for no decision" in late.err


def test_a_question_and_its_answer(house: House) -> None:
    """Somebody is asked, answers from the command line, and everybody who decides reads both."""
    house.pending("questioned")

    asked = house.decide("request-info", "questioned", "ben", "--to", "ana", "--because", "why now?", "--json")
    assert asked.json["receipt"]["counted"], asked.out
    question = asked.json["decision_id"]
    command = f"ben asked ana: countersign answer questioned --question {question} --because TEXT"
    assert command in house.run("explain", "questioned").out
    assert command in house.run("show", "questioned").out
    said = ("--question", question, "--because", "the disk is full")
    assert "refused (not_authorized)" in house.decide("answer", "questioned", "eva", *said).out
    assert house.decide("answer", "questioned", "ana", *said).code == exits.OK
    assert house.decide("acknowledge", "questioned", "ben", "--feedback", "lacked-evidence").code == exits.OK
    explained = house.run("explain", "questioned").out
    assert "--question" not in explained
    for line in ("ben asked ana: why now? - ana answered: the disk is full", "ben says: lacked evidence"):
        assert line in explained
    for refused, why in ((("release",), "not_held"), (("approve", "--for", "eva"), "not_delegated")):
        assert f"refused ({why})" in house.decide(refused[0], "questioned", "ben", *refused[1:]).out


def test_a_withdrawn_action_runs_nothing(house: House) -> None:
    """`withdraw` stops a pending action; again, there is nothing to stop."""
    house.pending("withdrawn")

    assert house.run("withdraw", "withdrawn").code == exits.OK
    status = house.until("withdrawn", lambda status: status["result"] is not None)
    assert (status["result"]["resolution"], status["outcome"]) == ("withdrawn", "not_executed")


def test_a_closed_action_is_told_without_temporal(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record answers where Temporal has forgotten or is away; proposing it again gives the recorded result."""
    file = house.file(proposal("forgotten", operation="postgres.session.terminate"))
    assert house.run("propose", file).code == exits.OK
    house.until("forgotten", lambda status: status["result"] is not None)

    again = house.run("propose", file, "--wait")
    assert again.code == exits.REFUSED
    assert "no-destruction" in again.out
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    assert "denied, outcome not_executed" in house.run("show", "forgotten").out
    assert "has ended: nobody is asked any more" in house.run("show", "forgotten", "--notice").err
    assert "limit: no-destruction: nothing is ended here" in house.run("explain", "forgotten").out
    assert house.run("propose", file).err.startswith("countersign: temporal at 127.0.0.1:1: Connection refused")


def test_a_pending_action_is_told_without_temporal(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Temporal is away the record still says what is waited for, and that nobody answers."""
    house.pending("away")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")

    shown = house.run("show", "away")
    assert shown.code == exits.OK
    assert "note: temporal at 127.0.0.1:1: Connection refused" in shown.out
    assert "stage 1 (dba): 1 of dba" in house.run("explain", "away").out
    notice = house.run("show", "away", "--notice").out.splitlines()
    assert notice[0].startswith("countersign asks: ")
    assert notice[-1].startswith("the proposer says (not verified): ")
    assert house.run("status", "away").json["source"] == "record"


def test_another_proposal_under_the_same_id_is_refused(house: House) -> None:
    """Once closed, an id gives its result to the same proposal only."""
    assert house.propose("taken", operation="postgres.session.terminate").code == exits.OK
    house.until("taken", lambda status: status["result"] is not None)

    other = house.propose("taken")
    assert other.code == exits.FAILED
    assert "give the new proposal an id of its own" in other.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"proposal_id": "x", "proposal_id": "y"}', "key 'proposal_id' occurs twice"),
        ("[]", "malformed proposal: <root>"),
        (json.dumps({**proposal("x"), "surprise": 1}), "malformed proposal: surprise: extra inputs"),
        ("nonsense", "json text is malformed"),
    ],
)
def test_what_is_no_proposal_is_never_started(idle: House, text: str, message: str) -> None:
    """A malformed file is refused before Temporal hears of it, with the field and what is wrong."""
    ran = idle.run("propose", idle.file(text))

    assert ran.code == exits.FAILED
    assert message in ran.err


def test_an_unanswered_decision_is_unknown_and_counts_once_later(idle: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a worker the decision is sent as update and as signal; when a worker comes back it is counted once."""
    monkeypatch.setattr(sending, "UPDATE_TIMEOUT", timedelta(seconds=1))
    monkeypatch.setattr(case, "QUERY_TIMEOUT", timedelta(seconds=1))
    with workers(idle.stack, idle.settings):
        idle.pending("silent")
    sent = idle.decide("approve", "silent", "ben", "--json", "--patience", "0.5")
    assert sent.code == exits.UNKNOWN
    assert (sent.json["receipt"], sent.json["way"]) == (None, "signal")

    with workers(idle.stack, idle.settings):
        decision_id = sent.json["decision_id"]
        status = idle.until("silent", lambda status: decision_id in status["receipts"])
        assert status["receipts"][decision_id]["counted"]
        shown = idle.run("show", "silent").out
    assert shown.count("decision_counted") == 1
    assert "decision_refused" not in shown


def test_without_a_record_the_digests_are_said_to_be_unchecked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An approver who can reach only Temporal is told what that means, and the decision counts."""
    house.pending("unchecked")
    monkeypatch.delenv("COUNTERSIGN_DATABASE_URL")
    monkeypatch.delenv("COUNTERSIGN_ADMIN_DATABASE_URL")

    ran = house.decide("approve", "unchecked", "ben")
    assert ran.code == exits.OK
    assert "WARNING: digests are the workflow's own word and were not checked" in ran.out
    assert "WARNING: not checked against the record" in house.run("show", "unchecked").out


@workflow.defn(name="Impostor", sandboxed=False)
class Impostor:
    """A workflow of somebody who can write to the namespace, in the place of ours."""

    @workflow.run
    async def run(self, status: dict[str, Any]) -> None:
        self._status = status
        await asyncio.Event().wait()

    @workflow.query
    def status(self) -> dict[str, Any]:
        return self._status


def test_a_workflow_that_contradicts_the_record_gets_no_decision(idle: House) -> None:
    """A foreign workflow under the action's id cannot make an approver vote for other digests."""
    with workers(idle.stack, idle.settings):
        status = idle.pending("impostor")
    harmless = {**status, "action_digest": "sha256:" + "0" * 64}

    async def impostor(stop: threading.Event, ready: threading.Event) -> None:
        client = await Client.connect(idle.stack.temporal_address)
        await client.get_workflow_handle("action/impostor").terminate()
        worker = Worker(client, task_queue="foreign", workflows=[Impostor], workflow_runner=UnsandboxedWorkflowRunner())
        async with worker:
            handle = await client.start_workflow(Impostor.run, harmless, id="action/impostor", task_queue="foreign")
            ready.set()
            await asyncio.get_running_loop().run_in_executor(None, stop.wait)
            await handle.terminate()

    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(impostor(stop, ready)), daemon=True)
    thread.start()
    try:
        assert ready.wait(BOUND_SECONDS)
        ran = idle.decide("approve", "impostor", "ben")
        assert ran.code == exits.FAILED
        assert "workflow and record contradict each other, decide nothing on it: action_digest" in ran.err
        assert "WARNING: action_digest: the workflow says" in idle.run("show", "impostor").out
    finally:
        stop.set()
        thread.join(BOUND_SECONDS)


def test_nobody_to_confirm_sends_nothing(house: House) -> None:
    """Without a terminal and without --yes no decision is sent."""
    house.pending("unconfirmed")

    ran = house.run("approve", "unconfirmed")
    assert ran.code == exits.FAILED
    assert "nobody is there to confirm" in ran.err
    assert house.run("status", "unconfirmed").json["receipts"] == {}
