"""Admission: how much may be asked of people, and that one effect is asked for once, before anybody is asked."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from activities.auditing import audit
from activities.export import export_action
from deploy.dev import Stack
from policy.admission import KEPT
from policy.result import ActionResult
from tests.world import DOCUMENTS, Handle, World, publish_documents, until, whole_world
from worker import workflow_runner
from workflows.interface import workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADMISSION = b"""
admission:
  - {id: few-at-once, per: agent, match: {operations: [bench.sign]}, max_pending: 3, reason: nobody reads more}
  - {id: few-an-hour, per: target, match: {operations: [bench.leave]}, max_per_hour: 4}
  - {id: few-of-owners, per: owner_group, match: {operations: [bench.wait]}, max_pending: 2}
"""


@pytest_asyncio.fixture(name="strict", scope="module", loop_scope="module")
async def _strict(stack: Stack) -> AsyncIterator[World]:
    """A world whose policy admits few."""
    async with whole_world(stack) as world:
        await publish_documents(world.url, (DOCUMENTS / "policy.yaml").read_bytes() + ADMISSION)
        yield world


def same(body: Any, proposal_id: str, **other: Any) -> Any:
    """The same effect under another id and another story."""
    return {**body, "proposal_id": proposal_id, "rationale": f"asked for as {proposal_id}", **other}


async def started(world: World, *bodies: Any) -> tuple[list[Handle], list[ActionResult]]:
    """Start many in the same moment: those that wait for people, and the results of those that do not."""
    handles = await asyncio.gather(*(world.start(body) for body in bodies))
    states = await asyncio.gather(*(settled(world, one) for one in handles))
    waiting = [one for one, found in zip(handles, states, strict=True) if found["state"] == "pending"]
    ended = [ActionResult.model_validate(found["result"]) for found in states if found["state"] == "closed"]
    return waiting, ended


async def settled(world: World, handle: Handle) -> dict[str, Any]:
    """The status, once it waits for people or is over."""
    return await until(lambda: world.status(handle), lambda found: found["state"] in ("pending", "closed"))


async def end(world: World, *handles: Handle) -> None:
    """Withdraw actions that wait."""
    for handle in handles:
        await handle.cancel()
        assert (await world.result(handle)).resolution == "withdrawn"


async def findings(world: World, proposal_id: str) -> list[str]:
    """What an audit of the newest run finds."""
    file = await export_action(world.client, world.database, workflow_id(proposal_id), at=datetime.now(UTC))
    return [str(finding) for finding in (await audit(file.body(), workflow_runner())).findings]


async def test_no_more_wait_at_once_than_a_limit_admits(strict: World) -> None:
    """Of ten that start in the same moment three wait; the others are refused, and there is room when one has ended."""
    waiting, ended = await started(strict, *(strict.propose("bench.sign") for _ in range(10)))
    assert len(waiting) == 3
    assert {(item.resolution, item.outcome, item.next_action) for item in ended} == {
        ("refused", "not_executed", "propose_anew")
    }
    assert [reason.code for item in ended for reason in item.reasons] == ["admission_limit"] * 7
    assert "few-at-once: 3 of agent tuner" in ended[0].reasons[0].message
    assert "nobody reads more" in ended[0].reasons[0].message
    for item in ended:
        assert [entry["kind"] for entry in await strict.entries(item.proposal_id)] == ["admission_refused"]
        assert await findings(strict, item.proposal_id) == []
    await end(strict, waiting[0])
    more, _ = await started(strict, strict.propose("bench.sign"))
    assert len(more) == 1
    await end(strict, *waiting[1:], *more)


async def test_what_was_refused_may_be_started_again(strict: World) -> None:
    """Who was not admitted is not registered: the same proposal is admitted once there is room."""
    waiting, _ = await started(strict, *(strict.propose("bench.sign") for _ in range(3)))
    body = strict.propose("bench.sign")
    assert (await strict.run(body)).resolution == "refused"
    assert await strict.sql("SELECT FROM countersign.proposal WHERE proposal_id = $1", body["proposal_id"]) == []
    await end(strict, *waiting)
    admitted, _ = await started(strict, body)
    kinds = [entry["kind"] for entry in await strict.entries(body["proposal_id"])]
    assert kinds == ["admission_refused", "assessed"]
    await end(strict, *admitted)
    assert await findings(strict, body["proposal_id"]) == []


async def test_no_more_are_asked_in_an_hour_than_a_limit_admits(strict: World) -> None:
    """Four on one target, though each of them is over at once; on another target there is room."""
    bodies = [strict.propose("bench.leave", target="room-3") for _ in range(5)]
    results = [await strict.run(body) for body in bodies]
    assert [item.resolution for item in results] == ["expired"] * 4 + ["refused"]
    assert "4 of target component:default/room-3 by few-an-hour were asked" in results[-1].reasons[0].message
    assert (await strict.run(strict.propose("bench.leave", target="room-4"))).resolution == "expired"


async def test_owners_and_dry_runs_count_apart(strict: World) -> None:
    """Two wait for one group of owners; another group's target and a dry run are admitted all the same."""
    first, refused = await started(strict, *(strict.propose("bench.wait", target="room-1") for _ in range(3)))
    assert [len(first), len(refused)] == [2, 1]
    apart = [strict.propose("bench.wait", target="room-2"), strict.propose("bench.wait", target="room-1", dry_run=True)]
    second, none = await started(strict, *apart)
    assert none == []
    await end(strict, *first, *second)


