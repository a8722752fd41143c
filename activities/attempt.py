"""Who claims: one attempt of one activity, told by Temporal and never by a caller.

The token is uuid5 of run id, activity id and attempt number. A standalone activity has a run of its own. A reset makes
another run, and so another token: it can never pass for the attempt that claimed before.

For a step a number that each process draws at random is in the token, too, so that no other process can ever pass for
the one that claimed. An undo goes without: whoever runs its next attempt goes on with it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4, uuid5

from temporalio import activity

from policy.permit import Direction, Permit
from workflows import ports

_NAMESPACE = UUID("0f0a7a2e-52f5-5c52-8a1e-6f1d4f2f7d90")
_PROCESS = uuid4().hex
_DEFAULT_BUDGET = timedelta(seconds=60)
_ANSWER_SECONDS, _ANSWER_SHARE = 3.0, 0.1
_REPORT_SECONDS, _REPORT_SHARE = 15.0, 0.25

Result = TypeVar("Result")


@dataclass(frozen=True)
class Attempt:
    """One attempt.

    Attributes:
        token: this attempt; `under` a permit it may be another.
        tokens: this attempt and the earlier ones of the same activity.
        started_at: when Temporal gave it out, by the server's clock.
        last: no further attempt follows where the activity is an undo.
        run_id: the run it belongs to; a column, never part of a key.
        worker: who acts.
        ends_at: the event loop's time, seconds, at which Temporal gives the attempt up.
        budget: how long it may take, seconds.
    """

    token: str
    tokens: frozenset[str]
    started_at: datetime
    last: bool
    run_id: str | None
    worker: str
    ends_at: float
    budget: float

    @classmethod
    def current(cls, worker: str) -> "Attempt":
        """The attempt that runs now, in an activity."""
        info = activity.info()
        run_id = info.workflow_run_id or info.activity_run_id
        budget = (info.start_to_close_timeout or info.schedule_to_close_timeout or _DEFAULT_BUDGET).total_seconds()
        tokens = [_token(run_id, info.activity_id, number) for number in range(1, info.attempt + 1)]
        return cls(
            token=tokens[-1],
            tokens=frozenset(tokens),
            started_at=info.started_time,
            last=info.attempt >= ports.UNDO_RETRY.maximum_attempts,
            run_id=run_id,
            worker=worker,
            ends_at=asyncio.get_running_loop().time() + budget,
            budget=budget,
        )

    def under(self, permit: Permit) -> "Attempt":
        """The same attempt as it is named under a permit."""
        if permit.direction is Direction.undo:
            return self
        tokens = {token: str(uuid5(_NAMESPACE, f"{token}/{_PROCESS}")) for token in self.tokens}
        return replace(self, token=tokens[self.token], tokens=frozenset(tokens.values()))

    @property
    def answer_by(self) -> float:
        """The event loop's time, seconds, at which the activity must end whatever it does."""
        return self.ends_at - min(_ANSWER_SECONDS, _ANSWER_SHARE * self.budget)

    @property
    def report_by(self) -> float:
        """The event loop's time, seconds, from which what is left is for the report."""
        return self.ends_at - min(_REPORT_SECONDS, _REPORT_SHARE * self.budget)

    @property
    def columns(self) -> dict[str, Any]:
        """How the record names this attempt in a claim."""
        return {"token": self.token, "used_by": self.worker, "run_id": self.run_id}


def _token(run_id: str | None, activity_id: str, number: int) -> str:
    return str(uuid5(_NAMESPACE, f"{run_id}/{activity_id}/{number}"))


def asked_to_stop() -> bool:
    """Whether a cancellation is somebody's wish, and not a worker that shuts down or an attempt that was given up."""
    details = activity.cancellation_details()
    return details is None or details.cancel_requested


async def uninterrupted(
    work: Coroutine[Any, Any, Result], told: Callable[[], None] | None = None
) -> tuple[Result, bool]:
    """Let something finish whatever comes; its result, and whether a cancellation came meanwhile.

    Args:
        work: what finishes.
        told: called when a cancellation comes that is somebody's wish to stop.

    Raises:
        asyncio.CancelledError: it failed, and a cancellation came meanwhile.
    """
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
            if told is not None and asked_to_stop():
                told()
    if cancelled and (error := task.exception()):
        raise asyncio.CancelledError from error
    return task.result(), cancelled


@asynccontextmanager
async def heartbeats(seconds: float) -> AsyncIterator[None]:
    """Heartbeat every so many seconds, so that a worker that died is noticed and a cancellation arrives."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(seconds)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait({beating})
