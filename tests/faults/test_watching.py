"""The watcher on a real Temporal: what was done to runs from outside is found, written once, and nothing else is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowFailureError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities import watching
from activities.auditing import audit
from activities.clock import Clock, SystemClock
from activities.export import export_action
from activities.watching import WatchActivities
from policy.watching import RUNS_LEDGER
from tests.integration.left_behind import LaterClock
from tests.world import Handle, World, until
from worker import workflow_runner
from workflows.interface import TASK_QUEUE, WORKFLOW_TYPE, workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

LATER = LaterClock(timedelta(minutes=15))


@workflow.defn(name="Mother")
class Mother:
    """A workflow of somebody else's that starts one of ours."""

    @workflow.run
    async def run(self, body: dict[str, Any]) -> None:
        await workflow.start_child_workflow(
            WORKFLOW_TYPE,
            body,
            id=workflow_id(body["proposal_id"]),
            task_queue=TASK_QUEUE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        )


@workflow.defn(name=WORKFLOW_TYPE)
class Impostor:
    """A workflow of our type that never asks the record."""

    @workflow.run
    async def run(self, _: Any) -> dict[str, str]:
        return {"resolution": "approved"}


@asynccontextmanager
async def worker_of(world: World, queue: str, what: type) -> AsyncIterator[None]:
    """A worker of somebody else's."""
    async with Worker(world.client, task_queue=queue, workflows=[what], workflow_runner=UnsandboxedWorkflowRunner()):
        yield


async def look(world: World, clock: Clock | None = None) -> int:
    """One look of a watcher that remembers nothing but what is on record; how many entries it wrote."""
    return await WatchActivities(world.database, world.client, clock or SystemClock()).watch()


async def signs(world: World, ledger: str) -> list[tuple[str, str]]:
    """Sign and run of each violation of a ledger."""
    found = await world.entries(ledger, "violation")
    return [(item["content"]["watched"]["sign"], item["content"]["watched"]["run_id"]) for item in found]


async def _listed(world: World, count: int, query: str) -> None:
    """Wait until Temporal lists so many runs."""
    await until(lambda: world.client.count_workflows(query), lambda found: found.count == count)


async def _once(world: World, ledger: str, sign: str, run_id: str) -> None:
    """It was written, once, and a second look writes nothing."""
    assert await look(world) == 1
    assert await look(world) == 0
    assert (await signs(world, ledger))[-1] == (sign, run_id)
    assert (await signs(world, ledger)).count((sign, run_id)) == 1


async def _pending(world: World) -> tuple[Handle, str]:
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body)
    await world.pending(handle)
    return handle, body["proposal_id"]


async def _run_id(handle: Handle) -> str:
    return (await handle.describe()).run_id


async def test_what_is_in_order_is_no_violation(world: World) -> None:
    """Actions that run, wait, are denied, are malformed or are withdrawn leave nothing, however often it looks."""
    await world.run(world.propose("bench.touch"))
    waits, _ = await _pending(world)
    await world.run(world.propose("bench.drop"))
    with pytest.raises(WorkflowFailureError):
        await (await world.start({"proposal_id": world.id(), "nonsense": True})).result()
    withdrawn, _ = await _pending(world)
    await withdrawn.cancel()
    await world.result(withdrawn)
    await _listed(world, 4, f"WorkflowType = '{WORKFLOW_TYPE}' AND ExecutionStatus != 'Running'")
    assert [await look(world), await look(world), await look(world, LATER)] == [0, 0, 0]
    await waits.cancel()
    await world.result(waits)


async def test_a_terminated_run_is_seen(world: World) -> None:
    """The entry says by whom and why, in their own words; an audit of the action finds nothing wrong in it."""
    handle, proposal_id = await _pending(world)
    run_id = await _run_id(handle)
    await handle.terminate(reason="we are in a hurry")
    await _listed(world, 1, f"WorkflowId = '{handle.id}' AND ExecutionStatus = 'Terminated'")
    await _once(world, proposal_id, "terminated", run_id)
    (entry,) = await world.entries(proposal_id, "violation")
    assert (entry["content"]["watched"]["by"], entry["content"]["watched"]["why"]) == ("tests", "we are in a hurry")
    file = await export_action(world.client, world.database, handle.id, at=datetime.now(UTC))
    audited = await audit(file.body(), workflow_runner())
    assert audited.findings == ()
    assert any("its run was terminated" in note for note in audited.notes)


