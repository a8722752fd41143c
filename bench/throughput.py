"""Allowed actions against the bare workflow: so many at a time, on the same server, in alternating rounds.

- A round of each contestant follows a round of the others, and the order turns, so that a slow minute of the machine
  hits all of them.
- The ratio is computed within each round and its quartiles are quoted: rates of different minutes are not compared.
- On a machine at its limit an action can end without its effect, because its executor never got to run. Such a one
  counts with the time it took, and the table says how many there were.
- The third contestant is the bare workflow that commits as often as an action does. How often that is, is counted by
  PostgreSQL over a round of its own, the effect's commit included.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bench.figures import Quartiles, table
from bench.stack import Bench, UnsuccessfulError

AT_A_TIME = 50
ROUNDS = 8
ACTIONS = 100
AIM, LEAST = 0.67, 0.55
_ROUND_SECONDS = 120.0
_OURS, _BARE, _BARE_COMMITS = "allowed action", "bare", "bare, as many commits"


@dataclass(frozen=True)
class Round:
    """One contestant's part of a round: workflows a second, seconds from start to result of each, and failed ones."""

    rate: float
    latencies: tuple[float, ...]
    failed: int


async def measure_throughput(bench: Bench, rounds: int = ROUNDS, actions: int = ACTIONS) -> str:
    """Measure all rounds; two tables."""
    commits = await _count_commits(bench)
    contestants: Mapping[str, Callable[[], Awaitable[object]]] = {
        _BARE: bench.act_bare,
        _OURS: bench.act,
        _BARE_COMMITS: lambda: bench.act_bare(commits),
    }
    order = deque(contestants)
    found: dict[str, list[Round]] = {name: [] for name in contestants}
    for name in contestants:
        await _round(contestants[name], AT_A_TIME)
    for _ in range(rounds):
        for name in order:
            found[name].append(await _round(contestants[name], actions))
        order.rotate(1)
    return _report(found, commits, rounds, actions)


async def _count_commits(bench: Bench) -> int:
    await bench.act()
    before = await bench.commits()
    for _ in range(AT_A_TIME):
        await bench.act()
    return round((await bench.commits() - before) / AT_A_TIME) + 1


async def _round(contestant: Callable[[], Awaitable[object]], actions: int) -> Round:
    """Run so many, `AT_A_TIME` of them at any moment.

    Raises:
        TimeoutError: it took longer than any machine should need.
    """
    latencies: list[float] = []
    failures: list[UnsuccessfulError] = []
    left = iter(range(actions))

    async def run() -> None:
        for _ in left:
            began = time.perf_counter()
            try:
                await contestant()
            except UnsuccessfulError as error:
                failures.append(error)
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    async with asyncio.timeout(_ROUND_SECONDS), asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(run())
    return Round(actions / (time.perf_counter() - began), tuple(latencies), len(failures))


def _report(found: Mapping[str, list[Round]], commits: int, rounds: int, actions: int) -> str:
    rows = []
    for name, results in found.items():
        latencies = Quartiles.of([1000 * seconds for result in results for seconds in result.latencies])
        failed = sum(result.failed for result in results)
        rows.append([name, Quartiles.of([result.rate for result in results]).text(1), latencies.text(0), failed])
    ours, bare, same = found[_OURS], found[_BARE], found[_BARE_COMMITS]
    against = [[f"against {_BARE}", _ratio(ours, bare), f"{AIM}, at least {LEAST}"]]
    against += [[f"against {_BARE_COMMITS} ({commits})", _ratio(ours, same), ""]]
    return "\n\n".join(
        [
            f"{rounds} rounds of {actions} each, {AT_A_TIME} at a time; median (quartiles)",
            table(["contestant", "workflows/s", "latency, ms", "without effect"], rows),
            table([f"{_OURS}: ratio of throughput", "median (quartiles)", "aim"], against),
        ]
    )


def _ratio(ours: list[Round], other: list[Round]) -> str:
    return Quartiles.of([mine.rate / theirs.rate for mine, theirs in zip(ours, other, strict=True)]).text()
