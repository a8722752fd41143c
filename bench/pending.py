"""Many actions that wait for people: what they cost a worker's memory, and how fast they are listed and decided.

- The worker is a process of its own. Its memory is what the kernel says that it holds alone (USS of `smaps_rollup`),
  before anything waits, while all of it waits, and after all of it was decided.
- Those that wait for me are listed as docs/spec/contract.md says: by a query on search attributes, to the last one.
- Each waiting action is decided once, by an update, so many at a time. The decisions are made before, from the record.
- Through one workflow and across many: as many votes on one action that needs all of them, by updates and by signals,
  and as many actions of one vote each, in alternating rounds.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.connection import connect
from bench.documents import CROWD, FIRST, proposal
from bench.figures import Quartiles, machine, table
from bench.stack import DECISION_VALID, RECORD, prepared, until
from bench.target import DATABASE
from deploy.dev import ANCHOR_NAME, Stack, ephemeral_stack
from policy.base import instant_text
from policy.search_attributes import TYPES
from workflows.interface import DECIDE, TASK_QUEUE, WORKFLOW_TYPE, workflow_id

ACTIONS, AT_A_TIME, CACHED, LISTINGS, ROUNDS = 10_000, 40, 1_000, 5, 5
_WAITING = (
    f"WorkflowType = '{WORKFLOW_TYPE}' AND ExecutionStatus = 'Running' AND CountersignState = 'pending'"
    " AND CountersignWaitingGroups = 'ops'"
)
_DIGESTS = """
SELECT p.proposal_id, p.action_digest, a.digest AS assessment_digest, a.policy_digest, a.presented_digest
FROM countersign.proposal AS p JOIN countersign.assessment AS a USING (proposal_id)
WHERE starts_with(p.proposal_id, $1)"""
_COUNTED = "SELECT count(*) FROM countersign.decision WHERE counted AND starts_with(proposal_id, $1)"
# As many updates as a server holds of one workflow.
_HELD = 10
_QUIET_SECONDS, _PATIENCE_SECONDS, _AGAIN_SECONDS = 3.0, 600.0, 0.1


@dataclass(frozen=True)
class Place:
    """The running servers and the worker's process."""

    client: Client
    record: "asyncpg.Connection[asyncpg.Record]"
    worker: int

    def memory(self) -> float:
        """What the worker holds alone, in MiB; 0 where the kernel does not say."""
        path = Path(f"/proc/{self.worker}/smaps_rollup")
        lines = path.read_text().splitlines() if path.exists() else []
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024

    async def propose(self, prefix: str, number: int, environment: str) -> None:
        """Start one action."""
        value = proposal(f"{prefix}-{number}", environment)
        await self.client.start_workflow(
            WORKFLOW_TYPE, value, id=workflow_id(value["proposal_id"]), task_queue=TASK_QUEUE
        )

    async def waiting(self) -> int:
        """How many wait for the group `ops`, listed one by one."""
        return len([found.id async for found in self.client.list_workflows(_WAITING)])

    async def counted_waiting(self, wanted: int) -> None:
        """Wait until the server lists so many."""

        async def listed() -> bool:
            return (await self.client.count_workflows(_WAITING)).count >= wanted

        await until(listed, _PATIENCE_SECONDS)

    async def assessed(self, prefix: str, wanted: int) -> list[dict[str, Any]]:
        """The digests of some actions, once so many are assessed."""
        rows: list[dict[str, Any]] = []

        async def there() -> bool:
            rows[:] = [dict(row) for row in await self.record.fetch(_DIGESTS, f"{prefix}-")]
            return len(rows) >= wanted

        await until(there, _PATIENCE_SECONDS)
        return rows

    async def submissions(self, prefix: str) -> list[dict[str, Any]]:
        """An approval of each action, by its first approver."""
        return [decision(dict(row), FIRST) for row in await self.record.fetch(_DIGESTS, f"{prefix}-")]

    async def update(self, submission: Mapping[str, Any]) -> None:
        """Decide by update, again where the server says to.

        Raises:
            RuntimeError: it was not counted, so its time says nothing.
        RPCError: the server did not take it for ten minutes.
        """
        handle = self.client.get_workflow_handle(workflow_id(submission["proposal_id"]))
        receipt, give_up_at = None, time.monotonic() + _PATIENCE_SECONDS
        while receipt is None or receipt["code"] == "busy":
            try:
                receipt = await handle.execute_update(DECIDE, submission, result_type=dict)
            except RPCError as error:
                passing = error.status in (RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.RESOURCE_EXHAUSTED)
                if not passing or time.monotonic() > give_up_at:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)
        if not receipt["counted"]:
            raise RuntimeError(f"decision on {handle.id} was refused: {receipt}")

    async def signal(self, submission: Mapping[str, Any]) -> None:
        """Decide by signal."""
        await self.client.get_workflow_handle(workflow_id(submission["proposal_id"])).signal(DECIDE, submission)

    async def counted(self, prefix: str, wanted: int) -> None:
        """Wait until so many decisions of some actions are on record."""

        async def there() -> bool:
            return bool(await self.record.fetchval(_COUNTED, f"{prefix}-") >= wanted)

        await until(there, _PATIENCE_SECONDS)


def decision(row: Mapping[str, Any], who: str) -> dict[str, Any]:
    """An approval of an action's first stage."""
    now = datetime.now(UTC).replace(microsecond=0)
    return {
        **dict(row),
        "decision_id": uuid4().hex,
        "revision": 1,
        "stage": 1,
        "vote": "approve",
        "justification": "",
        "issued_at": instant_text(now),
        "expires_at": instant_text(now + DECISION_VALID),
        "proof": {"kind": "claimed", "identity": who},
    }


