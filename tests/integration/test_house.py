"""Housekeeping: what nobody reports on is ended, what is closed is archived, and Temporal starts both by itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select
from temporalio.client import ScheduleActionExecutionStartWorkflow, ScheduleHandle, ScheduleOverlapPolicy
from temporalio.exceptions import ApplicationError

from activities import house
from activities.auditing import audit
from activities.clock import SystemClock
from activities.database import Database
from activities.documents import Documents
from activities.export import export_action
from activities.house import HouseActivities, file_name
from activities.schedules import (
    ARCHIVE_SCHEDULE,
    DETECT_SCHEDULE,
    KEYS_SCHEDULE,
    SWEEP_SCHEDULE,
    WATCH_SCHEDULE,
    ensure_schedules,
)
from activities.tables import (
    ArchiveRow,
)
from deploy.dev import Stack
from policy.canonical import digest
from policy.permit import Direction
from tests.integration.left_behind import (
    OVERDUE,
    STEP_SECONDS,
    UNDO_OVERDUE,
    LaterClock,
    claimed,
    control,
    forget_holds,
    holds_of,
    kinds_of,
    reported,
    result_of,
    unasked,
)
from tests.replay import recording as scenes
from tests.replay.recording import Recording, recording
from worker import workflow_runner
from workflows.interface import workflow_id
from workflows.messages import ExecuteResult, RecordRequest

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(name="place", scope="module", loop_scope="module")
async def _place(own_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recording]:
    documents = unasked(tmp_path_factory.mktemp("recording") / "documents")
    async with recording(own_stack, documents=documents) as place:
        yield place


def keeper(place: Recording, clock: LaterClock | SystemClock, folder: Path | None = None) -> HouseActivities:
    return HouseActivities(place.database, place.client, Documents(), clock, folder)


async def test_a_claim_that_nobody_reports_on_ends_as_unknown_with_a_hold(place: Recording) -> None:
    """Its workflow is gone; the sweep ends it once, with a result, a hold and an entry."""
    await claimed(place, "lost")

    first, second = await keeper(place, OVERDUE).sweep(), await keeper(place, OVERDUE).sweep()

    result = await result_of(place.database, "lost")
    assert (first, second) == (1, 0)
    assert result is not None
    assert result.outcome == "outcome_unknown"
    assert await holds_of(place.database, "lost") == 1
    assert await kinds_of(place.database, "lost") == ["assessed", "dispatched", "recorded", "unresolved_opened"]


async def test_a_lease_that_ends_without_a_result_is_noted_once(place: Recording) -> None:
    """It was permitted and never claimed, and its workflow is gone: what it had is free, and the ledger says so."""
    await claimed(place, "leaking", claims=())
    before = keeper(place, LaterClock(timedelta(minutes=30)))
    await before.sweep()
    assert "lease_lapsed" not in await kinds_of(place.database, "leaking")

    for _ in range(2):
        await keeper(place, LaterClock(timedelta(hours=2))).sweep()

    assert await kinds_of(place.database, "leaking") == ["assessed", "dispatched", "lease_lapsed"]
    file = await export_action(place.client, place.database, workflow_id("leaking"), at=datetime.now(UTC))
    audited = await audit(file.body(), workflow_runner())
    assert [str(finding) for finding in audited.findings] == []


async def test_a_claim_whose_report_may_still_come_is_left_alone(place: Recording) -> None:
    """Within its timeout, the criteria's windows and 90 seconds more, nothing is concluded."""
    await claimed(place, "running")

    swept = await keeper(place, LaterClock(timedelta(seconds=STEP_SECONDS + 60))).sweep()

    assert swept == 0
    assert await result_of(place.database, "running") is None
    await keeper(place, OVERDUE).sweep()


async def test_an_undo_has_the_time_of_all_its_attempts(place: Recording) -> None:
    """An undo may wait for its target longer than a step may run, so the sweep waits longer for it."""
    await claimed(place, "undoing", claims=(Direction.do, Direction.undo))

    early = await keeper(place, OVERDUE).sweep()
    late = await keeper(place, LaterClock(timedelta(hours=2))).sweep()

    assert (early, late) == (0, 1)


