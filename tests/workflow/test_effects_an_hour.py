"""A limit on effects an hour, and many who come at once."""

import asyncio

import pytest

from tests.world import DOCUMENTS, World, publish_documents

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITED = (
    (DOCUMENTS / "policy.yaml")
    .read_bytes()
    .replace(
        b"limits:\n", b"limits:\n  - {id: few, match: {operations: [bench.touch]}, max_per_hour: 3, reason: few}\n", 1
    )
)


async def test_who_comes_at_once_does_not_come_before_the_limit_counts(world: World) -> None:
    """A permit counts from its issue, so that no more are ever issued than may run."""
    await publish_documents(world.url, LIMITED)
    handles = await asyncio.gather(*(world.start(world.propose("bench.touch")) for _ in range(20)))
    results = await asyncio.gather(*(world.result(handle) for handle in handles))
    ran = [item for item in results if item.outcome == "succeeded"]
    assert len(ran) == 3
    codes = {item.reasons[0].code for item in results if item.outcome == "not_executed"}
    assert codes <= {"limit", "policy_stricter"}
