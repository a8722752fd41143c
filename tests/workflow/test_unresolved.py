"""What ended without a definite state, on a real server: it stays open until a person or a repair says what became of
it, and nobody but those who may says it.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from activities import items
from policy.items import item_id as id_of
from policy.judging import barred
from tests.items import amendment, closed, findings, say, statement, sweep, unresolved
from tests.world import DOCUMENTS, World, publish_documents, until
from workflows.interface import item_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

RULES = b"""  finders:
    stages:
      - {name: finders, requirements: [{groups: [dba, sre]}], deadline: 1h}
  both:
    stages:
      - {name: both, requirements: [{groups: [ops]}, {groups: [dba]}], deadline: 1h}
unresolved: {chain: CHAIN, due: DUE, remind_every: 1s}
"""


def policy(chain: str = "finders", due: str = "2d") -> bytes:
    """The documents of the tests, in which these say what they found."""
    rules = RULES.replace(b"CHAIN", chain.encode()).replace(b"DUE", due.encode())
    return (DOCUMENTS / "policy.yaml").read_bytes() + rules


@pytest_asyncio.fixture(name="asked", loop_scope="module", autouse=True)
async def _asked(world: World) -> AsyncIterator[None]:
    await publish_documents(world.url, policy())
    yield
    await publish_documents(world.url, (DOCUMENTS / "policy.yaml").read_bytes())


async def lost(world: World, room: str, **more: Any) -> str:
    """An action whose effect nobody knows; its id."""
    body = world.propose("bench.set", undo="bench.unset", target=room, **more)
    world.bench.behaviour["bench.set", body["proposal_id"]] = "lose"
    assert (await world.run(body)).outcome == "outcome_unknown"
    return str(body["proposal_id"])


async def approved(world: World, body: Any) -> Any:
    """The result of an action that two people let through."""
    handle = await world.start(body)
    await world.pending(handle)
    assert (await world.decide(handle, "eve")).counted
    assert (await world.decide(handle, "cleo")).counted
    return await world.result(handle)


@pytest.mark.parametrize(
    ("found", "amends", "room"),
    [("done", "succeeded", "room-1"), ("not_done", "not_executed", "room-2"), ("undone", "compensated", "room-3")],
)
async def test_a_person_says_what_became_of_it(world: World, found: str, amends: str, room: str) -> None:
    """One of those whom the policy names resolves it: the hold is gone, the outcome amended, the result as it was."""
    action = await lost(world, room)
    assert await world.holds(room) == [action]
    handle, file = await unresolved(world, action)
    assert file.item.people == ("ann",)
    assert (await say(handle, statement(file, "cleo", found=found, incident="INC-7"))).counted
    assert await closed(handle) == found
    assert await world.holds(room) == []
    (amended,) = await world.entries(action, "amended")
    assert amended["content"]["finding"]["outcome"] == amends
    assert (amended["content"]["by"], amended["content"]["was"]) == (["cleo"], "outcome_unknown")
    assert (await world.entries(action, "recorded"))[0]["content"]["result"]["outcome"] == "outcome_unknown"
    assert (await world.run(world.propose("bench.touch", target=room))).outcome == "succeeded"
    assert await findings(world, action) == []


async def test_who_asked_for_it_and_whom_nobody_asks_does_not_say_how_it_ended(world: World) -> None:
    """The proposer, an outsider, nobody, a vote, a half statement, and a repair that is none: each is refused."""
    action = await lost(world, "room-4")
    handle, file = await unresolved(world, action)
    refused = {
        "self_approval": statement(file, "ann", found="done"),
        "not_eligible": statement(file, "eve", found="done"),
        "unknown_person": statement(file, "nobody", found="done"),
        "not_authorized": statement(file, "cleo", vote="approve"),
        "justification_missing": statement(file, "cleo", found="done", justification=" "),
        "malformed": statement(file, "cleo", found="repaired"),
        "not_repaired": statement(file, "cleo", found="repaired", repaired_by="no-such-action"),
        "not_delegated": statement(file, "cleo", found="done", on_behalf_of="dan"),
        "unknown_request": statement(file, "cleo", found="done", presented_digest=file.item.action_digest),
    }
    for code, submission in refused.items():
        assert (await say(handle, submission)).code == code
    assert await world.holds("room-4") == [action]
    assert await world.entries(action, "unresolved_closed") == []
    assert await findings(world, action) == []


async def test_a_statement_about_one_item_serves_no_other_and_counts_once(world: World) -> None:
    """Replayed at another item it is refused; said again it is answered again; said otherwise it is refused."""
    one, other = await lost(world, "room-5"), await lost(world, "room-6")
    (first, mine), (second, _) = await unresolved(world, one), await unresolved(world, other)
    said = statement(mine, "dan", found="done")
    assert (await say(second, said)).code == "unknown_request"
    assert await world.holds("room-6") == [other]
    assert (await say(first, said)).counted
    assert await closed(first) == "done"
    amended, question = await amendment(world, one)
    assert (await say(amended, {**said, "decision_id": "again"})).code == "unknown_request"
    assert len(await world.entries(one, "unresolved_closed")) == 1
    assert question.item.number == 2
    await sweep(world)
    assert len(await world.entries(one, "amended")) == 1


@pytest.mark.parametrize(("also", "outcome"), [("cleo", "not_executed"), ("olga", "succeeded")])
async def test_what_was_settled_under_an_earlier_release_stays_released_unless_by_who_may_not_today(
    world: World, monkeypatch: pytest.MonkeyPatch, also: str, outcome: str
) -> None:
    """Its items kept nobody out but who does not approve; who runs the executor or wrote the policy is now, too."""
    monkeypatch.setattr("policy.items._kept_out", lambda one, _: barred(one.facts, one.evaluation))
    action = await lost(world, "room-10")
    handle, file = await unresolved(world, action)
    assert (await say(handle, statement(file, "cleo", found="done"))).counted
    assert await closed(handle) == "done"
    monkeypatch.setattr("policy.items._kept_out", lambda one, _: (*barred(one.facts, one.evaluation), also))
    after = await world.run(world.propose("bench.touch", target="room-10"))
    assert after.outcome == outcome
    assert await findings(world, action) == []
    if outcome != "succeeded":
        repair = world.propose("bench.put", undo="bench.take", target="room-10", remedies=action)
        found = await approved(world, repair)
        assert found.outcome == "succeeded", found.reasons


async def test_two_people_have_to_say_the_same(world: World) -> None:
    """Where two seats are asked, two who contradict each other settle nothing; whoever changes their mind does."""
    await publish_documents(world.url, policy("both"))
    action = await lost(world, "room-7")
    handle, file = await unresolved(world, action)
    assert (await say(handle, statement(file, "eve", found="done"))).counted
    assert (await say(handle, statement(file, "cleo", found="undone"))).resolution == "pending"
    assert await world.holds("room-7") == [action]
    assert (await say(handle, statement(file, "eve", found="undone"))).resolution == "approved"
    assert await closed(handle) == "undone"
    assert await findings(world, action) == []


async def test_an_action_that_remedies_it_closes_it(world: World) -> None:
    """Once the repair has succeeded the hold is released and the item closed, with the link; its workflow ends."""
    action = await lost(world, "room-8")
    handle, _ = await unresolved(world, action)
    repair = world.propose("bench.put", undo="bench.take", target="room-8", remedies=action)
    assert (await approved(world, repair)).outcome == "succeeded"
    # Nobody sweeps: who has repaired it lets it look.
    assert await closed(handle) == "repaired"
    (entry,) = await world.entries(action, "unresolved_closed")
    assert (entry["content"]["repaired_by"], entry["content"]["by"]) == (repair["proposal_id"], [])
    assert await world.holds("room-8") == []
    assert await findings(world, action) == []


async def test_a_repair_that_fails_itself_can_be_repaired_with_what_it_was_to_repair(world: World) -> None:
    """The repair's effect is lost, too: two holds. An action that remedies the repair releases both of them."""
    action = await lost(world, "room-9")
    first = world.propose("bench.put", undo="bench.take", target="room-9", remedies=action)
    world.bench.behaviour["bench.put", first["proposal_id"]] = "lose"
    assert (await approved(world, first)).outcome == "outcome_unknown"
    assert await world.holds("room-9") == [action, first["proposal_id"]]
    of_the_first = world.propose("bench.put", undo="bench.take", target="room-9", remedies=action)
    assert [reason.code for reason in (await world.run(of_the_first)).reasons] == ["on_hold"]
    second = world.propose("bench.put", undo="bench.take", target="room-9", remedies=first["proposal_id"])
    assert (await approved(world, second)).outcome == "succeeded"
    assert await world.holds("room-9") == []
    for name in (action, first["proposal_id"]):
        handle, _ = await unresolved(world, name)
        await sweep(world)
        assert await closed(handle) == "repaired"
        assert await findings(world, name) == []


