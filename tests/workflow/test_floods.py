"""Floods: a thousand messages neither exhaust a workflow nor hold back a vote, and all of it can be audited."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from temporalio import workflow
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.auditing import audit
from activities.export import export_action
from deploy.dev import Stack
from policy.decision import DecisionReceipt, Refusal
from policy.refusals import KEPT_OF_CASE, KEPT_OF_NOBODY, KEPT_OF_ONE
from tests.world import BOUND, Handle, World, decision, until, whole_world
from worker import workflow_runner
from workflows.interface import DECIDE, TASK_QUEUE, WORKFLOW_TYPE, workflow_id
from workflows.messages import Pace

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.timeout(240)]

# Small enough that a flood goes through several runs; a flood is far larger than every bound of what is listed.
PACE = Pace(batch=64, updates=75, signals=400, events=2_000)
SIGNALS, UPDATES, BEFORE_IT, AT_A_TIME = 1_000, 100, 300, 8
JUNK_CODES = {"unknown_person", "action_digest_mismatch", "justification_missing", "stage_closed", "busy"}
OTHER = "sha256:" + "0" * 64


@pytest_asyncio.fixture(name="brisk", scope="module", loop_scope="module")
async def _brisk(stack: Stack) -> AsyncIterator[World]:
    """A world whose runs continue as new ones soon."""
    async with whole_world(stack, pace=PACE) as world:
        yield world


def junk(status: Any, number: int) -> Any:
    """Something that does not count: no decision, from nobody, about something else, or by who may decide."""
    return (
        {"vote": "maybe", "number": number},
        decision(status, f"nobody-{number % 50}"),
        decision(status, "eve", action_digest=OTHER),
        decision(status, "eve", "deny", justification=" "),
        decision(status, "spammer"),
    )[number % 5]


async def runs_of(world: World, handle: Handle) -> list[Any]:
    """Every run of a workflow, oldest first, once all but the newest are listed as ended."""

    async def listed() -> list[Any]:
        found = [run async for run in world.client.list_workflows(f"WorkflowId = '{handle.id}'")]
        return sorted(found, key=lambda run: run.start_time)

    return await until(listed, lambda found: all(run.close_time is not None for run in found[:-1]))


async def findings(world: World, handle: Handle) -> list[str]:
    """What an audit finds in the runs of a workflow."""
    found = []
    for run in await runs_of(world, handle):
        now = datetime.now(UTC)
        file = await export_action(world.client, world.database, handle.id, run_id=run.run_id, at=now)
        audited = await audit(file.body(), workflow_runner())
        found += [f"{run.run_id}: {finding}" for finding in audited.findings]
    return found


async def answered(world: World, handle: Handle, submission: Any) -> DecisionReceipt:
    """Send a decision until the run that takes it is not one that ends."""
    return await until(lambda: world.send(handle, submission), lambda receipt: receipt.code != Refusal.busy)


async def test_a_flood_exhausts_no_workflow_and_holds_back_no_vote(brisk: World) -> None:
    """A thousand junk signals and updates through several runs: all are answered, the votes among them count."""
    handle = await brisk.start(brisk.propose("bench.put", undo="bench.take"))
    status = await brisk.pending(handle)
    first, second = decision(status, "eve"), decision(status, "cleo", stage=2)
    numbers, left = iter(range(SIGNALS)), iter(range(UPDATES))

    async def signal() -> None:
        for number in numbers:
            await handle.signal(DECIDE, first if number == SIGNALS // 2 else junk(status, number))

    async def update() -> list[DecisionReceipt]:
        return [await brisk.send(handle, junk(status, 1 + number % 4), patience=5 * BOUND) for number in left]

    sending = asyncio.gather(*(signal() for _ in range(AT_A_TIME)))
    told = list(itertools.chain(*await asyncio.gather(*(update() for _ in range(4)))))
    await sending
    assert len(told) == UPDATES
    assert not any(receipt.counted for receipt in told)
    assert {receipt.code for receipt in told} <= JUNK_CODES
    await brisk.pending(handle, stage=2)
    assert (await answered(brisk, handle, second)).counted
    assert (await brisk.result(handle)).outcome == "succeeded"
    assert await brisk.effects(status["proposal_id"]) == ["do bench.put"]
    runs = await until(lambda: runs_of(brisk, handle), lambda found: found[-1].close_time is not None)
    assert [run.status.name for run in runs] == ["CONTINUED_AS_NEW"] * (len(runs) - 1) + ["COMPLETED"]
    assert len(runs) > 1
    await check_listed(brisk, status["proposal_id"])
    assert await findings(brisk, handle) == []


async def check_listed(world: World, proposal_id: str) -> None:
    """Refusals are listed up to their bounds, and all others are counted at powers of two, at each once.

    Where a busy machine loses a workflow task, what it took is taken again in smaller portions, and a power that the
    larger portion had passed over is counted after one that it had reached.
    """
    refused = await world.entries(proposal_id, "decision_refused")
    of = Counter((entry["content"]["person"] or {}).get("person_id") for entry in refused)
    assert len(refused) <= KEPT_OF_CASE
    assert of.pop(None) == KEPT_OF_NOBODY
    assert of == {"eve": KEPT_OF_ONE}
    counts = [entry["content"]["count"] for entry in await world.entries(proposal_id, "refusals_unlisted")]
    reached = [count.bit_length() for count in counts]
    assert len(reached) == len(set(reached))
    assert 1 << (max(reached) - 1) >= SIGNALS // 2 - KEPT_OF_CASE
    assert len(await world.sql("SELECT FROM countersign.decision WHERE proposal_id = $1", proposal_id)) <= KEPT_OF_CASE


async def test_thirty_at_once_are_answered_in_the_order_of_arrival(brisk: World) -> None:
    """Thirty people answer in the same moment by update: each is answered, none twice, in the order they came in."""
    handle = await brisk.start(brisk.propose("bench.crowd"))
    status = await brisk.pending(handle)
    votes = [decision(status, f"p{number:02}") for number in range(1, 31)]
    told = await asyncio.gather(*(brisk.send(handle, vote, patience=2 * BOUND) for vote in votes))
    assert all(receipt.counted for receipt in told)
    assert [receipt.decision_id for receipt in told] == [vote["decision_id"] for vote in votes]
    assert (await brisk.result(handle)).outcome == "succeeded"
    assert len(await brisk.entries(status["proposal_id"], "decision_counted")) == 30
    assert await findings(brisk, handle) == []


async def test_what_waited_together_is_taken_in_one_call(brisk: World) -> None:
    """Votes that waited for a worker are judged in the order of history, many in one transaction."""
    handle = await brisk.start(brisk.propose("bench.crowd"))
    status = await brisk.pending(handle)
    votes = [decision(status, f"p{number:02}") for number in range(1, 31)]
    async with brisk.paused():
        for vote in votes:
            await handle.signal(DECIDE, vote)
    assert (await brisk.result(handle)).outcome == "succeeded"
    counted = await brisk.entries(status["proposal_id"], "decision_counted")
    assert [entry["content"]["receipt"]["decision_id"] for entry in counted] == [vote["decision_id"] for vote in votes]
    assert len({entry["at"] for entry in counted}) < len(votes)
    assert await findings(brisk, handle) == []


async def test_a_vote_behind_hundreds_of_junk_is_taken_before_them(brisk: World) -> None:
    """What cannot count waits for what can: a vote that came last is in the ledger before most of the junk."""
    handle = await brisk.start(brisk.propose("bench.put", undo="bench.take"))
    status = await brisk.pending(handle)
    async with brisk.paused():
        await asyncio.gather(*(handle.signal(DECIDE, junk(status, 5 * n + n % 3)) for n in range(BEFORE_IT)))
        await handle.signal(DECIDE, decision(status, "eve"))
    await brisk.pending(handle, stage=2)
    counted, *_ = await brisk.entries(status["proposal_id"], "decision_counted")
    refused = await brisk.entries(status["proposal_id"], "decision_refused")
    assert counted["content"]["arrival"] == BEFORE_IT + 1
    assert sum(entry["position"] < counted["position"] for entry in refused) <= PACE.batch
    assert (await answered(brisk, handle, decision(status, "cleo", stage=2))).counted


async def test_junk_in_somebodys_name_takes_nothing_from_that_persons_vote(brisk: World) -> None:
    """After more refusals in the name of eve than are listed of one person, the vote of eve counts as ever."""
    handle = await brisk.start(brisk.propose("bench.put", undo="bench.take"))
    status = await brisk.pending(handle)
    for _ in range(3 * KEPT_OF_ONE):
        await handle.signal(DECIDE, decision(status, "eve", action_digest=OTHER))
    receipt = await answered(brisk, handle, decision(status, "eve", stage=2))
    assert receipt.code == "stage_not_open"
    assert (await answered(brisk, handle, decision(status, "eve"))).counted
    refused = await brisk.entries(status["proposal_id"], "decision_refused")
    assert [entry["content"]["person"]["person_id"] for entry in refused] == ["eve"] * KEPT_OF_ONE


async def test_a_run_that_continues_keeps_votes_numbers_and_receipts(brisk: World) -> None:
    """The next run knows the votes, goes on numbering, shows the last receipts, and answers a decision as before."""
    handle = await brisk.start(brisk.propose("bench.put", undo="bench.take"))
    status = await brisk.pending(handle)
    vote = decision(status, "eve")
    before = await answered(brisk, handle, vote)
    for number in range(PACE.signals):
        await handle.signal(DECIDE, junk(status, 5 * number))
    await until(lambda: runs_of(brisk, handle), lambda found: len(found) > 1)
    shown = await until(lambda: brisk.status(handle), lambda found: found["state"] == "pending")
    assert (shown["stage"], shown["refused_messages"]) == (2, PACE.signals)
    assert vote["decision_id"] in shown["receipts"]
    assert await answered(brisk, handle, vote) == before
    refused = await answered(brisk, handle, decision(status, "eve", stage=2))
    assert refused.code == "sod_conflict"
    last = (await brisk.entries(status["proposal_id"], "decision_refused"))[-1]
    assert last["content"]["arrival"] == PACE.signals + 3
    await handle.cancel()
    assert (await brisk.result(handle)).resolution == "withdrawn"
    assert await findings(brisk, handle) == []


async def test_a_run_that_is_about_to_continue_answers_busy(brisk: World) -> None:
    """It has taken enough, and waits for the record: an update is told to come again, and the next run counts it."""
    handle = await brisk.start(brisk.propose("bench.put", undo="bench.take"))
    status = await brisk.pending(handle)
    vote = decision(status, "eve")
    async with brisk.record_away():
        for number in range(PACE.signals):
            await handle.signal(DECIDE, junk(status, 5 * number))
        told = await brisk.send(handle, vote)
    assert (told.counted, told.code, told.decision_id) == (False, "busy", vote["decision_id"])
    assert (await answered(brisk, handle, vote)).counted
    await handle.cancel()
    await brisk.result(handle)
    assert len(await runs_of(brisk, handle)) > 1


async def test_a_second_argument_is_malformed_in_a_start(brisk: World) -> None:
    """What a run hands to the next one is believed of no client: a start with it fails at once."""
    body = brisk.propose("bench.put")
    handle = await brisk.client.start_workflow(
        WORKFLOW_TYPE, args=[body, {"arrived": 7}], id=workflow_id(body["proposal_id"]), task_queue=TASK_QUEUE
    )
    with pytest.raises(WorkflowFailureError) as told:
        await handle.result()
    assert "exactly one json object is taken, got 2 arguments" in str(told.value.cause)


@workflow.defn
class CutsOff:
    """A workflow that ends while somebody waits for its answer."""

    def __init__(self) -> None:
        self._over = False

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self._over)

    @workflow.update
    async def wait(self) -> None:
        self._over = True
        await workflow.wait_condition(lambda: False)


async def test_a_handler_that_is_cut_off_fails_the_task(world: World) -> None:
    """The warning about it is an error in a worker of these tests, too: none of ours can end like that unseen."""
    client = world.client
    worker = Worker(client, task_queue="cut", workflows=[CutsOff], workflow_runner=UnsandboxedWorkflowRunner())
    async with worker:
        handle = await client.start_workflow(CutsOff.run, id=world.id(), task_queue="cut")
        waiting = asyncio.create_task(handle.execute_update(CutsOff.wait))
        await until(lambda: world.events(handle), lambda found: "workflow_task_failed" in found)
        history = await handle.fetch_history()
        await handle.terminate()
        with pytest.raises((RPCError, WorkflowUpdateFailedError)):
            await waiting
    failed = [event.workflow_task_failed_event_attributes.failure for event in history.events]
    assert any("Unfinished" in f"{item.message}{item.application_failure_info.type}" for item in failed)
