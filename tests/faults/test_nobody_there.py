"""No worker runs when a stage's deadline passes, on a real server and by the real clock."""

from datetime import UTC, datetime

from deploy.dev import Stack
from tests.world import World, decision, publish_documents, until, whole_world
from workflows.interface import DECIDE

_POLICY = """apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: brief, version: "1"}
unsigned: [{}]
rules:
  - {id: brief, match: {operations: [bench.wait]}, verdict: require_approval, chain: CHAIN}
chains:
  ends: {stages: [{name: ops, requirements: [{groups: [ops]}], deadline: 5s, on_expiry: cancel}]}
  goes-on: {stages: [{name: ops, requirements: [{groups: [ops]}], deadline: 5s, on_expiry: remind}]}
"""


async def test_a_worker_that_was_down_at_a_deadline_applies_the_verb_of_the_stage(stack: Stack) -> None:
    """A vote was sent in time and seen too late: where the deadline ends the case it does not count, where it reminds
    it does.
    """
    async with whole_world(stack) as world:
        assert await _missed(world, "ends") == ("expired", ["expired_cancel"], 0, 0)
        assert await _missed(world, "goes-on") == ("approved", ["criteria_met"], 1, 1)


async def _missed(world: World, chain: str) -> tuple[str, list[str], int, int]:
    """How an action ends whose vote waits over the deadline of this chain: and how many votes and effects count."""
    await publish_documents(world.url, _POLICY.replace("CHAIN", chain).encode())
    body = world.propose("bench.wait")
    handle = await world.start(body)
    status = await world.pending(handle)
    deadline = datetime.fromisoformat(status["stages"][0]["deadline"])
    async with world.paused():
        await handle.signal(DECIDE, decision(status, "eve"))
        await until(_now, lambda now: now > deadline)
    result = await world.result(handle)
    counted = await world.entries(body["proposal_id"], "decision_counted")
    effects = await world.effects(body["proposal_id"])
    return result.resolution, [reason.code for reason in result.reasons], len(counted), len(effects)


async def _now() -> datetime:
    return datetime.now(UTC)
