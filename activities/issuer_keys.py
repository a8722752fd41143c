"""The keys of issuers: fetched where tokens name keys that are not known, and kept for as long as anybody may ask.

1. A new statement is verified with what its issuer publishes now: what was fetched counts for `PUBLISHED_FOR`, so that
   a key that was taken back is not believed for longer.
2. A statement that was taken before is verified again with what its issuer had published then. The roles that issue and
   act read that from the table `issuer_key`; the permit role fills it, with what it fetched itself.
3. An issuer is asked once in `PAUSE`, whoever sends tokens: whether it answered or not. Who comes while it is being
   asked waits for that answer.
4. Where an issuer cannot be asked, what was known stays, for its time. Nothing is believed because nobody answered.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert as insert_once
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.clock import Clock
from activities.database import Database
from activities.documents import Documents, NotPublishedError
from activities.openid import OpenIdError, discover, published_keys
from activities.tables_keys import IssuerKeyRow
from policy.canonical import canonical, digest, parse_canonical
from workflows.ports import KeyPort

log = logging.getLogger("countersign.keys")

PUBLISHED_FOR = timedelta(minutes=10)
PAUSE = timedelta(seconds=30)
_READ_AGAIN = timedelta(seconds=1)
_AT_ONCE = 4
_KEY = IssuerKeyRow.__table__.c  # type: ignore[attr-defined]
_STORE = insert_once(IssuerKeyRow).on_conflict_do_nothing()
_STORED = select(_KEY.body).where(_KEY.issuer == bindparam("issuer")).order_by(_KEY.digest)

Keys = Sequence[dict[str, Any]]


@dataclass
class _Issuer:
    """What is known of one issuer, and since when, by a clock that only runs forward."""

    published: Keys = ()
    published_at: float = -float("inf")
    asked_at: float = -float("inf")
    unreachable: str | None = None


class PublishedKeys:
    """What issuers publish now.

    Args:
        clock: says when a key was first seen.
        store: the record, as a role that may insert keys; None keeps them in memory alone.
        monotonic: seconds that only run forward.
    """

    def __init__(
        self, clock: Clock, store: Database | None = None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._store = store
        self._monotonic = monotonic
        self._issuers: dict[str, _Issuer] = defaultdict(_Issuer)
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def known(self) -> Mapping[str, Keys]:
        """The keys by issuer that were published lately."""
        oldest = self._monotonic() - PUBLISHED_FOR.total_seconds()
        return {name: found.published for name, found in self._issuers.items() if found.published_at >= oldest}

    def may_fetch(self, issuer: str) -> bool:
        """Whether an issuer may be asked again."""
        return issuer not in self._issuers or (
            self._monotonic() - self._issuers[issuer].asked_at >= PAUSE.total_seconds()
        )

    def unreachable(self, issuer: str) -> str | None:
        """Why an issuer could not be asked the last time; None where it could."""
        return self._issuers[issuer].unreachable if issuer in self._issuers else None

    async def fetch(self, issuer: str) -> None:
        """Ask an issuer, unless it was asked just now.

        Raises:
            DatabaseUnavailableError: what it publishes cannot be stored; it is not believed before it is.
        """
        async with self._turns[issuer]:
            if not self.may_fetch(issuer):
                return
            found = self._issuers[issuer]
            try:
                keys = await published_keys(await discover(issuer))
            except OpenIdError as error:
                found.unreachable = str(error)
                log.warning("keys of issuer %s are not refreshed: %s", issuer, error)
            else:
                await self._keep(issuer, keys)
                found.published, found.published_at, found.unreachable = keys, self._monotonic(), None
            found.asked_at = self._monotonic()

    async def _keep(self, issuer: str, keys: Keys) -> None:
        if self._store is None:
            return
        now = await self._clock.now()
        async with self._store.transaction() as connection:
            for body, kid in ((canonical(key), key.get("kid")) for key in keys):
                row = {"issuer": issuer, "digest": digest(body), "kid": kid, "body": body, "first_seen": now}
                await connection.execute(_STORE, row)


class RecordedKeys:
    """What issuers ever published, as the permit role saw it: for statements that were taken before.

    Args:
        record: is read.
        published: asks an issuer where the record lacks a key; None, in a role that asks nobody.
        monotonic: seconds that only run forward.
    """

    def __init__(
        self,
        record: Database,
        published: PublishedKeys | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._record = record
        self._published = published
        self._monotonic = monotonic
        self._read: dict[str, Keys] = {}
        self._read_at: dict[str, float] = {}

    @property
    def known(self) -> Mapping[str, Keys]:
        """The keys by issuer, as far as they were read."""
        return self._read

    def may_fetch(self, issuer: str) -> bool:
        """Whether the record may be read again."""
        read_at = self._read_at.get(issuer)
        return read_at is None or self._monotonic() - read_at >= _READ_AGAIN.total_seconds()

    def unreachable(self, issuer: str) -> str | None:
        """Why an issuer could not be asked the last time."""
        return self._published.unreachable(issuer) if self._published is not None else None

    async def fetch(self, issuer: str) -> None:
        """Read what the record has of an issuer, after asking it where that may be.

        Raises:
            DatabaseUnavailableError: the record cannot be read or written.
        """
        if self._published is not None:
            await self._published.fetch(issuer)
        async with self._record.snapshot() as connection:
            rows = await connection.scalars(_STORED, {"issuer": issuer})
            self._read[issuer] = tuple(parse_canonical(body) for body in rows)
        self._read_at[issuer] = self._monotonic()


class KeyActivities(KeyPort):
    """Keeps the keys of every issuer that the directory in force believes, as the permit or application role.

    Args:
        database: the record.
        documents: the governed documents.
        keys: asks and stores.
    """

    def __init__(self, database: Database, documents: Documents, keys: PublishedKeys) -> None:
        self._database = database
        self._documents = documents
        self._keys = keys

    @activity.defn(name="refresh_issuer_keys")
    async def refresh_issuer_keys(self) -> int:
        names = await self._believed()
        turns = asyncio.Semaphore(_AT_ONCE)

        async def fetch(name: str) -> str | None:
            async with turns:
                await self._keys.fetch(name)
            return self._keys.unreachable(name)

        failed = [why for why in await asyncio.gather(*map(fetch, names)) if why is not None]
        if failed:
            text = f"issuer keys: {len(names) - len(failed)} refreshed, {len(failed)} not: {'; '.join(failed)}"
            raise ApplicationError(text[:2000], type="IssuerKeysIncomplete")
        return len(names)

    async def _believed(self) -> list[str]:
        """The issuers of the directory in force; none before the first documents are."""
        async with self._database.snapshot() as connection:
            try:
                directory = (await self._documents.in_force(connection)).directory
            except NotPublishedError:
                return []
        return [item.issuer for item in directory.issuers]
