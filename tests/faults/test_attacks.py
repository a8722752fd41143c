"""Whoever can write to the namespace may delay or deny, never authorize: our activities run alone, by the stock CLI.

An attack is over when the target was asked what was done. What `claimed` identities cannot protect (anybody may vote
as anybody) is no part of this.
"""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.settings import Role
from policy.permit import Direction, permit_id
from tests.elsewhere import FOREIGN_QUEUE, Foreign
from tests.faults.attack import asked, assessed, call, dispatch, now
from tests.world import World, until
from workflows.interface import EXECUTOR_QUEUE, PERMIT_QUEUE, TASK_QUEUE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_permit_asked_for_alone_is_refused_and_on_record(world: World) -> None:
    """`dispatch` run by itself on a pending action asks the gate, which is closed; nothing that is said opens it."""
    proposal_id, handle = await asked(world)
    lie = dispatch(proposal_id) | {"resolution": "approved", "standing": {"resolution": "approved"}}
    for queue in (TASK_QUEUE, PERMIT_QUEUE):
        answer = await call(world, "dispatch", queue, lie)
        assert answer["permit_id"] is None
        assert {reason["code"] for reason in answer["reasons"]} == {"not_approved", "approval_lapsed"}
    unknown = await call(world, "dispatch", TASK_QUEUE, dispatch("nothing-like-this"))
    assert [reason["code"] for reason in unknown["reasons"]] == ["unknown_request"]
    assert await world.permits(proposal_id) == []
    assert len(await world.entries(proposal_id, "dispatch_refused")) == 1
    assert (await world.decide(handle, "eve")).counted
    assert (await world.decide(handle, "cleo")).counted
    assert (await world.result(handle)).outcome == "succeeded"
    assert await world.effects(proposal_id) == ["do bench.put"]


async def test_an_assessment_run_alone_registers_and_runs_nothing(world: World) -> None:
    """`assess` by itself gives no permit; what it registered is what a start by the same digest then goes on with."""
    body = world.propose("bench.put", undo="bench.take")
    answer = await call(world, "assess", TASK_QUEUE, assessed(body))
    assert answer["plan"]["standing"]["resolution"] == "pending"
    other = await call(world, "assess", TASK_QUEUE, assessed(body | {"rationale": "another"}))
    assert [reason["code"] for reason in other["result"]["reasons"]] == ["digest_conflict"]
    assert (await world.entries(body["proposal_id"], "start_refused")) != []
    assert await world.permits(body["proposal_id"]) == []


@pytest.mark.parametrize("name", ["execute", "observe"])
async def test_an_effect_asked_for_without_a_permit_does_not_happen(world: World, name: str) -> None:
    """Anybody can compute the id of a permit; until the gate has issued it, the executor has nothing to act on."""
    proposal_id, _ = await asked(world)
    for direction in Direction:
        guessed = {"permit_id": permit_id(proposal_id, 1, 1, direction)}
        answer = await call(world, name, EXECUTOR_QUEUE, guessed)
        assert answer["effect"] == "none"
    assert await world.effects(proposal_id) == []


async def test_a_permit_is_not_used_twice(world: World) -> None:
    """After success neither the step nor its undo can be run by hand, and each attempt is on record."""
    body = world.propose("bench.set", undo="bench.unset")
    proposal_id = body["proposal_id"]
    result = await world.run(body)
    again = await call(world, "dispatch", PERMIT_QUEUE, dispatch(proposal_id))
    # Whoever asks for what was reported is told the report, and nothing is done.
    for permit, status in ((again["permit_id"], "succeeded"), (again["undo_permit_id"], "failed")):
        assert (await call(world, "execute", EXECUTOR_QUEUE, {"permit_id": permit}))["status"] == status
    codes = [entry["content"]["code"] for entry in await world.entries(proposal_id, "claim_refused")]
    assert codes == ["claimed_by_another", "void"]
    assert await world.effects(proposal_id) == ["do bench.set"]
    assert await world.run(body) == result


async def test_a_step_is_not_undone_because_somebody_asked_for_permits_out_of_turn(world: World) -> None:
    """Refusals that an attacker provokes are no cause to undo what ran well, and do not hide a real one."""
    body = world.propose("bench.set", "bench.set", undo="bench.unset")
    proposal_id = body["proposal_id"]
    await call(world, "assess", TASK_QUEUE, assessed(body | {"proposal_id": world.id()}))
    world.bench.behaviour["bench.set", proposal_id] = "hang"
    handle = await world.start(body)
    await world.bench.begun[proposal_id].wait()
    for step in (2, 7):
        assert (await call(world, "dispatch", PERMIT_QUEUE, dispatch(proposal_id, step)))["permit_id"] is None
    world.bench.go_on[proposal_id].set()
    undo = {"permit_id": permit_id(proposal_id, 1, 1, Direction.undo)}
    await until(lambda: world.entries(proposal_id, "reported"))
    told = await call(world, "execute", EXECUTOR_QUEUE, undo)
    assert told["status"] == "failed"
    assert told["message"].split(":")[0] in ("no_cause_to_undo", "void")
    assert (await world.result(handle)).outcome == "succeeded"
    assert await world.effects(proposal_id) == ["do bench.set"] * 2


