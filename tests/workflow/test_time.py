"""Weeks of a stage under a server that skips time: questions, holds, graces, look-ups, office hours, lost standing.

Each action is audited when it has ended: everything that was noted follows again from the ledger.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from activities.auditing import audit
from activities.export import export_action
from deploy.dev import Stack
from policy.rules.hours import Hours, ends
from tests.weeks import Weeks, skipping
from tests.world import DOCUMENTS, Handle, decision, publish_documents, record, until
from worker import workflow_runner
from workflows.interface import DECIDE, EXPLAIN

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
_CHAINS = """chains:
  asks: {stages: [{name: ops, requirements: [{groups: [ops]}], deadline: 5d, on_request_info: pause}]}
  holds:
    stages:
      - {name: ops, requirements: [{groups: [ops]}], deadline: 2d, on_expiry: hold, release: {groups: [sre]}}
  looks:
    stages:
      - name: ops
        requirements: [{groups: [ops]}]
        deadline: 6d
        escalations: [{after: 2d, to: [parent_group], replace: true, reason: nobody in ops answered}]
  reminds:
    stages:
      - {name: ops, requirements: [{groups: [ops]}], deadline: 2d, on_expiry: remind}
  office:
    stages:
      - {name: ops, requirements: [{groups: [ops]}], deadline: 20h, hours: office, remind_every: 8h}
  graced:
    stages:
      - {name: ops, requirements: [{groups: [ops]}], deadline: 2d, grace: 1d}
  deadline:
    stages:
      - name: ops
        requirements: [{groups: [ops]}]
        deadline: 2d
        on_expiry: escalate
        expiry_escalation: {after: 0s, add_groups: [sre], reason: nobody in ops answered}
  pair:
    stages:
      - {name: first, requirements: [{groups: [ops]}], deadline: 3d}
      - {name: second, requirements: [{groups: [dba]}], deadline: 3d}
"""
_ASKED = {
    "bench.wait": "asks",
    "bench.outlast": "holds",
    "bench.lapse": "looks",
    "bench.leave": "reminds",
    "bench.then": "office",
    "bench.crowd": "graced",
    "bench.wordy": "deadline",
    "bench.put": "pair",
}
_RULES = "".join(
    f"  - {{id: {chain}, match: {{operations: [{name}]}}, verdict: require_approval, chain: {chain}}}\n"
    for name, chain in _ASKED.items()
)
POLICY = f"""apiVersion: countersign/v1
kind: PolicyDocument
metadata: {{name: tests, version: "2"}}
unsigned: [{{}}]
absolute_deadline: 30d
rules:
  - {{id: routine, match: {{operations: [bench.take]}}, verdict: allow}}
{_RULES}hours:
  office: {{zone: Europe/Berlin, days: {{mon: ["09:00-17:00"], wed: ["09:00-17:00"], fri: ["09:00-17:00"]}}}}
{_CHAINS}"""
OFFICE = Hours.model_validate(
    {"zone": "Europe/Berlin", "days": {day: ["09:00-17:00"] for day in ("mon", "wed", "fri")}}
)
DIRECTORY = (
    (DOCUMENTS / "directory.yaml").read_text().replace("agents:", "groups:\n  - {name: ops, parent: sre}\nagents:")
)


async def audited(weeks: Weeks, handle: Handle) -> list[str]:
    """What an audit finds in the ledger of an action; the test server's histories are shaped otherwise."""
    file = await export_action(weeks.world.client, weeks.world.database, handle.id, at=datetime.now(UTC))
    file = file.model_copy(update={"history": None})
    return [str(finding) for finding in (await audit(file.body(), workflow_runner())).findings]


@pytest_asyncio.fixture(name="name", scope="module", loop_scope="module")
async def _name(stack: Stack) -> AsyncIterator[str]:
    async with record(stack) as name:
        yield name


@pytest_asyncio.fixture(name="weeks", loop_scope="module")
async def _weeks(stack: Stack, name: str) -> AsyncIterator[Weeks]:
    """A server with a clock of its own for each test, because all of its workflows share it."""
    await publish_documents(stack.database_url("postgres", name), POLICY.encode(), DIRECTORY.encode())
    async with skipping(stack, name) as found:
        yield found


