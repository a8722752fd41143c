"""`demo`: five proposals from start to outcome on a stack of its own, explained as they go.

Nothing is staged: a real Temporal, a real PostgreSQL, and the same worker as everywhere. The stack is in a temporary
folder, so that neither data nor ports of a running `countersign dev` are touched. Its exit code is zero only if every
scene ended as it promised and the audit of all five found nothing.
"""

import argparse
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.client import Client

from activities.connection import connect
from activities.database import Database
from cli import demo_scenes, exits
from cli.arguments import Commands
from cli.demo_audit import audit_all
from cli.demo_screen import Screen, row
from cli.demo_world import SCENE_SECONDS, DemoError, Ended, World
from cli.dev import stop_on_signal
from cli.place import place_of
from cli.policy import publish_one, read_file
from cli.ready import EXAMPLES, SetupError, prepare_local
from deploy.dev import DATA_DIR, ServerError, Stack, ephemeral_stack
from policy.search_attributes import TYPES
from worker import running_workers

EXPORTS = DATA_DIR / "demo"
# The policy of the examples with seconds for hours.
POLICY = EXAMPLES / "demo" / "policy.yaml"


def register(commands: Commands) -> None:
    parser = commands.add_parser("demo", help="five proposals from start to outcome, explained, in under two minutes")
    parser.set_defaults(run=_demo)
    parser.add_argument(
        "--into", metavar="DIR", type=Path, default=EXPORTS, help=f"folder for the audit files (default: {EXPORTS})"
    )
    parser.add_argument("--keep", action="store_true", help="leave the stack running at the end, until Ctrl-C")


async def _demo(args: argparse.Namespace) -> int:
    screen = Screen()
    screen.heading("Countersign: five proposals of an automation, from start to outcome")
    screen.say("Starting a Temporal server and a PostgreSQL server of their own …")
    try:
        with stop_on_signal() as stop, ephemeral_stack(search_attributes=TYPES, ui=True, usual_ports=True) as stack:
            async with _world(stack, screen) as world:
                kept = await _unless(stop, _tell(world, args.into, keep=args.keep))
                if kept is None:
                    screen.say("stopping …")
                    return exits.INTERRUPTED
                if args.keep:
                    _say_how_to_look(world)
                    await stop.wait()
        screen.say("Everything was stopped again." if args.keep else "All was stopped again; --keep leaves it running.")
    except ServerError as error:
        raise SetupError(str(error)) from error
    return exits.OK if kept else exits.FAILED


async def _unless(stop: asyncio.Event, telling: Coroutine[Any, Any, bool]) -> bool | None:
    """What the telling comes to, or None where somebody stopped it."""
    told, stopped = asyncio.create_task(telling), asyncio.create_task(stop.wait())
    await asyncio.wait([told, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if told.done():
        return told.result()
    told.cancel()
    await asyncio.wait([told])
    return None


async def _tell(world: World, into: Path, *, keep: bool) -> bool:
    """The scenes and their audit; whether every promise was kept and nothing was found."""
    began = time.monotonic()
    ends = await _play(world)
    _table(world, ends, linked=keep)
    consistent = await audit_all(world, ends, into)
    kept = [end for end in ends if not end.problems]
    audited = "consistent" if consistent else "INCONSISTENT"
    seconds = time.monotonic() - began
    world.screen.heading(
        f"{len(kept)} of {len(ends)} ended as promised, the audit found them {audited}; {seconds:.0f} s"
    )
    return consistent and len(kept) == len(ends)


@contextlib.asynccontextmanager
async def _world(stack: Stack, screen: Screen) -> AsyncIterator[World]:
    """The stack made ready, a worker on it, and what the scenes need."""
    settings = await prepare_local(stack, datetime.now(UTC))
    place = place_of(stack)
    await publish_one(place.admin_url(), "policy", read_file(POLICY), by="demo", at=datetime.now(UTC))
    worker_client = await connect(address=stack.temporal_address, namespace=stack.namespace)
    platform = await Client.connect(stack.temporal_address, namespace=stack.namespace, identity="platform")
    database = Database(settings.check_worker(), application="countersign-worker")
    try:
        async with running_workers(worker_client, database, settings), place.record() as record:
            assert record is not None
            screen.say(f"temporal {stack.temporal_address}, its ui {stack.ui_url}, and a worker run.")
            yield World(stack=stack, place=place, client=platform, record=record, screen=screen)
    finally:
        await database.close()


async def _play(world: World) -> Sequence[Ended]:
    """All scenes; the one that waits longest is proposed first and told last."""
    world.screen.say("Proposal 5 is sent now, because its point is that nobody answers; the others follow in order.")
    waiting = await world.propose(demo_scenes.proposal("5-expired"))
    ends = [await _bounded(scene.__name__, scene(world)) for scene in demo_scenes.IN_ORDER]
    return [*ends, await _bounded("expired", demo_scenes.expired(world, waiting))]


async def _bounded(name: str, scene: Awaitable[Ended]) -> Ended:
    try:
        async with asyncio.timeout(SCENE_SECONDS):
            return await scene
    except TimeoutError:
        raise DemoError(f"scene {name} did not come to its end within {SCENE_SECONDS:g} s") from None


def _table(world: World, ends: Sequence[Ended], *, linked: bool) -> None:
    world.screen.heading("The five")
    world.screen.table(row(end.number, end.result, end.seconds) for end in ends)
    for end in ends if linked else ():
        world.screen.plain(f"{end.number}  {world.place.link(end.proposal_id, world.stack.namespace)}")


def _say_how_to_look(world: World) -> None:
    world.screen.heading(f"The stack stays until Ctrl-C. In another terminal: {world.stack.ui_url}, or")
    world.screen.plain(f"export TEMPORAL_ADDRESS={world.stack.temporal_address}")
    world.screen.plain(f"export COUNTERSIGN_DATABASE_URL='{world.stack.database_url('countersign_reader')}'")
