"""Attacks on what is found: whoever can write to the namespace puts nothing on record by it, and permits nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from activities.executors.base import Inquiry
from activities.settings import Role
from policy.targets import ResolvedTarget
from tests.faults.attack import assessed, call, dispatch, forge
from tests.world import World, until
from workflows.interface import EXECUTOR_QUEUE, TASK_QUEUE

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ROWS = "SELECT count(*) AS n FROM countersign.target_resolution"
_INSERT = (
    "INSERT INTO countersign.target_resolution (action_digest, digest, body, resolved_at, resolved_by)"
    " VALUES ('x', 'sha256:' || encode(sha256('{}'), 'hex'), '{}', now(), 'me')"
)


@pytest_asyncio.fixture(name="alone", loop_scope="module")
async def _alone(world: World) -> AsyncIterator[World]:
    """The world without its executor: what is asked of it waits."""
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    yield world
    await world.stop_workers()
    await world.start_workers()


async def _count(world: World) -> int:
    return int((await world.sql(_ROWS))[0]["n"])


async def test_a_forged_answer_puts_nothing_on_record(alone: World) -> None:
    """`temporal activity complete` says twice that it was resolved: the action is denied, as nobody has looked."""
    before = await _count(alone)
    handle = await alone.start(alone.propose("bench.sweep", undo="bench.unsweep"))
    for _ in range(2):
        await forge(alone, handle, "resolve", {"resolved": True, "steps": [{"step": 1, "targets": [{"id": "a"}]}]})
    result = await alone.result(handle)

    assert (result.resolution, [reason.code for reason in result.reasons]) == ("denied", ["unresolved_target"])
    assert await _count(alone) == before


async def test_an_answer_that_nobody_can_read_wedges_nothing(alone: World) -> None:
    """Garbage in the place of an answer is an answer that says nothing."""
    handle = await alone.start(alone.propose("bench.sweep", undo="bench.unsweep"))
    garbage: tuple[Any, ...] = ('"what?"', {"resolved": {"a": []}})
    for answer in garbage:
        await forge(alone, handle, "resolve", answer)
    assert (await alone.result(handle)).resolution == "denied"


async def test_dispatch_alone_is_no_way_around_the_executors(world: World) -> None:
    """Of an action that is approved and that nobody resolved lately no permit comes, whatever the request says."""
    body = world.propose("bench.sweep", undo="bench.unsweep")
    key = body["proposal_id"]
    assert (await call(world, "assess", TASK_QUEUE, assessed(body)))["resolve"] is True
    assert await world.entries(key) == []
    await call(world, "resolve", EXECUTOR_QUEUE, {"proposal": body})
    plan = (await call(world, "assess", TASK_QUEUE, assessed(body)))["plan"]
    assert (plan["resolution"], plan["resolves"]) == ("approved", True)
    # The newest row of the action is none by now.
    await world.sql(
        "INSERT INTO countersign.target_resolution (action_digest, digest, body, resolved_at, resolved_by)"
        " VALUES ($1, 'sha256:' || encode(sha256('{}'), 'hex'), '{}', now(), 'me')",
        plan["action_digest"],
    )

    told = await call(world, "dispatch", TASK_QUEUE, dispatch(key))
    assert (told["permit_id"], told["resolve"]) == (None, True)
    assert await world.entries(key, "dispatch_refused") == []
    refused = await call(world, "dispatch", TASK_QUEUE, {**dispatch(key), "unresolved": True})
    assert (refused["permit_id"], refused["resolve"], refused["curable"]) == (None, False, False)
    assert "target_not_resolved" in [reason["code"] for reason in refused["reasons"]]
    assert await world.permits(key) == []


async def test_an_action_that_is_not_approved_is_refused_and_not_resolved(world: World) -> None:
    """A permit that nobody may ask for yet is refused on record, as of any action, and no target is looked at."""
    body = world.propose("bench.mop", undo="bench.unsweep")
    handle = await world.start(body)
    await world.pending(handle)
    asked = len(world.bench.asked)
    early = await call(world, "dispatch", TASK_QUEUE, dispatch(body["proposal_id"]))
    assert (early["permit_id"], early["resolve"]) == (None, False)
    assert len(await world.entries(body["proposal_id"], "dispatch_refused")) == 1
    assert len(world.bench.asked) == asked
    await handle.cancel()
    await world.result(handle)


async def test_anybody_may_ask_and_only_reads(world: World) -> None:
    """`resolve` alone looks and writes down what is there; it says nothing of it, and nothing follows from it."""
    body = world.propose("bench.sweep", undo="bench.unsweep")
    before = await _count(world)
    answer = await call(world, "resolve", EXECUTOR_QUEUE, {"proposal": body})
    assert answer == {"resolved": True}
    assert await _count(world) == before + 1
    assert await world.effects(body["proposal_id"]) == []


async def test_many_who_ask_together_share_one_look(world: World) -> None:
    """Ten ask at once while somebody looks: it is looked at once more, and all of them have that."""
    body = world.propose("bench.sweep", undo="bench.unsweep")
    key, asked = body["proposal_id"], len(world.bench.asked)
    go_on = asyncio.Event()
    resolve = world.bench.resolve

    async def slowly(inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        found = await resolve(inquiry)
        await go_on.wait()
        return found

    world.bench.resolve = slowly  # type: ignore[method-assign]
    try:
        first = asyncio.create_task(call(world, "resolve", EXECUTOR_QUEUE, {"proposal": body}))
        await until(lambda: _asked(world, asked + 1))
        others = [asyncio.create_task(call(world, "resolve", EXECUTOR_QUEUE, {"proposal": body})) for _ in range(5)]
        await asyncio.sleep(0)
        go_on.set()
        answers = await asyncio.gather(first, *others)
    finally:
        world.bench.resolve = resolve  # type: ignore[method-assign]
    assert answers == [{"resolved": True}] * 6
    mine = [one for one in world.bench.asked[asked:] if one.parameters["key"] == key]
    assert 1 <= len(mine) <= len(answers)


async def _asked(world: World, count: int) -> bool:
    return len(world.bench.asked) >= count


@pytest.mark.parametrize("role", ["countersign_control", "countersign_permit", "countersign_reader"])
async def test_no_other_role_says_what_is_there(world: World, role: str) -> None:
    """Only who holds the targets' credentials writes what was found, or what executors can do."""
    connection = await asyncpg.connect(world.url)
    try:
        await connection.execute(f"SET ROLE {role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(_INSERT)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                _INSERT.replace("target_resolution (action_digest", "executor_capability (executor").replace(
                    "resolved_", "declared_"
                )
            )
    finally:
        await connection.close()


async def test_a_row_that_is_not_what_its_digest_says_is_none(world: World) -> None:
    """What stands in the record under an action without being about it is as good as nothing."""
    body = world.propose("bench.sweep", undo="bench.unsweep")
    await call(world, "resolve", EXECUTOR_QUEUE, {"proposal": body})
    other = world.propose("bench.sweep", undo="bench.unsweep")
    await call(world, "resolve", EXECUTOR_QUEUE, {"proposal": other})
    rows = await world.sql("SELECT * FROM countersign.target_resolution ORDER BY seq DESC LIMIT 2")
    await world.sql(
        "INSERT INTO countersign.target_resolution (action_digest, digest, body, resolved_at, resolved_by)"
        " VALUES ($1, $2, $3, $4, 'me')",
        *(rows[1]["action_digest"], rows[0]["digest"], rows[0]["body"], datetime.now(UTC)),
    )
    asked = len(world.bench.asked)
    assert (await world.run(body)).resolution == "approved"
    # The row of another action counted for nothing: it was asked about again, and once more before the permit.
    assert len(world.bench.asked) == asked + 2
