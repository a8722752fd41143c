"""Halting everything: what waits, what ends, what goes on, and who lets it go on."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from temporalio.client import WorkflowHandle

from activities.halting import halt_row
from activities.settings import Role
from deploy.dev import Stack
from policy.halting import HALTS_LEDGER, receive_halt
from tests.halts import begun, halt, prepared, release, signed
from tests.world import BOUND, Handle, World, until
from workflows.interface import LOOK_AGAIN, RELEASE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_nothing_begins_while_everything_is_halted_and_it_begins_after_the_release(world: World) -> None:
    """What is approved meanwhile waits, says why, and runs at once when two people have released it."""
    await prepared(world)
    halt_id, handle, said = await halt(world)
    assert (said["placed"], said["released"]) == (True, False)
    body = world.propose("bench.put")
    action = await world.start(body)
    await world.pending(action)
    await world.decide(action, "bob")
    await world.pending(action, stage=2)
    await world.decide(action, "cleo")
    status = await until(lambda: world.status(action), lambda found: "waits_for" in found)
    assert status["waits_for"].startswith("everything is halted by ann since 20")
    assert await world.permits(body["proposal_id"]) == []
    answer = await release(handle, halt_id, "ann", "bob")
    assert (answer["released"], answer["message"]) == (True, "released by ann and bob")
    assert (await handle.result())["released"]
    # It would ask by itself in five minutes.
    assert (await world.result(action)).outcome == "succeeded"
    kinds = [entry["kind"] for entry in await world.entries(HALTS_LEDGER)]
    assert kinds[-4:] == ["halted", "halt_signed", "halt_signed", "halt_released"]


async def test_who_is_asked_about_what_is_halted_sees_it_and_the_operators_are_told(world: World) -> None:
    """Status and explanation say since when and by whom; the release leaves nothing of it."""
    await prepared(world)
    halt_id, handle, _ = await halt(world)
    body = world.propose("bench.put")
    action = await world.start(body)
    status = await world.pending(action)
    assert status["halted"].startswith("everything is halted by ann since 20")
    assert (await action.query("explain"))["halted"] == status["halted"]
    assert (await release(handle, halt_id, "ann", "bob"))["released"]
    await world.decide(action, "bob")
    assert "halted" not in await world.pending(action, stage=2)
    told = await world.sql(
        "SELECT kind FROM countersign.notice WHERE kind LIKE 'halt%' AND recipient_kind = 'audience'"
        " AND convert_from(body, 'UTF8')::jsonb->>'key' LIKE '%' || $1 ORDER BY created_at",
        halt_id,
    )
    assert [row["kind"] for row in told] == ["halted", "halt_released"]
    await world.decide(action, "cleo", "deny", justification="not today")


async def test_what_runs_ends_its_step_and_is_undone(world: World) -> None:
    """The second step gets no permit; the first is undone, which no halt stops."""
    await prepared(world)
    body = world.propose("bench.set", "bench.set", undo="bench.unset")
    name = body["proposal_id"]
    world.bench.behaviour["bench.set", name] = "hang"
    action = await world.start(body)
    async with asyncio.timeout(BOUND):
        await world.bench.begun[name].wait()
    halt_id, handle, _ = await halt(world)
    world.bench.go_on[name].set()
    result = await world.result(action)
    assert (result.resolution, result.outcome) == ("approved", "compensated")
    assert await world.effects(name) == ["do bench.set", "undo bench.unset"]
    (refused,) = await world.entries(name, "dispatch_refused")
    assert [reason["code"] for reason in refused["content"]["reasons"]] == ["halted"]
    await release(handle, halt_id, "bob", "cleo")


async def test_an_action_whose_stop_asks_people_is_left_as_it_is(world: World) -> None:
    """The verb that was approved for a stop applies, not a better one."""
    await prepared(world)
    body = world.propose("bench.set", "bench.set", undo="bench.unset", on_stop="ask", target="room-7")
    name = body["proposal_id"]
    world.bench.behaviour["bench.set", name] = "hang"
    action = await world.start(body)
    async with asyncio.timeout(BOUND):
        await world.bench.begun[name].wait()
    halt_id, handle, _ = await halt(world)
    world.bench.go_on[name].set()
    assert (await world.result(action)).outcome == "inconclusive"
    assert await world.effects(name) == ["do bench.set"]
    await release(handle, halt_id, "bob", "cleo")


async def test_a_halt_of_another_environment_stops_nothing_here(world: World) -> None:
    """It names what it is about."""
    await prepared(world)
    halt_id, handle, _ = await halt(world, environment="staging")
    assert (await world.run(world.propose("bench.touch"))).outcome == "succeeded"
    await release(handle, halt_id, "ann", "bob")


@pytest.mark.parametrize(
    ("who", "code"), [("dan", "not_authorized"), ("olga", "not_authorized"), ("cleo", "not_authorized")]
)
async def test_somebody_who_may_not_halt_is_refused_and_that_is_on_record(world: World, who: str, code: str) -> None:
    """Nothing is halted by it."""
    await prepared(world)
    halt_id, handle, said = await halt(world, who)
    assert (said["placed"], said["code"]) == (False, code)
    assert not (await handle.result())["placed"]
    assert (await world.run(world.propose("bench.touch"))).outcome == "succeeded"
    refused = await world.entries(HALTS_LEDGER, "halt_refused")
    assert refused[-1]["content"]["halt_id"] == halt_id


async def test_what_nobody_signed_halts_nothing_through_the_workflow(world: World) -> None:
    """A name, another person's signature on other words, another installation's: none of it counts."""
    await prepared(world)
    halt_id = f"halt-{uuid4().hex}"
    statement = await signed("ann", "halt", halt_id)
    wrong = {
        "unsigned": {**statement, "proof": {"kind": "claimed", "identity": "ann"}},
        "changed": {**statement, "reason": "something else"},
        "elsewhere": {**statement, "audience": "countersign/other"},
        "a release": await signed("ann", "release", halt_id),
        "nothing": None,
    }
    for number, value in enumerate(wrong.values()):
        other = f"{halt_id}-{number}"
        _, _, said = await begun(world, other, value if value is None else {**value, "halt_id": other})
        assert not said["placed"], said
    assert (await world.run(world.propose("bench.touch"))).outcome == "succeeded"


async def test_one_person_releases_nothing_under_however_many_names_and_keys(world: World) -> None:
    """Twice, by two keys, unsigned, with somebody who may not: it stays halted until a second person signs."""
    await prepared(world)
    halt_id, handle, _ = await halt(world)
    first = await release(handle, halt_id, "cleo", "cleo", "cara")
    assert (first["released"], first["missing"]) == (False, "1 more of 2 people must sign the release")
    refused = await release(handle, halt_id, "dan")
    assert refused["code"] == "not_authorized"
    unsigned = await handle.execute_update(
        RELEASE, {**await signed("bob", "release", halt_id), "proof": {"kind": "claimed", "identity": "bob"}}
    )
    assert unsigned["code"] == "malformed"
    other = await handle.execute_update(RELEASE, await signed("bob", "release", "halt-of-another"))
    assert other["code"] == "unknown_request"
    with pytest.raises(asyncpg.RestrictViolationError, match="is released by two people"):
        await world.sql(
            "INSERT INTO countersign.halt_release (halt_id, released_at, body, digest)"
            " SELECT halt_id, placed_at, body, digest FROM countersign.halt WHERE halt_id = $1",
            halt_id,
        )
    await handle.cancel()
    action = await world.start(world.propose("bench.touch"))
    await until(lambda: world.status(action), lambda found: "waits_for" in found)
    assert (await release(handle, halt_id, "ann"))["released"]
    await action.signal(LOOK_AGAIN)
    assert (await world.result(action)).outcome == "succeeded"


async def test_a_halt_that_nobody_proved_halts_and_is_said_to_be_unproven(world: World, stack: Stack) -> None:
    """Written by the role that can do nothing else, while Temporal is not asked: it is in force at once."""
    await prepared(world)
    halt_id = f"halt-{uuid4().hex}"
    statement = await signed("dan", "halt", halt_id)
    row = halt_row(receive_halt(statement), statement, "dan", datetime.now(UTC))
    name = (await world.sql("SELECT current_database() AS name"))[0]["name"]
    halter = await asyncpg.connect(stack.database_url("countersign_halter", name))
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await halter.execute(f"INSERT INTO countersign.halt ({', '.join(row)}) VALUES ({places})", *row.values())
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await halter.fetch("SELECT * FROM countersign.halt")
    await halter.close()
    action = await world.start(world.propose("bench.touch"))
    await until(lambda: world.status(action), lambda found: "waits_for" in found)
    _, handle, said = await begun(world, halt_id, None)
    assert said["placed"]
    entry = (await world.entries(HALTS_LEDGER, "halted"))[-1]["content"]
    assert (entry["person_id"], entry["unproven"].partition(":")[0]) == (None, "not_authorized")
    assert (await release(handle, halt_id, "ann", "bob"))["released"]
    await action.signal(LOOK_AGAIN)
    assert (await world.result(action)).outcome == "succeeded"


async def test_a_permit_that_was_issued_before_is_not_claimed(world: World) -> None:
    """The executor asks the record, whatever the permit says."""
    await prepared(world)
    body = world.propose("bench.touch")
    action = await _permitted_and_halted(world, body)
    result = await world.result(action[0])
    assert result.outcome == "not_executed"
    (refused,) = await world.entries(body["proposal_id"], "claim_refused")
    assert refused["content"]["code"] == "halted"
    assert await world.effects(body["proposal_id"]) == []
    await release(action[2], action[1], "ann", "bob")


async def _permitted_and_halted(world: World, body: Any) -> "tuple[Handle, str, WorkflowHandle[Any, Any]]":
    """An action whose permit was issued while no executor ran, and a halt after it."""
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    action = await world.start(body)
    await until(lambda: world.permits(body["proposal_id"]))
    halt_id, handle, _ = await halt(world)
    await world.stop_workers()
    await world.start_workers()
    return action, halt_id, handle
