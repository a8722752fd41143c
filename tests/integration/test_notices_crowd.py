"""A crowd of notices that wait for one person keeps none from another."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from activities.delivery_rows import READ_AT_ONCE
from activities.outbox import write
from deploy.dev import Stack
from policy.notices.addressing import Addressee
from policy.notices.notice import Audience, Notice, NoticeKind, Urgency
from tests.integration.inbox import SUBJECT, Office, directory, endpoint, mailbox
from tests.world import publish_documents, whole_world

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(name="office", scope="module", loop_scope="module")
async def _office(stack: Stack) -> AsyncIterator[Office]:
    async with AsyncExitStack() as cleanup:
        mail, http = cleanup.enter_context(mailbox()), cleanup.enter_context(endpoint())
        world = await cleanup.enter_async_context(whole_world(stack))
        await publish_documents(world.url, directory())
        yield Office(world, mail, http)


_PORTION = 200


async def test_what_waits_for_one_person_keeps_nothing_from_another(office: Office) -> None:
    """Somebody for whom a thousand notices wait until the morning does not keep another from being told now."""
    now = datetime.now(UTC)
    morning, before = now + timedelta(hours=8), now - timedelta(hours=1)
    crowd = [
        Notice(
            key=f"{office.world.prefix}/crowd/{number}",
            kind=NoticeKind.answered,
            urgency=Urgency.normal,
            audience=Audience(people=("p01",)),
            at=before,
            not_before=morning,
            subject=SUBJECT,
            text="because",
        )
        for number in range(READ_AT_ONCE)
    ]
    addressee = Addressee(kind="person", name="p01", not_before=morning)
    # In portions: a transaction has seconds, also on a busy machine.
    for some in range(0, len(crowd), _PORTION):
        async with office.world.database.transaction() as connection:
            await write(connection, [(notice, addressee) for notice in crowd[some : some + _PORTION]])
    await office.tell("p02", "now")

    await office.drain().deliver()

    assert len(office.mail.to("p02@example.org")) == 1
