"""The keys of a real identity provider: fetched where they are missing, kept when they are rotated, never planted."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.exc import DBAPIError
from temporalio.exceptions import ApplicationError

from activities.clock import SystemClock
from activities.database import Database
from activities.documents import Documents
from activities.issuer_keys import PAUSE, PUBLISHED_FOR, KeyActivities, PublishedKeys, RecordedKeys
from deploy.dev import Stack
from policy.canonical import parse_canonical
from tests.provider import IdentityProvider, identity_provider, rsa
from tests.world import publish_documents, record

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONE, TWO = rsa("one"), rsa("two")
STEP = timedelta(seconds=1)


@dataclass
class Seconds:
    """A clock that runs forward when it is told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def later(self, span: timedelta) -> None:
        self.now += span.total_seconds()


@dataclass
class Place:
    """A record, and what reads and fills it."""

    stack: Stack
    name: str
    seconds: Seconds = field(default_factory=Seconds)
    databases: list[Database] = field(default_factory=list)

    def database(self, role: str) -> Database:
        self.databases.append(Database(self.stack.database_url(f"countersign_{role}", self.name), pool_size=2))
        return self.databases[-1]

    def published(self, role: str | None = "permit") -> PublishedKeys:
        store = self.database(role) if role is not None else None
        return PublishedKeys(SystemClock(), store, monotonic=self.seconds)

    async def stored(self, issuer: str) -> list[str]:
        """The ids of the keys that the record has of an issuer."""
        connection = await asyncpg.connect(self.stack.database_url("countersign_reader", self.name))
        rows = await connection.fetch(
            "SELECT kid, body FROM countersign.issuer_key WHERE issuer = $1 ORDER BY kid", issuer
        )
        await connection.close()
        assert [parse_canonical(row["body"])["kid"] for row in rows] == [row["kid"] for row in rows]
        return [row["kid"] for row in rows]


@pytest.fixture(name="provider")
def _provider() -> Iterator[IdentityProvider]:
    with identity_provider(ONE) as provider:
        yield provider


@pytest_asyncio.fixture(name="place", loop_scope="module")
async def _place(stack: Stack) -> AsyncIterator[Place]:
    async with record(stack) as name:
        place = Place(stack, name)
        yield place
        for database in place.databases:
            await database.close()


def _kids(keys: Any, issuer: str) -> list[str]:
    return [key["kid"] for key in keys.known.get(issuer, ())]


async def test_keys_are_fetched_once_and_kept(place: Place, provider: IdentityProvider) -> None:
    """What the provider publishes is known, without anything private, and on record."""
    keys = place.published()
    assert keys.may_fetch(provider.issuer)
    await asyncio.gather(*(keys.fetch(provider.issuer) for _ in range(5)))
    assert _kids(keys, provider.issuer) == ["one"]
    assert await place.stored(provider.issuer) == ["one"]
    assert not {"d", "p", "q"} & keys.known[provider.issuer][0].keys()
    assert not keys.may_fetch(provider.issuer)


async def test_a_provider_is_asked_once_in_half_a_minute(place: Place, provider: IdentityProvider) -> None:
    """A flood of tokens with keys that do not exist asks nobody more often; then the new key is there."""
    keys = place.published()
    await keys.fetch(provider.issuer)
    provider.publish(TWO)
    place.seconds.later(PAUSE - STEP)
    await keys.fetch(provider.issuer)
    assert (keys.may_fetch(provider.issuer), _kids(keys, provider.issuer)) == (False, ["one"])
    place.seconds.later(STEP)
    assert keys.may_fetch(provider.issuer)
    await keys.fetch(provider.issuer)
    assert _kids(keys, provider.issuer) == ["two"]


async def test_a_key_that_was_rotated_away_stays_on_record(place: Place, provider: IdentityProvider) -> None:
    """No new statement is believed by it; one that was taken before is verified by it."""
    keys = place.published()
    await keys.fetch(provider.issuer)
    provider.publish(TWO)
    place.seconds.later(PAUSE)
    recorded = RecordedKeys(place.database("permit"), keys, monotonic=place.seconds)
    await recorded.fetch(provider.issuer)
    assert _kids(keys, provider.issuer) == ["two"]
    assert sorted(_kids(recorded, provider.issuer)) == ["one", "two"]


