"""Decisions at their edge: which count, which are refused and with which code, and that every one is answered."""

import asyncio
import contextlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from policy.base import instant_text
from policy.decision import DecisionReceipt
from tests.world import Handle, World, decision, until
from workflows.interface import DECIDE, TASK_QUEUE, WORKFLOW_TYPE, workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER = "sha256:" + "0" * 64
NOW = datetime.now(UTC)


async def asked(world: World, *operations: str, **more: Any) -> Handle:
    """An action of two stages whose first stage waits."""
    handle = await world.start(world.propose(*(operations or ("bench.put",)), undo="bench.take", **more))
    await world.pending(handle)
    return handle


@pytest.mark.parametrize(
    ("person", "vote", "changes", "code"),
    [
        ("cleo", "approve", {"stage": 2}, "stage_not_open"),
        ("cleo", "approve", {"stage": 7}, "stage_not_open"),
        ("eve", "approve", {"revision": 2}, "revision_mismatch"),
        ("eve", "approve", {"proposal_id": "another"}, "unknown_request"),
        ("eve", "approve", {"action_digest": OTHER}, "action_digest_mismatch"),
        ("eve", "approve", {"assessment_digest": OTHER}, "assessment_digest_mismatch"),
        ("eve", "approve", {"policy_digest": OTHER}, "policy_digest_mismatch"),
        ("eve", "approve", {"presented_digest": OTHER}, "presented_digest_mismatch"),
        ("eve", "approve", {"expires_at": instant_text(NOW - timedelta(hours=1))}, "expired"),
        ("eve", "approve", {"issued_at": instant_text(NOW + timedelta(hours=1))}, "not_yet_valid"),
        ("eve", "deny", {"justification": "  "}, "justification_missing"),
        ("nobody", "approve", {}, "unknown_person"),
        ("tuner", "approve", {}, "unknown_person"),
        ("cleo", "approve", {}, "not_eligible"),
        ("olga", "deny", {}, "not_eligible"),
        ("ann", "approve", {}, "self_approval"),
        ("ann@example.org", "approve", {}, "self_approval"),
    ],
)
async def test_a_decision_that_does_not_count_is_answered_and_recorded(
    world: World, waiting: Handle, person: str, vote: str, changes: Any, code: str
) -> None:
    """A refused decision gets a receipt with its code, is in the ledger, and the stage goes on waiting."""
    receipt = await world.decide(waiting, person, vote, **changes)
    assert (receipt.counted, receipt.code) == (False, code)
    assert receipt.message
    status = await world.status(waiting)
    assert (status["state"], status["stage"]) == ("pending", 1)
    refused = await world.entries(status["proposal_id"], "decision_refused")
    assert refused[-1]["content"]["receipt"]["decision_id"] == receipt.decision_id


@pytest_asyncio.fixture(name="waiting", scope="module", loop_scope="module")
async def _waiting(world: World) -> Handle:
    """An action that waits for its first stage; the cases above share one, since none of them may move it."""
    return await asked(world)


async def test_a_good_decision_counts_after_all_the_refused_ones(world: World, waiting: Handle) -> None:
    """Refusals spend nobody's right: the same people may still decide properly."""
    assert (await world.decide(waiting, "eve")).counted
    assert (await world.decide(waiting, "cleo")).counted
    assert (await world.result(waiting)).outcome == "succeeded"


async def test_one_person_does_not_approve_two_stages(world: World) -> None:
    """Bob is in both groups and approved the first stage: somebody else has to approve the second."""
    handle = await asked(world)
    assert (await world.decide(handle, "bob")).counted
    again = await world.decide(handle, "bob@example.org")
    assert (again.counted, again.code) == (False, "sod_conflict")
    assert (await world.decide(handle, "cleo")).counted


async def test_a_decision_for_a_stage_that_is_closed_is_refused(world: World) -> None:
    """Whoever answers the first stage after it was approved is told which one is open."""
    handle = await asked(world)
    assert (await world.decide(handle, "eve")).counted
    late = await world.decide(handle, "bob", stage=1)
    assert (late.counted, late.code, late.resolution) == (False, "stage_closed", "pending")


