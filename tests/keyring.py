"""Keys for the tests of encryption: a key file as an operator writes it, and worlds whose payloads are encrypted."""

import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

from activities.connection import connect
from activities.encryption.keys import Keys, read_keys
from deploy.dev import Stack
from tests.world import World, record, running_world, temporal_server

SINCE = "2026-01-01T00:00:00Z"


def key(name: str) -> str:
    """The same 32 bytes for the same name, as a key file writes them."""
    return base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()


def write_keys(path: Path, *ids: str, active: str | None = None, since: str | None = SINCE) -> Path:
    """A key file with these keys, the first of which is active unless another one is named."""
    chosen = ids[0] if active is None else active or None
    path.write_text(json.dumps({"active": chosen, "since": since, "keys": {name: key(name) for name in ids}}))
    path.chmod(0o600)
    return path


def keys(folder: Path, *ids: str, active: str | None = None, since: str | None = SINCE) -> Keys:
    """The keys of such a file."""
    return read_keys(write_keys(folder / f"{'-'.join(ids)}-{active}.json", *ids, active=active, since=since))


def fixed(*ids: str, since: str = SINCE) -> Keys:
    """Keys without a file, the same whenever and wherever: those of the recorded history that is encrypted."""
    return Keys(ids[0], datetime.fromisoformat(since), {name: base64.b64decode(key(name)) for name in ids})


@contextlib.asynccontextmanager
async def encrypted_world(stack: Stack, found: Keys) -> AsyncIterator[World]:
    """A world with a Temporal and a record of its own, whose workers and client encrypt."""
    with temporal_server() as server:
        client = await connect(address=server.address, identity="tests", keys=found)
        async with record(stack) as name, running_world(stack, client, name) as world:
            yield world
