"""The answer to a decision against the answer to a bare update: one after the other, in turns, on idle workflows.

What is timed is the update alone, from the client's call to its answer. Every sample has a workflow of its own that
waits already, and ours is a first approval of two: verified, stored, counted and in the ledger before it is answered.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from bench.bare import QUEUE, BareUpdated
from bench.documents import FIRST
from bench.figures import Quartiles, table
from bench.stack import Bench

SAMPLES = 60
Contestants = Mapping[str, Callable[[], Awaitable[float]]]
_OURS, _BARE, _BARE_KEPT = "decide, recorded", "bare update, keeps nothing", "bare update, commits one row"


async def measure_decide(bench: Bench, samples: int = SAMPLES) -> str:
    """Measure all samples; a table."""
    contestants: Contestants = {
        _BARE: lambda: bare(bench, "answer"),
        _OURS: lambda: ours(bench),
        _BARE_KEPT: lambda: bare(bench, "answer_kept"),
    }
    found = await in_turns(contestants, samples)
    return answers(found, _BARE)


async def in_turns(contestants: Contestants, samples: int) -> dict[str, list[float]]:
    """Milliseconds of each contestant, one after the other in turns; the first of each is not counted."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for contestant in contestants.values():
        await contestant()
    for _ in range(samples):
        for name, contestant in contestants.items():
            found[name].append(1000 * await contestant())
    return found


def answers(found: Mapping[str, Sequence[float]], *against: str) -> str:
    """A table: the answer to an update, and the ratio of its median to those of some contestants."""
    medians = {name: Quartiles.of(sample).median for name, sample in found.items()}
    rows = [
        [name, Quartiles.of(sample).text(1), *(f"{medians[name] / medians[other]:.2f}" for other in against)]
        for name, sample in found.items()
    ]
    samples = len(next(iter(found.values())))
    ratios = [f"ratio of medians to {other}" for other in against]
    return table([f"update ({samples} samples each)", "answer, ms: median (quartiles)", *ratios], rows)


async def ours(bench: Bench, signed: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> float:
    """The seconds that a first approval of two takes to be answered; `signed` puts another proof into it."""
    handle = await bench.propose("two-stages")
    submission = signed(await bench.submission(handle, FIRST))
    began = time.perf_counter()
    await bench.decide(handle, submission)
    return time.perf_counter() - began


async def bare(bench: Bench, update: str) -> float:
    """The seconds that an update of the bare workflow takes."""
    what = uuid4().hex
    handle = await bench.plain.start_workflow(BareUpdated.run, id=f"bare/{what}", task_queue=QUEUE)
    # The first one finds the workflow not begun; ours has answered a query by then.
    await handle.execute_update(BareUpdated.answer, what)
    began = time.perf_counter()
    await handle.execute_update(update, what)
    seconds = time.perf_counter() - began
    await handle.signal(BareUpdated.end)
    return seconds
