"""Measuring success criteria: after the last step, or between the targets of a step that takes them one by one.

- What the values say is judged by `policy/measuring.py` alone, after each look; here is only the looking.
- A criterion is measured by the executor that its permit names. One that is not here, a probe that fails or takes
  longer than it may, and a value that JSON cannot say, are looks without a value.
- All criteria are measured at once, on every resource; the first that is over and not met ends the measuring. What is
  not over then is not met.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from activities.executors.base import Executor, ProbeError, ProbeOrder
from policy.baselines import kept_before, needed_before, not_to_begin, place_of
from policy.canonical import canonical
from policy.errors import CanonicalError
from policy.measuring import Judgement, baseline_of, judge, says, seen, shown
from policy.outcome import Baseline, Looks, Measurement
from policy.permit import Permit, PermitCriterion

_PROBE_SECONDS = 10.0
_BASELINE_SECONDS = 5.0
_KEPT_SECONDS = 2.0
_MESSAGE_LIMIT = 500

Pairs = Sequence[tuple[PermitCriterion, str]]


@dataclass
class _Series:
    """What was read of one criterion on one resource so far."""

    criterion: PermitCriterion
    resource: str
    baseline: Any = None
    kept: tuple[Looks, ...] = ()
    value: Any = None
    error: str = ""

    def measurement(self, why: str = "") -> Measurement:
        """What is reported of it; `why` it was ended, where it was."""
        judged = judge(self.criterion, self.kept, self.baseline)
        said = f"could not be measured: {self.error}" if self.error else self._read(judged)
        return _measurement(
            self.criterion,
            self.resource,
            judged.met,
            said if judged.over or not why else f"{why}; {said}" if self.kept else why,
            value=self.value,
            looks=self.kept,
        )

    def _read(self, judged: Judgement) -> str:
        said = f"reads {shown(self.value)} on {self.resource}"
        if judged.met:
            return said
        why = f": {judged.why}" if judged.over and self.criterion.is_judged else ""
        return f"{said}, expected {self.criterion.wanted}{why}"


@dataclass
class _Reader:
    """Who measures a criterion; the name of who would, where it is not here."""

    executor: Executor | None
    name: str
    order: ProbeOrder = field(repr=False)

    @classmethod
    def of(cls, executors: Mapping[str, Executor], permit: Permit, criterion: PermitCriterion, resource: str) -> Any:
        name = criterion.executor or permit.executor
        order = ProbeOrder(
            criterion.probe, criterion.parameters, resource, criterion.query, criterion.types, criterion.reads
        )
        return cls(executors.get(name), name, order)

    async def read(self) -> tuple[Any, str]:
        """A value that JSON can say, or why there is none."""
        if self.executor is None:
            return None, f"executor {self.name} is not here"
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                value = await self.executor.measure(self.order)
            canonical(value)
        except ProbeError as error:
            return None, str(error)[:_MESSAGE_LIMIT] or type(error).__name__
        except (TimeoutError, CanonicalError) as error:
            return None, str(error)[:_MESSAGE_LIMIT] or f"no answer within {_PROBE_SECONDS:g} s"
        except Exception as error:  # noqa: BLE001 - a fault in an adapter says nothing about the target: no value
            return None, f"executor {self.name} broke: {error}"[:_MESSAGE_LIMIT]
        return value, ""


async def measure(
    executors: Mapping[str, Executor],
    permit: Permit,
    ends_at: float,
    *,
    baselines: tuple[Baseline, ...] = (),
    pairs: Pairs | None = None,
) -> tuple[tuple[Measurement, ...], bool]:
    """Measure the criteria of a permit; the measurements, and whether a cancellation ended it.

    Args:
        executors: those of this process by name; a criterion that none of them has is not measured.
        permit: criteria and resolved ids.
        ends_at: the event loop's time, seconds, at which it ends whatever is left to observe.
        baselines: what was read before the first step.
        pairs: which criteria on which resources; all of the permit's where it is not said.
    """
    loop = asyncio.get_running_loop()
    wanted = permit.measurable if pairs is None else pairs
    series = [
        _Series(criterion, resource, baseline_of(criterion, resource, baselines)) for criterion, resource in wanted
    ]
    tasks = [
        asyncio.create_task(_follow(each, _Reader.of(executors, permit, each.criterion, each.resource)))
        for each in series
    ]
    waiting, why, cancelled = set(tasks), "stopped", False
    try:
        while waiting:
            left = max(0.0, ends_at - loop.time())
            done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done or any(task.result() is not True for task in done):
                why = "not measured to its end: another criterion was not met" if done else "no time was left for it"
                break
    except asyncio.CancelledError:
        cancelled = True
    for task in waiting:
        task.cancel()
    if waiting:
        await asyncio.wait(waiting)
    return tuple(each.measurement(why) for each in series), cancelled


async def read_baselines(executors: Mapping[str, Executor], permit: Permit) -> tuple[tuple[Baseline, ...], str]:
    """What a permit's criteria read before anything is done, and why the step must not begin; empty where it may.

    What the step needs has seconds to answer, and what is only kept has less: it must not hold the step up.
    """
    needed = needed_before(permit)
    within = {place_of(*pair): (pair, _KEPT_SECONDS) for pair in kept_before(permit)}
    within |= {place_of(*pair): (pair, _BASELINE_SECONDS) for pair in needed}
    read = await asyncio.gather(*(_before(executors, permit, *pair, seconds) for pair, seconds in within.values()))
    found = dict(zip(within, read, strict=True))
    wrong = (not_to_begin(criterion, found[place_of(criterion, where)]) for criterion, where in needed)
    return tuple(read), "; ".join(why for why in wrong if why)[:_MESSAGE_LIMIT]


async def _before(
    executors: Mapping[str, Executor], permit: Permit, criterion: PermitCriterion, resource: str, seconds: float
) -> Baseline:
    """What one criterion reads on one resource before anything is done."""
    try:
        async with asyncio.timeout(seconds):
            value, error = await _Reader.of(executors, permit, criterion, resource).read()
    except TimeoutError:
        value, error = None, f"no answer within {seconds:g} s"
    return Baseline(probe=criterion.probe, parameters=criterion.parameters, resource=resource, value=value, error=error)


def longest(permit: Permit) -> int:
    """How many seconds measuring the criteria of a permit may take."""
    return max((item.longest for item in permit.criteria), default=0)


def failing(measurements: Sequence[Measurement]) -> str:
    """What was not met, or else what could not be measured; empty where every criterion was met."""
    wrong = [item for item in measurements if item.met is False] or [item for item in measurements if not item.met]
    return "; ".join(f"{item.probe} {item.message}" for item in wrong)


def unmeasured(permit: Permit, why: str) -> tuple[Measurement, ...]:
    """A measurement of every criterion that says why there is none."""
    return tuple(_measurement(criterion, resource, None, why) for criterion, resource in permit.measurable)


async def _follow(series: _Series, reader: _Reader) -> bool | None:
    """Look until it is over; whether it is met."""
    loop, criterion = asyncio.get_running_loop(), series.criterion
    began = loop.time()
    await asyncio.sleep(criterion.initial_delay_seconds)
    while True:
        at = loop.time() - began
        value, error = await reader.read()
        if not error and says(criterion, value, series.baseline) == "none":
            error = f"it reads {shown(value)}, which its conditions say nothing of"
        series.value, series.error = (None if error else value), error
        look = Looks(first=round(at, 3), last=round(at, 3), low=None if error else value, error=error)
        series.kept = seen(criterion, series.kept, look, series.baseline)
        judged = judge(criterion, series.kept, series.baseline)
        if judged.over:
            return judged.met
        await asyncio.sleep(_pause(criterion, judged.settled_at, loop.time() - began))


def _pause(criterion: PermitCriterion, settled_at: float | None, now: float) -> float:
    """How many seconds until the next look: the last one is when the time is up."""
    if settled_at is None:
        return max(0.0, min(criterion.pause, criterion.settled_by - now))
    return max(0.0, min(criterion.observing_pause, settled_at + criterion.observe_seconds - now))


def _measurement(
    criterion: PermitCriterion,
    resource: str,
    met: bool | None,
    message: str,
    value: Any = None,
    looks: tuple[Looks, ...] = (),
) -> Measurement:
    where = "" if resource in message else f" ({resource})"
    return Measurement(
        probe=criterion.probe,
        expected=criterion.equals,
        value=value,
        met=met,
        message=message[:_MESSAGE_LIMIT] + where,
        resource=resource,
        looks=looks,
    )