async def measure_pending(actions: int = ACTIONS, cached: int = CACHED) -> str:
    """Let so many actions wait, list them, decide them all; two tables."""
    warm = min(AT_A_TIME, actions)
    async with running(cached) as place:
        await many(place.propose("warm", number, "calm") for number in range(warm))
        await place.counted_waiting(warm)
        await many(map(place.update, await place.submissions("warm")))
        before = await settled(place)
        proposing = await timed(many(place.propose("wait", number, "calm") for number in range(actions)))
        proposing += await timed(place.counted_waiting(actions))
        during = await settled(place)
        listing = [1000 * await timed(place.waiting()) for _ in range(LISTINGS)]
        submissions = await place.submissions("wait")
        deciding = await timed(many(map(place.update, submissions)))
        after = await settled(place)
    rows = [
        ["proposed and waiting, actions/s", f"{actions / proposing:.1f}"],
        ["worker's memory before, MiB", f"{before:.0f}"],
        ["while they wait, MiB", f"{during:.0f}"],
        ["after they were decided, MiB", f"{after:.0f}"],
        ["each that waits, KiB of the worker", f"{1024 * (during - before) / actions:.1f}"],
        ["list all that wait for me, ms: median (quartiles)", Quartiles.of(listing).text(0)],
        ["decide all, s", f"{deciding:.1f}"],
        ["decisions/s across all", f"{actions / deciding:.1f}"],
    ]
    return table([f"{actions} actions, {cached} runs cached, {AT_A_TIME} at a time", ""], rows)


async def measure_votes(rounds: int = ROUNDS, votes: int = len(CROWD)) -> str:
    """So many votes a round, through one workflow and across many; a table of rates."""
    found: dict[str, list[float]] = {"one workflow, updates": [], "one workflow, signals": [], "many workflows": []}
    async with running(CACHED) as place:
        for number in range(rounds):
            found["one workflow, updates"].append(await _through_one(place, f"u{number}", votes, place.update))
            found["one workflow, signals"].append(await _through_one(place, f"s{number}", votes, place.signal))
            found["many workflows"].append(await _across_many(place, f"m{number}", votes))
    rows = [[name, Quartiles.of(rates).text(0)] for name, rates in found.items()]
    return table([f"{votes} decisions a round, {rounds} rounds", "decisions/s: median (quartiles)"], rows)


async def _through_one(
    place: Place, prefix: str, votes: int, send: Callable[[Mapping[str, Any]], Awaitable[None]]
) -> float:
    await place.propose(prefix, 0, "crowd")
    row = await place.assessed(prefix, 1)
    decisions = [decision(row[0], person) for person in CROWD[:votes]]
    began = time.perf_counter()
    await many(map(send, decisions), _HELD)
    await place.counted(prefix, votes)
    return votes / (time.perf_counter() - began)


async def _across_many(place: Place, prefix: str, votes: int) -> float:
    await many(place.propose(prefix, number, "calm") for number in range(votes))
    decisions = [decision(row, FIRST) for row in await place.assessed(prefix, votes)]
    return votes / await timed(many(map(place.update, decisions)))


async def many(waiting: Iterable[Awaitable[None]], at_a_time: int = AT_A_TIME) -> None:
    """Await all, so many of them at any moment."""
    left = iter(waiting)

    async def run() -> None:
        for one in left:
            await one

    async with asyncio.TaskGroup() as group:
        for _ in range(at_a_time):
            group.create_task(run())


async def timed(work: Awaitable[object]) -> float:
    """How many seconds it took."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def settled(place: Place) -> float:
    """The worker's memory after it had nothing to do for a while."""
    await asyncio.sleep(_QUIET_SECONDS)
    return place.memory()


@contextlib.asynccontextmanager
async def running(cached: int) -> AsyncIterator[Place]:
    """Servers, and a worker in a process of its own, inside the block."""
    with ephemeral_stack(search_attributes=TYPES, durable=True) as stack:
        await (await prepared(stack)).close()
        client = await connect(address=stack.temporal_address, namespace=stack.namespace, identity="bench")
        record = await asyncpg.connect(stack.database_url("postgres", RECORD))
        async with _worker(stack, cached) as pid:
            yield Place(client, record, pid)
        await record.close()


@contextlib.asynccontextmanager
async def _worker(stack: Stack, cached: int) -> AsyncIterator[int]:
    where = {
        "temporal": stack.temporal_address,
        "namespace": stack.namespace,
        "record": stack.database_url("countersign_app", RECORD),
        "target": stack.database_url("postgres", DATABASE),
        "anchor": str(Path(stack.data_dir) / ANCHOR_NAME),
        "cached": str(cached),
    }
    words = [word for name, value in where.items() for word in (f"--{name}", value)]
    command = (sys.executable, "-m", "bench.worker", *words)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            await process.stdout.readline()
        # What the worker's core logs goes there, too: a pipe that nobody empties would stop the worker once it is full.
        drained = asyncio.create_task(_drain(process.stdout))
        yield process.pid
        drained.cancel()
    finally:
        process.kill()
        await process.wait()


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass


async def main() -> None:
    """Measure with the numbers that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.pending", description=__doc__)
    parser.add_argument("--actions", type=int, default=ACTIONS, help=f"how many wait (default: {ACTIONS})")
    parser.add_argument("--cached", type=int, default=CACHED, help=f"runs in the worker's memory (default: {CACHED})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of votes (default: {ROUNDS})")
    parser.add_argument("--votes", type=int, default=len(CROWD), help=f"votes a round (default: {len(CROWD)}, no more)")
    args = parser.parse_args()
    print(f"{machine()}\n\n{await measure_votes(args.rounds, args.votes)}\n", flush=True)
    print(await measure_pending(args.actions, args.cached), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
    os._exit(0)
