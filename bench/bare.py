"""The bare workflows that ours are measured against: what somebody writes who has no need of Countersign.

Each has one activity that does the effect, and nothing else. None of them can reach a database driver: the activity is
named here and lives in `bench/target.py`.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

QUEUE = "bench-bare"
EFFECT = "bench_effect"
ONE_COMMIT = "bench_commit"
_TIMEOUT = timedelta(seconds=60)
_ONCE = RetryPolicy(maximum_attempts=1)


async def _effect(what: str, commits: int) -> None:
    await workflow.execute_activity(
        EFFECT, args=[what, commits], start_to_close_timeout=_TIMEOUT, retry_policy=_ONCE, result_type=type(None)
    )


@workflow.defn
class BareAction:
    """One activity, which commits so many times: once for the effect, and the others to pay what a record costs."""

    @workflow.run
    async def run(self, what: str, commits: int) -> str:
        await _effect(what, commits)
        return "done"


@workflow.defn
class BareSignalled:
    """Waits for one signal, then one activity."""

    def __init__(self) -> None:
        self._approved = False

    @workflow.signal
    def approve(self) -> None:
        self._approved = True

    @workflow.run
    async def run(self, what: str) -> str:
        await workflow.wait_condition(lambda: self._approved)
        await _effect(what, 1)
        return "done"


@workflow.defn
class BareUpdated:
    """Answers updates until it is told to end: one that keeps nothing, and one that commits a row first."""

    def __init__(self) -> None:
        self._ended = False
        self._said: list[str] = []

    @workflow.update
    def answer(self, what: str) -> str:
        self._said.append(what)
        return "counted"

    @workflow.update
    async def answer_kept(self, what: str) -> str:
        await workflow.execute_local_activity(
            ONE_COMMIT, what, schedule_to_close_timeout=_TIMEOUT, result_type=type(None)
        )
        self._said.append(what)
        return "counted"

    @workflow.signal
    def end(self) -> None:
        self._ended = True

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self._ended)
        return len(self._said)