async def test_a_key_is_not_believed_for_longer_than_it_was_seen(place: Place, provider: IdentityProvider) -> None:
    """What was fetched ten minutes ago is asked for again: the provider may have taken it back."""
    keys = place.published()
    await keys.fetch(provider.issuer)
    place.seconds.later(PUBLISHED_FOR)
    assert _kids(keys, provider.issuer) == ["one"]
    place.seconds.later(STEP)
    assert _kids(keys, provider.issuer) == []


async def test_a_provider_that_is_down_takes_nothing_away(place: Place, provider: IdentityProvider) -> None:
    """What was known stays for its time, it is said why nothing new is, and later it is asked again."""
    keys = place.published()
    await keys.fetch(provider.issuer)
    provider.go_down()
    place.seconds.later(PAUSE)
    await keys.fetch(provider.issuer)
    assert _kids(keys, provider.issuer) == ["one"]
    assert "cannot be asked: ConnectionError" in (keys.unreachable(provider.issuer) or "")
    assert not keys.may_fetch(provider.issuer)
    provider.come_back()
    place.seconds.later(PAUSE)
    await keys.fetch(provider.issuer)
    assert keys.unreachable(provider.issuer) is None


async def test_the_control_role_writes_no_key_down(place: Place, provider: IdentityProvider) -> None:
    """It knows them in memory; the record stays without, and what it would plant is refused."""
    keys = place.published(role=None)
    await keys.fetch(provider.issuer)
    assert _kids(keys, provider.issuer) == ["one"]
    assert await place.stored(provider.issuer) == []
    planting = place.published("control")
    with pytest.raises(DBAPIError, match="permission denied for table issuer_key"):
        await planting.fetch(provider.issuer)
    assert _kids(planting, provider.issuer) == []


async def test_a_role_that_asks_nobody_reads_the_record(place: Place, provider: IdentityProvider) -> None:
    """The executor role believes what the permit role saw, and finds it as soon as it is there."""
    recorded = RecordedKeys(place.database("executor"), monotonic=place.seconds)
    await recorded.fetch(provider.issuer)
    assert _kids(recorded, provider.issuer) == []
    assert not recorded.may_fetch(provider.issuer)
    await place.published().fetch(provider.issuer)
    place.seconds.later(STEP)
    assert recorded.may_fetch(provider.issuer)
    await recorded.fetch(provider.issuer)
    assert _kids(recorded, provider.issuer) == ["one"]
    assert recorded.unreachable(provider.issuer) is None


def _directory(*issuers: str) -> bytes:
    entries = [{"issuer": issuer, "client_ids": ["countersign-cli"]} for issuer in issuers]
    head = {"apiVersion": "countersign/v1", "kind": "Directory", "metadata": {"name": "tests", "version": "2"}}
    return json.dumps({**head, "audience": "tests", "issuers": entries, "people": [{"id": "ann"}]}).encode()


async def test_the_keys_of_every_issuer_are_looked_at_by_schedule(place: Place, provider: IdentityProvider) -> None:
    """What the directory names is fetched; what cannot be is named, after everything else was."""
    keys = place.published()
    activities = KeyActivities(place.database("permit"), Documents(), keys)
    assert await activities.refresh_issuer_keys() == 0
    await publish_documents(place.stack.database_url("postgres", place.name), _directory(provider.issuer))
    assert await activities.refresh_issuer_keys() == 1
    assert await place.stored(provider.issuer) == ["one"]
    gone = "http://127.0.0.1:1"
    both = _directory(gone, provider.issuer)
    await publish_documents(place.stack.database_url("postgres", place.name), both)
    provider.publish(ONE, TWO)
    place.seconds.later(PAUSE)
    with pytest.raises(ApplicationError, match=r"1 refreshed, 1 not: http://127\.0\.0\.1:1/\.well-known"):
        await activities.refresh_issuer_keys()
    assert await place.stored(provider.issuer) == ["one", "two"]
