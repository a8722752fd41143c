"""An action that nobody is left to approve: it ends at once, or somebody else is asked at once, and it says why."""

from datetime import timedelta

import pytest

from tests.world import World
from workflows.interface import EXPLAIN

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_chain_that_nobody_could_satisfy_is_refused(world: World) -> None:
    """Three people are asked for, and of the three who are there one asks: denied when it is proposed."""
    result = await world.run(world.propose("bench.strand"))
    assert (result.resolution, result.reasons[0].code) == ("denied", "unreachable")
    assert result.reasons[0].message == "no 3 distinct eligible people are left for stage 1 (ops): ann asks"
    assert await world.effects(result.proposal_id) == []


async def test_a_recusal_that_leaves_nobody_ends_the_action_at_once(world: World) -> None:
    """The action is denied when the last person steps out, with who is missing, long before its deadline."""
    handle = await world.start(world.propose("bench.put", undo="bench.take"))
    await world.pending(handle)
    assert (await world.decide(handle, "bob", "recuse")).counted
    assert (await world.decide(handle, "eve")).counted
    await world.pending(handle, stage=2)
    assert (await world.decide(handle, "cleo", "recuse")).counted
    result = await world.result(handle)
    assert (result.resolution, [reason.code for reason in result.reasons]) == ("denied", ["unreachable"])
    assert result.next_action == "propose_anew"
    assert "nobody eligible is left for stage 2 (dba): bob recused, cleo recused" in result.reasons[0].message
    assert result.timings.finished_at - result.timings.proposed_at < timedelta(minutes=30)
    noted = await world.entries(result.proposal_id, "unreachable")
    assert [entry["content"]["event"]["stage"] for entry in noted] == [2]
    scopes = await world.sql("SELECT scope FROM countersign.approved_scope WHERE proposal_id = $1", result.proposal_id)
    assert scopes == [], "nobody said no, so nobody is told that this effect was denied before"


async def test_a_recusal_that_leaves_too_few_asks_others_at_once(world: World) -> None:
    """Where the stage says so, its escalation comes when it is needed and not when it would have been due."""
    handle = await world.start(world.propose("bench.hasten"))
    await world.pending(handle)
    assert (await world.decide(handle, "cleo")).code == "not_eligible"
    assert (await world.decide(handle, "bob", "recuse")).counted
    assert (await world.decide(handle, "cleo")).counted
    assert (await world.decide(handle, "eve")).counted
    result = await world.result(handle)
    assert (result.resolution, result.outcome) == ("approved", "succeeded")
    (noted,) = await world.entries(result.proposal_id, "escalated")
    assert (noted["content"]["event"]["index"], noted["content"]["cause"]) == (0, "feasibility")


async def test_who_together_could_finish_a_stage_is_told(world: World) -> None:
    """`explain` names the smallest sets of people, and names them anew after every decision."""
    handle = await world.start(world.propose("bench.hasten"))
    await world.pending(handle)
    assert (await handle.query(EXPLAIN))["unblock"] == [["bob", "eve"]]
    assert (await world.decide(handle, "eve")).counted
    assert (await handle.query(EXPLAIN))["unblock"] == [["bob"]]
    assert (await world.decide(handle, "eve", "deny")).counted
    assert (await world.result(handle)).resolution == "denied"
    assert (await handle.query(EXPLAIN))["unblock"] == []