async def test_what_ran_before_there_was_anything_to_repair_repaired_nothing(world: World) -> None:
    """An action on the same target that had succeeded before says nothing of what went wrong later."""
    before = world.propose("bench.touch", target="room-1")
    assert (await world.run(before)).outcome == "succeeded"
    action = await lost(world, "room-1")
    handle, file = await unresolved(world, action)
    named = statement(file, "cleo", found="repaired", repaired_by=before["proposal_id"])
    receipt = await say(handle, named)
    assert (receipt.code, "before there was anything to repair" in receipt.message) == ("not_repaired", True)
    repair = world.propose("bench.put", undo="bench.take", target="room-1", remedies=action)
    assert await world.holds("room-1") == [action]
    assert (await approved(world, repair)).outcome == "succeeded"
    assert await findings(world, action) == []


async def test_a_repair_that_is_undone_releases_nothing(world: World) -> None:
    """A compensated repair leaves the hold and the item as they were."""
    action = await lost(world, "room-10")
    repair = world.propose("bench.put", undo="bench.take", target="room-10", remedies=action, count=99)
    assert (await approved(world, repair)).outcome == "compensated"
    handle, file = await unresolved(world, action)
    assert await world.holds("room-10") == [action]
    named = statement(file, "cleo", found="repaired", repaired_by=repair["proposal_id"])
    assert (await say(handle, named)).code == "not_repaired"


