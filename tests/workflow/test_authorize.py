"""The workflow from proposal to outcome, on a real Temporal and a real PostgreSQL."""

import asyncio
from typing import Any

import pytest

from activities.settings import Role
from tests.world import Handle, World, decision, until
from workflows.interface import DECIDE, EXPLAIN

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def approved(world: World, body: Any) -> Handle:
    """Start an action of two stages and have both of them approve it."""
    handle = await world.start(body)
    await world.pending(handle)
    assert (await world.decide(handle, "eve")).counted
    assert (await world.decide(handle, "cleo")).counted
    return handle


@pytest.mark.parametrize("observe", [0, 1], ids=["read back", "observed over time"])
async def test_what_policy_allows_runs_once_within_sixteen_events(world: World, observe: int) -> None:
    """An allowed action runs with nobody asked, is measured, and costs at most sixteen events."""
    body = world.propose("bench.touch")
    body["success_criteria"][0]["observe_seconds"] = observe
    handle = await world.start(body)
    result = await world.result(handle)
    assert (result.resolution, result.outcome, result.next_action) == ("approved", "succeeded", "none")
    assert [(by.person_id, by.rule) for by in result.decided_by] == [(None, "routine")]
    assert await world.effects(body["proposal_id"]) == ["do bench.touch"]
    assert len(await world.events(handle)) <= 16


async def test_a_limit_denies_whoever_asks(world: World) -> None:
    """What a limit forbids is denied at once; no permit is issued and nobody can be asked."""
    body = world.propose("bench.drop")
    handle = await world.start(body)
    result = await world.result(handle)
    assert (result.resolution, result.outcome) == ("denied", "not_executed")
    assert [reason.code for reason in result.reasons] == ["limit"]
    assert await world.permits(body["proposal_id"]) == []


async def test_two_stages_approve_one_after_the_other_within_forty_events(world: World) -> None:
    """Two people of two groups approve in order, the action runs, and the history has at most forty events."""
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body)
    status = await world.pending(handle)
    assert [stage["state"] for stage in status["stages"]] == ["open", "waiting"]
    explained = await handle.query(EXPLAIN)
    assert explained["could_unblock"] == {"ops": ["ops"], "dba": ["dba"]}
    assert [item["what"] for item in explained["then"]] == ["deadline of stage ops: deny"]
    first = await world.decide(handle, "eve")
    assert (first.counted, first.resolution, first.assurance) == (True, "pending", "claimed")
    second = await world.decide(handle, "cleo@example.org")
    assert (second.counted, second.resolution, second.missing) == (True, "approved", ())
    result = await world.result(handle)
    assert (result.resolution, result.outcome) == ("approved", "succeeded")
    assert [(by.person_id, by.stage) for by in result.decided_by] == [("eve", 1), ("cleo", 2)]
    assert await world.effects(body["proposal_id"]) == ["do bench.put"]
    assert await world.permits(body["proposal_id"]) == [(1, "do", "claimed"), (1, "undo", "void")]
    assert len(await world.events(handle)) <= 40


async def test_a_denial_ends_the_action(world: World) -> None:
    """One denial reaches the threshold: the action ends as denied and nothing runs."""
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body)
    await world.pending(handle)
    receipt = await world.decide(handle, "eve", "deny", justification="not today")
    assert (receipt.counted, receipt.resolution) == (True, "denied")
    result = await world.result(handle)
    assert (result.resolution, result.outcome, result.next_action) == ("denied", "not_executed", "none")
    assert await world.permits(body["proposal_id"]) == []


@pytest.mark.parametrize(("operation", "code"), [("bench.lapse", "expired_deny"), ("bench.leave", "expired_cancel")])
async def test_a_deadline_ends_the_action_by_the_stages_verb(world: World, operation: str, code: str) -> None:
    """Nobody answers in time: the action ends as expired, the reason names the verb, and nothing runs."""
    body = world.propose(operation)
    result = await world.run(body)
    assert (result.resolution, result.outcome, result.next_action) == ("expired", "not_executed", "propose_anew")
    assert [reason.code for reason in result.reasons] == [code]
    assert await world.permits(body["proposal_id"]) == []


