"""Urgent work on a busy executor: one slot, a backlog of routine actions, and an emergency that comes last."""

import pytest
from temporalio.worker import Worker

from activities.clock import SystemClock
from activities.execute import ExecutorActivities
from activities.settings import Role
from tests.permit_keys import trust
from tests.world import DOCUMENTS, World, publish_documents, until
from workflows.interface import EXECUTOR_QUEUE

pytestmark = pytest.mark.asyncio(loop_scope="module")

BACKLOG = 24
POLICY = (DOCUMENTS / "policy.yaml").read_bytes() + (
    b"break_glass:\n  - {id: outage, match: {operations: [bench.put, bench.take]}, chain: single, review_within: 2d}\n"
)


async def scheduled(world: World) -> int:
    """How many actions wait for an executor."""
    rows = await world.sql("SELECT count(*) AS n FROM countersign.permit WHERE direction = 'do'")
    return int(rows[0]["n"])


async def test_an_emergency_overtakes_a_backlog_of_routine_actions(world: World) -> None:
    """Temporal prefers what has the lower priority key: it does not come last, though it was asked for last."""
    await publish_documents(world.url, POLICY)
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    routine = [await world.start(world.propose("bench.touch")) for _ in range(BACKLOG)]
    await until(lambda: scheduled(world), lambda found: found == BACKLOG)
    urgent = await world.start(world.propose("bench.put", undo="bench.take", change_type="emergency"))
    await world.pending(urgent)
    assert (await world.decide(urgent, "eve")).counted
    await until(lambda: scheduled(world), lambda found: found == BACKLOG + 1)
    executor = ExecutorActivities(world.database, SystemClock(), {"bench": world.bench}, "one-slot", trust())
    activities = [executor.execute, executor.observe]
    async with Worker(world.client, task_queue=EXECUTOR_QUEUE, activities=activities, max_concurrent_activities=1):
        for handle in (urgent, *routine):
            assert (await world.result(handle)).outcome == "succeeded"
    done = [row["operation"] for row in await world.sql("SELECT operation FROM public.effect ORDER BY number")]
    assert len(done) == BACKLOG + 1
    assert done.index("bench.put") < BACKLOG // 2, done
    history = await urgent.fetch_history()
    asked = [event.activity_task_scheduled_event_attributes for event in history.events]
    keys = [(item.priority.priority_key, item.priority.fairness_key) for item in asked if item.activity_type.name]
    assert keys == [(1, "tuner")] * len(keys)
