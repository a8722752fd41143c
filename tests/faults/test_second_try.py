"""A step whose permit nobody had claimed is tried once more; whoever lies about that wins a delay and no effect."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.auditing import audit
from activities.database import lock_key
from activities.export import export_action
from activities.settings import Role
from policy.permit import Direction, permit_id
from tests.faults.attack import forge, running
from tests.world import Handle, World, until
from worker import workflow_runner
from workflows.interface import EXECUTOR_QUEUE

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODY = {"status": "unknown", "effect": "none", "message": "never claimed", "claimed": False}


class Rogue:
    """Somebody else's executor: it fails every step, and says of every look what it was told to say."""

    def __init__(self, answer: dict[str, Any] | None = None) -> None:
        self._answer = answer
        self.tries = 0

    @activity.defn(name="execute")
    async def execute(self, _request: Any) -> None:
        self.tries += 1
        raise ApplicationError("broken")

    @activity.defn(name="observe")
    async def observe(self, request: Any) -> dict[str, Any]:
        if self._answer is None:
            raise ApplicationError("blind")
        return self._answer | {"permit_id": request["permit_id"]}

    def working(self, world: World) -> Worker:
        """A worker with it."""
        return Worker(world.client, task_queue=EXECUTOR_QUEUE, activities=[self.execute, self.observe])


@contextlib.asynccontextmanager
async def without_executor(world: World) -> AsyncIterator[None]:
    """Without an executor of ours inside the block."""
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    try:
        yield
    finally:
        await world.stop_workers()
        await world.start_workers()


async def _fail(world: World, handle: Handle) -> None:
    """Fail what runs, as the server does when its worker died."""
    which = ("--workflow-id", handle.id, "--activity-id", await running(handle))
    code, output = await world.cli("activity", "fail", *which)
    assert code == 0, output


async def _findings(world: World, handle: Handle) -> list[str]:
    file = await export_action(world.client, world.database, handle.id, at=datetime.now(UTC))
    return [str(finding) for finding in (await audit(file.body(), workflow_runner())).findings]


@pytest.mark.parametrize("stopped", [False, True], ids=["", "stopped"])
async def test_a_permit_that_nobody_claimed_is_tried_once_more(world: World, stopped: bool) -> None:
    """The first try came to nothing: the second one does it under the same permit, unless a stop came meanwhile."""
    body = world.propose("bench.set", undo="bench.unset")
    rogue = Rogue()
    async with without_executor(world):
        async with rogue.working(world):
            handle = await world.start(body)
            # The permit, the try, the look.
            await until(lambda: world.events(handle), lambda found: found.count("activity_task_scheduled") == 3)
        if stopped:
            await handle.cancel()
        await world.start_workers(Role.executor)
        result = await world.result(handle)
    effects, use = ([], "void") if stopped else (["do bench.set"], "claimed")
    ended = ("withdrawn", "not_executed") if stopped else ("approved", "succeeded")
    assert rogue.tries == 1
    assert (result.resolution, result.outcome) == ended
    assert await world.effects(body["proposal_id"]) == effects
    assert await world.permits(body["proposal_id"]) == [(1, "do", use), (1, "undo", "void")]
    assert await _findings(world, handle) == []


async def test_a_first_try_that_claims_late_is_not_doubled(world: World) -> None:
    """Somebody says that nobody had claimed while the first try acts: the second is refused, the first is observed."""
    body = world.propose("bench.set", undo="bench.unset")
    proposal_id = body["proposal_id"]
    permit = permit_id(proposal_id, 1, 1, Direction.do)
    world.bench.behaviour["bench.set", proposal_id] = "hang"
    handle = await world.start(body)
    await world.bench.begun[proposal_id].wait()
    await _fail(world, handle)
    await forge(world, handle, "observe", {"permit_id": permit, **NOBODY})
    refused = await until(lambda: world.entries(proposal_id, "claim_refused"))
    assert [entry["content"]["code"] for entry in refused] == ["claimed_by_another"]
    world.bench.go_on[proposal_id].set()
    assert (await world.result(handle)).outcome == "succeeded"
    assert await world.effects(proposal_id) == ["do bench.set"]
    assert await world.entries(proposal_id, "violation") == []
    # Nobody could have found that after the claim: an audit names the answer.
    [finding] = await _findings(world, handle)
    assert "it was told unknown, none, the ledger has succeeded, done" in finding


async def test_two_tries_that_claim_at_once_do_it_once(world: World) -> None:
    """The first try still waits to claim when it is looked at: one of the two claims, and no audit wonders."""
    body = world.propose("bench.set", undo="bench.unset")
    proposal_id = body["proposal_id"]
    async with without_executor(world):
        handle = await world.start(body)
        await until(lambda: world.permits(proposal_id))
        holder = await asyncpg.connect(world.url)
        await holder.execute(f"SELECT pg_advisory_lock({lock_key(proposal_id)})")
        await world.start_workers(Role.executor)
        await until(lambda: world.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        await _fail(world, handle)
        # The permit, the try, the look, the second try.
        await until(lambda: world.events(handle), lambda found: found.count("activity_task_scheduled") == 4)
        await holder.close()
        result = await world.result(handle)
    # A first try that already knows that it was given up claims and does nothing.
    ends = {"succeeded": ["do bench.set"], "not_executed": []}
    assert await world.effects(proposal_id) == ends[result.outcome]
    assert await _findings(world, handle) == []


async def test_saying_for_ever_that_nobody_claimed_ends(world: World) -> None:
    """Whoever fails every try and says so at every look wins a second try, and not a third."""
    body = world.propose("bench.set", undo="bench.unset")
    rogue = Rogue(NOBODY)
    async with without_executor(world), rogue.working(world):
        result = await world.run(body)
    assert rogue.tries == 2
    assert (result.resolution, result.outcome) == ("approved", "not_executed")
    assert await world.permits(body["proposal_id"]) == [(1, "do", "void"), (1, "undo", "void")]