async def test_an_outage_across_a_deadline_falls_to_the_stages_verb(world: World) -> None:
    """No worker runs when the deadline passes: what was sent before it or after it is answered and does not count."""
    body = world.propose("bench.lapse")
    handle = await world.start(body)
    status = await world.pending(handle)
    early, late = decision(status, "eve"), decision(status, "bob")
    async with world.paused():
        await handle.signal(DECIDE, early)
        await until(lambda: world.events(handle), lambda found: "timer_fired" in found)
        await handle.signal(DECIDE, late)
    result = await world.result(handle)
    assert (result.resolution, result.outcome) == ("expired", "not_executed")
    receipts = (await world.status(handle))["receipts"]
    assert [receipts[sent["decision_id"]]["code"] for sent in (early, late)] == ["past_deadline", "not_pending"]
    assert await world.permits(body["proposal_id"]) == []


async def test_what_counted_before_an_outage_counts(world: World) -> None:
    """The first stage was approved in time; no worker runs when the second expires, and its verb applies."""
    body = world.propose("bench.then")
    handle = await world.start(body)
    await world.pending(handle)
    assert (await world.decide(handle, "eve")).counted
    async with world.paused():
        await until(lambda: world.events(handle), lambda found: "timer_fired" in found)
    result = await world.result(handle)
    assert (result.resolution, [reason.code for reason in result.reasons]) == ("expired", ["expired_cancel"])
    assert [(by.person_id, by.stage) for by in result.decided_by] == [("eve", 1)]


async def test_a_cancel_while_people_are_asked_withdraws(world: World) -> None:
    """A bare cancel ends a pending action as withdrawn by nobody in particular, with a result."""
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body)
    await world.pending(handle)
    await handle.cancel()
    result = await world.result(handle)
    assert (result.resolution, result.outcome) == ("withdrawn", "not_executed")
    assert [entry["content"]["actor"] for entry in await world.entries(body["proposal_id"], "stopped")] == [
        "unverified"
    ]


async def test_a_cancel_before_the_claim_withdraws(world: World) -> None:
    """A cancel that comes when the permit is issued and nobody claimed it yet: it never can be."""
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    body = world.propose("bench.set", undo="bench.unset")
    handle = await world.start(body)
    await until(lambda: world.permits(body["proposal_id"]))
    await handle.cancel()
    await until(lambda: world.entries(body["proposal_id"], "stopped"))
    await world.start_workers(Role.executor)
    result = await world.result(handle)
    await world.stop_workers()
    await world.start_workers()
    assert (result.resolution, result.outcome) == ("withdrawn", "not_executed")
    assert await world.effects(body["proposal_id"]) == []
    assert await world.permits(body["proposal_id"]) == [(1, "do", "void"), (1, "undo", "void")]


async def _stopped_while_it_runs(world: World, **more: Any) -> Any:
    body = world.propose("bench.set", undo="bench.unset", **more)
    key = body["proposal_id"]
    world.bench.behaviour["bench.set", key] = "hang"
    handle = await world.start(body)
    await world.bench.begun[key].wait()
    await handle.cancel()
    await until(lambda: world.entries(key, "stopped"))
    world.bench.go_on[key].set()
    return await world.result(handle), await world.effects(key)


async def test_a_cancel_while_a_step_runs_obeys_the_approved_verb(world: World) -> None:
    """The running step comes to its end; then it is undone, or left as it is under a hold, as was approved."""
    (undone, did), (left, did_not_undo) = await asyncio.gather(
        _stopped_while_it_runs(world, on_stop="compensate"),
        _stopped_while_it_runs(world, on_stop="ask", target="room-1"),
    )
    assert (undone.outcome, did) == ("compensated", ["do bench.set", "undo bench.unset"])
    assert (left.outcome, left.next_action, did_not_undo) == ("inconclusive", "ask_a_person", ["do bench.set"])
    assert await world.holds("room-1") == [left.proposal_id]


async def test_steps_run_in_order_under_a_permit_each(world: World) -> None:
    """Three steps run one after the other, each with a permit of its own, and succeed together."""
    body = world.propose("bench.set", "bench.touch", "bench.set", undo="bench.unset")
    del body["steps"][1]["undo"]
    result = await world.run(body)
    assert result.outcome == "succeeded"
    assert await world.effects(body["proposal_id"]) == ["do bench.set", "do bench.touch", "do bench.set"]
    assert [use for _, direction, use in await world.permits(body["proposal_id"]) if direction == "do"] == [
        "claimed"
    ] * 3


async def test_a_step_that_fails_undoes_everything_in_reverse(world: World) -> None:
    """The third of three steps goes wrong: all three are undone, the last one first."""
    body = world.propose("bench.set", "bench.set", "bench.put", undo="bench.unset")
    body["steps"][2]["undo"]["operation"] = "bench.take"
    key = body["proposal_id"]
    world.bench.behaviour["bench.put", key] = "fail"
    result = await world.result(await approved(world, body))
    assert (result.resolution, result.outcome) == ("approved", "compensated")
    done = ["do bench.set", "do bench.set", "do bench.put"]
    assert await world.effects(key) == [*done, "undo bench.take", "undo bench.unset", "undo bench.unset"]


