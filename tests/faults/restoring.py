"""A record whose backup comes back: what to publish, who may acknowledge, and a real copy of a real database."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from activities.anchor import Anchor
from activities.anchored import compared, found_of, head_of_record, missing_entries, situation_of
from activities.database import Database
from cli.record import Compared, signed, statement
from signing.keys import SigningKey, generate
from tests.world import DOCUMENTS, World

AUDIENCE = "countersign/tests"
KEYS = {name: generate(f"{name}-1") for name in ("sam", "dora", "ann", "olga")}
_PEOPLE = {"sam": ["platform-leads"], "dora": ["dba"], "olga": ["platform-leads", "dba"]}
ROOT = (Path(__file__).parents[2] / "examples" / "root.yaml").read_text()


def governed(audience: str = AUDIENCE) -> tuple[bytes, bytes]:
    """The documents of the tests with a root policy, and people with keys: sam and dora approve policies, ann does not.

    Olga does, and wrote the policy.
    """
    policy = (DOCUMENTS / "policy.yaml").read_text()
    written = ROOT.replace("scope: root", "scope: root\n  authors: [olga]")
    lines = [line for line in (DOCUMENTS / "directory.yaml").read_text().splitlines() if "id: olga" not in line]
    text = "\n".join(lines).replace("people:\n", f"audience: {audience}\npeople:\n{_people()}")
    text = text.replace("groups: [ops]}", f"groups: [ops], keys: [{_key('ann')}]}}", 1)
    return f"{policy}\n---\n{written}".encode(), text.encode()


def _people() -> str:
    return "".join(f"  - {{id: {who}, groups: {json.dumps(to)}, keys: [{_key(who)}]}}\n" for who, to in _PEOPLE.items())


def _key(who: str) -> str:
    return json.dumps({"id": f"{who}-1", "jwk": KEYS[who].public})


async def seen(database: Database, anchor: Anchor, audience: str | None = AUDIENCE) -> Compared:
    """What `countersign record acknowledge` finds out before somebody signs."""
    body = await anchor.read()
    async with database.snapshot() as connection:
        behind = await compared(connection, body)
        missing = missing_entries(body, await found_of(connection, body))
        return Compared(behind, situation_of(body, missing), await head_of_record(connection), audience)


def said(found: Compared, key: SigningKey | None, who: str = "nobody", **changes: Any) -> dict[str, Any]:
    """The statement of one person, with something changed before it is signed."""
    return signed(statement(found, "restored last night's backup", datetime.now(UTC)) | changes, key, who)


def handed_in(*statements: Mapping[str, Any]) -> bytes:
    """What is put beside the copy."""
    return json.dumps(statements).encode()


@dataclass(frozen=True)
class Backup:
    """A copy of a world's record as it was, that can be put back."""

    world: World
    name: str

    async def put_back(self) -> None:
        """Replace the record by the copy. The workers must not run."""
        name = self.world.url.partition("?")[0].rpartition("/")[2]
        async with alone(self.world) as admin:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE {self.name}")


async def back_up(world: World) -> Backup:
    """Copy a world's record, file by file, with everything that it is. The workers must not run."""
    name = world.url.partition("?")[0].rpartition("/")[2]
    async with alone(world) as admin:
        await admin.execute(f"CREATE DATABASE {name}_backup TEMPLATE {name}")
    return Backup(world, f"{name}_backup")


@contextlib.asynccontextmanager
async def alone(world: World) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A superuser's connection, elsewhere, while nobody is connected to a world's record."""
    await world.database.close()
    name = world.url.partition("?")[0].rpartition("/")[2]
    admin = await asyncpg.connect(world.url.replace(f"/{name}", "/postgres", 1))
    try:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name)
        yield admin
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    finally:
        await admin.close()
