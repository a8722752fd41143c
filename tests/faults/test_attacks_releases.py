"""Attacks on holds: whoever holds the control role's credentials writes that one was released, and acts on its target.

The signed world: no name alone counts, so what people said is what they signed.
"""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
import yaml
from sqlalchemy import insert

from activities.item_answers import ItemFile
from activities.settings import Role
from activities.tables import HoldReleaseRow, HoldRow
from activities.tables_items import ItemDecisionRow
from deploy.dev import Stack
from policy.canonical import canonical, digest
from policy.permit import entry_id
from tests.faults.test_attacks_permits import as_role
from tests.items import closed, findings, say, statement, unresolved
from tests.unit.signed import by_key
from tests.workflow.test_signed_items import AUDIENCE, KEYS, RULES, _directory, lost, sign
from tests.world import DOCUMENTS, World, decision, publish_documents, until, whole_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIES_ABOUT = ("of nothing", "elsewhere", "undone", "control", "unlinked")
ROOMS = (
    *(f"lie-{number}" for number in range(5)),
    *(f"repair-{number}" for number in range(2 * len(LIES_ABOUT))),
    *("early", "late", "signed"),
)
HOLDS = "SELECT hold_id FROM countersign.hold WHERE proposal_id = $1"


@pytest_asyncio.fixture(name="signed", scope="module", loop_scope="module")
async def _signed(stack: Stack) -> AsyncIterator[World]:
    policy, catalog = (DOCUMENTS / "policy.yaml").read_bytes() + RULES, (DOCUMENTS / "catalog.yaml").read_text()
    rooms = (
        f"---{part}".replace("room-1", name) for name in ROOMS for part in catalog.split("---") if "room-1}" in part
    )
    documents = (_directory(), policy, (catalog + "".join(rooms)).encode())
    async with whole_world(stack, *documents, claimed=False) as world:
        await _age(world.url)
        yield world


async def _age(url: str) -> None:
    """Let what was in force before these documents, and names no audience, be older than clocks may differ by."""
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER TABLE countersign.publication DISABLE TRIGGER ALL")
    await connection.execute(
        "UPDATE countersign.publication SET published_at = published_at - interval '1 hour' WHERE seq <= $1", OURS
    )
    await connection.close()


async def acted(world: World, room: str, **more: Any) -> Any:
    """The result of an action on a room that two people signed for."""
    handle = await world.start(world.propose("bench.put", undo="bench.take", target=room, **more))
    for stage, person in enumerate(("eve", "cleo"), start=1):
        assert (await world.send(handle, sign(decision(await world.pending(handle, stage), person), person))).counted
    return await world.result(handle)


def codes(result: Any) -> set[str]:
    return {reason.code for reason in result.reasons}


async def as_control(world: World, table: Any, **values: Any) -> None:
    """Write a row with everything that a control worker has."""
    body = values.pop("body", b"{}")
    database = as_role(world, "control")
    try:
        async with database.transaction() as connection:
            await connection.execute(insert(table).values(**values, body=body, digest=digest(body)))
    finally:
        await database.close()


async def release(world: World, action: str, by: str, repair: str | None = None) -> None:
    """Write, as control, that the hold of an action ended."""
    [row] = await world.sql(HOLDS, action)
    values = {"hold_id": row["hold_id"], "proposal_id": repair, "released_by": by, "released_at": datetime.now(UTC)}
    said = {"hold_id": str(row["hold_id"]), "proposal_id": repair, "released_by": by}
    await as_control(world, HoldReleaseRow, **values, body=canonical(said))


async def write_statement(world: World, file: ItemFile, said: dict[str, Any], **values: Any) -> None:
    """Write, as control, that a statement about an item counts."""
    finding = {"outcome": "succeeded", "found": "done", "repaired_by": None, "incident": None}
    row = {
        "item_id": UUID(file.item.item_id),
        "decision_id": said["decision_id"],
        "person_id": "cleo",
        "vote": "resolve",
        "counted": True,
        "receipt": canonical({"ballot": None, "finding": finding}),
        "arrival": 1,
        "received_at": datetime.now(UTC),
    }
    await as_control(world, ItemDecisionRow, **{**row, **values}, body=canonical(said))


def _by_the_wrong_key(file: ItemFile) -> dict[str, Any]:
    return by_key({"audience": AUDIENCE, **statement(file, "cleo", found="done")}, KEYS["ann"])


def _of_something_else(file: ItemFile) -> dict[str, Any]:
    return sign(statement(file, "cleo", found="done", presented_digest=file.item.action_digest), "cleo")


OURS = len(list(DOCUMENTS.glob("*.yaml")))
LIES = {
    "nobody said anything": None,
    "a name": lambda file: statement(file, "cleo", found="done"),
    "the proposer": _by_the_wrong_key,
    "somebody whom nobody asks": lambda file: sign(statement(file, "eve", found="done"), "eve"),
    "of something else": _of_something_else,
}


