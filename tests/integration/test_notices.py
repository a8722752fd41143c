"""People and platforms are told, for real: mails at a mail server, chat and signed events at an HTTP server."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from activities.channels.lane import Lane, Message
from activities.channels.lanes import make_lanes
from activities.database import DatabaseUnavailableError
from activities.delivering import NoticeActivities
from activities.documents import Documents
from deploy.dev import Stack
from policy.notices.delivery import LEASE
from policy.notices.notice import NoticeKind, Urgency
from policy.notices.wording import NO_VOTE
from tests.integration.inbox import SECRET, Fixed, Later, Office, directory, endpoint, mailbox
from tests.world import publish_documents, until, whole_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON = Later(timedelta(minutes=20))


@pytest_asyncio.fixture(name="office", scope="module", loop_scope="module")
async def _office(stack: Stack) -> AsyncIterator[Office]:
    async with AsyncExitStack() as cleanup:
        mail, http = cleanup.enter_context(mailbox()), cleanup.enter_context(endpoint())
        world = await cleanup.enter_async_context(whole_world(stack))
        await publish_documents(world.url, directory())
        yield Office(world, mail, http)


async def test_whoever_is_asked_gets_a_mail_that_says_what_and_how(office: Office) -> None:
    """The mail shows operation, tier and how to answer, and says that answering it decides nothing."""
    body = office.world.propose("bench.put", undo="bench.take")
    handle = await office.world.start(body)
    await office.world.pending(handle)

    await office.drain().deliver()

    (mail,) = office.mail.to("eve@example.org")
    text = mail.get_payload(decode=True)
    assert isinstance(text, bytes)
    lines = text.decode().splitlines()
    assert str(mail["subject"]).startswith("countersign: waits for you: bench.put on shop in production")
    assert f"look and answer: countersign show {body['proposal_id']}" in lines
    assert NO_VOTE in lines
    assert f"notice {mail['x-countersign-notice']}" in lines
    assert mail["from"] == "countersign@example.org"
    assert office.mail.to("ann@example.org") == [], "who asks is not asked"
    await handle.cancel()
    await office.world.result(handle)


async def test_nobody_is_told_of_what_policy_allows(office: Office) -> None:
    """An allowed action writes no notice, and costs its transactions no statement."""
    body = office.world.propose("bench.set", undo="bench.unset")

    result = await office.world.run(body)

    assert result.outcome == "succeeded"
    assert await office.written(body["proposal_id"]) == []


async def test_what_happens_to_a_case_is_told(office: Office) -> None:
    """Opening, question, second stage and resolution: each is written once, for whom it is."""
    body = office.world.propose("bench.put", undo="bench.take")
    handle = await office.world.start(body)
    await office.world.pending(handle)
    await office.world.decide(handle, "bob", "request_info", justification="why now?")
    await office.world.decide(handle, "eve", "acknowledge")
    await office.world.decide(handle, "eve")
    await office.world.pending(handle, stage=2)
    await office.world.decide(handle, "cleo", "deny")
    await office.world.result(handle)

    kinds = [kind for kind, *_ in await office.written(body["proposal_id"])]
    await office.drain(SOON).deliver()

    assert kinds == ["stage_opened", "info_requested", "stage_opened", "resolved"]
    found = {(kind, name) for kind, what, name in await office.written(body["proposal_id"]) if what == "person"}
    assert {name for kind, name in found if kind == "info_requested"} == {"ann"}
    assert {name for kind, name in found if kind == "resolved"} == {"ann", "cleo", "eve"}
    subjects = [str(mail["subject"]) for mail in office.mail.to("ann@example.org")]
    assert any("countersign: denied: bench.put" in subject for subject in subjects)


async def test_a_chat_service_gets_markdown_with_the_key(office: Office) -> None:
    """Whoever has only a chat contact is told there; names are code spans, the key goes along as a header."""
    notice_id = await office.tell("otto", "chat", text="because `x` *y* [z](https://evil.example)")

    await office.drain().deliver()

    (post,) = office.http.to("/chat/otto")
    assert post.headers["idempotency-key"] == notice_id
    assert post.json["message"].startswith("**countersign: has an answer to your question: `bench.put` on `shop`")
    assert "](https://evil" not in post.json["message"]
    assert await office.rows(notice_id) == [("chat", 1, "begun"), ("chat", 1, "sent"), ("*", 0, "sent")]


async def test_a_platform_gets_a_signed_event(office: Office) -> None:
    """A CloudEvent in structured mode, whose signature the secret alone verifies; each endpoint gets its kinds only."""
    port = office.http.port
    hook: dict[str, Any] = {
        "kind": "webhook",
        "url": f"http://127.0.0.1:{port}/hook",
        "secret": SECRET,
        "kinds": ["resolved"],
    }
    at = datetime.now(UTC)
    kept = await office.tell("platform", "event", at, to="platform", kind=NoticeKind.resolved, word="denied")
    other = await office.tell("platform", "other", at, to="platform", kind=NoticeKind.outcome)

    everything = {**hook, "url": f"http://127.0.0.1:{port}/everything"}
    del everything["kinds"]
    house = office.drain(channels={"hook": hook, "everything": everything})
    await house.deliver()
    await house.deliver()

    assert {kept, other} <= {one.json["id"] for one in office.http.to("/everything")}
    assert ("*", 0, "sent") in await office.rows(kept)
    (post,) = office.http.to("/hook")
    event = post.json
    assert post.headers["content-type"].startswith("application/cloudevents+json")
    assert {name: event[name] for name in ("specversion", "id", "type", "subject", "source")} == {
        "specversion": "1.0",
        "id": kept,
        "type": "countersign.notice.resolved",
        "subject": "p-1",
        "source": "countersign",
    }
    assert event["data"]["word"] == "denied"
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert post.headers["webhook-signature"] == f"v1,{mac}"
    assert post.headers["idempotency-key"] == post.headers["webhook-id"] == kept


async def test_a_redirect_is_not_followed(office: Office) -> None:
    """An endpoint that sends a notice elsewhere has not taken it, and nobody else gets it."""
    office.http.answers["away"] = 307
    port = office.http.port
    channels = {
        "hook": {"kind": "webhook", "url": f"http://127.0.0.1:{port}/away/hook", "secret": SECRET},
        "chat": {"kind": "apprise", "url": f"json://127.0.0.1:{port}/away/{{address}}"},
    }
    ids = [
        await office.tell("platform", "away", to="platform", kind=NoticeKind.resolved),
        await office.tell("p01", "away"),
    ]

    await office.drain(channels=channels).deliver()

    for notice_id in ids:
        assert [status for *_, status in await office.rows(notice_id)] == ["begun", "failed"]
    assert office.http.to("/stolen") == []
    assert len(office.http.to("/away/hook")) == len(office.http.to("/away/p01")) == 1


class _Dies(Lane):
    """A lane whose worker dies after one message was sent, before anybody notes it."""

    key = ""

    async def send(self, message: Message) -> None:
        await super().send(message)
        if message.key == self.key:
            raise asyncio.CancelledError


async def test_what_was_sent_and_not_noted_is_sent_again_under_the_same_key(office: Office) -> None:
    """A worker that dies between sending and noting leaves an attempt that is made again after its lease only."""
    notice_id = await office.tell("p02", "crash")
    _Dies.key = notice_id
    lanes = {name: _Dies(name, lane._sender, 5) for name, lane in make_lanes(office.channels()).items()}
    dying = NoticeActivities(office.world.database, Documents(), Later(), office.channels(), lanes)
    with pytest.raises(asyncio.CancelledError):
        await dying.deliver()

    await office.drain().deliver()
    early = office.mail.to("p02@example.org")
    await office.drain(Later(LEASE + timedelta(minutes=1))).deliver()
    late = office.mail.to("p02@example.org")

    assert (len(early), len(late)) == (1, 2)
    assert {mail["x-countersign-notice"] for mail in late} == {notice_id}
    statuses = [("mail", 1, "begun"), ("mail", 2, "begun"), ("mail", 2, "sent"), ("*", 0, "sent")]
    assert await office.rows(notice_id) == statuses


async def test_two_that_drain_at_once_tell_once(office: Office) -> None:
    """Two workers with one outbox: each notice is sent by one of them."""
    for number in range(8):
        await office.tell("p03", f"both-{number}")

    await asyncio.gather(*(office.drain().deliver() for _ in range(3)))

    keys = [mail["x-countersign-notice"] for mail in office.mail.to("p03@example.org")]
    assert len(keys) == len(set(keys)) == 8


async def test_a_channel_that_fails_gives_up_and_the_next_one_tells(office: Office) -> None:
    """After its attempts, with growing pauses, mail gives up; chat tells the person, and the operators hear of it."""
    await office.drain(Later(timedelta(hours=1))).deliver()
    clock = Fixed(datetime.now(UTC) + timedelta(hours=2))
    channels = {
        "mail": {"kind": "apprise", "url": "mailto://127.0.0.1:1/?from=a@example.org&to={address}"},
        "chat": {"kind": "apprise", "url": f"json://127.0.0.1:{office.http.port}/chat/{{address}}"},
    }
    pacing = {"attempts": 2, "first_retry": "30s"}
    house = office.drain(clock, channels=channels, pacing=pacing)
    notice_id = await office.tell("p04", "broken", clock.at)
    await house.deliver()
    await house.deliver()
    paused = await office.rows(notice_id)
    for _ in range(3):
        clock.at += timedelta(seconds=31)
        await house.deliver()

    assert paused == [("mail", 1, "begun"), ("mail", 1, "failed")]
    assert (await office.rows(notice_id))[2:] == [
        *(("mail", 2, "begun"), ("mail", 2, "failed"), ("mail", 2, "given_up")),
        *(("chat", 1, "begun"), ("chat", 1, "sent"), ("*", 0, "sent")),
    ]
    assert len(office.http.to("/chat/p04")) == 1
    titles = [post.json["title"] for post in office.http.to("/chat/otto")]
    assert titles.count("countersign: notices are not delivered by mail") == 1


async def test_who_cannot_be_reached_is_said_to_the_operators(office: Office) -> None:
    """A person without a contact closes the notice as given up; the operators are told who it is."""
    notice_id = await office.tell("nora", "nowhere", kind=NoticeKind.info_requested)
    calm = await office.tell("nora", "calm")

    house = office.drain()
    await house.deliver()
    await house.deliver()

    assert await office.rows(notice_id) == [("*", 0, "given_up")]
    assert await office.rows(calm) == [("*", 0, "suppressed")]
    messages = [post.json["message"] for post in office.http.to("/chat/otto")]
    assert any("nora has no contact in a configured channel" in message for message in messages)


async def test_a_channel_that_hangs_delays_no_other_and_no_decision(office: Office) -> None:
    """While one channel hangs, the other tells, an action is approved and runs, and the next drain goes on."""
    port = office.http.port
    channels = {
        "chat": {"kind": "apprise", "url": f"json://127.0.0.1:{port}/hang/{{address}}", "timeout_seconds": 60},
        "mail": office.channels().to_people["mail"].model_dump()
        | {"url": f"mailto://127.0.0.1:{office.mail.port}/?from=a@example.org&to={{address}}"},
    }
    groups = {"silent": {"chat": "silent"}, "heard": {"mail": "heard@example.org"}}
    house = office.drain(channels=channels, groups=groups)
    stuck = await office.tell("silent", "stuck", to="group")
    await office.tell("heard", "first", to="group")
    draining = asyncio.create_task(house.deliver())
    body = office.world.propose("bench.put", undo="bench.take")
    handle = await office.world.start(body)
    await office.world.pending(handle)

    async def heard() -> int:
        return len(office.mail.to("heard@example.org"))

    await until(heard, lambda count: count == 1)
    assert (await office.world.decide(handle, "eve")).counted
    await office.world.pending(handle, stage=2)
    assert (await office.world.decide(handle, "cleo")).counted
    assert (await office.world.result(handle)).outcome == "succeeded"
    await office.tell("heard", "second", to="group")
    await house.deliver()

    assert await heard() == 2
    assert not draining.done()
    assert await office.rows(stuck) == [("chat", 1, "begun")]
    office.http.hanging.set()
    await draining
    assert ("*", 0, "sent") in await office.rows(stuck)


async def test_too_much_for_one_person_is_a_digest(office: Office) -> None:
    """What comes together is one message; beyond the limit of an hour everything is, so often at most."""
    clock = Fixed(datetime.now(UTC) + timedelta(days=1))
    house = office.drain(clock, pacing={"per_hour": 2, "digest_from": 3, "digest_every": "10m"})
    for number in range(5):
        await office.tell("p05", f"together-{number}", clock.at)
    await house.deliver()
    first = [str(mail["subject"]) for mail in office.mail.to("p05@example.org")]

    for minutes in (1, 2, 3, 20):
        clock.at += timedelta(minutes=minutes)
        await office.tell("p05", f"later-{minutes}", clock.at)
        await house.deliver()
    later = [str(mail["subject"]) for mail in office.mail.to("p05@example.org")][1:]

    assert first == ["countersign: 5 things wait to be read"]
    assert [subject.split(":")[1].strip() for subject in later] == [
        "has an answer to your question",
        "3 things wait to be read",
    ]


async def test_what_is_urgent_waits_for_nothing(office: Office) -> None:
    """Beyond every limit, an urgent notice is sent at once and by every channel."""
    clock = Fixed(datetime.now(UTC) + timedelta(days=2))
    house = office.drain(clock, pacing={"per_hour": 1})
    await office.tell("p06", "calm", clock.at)
    await house.deliver()
    notice_id = await office.tell("p06", "loud", clock.at, urgency=Urgency.urgent)

    await house.deliver()
    await house.deliver()

    assert len(office.mail.to("p06@example.org")) == 2
    assert len(office.http.to("/chat/p06")) == 1
    assert ("*", 0, "sent") in await office.rows(notice_id)


async def test_a_reminder_is_not_told_once_nobody_is_asked(office: Office) -> None:
    """What asked and was answered before it was told is suppressed, with the reason on record."""
    body = office.world.propose("bench.sign")
    handle = await office.world.start(body)
    await office.world.pending(handle)
    await office.world.decide(handle, "eve", "deny")
    await office.world.result(handle)
    before = len(office.mail.to("bob@example.org"))

    await office.drain().deliver()

    found = await office.world.sql(
        "SELECT status, detail FROM countersign.notice_delivery JOIN countersign.notice USING (notice_id)"
        " WHERE proposal_id = $1 AND kind = 'stage_opened' AND recipient = 'bob'",
        body["proposal_id"],
    )
    assert [(row["status"], row["detail"]) for row in found] == [("suppressed", "nobody is asked any more")]
    assert len(office.mail.to("bob@example.org")) == before


async def test_an_outbox_that_is_away_is_drained_later(office: Office) -> None:
    """While PostgreSQL is away a drain fails as unavailable and sends nothing; afterwards everything is told."""
    notice_id = await office.tell("p07", "away")
    house = office.drain()
    async with office.world.record_away():
        with pytest.raises(DatabaseUnavailableError):
            await house.deliver()
        assert office.mail.to("p07@example.org") == []

    await until(lambda: _delivered(house, office, notice_id))


async def _delivered(house: NoticeActivities, office: Office, notice_id: str) -> bool:
    try:
        await house.deliver()
    except DatabaseUnavailableError:
        return False
    return ("*", 0, "sent") in await office.rows(notice_id)


async def test_a_failing_outbox_of_channels_is_no_secret_in_the_record(office: Office) -> None:
    """What is written of a failure names no address and no secret of the channels file."""
    port = office.http.port
    channels = {"chat": {"kind": "apprise", "url": f"json://user:hunter2@127.0.0.1:{port}/away/{{address}}?token=t0p"}}
    notice_id = await office.tell("p08", "secret")

    await office.drain(channels=channels).deliver()

    found = await office.world.sql("SELECT detail FROM countersign.notice_delivery WHERE detail <> ''")
    assert "failed" in [status for *_, status in await office.rows(notice_id)]
    assert not any(secret in json.dumps([row["detail"] for row in found]) for secret in ("hunter2", "t0p", "127.0.0.1"))
