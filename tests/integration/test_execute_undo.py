"""The executor role undoing a step: with a cause, as often as it takes, and without waiting for the record."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError

from activities.database import DatabaseUnavailableError
from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    PreconditionFailedError,
    TargetUnreachableError,
)
from policy.permit import Direction, Permit, entry_id
from tests.integration.effects import BOUND, World, attempt, execute, met, undo_of
from workflows import ports

LAST = ports.UNDO_RETRY.maximum_attempts


async def _failed_step(world: World, step: int = 1) -> Permit:
    """A step that was done and did not keep what it promised."""
    permit = await world.permit(step, criteria=(met(False),))
    assert (await execute(world, permit.permit_id, attempt(activity=f"do-{step}"))).status == "failed"
    return permit


def _directions(world: World) -> list[Direction]:
    return [order.direction for order in world.target.orders]


async def test_a_failed_step_is_undone(world: World) -> None:
    """The undo permit of a step that failed is claimed, carried out and reported."""
    undo = undo_of(await _failed_step(world))

    result = await execute(world, undo, attempt(activity="undo"))

    assert (result.status, result.effect) == ("succeeded", "done")
    assert _directions(world) == [Direction.do, Direction.undo]
    assert await world.entries("claim_refused") == []


async def test_an_undo_never_expires(world: World) -> None:
    """Compensation is possible however late it comes."""
    undo = undo_of(await _failed_step(world))
    world.clock.at = world.clock.at.replace(year=world.clock.at.year + 1)

    assert (await execute(world, undo, attempt(activity="undo"))).status == "succeeded"


async def test_nothing_is_undone_without_a_cause(world: World) -> None:
    """The undo of a step that succeeded and that nobody stopped is refused, and its try is evidence."""
    permit = await world.permit()
    await execute(world, permit.permit_id)

    result = await execute(world, undo_of(permit), attempt(activity="undo"))

    assert result.message.startswith("no_cause_to_undo: ")
    assert _directions(world) == [Direction.do]
    assert [entry["content"]["code"] for entry in await world.entries("claim_refused")] == ["no_cause_to_undo"]


@pytest.mark.parametrize("cause", ["stop", "closed gate", "later step", "expired permit"])
async def test_a_step_that_succeeded_is_undone_for_a_cause_on_record(world: World, cause: str) -> None:
    """A stop, a gate that closed, a later step that failed, and a later permit that nobody used are each a cause."""
    permit = await world.permit()
    await execute(world, permit.permit_id)
    if cause == "stop":
        await world.write("stop", proposal_id=world.proposal, kind="revoked", actor="ana", stopped_at=world.clock.at)
    elif cause == "closed gate":
        await world.sql(
            "INSERT INTO countersign.ledger_entry (entry_id, proposal_id, position, kind, digest, body, recorded_at, "
            "late) SELECT $3, proposal_id, 99, 'dispatch_refused', effect_digest, body, $2, false "
            "FROM countersign.proposal WHERE proposal_id = $1",
            *(world.proposal, world.clock.at, entry_id(world.proposal, "dispatch_refused", 1, 2)),
        )
    elif cause == "later step":
        later = await _failed_step(world, 2)
        assert (await execute(world, undo_of(later), attempt(activity="undo 2"))).status == "succeeded"
    else:
        await world.permit(2)
        world.clock.at += timedelta(days=1)

    assert (await execute(world, undo_of(permit), attempt(activity="undo"), world.process())).status == "succeeded"


async def test_an_undo_waits_while_a_later_step_may_begin(world: World) -> None:
    """A later permit that can still be claimed, or that is about to expire, is no cause yet: it is refused for now."""
    first = await world.permit()
    await execute(world, first.permit_id)
    await world.permit(2)

    with pytest.raises(ApplicationError, match="no_cause_to_undo") as refused:
        await execute(world, undo_of(first), attempt(activity="undo"))

    assert not refused.value.non_retryable
    assert await world.entries("claim_refused") == []
    world.clock.at += timedelta(days=1)
    assert (await execute(world, undo_of(first), attempt(2, activity="undo"))).status == "succeeded"


async def test_a_step_is_not_undone_before_the_later_ones(world: World) -> None:
    """While a later step runs, or is not undone yet, the undo of an earlier one waits: it is refused for now."""
    first = await world.permit()
    await execute(world, first.permit_id)
    later = await _failed_step(world, 2)

    with pytest.raises(ApplicationError, match="later_step_open") as refused:
        await execute(world, undo_of(first), attempt(activity="undo"))

    assert not refused.value.non_retryable
    await execute(world, undo_of(later), attempt(activity="undo 2"))
    assert (await execute(world, undo_of(first), attempt(activity="undo"))).status == "succeeded"


async def test_a_stop_whose_verb_is_to_ask_undoes_nothing(world: World) -> None:
    """Whoever can stop an action cannot have it undone where people approved that they are asked."""
    permit = await world.permit(proposal=b'{"on_stop":"ask"}')
    await execute(world, permit.permit_id)
    await world.write(
        "stop", proposal_id=world.proposal, kind="withdrawn", actor="unverified", stopped_at=world.clock.at
    )

    result = await execute(world, undo_of(permit), attempt(activity="undo"))

    assert result.message.startswith("no_cause_to_undo: ")


async def test_what_was_not_done_is_not_undone(world: World) -> None:
    """A step that was never run, or that did nothing, has nothing to undo."""
    never, refused = await world.permit(1), await world.permit(2)
    world.target.fails_with = PreconditionFailedError("another value")
    await execute(world, refused.permit_id)

    for permit in (never, refused):
        result = await execute(world, undo_of(permit), attempt(activity="undo"))
        assert result.message.startswith("nothing_to_undo: ")

    assert _directions(world) == [Direction.do]


async def test_an_undo_waits_for_the_report_of_its_step(world: World) -> None:
    """While the step itself has not reported, its undo is to be tried again, and that is no violation."""
    permit = await world.permit()
    world.target.go_on.clear()
    running = asyncio.create_task(execute(world, permit.permit_id))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)

    with pytest.raises(ApplicationError, match="nothing_to_undo") as caught:
        await execute(world, undo_of(permit), attempt(activity="undo"), world.process())
    last = await execute(world, undo_of(permit), attempt(LAST, activity="undo"), world.process())

    assert caught.value.non_retryable is False
    assert (last.status, last.effect) == ("failed", "none")
    assert len(await world.entries("claim_refused")) == 1
    world.target.go_on.set()
    await running


@pytest.mark.parametrize("error", [TargetUnreachableError("away"), EffectUnknownError("lost"), ExecutorError("half")])
async def test_an_undo_that_did_not_get_through_is_tried_again(world: World, error: Exception) -> None:
    """An undo is repeated until it succeeds; only its last attempt reports a failure."""
    undo = undo_of(await _failed_step(world))
    world.target.fails_with = error

    with pytest.raises(ApplicationError, match="did not get through") as caught:
        await execute(world, undo, attempt(1, activity="undo"))

    assert caught.value.non_retryable is False
    assert await world.report(undo) is None
    world.target.fails_with = None
    assert (await execute(world, undo, attempt(2, activity="undo"), world.process())).status == "succeeded"
    assert _directions(world) == [Direction.do, Direction.undo, Direction.undo]


async def test_the_last_attempt_of_an_undo_reports_its_failure(world: World) -> None:
    """When its attempts are used up, a failed undo is on record."""
    undo = undo_of(await _failed_step(world))
    world.target.fails_with = TargetUnreachableError("away")

    result = await execute(world, undo, attempt(LAST, activity="undo"))

    assert (result.status, result.effect) == ("failed", "none")
    assert await world.report(undo) is not None


async def test_a_later_attempt_goes_on_after_a_crash_and_another_activity_does_not(world: World) -> None:
    """Only the activity that claimed an undo may carry it out again while there is no report."""
    undo = undo_of(await _failed_step(world))
    world.target.fails_with = TargetUnreachableError("away")
    with pytest.raises(ApplicationError):
        await execute(world, undo, attempt(1, activity="undo"))
    world.target.fails_with = None

    foreign = await execute(world, undo, attempt(2, activity="undo", run="run-2"), world.process())
    other = await execute(world, undo, attempt(2, activity="another"), world.process())

    assert [foreign.status, other.status] == ["unknown", "unknown"]
    assert (await execute(world, undo, attempt(2, activity="undo"), world.process())).status == "succeeded"
    codes = [entry["content"]["code"] for entry in await world.entries("claim_refused")]
    assert codes == ["claimed_by_another", "claimed_by_another"]


async def test_whoever_asks_gets_the_report_of_an_undo(world: World) -> None:
    """After a reset an undo that was reported is not carried out again."""
    undo = undo_of(await _failed_step(world))
    first = await execute(world, undo, attempt(activity="undo"))

    again = await execute(world, undo, attempt(activity="undo", run="run-2"), world.process())

    assert again == first
    assert _directions(world) == [Direction.do, Direction.undo]


async def test_an_undo_does_not_wait_for_the_record(world: World) -> None:
    """The process that did the step undoes it while the record is away, and its claim and report are filled in late."""
    undo = undo_of(await _failed_step(world))

    async with world.record_away():
        running = asyncio.create_task(execute(world, undo, attempt(activity="undo")))
        async with asyncio.timeout(BOUND):
            while True:
                if _directions(world) == [Direction.do, Direction.undo]:
                    break
                await asyncio.sleep(0.02)
        assert not running.done()
    result = await asyncio.wait_for(running, BOUND)

    assert (result.status, result.effect) == ("succeeded", "done")
    report = await world.report(undo)
    assert report is not None
    assert report.late is True
    assert {row["use"] for row in await world.rows("permit_use")} == {"claimed"}
    assert [(entry["content"]["direction"], entry["late"]) for entry in await world.entries()] == [
        ("do", False),
        ("undo", True),
    ]


async def test_an_undo_fills_in_the_report_of_its_step_first(world: World) -> None:
    """A failed step is answered without the record, so that its undo runs; both reports come late and in order."""
    permit = await world.permit()
    world.target.fails_with = ExecutorError("half of it")
    world.target.go_on.clear()
    running = asyncio.create_task(execute(world, permit.permit_id, attempt(seconds=1)))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)
    async with world.record_away():
        world.target.go_on.set()
        assert (await asyncio.wait_for(running, BOUND)).status == "failed"
        world.target.fails_with = None
        with pytest.raises(DatabaseUnavailableError):
            await execute(world, undo_of(permit), attempt(1, activity="undo", seconds=1))
        assert _directions(world) == [Direction.do, Direction.undo]

    result = await execute(world, undo_of(permit), attempt(2, activity="undo"))

    assert (result.status, result.effect) == ("succeeded", "done")
    assert _directions(world) == [Direction.do, Direction.undo]
    assert [(entry["content"]["direction"], entry["late"]) for entry in await world.entries()] == [
        ("do", True),
        ("undo", True),
    ]


async def test_without_the_record_a_process_undoes_only_what_it_knows(world: World) -> None:
    """A process that did not do the step, or that saw no cause, waits for the record."""
    failed = undo_of(await _failed_step(world, 1))
    fine = await world.permit(2)
    await execute(world, fine.permit_id)

    async with world.record_away():
        with pytest.raises(DatabaseUnavailableError):
            await execute(world, failed, attempt(activity="undo", seconds=1), world.process())

    assert _directions(world) == [Direction.do, Direction.do]


async def test_without_the_record_a_step_that_succeeded_stays(world: World) -> None:
    """While the record is away nobody can have a step undone that nobody has seen fail."""
    permit = await world.permit()
    await execute(world, permit.permit_id)

    async with world.record_away():
        with pytest.raises(DatabaseUnavailableError):
            await execute(world, undo_of(permit), attempt(activity="undo", seconds=1))

    assert _directions(world) == [Direction.do]


async def test_an_undo_from_memory_that_the_record_had_voided_is_a_violation(world: World) -> None:
    """Where the undo permit was void, the late report does not count and is kept."""
    undo = undo_of(await _failed_step(world))
    await world.sql(
        "INSERT INTO countersign.permit_use VALUES ($1, 'void', NULL, 'record', NULL, $2)", undo, world.clock.at
    )

    async with world.record_away():
        running = asyncio.create_task(execute(world, undo, attempt(activity="undo")))
        async with asyncio.timeout(BOUND):
            while True:
                if len(world.target.orders) == 2:
                    break
                await asyncio.sleep(0.02)
    await asyncio.wait_for(running, BOUND)

    assert await world.report(undo) is None
    [entry] = await world.entries("violation")
    assert entry["content"]["use"] == "void"
