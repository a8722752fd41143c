"""Who is who while an action waits: what people held when they voted, and what they hold when it is to run."""

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from deploy.dev import Stack, program
from policy.base import instant_text
from tests.world import DOCUMENTS, Handle, World, publish_documents, record, running_world, until
from workflows.converter import DATA_CONVERTER

DAY = timedelta(days=1)


class ServerClock:
    """The clock of the test server."""

    def __init__(self, environment: WorkflowEnvironment) -> None:
        self._environment = environment

    async def now(self) -> datetime:
        return await self._environment.get_current_time()


class Days:
    """A world with a record of its own, in which days pass when a test says so."""

    def __init__(self, world: World, environment: WorkflowEnvironment) -> None:
        self.world = world
        self._environment = environment

    async def publish(self, document: str, old: str, new: str) -> None:
        """Put a document of the tests in force, with one thing changed."""
        text = (DOCUMENTS / document).read_text()
        assert old in text
        await publish_documents(self.world.url, text.replace(old, new, 1).encode())

    async def after(self, count: int) -> str:
        """The instant so many days from now."""
        return instant_text(await self._environment.get_current_time() + count * DAY)

    async def asked(self) -> Handle:
        """An action that waits for ops, and then for dba, for days."""
        handle = await self.world.start(self.world.propose("bench.wait"))
        await self.world.pending(handle)
        return handle

    async def sleep(self, count: int) -> None:
        """Let days pass, and a second more."""
        await self._environment.sleep(count * DAY + timedelta(seconds=1))


@pytest_asyncio.fixture(name="days")
async def _days(stack: Stack) -> AsyncIterator[Days]:
    async with contextlib.AsyncExitStack() as cleanup:
        name = await cleanup.enter_async_context(record(stack))
        environment = await cleanup.enter_async_context(
            await WorkflowEnvironment.start_time_skipping(
                data_converter=DATA_CONVERTER, test_server_existing_path=str(program("temporal-test-server"))
            )
        )
        clock = ServerClock(environment)
        world = await cleanup.enter_async_context(running_world(stack, environment.client, name, clock=clock))
        yield Days(world, environment)


async def _nothing_ran(days: Days, handle: Handle, reason: str) -> None:
    """The gate refused for this reason, and no permit was issued."""
    proposal_id = handle.id.removeprefix("action/")
    refused = await until(lambda: days.world.entries(proposal_id, "dispatch_refused"))
    assert reason in {item["code"] for item in refused[0]["content"]["reasons"]}
    assert await days.world.permits(proposal_id) == []
    assert await days.world.effects(proposal_id) == []


async def test_a_membership_that_ends_between_vote_and_dispatch_is_seen(days: Days) -> None:
    """A vote counts when it is given, and not any more when its author is out of the group, with nothing published."""
    member = f"groups: [{{name: ops, until: {await days.after(2)}}}]}}"
    await days.publish("directory.yaml", "aliases: [eve@example.org], groups: [ops]}", f"aliases: [e], {member}")
    handle = await days.asked()
    assert (await days.world.decide(handle, "e")).counted
    await days.world.pending(handle, stage=2)
    await days.sleep(3)
    assert (await days.world.decide(handle, "cleo")).code == "stage_not_open"
    (dropped,) = await days.world.entries(handle.id.removeprefix("action/"), "vote_dropped")
    assert dropped["content"]["event"]["reason"] == "eve does not fit ops any more"
    assert (await days.world.decide(handle, "bob", stage=1)).counted
    assert (await days.world.decide(handle, "cleo", stage=2)).resolution == "approved"


async def test_who_is_no_person_any_more_does_not_decide(days: Days) -> None:
    """A person who has left, and an account that is no person, are answered as nobody."""
    gone = f"aliases: [eve@example.org], groups: [ops], until: {await days.after(2)}}}"
    await days.publish("directory.yaml", "aliases: [eve@example.org], groups: [ops]}", gone)
    handle = await days.asked()
    await days.sleep(3)
    receipts = [await days.world.decide(handle, name) for name in ("eve", "tuner")]
    assert [(item.counted, item.code) for item in receipts] == [(False, "unknown_person")] * 2
    await days.publish("directory.yaml", "agents:", "service_accounts: [{id: ci, owner: bob}]\nagents:")
    assert (await days.world.decide(handle, "ci")).code == "unknown_person"
    assert (await days.world.decide(handle, "eve")).counted


async def test_a_delegate_decides_for_whom_the_directory_says_and_for_nobody_else(days: Days) -> None:
    """In scope and time, for one group; not for who asks, not by name of anybody else, and not once it has ended."""
    since, until, later = [await days.after(count) for count in (-1, 2, 80)]
    first = f"{{id: a, delegator: eve, delegate: olga, since: {since}, until: {until}, groups: [ops], reason: leave}}"
    second = f"{{id: b, delegator: ann, delegate: olga, since: {since}, until: {later}, reason: leave}}"
    await days.publish("directory.yaml", "agents:", f"delegations: [{first}, {second}]\nagents:")
    handle = await days.asked()
    for whom, code in (("cleo", "not_delegated"), ("ann", "self_approval")):
        assert (await days.world.decide(handle, "olga", on_behalf_of=whom)).code == code
    assert (await days.world.decide(handle, "olga", on_behalf_of="eve")).counted
    status = await days.world.pending(handle, stage=2)
    assert status["stages"][0]["approvals"] == ["olga"]
    await days.sleep(3)
    assert (await days.world.decide(handle, "cleo", stage=2)).code == "stage_not_open"
    assert (await days.world.decide(handle, "olga", on_behalf_of="eve", decision_id="late")).code == "not_delegated"


async def test_a_directory_is_as_old_as_its_source(days: Days) -> None:
    """What was published today and was true three days ago issues no permit where two are taken."""
    await days.publish("policy.yaml", "permit_ttl:", "max_directory_age: 2d\npermit_ttl:")
    await days.publish("directory.yaml", "people:", f"as_of: {await days.after(-3)}\npeople:")
    handle = await days.asked()
    assert (await days.world.decide(handle, "eve")).counted
    await days.world.pending(handle, stage=2)
    assert (await days.world.decide(handle, "cleo")).counted
    await _nothing_ran(days, handle, "directory_stale")


async def test_a_directory_that_has_grown_too_old_issues_no_permit(days: Days) -> None:
    """What was approved by a directory of yesterday does not run by one that is older than the policy takes."""
    await days.publish("policy.yaml", "permit_ttl:", "max_directory_age: 2d\npermit_ttl:")
    handle = await days.asked()
    assert (await days.world.decide(handle, "eve")).counted
    await days.world.pending(handle, stage=2)
    await days.sleep(3)
    assert (await days.world.decide(handle, "cleo")).counted
    await _nothing_ran(days, handle, "directory_stale")