async def test_a_failed_step_that_nobody_undoes_ends_with_a_hold(place: Recording) -> None:
    """Its workflow ended between the report and the undo: once no undo can come any more, people are told."""
    await claimed(place, "half-way")
    await reported(place, "half-way", met=False)

    early = await keeper(place, OVERDUE).sweep()
    late = await keeper(place, UNDO_OVERDUE).sweep()

    result = await result_of(place.database, "half-way")
    assert (early, late) == (0, 1)
    assert result is not None
    assert result.outcome == "compensation_failed"
    assert await holds_of(place.database, "half-way") == 1


async def test_a_step_that_succeeded_ends_as_succeeded_without_its_workflow(place: Recording) -> None:
    """What was reported and never concluded is concluded by its report, and not before its workflow had the time."""
    await claimed(place, "left")
    await reported(place, "left", met=True)

    early = await keeper(place, LaterClock(timedelta(seconds=STEP_SECONDS))).sweep()
    late = await keeper(place, OVERDUE).sweep()

    result = await result_of(place.database, "left")
    assert (early, late) == (0, 1)
    assert result is not None
    assert result.outcome == "succeeded"
    assert await holds_of(place.database, "left") == 0


async def test_what_was_undone_and_never_concluded_ends_as_compensated(place: Recording) -> None:
    """With every undo reported nothing is left to wait for but the workflow."""
    await claimed(place, "undone", claims=(Direction.do, Direction.undo))
    await reported(place, "undone", met=False)
    await reported(place, "undone", Direction.undo, met=True)

    assert await keeper(place, OVERDUE).sweep() == 1

    result = await result_of(place.database, "undone")
    assert result is not None
    assert result.outcome == "compensated"


async def test_a_result_that_is_recorded_stays(place: Recording) -> None:
    """Whoever was first is left as it is: the sweep changes no result."""
    await claimed(place, "first")
    told = (ExecuteResult(permit_id="none", status="unknown", effect="unknown"),)
    request = RecordRequest(proposal_id="first", revision=1, told=told, now=await OVERDUE.now())
    await control(place, OVERDUE).record(request)
    before = await result_of(place.database, "first")

    assert await keeper(place, LaterClock(timedelta(hours=2))).sweep() == 0
    assert await result_of(place.database, "first") == before != None  # noqa: E711 - the chain reads as it is meant