async def test_a_question_stops_the_clock_until_the_agent_answers(weeks: Weeks) -> None:
    """Three days of waiting for an answer are three days more to decide, and the answer is shown with the question."""
    world, handle = weeks.world, await weeks.asked("bench.wait")
    before = datetime.fromisoformat((await world.status(handle))["stages"][0]["deadline"])
    asked = await world.decide(handle, "eve", "request_info", justification="why now?", feedback=["lacked_evidence"])
    assert asked.counted
    await weeks.sleep(3 * DAY)
    unknown = await world.decide(handle, "tuner", "answer", answers="nothing")
    assert (unknown.counted, unknown.code) == (False, "unknown_question")
    status = await world.status(handle)
    answered = await world.decide(
        handle, "tuner", "answer", answers=asked.decision_id, justification="the disk is full"
    )
    assert answered.counted, answered.message
    assert status["stages"][0]["paused_until"] is not None
    status = await until(lambda: world.status(handle), lambda found: found["stages"][0]["paused_until"] is None)
    after = datetime.fromisoformat(status["stages"][0]["deadline"])
    assert timedelta(0) <= after - before - 3 * DAY < timedelta(minutes=1)
    assert [item["answer"] for item in status["questions"]] == ["the disk is full"]
    said = await handle.query(EXPLAIN)
    assert said["questions"] == [
        "eve asked the proposer: why now? - tuner answered: the disk is full",
        "eve says: lacked evidence",
    ]
    result = await world.result(handle)
    assert timedelta(0) <= result.timings.finished_at - after < timedelta(minutes=1)
    assert await audited(weeks, handle) == []


async def test_a_held_stage_waits_for_its_release(weeks: Weeks) -> None:
    """Past its deadline nobody approves; weeks later it is released, has its deadline again, and is approved."""
    world, handle = weeks.world, await weeks.asked("bench.outlast")
    await weeks.sleep(2 * DAY)
    await weeks.stage(handle, "held")
    assert (await world.decide(handle, "eve")).code == "on_hold"
    await weeks.sleep(14 * DAY)
    assert (await world.decide(handle, "eve", "release")).code == "not_eligible"
    assert (await world.decide(handle, "dan", "release")).counted
    await weeks.stage(handle, "open")
    await weeks.sleep(DAY)
    assert (await world.decide(handle, "eve")).counted
    assert (await world.result(handle)).outcome == "succeeded"
    assert [item["due"]["kind"] for item in await weeks.noted(handle, "held")] == ["deadline"]
    assert await audited(weeks, handle) == []


async def test_an_escalation_looks_up_whom_to_ask_instead(weeks: Weeks) -> None:
    """After two days the group above is asked instead of ops; who was asked before is not asked any more."""
    world, handle = weeks.world, await weeks.asked("bench.lapse")
    assert (await world.decide(handle, "dan")).code == "not_eligible"
    await weeks.sleep(2 * DAY)
    event = (await weeks.noted(handle, "escalated"))[0]["event"]
    assert (event["groups"], event["replace"], event["reason"]) == (["sre"], True, "nobody in ops answered")
    assert (await world.decide(handle, "eve")).code == "not_eligible"
    assert (await world.decide(handle, "dan")).counted
    assert (await world.result(handle)).outcome == "succeeded"
    assert await audited(weeks, handle) == []


async def test_a_deadline_that_reminds_comes_again(weeks: Weeks) -> None:
    """Every two days it reminds, until somebody answers."""
    world, handle = weeks.world, await weeks.asked("bench.leave")
    for number in (1, 2, 3):
        await weeks.sleep(2 * DAY)
        noted = await weeks.noted(handle, "reminded", number)
        assert [item["due"]["index"] for item in noted] == list(range(number))
    assert (await world.decide(handle, "eve")).counted
    assert (await world.result(handle)).outcome == "succeeded"
    assert await audited(weeks, handle) == []


