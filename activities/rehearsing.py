"""A dry run: what would happen if a step were carried out, and then its undo.

1. Nothing is changed, whatever comes of it: the executor's `dry_run` is called and never its `execute`. So there is
   nothing to observe, to measure, to undo or to hold, and a dry run that broke off simply failed.
2. The step comes first. Where it would not be carried out, its undo is not rehearsed.
3. An undo that would fail fails the dry run. One that its executor cannot rehearse does not, and it is said.
4. A step that its executor cannot rehearse fails, and the report says so.
"""

import asyncio
from collections.abc import Mapping

from activities.clock import Clock
from activities.executors.base import Executor, Order
from policy.outcome import EffectReport, Rehearsal
from policy.permit import Permit

_MESSAGE_LIMIT = 240


async def rehearse(
    executors: Mapping[str, Executor], permit: Permit, undo: Permit | None, clock: Clock, *, stopped: bool
) -> EffectReport:
    """The report of a dry run.

    Args:
        executors: those of this process by name.
        permit: of the step.
        undo: of what undoes it; None where it has no undo.
        clock: tells when it began and ended.
        stopped: a stop came before it began.
    """
    started = await clock.now()
    found: list[Rehearsal] = []
    if not stopped:
        try:
            async with asyncio.timeout(permit.timeout_seconds):
                for each in (permit, undo):
                    if each is not None and all(item.passed for item in found):
                        found.append(await _rehearsed(executors, each))
        except TimeoutError:
            late = undo if found and undo is not None else permit
            found.append(_rehearsal(late, f"no answer within the permitted {permit.timeout_seconds} s", passed=False))
    well = bool(found) and found[0].passed is True and not any(item.passed is False for item in found)
    return EffectReport(
        permit_id=permit.permit_id,
        status="succeeded" if well else "failed",
        effect="none",
        message=_said(found),
        started_at=started,
        finished_at=await clock.now(),
        dry_run=True,
        rehearsals=tuple(found),
    )


async def _rehearsed(executors: Mapping[str, Executor], permit: Permit) -> Rehearsal:
    executor = executors.get(permit.executor)
    if executor is None or permit.operation not in executor.supports.dry_runs:
        why = "is not here" if executor is None else f"cannot rehearse {permit.operation}"
        return _rehearsal(permit, f"executor {permit.executor} {why}", passed=None)
    try:
        return _rehearsal(permit, await executor.dry_run(Order.under(permit)), passed=True)
    except Exception as error:  # noqa: BLE001 - whatever went wrong, nothing was changed, and nothing was shown
        return _rehearsal(permit, f"{error}" or type(error).__name__, passed=False)


def _rehearsal(permit: Permit, message: str, *, passed: bool | None) -> Rehearsal:
    return Rehearsal(
        direction=permit.direction.value, operation=permit.operation, passed=passed, message=message[:_MESSAGE_LIMIT]
    )


def _said(found: list[Rehearsal]) -> str:
    said = "; ".join(f"{'undo: ' if item.direction == 'undo' else ''}{item.message}" for item in found)
    return f"dry run, nothing is changed: {said or 'stopped before it began'}"
