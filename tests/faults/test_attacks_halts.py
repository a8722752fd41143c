"""Releases of a halt that nobody gave: rows by the control role's credentials, or an answer in a workflow.

The row of a release, the statements beside it and what a workflow was told are what whoever wrote them says. The gate
and the claims go by the signatures of two people who may.
"""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from temporalio.client import WorkflowUpdateStage

from activities.held_targets import hold_id_of
from activities.settings import Role
from deploy.dev import Stack
from policy.base import instant_text
from policy.canonical import canonical, digest
from policy.halting import HALTS_LEDGER
from tests.faults.attack import forge
from tests.halts import halt, prepared, release, signed
from tests.items import sweep
from tests.world import World, until
from workflows.interface import LOOK_AGAIN, RELEASE, STATUS

pytestmark = pytest.mark.asyncio(loop_scope="module")

Control = Callable[[str, dict[str, Any]], Any]


@pytest_asyncio.fixture(name="control", loop_scope="module")
async def _control(world: World, stack: Stack) -> AsyncIterator[Control]:
    """Inserts rows with the credentials of the control role."""
    name = (await world.sql("SELECT current_database() AS name"))[0]["name"]
    connection = await asyncpg.connect(stack.database_url("countersign_control", name))

    async def insert(table: str, row: dict[str, Any]) -> None:
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        await connection.execute(
            f"INSERT INTO countersign.{table} ({', '.join(row)}) VALUES ({places})",
            *row.values(),
        )

    yield insert
    await connection.close()


async def _plant(control: Control, halt_id: str, *statements: tuple[str, Any]) -> None:
    """Statements of a release under names of the attacker's choosing, and the release itself."""
    now = datetime.now(UTC)
    for person, value in statements:
        body = canonical(value)
        named = {"halt_id": halt_id, "digest": digest(body), "person_id": person, "received_at": now, "body": body}
        await control("halt_statement", named)
    body = canonical({"halt_id": halt_id, "people": ["ann", "bob"], "halted_by": "ann", "at": instant_text(now)})
    await control("halt_release", {"halt_id": halt_id, "released_at": now, "body": body, "digest": digest(body)})


async def _unsigned(halt_id: str) -> list[tuple[str, Any]]:
    """By the keys of nobody: the proofs are of other words."""
    return [(who, {**await signed(who, "release", halt_id), "reason": "another"}) for who in ("ann", "bob")]


async def _one_person(halt_id: str) -> list[tuple[str, Any]]:
    """Two names and two keys of one person, written as two people's."""
    return [(who, await signed(key, "release", halt_id)) for who, key in (("ann", "cleo"), ("bob", "cara"))]


async def _not_entitled(halt_id: str) -> list[tuple[str, Any]]:
    """One who may, and one who may not."""
    return [(who, await signed(key, "release", halt_id)) for who, key in (("ann", "ann"), ("bob", "dan"))]


async def _of_another(halt_id: str) -> list[tuple[str, Any]]:
    """Real statements of two people who may, which release another halt."""
    return [(who, await signed(who, "release", f"{halt_id}-other")) for who in ("ann", "bob")]


async def _to_halt(halt_id: str) -> list[tuple[str, Any]]:
    """Real statements of two people who may, and that it be halted."""
    return [(who, await signed(who, "halt", halt_id)) for who in ("ann", "bob")]


async def _over(halt_id: str) -> list[tuple[str, Any]]:
    """Real statements of two people who may, whose time was over when they came."""
    then = datetime.now(UTC) - timedelta(minutes=30)
    times = {"issued_at": instant_text(then), "expires_at": instant_text(then + timedelta(minutes=20))}
    return [(who, await signed(who, "release", halt_id, **times)) for who in ("ann", "bob")]


async def _nothing(halt_id: str) -> list[tuple[str, Any]]:
    """No statements at all, only rows."""
    return [(who, {"halt_id": halt_id, "number": who}) for who in ("ann", "bob")]


