"""A backup of the record comes back: a real copy of a real database, real actions, and a target that counts effects."""

import logging
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from activities.anchor import ACKNOWLEDGEMENT, FileAnchor, beside
from activities.auditing import audit
from activities.connection import connect
from activities.export import export_action
from deploy.dev import Stack
from policy.anchoring import RECORD_LEDGER, read_copy
from policy.result import ActionResult
from tests.anchors import anchored
from tests.bench_target import TABLE, BenchExecutor
from tests.faults.restoring import KEYS, back_up, governed, handed_in, said, seen
from tests.world import Handle, World, publish_documents, record, running_world, temporal_server
from worker import workflow_runner
from workflows.interface import workflow_id

COPY = "anchor.json"


@pytest_asyncio.fixture(name="town")
async def _town(stack: Stack, tmp_path: Path) -> AsyncIterator[World]:
    """A world whose copy outside the record is a file, and whose target is in another database than its record."""
    with temporal_server() as server:
        client = await connect(address=server.address, identity="tests")
        async with record(stack) as name, record(stack) as elsewhere:
            await publish_documents(stack.database_url("postgres", name), *governed())
            anchor = FileAnchor(tmp_path / COPY)
            pool = asyncpg.create_pool(stack.database_url("postgres", elsewhere), min_size=1, max_size=4)
            async with pool as target, running_world(stack, client, name, anchor=anchor) as world:
                await world.stop_workers()
                await target.execute(TABLE)
                world.bench = BenchExecutor(target)
                await world.start_workers()
                yield world
                await world.stop_workers()
            await _drop_backup(stack, name)


async def _drop_backup(stack: Stack, name: str) -> None:
    admin = await asyncpg.connect(stack.database_url("postgres", "postgres"))
    await admin.execute(f"DROP DATABASE IF EXISTS {name}_backup WITH (FORCE)")
    await admin.close()


async def _approve(town: World, handle: Handle) -> ActionResult:
    """Both stages approve; the result."""
    await town.pending(handle)
    assert (await town.decide(handle, "eve")).counted
    await town.pending(handle, stage=2)
    assert (await town.decide(handle, "cleo")).counted
    return await town.result(handle)


def _code(result: ActionResult) -> str:
    assert (result.resolution, result.outcome) == ("approved", "not_executed")
    return result.reasons[0].code


async def _consistent(town: World, proposal_id: str) -> None:
    file = await export_action(town.client, town.database, workflow_id(proposal_id), at=datetime.now(UTC))
    assert (await audit(file.body(), workflow_runner())).findings == ()


async def _settle(town: World) -> None:
    """What the worker does by itself every few seconds."""
    assert await anchored(town.anchor).settle(town.database, datetime.now(UTC)) is None


async def test_a_restored_backup_runs_nothing_twice(
    town: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An action that ran is pending again in the copy of the day before; approved once more it runs no second time."""
    body, late = town.propose("bench.put", undo="bench.take"), town.propose("bench.touch")
    proposal_id = body["proposal_id"]
    handle = await town.start(body)
    await town.pending(handle)
    await town.stop_workers()
    backup = await back_up(town)
    await town.start_workers()
    assert (await _approve(town, handle)).outcome == "succeeded"
    assert (await town.run(late)).outcome == "succeeded"

    await town.stop_workers()
    await backup.put_back()
    with caplog.at_level(logging.ERROR, "countersign.anchor"):
        await town.start_workers()
    assert "the record lacks entry" in caplog.text

    assert _code(await _approve(town, await town.start(body))) == "record_behind"
    (refused,) = await town.entries(proposal_id, "dispatch_refused")
    assert refused["content"]["behind"]["kind"] == "entry_missing"
    assert refused["content"]["behind"]["missing"] == sorted([proposal_id, late["proposal_id"]])
    assert _code(await town.run(town.propose("bench.touch"))) == "record_behind"
    assert (await town.permits(proposal_id), await town.effects(proposal_id)) == ([], ["do bench.put"])
    await _consistent(town, proposal_id)

    found = await seen(town.database, town.anchor)
    beside(tmp_path / COPY, ACKNOWLEDGEMENT).write_bytes(handed_in(said(found, KEYS["sam"]), said(found, KEYS["dora"])))
    await _settle(town)
    assert (await town.run(town.propose("bench.touch"))).outcome == "succeeded"
    assert _code(await town.run(late)) == "record_behind"
    assert await town.effects(late["proposal_id"]) == ["do bench.touch"]
    await _consistent(town, late["proposal_id"])
    (entry,) = await town.entries(RECORD_LEDGER)
    assert entry["content"]["people"] == ["dora", "sam"]
    await _consistent(town, RECORD_LEDGER)


async def test_the_copy_is_ahead_before_anybody_has_the_permit(town: World) -> None:
    """What the copy remembers is the entry that says what is about to happen, and no number has a gap to fill."""
    result = await town.run(town.propose("bench.touch"))
    (entry,) = await town.entries(result.proposal_id, "dispatched")
    newest = read_copy(await town.anchor.read() or b"").newest
    assert newest is not None
    rows = await town.sql("SELECT digest FROM countersign.ledger_entry WHERE seq = $1", newest.seq)
    assert (newest.proposal_id, newest.digest) == (result.proposal_id, rows[0]["digest"])
    assert entry["entry_id"]


LOST: dict[str, Callable[[bytes], bytes | None]] = {
    "deleted": lambda _: None,
    "cut": lambda body: body[:-3],
    "empty": lambda _: b"",
    "another number": lambda body: body.replace(b'"seq":', b'"seq":1'),
    "another digest": lambda body: re.sub(rb"sha256:[0-9a-f]{64}", b"sha256:" + b"0" * 64, body),
}


@pytest.mark.parametrize("how", LOST)
async def test_a_copy_that_was_lost_or_changed_is_no_empty_one(town: World, tmp_path: Path, how: str) -> None:
    """Without the copy, or with one that says something else, nothing is issued until people acknowledged it."""
    assert (await town.run(town.propose("bench.touch"))).outcome == "succeeded"
    body = await town.anchor.read()
    assert body is not None
    wrong = LOST[how](body)
    if wrong is None:
        (tmp_path / COPY).unlink()
    else:
        (tmp_path / COPY).write_bytes(wrong)

    assert _code(await town.run(town.propose("bench.touch"))) == "record_behind"
    await town.stop_workers()
    await town.start_workers()
    assert _code(await town.run(town.propose("bench.touch"))) == "record_behind"

    found = await seen(town.database, town.anchor)
    beside(tmp_path / COPY, ACKNOWLEDGEMENT).write_bytes(handed_in(said(found, KEYS["sam"]), said(found, KEYS["dora"])))
    await _settle(town)
    assert (await town.run(town.propose("bench.touch"))).outcome == "succeeded"
    await _consistent(town, RECORD_LEDGER)


async def test_a_new_worker_without_a_copy_issues_nothing(town: World, tmp_path: Path) -> None:
    """A second worker that remembers nothing begins on no record with permits; with the copy of the first it does."""
    assert (await town.run(town.propose("bench.touch"))).outcome == "succeeded"
    await town.stop_workers()
    first, town.anchor = town.anchor, FileAnchor(tmp_path / "second.json")
    await town.start_workers()
    assert _code(await town.run(town.propose("bench.touch"))) == "record_behind"
    (tmp_path / "second.json").write_bytes(await first.read() or b"")
    assert (await town.run(town.propose("bench.touch"))).outcome == "succeeded"
