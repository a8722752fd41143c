"""Several actions on one target, and limits on all of them together: who waits, in which order, and until when."""

import asyncio

import pytest

from policy.outcome import Outcome
from tests.items import findings
from tests.world import BOUND, DOCUMENTS, Handle, World, publish_documents, until
from workflows.interface import LOOK_AGAIN

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = (DOCUMENTS / "policy.yaml").read_bytes()
TOGETHER = b"aggregate: [{id: together, per: target, at_once: 1000}]\n"


def policy(*limits: str) -> bytes:
    """The policy of the tests with these aggregate limits; with none, one action at a time on one id."""
    return POLICY.replace(TOGETHER, f"aggregate: [{', '.join(limits)}]\n".encode() if limits else b"", 1)


async def hanging(world: World, target: str) -> tuple[str, Handle]:
    """An action that is at work on a target until `let_go`."""
    body = world.propose("bench.touch", target=target)
    world.bench.behaviour["bench.touch", body["proposal_id"]] = "hang"
    handle = await world.start(body)
    async with asyncio.timeout(BOUND):
        await world.bench.begun[body["proposal_id"]].wait()
    return body["proposal_id"], handle


async def queued(world: World, handle: Handle) -> str:
    """What an action says that it waits for, as soon as it waits."""
    status = await until(lambda: world.status(handle), lambda found: "waits_for" in found)
    return str(status["waits_for"])


async def test_the_second_action_on_an_id_waits_for_the_first_and_runs_after_it(world: World) -> None:
    """It says who is in its way and since when, and is woken by the result of the first, long before it would ask."""
    await publish_documents(world.url, policy())
    first, one = await hanging(world, "room-1")
    body = world.propose("bench.touch", target="room-1")
    second = body["proposal_id"]
    other = await world.start(body)
    assert (await queued(world, other)).startswith(f"action {first} has id bench/room-1 since 20")
    explained = await other.query("explain")
    assert explained["summary"].startswith("waits for its turn: action")
    assert await world.effects(second) == []
    world.bench.go_on[first].set()
    assert (await world.result(one)).outcome == "succeeded"
    assert (await world.result(other)).outcome == "succeeded"
    assert "waits_for" not in await world.status(other)
    (entry,) = await world.entries(second, "queued")
    assert entry["content"]["reserved"]["conflicts"][0]["by"] == [first]
    (dispatched,) = await world.entries(second, "dispatched")
    assert dispatched["content"]["reserved"]["turn"]["asked"] >= 1


async def test_another_target_is_in_nobodys_way(world: World) -> None:
    """What has other ids runs while the first one is at work."""
    await publish_documents(world.url, policy())
    first, one = await hanging(world, "room-1")
    assert (await world.run(world.propose("bench.touch", target="room-2"))).outcome == "succeeded"
    world.bench.go_on[first].set()
    await world.result(one)


async def test_who_waits_can_be_stopped(world: World) -> None:
    """A cancel ends it as withdrawn, with nothing done and nothing left in the row."""
    await publish_documents(world.url, policy())
    first, one = await hanging(world, "room-2")
    other = await world.start(world.propose("bench.touch", target="room-2"))
    await queued(world, other)
    await other.cancel()
    result = await world.result(other)
    assert (result.resolution, result.outcome) == ("withdrawn", "not_executed")
    world.bench.go_on[first].set()
    await world.result(one)


async def test_those_who_wait_run_in_the_order_in_which_they_were_registered(world: World) -> None:
    """However often the last of them is woken: being loud is no turn."""
    await publish_documents(world.url, policy())
    first, one = await hanging(world, "room-3")
    rest: list[tuple[str, Handle]] = []
    for _ in range(3):
        body = world.propose("bench.touch", target="room-3")
        rest.append((body["proposal_id"], await world.start(body)))
        await queued(world, rest[-1][1])
    for _ in range(5):
        await rest[-1][1].signal(LOOK_AGAIN, {"my": "turn"})
    world.bench.go_on[first].set()
    await world.result(one)
    await asyncio.gather(*(world.result(handle) for _, handle in rest))
    began = [(await world.entries(name, "dispatched"))[0]["at"] for name, _ in rest]
    assert began == sorted(began)


