"""`dev`: the whole thing on this machine, until Ctrl-C: Temporal with its UI, PostgreSQL, and a worker.

Its data stay in `.dev`, and every other command finds it from another terminal without any variable.
"""

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from activities.connection import connect
from activities.database import Database
from activities.settings import CHANNELS_FILE, read_settings
from activities.telemetry_export import start_telemetry
from cli import exits
from cli.arguments import Commands
from cli.ready import EXAMPLES, SetupError, prepare_local, prepare_schedules
from deploy.dev import DATA_DIR, ServerError, Stack, StackRunningError, persistent_stack
from policy.search_attributes import TYPES
from worker import running_workers


def register(commands: Commands) -> None:
    parser = commands.add_parser("dev", help="run Temporal, PostgreSQL and a worker on this machine until Ctrl-C")
    parser.set_defaults(run=_dev)
    parser.add_argument(
        "--documents", metavar="DIR", type=Path, default=EXAMPLES, help="root policy (default: examples)"
    )


async def _dev(args: argparse.Namespace) -> int:
    print("starting Temporal and PostgreSQL …", flush=True)
    try:
        return await _run(args.documents)
    except (ServerError, StackRunningError) as error:
        raise SetupError(str(error)) from error


async def _run(documents: Path) -> int:
    with persistent_stack(DATA_DIR, search_attributes=TYPES) as stack, stop_on_signal() as stop:
        given = read_settings()
        settings = replace(await prepare_local(stack, datetime.now(UTC), documents), channels=given.channels)
        telemetry = start_telemetry(given, service="countersign-dev")
        client = await connect(
            address=stack.temporal_address, namespace=stack.namespace, keys=given.codec_keys, **telemetry.connection
        )
        database = Database(settings.check_worker(), application="countersign-worker")
        async with running_workers(client, database, settings, meter=telemetry.meter):
            await prepare_schedules(client, notices=given.channels is not None)
            print(_welcome(stack, told=given.channels is not None), flush=True)
            await stop.wait()
            print("stopping …", flush=True)
        await database.close()
    return exits.OK


def _welcome(stack: Stack, *, told: bool) -> str:
    return "\n".join(
        [
            f"temporal     {stack.temporal_address}, namespace {stack.namespace}",
            f"temporal ui  {stack.ui_url}",
            f"database     {stack.database_url('countersign_reader')}",
            f"elsewhere    export TEMPORAL_ADDRESS={stack.temporal_address} TEMPORAL_NAMESPACE={stack.namespace}",
            *(() if told else (f"notices      none is sent: {CHANNELS_FILE} names no channels",)),
            "identities are only claimed here: anybody on this machine can answer as anybody",
            "ready: use every command of countersign in another terminal; Ctrl-C stops",
        ]
    )


@contextlib.contextmanager
def stop_on_signal() -> Iterator[asyncio.Event]:
    """An event that Ctrl-C or SIGTERM sets inside the block, instead of what they do otherwise."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