async def test_the_same_decision_twice_counts_once(world: World) -> None:
    """A decision that is sent again, by update or by signal, gets the first receipt and counts once."""
    handle = await asked(world)
    submission = decision(await world.status(handle), "eve")
    await handle.signal(DECIDE, submission)
    first, again = await asyncio.gather(world.send(handle, submission), world.send(handle, submission))
    assert first == again
    assert first.counted
    assert len(await world.entries(submission["proposal_id"], "decision_counted")) == 1


async def test_a_decision_id_says_one_thing_only(world: World) -> None:
    """Another decision under an id that was used is refused and leaves the first one as it is."""
    handle = await asked(world)
    submission = decision(await world.status(handle), "olga", decision_id="the-same")
    assert (await world.send(handle, submission)).code == "not_eligible"
    other = await world.decide(handle, "eve", decision_id="the-same")
    assert (other.counted, other.code) == (False, "decision_id_reused")
    assert (await world.send(handle, submission)).code == "not_eligible"


async def test_a_vote_can_be_taken_back_while_its_stage_is_open(world: World) -> None:
    """An approval that was replaced by a denial does not count; the newest vote of a person does."""
    handle = await world.start(world.propose("bench.crowd"))
    await world.pending(handle)
    assert (await world.decide(handle, "p01")).counted
    taken = await world.decide(handle, "p01", "retract")
    assert taken.counted
    assert (await world.status(handle))["stages"][0]["approvals"] == []
    assert (await world.decide(handle, "p01", "deny", justification="no")).resolution == "denied"


async def test_a_decision_that_comes_while_the_step_runs_is_answered_and_changes_nothing(world: World) -> None:
    """The action runs already: a denial is refused with `not_pending`, and the receipt says what was resolved."""
    body = world.propose("bench.sign", undo="bench.unset")
    world.bench.behaviour["bench.sign", body["proposal_id"]] = "hang"
    handle = await world.start(body)
    await world.pending(handle)
    await world.decide(handle, "eve")
    await world.bench.begun[body["proposal_id"]].wait()
    late = await world.decide(handle, "bob", "deny", justification="stop")
    assert (late.counted, late.code, late.resolution) == (False, "not_pending", "approved")
    world.bench.go_on[body["proposal_id"]].set()
    assert (await world.result(handle)).outcome == "succeeded"


async def test_a_decision_after_the_end_is_told_that_it_is_over(world: World) -> None:
    """The workflow has closed: Temporal itself refuses the update, and the recorded result stays."""
    handle = await asked(world)
    status = await world.status(handle)
    assert (await world.decide(handle, "eve", "deny")).resolution == "denied"
    await world.result(handle)
    with pytest.raises(RPCError) as told:
        await handle.execute_update(DECIDE, decision(status, "eve"))
    assert told.value.status is RPCStatusCode.NOT_FOUND


async def test_thirty_updates_at_once_count_once_each(world: World) -> None:
    """Thirty people answer in the same moment, thrice what the server holds: whoever got no answer signals it again."""
    handle = await world.start(world.propose("bench.crowd"))
    status = await world.pending(handle)
    votes = [decision(status, f"p{number:02}") for number in range(1, 31)]

    async def answer(vote: Any) -> bool:
        try:
            return (await world.send(handle, vote)).counted
        except RPCError:
            with contextlib.suppress(RPCError):
                await handle.signal(DECIDE, vote)
            return True

    assert all(await asyncio.gather(*map(answer, votes)))
    assert (await world.result(handle)).outcome == "succeeded"
    counted = await world.entries(status["proposal_id"], "decision_counted")
    assert sorted(entry["content"]["person"]["person_id"] for entry in counted) == [f"p{n:02}" for n in range(1, 31)]


async def test_decisions_that_waited_are_taken_in_the_order_of_arrival(world: World) -> None:
    """What came while no worker ran is numbered and taken in the order of history, whoever sent it."""
    handle = await world.start(world.propose("bench.crowd"))
    status = await world.pending(handle)
    votes = [decision(status, f"p{number:02}") for number in range(1, 31)]
    async with world.paused():
        for vote in votes:
            await handle.signal(DECIDE, vote)
    assert (await world.result(handle)).outcome == "succeeded"
    counted = await world.entries(status["proposal_id"], "decision_counted")
    assert [entry["content"]["receipt"]["decision_id"] for entry in counted] == [vote["decision_id"] for vote in votes]
    assert [entry["content"]["arrival"] for entry in counted] == list(range(1, 31))