async def test_waking_an_action_many_times_does_not_fill_its_history(world: World) -> None:
    """A second and more lies between two questions, whoever wakes it how often."""
    await publish_documents(world.url, policy())
    first, one = await hanging(world, "room-4")
    other = await world.start(world.propose("bench.touch", target="room-4"))
    await queued(world, other)
    for _ in range(50):
        await other.signal(LOOK_AGAIN)
    world.bench.go_on[first].set()
    await asyncio.gather(world.result(one), world.result(other))
    events = await world.events(other)
    assert events.count("workflow_execution_signaled") >= 50
    assert events.count("marker_recorded") <= 10


@pytest.mark.parametrize(
    ("limit", "ran"),
    [
        ("{id: few, per: everything, at_once: 2, exceeded: deny, reason: two are enough}", 2),
        ("{id: few, per: environment, at_once: 3, exceeded: deny}", 3),
        ("{id: few, per: everything, count: ids, at_once: 2, exceeded: deny}", 2),
        ("{id: few, per: everything, per_hour: 2, exceeded: deny, match: {operations: [bench.touch]}}", 2),
    ],
    ids=["at once", "per environment", "in ids", "an hour"],
)
async def test_many_small_actions_do_not_slip_under_a_limit(world: World, limit: str, ran: int) -> None:
    """Each alone is within it; those beyond it are refused with the limit's name, and nothing is done for them."""
    # A limit of another name begins with nothing.
    limit = limit.replace("id: few", f"id: few-{world.id()}")
    await publish_documents(world.url, policy("{id: many, per: target, at_once: 1000}", limit))
    bodies = [world.propose("bench.touch", target="shop") for _ in range(8)]
    for body in bodies:
        world.bench.behaviour["bench.touch", body["proposal_id"]] = "hang"
    handles = [await world.start(body) for body in bodies]
    refused = [handle for handle in handles if await _ended(world, handle)]
    assert len(refused) == len(bodies) - ran
    for body in bodies:
        world.bench.go_on[body["proposal_id"]].set()
    results = [await world.result(handle) for handle in handles]
    assert [item.outcome for item in results].count(Outcome.succeeded) == ran
    denied = [item.reasons[0] for item in results if item.outcome == "not_executed"]
    assert {reason.code for reason in denied} == {"aggregate_limit"}
    assert all("few-" in reason.message for reason in denied)


async def test_what_alone_is_more_than_all_may_take_is_denied_before_anybody_is_asked(world: World) -> None:
    """Waiting would not help it; nor is anybody asked what no approval lifts."""
    await publish_documents(world.url, policy("{id: none, per: target, count: share, at_once: 0.5}"))
    result = await world.run(world.propose("bench.put", target="shop"))
    assert (result.resolution, result.reasons[0].code) == ("denied", "limit")
    assert "nobody knows how much it takes" in result.reasons[0].message


async def test_what_was_approved_and_finds_no_room_goes_back_to_people(world: World) -> None:
    """They see what is in the way, their votes are void, and once they approved again and there is room it runs."""
    limit = f"held-{world.id()}"
    held = f"{{id: {limit}, per: everything, at_once: 1, exceeded: hold}}"
    await publish_documents(world.url, policy("{id: many, per: target, at_once: 1000}", held))
    first, one = await hanging(world, "room-1")
    body = world.propose("bench.put", target="room-2")
    handle, name = await world.start(body), body["proposal_id"]
    await _approved_by_both(world, handle)
    await until(lambda: world.status(handle), lambda found: found["revision"] == 2)
    (superseded,) = [
        entry["content"]["revision"]["superseded"]
        for entry in await world.entries(name, "assessed")
        if entry["content"]["revision"]["revision"] == 2
    ]
    assert superseded["rule"] == "aggregate_hold"
    assert superseded["changes"][0].startswith(f"{limit} everything: 1 actions are under way")
    assert await world.effects(name) == []
    world.bench.go_on[first].set()
    assert (await world.result(one)).outcome == "succeeded"
    await _approved_by_both(world, handle)
    assert (await world.result(handle)).outcome == "succeeded"
    (refused,) = await world.entries(name, "dispatch_refused")
    assert [reason["code"] for reason in refused["content"]["reasons"]] == ["aggregate_hold"]
    assert await findings(world, name) == []


