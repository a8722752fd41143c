"""Who is who while an action waits: what people held when they voted, and what they hold when it is to run."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio

from deploy.dev import Stack
from policy.base import instant_text
from tests.weeks import Weeks, skipping
from tests.world import DOCUMENTS, Handle, publish_documents, record, until

DAY = timedelta(days=1)


@pytest_asyncio.fixture(name="weeks")
async def _weeks(stack: Stack) -> AsyncIterator[Weeks]:
    async with record(stack) as name, skipping(stack, name) as found:
        yield found


async def publish(weeks: Weeks, document: str, old: str, new: str) -> None:
    """Put a document of the tests in force, with one thing changed."""
    text = (DOCUMENTS / document).read_text()
    assert old in text
    await publish_documents(weeks.world.url, text.replace(old, new, 1).encode())


async def after(weeks: Weeks, days: int) -> str:
    """The instant so many days from now."""
    return instant_text(await weeks.now() + days * DAY)


async def _nothing_ran(weeks: Weeks, handle: Handle, reason: str) -> None:
    """The gate refused for this reason, and no permit was issued."""
    proposal_id = handle.id.removeprefix("action/")
    refused = await until(lambda: weeks.world.entries(proposal_id, "dispatch_refused"))
    assert reason in {item["code"] for item in refused[0]["content"]["reasons"]}
    assert await weeks.world.permits(proposal_id) == []
    assert await weeks.world.effects(proposal_id) == []


async def test_a_membership_that_ends_between_vote_and_dispatch_is_seen(weeks: Weeks) -> None:
    """A vote counts when it is given, and not any more when its author is out of the group, with nothing published."""
    member = f"groups: [{{name: ops, until: {await after(weeks, 2)}}}]}}"
    await publish(weeks, "directory.yaml", "aliases: [eve@example.org], groups: [ops]}", f"aliases: [e], {member}")
    handle = await weeks.asked("bench.wait")
    assert (await weeks.world.decide(handle, "e")).counted
    await weeks.world.pending(handle, stage=2)
    await weeks.sleep(3 * DAY)
    assert (await weeks.world.decide(handle, "cleo")).code == "stage_not_open"
    (dropped,) = await weeks.world.entries(handle.id.removeprefix("action/"), "vote_dropped")
    assert dropped["content"]["event"]["reason"] == "eve does not fit ops any more"
    assert (await weeks.world.decide(handle, "bob", stage=1)).counted
    assert (await weeks.world.decide(handle, "cleo", stage=2)).resolution == "approved"


async def test_who_is_no_person_any_more_does_not_decide(weeks: Weeks) -> None:
    """A person who has left, and an account that is no person, are answered as nobody."""
    gone = f"aliases: [eve@example.org], groups: [ops], until: {await after(weeks, 2)}}}"
    await publish(weeks, "directory.yaml", "aliases: [eve@example.org], groups: [ops]}", gone)
    handle = await weeks.asked("bench.wait")
    await weeks.sleep(3 * DAY)
    receipts = [await weeks.world.decide(handle, name) for name in ("eve", "tuner")]
    assert [(item.counted, item.code) for item in receipts] == [(False, "unknown_person")] * 2
    await publish(weeks, "directory.yaml", "agents:", "service_accounts: [{id: ci, owner: bob}]\nagents:")
    assert (await weeks.world.decide(handle, "ci")).code == "unknown_person"
    assert (await weeks.world.decide(handle, "eve")).counted


async def test_a_delegate_decides_for_whom_the_directory_says_and_for_nobody_else(weeks: Weeks) -> None:
    """In scope and time, for one group; not for who asks, not by name of anybody else, and not once it has ended."""
    since, until, later = [await after(weeks, count) for count in (-1, 2, 80)]
    first = f"{{id: a, delegator: eve, delegate: olga, since: {since}, until: {until}, groups: [ops], reason: leave}}"
    second = f"{{id: b, delegator: ann, delegate: olga, since: {since}, until: {later}, reason: leave}}"
    await publish(weeks, "directory.yaml", "agents:", f"delegations: [{first}, {second}]\nagents:")
    handle = await weeks.asked("bench.wait")
    for whom, code in (("cleo", "not_delegated"), ("ann", "self_approval")):
        assert (await weeks.world.decide(handle, "olga", on_behalf_of=whom)).code == code
    assert (await weeks.world.decide(handle, "olga", on_behalf_of="eve")).counted
    status = await weeks.world.pending(handle, stage=2)
    assert status["stages"][0]["approvals"] == ["olga"]
    await weeks.sleep(3 * DAY)
    assert (await weeks.world.decide(handle, "cleo", stage=2)).code == "stage_not_open"
    assert (await weeks.world.decide(handle, "olga", on_behalf_of="eve", decision_id="late")).code == "not_delegated"


async def test_who_runs_the_executor_does_not_approve_what_it_does(weeks: Weeks) -> None:
    """The operator of the executor of a step is refused and told why, and may deny all the same."""
    await publish(weeks, "directory.yaml", "agents:", "executors: [{name: bench, operators: [eve]}]\nagents:")
    handle = await weeks.asked("bench.wait")
    receipt = await weeks.world.decide(handle, "eve")
    assert (receipt.code, "eve runs the executor that acts" in receipt.message) == ("self_approval", True)
    assert (await weeks.world.decide(handle, "eve", "deny")).resolution == "denied"


async def test_a_directory_is_as_old_as_its_source(weeks: Weeks) -> None:
    """What was published today and was true three days ago issues no permit where two are taken."""
    await publish(weeks, "policy.yaml", "permit_ttl:", "max_directory_age: 2d\npermit_ttl:")
    await publish(weeks, "directory.yaml", "people:", f"as_of: {await after(weeks, -3)}\npeople:")
    handle = await weeks.asked("bench.wait")
    assert (await weeks.world.decide(handle, "eve")).counted
    await weeks.world.pending(handle, stage=2)
    assert (await weeks.world.decide(handle, "cleo")).counted
    await _nothing_ran(weeks, handle, "directory_stale")


async def test_a_directory_that_has_grown_too_old_issues_no_permit(weeks: Weeks) -> None:
    """What was approved by a directory of yesterday does not run by one that is older than the policy takes."""
    await publish(weeks, "policy.yaml", "permit_ttl:", "max_directory_age: 2d\npermit_ttl:")
    handle = await weeks.asked("bench.wait")
    assert (await weeks.world.decide(handle, "eve")).counted
    await weeks.world.pending(handle, stage=2)
    await weeks.sleep(3 * DAY)
    assert (await weeks.world.decide(handle, "cleo")).counted
    await _nothing_ran(weeks, handle, "directory_stale")
