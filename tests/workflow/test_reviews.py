"""Broken glasses on a real server: the review that is owed, who answers it, what an overdue one costs its debtor."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowHandle

from activities.auditing import audit
from activities.connection import connect
from activities.export import export_action
from activities.reviews import ReviewFile, read_review
from deploy.dev import Stack
from policy.base import instant_text
from policy.decision import DecisionReceipt
from policy.refusals import KEPT_OF_NOBODY, KEPT_OF_ONE
from policy.reviewing import review_id
from tests.world import (
    BOUND,
    DOCUMENTS,
    World,
    publish_documents,
    record,
    running_world,
    temporal_server,
    until,
)
from worker import workflow_runner
from workflows.interface import DECIDE, ITEM_WORKFLOW, SWEEP_WORKFLOW, TASK_QUEUE, item_id, workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

GLASS = b"""  one-of-ops:
    stages:
      - {name: quick, requirements: [{groups: [ops, sre]}], deadline: 1h}
  both:
    stages:
      - {name: both, requirements: [{groups: [ops]}, {groups: [dba]}], deadline: 1h}
  looking-back:
    stages:
      - {name: review, requirements: [{groups: [dba, sre]}], deadline: 1h}
break_glass:
  - id: outage
    match: {operations: [bench.put, bench.take]}
    chain: one-of-ops
    review: looking-back
    review_within: REVIEW
    dual_control: both
    budget: {count: COUNT, days: 30}
    who: {groups: [ops]}
"""


def policy(review: str, count: int) -> bytes:
    """The documents of the tests with a glass."""
    glass = GLASS.replace(b"REVIEW", review.encode()).replace(b"COUNT", str(count).encode())
    return (DOCUMENTS / "policy.yaml").read_bytes() + glass


@pytest_asyncio.fixture(name="restored", loop_scope="module", autouse=True)
async def _restored(world: World) -> AsyncIterator[None]:
    yield
    await publish_documents(world.url, (DOCUMENTS / "policy.yaml").read_bytes())


async def emergency(world: World, **more: Any) -> Any:
    """An emergency that dan let through and that has succeeded."""
    body = world.propose("bench.put", undo="bench.take", change_type="emergency", **more)
    handle = await world.start(body)
    status = await world.pending(handle)
    assert [stage["name"] for stage in status["stages"]] == ["quick"], status["screen"]["policy"]
    assert (await world.decide(handle, "dan")).counted
    assert (await world.result(handle)).outcome == "succeeded"
    return body


async def asked(world: World, **more: Any) -> tuple[list[str], list[str]]:
    """The stages that an emergency asks now, and what the policy says; it is denied afterwards."""
    handle = await world.start(world.propose("bench.put", undo="bench.take", change_type="emergency", **more))
    status = await world.pending(handle)
    await world.decide(handle, "eve", "deny")
    await world.result(handle)
    return [stage["name"] for stage in status["stages"]], status["screen"]["policy"]


async def the_review(world: World, proposal_id: str) -> ReviewFile:
    """The review of an action."""
    async with world.database.snapshot() as connection:
        found = await read_review(connection, review_id(proposal_id))
    assert found is not None
    return found


async def swept(world: World, proposal_id: str) -> WorkflowHandle[Any, Any]:
    """The item's workflow, as the sweep starts it."""
    await world.client.execute_workflow(SWEEP_WORKFLOW, id=f"sweep-{world.id()}", task_queue=TASK_QUEUE)
    return world.client.get_workflow_handle(item_id(review_id(proposal_id)))


def answer(file: ReviewFile, person: str, vote: str, **changes: Any) -> dict[str, Any]:
    """What somebody says of a review."""
    review, now = file.review, datetime.now(UTC)
    return {
        "decision_id": f"{person}-{vote}",
        "proposal_id": review.review_id,
        "revision": review.revision,
        "stage": 1,
        "action_digest": review.action_digest,
        "assessment_digest": review.assessment_digest,
        "policy_digest": review.policy_digest,
        "presented_digest": file.digest,
        "vote": vote,
        "justification": "looked at it",
        "issued_at": instant_text(now),
        "expires_at": instant_text(now + timedelta(hours=1)),
        "proof": {"kind": "claimed", "identity": person},
        **changes,
    }


