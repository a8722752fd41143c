"""The rollback of what succeeded: the recorded undo by the faster chain, and what only says that it is one."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from activities.auditing import audit
from activities.export import export_action
from tests.world import World, publish_documents
from worker import workflow_runner
from workflows.interface import workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = Path(__file__).parents[1] / "documents" / "policy.yaml"
AFTER = b"""  quick:
    stages:
      - {name: anybody, requirements: [{groups: [sre, ops]}], deadline: 1h}
revocation:
  during: {people: [dan]}
  after: {window: 1h, chain: quick}
"""


@pytest_asyncio.fixture(name="faster", scope="module", loop_scope="module", autouse=True)
async def _faster(world: World) -> AsyncIterator[None]:
    """A policy with a window in which recorded undos are asked of another chain."""
    await publish_documents(world.url, POLICY.read_bytes() + AFTER)
    yield
    await publish_documents(world.url, POLICY.read_bytes())


async def succeeded(world: World, *operations: str) -> Any:
    """An action of these steps that two people approved and that has succeeded."""
    body = world.propose(*(operations or ("bench.put",)), undo="bench.take")
    handle = await world.start(body)
    await world.pending(handle)
    await world.decide(handle, "eve")
    await world.decide(handle, "cleo")
    assert (await world.result(handle)).outcome == "succeeded"
    return body


def undoing(world: World, body: Any, **changes: Any) -> Any:
    """The proposal that undoes an action: its undos in reverse order."""
    steps = [
        {
            "name": f"undo-{step['name']}",
            "operation": step["undo"]["operation"],
            "parameters": step["undo"]["parameters"],
        }
        for step in reversed(body["steps"])
    ]
    new = {"proposal_id": world.id(), "operation": steps[0]["operation"], "undoes": body["proposal_id"]}
    done = 2 * len(steps)
    criteria = [{**body["success_criteria"][0], "equals": done}]
    return {**body, "steps": steps, "success_criteria": criteria, **new, **changes}


async def held_together(world: World, proposal_id: str) -> list[str]:
    """What an audit of a closed action finds."""
    file = await export_action(world.client, world.database, workflow_id(proposal_id), at=datetime.now(UTC))
    return [str(finding) for finding in (await audit(file.body(), workflow_runner())).findings]


async def test_the_recorded_undo_is_asked_of_the_faster_chain(world: World) -> None:
    """One of sre or ops suffices where the rule asks two stages; it runs in reverse order and the audit holds."""
    body = undoing(world, await succeeded(world, "bench.put", "bench.put"))
    handle = await world.start(body)
    status = await world.pending(handle)
    assert [(stage["name"], stage["groups"]) for stage in status["stages"]] == [("anybody", ["sre", "ops"])]
    assert (await world.decide(handle, "dan")).resolution == "approved"
    result = await world.result(handle)
    assert (result.resolution, result.outcome) == ("approved", "succeeded")
    assert await world.effects(body["undoes"]) == ["do bench.put"] * 2 + ["do bench.take"] * 2
    assert await world.entries(body["proposal_id"], "violation") == []
    assert await held_together(world, body["proposal_id"]) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"target": "room-2"}, "acted on component:default/shop"),
        ({"undoes": "nobody-knows-it"}, "the record has no action nobody-knows-it"),
        ({"operation": "bench.put"}, "its steps are not the undos"),
    ],
    ids=["another target", "an action nobody knows", "other steps"],
)
async def test_what_only_says_that_it_is_one_is_a_violation(world: World, changes: dict[str, Any], why: str) -> None:
    """The usual chain is asked, the assessment says why, and the ledger has a violation that an audit finds again."""
    body = undoing(world, await succeeded(world), **changes)
    if body["operation"] == "bench.put":
        body["steps"] = [{**step, "operation": "bench.put"} for step in body["steps"]]
    handle = await world.start(body)
    status = await world.pending(handle)
    assert [stage["name"] for stage in status["stages"]] == ["ops", "dba"]
    (entry,) = await world.entries(body["proposal_id"], "violation")
    assert why in entry["content"]["why"]
    assert any(why in line for line in status["screen"]["policy"])
    await world.decide(handle, "eve", "deny")
    await world.result(handle)
    assert await held_together(world, body["proposal_id"]) == []


async def test_of_two_rollbacks_one_runs(world: World) -> None:
    """The second is told which one to wait for; once it is undone, the usual people are asked."""
    done = await succeeded(world)
    first, second, third = undoing(world, done), undoing(world, done), undoing(world, done)
    handle = await world.start(first)
    await world.pending(handle)
    turned_away = await world.result(await world.start(second))
    assert (turned_away.outcome, turned_away.reasons[0].code) == ("not_executed", "same_effect_pending")
    assert first["proposal_id"] in turned_away.reasons[0].message
    assert (await world.decide(handle, "dan")).counted
    assert (await world.result(handle)).outcome == "succeeded"
    status = await world.pending(await world.start(third))
    assert [stage["name"] for stage in status["stages"]] == ["ops", "dba"]


async def test_rollbacks_of_two_actions_that_did_the_same_are_two(world: World) -> None:
    """Each says what it undoes, so neither stands for the other."""
    one, other = await succeeded(world), await succeeded(world)
    handles = [await world.start(undoing(world, done)) for done in (one, other)]
    for handle in handles:
        await world.pending(handle)


async def test_a_freshly_done_action_is_not_rolled_back_while_it_runs(world: World) -> None:
    """Only what succeeded is rolled back: what still waits is asked about as usual."""
    waiting = world.propose("bench.put", undo="bench.take")
    await world.pending(await world.start(waiting))
    handle = await world.start(undoing(world, waiting))
    status = await world.pending(handle)
    assert [stage["name"] for stage in status["stages"]] == ["ops", "dba"]


async def test_the_policy_names_who_may_revoke_while_it_runs(world: World) -> None:
    """Where `during` names people, who approved it may not revoke any more, and who is named may."""
    body = world.propose("bench.put", undo="bench.take")
    body["success_criteria"][0]["observe_seconds"] = 60
    handle = await world.start(body)
    await world.pending(handle)
    await world.decide(handle, "eve")
    await world.decide(handle, "cleo")
    await world.bench.begun[body["proposal_id"]].wait()
    refused = await world.decide(handle, "cleo", "revoke")
    assert (refused.code, "dan" in refused.message) == ("not_authorized", True)
    assert (await world.decide(handle, "dan", "revoke")).counted
    assert (await world.result(handle)).outcome == "compensated"
    assert await held_together(world, body["proposal_id"]) == []
