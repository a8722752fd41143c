"""Temporal starts the delivery, the metrics say how it goes, and an operator can look at what was not told."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from sqlalchemy import event
from temporalio.client import ScheduleOverlapPolicy

import starter
from activities.clock import SystemClock
from activities.connection import connect
from activities.notice_list import read_listed
from activities.schedules import DELIVER_SCHEDULE, ensure_schedules
from activities.settings import Settings
from activities.telemetry_export import start_telemetry
from activities.telemetry_notices import read_untold
from activities.telemetry_pending import watch_pending
from cli.notices import rows_of
from cli.render import notices
from deploy.dev import Stack
from policy.notices.notice import NoticeKind
from tests.integration.inbox import Office, directory, endpoint, mailbox
from tests.integration.test_telemetry import free_address, parse
from tests.permit_keys import settings
from tests.world import publish_documents, record, running_world, temporal_server, until
from worker import running_workers

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Measured:
    """An office whose worker has channels and a Prometheus endpoint."""

    office: Office
    address: str

    async def value(self, name: str, **labels: str) -> float | None:
        """What a series shows now."""
        with await asyncio.to_thread(urllib.request.urlopen, f"http://{self.address}/metrics") as answer:
            return parse(answer.read().decode()).get((name, frozenset(labels.items())))


@pytest_asyncio.fixture(name="measured", scope="module", loop_scope="module")
async def _measured(stack: Stack) -> AsyncIterator[Measured]:
    address = free_address()
    telemetry = start_telemetry(Settings(metrics_address=address), service="countersign-test")
    async with AsyncExitStack() as cleanup:
        mail, http = cleanup.enter_context(mailbox()), cleanup.enter_context(endpoint())
        server = cleanup.enter_context(temporal_server())
        client = await connect(address=server.address, identity="tests", **telemetry.connection)
        name = await cleanup.enter_async_context(record(stack))
        await publish_documents(stack.database_url("postgres", name), directory())
        world = await cleanup.enter_async_context(running_world(stack, client, name))
        await world.stop_workers()
        office = Office(world, mail, http)
        given = settings(channels=office.channels())
        executors = {"bench": world.bench}
        await cleanup.enter_async_context(
            running_workers(client, world.database, given, executors=executors, anchor=world.anchor)
        )
        every = timedelta(milliseconds=100)
        watching = watch_pending(world.database, SystemClock(), telemetry.meter, every=every, notices=True)
        await cleanup.enter_async_context(watching)
        yield Measured(office, address)


async def test_temporal_starts_the_delivery(measured: Measured) -> None:
    """The schedule is made where channels are named; what it starts tells people, and metrics count it."""
    office = measured.office
    made = await ensure_schedules(office.world.client, notices=True)
    handle = office.world.client.get_schedule_handle(DELIVER_SCHEDULE)
    body = office.world.propose("bench.put", undo="bench.take")
    run = await office.world.start(body)
    await office.world.pending(run)

    await handle.trigger()
    await until(lambda: _mails(office, "eve@example.org"), lambda count: count == 1)

    policy = (await handle.describe()).schedule.policy
    assert DELIVER_SCHEDULE in made
    assert policy.overlap is ScheduleOverlapPolicy.ALLOW_ALL
    name = "countersign_notice_deliveries_total"
    await until(lambda: measured.value(name, delivery="sent"), lambda found: (found or 0) >= 2)
    await until(lambda: measured.value("countersign_notices_open"), lambda found: found == 0)
    await run.cancel()
    await office.world.result(run)


async def _mails(office: Office, address: str) -> int:
    return len(office.mail.to(address))


async def test_what_waits_to_be_told_shows_with_its_age(measured: Measured) -> None:
    """The gauges count what is due and open, and say for how long the oldest has been."""
    office = measured.office
    await office.world.client.get_schedule_handle(DELIVER_SCHEDULE).pause()
    now = datetime.now(UTC)
    await office.tell("p01", "old", now - timedelta(minutes=30))
    await office.tell("p01", "later", not_before=now + timedelta(hours=1))

    found = await read_untold(office.world.database, now)

    assert found.count >= 1
    assert 1800 <= found.oldest_seconds < 1900
    await until(lambda: measured.value("countersign_notices_oldest_seconds"), lambda age: (age or 0) >= 1800)
    await office.drain().deliver()


async def test_an_allowed_action_costs_no_statement(measured: Measured) -> None:
    """Nothing that an allowed action does touches the outbox, a pending one writes one row where its stage opens."""
    office, said = measured.office, list[str]()
    engine = office.world.database._engine.sync_engine

    def listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "countersign.notice" in statement and "INSERT" in statement:
            said.append(statement)

    event.listen(engine, "before_cursor_execute", listen)
    try:
        assert (await office.world.run(office.world.propose("bench.set", undo="bench.unset"))).outcome == "succeeded"
        allowed = list(said)
        run = await office.world.start(office.world.propose("bench.put", undo="bench.take"))
        await office.world.pending(run)
    finally:
        event.remove(engine, "before_cursor_execute", listen)

    assert (allowed, len(said)) == ([], 1)
    await run.cancel()
    await office.world.result(run)


async def test_what_became_of_each_notice_can_be_looked_at(measured: Measured) -> None:
    """The list has the newest first, leaves audiences out once they are people, and says why somebody was not told."""
    office = measured.office
    told = await office.tell("p02", "told")
    lost = await office.tell("nora", "lost", kind=NoticeKind.info_requested)
    house = office.drain()
    await house.deliver()
    waits = await office.tell("p03", "waits")

    async with office.world.database.snapshot() as connection:
        everything = await read_listed(connection, proposal_id=None, undelivered=False, limit=100)
        undelivered = await read_listed(connection, proposal_id=None, undelivered=True, limit=100)
        of_one = await read_listed(connection, proposal_id="p-1", undelivered=False, limit=2)

    by_id = {item.notice_id: item for item in everything}
    assert (by_id[told].state, by_id[told].last) == ("sent", "mail 1 sent")
    assert (by_id[lost].state, by_id[lost].why) == ("given_up", "nora has no contact in a configured channel")
    assert by_id[waits].state == "waits"
    assert {lost, waits} <= {item.notice_id for item in undelivered}
    assert told not in {item.notice_id for item in undelivered}
    assert next(item.notice_id for item in of_one) == waits
    assert len(of_one) == 2
    assert "nora has no contact" in " ".join(notices(rows_of(undelivered)).split())
    assert notices([]) == "no notices"


async def test_the_command_lists_notices(
    measured: Measured, stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`countersign notices` reads the record as the reader, as a table or as JSON."""
    name = urlsplit(measured.office.world.url).path.removeprefix("/")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("COUNTERSIGN_DATABASE_URL", stack.database_url("countersign_reader", name))
    await measured.office.tell("nora", "listed")

    code = await asyncio.to_thread(starter.run, ["notices", "--json", "--limit", "1"])

    (found,) = json.loads(capsys.readouterr().out)
    assert (code, found["recipient"], found["state"]) == (0, "nora", "waits")
