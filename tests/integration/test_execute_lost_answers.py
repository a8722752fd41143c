"""An executor that lives and loses its answer looks for the effect, as after a crash, and says that it looked."""

import dataclasses

import pytest

from activities.executors.base import EffectUnknownError, PreconditionFailedError, Seen
from policy.audit_entries import check_report
from policy.outcome import EffectReport
from policy.permit import Permit
from policy.targets import Observes
from tests.integration.effects import World, attempt, execute, met, undo_of
from tests.integration.fleet import Fleet, fleet_of, reported, touched

LOST = EffectUnknownError("the connection broke")


@pytest.fixture(name="fleet")
def _fleet(world: World) -> Fleet:
    return fleet_of(world)


async def _report(world: World, permit: Permit) -> EffectReport:
    report = await world.report(permit.permit_id)
    assert report is not None
    return report


async def test_what_shows_to_be_done_is_done_and_is_recorded_as_observed(world: World) -> None:
    permit = await world.permit(criteria=(met(),))
    world.target.fails_with, world.target.seen = LOST, "done"

    result = await execute(world, permit.permit_id)

    report = await reported(world, permit)
    assert (result.status, result.effect, result.message) == ("succeeded", "done", "")
    assert (report.observed, report.late) == ("the connection broke", False)
    assert [item.met for item in report.measurements] == [True]
    assert len(world.target.orders) == 1


async def test_what_is_seen_to_be_done_is_measured_and_undone_like_anything_else(world: World) -> None:
    """That it was done says nothing of whether it is good."""
    permit = await world.permit(criteria=(met(),))
    world.target.fails_with, world.target.seen, world.target.reads = LOST, "done", [False]

    result = await execute(world, permit.permit_id)
    world.target.fails_with = None
    undone = await execute(world, undo_of(permit), attempt(activity="2"))

    assert (result.status, result.effect, undone.status) == ("failed", "done", "succeeded")
    assert "reads false" in result.message
    assert (await _report(world, permit)).observed == "the connection broke"


@pytest.mark.parametrize(
    ("observes", "seen"),
    [("by_key", "none"), ("by_key", "unknown"), ("by_effect", "none"), ("by_effect", "done"), ("never", "done")],
)
async def test_what_is_not_seen_stays_unknown(world: World, observes: Observes, seen: Seen) -> None:
    """ "Not done" means nothing, as it may be heard of yet; what only looks like it may be somebody else's."""
    world.target.supports = dataclasses.replace(world.target.supports, observes=observes)
    permit = await world.permit(criteria=(met(),))
    world.target.fails_with, world.target.seen = LOST, seen

    result = await execute(world, permit.permit_id)

    report = await _report(world, permit)
    assert (result.status, result.effect, report.observed) == ("unknown", "unknown", "")
    assert world.target.measured == 0


async def test_an_undo_without_an_answer_is_asked_again_and_never_looked_for(world: World) -> None:
    """What an undo leaves is what was there before: its showing says nothing."""
    permit = await world.permit(criteria=(met(False),))
    await execute(world, permit.permit_id)
    world.target.fails_with, world.target.seen = LOST, "done"

    result = await execute(world, undo_of(permit), attempt(number=1000, activity="2"))

    assert (result.status, result.effect) == ("unknown", "unknown")


async def test_a_target_whose_answer_was_lost_is_looked_at_before_the_next_is_begun(world: World, fleet: Fleet) -> None:
    permit = await world.permit(criteria=(met(1),))
    fleet.fails["memory/b"], fleet.shown["memory/b"] = LOST, "done"
    fleet.after["memory/b"] = 1
    fleet.state["memory/b"] = 1

    result = await execute(world, permit.permit_id)

    report = await reported(world, permit)
    assert (result.status, touched(fleet)) == ("succeeded", ["memory/a", "memory/b", "memory/c"])
    assert report.observed == "memory/b: the connection broke"
    assert [gate.open for gate in report.gates] == [True, True]


async def test_a_target_that_is_not_seen_ends_the_row(world: World, fleet: Fleet) -> None:
    permit = await world.permit(criteria=(met(1),))
    fleet.fails["memory/b"] = LOST

    result = await execute(world, permit.permit_id)

    assert (result.status, result.effect, touched(fleet)) == ("unknown", "unknown", ["memory/a", "memory/b"])


async def test_a_report_that_saw_what_was_not_done_is_found(world: World) -> None:
    """An audit finds a report that says it saw an effect where there was none, or an undo's."""
    permit = await world.permit()
    world.target.fails_with = PreconditionFailedError("another")
    await execute(world, permit.permit_id)
    (entry,) = await world.entries("reported")
    report = (await _report(world, permit)).model_copy(update={"observed": "no answer"})

    assert "it says what was seen to be done" in " ".join(check_report(permit, report, entry["content"]))
