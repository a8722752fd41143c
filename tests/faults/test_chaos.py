"""A hundred actions of every kind while everything is killed at random: the books balance at the end."""

import asyncio
import contextlib
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from activities.connection import connect
from activities.database import Database
from deploy.dev import Stack
from tests.anchors import MemoryAnchor
from tests.faults.books import Books
from tests.faults.chaos import ENDS, SHARED, Action, actions, documents, halts, play, workers, wreak
from tests.faults.crashing import CountingExecutor, Crash
from tests.faults.outage import fragile_stack, fresh_record
from tests.faults.place import Place
from tests.faults.places import placed
from tests.permit_keys import settings
from worker import running_workers

ACTIONS = int(os.environ.get("CHAOS_ACTIONS", "120"))
AT_ONCE = 15
FAULTS_SECONDS = float(os.environ.get("CHAOS_SECONDS", "240"))
BOUND = 560.0


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


@pytest.mark.chaos
@pytest.mark.timeout(BOUND + 60)
async def test_the_books_balance_after_random_faults(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every action ends as it may, and what the target counted is what the record says, whatever was killed when."""
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    with capsys.disabled():
        sys.stdout.write(f"\nCHAOS_SEED={seed} CHAOS_ACTIONS={ACTIONS}\n")
    source = random.Random(seed)
    async with contextlib.AsyncExitStack() as targets:
        places = {name: await targets.enter_async_context(placed(name, stack)) for name in SHARED}
        problems = await _played(stack, tmp_path, capsys, source, places)
    assert problems == [], f"CHAOS_SEED={seed}"


async def _played(
    stack: Stack,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    source: random.Random,
    places: Mapping[str, Place],
) -> list[str]:
    """Play all of it; what does not add up at the end."""
    several = actions(ACTIONS, source, places)
    with fragile_stack() as fragile:
        name = await fresh_record(fragile, documents(several))
        client = await connect(address=fragile.temporal_address, identity="chaos")
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(action: Action) -> None:
            async with gate:
                await play(client, action)

        async with (
            _target(stack) as target,
            workers(fragile, name, target, tmp_path, places=places.values()) as keepers,
        ):
            calm = asyncio.Event()
            asyncio.get_running_loop().call_later(FAULTS_SECONDS, calm.set)
            async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
                group.create_task(wreak(fragile, keepers, source, calm))
                halted = group.create_task(halts(client, random.Random(source.random()), calm))
                await asyncio.gather(*(one(action) for action in several))
                calm.set()
            books = Books(
                record=fragile.database_url("postgres", name),
                target=target,
                client=client,
                folder=tmp_path,
                others=lambda: sum((place.log() for place in places.values()), Counter()),
            )
            problems = await books.problems({action.proposal_id: ENDS[action.kind] for action in several})
            with capsys.disabled():
                sys.stdout.write(f"{dict(await books.outcomes())}, {halted.result()} halts\n")
            return problems


async def test_the_check_sees_an_effect_that_happened_twice(fragile: Stack, stack: Stack, tmp_path: Path) -> None:
    """An executor that writes twice is found out, and an honest one is not."""
    honest, double = Action("allowed", 1), Action("allowed", 2)
    name = await fresh_record(fragile, documents([honest, double]))
    client = await connect(address=fragile.temporal_address, identity="chaos")
    database = Database(fragile.database_url("countersign_app", name))
    ends = {action.proposal_id: ENDS[action.kind] for action in (honest, double)}
    async with _target(stack) as target:
        books = Books(record=fragile.database_url("postgres", name), target=target, client=client, folder=tmp_path)
        anchor = MemoryAnchor()
        for action, times in ((honest, 1), (double, 2)):
            executors = {"counting": CountingExecutor(target, Crash("", tmp_path / "mark"), times=times)}
            given = settings()
            async with running_workers(client, database, given, executors=executors, anchor=anchor):
                await play(client, action)
        await database.close()
        problems = await books.problems(ends)
    assert len(problems) == 1
    assert problems[0].startswith("allowed-2: permit ")
    assert problems[0].endswith(": 2 effects")
