"""A worker process that kills itself at one point: SIGKILL, so that nothing is cleaned up.

A point is `WHEN:ACTIVITY:COUNT`: `before` or `after` the COUNT-th commit of an activity, or `before:effect`,
`after:effect`, `before:undo`, `after:undo` around what reaches the target; the COUNT is this process's. Several points
are joined by `+`: each process dies at the first one at which none died before it. The file `mark` has a line for each
death, so that the worker that is started after the last one goes on in peace.

WHEN may also be a fault that nobody dies of (`disturbing.py`): `fail`, `lose`, `slow` and `twice`. It
happens once, too.

The executor of this process writes rows into a table of its target and never checks for earlier ones, so that an effect
that happens twice is counted twice.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.channels.file import read_channels
from activities.connection import connect
from activities.database import Database
from activities.executors.base import (
    Executor,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    Seen,
    Supports,
    TargetCredentials,
    TargetUnreachableError,
)
from activities.executors.kinds import make_executors
from activities.trails.kinds import TrailSource
from policy.targets import ResolvedTarget
from tests.faults.disturbing import Disturbed, DisturbedAnchor, Twice, by_way, disturb_commit, socket_of
from tests.integration.executors.lossy import LossyWay, lossy_way
from tests.permit_keys import settings
from worker import running_workers


class Crash:
    """The points at which to die, one after the other."""

    def __init__(self, points: str, mark: Path) -> None:
        self._points = points.split("+")
        self._mark = mark
        self._seen: dict[str, int] = {}

    def reach(self, what: str) -> None:
        """Note that a point was reached, and die if it is the next one."""
        self._seen[what] = self._seen.get(what, 0) + 1
        if self._is_next(what):
            os.kill(os.getpid(), signal.SIGKILL)

    def meets(self, what: str) -> bool:
        """Note that a point was reached, and whether it is the next one: then its fault is to happen."""
        self._seen[what] = self._seen.get(what, 0) + 1
        return self._is_next(what)

    def note(self, request: bytes) -> None:
        """Note on which request to the record something went wrong."""
        with requests_of(self._mark).open("a") as file:
            file.write("commit\n" if b"COMMIT" in request else "another\n")

    def _is_next(self, what: str) -> bool:
        died = len(self._mark.read_text().split()) if self._mark.exists() else 0
        left = self._points[died : died + 1]
        if what not in left and f"{what}:{self._seen[what]}" not in left:
            return False
        with self._mark.open("a") as file:
            file.write(f"{left[0]}\n")
            file.flush()
            os.fsync(file.fileno())
        return True


def requests_of(mark: Path) -> Path:
    """The file with a line for each request to the record on which something went wrong."""
    return mark.with_name("requests")


class Ahead:
    """A clock that runs ahead by so many seconds, and by those that a test writes into a file."""

    def __init__(self, seconds: float, file: Path) -> None:
        self._seconds = seconds
        self._file = file

    async def now(self) -> datetime:
        moved = float(self._file.read_text() or 0) if self._file.exists() else 0
        return datetime.now(UTC) + timedelta(seconds=self._seconds + moved)


class CrashingDatabase(Database):
    """The record, with a point before and after each commit of an activity, and with a way to it that may go wrong."""

    def __init__(self, url: str, crash: Crash, way: LossyWay) -> None:
        super().__init__(url)
        self._crash = crash
        self._way = way

    @asynccontextmanager
    async def transaction(self, proposal_id: str | None = None) -> AsyncIterator[AsyncConnection]:
        name = activity.info().activity_type if activity.in_activity() else "none"
        async with super().transaction(proposal_id) as connection:
            yield connection
            self._crash.reach(f"before:{name}")
            await disturb_commit(self._crash, self._way, connection, name)
        self._crash.reach(f"after:{name}")


PARTS = ("first", "second", "third")
_ON_PARTS = frozenset({"count.rows.add", "count.rows.remove"})


class CountingExecutor:
    """Writes one row per effect; asked twice, it writes two. What it does to the resource `twice` it does twice, as
    an executor does that breaks its promise. Of `count.rows.*` it finds `PARTS` objects in each resource.

    It pauses for so many seconds before and after the effect, which gives a killer from outside a chance.
    """

    name = "counting"
    supports = Supports(
        operations=frozenset({"count.row.add", "count.row.remove", *_ON_PARTS}),
        probes=frozenset({"count.row.present"}),
        stops_within=timedelta(seconds=5),
        observes="by_key",
        resolves=_ON_PARTS,
    )

    def __init__(self, url: str, crash: Crash, *, twice: str = "", pause: float = 0) -> None:
        self._url = url
        self._crash = crash
        self._twice = twice
        self._pause = pause

    async def execute(self, order: Order) -> None:
        kind = "undo" if order.direction == "undo" else "effect"
        self._crash.reach(f"before:{kind}")
        await asyncio.sleep(self._pause)
        row = (order.permit_id, str(order.direction), order.resolved[0])
        for _ in range(2 if order.resolved[0] == self._twice else 1):
            await self._run("INSERT INTO effect (permit_id, direction, resource) VALUES ($1, $2, $3)", *row)
        await asyncio.sleep(self._pause)
        self._crash.reach(f"after:{kind}")

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """Of `count.row.*` it acts on what the catalog names; see `Executor.resolve`."""
        if inquiry.operation not in _ON_PARTS:
            raise PreconditionFailedError(f"what {inquiry.operation} would touch is what the catalog names")
        return tuple(ResolvedTarget(id=part, resource=each) for each in inquiry.resources for part in PARTS)

    async def dry_run(self, order: Order) -> str:
        raise PreconditionFailedError(f"{order.operation} is not rehearsed here")

    async def observe(self, order: Order) -> Seen:
        found = await self._run("SELECT 1 FROM effect WHERE permit_id = $1", order.permit_id)
        return "done" if found else "none"

    async def measure(self, order: ProbeOrder) -> Any:
        if order.probe != "count.row.present":
            raise ProbeError(f"probe {order.probe} is none of count.row.present")
        return bool(await self._run("SELECT 1 FROM effect WHERE resource = $1 AND direction = 'do'", order.resource))

    async def _run(self, statement: str, *values: str) -> list[Any]:
        try:
            connection = await asyncpg.connect(self._url, timeout=2)
        except (OSError, asyncpg.PostgresError) as error:
            raise TargetUnreachableError(str(error)) from error
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()


async def main(config: dict[str, str]) -> None:
    """Run all roles until killed; `ahead` is by how many seconds their clock is."""
    crash = Crash(config["point"], Path(config["mark"]))
    client = await connect(
        address=config["address"], namespace=config["namespace"], identity="crashing", interceptors=[Twice(crash)]
    )
    folder = Path(config["mark"]).parent
    archive = folder / "archive"
    archive.mkdir(exist_ok=True)
    channels = read_channels(config["channels"].encode()) if "channels" in config else None
    given = settings(
        database_url=config["database"],
        targets={"target/1": "unused"},
        archive_dir=archive,
        channels=channels,
        prometheus_url=config.get("prometheus"),
        slo_query="budget_left{slo='$name'}",
        trails=_trails(config, folder),
    )
    anchor = DisturbedAnchor(folder / "anchor.json", crash)
    ahead = Ahead(float(config["ahead"]), folder / "ahead") if "ahead" in config else None
    async with lossy_way(socket_of(config["database"]), crash.note) as (way, port):
        database = CrashingDatabase(by_way(config["database"], port), crash, way)
        executors = _executors(config, crash)
        try:
            async with running_workers(client, database, given, clock=ahead, executors=executors, anchor=anchor):
                await asyncio.Event().wait()
        finally:
            await database.close()


def _trails(config: dict[str, str], folder: Path) -> dict[str, TrailSource]:
    """The audit log of a cluster, where there is one."""
    return {"k8s/shop": TrailSource(kind="kubernetes", path=str(folder / config["trail"]))} if "trail" in config else {}


def _executors(config: dict[str, str], crash: Crash) -> dict[str, Executor]:
    """One that counts, and what the operator's entries say, disturbed."""
    pause = float(config.get("pause", "0"))
    twice = config.get("twice", "")
    counting: dict[str, Executor] = {"counting": CountingExecutor(config["target"], crash, twice=twice, pause=pause)}
    urls, readers = json.loads(config.get("urls", "{}")), json.loads(config.get("readers", "{}"))
    made = make_executors(json.loads(config.get("executors", "{}")), TargetCredentials(urls, readers))
    return counting | {name: Disturbed(each, crash) for name, each in made.items()}