@pytest.mark.parametrize("ended", [False, True], ids=["while it waits", "after its end"])
async def test_a_reset_run_is_seen(world: World, ended: bool) -> None:
    """A run that a reset made is a violation; the one that it was made of is none of its own."""
    handle, proposal_id = await _pending(world)
    base = await _run_id(handle)
    if ended:
        assert (await world.decide(handle, "eve", "deny")).counted
        await world.result(handle)
    events = (await handle.fetch_history()).events
    task = next(event.event_id for event in events if event.HasField("workflow_task_completed_event_attributes"))
    request = ResetWorkflowExecutionRequest(
        namespace=world.client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=base),
        reason="once more",
        workflow_task_finish_event_id=task,
        request_id=proposal_id,
    )
    made = await world.client.workflow_service.reset_workflow_execution(request)
    await _listed(world, 2, f"WorkflowId = '{handle.id}'")
    await _once(world, proposal_id, "reset", made.run_id)
    assert base not in [run_id for _, run_id in await signs(world, proposal_id)]


async def test_a_deleted_run_is_seen(world: World) -> None:
    """An action that is open on record and has no workflow any more is found once it has settled."""
    handle, proposal_id = await _pending(world)
    code, said = await world.cli("workflow", "delete", "--workflow-id", handle.id, "--yes")
    assert code == 0, said
    await _listed(world, 0, f"WorkflowId = '{handle.id}'")
    assert await look(world) == 0
    assert await look(world, LATER) == 1
    assert await look(world, LATER) == 0
    assert await signs(world, proposal_id) == [("missing", proposal_id)]


async def test_every_open_action_has_its_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the slices, a few looks come to every open action, and the next one begins anew."""
    monkeypatch.setattr(watching, "_SLICE", 3)
    monkeypatch.setattr(watching, "OPEN_AT_ONCE", 2)
    gone = []
    for _ in range(3):
        handle, proposal_id = await _pending(world)
        gone.append(proposal_id)
        await world.cli("workflow", "delete", "--workflow-id", handle.id, "--yes")
        await _listed(world, 0, f"WorkflowId = '{handle.id}'")
    for minute in range(30):
        await look(world, LaterClock(timedelta(minutes=20 + minute)))
    assert [await signs(world, name) for name in gone] == [[("missing", name)] for name in gone]


async def test_a_run_in_another_queue_is_seen(world: World) -> None:
    """A workflow of our type that waits for somebody else's worker says that it is one of ours."""
    body = world.propose("bench.touch")
    handle = await world.start(body, task_queue="elsewhere")
    await _listed(world, 1, f"WorkflowId = '{handle.id}'")
    await _once(world, RUNS_LEDGER, "other_queue", await _run_id(handle))


async def test_a_run_under_another_id_is_seen(world: World) -> None:
    """Our worker refuses it; that somebody tried it is on record besides."""
    handle = await world.start(world.propose("bench.touch"), id="something/else")
    await world.result(handle)
    await _listed(world, 1, f"WorkflowId = '{handle.id}'")
    await _once(world, RUNS_LEDGER, "other_id", await _run_id(handle))


async def test_a_run_that_another_workflow_started_is_seen(world: World) -> None:
    """A child of somebody's workflow is none that a platform started."""
    body = world.propose("bench.touch")
    async with worker_of(world, "mothers", Mother):
        await world.client.execute_workflow("Mother", body, id="mother", task_queue="mothers")
    handle: Handle = world.client.get_workflow_handle(workflow_id(body["proposal_id"]))
    await world.result(handle)
    await _listed(world, 1, f"WorkflowId = '{handle.id}'")
    await _once(world, RUNS_LEDGER, "child", await _run_id(handle))


async def test_a_run_with_a_schedule_of_its_own_is_seen(world: World) -> None:
    """A cron schedule starts an action again and again, which is not asked for."""
    body = world.propose("bench.touch")
    handle = await world.start(body, cron_schedule="@every 1h")
    await _listed(world, 1, f"WorkflowId = '{handle.id}'")
    await _once(world, RUNS_LEDGER, "delayed", await _run_id(handle))
    await handle.terminate()
    await _listed(world, 1, f"WorkflowId = '{handle.id}' AND ExecutionStatus = 'Terminated'")
    await _once(world, RUNS_LEDGER, "terminated", await _run_id(handle))


async def test_a_run_that_completed_without_the_record_is_seen(world: World) -> None:
    """A worker of somebody else's on our queue says that an action was approved; the record never heard of it."""
    async with world.paused(), worker_of(world, TASK_QUEUE, Impostor):
        handle = await world.start(world.propose("bench.touch"))
        assert await handle.result() == {"resolution": "approved"}
    await _listed(world, 1, f"WorkflowId = '{handle.id}' AND ExecutionStatus = 'Completed'")
    await _once(world, RUNS_LEDGER, "unknown", await _run_id(handle))


