"""Reset to every completed workflow task, before and after a denial, an approval, an expiry, an effect and an undo.

However often history is taken back, with or without what people said in it: the record has the end, so every run ends
with the stored result, no permit is issued and nothing is done a second time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.service import RPCError

from activities.settings import Role
from policy.result import ActionResult
from tests.world import Handle, World, until
from workflows.interface import STATUS, workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def reset(world: World, wanted: str, event: int, *options: str) -> Handle:
    """Take a workflow back to an event, with the stock CLI; its new run."""
    where = ("--workflow-id", wanted, "--event-id", str(event), "--reason", "attack")
    code, output = await world.cli("workflow", "reset", *where, *options)
    assert code == 0, output
    return world.client.get_workflow_handle(wanted)


async def ended(world: World, handle: Handle) -> ActionResult:
    """The result of a run; one that asks people again is told to stop."""

    async def moved() -> str:
        return str((await handle.query(STATUS))["state"])

    if await until(moved, lambda state: state in ("pending", "closed")) == "pending":
        await handle.cancel()
    return await world.result(handle)


async def completed_tasks(world: World, wanted: str, run_id: str | None) -> list[int]:
    history = await world.client.get_workflow_handle(wanted, run_id=run_id).fetch_history()
    return [
        event.event_id for event in history.events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    ]


async def denied(world: World, body: Any, handle: Handle) -> None:
    await world.pending(handle)
    await world.decide(handle, "eve")
    await world.decide(handle, "cleo", "deny")


async def approved(world: World, body: Any, handle: Handle) -> None:
    await world.pending(handle)
    await world.decide(handle, "eve")
    await world.decide(handle, "cleo")


async def withdrawn(world: World, body: Any, handle: Handle) -> None:
    await world.pending(handle)
    await world.decide(handle, "eve")
    await handle.cancel()


async def compensated(world: World, body: Any, handle: Handle) -> None:
    world.bench.behaviour["bench.put", body["proposal_id"]] = "fail"
    await approved(world, body, handle)


async def nobody(world: World, body: Any, handle: Handle) -> None:
    pass


Story = Callable[[World, Any, Handle], Awaitable[None]]
STORIES: dict[str, tuple[str, str | None, Story, tuple[str, str]]] = {
    "denied": ("bench.put", "bench.take", denied, ("denied", "not_executed")),
    "succeeded": ("bench.put", "bench.take", approved, ("approved", "succeeded")),
    "compensated": ("bench.put", "bench.take", compensated, ("approved", "compensated")),
    "withdrawn": ("bench.put", "bench.take", withdrawn, ("withdrawn", "not_executed")),
    "expired": ("bench.lapse", None, nobody, ("expired", "not_executed")),
    "allowed": ("bench.set", "bench.unset", nobody, ("approved", "succeeded")),
}


@pytest.mark.parametrize("story", STORIES)
async def test_no_reset_of_a_closed_action_does_anything_again(world: World, story: str) -> None:
    """Every completed workflow task of a closed run, with everything reapplied and with nothing: the same end."""
    operation, undo, happen, end = STORIES[story]
    body = world.propose(operation, undo=undo)
    proposal_id = body["proposal_id"]
    handle = await world.start(body)
    await happen(world, body, handle)
    result = await world.result(handle)
    assert (result.resolution, result.outcome) == end
    did, permits = await world.effects(proposal_id), await world.permits(proposal_id)
    for event in await completed_tasks(world, handle.id, handle.result_run_id):
        for options in ((), ("--reapply-exclude", "All")):
            again = await reset(world, handle.id, event, "--run-id", str(handle.result_run_id), *options)
            assert await ended(world, again) == result
    assert await world.effects(proposal_id) == did
    assert await world.permits(proposal_id) == permits


async def test_no_reset_of_a_pending_action_forgets_or_adds_a_vote(world: World) -> None:
    """Taken back to before the first vote, the run learns from the record that it was given; one more is asked."""
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body)
    await world.pending(handle)
    await world.decide(handle, "eve")
    again = world.client.get_workflow_handle(handle.id)
    for event in await completed_tasks(world, handle.id, handle.result_run_id):
        await reset(world, handle.id, event, "--run-id", str(handle.result_run_id), "--reapply-exclude", "All")
        await world.pending(again, stage=(await world.status(again))["stage"])
        assert await world.permits(body["proposal_id"]) == []
    # Whoever voted cannot vote in the second stage, whatever the run remembers.
    assert (await world.decide(again, "bob", stage=1)).code == "stage_closed"
    assert (await world.decide(again, "cleo", stage=2)).resolution == "approved"
    assert (await world.result(again)).outcome == "succeeded"


async def test_a_reset_while_a_step_runs_does_not_run_it_again(world: World) -> None:
    """The new run finds the permit claimed by another attempt; the effect happens once and its report counts."""
    body = world.propose("bench.set", undo="bench.unset")
    proposal_id = body["proposal_id"]
    world.bench.behaviour["bench.set", proposal_id] = "hang"
    handle = await world.start(body)
    await world.bench.begun[proposal_id].wait()
    (event, *_) = await completed_tasks(world, handle.id, None)
    again = await reset(world, handle.id, event)
    refused = await until(lambda: world.entries(proposal_id, "claim_refused"))
    assert [entry["content"]["code"] for entry in refused] == ["claimed_by_another"]
    world.bench.go_on[proposal_id].set()
    await until(lambda: world.effects(proposal_id))
    with suppress(RPCError):  # it may have ended by itself
        await again.terminate()
    assert await world.effects(proposal_id) == ["do bench.set"]


async def test_a_reset_between_permit_and_claim_uses_the_permit_once(world: World) -> None:
    """The permit was issued and nobody acted on it: the new run gets the same permit, and one effect happens."""
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    body = world.propose("bench.set", undo="bench.unset")
    proposal_id = body["proposal_id"]
    handle = await world.start(body)
    await until(lambda: world.permits(proposal_id))
    again = world.client.get_workflow_handle(handle.id)
    for event in await completed_tasks(world, handle.id, None):
        await reset(world, handle.id, event, "--run-id", str(handle.result_run_id))
    await world.start_workers(Role.executor)
    result = await world.result(again)
    await world.stop_workers()
    await world.start_workers()
    assert result.outcome == "succeeded"
    assert await world.effects(proposal_id) == ["do bench.set"]
    assert await world.permits(proposal_id) == [(1, "do", "claimed"), (1, "undo", "void")]


async def test_delete_and_start_again_does_nothing_again(world: World) -> None:
    """After the history is gone, the record still has the result of every kind of end, and gives it back."""

    async def lived(operation: str, happen: Story) -> tuple[Any, ActionResult]:
        body = world.propose(operation, undo="bench.unset" if operation == "bench.set" else "bench.take")
        if operation == "bench.lapse":
            del body["steps"][0]["undo"]
        handle = await world.start(body)
        await happen(world, body, handle)
        return body, await world.result(handle)

    lives = [("bench.set", nobody), ("bench.put", denied), ("bench.put", approved), ("bench.lapse", nobody)]
    ends = await asyncio.gather(*(lived(operation, happen) for operation, happen in lives))
    for body, result in ends:
        wanted, did = workflow_id(body["proposal_id"]), await world.effects(body["proposal_id"])
        code, output = await world.cli("workflow", "delete", "--workflow-id", wanted, "--yes")
        assert code == 0, output
        assert await world.run(body) == result
        assert await world.effects(body["proposal_id"]) == did
