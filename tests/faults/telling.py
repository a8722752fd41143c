"""Where people are told in an ordeal: a channel of each kind before a real server, which counts by the key of a notice.

A notice is told at least once. What arrives twice has the same key, by which whoever gets it knows: an answer that was
lost may not be told from one that never came. What goes wrong between a worker and the server is made by the server.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from temporalio.client import Client, WorkflowFailureError

from tests.faults.governed import CATALOG, DIRECTORY, OPERATIONS, POLICY
from tests.faults.ordeal import Ordeal
from tests.integration.inbox import SECRET, Endpoint, Mailbox, endpoint, mailbox
from tests.world import until
from workflows.interface import DELIVER_WORKFLOW, TASK_QUEUE

_ANNA = b"{id: person:anna}"
_CONTACTS = b"{id: person:anna, contacts: {mail: anna@example.org, chat: anna}}"
# Only who asked can be told.
DOCUMENTS = (POLICY, OPERATIONS, DIRECTORY.replace(_ANNA, _CONTACTS), CATALOG)
_DRAIN_WITHIN = timedelta(seconds=15)
_DRAINS = 12
_HOUR = 3600
_OPEN = """
SELECT count(*) FROM countersign.notice n WHERE NOT EXISTS
  (SELECT FROM countersign.notice_delivery d WHERE d.notice_id = n.notice_id AND d.channel = '*')
"""
# A commit that is late is there long before an hour is over.
_QUIET = """
SELECT count(*) = 0 FROM pg_stat_activity
WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Telling:
    """One channel: its entry in the channels file, its server, and which notices arrived there, by key and in order."""

    entry: dict[str, Any]
    server: Mailbox | Endpoint
    arrived: Callable[[], Sequence[str]]
    # The faults that `arrange` makes.
    wired = frozenset({"fail", "lose", "slow"})

    @property
    def config(self) -> dict[str, str]:
        """What a worker process is told of it: the channels file, and that its clock can be moved."""
        pacing = {"digest_from": 100, "per_hour": 1000}
        return {"channels": json.dumps({"channels": self.entry, "pacing": pacing}), "ahead": "0"}

    def arrange(self, fault: str) -> None:
        """Let the next message meet a fault."""
        self.server.faults.append(fault)

    def met(self) -> bool:
        """Whether what was arranged has happened."""
        return not self.server.faults

    def counted(self) -> dict[str, int]:
        """How many notices arrived, and how often one of them arrived once more."""
        keys = self.arrived()
        return {"told": len(set(keys)), "told again": len(keys) - len(set(keys))}


async def untold(url: str) -> int:
    """How many notices of a record are still to be told, once nothing is under way that could tell or note one."""
    record = await asyncpg.connect(url)
    try:
        await until(lambda: record.fetchval(_QUIET))
        return int(await record.fetchval(_OPEN))
    finally:
        await record.close()


async def tell(ordeal: Ordeal, client: Client, folder: Path) -> None:
    """The schedule drains the outbox every hour, until nobody is left to be told, and once more."""
    url = ordeal.stack.database_url("postgres", ordeal.name)
    ended = False
    for hour in range(_DRAINS):
        (folder / "ahead").write_text(str(hour * _HOUR))
        with suppress(WorkflowFailureError):
            await client.execute_workflow(
                DELIVER_WORKFLOW,
                id=f"deliver-{uuid4().hex}",
                task_queue=TASK_QUEUE,
                execution_timeout=_DRAIN_WITHIN,
                task_timeout=timedelta(seconds=2),
            )
        if ended:
            return
        ended = not await untold(url)
    raise AssertionError(f"{await untold(url)} notices are not told after {_DRAINS} hours")


@asynccontextmanager
async def by_mail() -> AsyncIterator[Telling]:
    """A mail server."""
    with mailbox() as server:
        url = f"mailto://127.0.0.1:{server.port}/?from=countersign@example.org&to={{address}}"
        entry = {"mail": {"kind": "apprise", "url": url, "timeout_seconds": 10}}
        yield Telling(entry, server, lambda: [str(mail["x-countersign-notice"]) for _, mail in server.mails])


@asynccontextmanager
async def by_chat() -> AsyncIterator[Telling]:
    """A chat that takes JSON."""
    with endpoint() as server:
        entry = {"kind": "apprise", "url": f"json://127.0.0.1:{server.port}/chat/{{address}}", "timeout_seconds": 10}
        yield Telling({"chat": entry}, server, lambda: [post.headers["idempotency-key"] for post in server.posts])


@asynccontextmanager
async def by_events() -> AsyncIterator[Telling]:
    """A platform's endpoint, which is told of what was decided."""
    with endpoint() as server:
        url = f"http://127.0.0.1:{server.port}/events"
        entry = {"kind": "webhook", "url": url, "secret": SECRET, "kinds": ["resolved"]}
        yield Telling({"events": entry}, server, lambda: [post.headers["webhook-id"] for post in server.posts])


# By what the fault table plays.
CHANNELS = {"told by mail": by_mail, "told by chat": by_chat, "told by signed events": by_events}
