"""An undo that fails, on a real server: the others go on or stop as the policy says, and each is named."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.items import findings
from tests.world import DOCUMENTS, World, publish_documents, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ON_FAILED_UNDO = b"compensation: {on_failed_undo: VERB}\n"


@pytest_asyncio.fixture(name="plain", loop_scope="module", autouse=True)
async def _plain(world: World) -> AsyncIterator[None]:
    yield
    await publish_documents(world.url, (DOCUMENTS / "policy.yaml").read_bytes())


async def publish(world: World, verb: str) -> None:
    rules = ON_FAILED_UNDO.replace(b"VERB", verb.encode())
    await publish_documents(world.url, (DOCUMENTS / "policy.yaml").read_bytes() + rules)


@pytest.mark.parametrize(
    ("verb", "room", "undone", "named"),
    [
        ("continue", "room-1", 2, ["undo_failed", "undo_failed"]),
        ("stop", "room-2", 0, ["undo_failed", "undo_not_tried", "undo_not_tried", "undo_failed"]),
    ],
)
async def test_a_failing_undo_goes_on_or_stops_and_is_never_swallowed(
    world: World, verb: str, room: str, undone: int, named: list[str]
) -> None:
    """The undo of the last step is refused: `continue` undoes the two before it, `stop` does not; each is a reason."""
    await publish(world, verb)
    body = world.propose("bench.set", "bench.set", "bench.set", undo="bench.unset", count=99, target=room)
    for number, step in enumerate(body["steps"], start=1):
        step["parameters"] = step["undo"]["parameters"] = {"key": f"{body['proposal_id']}-{number}"}
    body["success_criteria"][0]["parameters"] = {"key": body["proposal_id"]}
    world.bench.behaviour["bench.unset", f"{body['proposal_id']}-3"] = "refuse"
    result = await world.run(body)
    assert result.outcome == "compensation_failed"
    assert [reason.code for reason in result.reasons if reason.code.startswith("undo")] == named
    undos = [each for number in (1, 2, 3) for each in await world.effects(f"{body['proposal_id']}-{number}")]
    assert undos.count("undo bench.unset") == undone
    assert await world.holds(room) == [body["proposal_id"]]
    assert await findings(world, body["proposal_id"]) == []


async def test_a_cancel_while_it_is_undone_changes_nothing(world: World) -> None:
    """Cancelled in the middle of an undo, everything is undone all the same, once, and the workflow has its result."""
    body = world.propose("bench.set", undo="bench.unset", count=99)
    key = body["proposal_id"]
    world.bench.behaviour["bench.unset", key] = "hang"
    world.bench.begun[key].clear()
    handle = await world.start(body)

    async def permits() -> bool:
        return (1, "undo", "claimed") in await world.permits(key)

    await until(permits)
    await handle.cancel()
    await handle.cancel()
    world.bench.go_on[key].set()
    result = await world.result(handle)
    assert result.outcome == "compensated"
    assert await world.effects(key) == ["do bench.set", "undo bench.unset"]
    assert await world.entries(key, "stopped") == []
    assert await findings(world, key) == []
