"""Several hundred actions of every kind while everything is killed at random: the books balance at the end."""

import asyncio
import contextlib
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from activities.connection import connect
from activities.database import Database
from deploy.dev import Stack
from tests.anchors import MemoryAnchor
from tests.faults.afterwards import AUDIENCE
from tests.faults.books import Books
from tests.faults.chaos import play, worker_config, workers, wreak
from tests.faults.chaos_actions import PLACED, Action, actions, documents
from tests.faults.chaos_people import halts, settle
from tests.faults.crashing import CountingExecutor, Crash
from tests.faults.outage import fragile_stack, fresh_record
from tests.faults.place import Place
from tests.faults.places import placed
from tests.faults.places_logged import logged_postgres
from tests.faults.places_servers import temporal_place
from tests.faults.resetting import reset_the_stuck
from tests.permit_keys import settings
from worker import running_workers

ACTIONS = int(os.environ.get("CHAOS_ACTIONS", "300"))
FAULTS_SECONDS = float(os.environ.get("CHAOS_SECONDS", "300"))
AT_ONCE = 20
BOUND = 1140.0
# Of the run that must fail.
FEW, FEW_SECONDS = 30, 20.0


@contextlib.asynccontextmanager
async def _target(stays: Stack) -> AsyncIterator[str]:
    """A table of effects in a database of its own, on a server that stays."""
    name = f"chaos_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(stays.database_url("postgres", "postgres"))
    await admin.execute(f"CREATE DATABASE {name}")
    url = stays.database_url("postgres", name)
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE public.effect (permit_id text, direction text, resource text)")
    await connection.close()
    yield url
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@contextlib.asynccontextmanager
async def _places(stays: Stack) -> AsyncIterator[dict[str, Place]]:
    """A place for each executor whose target counts by permit."""
    async with contextlib.AsyncExitStack() as targets:
        opened = {
            "http": placed("http", stays),
            "command": placed("command", stays),
            "postgres": logged_postgres(),
            "temporal": temporal_place(stays, AUDIENCE),
        }
        yield {name: await targets.enter_async_context(opened[name]) for name in PLACED}


@dataclass(frozen=True)
class Run:
    """A run under faults; `twice` is the resource to which the executor does everything twice."""

    stays: Stack
    folder: Path
    source: random.Random
    seconds: float
    twice: str = ""

    async def play(self, several: list[Action], places: Mapping[str, Place]) -> tuple[list[str], dict[str, Any]]:
        """Play all of it; what does not add up at the end, and what there was of everything."""
        with fragile_stack() as fragile:
            record = await fresh_record(fragile, documents(several))
            client = await connect(address=fragile.temporal_address, identity="chaos")
            async with _target(self.stays) as target:
                books = Books(
                    record=fragile.database_url("postgres", record),
                    target=target,
                    client=client,
                    folder=self.folder,
                    others=lambda: sum((place.log() for place in places.values()), Counter()),
                )
                config = worker_config(fragile, record, target=target, folder=self.folder, twice=self.twice)
                owned = [action.place for action in several if action.place is not None]
                async with workers(fragile, config, places=owned) as keepers:
                    done = await self._disturbed(fragile, keepers, several, books)
                problems = await books.problems({action.proposal_id: action.ends for action in several})
                return problems, done | await books.totals()

    async def _disturbed(
        self, fragile: Stack, keepers: list[Any], several: list[Action], books: Books
    ) -> dict[str, Any]:
        """Play every action while everything is killed, until all have ended and what is unresolved is settled."""
        gate, calm, over = asyncio.Semaphore(AT_ONCE), asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().call_later(self.seconds, calm.set)

        async def one(action: Action) -> None:
            async with gate:
                await play(books.client, action)

        async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
            killed = group.create_task(wreak(fragile, keepers, self.source, calm))
            halted = group.create_task(halts(books.client, random.Random(self.source.random()), calm))
            worker = books.record.replace("//postgres@", "//countersign_app@")
            settled = group.create_task(settle(books.client, worker, books.counted, over))
            mended = group.create_task(reset_the_stuck(books.client, over))
            await asyncio.gather(*(one(action) for action in several))
            calm.set()
            await asyncio.gather(killed, halted)
            over.set()
        return {
            "kills": dict(killed.result()),
            "halted": halted.result(),
            "settled": settled.result(),
            "reset": mended.result(),
        }


@pytest.mark.chaos
@pytest.mark.timeout(BOUND + 120)
async def test_the_books_balance_after_random_faults(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every action ends as it may, and what the targets counted is what the record says, whatever was killed when."""
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    with capsys.disabled():
        sys.stdout.write(f"\nCHAOS_SEED={seed} CHAOS_ACTIONS={ACTIONS} CHAOS_SECONDS={FAULTS_SECONDS:.0f}\n")
    source = random.Random(seed)
    async with _places(stack) as places:
        several = await actions(ACTIONS, source, places)
        problems, totals = await Run(stack, tmp_path, source, FAULTS_SECONDS).play(several, places)
    with capsys.disabled():
        sys.stdout.writelines(f"{name}: {value}\n" for name, value in totals.items())
    assert problems == [], f"CHAOS_SEED={seed}"
    assert totals["halted"] == totals["halts"]
    assert totals["reset"] == 0, "a run had to be reset: no worker could go on with it"


@pytest.mark.chaos
@pytest.mark.timeout(BOUND + 120)
async def test_a_run_in_which_something_happens_twice_fails(stack: Stack, tmp_path: Path) -> None:
    """One executor does one action twice, amid the same faults: the books say so, and say it of nothing else."""
    source = random.Random(1)
    several = [action for action in await actions(FEW, source, {}) if action.kind != "crowd"]
    double = Action("allowed", FEW)
    run = Run(stack, tmp_path, source, FEW_SECONDS, twice=double.resource)
    problems, _ = await run.play([*several, double], {})
    assert [problem.partition(": ")[0] for problem in problems] == [double.proposal_id]
    assert problems[0].endswith(": [2] effects")


async def test_the_check_sees_an_effect_that_happened_twice(fragile: Stack, stack: Stack, tmp_path: Path) -> None:
    """An executor that writes twice is found out, and an honest one is not."""
    honest, double = Action("allowed", 1), Action("allowed", 2)
    name = await fresh_record(fragile, documents([honest, double]))
    client = await connect(address=fragile.temporal_address, identity="chaos")
    database = Database(fragile.database_url("countersign_app", name))
    async with _target(stack) as target:
        books = Books(record=fragile.database_url("postgres", name), target=target, client=client, folder=tmp_path)
        crash = Crash("", tmp_path / "mark")
        executors = {"counting": CountingExecutor(target, crash, twice=double.resource)}
        async with running_workers(client, database, settings(), executors=executors, anchor=MemoryAnchor()):
            for action in (honest, double):
                await play(client, action)
        await database.close()
        problems = await books.problems({action.proposal_id: action.ends for action in (honest, double)})
    assert len(problems) == 1
    assert problems[0].startswith("allowed-2: permit ")
    assert problems[0].endswith(": [2] effects")