async def say(handle: WorkflowHandle[Any, Any], submission: dict[str, Any]) -> DecisionReceipt:
    """Send an answer as an update; its receipt."""
    async with asyncio.timeout(BOUND):
        return DecisionReceipt.model_validate(await handle.execute_update(DECIDE, submission))


async def findings(world: World, proposal_id: str) -> list[str]:
    """What an audit of an action finds."""
    file = await export_action(world.client, world.database, workflow_id(proposal_id), at=datetime.now(UTC))
    return [str(finding) for finding in (await audit(file.body(), workflow_runner())).findings]


@pytest.mark.parametrize(("vote", "found"), [("approve", "in_order"), ("deny", "at_fault")])
async def test_a_review_is_owed_and_people_close_it(world: World, vote: str, found: str) -> None:
    """Owed from the first permit on; the sweep starts its workflow; who owes it cannot answer, others close it."""
    await publish_documents(world.url, policy("2d", 100))
    body = await emergency(world)
    (opened,) = await world.entries(body["proposal_id"], "review_opened")
    assert opened["content"]["review"]["people"] == ["ann"]
    handle, file = await swept(world, body["proposal_id"]), await the_review(world, body["proposal_id"])
    for person, code in {"ann": "self_approval", "eve": "not_eligible", "nobody": "unknown_person"}.items():
        assert (await say(handle, answer(file, person, vote))).code == code
    vote_on_action = answer(file, "cleo", vote, proposal_id=body["proposal_id"])
    assert (await say(handle, vote_on_action)).code == "unknown_request"
    first = await say(handle, answer(file, "cleo", vote, decision_id="mine"))
    assert first.counted
    async with asyncio.timeout(BOUND):
        assert await handle.result() == {"item_id": file.review.review_id, "closed": found}
    (closed,) = await world.entries(body["proposal_id"], "review_closed")
    assert closed["content"] == {"review_id": file.review.review_id, "found": found}
    assert await findings(world, body["proposal_id"]) == []


async def test_an_overdue_review_costs_its_debtor_dual_control_and_nobody_else(world: World) -> None:
    """Overdue it is noted once and stays open; ann is asked twice, bob's emergency is not, until it is answered."""
    await publish_documents(world.url, policy("1s", 100))
    body = await emergency(world)
    await until(lambda: swept_overdue(world, body["proposal_id"]))
    stages, said = await asked(world)
    assert (stages, any("is overdue for ann" in line for line in said)) == (["both"], True)
    assert await findings(world, body["proposal_id"]) == []
    handle, file = await swept(world, body["proposal_id"]), await the_review(world, body["proposal_id"])
    assert (await say(handle, answer(file, "cleo", "approve"))).counted
    assert len(await world.entries(body["proposal_id"], "review_overdue")) == 1
    told = await told_of(world, body["proposal_id"])
    assert [told.get(kind) for kind in ("break_glass", "review_overdue")] == [("urgent", ["ann"])] * 2
    assert (await asked(world))[0] == ["quick"]


async def told_of(world: World, proposal_id: str) -> dict[str, tuple[str, list[str]]]:
    """How urgent each notice about an action is, and who is left out of it, by its kind."""
    rows = await world.sql("SELECT body FROM countersign.notice WHERE proposal_id = $1", proposal_id)
    notices = [json.loads(row["body"]) for row in rows]
    return {item["kind"]: (item["urgency"], item["audience"]["without"]) for item in notices}


async def swept_overdue(world: World, proposal_id: str) -> bool:
    """Whether the item's workflow has noted that it is overdue."""
    await swept(world, proposal_id)
    return bool(await world.entries(proposal_id, "review_overdue"))


