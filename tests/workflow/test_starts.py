"""Starts at their edge: what a platform may not choose, the same id again, and what the starter wrote besides."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import (
    RetryPolicy,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from policy import search_attributes
from policy.result import ActionResult
from tests.elsewhere import FOREIGN_QUEUE, Parent
from tests.world import World, until
from workflows.interface import TASK_QUEUE, workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"id": "action/another"}, "workflow_id_mismatch", "action/another"),
        ({"id": "routine-job"}, "workflow_id_mismatch", "routine-job"),
        ({"execution_timeout": timedelta(hours=1)}, "start_option", "an execution timeout"),
        ({"run_timeout": timedelta(hours=1)}, "start_option", "a run timeout"),
        ({"cron_schedule": "@every 1s"}, "start_option", "a cron schedule"),
        ({"retry_policy": RetryPolicy(maximum_attempts=3)}, "start_option", "a retry policy"),
    ],
)
async def test_a_start_with_what_a_platform_may_not_choose_is_refused_as_a_result(
    world: World, options: dict[str, Any], code: str, said: str
) -> None:
    """The run ends at once with the reason, the attempt is on record, and the id is still free for a proper start."""
    body = world.propose("bench.touch")
    handle = await world.start(body, **options)
    if "cron_schedule" in options:
        # Its result is that of no run: the schedule goes on.
        await until(lambda: world.entries(body["proposal_id"], "start_refused"))
        await world.client.get_workflow_handle(handle.id).terminate()
    else:
        result = await world.result(handle)
        assert (result.resolution, result.outcome, result.reasons[0].code) == ("refused", "not_executed", code)
    refused = await world.entries(body["proposal_id"], "start_refused")
    assert refused[0]["content"]["reasons"][0]["code"] == code
    assert said in refused[0]["content"]["reasons"][0]["message"]
    assert await world.effects(body["proposal_id"]) == []
    assert (await world.run(body)).outcome == "succeeded"


async def test_a_start_as_a_child_is_refused_as_a_result(world: World) -> None:
    """A parent could cancel or terminate it as it pleases, so a child is refused."""
    body = world.propose("bench.touch")
    worker = Worker(
        world.client, task_queue=FOREIGN_QUEUE, workflows=[Parent], workflow_runner=UnsandboxedWorkflowRunner()
    )
    async with worker:
        answer: Any = await world.client.execute_workflow(
            "Parent", args=[body, TASK_QUEUE], id=f"parent-of-{body['proposal_id']}", task_queue=FOREIGN_QUEUE
        )
    result = ActionResult.model_validate(answer)
    assert (result.resolution, result.reasons[0].code) == ("refused", "start_option")
    assert await world.effects(body["proposal_id"]) == []


async def test_the_same_proposal_again_gives_the_recorded_result(world: World) -> None:
    """After the end, and after the workflow was deleted, the same digest gets the same result and nothing runs."""
    body = world.propose("bench.touch")
    handle = await world.start(body)
    first = await world.result(handle)
    code, output = await world.cli("workflow", "delete", "--workflow-id", handle.id, "--yes")
    assert code == 0, output
    await until(lambda: _gone(world, handle.id))
    # The same bytes in another order of keys are the same proposal.
    assert await world.run(dict(reversed(body.items()))) == first
    assert await world.run(body) == first
    assert await world.effects(body["proposal_id"]) == ["do bench.touch"]


async def test_another_proposal_under_a_known_id_is_refused(world: World) -> None:
    """An id belongs to the first digest: another one is refused, while it is pending and after the end."""
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body)
    await world.pending(handle)
    other = body | {"rationale": "something else"}
    await handle.terminate()
    refused = await world.run(other)
    assert (refused.resolution, [reason.code for reason in refused.reasons]) == ("refused", ["digest_conflict"])
    again = await world.start(body)
    await world.pending(again)
    await world.decide(again, "eve", "deny")
    assert (await world.result(again)).resolution == "denied"
    assert (await world.run(other)).reasons[0].code == "digest_conflict"
    assert (await world.run(body)).resolution == "denied"


async def test_every_start_option_of_the_platform_gives_one_action(world: World) -> None:
    """USE_EXISTING joins the running one, FAIL and REJECT_DUPLICATE raise, and in no case it runs twice."""
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body)
    await world.pending(handle)
    joined = await world.start(body, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING)
    assert joined.result_run_id == handle.result_run_id
    with pytest.raises(WorkflowAlreadyStartedError):
        await world.start(body)
    await world.decide(handle, "eve")
    await world.decide(handle, "cleo")
    first = await world.result(handle)
    with pytest.raises(WorkflowAlreadyStartedError):
        await world.start(body, id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE)
    assert await world.run(body, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING) == first
    assert await world.effects(body["proposal_id"]) == ["do bench.put"]


async def test_a_run_that_was_terminated_goes_on_where_the_record_is(world: World) -> None:
    """Started again, it asks only for what is missing; the vote that was counted counts."""
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body)
    await world.pending(handle)
    await world.decide(handle, "eve")
    await handle.terminate()
    again = await world.start(body)
    status = await world.pending(again, stage=2)
    assert status["stages"][0]["approvals"] == ["eve"]
    await world.decide(again, "cleo")
    assert (await world.result(again)).outcome == "succeeded"


async def test_a_run_that_was_terminated_while_its_step_ran_does_not_run_it_again(world: World) -> None:
    """Whether the effect came about is for the record to say: the second run looks, and never repeats it."""
    body = world.propose("bench.set", undo="bench.unset", target="room-1")
    key = body["proposal_id"]
    world.bench.behaviour["bench.set", key] = "hang"
    handle = await world.start(body)
    await world.bench.begun[key].wait()
    await handle.terminate()
    again = await world.start(body)
    world.bench.go_on[key].set()
    result = await world.result(again)
    assert result.outcome in ("succeeded", "outcome_unknown")
    assert await world.effects(key) == ["do bench.set"]


async def test_the_most_wrong_proposal_is_denied_and_gives_its_result_again(world: World) -> None:
    """Thousands of wrong parameters fit into a result, and starting it again reads it."""
    body = world.propose("bench.touch")
    body["steps"][0]["parameters"] = {f"parameter-{number}": "x" * 20 for number in range(4000)}
    first = await world.run(body)
    again = await world.run(body)
    assert first.resolution == "denied"
    assert len(first.reasons) <= 21
    assert again == first


async def test_search_attributes_of_the_starter_are_overwritten(world: World) -> None:
    """What the starter set to look harmless is replaced by what was assessed, in the first task."""
    forged: list[SearchAttributePair[Any]] = [
        SearchAttributePair(SearchAttributeKey.for_keyword(search_attributes.TIER), "none"),
        SearchAttributePair(SearchAttributeKey.for_keyword(search_attributes.STATE), "succeeded"),
        SearchAttributePair(SearchAttributeKey.for_keyword(search_attributes.PROPOSER), "ceo"),
        SearchAttributePair(SearchAttributeKey.for_keyword_list(search_attributes.WAITING_GROUPS), ["nobody"]),
    ]
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body, search_attributes=TypedSearchAttributes(forged))
    await world.pending(handle)
    found = (await handle.describe()).search_attributes
    assert found[search_attributes.TIER] == ["low"]
    assert found[search_attributes.STATE] == ["pending"]
    assert found[search_attributes.PROPOSER] == ["tuner"]
    assert found[search_attributes.WAITING_GROUPS] == ["ops"]
    assert isinstance(found[search_attributes.NEXT_DEADLINE][0], datetime)
    await world.decide(handle, "eve", "deny")
    await world.result(handle)
    after = (await handle.describe()).search_attributes
    assert after[search_attributes.STATE] == ["denied"]
    assert search_attributes.NEXT_DEADLINE not in after


async def test_the_longest_values_neither_terminate_nor_wedge(world: World) -> None:
    """A proposal with every text at its limit, in letters of four bytes, is assessed, shown and answered."""
    wide = "\U0001f4a5" * 4000
    long = "a" * 199
    body = world.propose(
        *("bench.put" for _ in range(20)),
        undo="bench.take",
        rationale=wide,
        evidence=[{"kind": long, "text": wide, "url": wide} for _ in range(3)],
        alternatives=[{"operation": "bench.touch", "summary": wide} for _ in range(3)],
        agent={"id": "tuner", "model": wide, "version": wide},
    )
    for number, step in enumerate(body["steps"]):
        step["name"] = f"{long}{number}"[-200:]
    handle = await world.start(body)
    await world.pending(handle)
    receipt = await world.decide(handle, "eve", justification=wide)
    assert receipt.counted
    await world.decide(handle, "cleo")
    assert (await world.result(handle)).outcome == "succeeded"


async def test_long_words_of_a_policy_do_not_break_a_timer(world: World) -> None:
    """A reason of an escalation is shown at the timer, where the server takes only so many bytes."""
    handle = await world.start(world.propose("bench.wordy"))
    await world.pending(handle)
    assert (await world.decide(handle, "eve")).resolution == "approved"
    assert (await world.result(handle)).outcome == "succeeded"


@pytest.mark.parametrize("field", ["target", "environment", "agent", "on_behalf_of"])
async def test_a_value_too_long_for_a_search_attribute_is_cut(world: World, field: str) -> None:
    """Names at their limit that nobody knows are denied with a result, and visible with a cut value."""
    name = "x" * 200
    body = world.propose("bench.touch", **{field: {"id": name} if field == "agent" else name})
    result = await world.run(body)
    assert (result.resolution, result.outcome) == ("denied", "not_executed")


async def test_a_start_that_is_no_proposal_fails_readably(world: World) -> None:
    """The workflow fails at once, says which field is wrong, and does not try again."""
    body = world.propose("bench.touch") | {"operatoin": "x"}
    handle = await world.start(body)
    with pytest.raises(WorkflowFailureError) as told:
        await world.result(handle)
    assert str(told.value.cause).startswith("MalformedProposal: malformed proposal: operatoin: ")
    assert (await handle.describe()).status is WorkflowExecutionStatus.FAILED


async def _gone(world: World, wanted: str) -> bool:
    try:
        await world.client.get_workflow_handle(wanted).describe()
    except RPCError:
        return True
    return False


async def test_what_the_starter_wrote_for_people_is_no_evidence(world: World) -> None:
    """Summary, details and memo of the start belong to the starter; our details do not repeat them."""
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body, static_summary="approved by the board", static_details="# safe", memo={"a": 1})
    await world.pending(handle)
    _, output = await world.cli("workflow", "metadata", "--workflow-id", handle.id, "--output", "json")
    details = json.loads(output)["queryResult"][0]["currentDetails"]
    assert "board" not in details
    assert handle.id == workflow_id(body["proposal_id"])