async def test_the_end_cannot_be_written_before_it_has_come(world: World) -> None:
    """`record` and `advance` by themselves conclude from the record: a pending action stays pending."""
    proposal_id, handle = await asked(world)
    told = [{"permit_id": permit_id(proposal_id, 1, 1, Direction.do), "status": "succeeded", "effect": "done"}]
    request = {"proposal_id": proposal_id, "revision": 1, "told": told, "now": now()}
    assert (await call(world, "record", TASK_QUEUE, request))["result"] is None
    await call(world, "advance", TASK_QUEUE, {"proposal_id": proposal_id, "revision": 1, "now": now()})
    assert (await call(world, "advance", TASK_QUEUE, request | {"now": now(hours=2)}))["stale"]
    assert (await world.status(handle))["state"] == "pending"


async def test_a_stop_by_hand_names_nobody(world: World) -> None:
    """Anybody may stop an action; whoever the request names, the record says that nobody proved who it was."""
    proposal_id, handle = await asked(world)
    request = {"proposal_id": proposal_id, "revision": 1, "stop_actor": "ceo@example.org", "now": now()}
    await call(world, "advance", TASK_QUEUE, request)
    stopped = await world.entries(proposal_id, "stopped")
    assert [entry["content"]["actor"] for entry in stopped] == ["unverified"]
    await handle.cancel()
    assert (await world.result(handle)).resolution == "withdrawn"


async def test_a_foreign_workflow_gets_no_further_than_the_cli(world: World) -> None:
    """A workflow of somebody else on a queue of its own calls each of our activities: no permit and no effect."""
    proposal_id, handle = await asked(world)
    guessed = {"permit_id": permit_id(proposal_id, 1, 1, Direction.do)}
    common = {"proposal_id": proposal_id, "revision": 1, "now": now()}
    vote = common | {"submission": {"vote": "approve"}, "channel": "update", "arrival": 1}
    calls = [
        ("assess", TASK_QUEUE, assessed(world.propose("bench.put", undo="bench.take"))),
        ("take_decision", TASK_QUEUE, vote),
        ("advance", TASK_QUEUE, common),
        ("dispatch", TASK_QUEUE, dispatch(proposal_id)),
        ("dispatch", PERMIT_QUEUE, dispatch(proposal_id)),
        ("execute", EXECUTOR_QUEUE, guessed),
        ("observe", EXECUTOR_QUEUE, guessed),
        ("record", TASK_QUEUE, common),
    ]
    runner = UnsandboxedWorkflowRunner()
    async with Worker(world.client, task_queue=FOREIGN_QUEUE, workflows=[Foreign], workflow_runner=runner):
        for name, queue, request in calls:
            options: dict[str, Any] = {"id": f"foreign-{uuid4().hex}", "task_queue": FOREIGN_QUEUE}
            await world.client.execute_workflow("Foreign", args=[name, queue, request], **options)
    assert await world.permits(proposal_id) == []
    assert await world.effects(proposal_id) == []
    assert (await world.status(handle))["state"] == "pending"


async def test_many_at_once_claim_one_permit_once(world: World) -> None:
    """Ten standalone executions of an issued permit and the true one: one effect, the others on record."""
    body = world.propose("bench.set", undo="bench.unset")
    proposal_id = body["proposal_id"]
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    handle = await world.start(body)
    await until(lambda: world.permits(proposal_id))
    permit = {"permit_id": permit_id(proposal_id, 1, 1, Direction.do)}
    attempts = [asyncio.create_task(call(world, "execute", EXECUTOR_QUEUE, permit)) for _ in range(10)]
    await world.start_workers(Role.executor)
    told = await asyncio.gather(*attempts)
    result = await world.result(handle)
    await world.stop_workers()
    await world.start_workers()
    assert result.outcome == "succeeded"
    assert await world.effects(proposal_id) == ["do bench.set"]
    refused = [entry["content"] for entry in await world.entries(proposal_id, "claim_refused")]
    assert [entry["code"] for entry in refused] == ["claimed_by_another"] * 10
    assert len({entry["attempt_token"] for entry in refused}) == 10
    # Whoever asks after the report is told the report; nobody else may act.
    assert {answer["status"] for answer in told} <= {"succeeded", "unknown"}
