"""Who may say that permits are issued again after a backup came back, and how: real keys, a real record."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from activities.anchored import known_of
from activities.clock import SystemClock
from activities.database import Database
from activities.ledger import Ledger
from deploy.dev import Stack
from policy.anchoring import RECORD_LEDGER, AnchorCopy, Known, read_copy
from policy.base import instant_text
from policy.canonical import digest
from policy.proofs import Domain
from signing.keys import generate
from tests.anchors import MemoryAnchor, anchored
from tests.faults.restoring import KEYS, governed, handed_in, said, seen
from tests.unit.signed import by_key
from tests.world import publish_documents, record, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORGOTTEN = Known(seq=10**6, digest=digest(b"forgotten"), proposal_id="p-9", at=datetime(2030, 1, 1, tzinfo=UTC))
Statement = dict[str, Any]


@dataclass
class Registry:
    """A record, and a copy that knows of an entry which the record lacks."""

    database: Database
    anchor: MemoryAnchor
    accepts_claimed: bool = False

    async def settle(self, *statements: Statement, body: bytes | None = None) -> bool:
        """Hand statements in; whether permits are issued again."""
        self.anchor.handed_in = handed_in(*statements) if body is None else body
        guard = anchored(self.anchor, accepts_claimed=self.accepts_claimed)
        return await guard.settle(self.database, datetime.now(UTC)) is None

    async def entries(self) -> int:
        async with self.database.transaction(RECORD_LEDGER) as connection:
            head = await Ledger(connection, RECORD_LEDGER, datetime.now(UTC)).head()
        return head.position if head is not None else 0


@pytest_asyncio.fixture(name="place", scope="module", loop_scope="module")
async def _place(stack: Stack) -> AsyncIterator[Database]:
    async with record(stack) as name:
        await publish_documents(stack.database_url("postgres", name), *governed())
        database = Database(stack.database_url("countersign_permit", name))
        yield database
        await database.close()


@pytest.fixture(name="registry")
def _registry(place: Database) -> Registry:
    found = Registry(place, MemoryAnchor())
    found.anchor.body = AnchorCopy(entries=(FORGOTTEN,)).body
    return found


async def _right(registry: Registry, **changes: Any) -> tuple[Statement, Statement]:
    """What the two right people sign, with something changed before they do."""
    found = await seen(registry.database, registry.anchor)
    return said(found, KEYS["sam"], **changes), said(found, KEYS["dora"], **changes)


async def test_two_people_who_approve_the_next_policy_may(registry: Registry) -> None:
    """What they sign counts: it is an entry, the copy goes on from it, and remembers what the record forgot."""
    before = await registry.entries()
    assert await registry.settle(*(await _right(registry)))
    assert registry.anchor.handed_in is None
    copy = read_copy(registry.anchor.body or b"")
    async with registry.database.transaction() as connection:
        entry = await Ledger(connection, RECORD_LEDGER, datetime.now(UTC)).head()
        assert entry is not None
        assert copy.entries == (await known_of(connection, RECORD_LEDGER, entry),)
    assert (copy.lost, await registry.entries()) == (("p-9",), before + 1)


async def _refused(registry: Registry, *statements: Statement) -> None:
    before, body = await registry.entries(), registry.anchor.body
    assert not await registry.settle(*statements)
    assert (await registry.entries(), registry.anchor.body) == (before, body)


@contextmanager
def _told(caplog: pytest.LogCaptureFixture, why: str) -> Iterator[None]:
    caplog.clear()
    yield
    assert why in caplog.text


AGO, AHEAD = timedelta(hours=5), timedelta(hours=1)


def _at(away: timedelta) -> str:
    return instant_text((datetime.now(UTC) + away).replace(microsecond=0))


CHANGED: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "signed for another installation": (lambda: {"audience": "countersign/prod"}, "audience"),
    "signed for no installation": (lambda: {"audience": None}, "audience"),
    "about another copy": (lambda: {"copy_digest": digest(b"other")}, "another copy_digest"),
    "about a lost copy": (lambda: {"copy_digest": None, "known": None}, "another copy_digest"),
    "about fewer lost actions": (lambda: {"missing": []}, "another missing"),
    "about another newest entry": (lambda: {"known": None}, "another known"),
    "about another record": (lambda: {"record": {"seq": 10**9, "digest": digest(b"x")}}, "about a record whose entry"),
    "expired": (lambda: {"issued_at": _at(-AGO), "expires_at": _at(-AHEAD)}, "expired at"),
    "not issued yet": (lambda: {"issued_at": _at(AHEAD), "expires_at": _at(2 * AHEAD)}, "yet to come"),
    "for ever": (lambda: {"expires_at": "2999-01-01T00:00:00Z"}, "longer than a day"),
}


@pytest.mark.parametrize("how", CHANGED)
async def test_a_statement_about_something_else_does_not_count(
    registry: Registry, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """However well it is signed, it is about one installation, one copy, one record and one moment."""
    changes, why = CHANGED[how]
    with _told(caplog, why):
        await _refused(registry, *(await _right(registry, **changes())))


WHO: dict[str, tuple[tuple[str, ...], str]] = {
    "one person": (("sam",), "it takes 2 people, acknowledged is it by sam"),
    "one person twice": (("sam", "sam"), "it takes 2 people, acknowledged is it by sam"),
    "somebody else": (("sam", "ann"), "ann is not among those who approve the next policy"),
    "who wrote the policy": (("sam", "olga"), "olga wrote the policy in force"),
}


@pytest.mark.parametrize("who", WHO)
async def test_not_everybody_may(registry: Registry, caplog: pytest.LogCaptureFixture, who: str) -> None:
    """Two distinct people, each of whom the policy in force would ask before the next one is published."""
    names, why = WHO[who]
    found = await seen(registry.database, registry.anchor)
    with _told(caplog, why):
        await _refused(registry, *(said(found, KEYS[name]) for name in names))


def _signed_as_a_decision(statement: Statement) -> Statement:
    return by_key(statement, KEYS["dora"], Domain.decision)


def _by_another_key(statement: Statement) -> Statement:
    return by_key(statement, generate("dora-1"), Domain.acknowledgement)


FORGED: dict[str, tuple[Callable[[Statement], Statement], str]] = {
    "changed after it was signed": (lambda one: {**one, "reason": "another"}, "bad_proof"),
    "signed as a decision": (_signed_as_a_decision, "bad_proof"),
    "signed by another key": (_by_another_key, "bad_proof"),
    "only claimed": (lambda one: {**one, "proof": {"kind": "claimed", "identity": "dora"}}, "claimed_not_accepted"),
    "with a field more": (lambda one: {**one, "also": 1}, "malformed acknowledgement"),
    "without a reason": (lambda one: {**one, "reason": ""}, "malformed acknowledgement"),
}


@pytest.mark.parametrize("how", FORGED)
async def test_a_forged_acknowledgement_does_not_count(
    registry: Registry, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """What is not exactly what a key of the person signed as an acknowledgement is nobody's."""
    forge, why = FORGED[how]
    one, other = await _right(registry)
    with _told(caplog, why):
        await _refused(registry, one, forge(other))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"[1]", b"[" * 100, b"null"])
