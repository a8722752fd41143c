"""Calling an executor: whatever it does or raises becomes a named state, and nothing takes longer than permitted."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from activities.executors.base import (
    EffectUnknownError,
    Executor,
    ExecutorError,
    Order,
    PreconditionFailedError,
    Reached,
    Seen,
    TargetUnreachableError,
)
from policy.outcome import Effect
from policy.permit import Permit

_OBSERVE_SECONDS = 30.0
_MESSAGE_LIMIT = 500
_PAUSE = timedelta(seconds=10)


@dataclass(frozen=True)
class Acted:
    """How an effect ended.

    Attributes:
        effect: what is known of it.
        message: why it did not succeed; empty where it did.
        again: an effect that may be repeated may succeed the next time.
        touched: where it went wrong on several targets, those that it may have changed; empty where nobody knows.
    """

    effect: Effect
    message: str = ""
    again: bool = False
    touched: tuple[Reached, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether there is anything but success to report."""
        return self.effect != "done" or bool(self.message)


@dataclass(frozen=True)
class ClaimedAt:
    """The instant of a claim by the clock, and by the event loop (seconds), which no change of the clock moves."""

    clock: datetime
    loop: float

    def paused(self, now: datetime) -> bool:
        """Whether so much time has passed since that somebody may have given the attempt up: it must not act now.

        A process that was stopped shows by the event loop, a machine that was suspended by the clock.
        """
        elapsed = asyncio.get_running_loop().time() - self.loop
        return max(now - self.clock, timedelta(seconds=elapsed)) > _PAUSE


async def act(executor: Executor, permit: Permit, order: Order) -> Acted:
    """Carry out an order under a permit, once; a stop that it is told ends it where the executor says that it can."""
    if permit.dry_run:
        return Acted("none", f"permit {permit.permit_id} is of a dry run: nothing is carried out under it")
    limit = asyncio.timeout(permit.timeout_seconds)
    hurrying = asyncio.create_task(_hurry(executor, order, limit))
    try:
        async with limit:
            await executor.execute(order)
    except TimeoutError:
        within = f"told to stop, no answer within {executor.supports.stops_within}" if order.stop.is_set() else ""
        return Acted("unknown", within or f"no answer within the permitted {permit.timeout_seconds} s", again=True)
    except TargetUnreachableError as error:
        return Acted("none", _say(error), again=True)
    except PreconditionFailedError as error:
        return Acted("none", _say(error))
    except EffectUnknownError as error:
        return Acted("unknown", _say(error), again=True, touched=error.touched)
    except ExecutorError as error:
        return Acted("done", _say(error), again=True, touched=error.touched)
    except Exception as error:  # noqa: BLE001 - a fault in an adapter says nothing about the target: unknown
        return Acted("unknown", f"executor {permit.executor} broke: {_say(error)}", again=True)
    finally:
        hurrying.cancel()
    return Acted("done")


async def _hurry(executor: Executor, order: Order, limit: asyncio.Timeout) -> None:
    """Once it is told to stop, an effect that says it ends within has only so long for it as the executor says."""
    await order.stop.wait()
    if executor.supports.stops != "within":
        return
    ends_at = asyncio.get_running_loop().time() + executor.supports.stops_within.total_seconds()
    limit.reschedule(min(ends_at, limit.when() or ends_at))


async def observe(executor: Executor, order: Order, seconds: float = _OBSERVE_SECONDS) -> Seen:
    """Whether the target shows that an order was carried out, as far as it says so within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await executor.observe(order)
    except Exception:  # noqa: BLE001 - whatever keeps it from looking, it has not seen anything
        return "unknown"


def _say(error: Exception) -> str:
    return f"{error}"[:_MESSAGE_LIMIT] or type(error).__name__
