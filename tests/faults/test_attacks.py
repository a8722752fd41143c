"""Whoever can write to the namespace may delay or deny, never authorize: the stock `temporal` CLI as attacker.

An attack is over when the target was asked what was done. What `claimed` identities cannot protect (anybody may vote
as anybody) is no part of this.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.settings import Role
from policy.base import instant_text
from policy.permit import Direction, permit_id
from policy.proposal import receive
from tests.elsewhere import FOREIGN_QUEUE, Foreign
from tests.world import Handle, World, decision, until
from worker import workflow_runner
from workflows.authorize import AuthorizeAction
from workflows.interface import DECIDE, EXECUTOR_QUEUE, PERMIT_QUEUE, TASK_QUEUE, workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")


def now(**later: float) -> str:
    return instant_text(datetime.now(UTC) + timedelta(**later))


async def call(world: World, name: str, queue: str, request: Any) -> dict[str, Any]:
    """Run one of our activities alone, with the stock CLI; its answer."""
    code, output = await world.cli(
        *("activity", "execute", "--activity-id", uuid4().hex, "--type", name, "--task-queue", queue),
        *("--start-to-close-timeout", "10s", "--retry-maximum-attempts", "1", "--output", "json"),
        *("--input", json.dumps(request)),
    )
    assert code == 0, output
    answer: dict[str, Any] = json.loads(output)["result"]
    return answer


def dispatch(proposal_id: str, step: int = 1, revision: int = 1) -> Any:
    return {"proposal_id": proposal_id, "revision": revision, "step": step, "now": now()}


def assessed(body: Any) -> Any:
    start = {"workflow_id": workflow_id(body["proposal_id"]), "run_id": "forged"}
    return {"proposal": body, "start": start, "now": now()}


async def asked(world: World, *operations: str, **more: Any) -> tuple[str, Handle]:
    """An action that waits for people."""
    body = world.propose(*(operations or ("bench.put",)), undo="bench.take", **more)
    handle = await world.start(body)
    await world.pending(handle)
    return body["proposal_id"], handle


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
    for permit in (again["permit_id"], again["undo_permit_id"]):
        assert (await call(world, "execute", EXECUTOR_QUEUE, {"permit_id": permit}))["status"] != "succeeded"
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


async def forge(world: World, handle: Handle, name: str, answer: Any) -> None:
    """Complete a waiting activity of a workflow with an answer of ours, with the stock CLI."""

    async def waiting() -> list[str]:
        found = (await handle.describe()).raw_description.pending_activities
        return [each.activity_id for each in found if each.activity_type.name == name]

    which = ("--workflow-id", handle.id, "--activity-id", (await until(waiting))[0])
    text = answer if isinstance(answer, str) else json.dumps(answer)
    code, output = await world.cli("activity", "complete", *which, "--result", text)
    assert code == 0, output


def plan(body: Any, **changes: Any) -> Any:
    """What `assess` would say of an action that nobody has to approve."""
    digest = receive(body).action_digest
    steps = [
        {"number": number, "name": step["name"], "timeout_seconds": 5} for number, step in enumerate(body["steps"], 1)
    ]
    known = {"proposal_id": body["proposal_id"], "revision": 1, "steps": steps, "on_stop": "compensate"}
    digests = {"action_digest": digest, "assessment_digest": digest, "policy_digest": digest}
    shown = {"verdict": "allow", "risk_tier": "low", "risk_score": 0, "permit_seconds": 60, "local_dispatch": True}
    return known | digests | shown | {"resolution": "approved"} | changes


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
    """`execute` is failed by hand while the executor acts: the workflow looks, and the record knows the rest."""
    body = world.propose("bench.set", undo="bench.unset", target="room-1")
    proposal_id = body["proposal_id"]
    world.bench.behaviour["bench.set", proposal_id] = "hang"
    handle = await world.start(body)
    await world.bench.begun[proposal_id].wait()
    code, output = await world.cli(
        "activity", "fail", "--workflow-id", handle.id, "--activity-id", await running(handle)
    )
    assert code == 0, output
    result = await world.result(handle)
    world.bench.go_on[proposal_id].set()
    await until(lambda: world.effects(proposal_id))
    assert result.outcome == "outcome_unknown"
    assert await world.holds("room-1") == [proposal_id]
    assert await world.effects(proposal_id) == ["do bench.set"]


async def running(handle: Handle) -> str:
    """The id of the one activity that waits or runs."""
    (found,) = (await handle.describe()).raw_description.pending_activities
    return str(found.activity_id)


async def observed(world: World, permit: str) -> dict[str, Any]:
    return await call(world, "observe", EXECUTOR_QUEUE, {"permit_id": permit})


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
    assert len(await world.entries(proposal_id, "claim_refused")) == 10
    assert sum(answer["status"] == "succeeded" for answer in told) <= 1
