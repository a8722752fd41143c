"""What it costs to act through an executor, and through everything that stands before one.

- Each adapter against its client called directly, on the same target, one after the other in turns: an HTTP request, a
  program, a parameter of PostgreSQL, an activity of a platform, a deployment of Kubernetes where `make kubernetes` has
  built an API server. The adapter's part is what it checks, marks and reads
  besides. The ratio is computed within each round and its quartiles are quoted.
- A step of an action with and without what it can do without: a reservation (an operation that is registered as one
  that only reads has none), and more criteria than the one that every action needs. The permit cannot be left out: it
  is timed against the bare workflow, which has neither permit nor record.
- From the reading of a criterion that fails to the first moment of the undo at the target, by one clock.
"""

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial

from bench.contestants import Contestants
from bench.executor_targets import targets
from bench.figures import Quartiles, table
from bench.kubernetes_target import is_built
from bench.stack import Bench
from bench.target import FREE, UNDOABLE

ROUNDS, STEPS = 9, 12
SAMPLES = 25
UNDONE = 30
MORE = 5
_PAIR = 2


async def measure_executors(bench: Bench, rounds: int = ROUNDS, steps: int = STEPS) -> str:
    """Measure all of it; three tables."""
    async with AsyncExitStack() as cleanup:
        pairs = await targets(cleanup, bench)
        adapters = [await _adapter(name, pair, rounds, steps) for name, pair in pairs.items()]
    header = ["executor", "through it, steps/s", "directly, steps/s", "ratio: median (quartiles)"]
    said = f"{rounds} rounds of {steps} steps each, one after the other; median (quartiles)"
    if not is_built():
        said += "; kubernetes is not measured: `make kubernetes` builds its API server"
    return "\n\n".join([said, table(header, adapters), await _per_step(bench), await _until_undone(bench)])


async def _adapter(name: str, pair: Contestants, rounds: int, steps: int) -> list[str]:
    ours: list[float] = []
    direct: list[float] = []
    for call in pair:
        await call()
    for number in range(rounds):
        turn = ((pair[0], ours), (pair[1], direct))
        for call, rates in turn if number % _PAIR else reversed(turn):
            began = time.perf_counter()
            for _ in range(steps):
                await call()
            rates.append(steps / (time.perf_counter() - began))
    ratios = Quartiles.of([mine / theirs for mine, theirs in zip(ours, direct, strict=True)])
    return [name, Quartiles.of(ours).text(1), Quartiles.of(direct).text(1), ratios.text()]


async def _per_step(bench: Bench, samples: int = SAMPLES) -> str:
    """A table: one action of one step at a time, with and without."""
    contestants: Mapping[str, Callable[[], Awaitable[object]]] = {
        "bare: one activity": bench.act_bare,
        "permit, one criterion": partial(bench.act, operation=FREE),
        "permit, one criterion, reservation": bench.act,
        f"permit, {MORE + 1} criteria, reservation": partial(bench.act, measured=MORE + 1),
    }
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(samples + 1):
        for name, call in contestants.items():
            began = time.perf_counter()
            await call()
            if number:
                found[name].append(1000 * (time.perf_counter() - began))
    rows, before = [], next(iter(found.values()))
    for name, times in found.items():
        pairs = list(zip(times, before, strict=True))
        more = Quartiles.of([mine - theirs for mine, theirs in pairs]).text(1)
        ratio = Quartiles.of([mine / theirs for mine, theirs in pairs]).text()
        rows.append([name, Quartiles.of(times).text(1), more, ratio])
        before = times
    header = [f"one step ({samples} samples each)", "from start to result, ms", "more than the row above, ms", "ratio"]
    return table(header, rows)


async def _until_undone(bench: Bench, samples: int = UNDONE) -> str:
    """A table: how long an effect that failed its criterion stands before it begins to be undone."""
    for _ in range(samples):
        await bench.act(operation=UNDOABLE, fails=True)
    effects = bench.effects
    times = [1000 * (began - effects.read_at[name]) for name, began in effects.undo_began.items()]
    last = statistics.quantiles(times, n=100, method="inclusive")[-1]
    rows = [[f"{statistics.median(times):.0f}", f"{last:.0f}", len(times)]]
    return table(["from a failing criterion to the start of the undo, ms: median", "p99", "samples"], rows)