@pytest.mark.parametrize("name", LIES)
async def test_control_cannot_release_in_the_name_of_people(signed: World, name: str) -> None:
    """It writes the release, and a statement that nobody signed so: the gate is closed, an audit says it."""
    room = f"lie-{list(LIES).index(name)}"
    action = await lost(signed, room)
    _, file = await unresolved(signed, action)
    if (make := LIES[name]) is not None:
        await write_statement(signed, file, make(file))
    await release(signed, action, "item")
    assert await signed.holds(room) == []

    result = await acted(signed, room)

    assert "on_hold" in codes(result)
    assert await signed.effects(result.proposal_id) == []
    assert any("its hold as released by item, and no statements" in one for one in await findings(signed, action))


async def test_a_statement_from_before_the_hold_serves_nobody(signed: World) -> None:
    """What somebody signed properly counts for nothing before the hold was placed."""
    action = await lost(signed, "early")
    _, file = await unresolved(signed, action)
    said = sign(statement(file, "cleo", found="done"), "cleo")
    await write_statement(signed, file, said, received_at=datetime.now(UTC) - timedelta(hours=1))
    await release(signed, action, "item")

    assert "on_hold" in codes(await acted(signed, "early"))


@pytest.mark.parametrize("how", LIES_ABOUT)
async def test_control_cannot_release_by_a_repair_that_was_none(signed: World, how: str) -> None:
    """A repair that is not on record, that acted on another target, that was undone, or that names nothing is none."""
    room, other = f"repair-{2 * LIES_ABOUT.index(how)}", f"repair-{2 * LIES_ABOUT.index(how) + 1}"
    action = await lost(signed, room)
    repair: str | None = "no-such-action"
    if how in ("elsewhere", "unlinked"):
        more = {"remedies": action} if how == "elsewhere" else {}
        repaired = await acted(signed, other, **more)
        assert repaired.outcome == "succeeded"
        repair = repaired.proposal_id
    if how == "undone":
        undone = await acted(signed, room, remedies=action, count=99)
        assert undone.outcome == "compensated"
        repair = undone.proposal_id
    await release(signed, action, "control" if how == "control" else "remedy", repair)

    assert "on_hold" in codes(await acted(signed, room))
    assert (await acted(signed, room, remedies=action)).outcome == "succeeded"
    # What was put right by people's approval is no longer held, whatever was written before.
    assert (await acted(signed, room)).outcome == "succeeded"


async def test_a_release_that_comes_after_the_permit_is_not_believed_at_the_claim(signed: World) -> None:
    """A hold came after the permit; control writes that it ended. The executor does not act."""
    await signed.stop_workers()
    await signed.start_workers(Role.control, Role.permit)
    body = signed.propose("bench.put", undo="bench.take", target="late")
    handle = await signed.start(body)
    for stage, person in enumerate(("eve", "cleo"), start=1):
        assert (await signed.send(handle, sign(decision(await signed.pending(handle, stage), person), person))).counted
    await until(lambda: signed.permits(body["proposal_id"]))
    hold, now = UUID(entry_id("elsewhere", "hold")), datetime.now(UTC)
    held = {"hold_id": hold, "target": "component:default/late", "proposal_id": "elsewhere", "reason": "lost"}
    await as_control(signed, HoldRow, **held, owner="sre", placed_at=now, body=canonical({"resolved": []}))
    await as_control(signed, HoldReleaseRow, hold_id=hold, released_by="item", released_at=now)
    await signed.stop_workers()
    await signed.start_workers()

    result = await signed.result(handle)

    assert result.outcome == "not_executed"
    assert await signed.effects(body["proposal_id"]) == []
    assert [one["content"]["code"] for one in await signed.entries(body["proposal_id"], "claim_refused")] == ["on_hold"]


async def test_who_leaves_takes_no_release_along_and_a_revoked_key_does(signed: World) -> None:
    """A signed release holds after whoever signed it has left; by a key that was revoked it holds no longer."""
    action = await lost(signed, "signed")
    handle, file = await unresolved(signed, action)
    assert (await say(handle, sign(statement(file, "dan", found="done"), "dan"))).counted
    assert await closed(handle) == "done"
    assert await findings(signed, action) == []
    directory = yaml.safe_load(_directory())
    without = {**directory, "people": [one for one in directory["people"] if one["id"] != "dan"]}
    for one in directory["people"]:
        if one["id"] == "dan":
            one["keys"][0]["revoked_at"] = "2026-01-01T00:00:00Z"
    try:
        assert (await acted(signed, "signed")).outcome == "succeeded"
        await publish_documents(signed.url, json.dumps(without).encode())
        assert (await acted(signed, "signed")).outcome == "succeeded"
        await publish_documents(signed.url, json.dumps(directory).encode())
        assert "on_hold" in codes(await acted(signed, "signed"))
    finally:
        await publish_documents(signed.url, _directory())