async def test_only_office_hours_count(weeks: Weeks) -> None:
    """Twenty hours in an office of three days a week are more than two of them, to the second."""
    handle = await weeks.asked("bench.then")
    stage = (await weeks.world.status(handle))["stages"][0]
    opened = datetime.fromisoformat(stage["opened_at"])
    assert datetime.fromisoformat(stage["deadline"]) == ends(OFFICE, opened, 20 * HOUR)
    result = await weeks.world.result(handle)
    assert timedelta(0) <= result.timings.finished_at - ends(OFFICE, opened, 20 * HOUR) < timedelta(minutes=1)
    assert len(await weeks.noted(handle, "reminded", 2)) == 2
    assert await audited(weeks, handle) == []


async def test_a_deadline_that_escalates_gives_one_more(weeks: Weeks) -> None:
    """At the deadline another group is asked, too, for one more deadline; then it ends."""
    world, handle = weeks.world, await weeks.asked("bench.wordy")
    await weeks.sleep(2 * DAY)
    assert [item["due"]["kind"] for item in await weeks.noted(handle, "escalated")] == ["deadline"]
    assert (await world.decide(handle, "dan", "acknowledge")).counted
    result = await world.result(handle)
    assert [reason.code for reason in result.reasons] == ["expired_escalate"]
    assert timedelta(0) <= result.timings.finished_at - result.timings.proposed_at - 4 * DAY < timedelta(minutes=1)
    assert await audited(weeks, handle) == []


async def test_nobody_answers_by_an_escalation_that_is_not_on_record(weeks: Weeks) -> None:
    """A vote of the outage is read before any timer: the escalation by which it counts is on record before it."""
    world, handle = weeks.world, await weeks.asked("bench.wordy")
    vote = decision(await world.status(handle), "dan")
    await weeks.sleep(2 * DAY - HOUR)
    async with world.record_away():
        await handle.signal(DECIDE, vote)
        await weeks.sleep(3 * HOUR)
    assert (await world.result(handle)).resolution == "approved"
    entries = await world.entries(handle.id.removeprefix("action/"))
    assert [entry["kind"] for entry in entries][1:3] == ["escalated", "decision_counted"]
    assert await audited(weeks, handle) == []


async def test_an_outage_across_a_deadline_begins_a_grace(weeks: Weeks) -> None:
    """The record was away at the deadline: a vote from the outage counts, because the stage has a grace."""
    world, handle = weeks.world, await weeks.asked("bench.crowd")
    vote = decision(await world.status(handle), "eve")
    await weeks.sleep(2 * DAY - HOUR)
    async with world.record_away():
        await handle.signal(DECIDE, vote)
        await weeks.sleep(3 * HOUR)
    assert (await world.result(handle)).resolution == "approved"
    (graced,) = await weeks.noted(handle, "graced")
    began, until_ = (datetime.fromisoformat(graced["event"][name]) for name in ("at", "until"))
    assert until_ - began == DAY
    assert await audited(weeks, handle) == []


async def test_a_vote_is_dropped_with_what_made_it_count(weeks: Weeks, stack: Stack, name: str) -> None:
    """Who left the group no longer approves: the first stage opens again, and another person decides it."""
    world, handle = weeks.world, await weeks.asked("bench.put")
    assert (await world.decide(handle, "eve")).counted
    await world.pending(handle, stage=2)
    without = DIRECTORY.replace("{id: eve, aliases: [eve@example.org], groups: [ops]}", "{id: eve, groups: []}")
    await publish_documents(stack.database_url("postgres", name), without.encode())
    receipt = await world.decide(handle, "cleo")
    assert (receipt.counted, receipt.code) == (False, "stage_not_open")
    assert (await weeks.noted(handle, "vote_dropped"))[0]["event"]["reason"] == "eve does not fit ops any more"
    status = await world.pending(handle, stage=1)
    assert status["stages"][0]["dropped"] == ["eve: eve does not fit ops any more"]
    assert (await world.decide(handle, "bob")).counted
    await world.pending(handle, stage=2)
    assert (await world.decide(handle, "cleo")).counted
    assert (await world.result(handle)).outcome == "succeeded"
    assert await audited(weeks, handle) == []
