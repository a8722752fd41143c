"""Weeks of waiting under a server that skips time: reminders, escalations and deadlines.

The server is Temporal's test server; it knows none of our search attributes, so these workflows also run without any.
"""

import itertools
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial

import pytest
import pytest_asyncio

from deploy.dev import Stack
from policy.base import instant_text
from tests.weeks import Weeks, skipping
from tests.world import DOCUMENTS, decision, publish_documents, record, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY = timedelta(days=1)


@pytest_asyncio.fixture(name="name", scope="module", loop_scope="module")
async def _name(stack: Stack) -> AsyncIterator[str]:
    async with record(stack) as name:
        yield name


@pytest_asyncio.fixture(name="weeks", loop_scope="module")
async def _weeks(stack: Stack, name: str) -> AsyncIterator[Weeks]:
    """A server with a clock of its own for each test, because all of its workflows share it."""
    async with skipping(stack, name) as found:
        yield found


async def test_reminders_and_escalation_come_in_time_and_cost_little(weeks: Weeks) -> None:
    """Each reminder and escalation is an entry and at most eight events; only escalation lets another group answer."""
    world, handle = weeks.world, await weeks.asked("bench.wait")
    before = len(await world.events(handle))
    early = await world.decide(handle, "dan")
    assert (early.counted, early.code) == (False, "not_eligible")
    costs = [len(await world.events(handle))]
    for wait, kind, count in ((DAY, "reminded", 1), (2 * DAY, "reminded", 2), (2 * DAY, "escalated", 1)):
        await weeks.sleep(wait)
        entries = await weeks.noted(handle, kind, count)
        assert entries[-1]["due"]["stage"] == 1
        await until(lambda: world.events(handle), lambda found: found[-1] == "timer_started")
        costs.append(len(await world.events(handle)))
    assert costs[0] - before <= 8
    assert all(after - earlier <= 8 for earlier, after in itertools.pairwise(costs)), costs
    assert (await world.status(handle))["stages"][0]["groups"] == ["ops", "sre"]
    assert (await world.decide(handle, "dan")).counted
    assert (await world.decide(handle, "cleo")).counted
    assert (await world.result(handle)).outcome == "succeeded"
    assert one_timer_at_a_time(await world.events(handle))


async def test_a_stage_without_answer_ends_at_its_deadline(weeks: Weeks) -> None:
    """After seven days and no answer the first stage expires, by its verb and not a moment early."""
    handle = await weeks.asked("bench.wait")
    result = await weeks.world.result(handle)
    assert (result.resolution, [reason.code for reason in result.reasons]) == ("expired", ["expired_deny"])
    assert timedelta(0) <= result.timings.finished_at - result.timings.proposed_at - 7 * DAY < timedelta(minutes=1)
    assert len(await weeks.noted(handle, "reminded", 2)) == 2
    assert one_timer_at_a_time(await weeks.world.events(handle))


async def test_the_second_stage_has_a_deadline_and_a_verb_of_its_own(weeks: Weeks) -> None:
    """The second stage's fourteen days begin when the first was approved, and it ends by its own verb."""
    handle = await weeks.asked("bench.wait")
    await weeks.sleep(6 * DAY)
    await weeks.noted(handle, "escalated", 1)
    assert (await weeks.world.decide(handle, "eve")).counted
    result = await weeks.world.result(handle)
    assert (result.resolution, [reason.code for reason in result.reasons]) == ("expired", ["expired_cancel"])
    assert timedelta(0) <= result.timings.finished_at - result.timings.proposed_at - 20 * DAY < timedelta(minutes=1)


async def test_nothing_moves_the_absolute_deadline(weeks: Weeks) -> None:
    """Two stages of twenty days each, an approval on day fifteen: it is over after thirty days all the same."""
    handle = await weeks.asked("bench.outlast")
    await weeks.sleep(15 * DAY)
    assert (await weeks.world.decide(handle, "eve")).counted
    result = await weeks.world.result(handle)
    assert result.resolution == "expired"
    assert timedelta(0) <= result.timings.finished_at - result.timings.proposed_at - 30 * DAY < timedelta(minutes=1)


async def test_a_decision_expires_while_it_waits(weeks: Weeks) -> None:
    """A decision is valid until the instant that its author wrote; after that it is refused."""
    handle = await weeks.asked("bench.wait")
    status = await weeks.world.status(handle)
    soon = datetime.fromisoformat(status["due"][0]["at"])
    submission = decision(status, "eve", expires_at=instant_text(soon))
    await weeks.sleep(2 * DAY)
    receipt = await weeks.world.send(handle, submission)
    assert (receipt.counted, receipt.code) == (False, "expired")


async def test_measuring_again_every_day_writes_nothing_where_nothing_changes(weeks: Weeks) -> None:
    """Each day costs six events at most and no entry; what changed on the fifth is found on the fifth."""
    world, policy, catalog = weeks.world, _document("policy"), _document("catalog")
    daily = policy.replace(b"permit_ttl: 60s\n", b"permit_ttl: 60s\ndrift: {recheck_every: 1d}\n")
    moved = catalog.replace(b"resource-id: bench/shop", b"resource-id: bench/market")
    await publish_documents(world.url, daily)
    handle = await weeks.asked("bench.outlast")
    costs = [len(await world.events(handle))]
    for day in range(1, 5):
        await weeks.sleep(DAY)
        await until(lambda: world.events(handle), partial(_slept, day))
        costs.append(len(await world.events(handle)))
    await publish_documents(world.url, moved)
    await weeks.sleep(DAY)
    found = await until(lambda: world.status(handle), lambda found: found["revision"] == 2)
    await publish_documents(world.url, policy, catalog)
    opened = datetime.fromisoformat(found["stages"][0]["opened_at"])
    first = (await world.entries(handle.id.removeprefix("action/"), "assessed"))[0]
    assert timedelta(0) <= opened - datetime.fromisoformat(first["at"]) - 5 * DAY < timedelta(minutes=1)
    assert all(after - earlier <= 6 for earlier, after in itertools.pairwise(costs)), costs
    assert await world.entries(handle.id.removeprefix("action/"), "remeasured") == []
    assert one_timer_at_a_time(await world.events(handle))


def _slept(times: int, events: list[str]) -> bool:
    """Whether it woke so many times, and waits again."""
    return events.count("timer_fired") == times and events[-1] == "timer_started"


def _document(name: str) -> bytes:
    return (DOCUMENTS / f"{name}.yaml").read_bytes()


def one_timer_at_a_time(events: list[str]) -> bool:
    """Whether never more than one timer ran."""
    running = 0
    for event in events:
        running += (event == "timer_started") - (event in ("timer_fired", "timer_canceled"))
        if running > 1:
            return False
    return True
