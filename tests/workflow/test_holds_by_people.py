"""A person holds one target: nothing is done there, as under any hold, until two people released it."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from activities.halting import halt_row
from activities.settings import Role
from deploy.dev import Stack
from policy.halting import HALTS_LEDGER, receive_halt
from tests.halts import POLICY, begun, directory, halt, prepared, release, signed
from tests.items import findings, sweep
from tests.workflow.test_held_while_running import VERBS, observed, report
from tests.world import BOUND, World, publish_documents, until
from workflows.interface import STATUS, halt_workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_nothing_is_done_on_a_target_that_a_person_holds_until_two_released_it(world: World) -> None:
    """What comes is denied and says who holds it and why; elsewhere everything goes on; after the release it runs."""
    await prepared(world)
    halt_id, handle, said = await halt(world, target="room-1", reason="INC-4711")
    assert (said["placed"], said["released"]) == (True, False)
    held = await world.run(world.propose("bench.touch", target="room-1"))
    assert (held.resolution, held.outcome) == ("denied", "not_executed")
    assert "component:default/room-1 is under hold: ann: INC-4711" in str(held.reasons)
    assert (await world.run(world.propose("bench.touch", target="room-2"))).outcome == "succeeded"
    first = await release(handle, halt_id, "ann")
    assert (first["released"], first["missing"]) == (False, "1 more of 2 people must sign the release")
    assert (await world.run(world.propose("bench.touch", target="room-1"))).outcome == "not_executed"
    assert (await release(handle, halt_id, "bob"))["released"]
    assert (await handle.result())["released"]
    assert (await world.run(world.propose("bench.touch", target="room-1"))).outcome == "succeeded"
    kinds = [entry["kind"] for entry in await world.entries(HALTS_LEDGER)]
    assert kinds == ["halted", "halt_signed", "halt_signed", "halt_released"]
    assert await findings(world, HALTS_LEDGER) == []


async def test_what_was_approved_before_the_hold_gets_no_permit(world: World) -> None:
    """The gate reads holds when it is asked, whatever people approved."""
    await prepared(world)
    body = world.propose("bench.put", target="room-3")
    action = await world.start(body)
    await world.pending(action)
    await world.decide(action, "bob")
    halt_id, handle, _ = await halt(world, target="room-3")
    await world.pending(action, stage=2)
    await world.decide(action, "cleo")
    assert (await world.result(action)).outcome == "not_executed"
    assert await world.permits(body["proposal_id"]) == []
    (refused,) = await world.entries(body["proposal_id"], "dispatch_refused")
    assert "on_hold" in [reason["code"] for reason in refused["content"]["reasons"]]
    await release(handle, halt_id, "ann", "bob")


async def test_a_permit_that_was_issued_before_the_hold_is_not_claimed(world: World) -> None:
    """The executor asks the record, whatever the permit says."""
    await prepared(world)
    body = world.propose("bench.touch", target="room-4")
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    action = await world.start(body)
    await until(lambda: world.permits(body["proposal_id"]))
    halt_id, handle, _ = await halt(world, target="room-4")
    await world.stop_workers()
    await world.start_workers()
    assert (await world.result(action)).outcome == "not_executed"
    (refused,) = await world.entries(body["proposal_id"], "claim_refused")
    assert refused["content"]["code"] == "on_hold"
    assert await world.effects(body["proposal_id"]) == []
    await release(handle, halt_id, "ann", "bob")


@pytest.mark.parametrize("verb", VERBS)
async def test_a_persons_hold_ends_what_runs_and_the_verb_of_the_proposal_applies(world: World, verb: str) -> None:
    """As a hold does that Countersign placed."""
    await prepared(world)
    room, outcome, effects = VERBS[verb]
    target = f"room-{int(room[-1]) + 4}"
    action, name = await observed(world, target, on_stop=verb)
    halt_id, handle, _ = await halt(world, target=target)
    result = await world.result(action)
    assert (result.outcome, await world.effects(name)) == (outcome, effects)
    assert (await report(world, name, 2))["stopped"].startswith(
        f"on_hold: target component:default/{target} is under hold: ann"
    )
    await release(handle, halt_id, "ann", "bob")
    assert await findings(world, name) == []


async def test_a_hold_between_two_steps_leaves_no_further_one(world: World) -> None:
    """The gate closes for the second step, and the first is undone."""
    await prepared(world)
    body = world.propose("bench.set", "bench.set", undo="bench.unset", target="room-7")
    name = body["proposal_id"]
    world.bench.behaviour["bench.set", name] = "hang"
    action = await world.start(body)
    async with asyncio.timeout(BOUND):
        await world.bench.begun[name].wait()
    halt_id, handle, _ = await halt(world, target="room-7")
    world.bench.go_on[name].set()
    assert (await world.result(action)).outcome == "compensated"
    assert await world.effects(name) == ["do bench.set", "undo bench.unset"]
    await release(handle, halt_id, "ann", "bob")


WHO = {
    "who may halt": ("ann", {}, None),
    "who may do neither": ("olga", {}, "not_authorized"),
    "who may only release": ("cleo", {}, "not_authorized"),
    "who owns another target": ("dan", {"target": "room-2"}, "not_authorized"),
    "who owns it": ("dan", {}, None),
    "who names a target that nobody knows": ("ann", {"target": "room-of-nobody"}, "unknown_target"),
}


@pytest.mark.parametrize(("who", "more", "code"), WHO.values(), ids=WHO)
async def test_who_may_hold_a_target(world: World, who: str, more: dict[str, str], code: str | None) -> None:
    """Whoever may halt, and whoever owns it; who owns it releases nothing. What was refused is on record."""
    owned = directory().replace(b"groups: [sre]", b"groups: [sre, team-room-8]")
    await publish_documents(world.url, POLICY, owned)
    halt_id, handle, said = await halt(world, who, **{"target": "room-8", **more})
    assert (said["placed"], said["code"]) == (code is None, code)
    if code is not None:
        refused = (await world.entries(HALTS_LEDGER, "halt_refused"))[-1]["content"]
        assert (refused["halt_id"], refused["code"]) == (halt_id, code)
    else:
        entry = (await world.entries(HALTS_LEDGER, "halted"))[-1]["content"]
        assert (entry["halt"]["target"], entry["person_id"]) == ("component:default/room-8", who)
        assert (await release(handle, halt_id, "dan"))["code"] == "not_authorized"
        assert (await release(handle, halt_id, "ann", "bob"))["released"]
    assert await findings(world, HALTS_LEDGER) == []


async def test_a_hold_binds_under_every_name_of_its_target(world: World) -> None:
    """The ids that it stands for are kept with it."""
    await prepared(world)
    halt_id, handle, _ = await halt(world, target="room-9")
    rows = await world.sql(
        "SELECT convert_from(body, 'UTF8')::jsonb->>'resolved' AS resolved FROM countersign.hold"
        " WHERE target = 'component:default/room-9'"
    )
    assert [row["resolved"] for row in rows] == ['["bench/room-9"]']
    await release(handle, halt_id, "ann", "bob")


async def test_a_statement_about_an_environment_and_a_target_is_none(world: World) -> None:
    """Neither is a release that says what it releases: it ends the halt that it names."""
    await prepared(world)
    halt_id = f"halt-{uuid4().hex}"
    both = await signed("ann", "halt", halt_id, target="room-1", environment="production")
    _, _, said = await begun(world, halt_id, both)
    assert (said["placed"], said["code"]) == (False, "malformed")
    halt_id, handle, _ = await halt(world, target="room-1")
    named = await handle.execute_update("release", await signed("ann", "release", halt_id, target="room-1"))
    assert named["code"] == "malformed"
    assert (await release(handle, halt_id, "ann", "bob"))["released"]


async def test_whoever_ends_its_workflow_ends_no_hold(world: World) -> None:
    """The row binds, and the sweep gives it an ear again."""
    await prepared(world)
    halt_id, handle, _ = await halt(world, target="room-1")
    await handle.terminate("by somebody")
    assert (await world.run(world.propose("bench.touch", target="room-1"))).outcome == "not_executed"
    await sweep(world)
    again = world.client.get_workflow_handle(handle.id)
    await until(lambda: again.query(STATUS), lambda found: found["placed"])
    assert (await release(again, halt_id, "ann", "bob"))["released"]
    assert (await world.run(world.propose("bench.touch", target="room-1"))).outcome == "succeeded"


async def test_a_row_that_the_halter_inserts_holds_once_the_sweep_has_run(world: World, stack: Stack) -> None:
    """Nobody proved it; it holds all the same, as a halt would, and two people release it."""
    await prepared(world)
    halt_id = f"halt-{uuid4().hex}"
    statement = await signed("dan", "halt", halt_id, target="room-2")
    row = halt_row(receive_halt(statement), statement, "dan", datetime.now(UTC))
    name = (await world.sql("SELECT current_database() AS name"))[0]["name"]
    halter = await asyncpg.connect(stack.database_url("countersign_halter", name))
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await halter.execute(f"INSERT INTO countersign.halt ({', '.join(row)}) VALUES ({places})", *row.values())
    await halter.close()
    await sweep(world)
    handle = world.client.get_workflow_handle(halt_workflow_id(halt_id))
    await until(lambda: handle.query(STATUS), lambda found: found["placed"])
    entry = (await world.entries(HALTS_LEDGER, "halted"))[-1]["content"]
    assert (entry["halt"]["target"], entry["person_id"]) == ("component:default/room-2", None)
    assert (await world.run(world.propose("bench.touch", target="room-2"))).outcome == "not_executed"
    assert (await release(handle, halt_id, "ann", "bob"))["released"]
    assert (await world.run(world.propose("bench.touch", target="room-2"))).outcome == "succeeded"
    assert await findings(world, HALTS_LEDGER) == []
