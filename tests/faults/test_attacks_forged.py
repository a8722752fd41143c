"""Answers that somebody else gave in the place of our activities: by `temporal activity complete`, or a rogue worker.

The workflow may be told anything. What it was told opens no gate, issues no permit and is no report.
"""

import contextlib
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.settings import Role
from policy.permit import Direction, permit_id
from tests.faults.attack import asked, call, forge, observed, plan, running
from tests.world import World, decision, until
from worker import workflow_runner
from workflows.authorize import AuthorizeAction
from workflows.interface import DECIDE, EXECUTOR_QUEUE, TASK_QUEUE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_forged_assessment_authorizes_nothing(world: World) -> None:
    """`temporal activity complete` says that nobody has to be asked: the record does not know it, and the run fails."""
    body = world.propose("bench.put", undo="bench.take")
    async with world.record_away():
        handle = await world.start(body)
        await forge(world, handle, "assess", {"plan": plan(body)})
    with pytest.raises(WorkflowFailureError) as told:
        await world.result(handle)
    assert "the record does not know proposal" in str(told.value.cause)
    assert await world.permits(body["proposal_id"]) == []
    # A proper start is assessed properly.
    await world.pending(await world.start(body))


async def test_a_forged_plan_that_waits_for_nobody_ends(world: World) -> None:
    """A forged plan without a question and without a deadline neither spins nor waits for ever."""
    body = world.propose("bench.put", undo="bench.take")
    async with world.record_away():
        handle = await world.start(body)
        await forge(world, handle, "assess", {"plan": plan(body, resolution=None)})
    with pytest.raises(WorkflowFailureError):
        await world.result(handle)
    assert await world.effects(body["proposal_id"]) == []


async def test_a_forged_result_of_the_assessment_runs_nothing(world: World) -> None:
    """`assess` answered with a finished result closes the run with that lie; the record has nothing of it."""
    body = world.propose("bench.put", undo="bench.take")
    lie = (await world.run(world.propose("bench.touch"))).model_dump(mode="json")
    async with world.record_away():
        handle = await world.start(body)
        await forge(world, handle, "assess", {"result": lie})
        await world.result(handle)
    assert await world.permits(body["proposal_id"]) == []
    await world.pending(await world.start(body))


@pytest.mark.parametrize("name", ["take_decision", "advance"])
async def test_a_forged_approval_opens_no_gate(world: World, name: str) -> None:
    """The workflow is told that the action was approved: the permit is refused, and people are still asked."""
    proposal_id, handle = await asked(world)
    submission = decision(await world.status(handle), "eve")
    receipt = {"decision_id": submission["decision_id"], "counted": True}
    async with world.record_away():
        await (handle.signal(DECIDE, submission) if name == "take_decision" else handle.cancel())
        await forge(world, handle, name, {"receipt": receipt, "resolution": "approved"})
    if name == "take_decision":
        await until(lambda: world.entries(proposal_id, "dispatch_refused"))
        await handle.cancel()
    else:
        await until(lambda: world.status(handle), lambda found: found["state"] != "pending")
        await handle.terminate()
    assert await world.permits(proposal_id) == []
    assert await world.effects(proposal_id) == []


async def test_a_forged_permit_is_none(world: World) -> None:
    """`dispatch` answered with a permit id: the executor reads permits from the record, and finds none."""
    body = world.propose("bench.set", undo="bench.unset")
    proposal_id = body["proposal_id"]
    forged = {"permit_id": permit_id(proposal_id, 1, 1, Direction.do), "undo_permit_id": str(uuid4())}
    await world.stop_workers()
    await world.start_workers(Role.control)
    handle = await world.start(body)
    await forge(world, handle, "dispatch", forged)
    await world.start_workers(Role.permit, Role.executor)
    result = await world.result(handle)
    await world.stop_workers()
    await world.start_workers()
    assert (result.resolution, result.outcome) == ("approved", "not_executed")
    assert await world.effects(proposal_id) == []


@pytest.mark.parametrize("text", ["done", "\u0000" + "x" * 50_000])
async def test_a_forged_effect_is_a_violation_and_no_effect(world: World, text: str) -> None:
    """`execute` answered with success while no executor ran: the outcome follows the record, which has no report."""
    body = world.propose("bench.set", undo="bench.unset")
    proposal_id = body["proposal_id"]
    permit = permit_id(proposal_id, 1, 1, Direction.do)
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    handle = await world.start(body)
    lie = {"permit_id": permit, "status": "succeeded", "effect": "done", "message": text}
    await forge(world, handle, "execute", lie)
    result = await world.result(handle)
    await world.stop_workers()
    await world.start_workers()
    assert (result.resolution, result.outcome) == ("approved", "not_executed")
    assert len(await world.entries(proposal_id, "violation")) == 1
    assert await world.permits(proposal_id) == [(1, "do", "void"), (1, "undo", "void")]
    told = await call(world, "execute", EXECUTOR_QUEUE, {"permit_id": permit})
    assert told["message"].startswith("void")
    assert await world.effects(proposal_id) == []


async def test_an_effect_answered_for_while_it_runs_is_done_once(world: World) -> None:
    """`execute` is completed by hand while the executor still acts: the record waits, looks, and finds it done."""
    body = world.propose("bench.set", undo="bench.unset")
    proposal_id = body["proposal_id"]
    permit = permit_id(proposal_id, 1, 1, Direction.do)
    world.bench.behaviour["bench.set", proposal_id] = "hang"
    handle = await world.start(body)
    await world.bench.begun[proposal_id].wait()
    await forge(world, handle, "execute", {"permit_id": permit, "status": "failed", "effect": "none"})
    world.bench.go_on[proposal_id].set()
    await until(lambda: world.effects(proposal_id))
    await handle.terminate()
    await until(lambda: observed(world, permit), lambda told: told["effect"] == "done")
    assert (await world.run(body)).outcome == "succeeded"
    assert await world.effects(proposal_id) == ["do bench.set"]