async def test_over_the_budget_two_people_are_asked(world: World) -> None:
    """What ann has broken in thirty days counts for ann, whichever action it was."""
    await publish_documents(world.url, policy("2d", 1))
    await world.run(world.propose("bench.touch"))
    if (await asked(world))[0] == ["quick"]:
        await emergency(world)
    stages, said = await asked(world)
    assert (stages, any("times in 30 days" in line for line in said)) == (["both"], True)


async def test_a_cancelled_item_stays_and_garbage_is_answered(world: World) -> None:
    """Nobody closes a review by a cancel or by garbage; an item that nobody knows ends at once."""
    await publish_documents(world.url, policy("2d", 100))
    body = await emergency(world)
    handle, file = await swept(world, body["proposal_id"]), await the_review(world, body["proposal_id"])
    await handle.cancel()
    await handle.signal(DECIDE, {"vote": "maybe"})
    assert (await say(handle, answer(file, "dan", "revoke"))).code == "not_authorized"
    looking = answer(file, "dan", "acknowledge", decision_id="looking")
    assert (await say(handle, looking)).counted
    assert (await say(handle, looking)).counted
    assert (await say(handle, {**looking, "vote": "deny"})).code == "decision_id_reused"
    assert len(await world.entries(body["proposal_id"], "review_decided")) == 2
    assert (await say(handle, answer(file, "dan", "approve"))).counted
    async with asyncio.timeout(BOUND):
        assert (await handle.result())["closed"] == "in_order"
        unknown = await world.client.execute_workflow(
            ITEM_WORKFLOW, {"item_id": "nothing"}, id=f"item/{world.id()}", task_queue=TASK_QUEUE
        )
    assert unknown == {"item_id": "nothing", "closed": None}


async def test_junk_to_a_review_fills_no_record_and_holds_back_no_answer(world: World) -> None:
    """Refused answers are listed up to a bound, all of them are answered, and who may answer closes the review."""
    await publish_documents(world.url, policy("2d", 100))
    body = await emergency(world)
    handle, file = await swept(world, body["proposal_id"]), await the_review(world, body["proposal_id"])
    for number in range(KEPT_OF_NOBODY + 10):
        await handle.signal(DECIDE, answer(file, f"nobody-{number}", "approve"))
    told = [await say(handle, answer(file, "eve", "approve", decision_id=f"eve-{n}")) for n in range(KEPT_OF_ONE + 2)]
    assert {receipt.code for receipt in told} == {"not_eligible"}
    assert len(await world.entries(body["proposal_id"], "review_decided")) == KEPT_OF_NOBODY + KEPT_OF_ONE
    assert (await say(handle, answer(file, "dan", "approve"))).counted
    async with asyncio.timeout(BOUND):
        assert (await handle.result())["closed"] == "in_order"
    assert await findings(world, body["proposal_id"]) == []


async def test_a_review_goes_on_in_a_new_run_when_the_server_says_so(stack: Stack) -> None:
    """A flood that makes a history long ends no review: the next run takes the answer."""
    async with AsyncExitStack() as cleanup:
        server = cleanup.enter_context(temporal_server(**{"historyCount.suggestContinueAsNew": 60}))
        client = await connect(address=server.address, identity="tests")
        name = await cleanup.enter_async_context(record(stack))
        brief = await cleanup.enter_async_context(running_world(stack, client, name))
        await publish_documents(brief.url, policy("2d", 100))
        body = await emergency(brief)
        handle, file = await swept(brief, body["proposal_id"]), await the_review(brief, body["proposal_id"])
        first = (await handle.describe()).run_id
        for number in range(40):
            await handle.signal(DECIDE, answer(file, f"nobody-{number}", "approve"))
        await until(lambda: run_of(handle), lambda found: found != first)
        assert (await say(handle, answer(file, "dan", "approve"))).counted
        async with asyncio.timeout(BOUND):
            assert (await handle.result())["closed"] == "in_order"


async def run_of(handle: WorkflowHandle[Any, Any]) -> str:
    """The newest run of a workflow."""
    return str((await handle.describe()).run_id)