async def test_one_effect_is_asked_for_once(strict: World) -> None:
    """Of ten that ask for the same in the same moment one waits, and the others are told which."""
    body = strict.propose("bench.put", undo="bench.take")
    bodies = [same(body, strict.id()) for _ in range(10)]
    waiting, ended = await started(strict, *bodies)
    assert len(waiting) == 1
    first = waiting[0].id.removeprefix("action/")
    assert [(item.see, item.next_action) for item in ended] == [(first, "await_other")] * 9
    assert {reason.code for item in ended for reason in item.reasons} == {"same_effect_pending"}
    assert await findings(strict, ended[0].proposal_id) == []
    rehearsal, _ = await started(strict, same(body, strict.id(), dry_run=True))
    assert len(rehearsal) == 1
    await end(strict, *waiting, *rehearsal)
    again, _ = await started(strict, same(body, strict.id()))
    assert len(again) == 1
    await end(strict, *again)


async def test_starting_a_pending_action_again_is_no_repetition(strict: World) -> None:
    """A run that was terminated while it waited is picked up by the same proposal, and counts once."""
    body = strict.propose("bench.put", undo="bench.take")
    handle = await strict.start(body)
    await strict.pending(handle)
    await handle.terminate()
    again = await strict.start(body)
    await strict.pending(again)
    other = await strict.run(same(body, strict.id()))
    assert other.see == body["proposal_id"]
    await end(strict, again)


async def test_a_flood_of_refused_starts_leaves_few_entries(strict: World) -> None:
    """Each is answered; after the first ones only every power of two is listed, and each run holds in an audit."""
    body = strict.propose("bench.put", undo="bench.take")
    waiting, _ = await started(strict, body)
    results = [await strict.run(same(body, strict.id())) for _ in range(35)]
    assert {item.see for item in results} == {body["proposal_id"]}
    numbers = []
    for item in results:
        numbers += [entry["content"]["number"] for entry in await strict.entries(item.proposal_id)]
    assert numbers == [*range(1, KEPT + 1), 32]
    assert await findings(strict, results[-1].proposal_id) == []
    await end(strict, *waiting)


async def test_what_asks_nobody_is_admitted_always(strict: World) -> None:
    """An allowed action is bounded by other limits: the same effect may be allowed twice at once."""
    body = strict.propose("bench.touch")
    results = await asyncio.gather(*(strict.run(same(body, strict.id())) for _ in range(3)))
    assert Counter(item.resolution for item in results) == {"approved": 3}
