"""What people denied is known again, however it is put the second time."""

import json
from typing import Any

import pytest

from tests.world import World, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _about(world: World, key: str, *operations: str, **more: Any) -> Any:
    """A proposal of these steps, all on one key."""
    body = world.propose(*operations, **more)
    for step in body["steps"]:
        step["parameters"] = {"key": key}
    body["success_criteria"][0]["parameters"] = {"key": key}
    return body


async def _deny(world: World, body: Any) -> str:
    """Let somebody deny a proposal; its id."""
    handle = await world.start(body)
    await world.pending(handle)
    await world.decide(handle, "bob", "deny")
    return str((await world.result(handle)).proposal_id)


async def _assessed(world: World, body: Any) -> tuple[str, list[str]]:
    """The tier of a proposal, and the earlier denials that its assessment knows of."""
    await world.start(body)
    found = await until(
        lambda: world.sql(
            "SELECT risk_tier, convert_from(body, 'UTF8') AS body FROM countersign.assessment WHERE proposal_id = $1",
            body["proposal_id"],
        )
    )
    denials = json.loads(found[0]["body"])["facts"]["observed"]["denials"]
    return found[0]["risk_tier"], [item["proposal_id"] for item in denials]


@pytest.mark.parametrize(
    "operations",
    [("bench.put",), ("bench.put", "bench.touch"), ("bench.touch", "bench.put"), ("bench.put", "bench.put")],
    ids=["the same", "with another after it", "with another before it", "twice"],
)
async def test_what_was_denied_is_known_among_other_steps(world: World, operations: tuple[str, ...]) -> None:
    """A step more, another order or the same step twice is no way into a lower tier."""
    key = world.id()
    denied = await _deny(world, _about(world, key, "bench.put"))
    assert await _assessed(world, _about(world, key, *operations)) == ("high", [denied])


async def test_what_was_denied_together_is_known_apart(world: World) -> None:
    """Each step of what was denied was denied; what had nothing to do with it was not."""
    key = world.id()
    denied = await _deny(world, _about(world, key, "bench.put", "bench.take"))
    assert await _assessed(world, _about(world, key, "bench.take")) == ("high", [denied])
    assert await _assessed(world, _about(world, world.id(), "bench.take")) == ("low", [])
