"""Measuring success criteria, after the last step.

- A criterion is met when its probe reads the value, exactly (the same canonical JSON: true is not 1), within its
  seconds, and goes on reading it for as long as it is to be observed.
- A value that cannot be read is not a value: `met` stays None, and that is no success.
- All criteria are measured at once, on every resolved id; the first that is not met ends the measuring.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from activities.executors.base import Executor, ProbeError, ProbeOrder
from policy.canonical import canonical
from policy.errors import CanonicalError
from policy.outcome import Measurement
from policy.permit import Permit, PermitCriterion
from policy.proposal import Criterion

_PROBE_SECONDS = 10.0
_POLL_SECONDS = 0.1
# A hundred looks at an observation, but not more than ten a second nor fewer than two a minute.
_LOOKS = 100
_SLOWEST_SECONDS = 30.0


async def measure(
    executors: Mapping[str, Executor], permit: Permit, ends_at: float
) -> tuple[tuple[Measurement, ...], bool]:
    """Measure every criterion of a permit; the measurements, and whether a cancellation ended it.

    Args:
        executors: those of this process by name; a criterion that none of them has is not measured.
        permit: criteria and resolved ids.
        ends_at: the event loop's time, seconds, at which it ends whatever is left to observe.
    """
    loop = asyncio.get_running_loop()
    wanted = [(criterion, resource) for criterion in permit.criteria for resource in permit.resolved]
    tasks = [asyncio.create_task(_criterion(_reader(executors, permit, pair[0]), *pair)) for pair in wanted]
    waiting, why, cancelled = set(tasks), "stopped", False
    try:
        while waiting:
            left = max(0.0, ends_at - loop.time())
            done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done or any(task.result().met is not True for task in done):
                why = "not measured to its end: another criterion was not met" if done else "no time was left for it"
                break
    except asyncio.CancelledError:
        cancelled = True
    for task in waiting:
        task.cancel()
    if waiting:
        await asyncio.wait(waiting)
    return tuple(_outcome(task, *pair, why) for task, pair in zip(tasks, wanted, strict=True)), cancelled


def longest(permit: Permit) -> int:
    """How many seconds measuring the criteria of a permit may take."""
    return max((item.within_seconds + item.observe_seconds for item in permit.criteria), default=0)


def failing(measurements: Sequence[Measurement]) -> str:
    """What was not met, or else what could not be measured; empty where every criterion was met."""
    wrong = [item for item in measurements if item.met is False] or [item for item in measurements if not item.met]
    return "; ".join(f"{item.probe} {item.message}" for item in wrong)


def unmeasured(permit: Permit, why: str) -> tuple[Measurement, ...]:
    """A measurement of every criterion that says why there is none."""
    return tuple(
        _measurement(criterion, resource, None, why) for criterion in permit.criteria for resource in permit.resolved
    )


def _reader(executors: Mapping[str, Executor], permit: Permit, criterion: PermitCriterion) -> Executor | str:
    """Who measures a criterion, or the name of who would and is not here."""
    name = criterion.executor or permit.executor
    return executors.get(name) or name


def _order(criterion: PermitCriterion, resource: str) -> ProbeOrder:
    return ProbeOrder(
        criterion.probe, criterion.parameters, resource, criterion.query, criterion.types, criterion.reads
    )


def _outcome(task: "asyncio.Task[Measurement]", criterion: Criterion, resource: str, why: str) -> Measurement:
    if task.cancelled():
        return _measurement(criterion, resource, None, why)
    return task.result()


async def _criterion(executor: Executor | str, criterion: PermitCriterion, resource: str) -> Measurement:
    """Poll until met, then look again until it was observed for long enough."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + criterion.within_seconds
    while True:
        found = await _look(executor, criterion, resource)
        if found.met or loop.time() >= limit:
            break
        await asyncio.sleep(_POLL_SECONDS)
    if not found.met or not criterion.observe_seconds:
        return found
    read_at = loop.time()
    until = read_at + criterion.observe_seconds
    pause = min(max(_POLL_SECONDS, criterion.observe_seconds / _LOOKS), _SLOWEST_SECONDS)
    while (now := loop.time()) < until:
        await asyncio.sleep(min(pause, until - now))
        found = await _look(executor, criterion, resource)
        if found.met:
            read_at = loop.time()
        # A probe that fails for no longer than the criterion had to be met at first is tried again.
        elif found.met is False or loop.time() - read_at > criterion.within_seconds:
            return found
    return found


async def _look(executor: Executor | str, criterion: PermitCriterion, resource: str) -> Measurement:
    if isinstance(executor, str):
        return _measurement(criterion, resource, None, f"could not be measured: executor {executor} is not here")
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            value = await executor.measure(_order(criterion, resource))
        met = canonical(value) == canonical(criterion.equals)
    except ProbeError as error:
        return _measurement(criterion, resource, None, f"could not be measured: {error}")
    except (TimeoutError, CanonicalError) as error:
        why = str(error) or f"no answer within {_PROBE_SECONDS:g} s"
        return _measurement(criterion, resource, None, f"could not be measured: {why}")
    said = f"reads {canonical(value).decode()} on {resource}"
    wanted = "" if met else f", expected {canonical(criterion.equals).decode()}"
    return _measurement(criterion, resource, met, said + wanted, value)


def _measurement(criterion: Criterion, resource: str, met: bool | None, message: str, value: Any = None) -> Measurement:
    where = "" if resource in message else f" ({resource})"
    return Measurement(
        probe=criterion.probe, expected=criterion.equals, value=value, met=met, message=message[:500] + where
    )