@pytest.mark.parametrize(
    ("forged", "lacking"),
    [
        (_unsigned, ("ann", "bob")),
        (_one_person, ("ann",)),
        (_not_entitled, ("bob",)),
        (_of_another, ("ann", "bob")),
        (_to_halt, ("ann", "bob")),
        (_over, ("ann", "bob")),
        (_nothing, ("ann", "bob")),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
async def test_a_release_that_control_made_up_opens_no_gate(
    world: World, control: Control, forged: Any, lacking: tuple[str, ...]
) -> None:
    """What is approved goes on waiting, and says why; two people still can release it, and then it runs."""
    await prepared(world)
    halt_id, handle, _ = await halt(world)
    await _plant(control, halt_id, *await forged(halt_id))
    body = world.propose("bench.touch")
    action = await world.start(body)
    status = await until(lambda: world.status(action), lambda found: "waits_for" in found)
    assert "(its release is not proved)" in status["waits_for"]
    assert await world.permits(body["proposal_id"]) == []
    assert (await release(handle, halt_id, *lacking))["released"]
    await action.signal(LOOK_AGAIN)
    assert (await world.result(action)).outcome == "succeeded"


@pytest.mark.parametrize(
    ("forged", "lacking"),
    [(_unsigned, ("ann", "bob")), (_one_person, ("ann",)), (_of_another, ("ann", "bob"))],
    ids=lambda one: getattr(one, "__name__", None),
)
async def test_a_release_that_control_made_up_frees_no_target(
    world: World, control: Control, forged: Any, lacking: tuple[str, ...]
) -> None:
    """A hold of a person, and every row of its release: no permit, no claim, and two people can still release it."""
    await prepared(world)
    body, later = world.propose("bench.touch", target="room-1"), world.propose("bench.touch", target="room-1")
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    action = await world.start(body)
    await until(lambda: world.permits(body["proposal_id"]))
    halt_id, handle, _ = await halt(world, target="room-1")
    await _plant(control, halt_id, *await forged(halt_id))
    await control("hold_release", _hold_release(halt_id, "people"))
    await world.stop_workers()
    await world.start_workers()
    assert (await world.result(action)).outcome == "not_executed"
    (refused,) = await world.entries(body["proposal_id"], "claim_refused")
    assert "its release is not shown: nothing proves that two people" in refused["content"]["message"]
    assert (await world.run(later)).outcome == "not_executed"
    assert await world.permits(later["proposal_id"]) == []
    (closed,) = await world.entries(later["proposal_id"], "dispatch_refused")
    assert [reason["code"] for reason in closed["content"]["reasons"]][-1] == "on_hold"
    assert (await release(handle, halt_id, *lacking))["released"]
    assert (await world.run(world.propose("bench.touch", target="room-1"))).outcome == "succeeded"


async def test_the_release_of_a_hold_by_another_halt_or_as_remedied_is_none(world: World, control: Control) -> None:
    """A hold under another halt's id, one that says it was repaired, and one that names nothing at all."""
    await prepared(world)
    other, ended, _ = await halt(world, target="room-2")
    await release(ended, other, "ann", "bob")
    halt_id, handle, _ = await halt(world, target="room-9")
    await control("hold_release", _hold_release(halt_id, "remedy"))
    for halt_named in (other, None):
        body = canonical({"target": "component:default/room-9", "resolved": [], "halt_id": halt_named})
        hold_id, now = uuid4(), datetime.now(UTC)
        row = {"hold_id": hold_id, "target": "component:default/room-9", "reason": "linked", "owner": "ann"}
        await control("hold", {**row, "placed_at": now, "body": body, "digest": digest(body)})
        await control("hold_release", {**_hold_release(halt_id, "people"), "hold_id": hold_id})
    body = world.propose("bench.touch", target="room-9")
    assert (await world.run(body)).outcome == "not_executed"
    (closed,) = await world.entries(body["proposal_id"], "dispatch_refused")
    why = [reason["message"] for reason in closed["content"]["reasons"] if reason["code"] == "on_hold"]
    assert [message.partition("not shown: ")[2].split(",")[0] for message in why] == [
        "nothing proves that two people who may have released it",
        f"it names {other}",
        "no action left it",
    ]
    assert (await release(handle, halt_id, "ann", "bob"))["released"]


def _hold_release(halt_id: str, by: str) -> dict[str, Any]:
    """The row by which a person's hold ended, as control writes it."""
    body = canonical({"halt_id": halt_id, "released_by": by})
    row = {"hold_id": hold_id_of(halt_id), "released_by": by, "released_at": datetime.now(UTC)}
    return {**row, "body": body, "digest": digest(body)}


async def test_a_release_that_control_made_up_lets_nothing_be_claimed(world: World, control: Control) -> None:
    """The executor verifies the statements itself, whatever permit there is."""
    await prepared(world)
    body = world.propose("bench.touch")
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    action = await world.start(body)
    await until(lambda: world.permits(body["proposal_id"]))
    halt_id, handle, _ = await halt(world)
    await _plant(control, halt_id, *await _unsigned(halt_id))
    await world.stop_workers()
    await world.start_workers()
    assert (await world.result(action)).outcome == "not_executed"
    (refused,) = await world.entries(body["proposal_id"], "claim_refused")
    assert refused["content"]["code"] == "halted"
    assert await world.effects(body["proposal_id"]) == []
    assert (await release(handle, halt_id, "ann", "bob"))["released"]


async def test_a_forged_completion_of_release_halt_releases_nothing(world: World) -> None:
    """The workflow believes it and ends; the halt is in force by its row, and the sweep gives it an ear again."""
    await prepared(world)
    halt_id, handle, _ = await halt(world)
    async with world.record_away():
        asked = await handle.start_update(
            RELEASE, {"halt_id": halt_id}, wait_for_stage=WorkflowUpdateStage.ACCEPTED, result_type=dict[str, Any]
        )
        await forge(world, handle, "release_halt", {"placed": True, "released": True, "message": "by nobody"})
        assert (await asked.result())["released"]
    assert (await handle.result())["released"]
    assert "halt_released" not in [
        entry["kind"] for entry in await world.entries(HALTS_LEDGER) if halt_id in str(entry["content"])
    ]
    body = world.propose("bench.touch")
    action = await world.start(body)
    await until(lambda: world.status(action), lambda found: "waits_for" in found)
    assert await world.permits(body["proposal_id"]) == []
    await sweep(world)
    again = world.client.get_workflow_handle(handle.id)
    await until(lambda: again.query(STATUS), lambda found: found["placed"])
    assert (await release(again, halt_id, "ann", "bob"))["released"]
    await action.signal(LOOK_AGAIN)
    assert (await world.result(action)).outcome == "succeeded"
