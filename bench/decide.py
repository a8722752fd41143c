"""The answer to a decision against the answer to a bare update: one after the other, in turns, on idle workflows.

What is timed is the update alone, from the client's call to its answer. Every sample has a workflow of its own that
waits already, and ours is a first approval of two: verified, stored, counted and in the ledger before it is answered.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from uuid import uuid4

from bench.bare import QUEUE, BareUpdated
from bench.documents import FIRST
from bench.figures import Quartiles, table
from bench.stack import Bench

SAMPLES = 60
_OURS, _BARE, _BARE_KEPT = "decide, recorded", "bare update, keeps nothing", "bare update, commits one row"


async def measure_decide(bench: Bench, samples: int = SAMPLES) -> str:
    """Measure all samples; a table."""
    contestants: Mapping[str, Callable[[], Awaitable[float]]] = {
        _BARE: lambda: _bare(bench, "answer"),
        _OURS: lambda: _ours(bench),
        _BARE_KEPT: lambda: _bare(bench, "answer_kept"),
    }
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for contestant in contestants.values():
        await contestant()
    for _ in range(samples):
        for name, contestant in contestants.items():
            found[name].append(1000 * await contestant())
    bare = Quartiles.of(found[_BARE]).median
    rows = [
        [name, quartiles.text(1), f"{quartiles.median / bare:.2f}"]
        for name, quartiles in ((name, Quartiles.of(sample)) for name, sample in found.items())
    ]
    header = [f"update ({samples} samples each)", "answer, ms: median (quartiles)", "ratio of medians"]
    return table(header, rows)


async def _ours(bench: Bench) -> float:
    handle = await bench.propose("two-stages")
    submission = await bench.submission(handle, FIRST)
    began = time.perf_counter()
    await bench.decide(handle, submission)
    return time.perf_counter() - began


async def _bare(bench: Bench, update: str) -> float:
    what = uuid4().hex
    handle = await bench.plain.start_workflow(BareUpdated.run, id=f"bare/{what}", task_queue=QUEUE)
    # The first one finds the workflow not begun; ours has answered a query by then.
    await handle.execute_update(BareUpdated.answer, what)
    began = time.perf_counter()
    await handle.execute_update(update, what)
    seconds = time.perf_counter() - began
    await handle.signal(BareUpdated.end)
    return seconds