async def _approved_by_both(world: World, handle: Handle) -> None:
    for person, stage in (("bob", 1), ("cleo", 2)):
        await world.pending(handle, stage)
        await world.decide(handle, person)


async def test_what_nobody_was_asked_about_is_refused_where_people_should_decide(world: World) -> None:
    """There is nobody whom it could go back to."""
    held = f"{{id: held-{world.id()}, per: everything, at_once: 1, exceeded: hold}}"
    await publish_documents(world.url, policy("{id: many, per: target, at_once: 1000}", held))
    first, one = await hanging(world, "room-1")
    result = await world.run(world.propose("bench.touch", target="room-2"))
    assert (result.outcome, result.reasons[0].code) == ("not_executed", "aggregate_hold")
    world.bench.go_on[first].set()
    await world.result(one)


async def _ended(world: World, handle: Handle) -> bool:
    """Whether an action came to its end, once it is at work or over."""
    name = handle.id.removeprefix("action/")
    await until(lambda: _settled(world, handle, name))
    return not world.bench.begun[name].is_set()


async def _settled(world: World, handle: Handle, name: str) -> bool:
    return world.bench.begun[name].is_set() or not await world.runs(handle)


async def test_an_approved_action_takes_over_and_begins_once_the_other_is_undone(world: World) -> None:
    """The other ends its step, gets no further permit, and is undone by its verb; both ledgers name each other."""
    await publish_documents(world.url, policy())
    body = world.propose("bench.set", "bench.set", undo="bench.unset", target="room-5")
    slow = body["proposal_id"]
    world.bench.behaviour["bench.set", slow] = "hang"
    other = await world.start(body)
    async with asyncio.timeout(BOUND):
        await world.bench.begun[slow].wait()
    urgent = world.propose("bench.put", target="room-5", takes_over=slow)
    handle = await world.start(urgent)
    name = urgent["proposal_id"]
    for person, stage in (("bob", 1), ("cleo", 2)):
        status = await world.pending(handle, stage)
        assert status["screen"]["takes_over"] == slow
        await world.decide(handle, person)
    await queued(world, handle)
    assert await world.effects(name) == []
    world.bench.go_on[slow].set()
    assert (await world.result(other)).outcome == "compensated"
    assert (await world.result(handle)).outcome == "succeeded"
    (takes,), (taken,) = await world.entries(name, "takes_over"), await world.entries(slow, "taken_over")
    assert (takes["content"]["taken"], taken["content"]["by"]) == (slow, name)
    (refused,) = await world.entries(slow, "dispatch_refused")
    assert [reason["code"] for reason in refused["content"]["reasons"]] == ["taken_over"]


async def test_what_nobody_was_asked_about_takes_over_nothing(world: World) -> None:
    """What the policy merely allows waits like everybody else, whatever it says of itself."""
    await publish_documents(world.url, policy())
    first, one = await hanging(world, "room-6")
    other = await world.start(world.propose("bench.touch", target="room-6", takes_over=first))
    await queued(world, other)
    assert await world.sql("SELECT * FROM countersign.takeover WHERE taken = $1", first) == []
    world.bench.go_on[first].set()
    assert [item.outcome for item in await asyncio.gather(world.result(one), world.result(other))] == ["succeeded"] * 2