async def test_what_is_overdue_is_paged_again_and_again(world: World) -> None:
    """Overdue, the owner, those who may say it and the operators are told, every second in this test."""
    await publish_documents(world.url, policy(due="1s"))
    action = await lost(world, "room-11")
    handle, file = await unresolved(world, action)
    pages = await until(lambda: world.entries(action, "unresolved_overdue"), lambda found: len(found) > 1)
    assert [entry["content"]["page"] for entry in pages] == sorted({entry["content"]["page"] for entry in pages})
    rows = await world.sql(
        "SELECT urgency, convert_from(body, 'UTF8')::jsonb AS body FROM countersign.notice"
        " WHERE proposal_id = $1 AND kind = 'unresolved_overdue'",
        action,
    )
    assert {row["urgency"] for row in rows} == {"urgent"}
    assert len(rows) > 1
    assert (await say(handle, statement(file, "dan", found="done"))).counted
    assert await closed(handle) == "done"
    assert await findings(world, action) == []


async def test_nobody_closes_an_item_by_the_server(world: World) -> None:
    """Cancelled it stays; terminated it is started again by the sweep; a foreign workflow and a forged completion of
    the activity close nothing, because the record is asked.
    """
    action = await lost(world, "room-12")
    handle, file = await unresolved(world, action)
    await handle.cancel()
    await handle.terminate("not mine")
    handle, _ = await unresolved(world, action)
    named = item_id(id_of(action, "unresolved"))
    code, said = await world.cli("workflow", "signal", "--workflow-id", named, "--name", "look_again")
    assert code == 0, said
    assert await world.entries(action, "unresolved_closed") == []
    assert await world.holds("room-12") == [action]
    assert (await say(handle, statement(file, "dan", found="done"))).counted
    assert await closed(handle) == "done"


async def test_every_open_item_gets_its_workflow_however_many_are_due_before_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items are read page by page: what stays open keeps none of those after it from being started."""
    monkeypatch.setattr(items, "PAGE", 1)
    actions = [await lost(world, room) for room in ("room-2", "room-3", "room-7")]
    await sweep(world)
    handles = [world.client.get_workflow_handle(item_id(id_of(action, "unresolved"))) for action in actions]
    for handle in handles:
        await handle.terminate()
    assert await items.start_items(world.client, world.database) >= len(actions)
    for action in actions:
        handle, file = await unresolved(world, action)
        assert (await say(handle, statement(file, "cleo", found="done"))).counted