async def test_criteria_that_are_not_met_undo_the_action(world: World) -> None:
    """The step runs and the target does not read what was promised: the action is undone."""
    body = world.propose("bench.set", undo="bench.unset", count=99)
    result = await world.run(body)
    assert (result.outcome, result.next_action) == ("compensated", "propose_anew")
    assert await world.effects(body["proposal_id"]) == ["do bench.set", "undo bench.unset"]


async def test_what_cannot_be_undone_ends_failed_and_under_a_hold(world: World) -> None:
    """A step without an undo fails its criteria: compensation_failed, and the target is under hold."""
    body = world.propose("bench.touch", count=99, target="room-2")
    result = await world.run(body)
    assert (result.outcome, result.next_action) == ("compensation_failed", "ask_a_person")
    assert await world.holds("room-2") == [body["proposal_id"]]


async def test_an_undo_that_is_refused_ends_failed_and_under_a_hold(world: World) -> None:
    """The undo finds the target changed and does nothing: compensation_failed, and the target is under hold."""
    body = world.propose("bench.set", undo="bench.unset", count=99, target="room-3")
    world.bench.behaviour["bench.unset", body["proposal_id"]] = "refuse"
    result = await world.run(body)
    assert result.outcome == "compensation_failed"
    assert await world.holds("room-3") == [body["proposal_id"]]
    assert await world.effects(body["proposal_id"]) == ["do bench.set"]


async def test_an_order_that_does_not_fit_the_target_is_not_executed(world: World) -> None:
    """The executor refuses before it touches anything: not_executed, and no hold."""
    body = world.propose("bench.set", undo="bench.unset", target="room-4")
    world.bench.behaviour["bench.set", body["proposal_id"]] = "refuse"
    result = await world.run(body)
    assert (result.resolution, result.outcome) == ("approved", "not_executed")
    assert "refused on purpose" in result.reasons[0].message
    assert await world.holds("room-4") == []


@pytest.mark.parametrize(("behaviour", "room"), [("lose", "room-5"), ("break", "room-6")])
async def test_an_effect_that_nobody_knows_is_never_repeated(world: World, behaviour: Any, room: str) -> None:
    """The answer of the target is lost, or its adapter breaks: outcome_unknown, one effect, a hold, no undo."""
    body = world.propose("bench.set", undo="bench.unset", target=room)
    world.bench.behaviour["bench.set", body["proposal_id"]] = behaviour
    result = await world.run(body)
    assert (result.outcome, result.next_action) == ("outcome_unknown", "ask_a_person")
    assert await world.effects(body["proposal_id"]) == ["do bench.set"]
    assert await world.holds(room) == [body["proposal_id"]]


async def test_an_effect_without_an_answer_that_can_be_seen_is_done(world: World) -> None:
    """The answer of the target is lost, and the target shows the effect by its key: it is measured like any other."""
    body = world.propose("bench.set", undo="bench.unset")
    world.bench.behaviour["bench.set", body["proposal_id"]] = "mute"
    assert (await world.run(body)).outcome == "succeeded"
    assert await world.effects(body["proposal_id"]) == ["do bench.set"]
    (entry,) = await world.entries(body["proposal_id"], "reported")
    assert entry["content"]["report"]["observed"] == "lost on purpose"


async def test_a_hold_admits_only_the_approved_repair_of_what_is_held(world: World) -> None:
    """A held target refuses the next action, and one that claims to repair it without approval; the repair frees it."""
    held = world.propose("bench.touch", count=99, target="room-7")
    assert (await world.run(held)).outcome == "compensation_failed"
    repairs = held["proposal_id"]
    next_one = await world.run(world.propose("bench.touch", target="room-7"))
    assert (next_one.resolution, [reason.code for reason in next_one.reasons]) == ("denied", ["on_hold"])
    unasked = await world.run(world.propose("bench.touch", target="room-7", remedies=repairs))
    assert (unasked.resolution, [reason.code for reason in unasked.reasons]) == ("denied", ["on_hold"])
    repair = world.propose("bench.put", undo="bench.take", target="room-7", remedies=repairs)
    assert (await world.result(await approved(world, repair))).outcome == "succeeded"
    assert await world.holds("room-7") == []
    assert (await world.run(world.propose("bench.touch", target="room-7"))).outcome == "succeeded"