async def test_a_file_that_holds_no_statements_does_not_count(registry: Registry, body: bytes) -> None:
    """It is left where it is, and nothing is issued."""
    assert not await registry.settle(body=body)
    assert registry.anchor.handed_in == body


async def test_a_replayed_acknowledgement_does_not_count(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """What counted once counts no second time, whatever the copy says by then: not even where it is the same again."""
    body, statements = registry.anchor.body, await _right(registry)
    assert await registry.settle(*statements)
    registry.anchor.body = AnchorCopy(entries=(FORGOTTEN.model_copy(update={"seq": 10**7}),)).body
    with _told(caplog, "another copy_digest"):
        await _refused(registry, *statements)
    registry.anchor.body = body
    with _told(caplog, "counted before"):
        await _refused(registry, *statements)


async def test_one_of_two_used_statements_does_not_count_again(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    """A second person cannot pair a fresh statement with one that counted."""
    body, statements = registry.anchor.body, await _right(registry)
    assert await registry.settle(*statements)
    registry.anchor.body = body
    fresh = said(await seen(registry.database, registry.anchor), KEYS["dora"])
    with _told(caplog, "counted before"):
        await _refused(registry, statements[0], fresh)


async def test_claimed_people_may_where_that_was_asked_for(registry: Registry) -> None:
    """On a development stack a name is enough, as it is for a vote; and not for whom the policy does not ask."""
    registry.accepts_claimed = True
    found = await seen(registry.database, registry.anchor)
    assert not await registry.settle(said(found, None, "sam"), said(found, None, "eve"))
    assert await registry.settle(said(found, None, "sam"), said(found, None, "dora"))


async def test_what_was_acknowledged_is_said_once(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what is wrong when it changes, not every few seconds."""
    guard = anchored(registry.anchor)
    for _ in range(3):
        assert await guard.settle(registry.database, datetime.now(UTC)) is not None
    assert caplog.text.count("the record lacks entry") == 1
    registry.anchor.handed_in = handed_in(*(await _right(registry)))
    assert await guard.settle(registry.database, datetime.now(UTC)) is None
    assert "permits are issued" in caplog.text


class Broken(MemoryAnchor):
    """A copy that fails in a way that nobody foresaw, once it was there."""

    broken = False

    async def read(self) -> bytes | None:
        if self.broken:
            raise ValueError("nobody foresaw this")
        return await super().read()


async def test_a_watch_that_ends_says_so(
    place: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends it is in the log at once, and not when the worker stops."""
    monkeypatch.setattr("activities.anchored.EVERY", timedelta(milliseconds=1))
    anchor = Broken()
    async with anchored(anchor).watched(place, SystemClock(), None):
        anchor.broken = True
        await until(lambda: asyncio.sleep(0, caplog.text), lambda text: "is not looked at any more" in text)
    assert "nobody foresaw this" in caplog.text
