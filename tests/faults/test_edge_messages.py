"""Malformed messages, one by one: each is answered or recorded, nothing wedges, and a good decision afterwards counts.

The shapes are those that wedge or silently lose a message in a workflow with typed handlers.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.converter import DataConverter

from tests.faults.sending import Sender, raw
from tests.world import Handle, World, decision, until
from workflows.interface import DECIDE, STATUS, TASK_QUEUE, WORKFLOW_TYPE, workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = b'{"decision_id": "x", "vote": "approve"}'


# Name, payloads, and what the sender must be told.
SHAPES: dict[str, tuple[Sequence[Payload], str]] = {
    "missing field": ([raw(GOOD)], "malformed decision: "),
    "wrong type": ([raw(b'{"decision_id": 7}')], "decision_id"),
    "extra field": ([raw(b'{"decision_id": "x", "verdict": "approve"}')], "malformed decision"),
    "binary null": ([raw(b"", "binary/null")], "a json object is taken, got null"),
    "json null": ([raw(b"null")], "a json object is taken, got null"),
    "a list": ([raw(b"[]")], "a json object is taken, got list"),
    "a text": ([raw(b'"approve"')], "a json object is taken, got str"),
    "no arguments": ([], "exactly one json object is taken, got 0 arguments"),
    "two arguments": ([raw(GOOD), raw(GOOD)], "exactly one json object is taken, got 2 arguments"),
    "bytes": ([raw(b"\x00\xff", "binary/plain")], "payload has encoding binary/plain"),
    "unknown encoding": ([raw(GOOD, "json/encrypted")], "payload has encoding json/encrypted"),
    "no encoding": ([Payload(data=GOOD)], "payload has encoding (none)"),
    "encoding that is no text": ([Payload(metadata={"encoding": b"\xff\xfe"}, data=GOOD)], "payload has encoding"),
    "truncated json": ([raw(b'{"decision_id": "x')], "json text is malformed"),
    "no utf-8": ([raw(b'{"a": "\xff"}')], "json text is not utf-8"),
    "duplicate keys": ([raw(b'{"vote": "deny", "vote": "approve"}')], "key 'vote' occurs twice"),
    "not a number": ([raw(b'{"vote": NaN}')], "NaN is not json"),
    "huge number": ([raw(b'{"stage": ' + b"9" * 5000 + b"}")], "json text is malformed"),
    "surrogate": ([raw(b'{"vote": "\\ud800"}')], "surrogates"),
    "nul": ([raw(b'{"vote": "\\u0000"}')], "U+0000"),
    "deeply nested": ([raw(b"[" * 10_000 + b"]" * 10_000)], "nested deeper"),
    "too large": ([raw(b'{"a": "' + b"x" * 500_000 + b'"}')], "json text has 500009 bytes"),
}


@pytest.fixture(name="sender")
def _sender(world: World) -> Sender:
    return Sender(world)


@pytest_asyncio.fixture(name="waiting", scope="module", loop_scope="module")
async def _waiting(world: World) -> AsyncIterator[Handle]:
    """One action that all the malformed messages go to; at the end it is decided as if nothing had happened."""
    handle = await world.start(world.propose("bench.put", undo="bench.take"))
    await world.pending(handle)
    yield handle
    assert (await world.decide(handle, "eve")).counted
    assert (await world.decide(handle, "cleo")).counted
    assert (await world.result(handle)).outcome == "succeeded"
    assert not [event for event in await world.events(handle) if event == "workflow_task_failed"]


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_malformed_update_is_answered(sender: Sender, world: World, waiting: Handle, shape: str) -> None:
    """The sender of a malformed update is told what is wrong with it, and the history does not grow."""
    payloads, said = SHAPES[shape]
    before = len(await world.events(waiting))
    assert said in await sender.update(waiting, DECIDE, payloads)
    assert len(await world.events(waiting)) == before


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_malformed_signal_is_recorded(sender: Sender, world: World, waiting: Handle, shape: str) -> None:
    """Nobody waits for the answer to a signal: what is wrong with it is in the ledger and in the status."""
    payloads, said = SHAPES[shape]
    proposal_id = waiting.id.removeprefix("action/")
    before = (await world.status(waiting))["refused_messages"]
    await sender.signal(waiting, DECIDE, payloads)
    status = await until(lambda: world.status(waiting), lambda found: found["refused_messages"] > before)
    assert status["state"] == "pending"
    receipts = [entry["content"]["receipt"] for entry in await world.entries(proposal_id, "decision_refused")]
    assert any(receipt["code"] == "malformed" and said in receipt["message"] for receipt in receipts), receipts[-1]


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_malformed_start_fails_at_once(sender: Sender, world: World, shape: str) -> None:
    """What is no proposal fails readably within one task, instead of hanging in retries."""
    payloads, said = SHAPES[shape]
    handle = await sender.start(world.id(), payloads)
    with pytest.raises(WorkflowFailureError) as told:
        await world.result(handle)
    assert "malformed proposal: " in str(told.value.cause)
    assert said.removeprefix("malformed decision") in str(told.value.cause) or "malformed decision" in said
    assert (await handle.describe()).status is WorkflowExecutionStatus.FAILED


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_query_is_answered_whatever_comes_with_it(sender: Sender, waiting: Handle, shape: str) -> None:
    """Arguments of a query are not read."""
    assert (await sender.query(waiting, STATUS, SHAPES[shape][0]))["state"] == "pending"


@pytest.mark.parametrize("name", ["approve", "Decide", "x" * 900, "décider \U0001f4a5\n"])
async def test_an_unknown_name_is_answered_or_recorded(
    sender: Sender, world: World, waiting: Handle, name: str
) -> None:
    """An update of another name is told so; a signal of another name is recorded."""
    submission = DataConverter.default.payload_converter.to_payloads([decision(await world.status(waiting), "eve")])
    assert "unknown update" in await sender.update(waiting, name, submission)
    before = (await world.status(waiting))["refused_messages"]
    await sender.signal(waiting, name, submission)
    status = await until(lambda: world.status(waiting), lambda found: found["refused_messages"] > before)
    assert (status["state"], status["stage"]) == ("pending", 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--input", '{"vote": "approve"}'],
        ["--input", "null"],
        ["--input", "[]"],
        ["--input", '"approve"'],
        [],
        ["--input", "{}", "--input", "{}"],
        ["--input", '{"vote": "deny", "vote": "approve"}'],
        ["--input", "\x01\x02", "--input-meta", "encoding=binary/plain"],
        ["--input", "{}", "--input-meta", "encoding=json/unknown"],
    ],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
async def test_the_stock_cli_cannot_wedge_an_action(world: World, waiting: Handle, arguments: list[str]) -> None:
    """What the stock `temporal` CLI sends by mistake is answered by the update and recorded for the signal."""
    before = (await world.status(waiting))["refused_messages"]
    (failed, told), (sent, output), _ = await asyncio.gather(
        world.cli("workflow", "update", "execute", "--workflow-id", waiting.id, "--name", DECIDE, *arguments),
        world.cli("workflow", "signal", "--workflow-id", waiting.id, "--name", DECIDE, *arguments),
        world.cli("workflow", "query", "--workflow-id", waiting.id, "--type", STATUS, *arguments),
    )
    assert failed
    assert "type: BadDecision, retryable: false" in told
    assert (sent, output.strip()) == (0, "Signal workflow succeeded")
    await until(lambda: world.status(waiting), lambda found: found["refused_messages"] > before)


@pytest.mark.parametrize("arguments", [[], ["--input", "null"], ["--input", "{}"], ["--input", "{}", "--input", "{}"]])
async def test_a_malformed_start_by_the_stock_cli_fails_at_once(world: World, arguments: list[str]) -> None:
    """Who starts an action by hand and leaves something out is told what, at once."""
    where = ("--type", WORKFLOW_TYPE, "--task-queue", TASK_QUEUE, "--workflow-id", workflow_id(world.id()))
    code, output = await world.cli("workflow", "execute", *where, *arguments)
    assert code
    assert "malformed proposal: " in output


async def test_the_stock_cli_signals_many_and_decides_nothing(world: World, waiting: Handle) -> None:
    """One batch command that signals every running workflow approves none: a decision names what it is about."""
    other = await world.start(world.propose("bench.put", undo="bench.take"))
    status = await world.pending(other)
    submission = json.dumps(decision(status, "eve"))
    batch = ("workflow", "signal", "--query", 'ExecutionStatus="Running"', "--name", DECIDE, "--input", submission)
    code, output = await world.cli(*batch, "--yes")
    assert code == 0, output
    await world.pending(other, stage=2)
    refused = await until(lambda: _refusals_of(world, waiting), lambda found: "unknown_request" in found)
    assert refused
    assert (await world.status(waiting))["stage"] == 1


async def test_a_flood_of_junk_grows_neither_ledger_nor_state_without_end(world: World, sender: Sender) -> None:
    """A hundred malformed signals are all taken in, and the good decision behind them counts."""
    handle = await world.start(world.propose("bench.put", undo="bench.take"))
    await world.pending(handle)
    await asyncio.gather(*(sender.signal(handle, DECIDE, [raw(b"null")]) for _ in range(100)))
    assert (await world.decide(handle, "eve")).counted
    proposal_id = handle.id.removeprefix("action/")
    assert len(await world.entries(proposal_id, "decision_refused")) <= 100


async def test_megabytes_that_waited_for_a_worker_are_read_one_by_one(world: World, sender: Sender) -> None:
    """What arrived while no worker ran is more JSON than one task could read; the decision behind it counts."""
    handle = await world.start(world.propose("bench.put", undo="bench.take"))
    await world.pending(handle)
    giant = raw(b'{"a":[' + b"0," * 100_000 + b"0]}")
    async with world.paused():
        for _ in range(40):
            await sender.signal(handle, DECIDE, [giant])
    assert (await world.decide(handle, "eve")).counted


async def test_a_number_that_the_record_cannot_hold_is_no_decision(world: World, sender: Sender) -> None:
    """A stage beyond every case is recorded as malformed, and holds nothing back."""
    handle = await world.start(world.propose("bench.put", undo="bench.take"))
    status = await world.pending(handle)
    poison = decision(status, "eve") | {"stage": 3_000_000_000, "decision_id": "poison"}
    await sender.signal(handle, DECIDE, [raw(json.dumps(poison).encode())])
    assert (await world.decide(handle, "eve")).counted
    assert await _refusals_of(world, handle) == ["malformed"]


async def _refusals_of(world: World, handle: Handle) -> list[str]:
    entries = await world.entries(handle.id.removeprefix("action/"), "decision_refused")
    return [entry["content"]["receipt"]["code"] for entry in entries]