async def test_nobody_who_answers_at_the_last_moment_waits_for_ever(world: World) -> None:
    """Whoever answers together with the one who ends the action is told: by a receipt, or that it has closed."""
    handle = await asked(world)
    status = await world.status(handle)
    votes = [decision(status, "eve", "deny"), *(decision(status, "bob", "deny") for _ in range(7))]
    answers = await asyncio.gather(*(world.send(handle, vote) for vote in votes), return_exceptions=True)
    told = [answer.code or "counted" if isinstance(answer, DecisionReceipt) else str(answer) for answer in answers]
    assert told.count("counted") == 1
    closed = {"not_pending", "workflow update was aborted by closing workflow", "workflow execution already completed"}
    assert set(told) - {"counted"} <= closed
    assert (await world.result(handle)).resolution == "denied"
    assert len(await world.entries(status["proposal_id"], "decision_counted")) == 1


async def test_the_receipt_of_a_signal_is_read_by_query(world: World) -> None:
    """A signal has no answer, so the query `status` holds its receipt; also after the end."""
    handle = await asked(world)
    submission = decision(await world.status(handle), "eve", "deny")
    await handle.signal(DECIDE, submission)
    await world.result(handle)
    receipt = (await world.status(handle))["receipts"][submission["decision_id"]]
    assert DecisionReceipt.model_validate(receipt).counted


async def test_a_start_can_carry_an_update(world: World) -> None:
    """Update-with-start answers a decision about a run that had not begun: there is nothing that it could be about."""
    body = world.propose("bench.put", undo="bench.take")
    known = await world.status(await asked(world))
    start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        WORKFLOW_TYPE,
        body,
        id=workflow_id(body["proposal_id"]),
        task_queue=TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    receipt: Any = await world.client.execute_update_with_start_workflow(
        DECIDE, decision(known, "eve", proposal_id=body["proposal_id"]), start_workflow_operation=start
    )
    assert (receipt["counted"], receipt["code"]) == (False, "action_digest_mismatch")


async def test_the_details_show_facts_first_and_the_proposers_words_harmless(world: World) -> None:
    """The Temporal UI's markdown has the measured facts above the proposer's words, which can be no markup or link."""
    hostile = (
        "# APPROVED\n[click](https://evil.example) <script>alert(1)</script> | **bold** `code` \u202e www.evil.example"
    )
    handle = await asked(world, rationale=hostile)
    code, output = await world.cli("workflow", "metadata", "--workflow-id", handle.id, "--output", "json")
    assert code == 0, output
    details = json.loads(output)["queryResult"][0]["currentDetails"]
    facts, words = details.split("### The proposer's words (not verified)")
    assert details.startswith("## waiting for stage 1 of 2 (ops)")
    assert "assurance: **claimed**" in facts
    assert facts.index("### What will happen") < facts.index("### What weighs most") < facts.index("### Who may decide")
    assert '"action_digest": "sha256:' in facts
    assert "evil" not in facts
    for markup in (r"\]\(", "<script", "https://", r"www\.evil", "\n#", "\u202e", r" \|", r"\*\*bold"):
        assert not re.search(rf"(?<!\\){markup}", words), markup


async def test_one_command_as_shown_to_the_approver_works(world: World) -> None:
    """What the details say to paste is a decision, as soon as the approver's name is put in."""
    handle = await asked(world)
    _, output = await world.cli("workflow", "metadata", "--workflow-id", handle.id, "--output", "json")
    details = json.loads(output)["queryResult"][0]["currentDetails"]
    pasted = details.split("```json\n")[1].split("\n```")[0].replace("YOUR-IDENTITY", "eve").replace("YOUR-NAME", "eve")
    update = ("workflow", "update", "execute", "--workflow-id", handle.id, "--name", "decide", "--input", pasted)
    code, output = await world.cli(*update, "--output", "json")
    assert code == 0, output
    assert (await until(lambda: world.pending(handle, 2)))["stages"][0]["approvals"] == ["eve"]


async def test_an_update_survives_the_eviction_of_its_run(world: World) -> None:
    """The worker is replaced while people are asked: the run is rebuilt from its history and goes on."""
    handle = await asked(world)
    assert (await world.decide(handle, "eve")).counted
    async with world.paused():
        pass
    assert (await world.decide(handle, "cleo")).counted
    assert (await world.result(handle)).outcome == "succeeded"