async def test_a_sweep_is_bounded_and_goes_on_the_next_time(place: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many are ended in one run; the next run finds the others."""
    monkeypatch.setattr(house, "SWEPT_AT_ONCE", 1)
    await claimed(place, "many-1")
    await claimed(place, "many-2")

    assert [await keeper(place, OVERDUE).sweep() for _ in range(3)] == [1, 1, 0]


async def test_closed_runs_are_archived_once_and_can_be_audited(place: Recording, tmp_path: Path) -> None:
    """Every closed run becomes one file whose digest is on record, a refused and a failed start included."""
    await forget_holds(place)
    for scene in (scenes.allowed, scenes.malformed_start, scenes.start_refused):
        await scene(place, f"archived-{scene.__name__}")
    await _listed(place, 3)

    archived = await keeper(place, SystemClock(), tmp_path).archive()
    again = await keeper(place, SystemClock(), tmp_path).archive()

    bodies = {path.name: path.read_bytes() for path in tmp_path.iterdir()}  # noqa: ASYNC240 - a few small files
    assert (archived, again) == (3, 0)
    assert await _digests(place.database) == {name: digest(body) for name, body in bodies.items()}
    for body in bodies.values():
        assert (await audit(body, workflow_runner())).findings == ()


async def test_one_run_that_cannot_be_written_keeps_no_other_from_the_archive(place: Recording, tmp_path: Path) -> None:
    """The archive goes on after a single failure, says which run it was, and finishes it the next time."""
    first = await place.start("in-the-way", scenes.proposal("in-the-way", scratch=True))
    await first.result()
    await scenes.denied_by_limit(place, "beside")
    assert first.result_run_id is not None
    obstacle = tmp_path / file_name(workflow_id("in-the-way"), first.result_run_id)
    obstacle.mkdir()
    await _listed(place, 5)

    with pytest.raises(ApplicationError, match="1 done, 1 failed: action/in-the-way"):
        await keeper(place, SystemClock(), tmp_path).archive()
    obstacle.rmdir()

    assert await keeper(place, SystemClock(), tmp_path).archive() == 1
    assert json.loads(obstacle.read_bytes())["workflow_id"] == "action/in-the-way"


async def test_without_a_folder_nothing_is_archived(place: Recording) -> None:
    """An operator who names no folder keeps no archive."""
    assert await keeper(place, SystemClock()).archive() == 0


@pytest.mark.parametrize(
    "workflow", ["action/../../etc/passwd", "action/.hidden", "a/b", "action/" + "x" * 200, "a\nb", "action/\ud800"]
)
async def test_no_workflow_id_chooses_another_folder(workflow: str) -> None:
    """A file is named by the proposal id, or by a digest where the workflow id is any other text."""
    name = file_name(workflow, "01a2091c-3ceb-7b2b-96b5-81f96450c70e")

    assert name == Path(name).name
    assert not name.startswith(".")
    assert len(name) < 160


async def test_temporal_starts_housekeeping_by_itself(place: Recording) -> None:
    """The schedules are made once, never overlap, and what they start runs the worker's activities."""
    made = [await ensure_schedules(place.client), await ensure_schedules(place.client)]
    names = [SWEEP_SCHEDULE, ARCHIVE_SCHEDULE, KEYS_SCHEDULE, WATCH_SCHEDULE]
    handles = [place.client.get_schedule_handle(name) for name in names]
    found = await handles[0].describe()
    for handle in handles:
        await handle.trigger()

    counts = [await _started(place, handle) for handle in handles]

    assert made == [names, []]
    assert found.schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert all(count >= 0 for count in counts)


async def test_trails_are_looked_at_where_some_are_named(place: Recording) -> None:
    """The schedule is made where an operator asks for it, and what it starts runs; without a trail it finds nothing."""
    made = [await ensure_schedules(place.client, trails=True) for _ in range(2)]
    handle = place.client.get_schedule_handle(DETECT_SCHEDULE)
    await handle.trigger()

    assert DETECT_SCHEDULE in made[0]
    assert made[1] == []
    assert await _started(place, handle) == 0


async def test_a_schedule_that_an_operator_paused_stays_paused(place: Recording) -> None:
    """Setting up again brings a schedule to today's form and does not start what somebody stopped."""
    handle = place.client.get_schedule_handle(ARCHIVE_SCHEDULE)
    await ensure_schedules(place.client)
    await handle.pause(note="maintenance")

    await ensure_schedules(place.client)

    assert (await handle.describe()).schedule.state.paused


async def _started(place: Recording, handle: ScheduleHandle) -> int:
    """The result of the first workflow that a schedule started; bounded."""
    async with asyncio.timeout(30):
        while True:
            if actions := (await handle.describe()).info.recent_actions:
                execution = actions[0].action
                assert isinstance(execution, ScheduleActionExecutionStartWorkflow)
                run = place.client.get_workflow_handle(execution.workflow_id, result_type=int)
                return int(await run.result())
            await asyncio.sleep(0.1)


async def _listed(place: Recording, wanted: int) -> None:
    """Until visibility lists so many closed runs; bounded."""
    async with asyncio.timeout(30):
        while True:
            if await _count(place) >= wanted:
                return
            await asyncio.sleep(0.1)


async def _count(place: Recording) -> int:
    found = await place.client.count_workflows("WorkflowType = 'AuthorizeAction' AND ExecutionStatus != 'Running'")
    return found.count


async def _digests(database: Database) -> dict[str, str]:
    table = ArchiveRow.__table__.c  # type: ignore[attr-defined]
    async with database.snapshot() as connection:
        return {row.path: row.digest for row in await connection.execute(select(table.path, table.digest))}