async def test_a_flood_is_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many violations at once so many are listed, and one entry counts the others."""
    monkeypatch.setattr(watching, "LISTED", 3)
    ids = [f"flood/{number}" for number in range(8)]
    await asyncio.gather(*(world.start({"proposal_id": "any"}, id=name, task_queue="elsewhere") for name in ids))
    await _listed(world, 8, "WorkflowId STARTS_WITH 'flood/'")
    before = len(await signs(world, RUNS_LEDGER))
    assert await look(world) == 4
    assert [sign for sign, _ in (await signs(world, RUNS_LEDGER))[before:]].count("more") == 1
    (more,) = [
        item["content"]["watched"]
        for item in await world.entries(RUNS_LEDGER, "violation")
        if item["content"]["watched"]["sign"] == "more"
    ]
    assert sum(more["count"].values()) == 8 * 2 - 3


async def test_too_much_is_taken_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that would take too much takes the earlier part, and later ones the rest."""
    handle, proposal_id = await _pending(world)
    run_id = await _run_id(handle)
    await handle.terminate()
    await _listed(world, 1, f"WorkflowId = '{handle.id}' AND ExecutionStatus = 'Terminated'")
    monkeypatch.setattr(watching, "AT_ONCE", 1)
    monkeypatch.setattr(watching, "_OVERLAP", timedelta(0))
    for _ in range(200):
        await look(world)
        if await signs(world, proposal_id):
            break
    assert await signs(world, proposal_id) == [("terminated", run_id)]


@pytest.mark.parametrize("table", ["ledger_entry", "watch"])
async def test_what_could_not_be_written_is_written_by_the_next_look_of_the_same_process(
    world: World, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, whether the entries or the mark of the look failed; and what is only counted is counted once."""
    monkeypatch.setattr(watching, "LISTED", 3)
    names = [f"failing/{table}/{number}" for number in range(5)]
    await asyncio.gather(*(world.start({"proposal_id": "any"}, id=name, task_queue="elsewhere") for name in names))
    await _listed(world, 5, f"WorkflowId STARTS_WITH 'failing/{table}/'")
    before = len(await signs(world, RUNS_LEDGER))
    watcher = WatchActivities(world.database, world.client, SystemClock())

    async with _refusing(world, table):
        for _ in range(2):
            with pytest.raises(DBAPIError, match="refused for a while"):
                await watcher.watch()
    await watcher.watch()
    assert await watcher.watch() == 0

    found = await world.entries(RUNS_LEDGER, "violation")
    new = [item["content"]["watched"] for item in found[before:]]
    assert len({(item["sign"], item["run_id"]) for item in new}) == len(new) == 3 + 1
    assert [item["sign"] for item in new].count("more") == 1


async def test_a_look_that_is_cut_off_is_not_begun_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had looked at stays looked at, and what it saw there is written by the look that is not cut off."""
    handle, proposal_id = await _pending(world)
    run_id = await _run_id(handle)
    await handle.terminate()
    await _listed(world, 1, f"WorkflowId = '{handle.id}' AND ExecutionStatus = 'Terminated'")
    watcher = WatchActivities(world.database, world.client, SystemClock())
    gone = watcher._gone
    asked: list[str] = []

    async def cut_off(after: str, now: datetime) -> Any:
        raise asyncio.CancelledError

    async def described(workflow: str, run: str, describe: Any = watcher._describe) -> Any:
        asked.append(run)
        return await describe(workflow, run)

    monkeypatch.setattr(watcher, "_describe", described)
    monkeypatch.setattr(watcher, "_gone", cut_off)
    with pytest.raises(asyncio.CancelledError):
        await watcher.watch()
    assert run_id in asked
    monkeypatch.setattr(watcher, "_gone", gone)
    asked.clear()
    await watcher.watch()

    assert run_id not in asked
    assert await signs(world, proposal_id) == [("terminated", run_id)]


@asynccontextmanager
async def _refusing(world: World, table: str) -> AsyncIterator[None]:
    """A record that takes no rows of a table for a while."""
    admin = await asyncpg.connect(world.url)
    await admin.execute(
        "CREATE OR REPLACE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE EXCEPTION 'refused for a while'; END $$"
    )
    await admin.execute(f"CREATE TRIGGER refuse BEFORE INSERT ON countersign.{table} EXECUTE FUNCTION public.refuse()")
    try:
        yield
    finally:
        await admin.execute(f"DROP TRIGGER refuse ON countersign.{table}")
        await admin.close()