async def test_an_effect_that_somebody_failed_while_it_runs_is_done_once(world: World) -> None:
    """`execute` is failed by hand while the executor acts: the workflow looks, and runs nothing a second time."""
    body = world.propose("bench.set", undo="bench.unset")
    proposal_id = body["proposal_id"]
    world.bench.behaviour["bench.set", proposal_id] = "hang"
    handle = await world.start(body)
    await world.bench.begun[proposal_id].wait()
    which = ("--workflow-id", handle.id, "--activity-id", await running(handle))
    code, output = await world.cli("activity", "fail", *which)
    assert code == 0, output
    await until(lambda: world.events(handle), lambda found: found.count("activity_task_scheduled") == 2)
    world.bench.go_on[proposal_id].set()
    await until(lambda: world.effects(proposal_id))
    # The look may be over before this, and the action with it.
    with contextlib.suppress(RPCError):
        await handle.terminate()
    assert (await world.permits(proposal_id))[0] == (1, "do", "claimed")
    assert await world.effects(proposal_id) == ["do bench.set"]


# What somebody may complete our activities with.
UNREADABLE = ["[]", '"approved"', "7", '{"plan": {"steps": 1}}', '{"resolution": "whatever"}', '{"stale": "x"}']


async def test_an_assessment_that_is_none_is_asked_for_again(world: World) -> None:
    """Whatever somebody completes `assess` with, the workflow neither wedges nor ends: it asks again."""
    bodies = [world.propose("bench.put", undo="bench.take") for _ in UNREADABLE]
    async with world.record_away():
        handles = [await world.start(body) for body in bodies]
        for handle, lie in zip(handles, UNREADABLE, strict=True):
            await forge(world, handle, "assess", lie)
    for handle in handles:
        await world.pending(handle)


async def test_an_answer_to_a_vote_that_is_none_is_asked_for_again(world: World) -> None:
    """Whatever somebody completes `take_decision` with, the vote still counts when the record is back."""
    waiting = [await asked(world) for _ in UNREADABLE]
    votes = [decision(await world.status(handle), "eve") for _, handle in waiting]
    async with world.record_away():
        for (_, handle), vote in zip(waiting, votes, strict=True):
            await handle.signal(DECIDE, vote)
        for (_, handle), lie in zip(waiting, UNREADABLE, strict=True):
            await forge(world, handle, "take_decision", lie)
    for _, handle in waiting:
        assert (await world.pending(handle, stage=2))["stages"][0]["approvals"] == ["eve"]


@pytest.mark.parametrize("lie", ["{}", '"done"', '{"permit_id": 7}'])
async def test_a_report_that_is_none_does_not_wedge(world: World, lie: str) -> None:
    """`execute` completed with what is no report while nothing ran: the outcome follows the record."""
    body = world.propose("bench.set", undo="bench.unset")
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    handle = await world.start(body)
    await forge(world, handle, "execute", lie)
    result = await world.result(handle)
    await world.stop_workers()
    await world.start_workers()
    assert (result.resolution, result.outcome) == ("approved", "not_executed")
    assert await world.effects(body["proposal_id"]) == []


async def test_a_rogue_executor_can_claim_nothing(world: World) -> None:
    """A worker of somebody else polls the executor queue and reports success: a lie on record, and no effect."""

    @activity.defn(name="execute")
    async def lie(request: Any) -> Any:
        return {"permit_id": request["permit_id"], "status": "succeeded", "effect": "done"}

    body = world.propose("bench.set", undo="bench.unset")
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    async with Worker(world.client, task_queue=EXECUTOR_QUEUE, activities=[lie]):
        result = await world.run(body)
    await world.stop_workers()
    await world.start_workers()
    assert (result.resolution, result.outcome) == ("approved", "not_executed")
    assert len(await world.entries(body["proposal_id"], "violation")) == 1
    assert await world.effects(body["proposal_id"]) == []


async def test_a_rogue_worker_on_our_queue_gets_no_effect(world: World) -> None:
    """Somebody else's worker runs our workflow with activities that lie: the true executor finds no permit."""
    body = world.propose("bench.put", undo="bench.take")
    proposal_id = body["proposal_id"]
    lied = (await world.run(world.propose("bench.touch"))).model_dump(mode="json")

    @activity.defn(name="assess")
    async def assess(request: Any) -> Any:
        return {"plan": plan(body)}

    @activity.defn(name="dispatch")
    async def issue(request: Any) -> Any:
        return {"permit_id": permit_id(proposal_id, 1, 1, Direction.do)}

    @activity.defn(name="record")
    async def record(request: Any) -> Any:
        return {"result": lied}

    await world.stop_workers()
    await world.start_workers(Role.executor)
    async with Worker(
        world.client,
        task_queue=TASK_QUEUE,
        workflows=[AuthorizeAction],
        activities=[assess, issue, record],
        workflow_runner=workflow_runner(),
    ):
        await world.run(body)
    await world.stop_workers()
    await world.start_workers()
    assert await world.permits(proposal_id) == []
    assert await world.effects(proposal_id) == []
    await world.pending(await world.start(body))
