"""A worker of the benchmarks in a process of its own, so that its memory is its own: `python -m bench.worker`."""

import argparse
import asyncio
import os
from dataclasses import replace
from pathlib import Path

import asyncpg

from activities.connection import connect
from activities.database import Database
from bench.stack import claimed_settings
from bench.target import NAME, InsertExecutor
from worker import running_workers


async def main() -> None:
    """Run until it is ended; says `ready` when it takes work."""
    parser = argparse.ArgumentParser(prog="python -m bench.worker", description=__doc__)
    for name in ("temporal", "namespace", "record", "target"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--anchor", type=Path, required=True, help="file of the copy outside the record")
    parser.add_argument("--cached", type=int, required=True, help="how many runs are kept in memory")
    args = parser.parse_args()
    database = Database(args.record, application="countersign-bench")
    client = await connect(address=args.temporal, namespace=args.namespace, identity="bench-worker")
    async with asyncpg.create_pool(args.target, min_size=1, max_size=5) as pool:
        settings = replace(claimed_settings(), anchor_file=args.anchor)
        executors = {NAME: InsertExecutor(pool)}
        async with running_workers(client, database, settings, executors=executors, max_cached_workflows=args.cached):
            print("ready", flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    finally:
        os._exit(0)
