"""How an action that has ended did end, as people know it later, on a real server."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from activities.documents import Documents
from activities.observing import observe
from policy.observed import Observed
from policy.proposal import receive
from tests.items import amendment, closed, findings, item_workflow, say, statement
from tests.world import DOCUMENTS, World, publish_documents
from workflows.interface import amendment_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

AMENDING = b"""  seniors:
    stages:
      - {name: seniors, requirements: [{groups: [sre]}], deadline: 1h}
amendments: {chain: seniors}
"""


@pytest_asyncio.fixture(name="plain", loop_scope="module", autouse=True)
async def _plain(world: World) -> AsyncIterator[None]:
    yield
    await publish_documents(world.url, (DOCUMENTS / "policy.yaml").read_bytes())


async def done(world: World, target: str = "shop") -> str:
    """An action that two people let through and that has succeeded; its id."""
    body = world.propose("bench.put", undo="bench.take", target=target)
    handle = await world.start(body)
    await world.pending(handle)
    assert (await world.decide(handle, "eve")).counted
    assert (await world.decide(handle, "cleo")).counted
    assert (await world.result(handle)).outcome == "succeeded"
    return str(body["proposal_id"])


async def observed(world: World, target: str = "shop") -> Observed:
    """What the next assessment of the same sees."""
    received = receive(world.propose("bench.put", undo="bench.take", target=target))
    async with world.database.snapshot() as connection:
        return await observe(connection, received, await Documents().in_force(connection), datetime.now(UTC))


async def test_an_incident_is_traced_to_an_action_that_had_succeeded(world: World) -> None:
    """Whoever could have approved it says so; the result stays, the newest amendment is what later ones see."""
    action = await done(world, "room-1")
    handle, file = await amendment(world, action)
    said = statement(file, "bob", outcome="caused_incident", incident="INC-1")
    assert (await say(handle, said)).counted
    assert await closed(handle) == "answered"
    (entry,) = await world.entries(action, "amended")
    assert entry["content"]["finding"] == {
        "outcome": "caused_incident",
        "found": None,
        "repaired_by": None,
        "incident": "INC-1",
    }
    assert (await world.entries(action, "recorded"))[0]["content"]["result"]["outcome"] == "succeeded"
    assert [item.outcome for item in (await observed(world, "room-1")).similar] == ["caused_incident"]
    handle, file = await amendment(world, action)
    assert (await say(handle, statement(file, "eve", outcome="succeeded"))).counted
    assert [item.outcome for item in (await observed(world, "room-1")).similar] == ["succeeded"]
    assert await findings(world, action) == []


async def test_who_asked_for_it_amends_nothing(world: World) -> None:
    """The proposer cannot make an incident a success; an amendment needs a reason, an outcome, and somebody asked."""
    action = await done(world)
    refused: dict[str, dict[str, Any]] = {
        "self_approval": {"person": "ann", "outcome": "succeeded"},
        "not_eligible": {"person": "dan", "outcome": "failed"},
        "justification_missing": {"person": "bob", "outcome": "failed", "justification": ""},
        "malformed": {"person": "bob", "found": "done"},
        "not_authorized": {"person": "bob", "vote": "resolve", "found": "done"},
    }
    for code, said in refused.items():
        handle, file = await amendment(world, action)
        assert (await say(handle, statement(file, **said))).code == code
        await closed(handle)
    assert await world.entries(action, "amended") == []
    assert await findings(world, action) == []


async def test_the_policy_in_force_says_who_amends(world: World) -> None:
    """Where it names a chain, those and nobody else; what was asked under another policy is no question any more."""
    action = await done(world)
    _, before = await amendment(world, action)
    await publish_documents(world.url, (DOCUMENTS / "policy.yaml").read_bytes() + AMENDING)
    for person, question, code in (("bob", None, "not_eligible"), ("dan", before, "unknown_request")):
        handle, file = await amendment(world, action)
        said = statement(question or file, person, outcome="failed")
        assert (await say(handle, said)).code == code
        await closed(handle)
    handle, file = await amendment(world, action)
    assert (await say(handle, statement(file, "dan", outcome="failed"))).counted
    assert await findings(world, action) == []


async def test_what_has_not_ended_has_no_outcome_to_amend(world: World) -> None:
    """The item of an action that waits, or that nobody knows, ends at once and takes nothing."""
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body)
    await world.pending(handle)
    for name in (body["proposal_id"], "no-such-action"):
        assert await closed(await item_workflow(world, amendment_item(name))) is None
    await world.decide(handle, "eve", "deny")
    await world.result(handle)


async def test_what_somebody_said_for_the_better_does_not_count_for_their_own_proposals(world: World) -> None:
    """Approvers who propose, too, cannot amend others' failures to successes and then propose at a lower tier."""
    action = await done(world, "room-3")
    for person, outcome in (("bob", "caused_incident"), ("eve", "failed"), ("eve", "succeeded")):
        handle, file = await amendment(world, action)
        assert (await say(handle, statement(file, person, outcome=outcome))).counted
        await closed(handle)
    assert await ended_for(world, "ann", action, "room-3") == ["succeeded"]
    assert await ended_for(world, "bob", action, "room-3") == ["succeeded"]
    assert await ended_for(world, "eve", action, "room-3") == ["caused_incident"]


async def test_what_somebody_said_for_the_worse_counts_for_their_own_proposals(world: World) -> None:
    """Whoever says the worse of an action raises the risk of what they ask for, too; who says less of it later does not
    lower it again."""
    action = await done(world, "room-4")
    for outcome in ("caused_incident", "compensated"):
        handle, file = await amendment(world, action)
        assert (await say(handle, statement(file, "eve", outcome=outcome))).counted
        await closed(handle)
    assert await ended_for(world, "eve", action, "room-4") == ["caused_incident"]
    assert await ended_for(world, "ann", action, "room-4") == ["compensated"]


async def ended_for(world: World, person: str, action: str, target: str) -> list[str]:
    """How an action ended, as the next proposal that somebody stands behind sees it."""
    received = receive(world.propose("bench.put", undo="bench.take", target=target, on_behalf_of=person))
    async with world.database.snapshot() as connection:
        found = await observe(connection, received, await Documents().in_force(connection), datetime.now(UTC))
    return [item.outcome for item in found.similar if item.proposal_id == action]
