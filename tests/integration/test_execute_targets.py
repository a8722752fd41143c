"""The executor role and what was found: it acts on the targets in its permit, in time, or not at all."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from activities.execute import ExecutorActivities
from activities.executors.base import Supports
from policy.targets import ResolvedTarget, targets_digest, without_versions
from tests.integration.effects import SetClock, Target, World, execute, undo_of
from tests.permit_keys import trust

TARGETS = (ResolvedTarget(id="a", resource="memory/a", version="7"),)
_RESOLVES = Supports(
    frozenset({"memory.switch.on"}),
    frozenset(),
    timedelta(0),
    "by_key",
    resolves=frozenset({"memory.switch.on"}),
)


@pytest.fixture(name="resolving")
def _resolving(world: World) -> World:
    """The world with a target that finds out what would be touched."""
    world.target = Target(supports=_RESOLVES)
    world.activities = world.process()
    return world


def _named(*targets: ResolvedTarget) -> dict[str, Any]:
    return {"targets": targets, "targets_digest": targets_digest(targets)}


async def _codes(world: World) -> list[str]:
    return [entry["content"]["code"] for entry in await world.entries("claim_refused")]


async def test_an_executor_acts_on_the_targets_of_its_permit(resolving: World) -> None:
    """The order names what was found, with its versions."""
    permit = await resolving.permit(**_named(*TARGETS))
    result = await execute(resolving, permit.permit_id)
    assert (result.status, result.effect) == ("succeeded", "done")
    assert [order.targets for order in resolving.target.orders] == [TARGETS]


async def test_what_an_executor_resolves_it_does_by_no_permit_without_targets(resolving: World) -> None:
    """A permit to do it that names nothing is refused, and the refusal is on record; nothing was done."""
    permit = await resolving.permit()
    result = await execute(resolving, permit.permit_id)
    assert (result.status, result.effect) == ("failed", "none")
    assert await _codes(resolving) == ["unresolved_permit"]
    assert resolving.target.orders == []


async def test_an_undo_of_before_waits_for_nobody(resolving: World) -> None:
    """A permit to undo that names no target is one of an earlier release, and is carried out."""
    permit = await resolving.permit(**_named(*TARGETS))
    resolving.target.fails_with = None
    await execute(resolving, permit.permit_id)
    await resolving.write(
        "stop", proposal_id=resolving.proposal, kind="withdrawn", actor="somebody", stopped_at=resolving.clock.at
    )
    result = await execute(resolving, undo_of(permit))
    assert (result.status, [order.direction for order in resolving.target.orders]) == ("succeeded", ["do", "undo"])


@pytest.mark.parametrize(
    "change",
    [
        {"targets": TARGETS, "targets_digest": targets_digest(without_versions(TARGETS))},
        {"targets": TARGETS},
        {"targets_digest": targets_digest(TARGETS)},
    ],
)
async def test_targets_that_are_not_those_of_the_digest_are_none(resolving: World, change: dict[str, Any]) -> None:
    """Other targets than the digest says, or only one of both: the permit is none, and nothing is done."""
    permit = await resolving.permit(**change)
    result = await execute(resolving, permit.permit_id)
    assert result.effect == "none"
    assert "targets_digest" in result.message
    assert resolving.target.orders == []


@pytest.mark.parametrize(("left", "acts"), [(5, True), (4.9, False), (-1, False)])
async def test_what_could_outlast_its_window_is_not_claimed(world: World, left: float, acts: bool) -> None:
    """A step of five seconds begins with five seconds left, and not with less."""
    permit = await world.permit(over_by=world.clock.at + timedelta(seconds=left))
    result = await execute(world, permit.permit_id)
    assert (result.effect == "done") is acts
    assert await _codes(world) == ([] if acts else ["window_too_short"])
    assert len(world.target.orders) == acts


class _Slow(SetClock):
    """A clock by which some seconds pass between the claim and the effect."""

    def __init__(self, at: datetime, seconds: float) -> None:
        self.at = at
        self._seconds = seconds

    async def now(self) -> datetime:
        at = self.at
        self.at += timedelta(seconds=self._seconds)
        return at


async def test_what_was_claimed_in_time_is_not_begun_too_late(world: World) -> None:
    """Between claim and effect four seconds went by: it could not be over in time any more, and is not begun."""
    permit = await world.permit(over_by=world.clock.at + timedelta(seconds=7))
    clock = _Slow(world.clock.at, 4)
    late = ExecutorActivities(world.database, clock, {"memory": world.target}, "worker-1", trust())
    result = await execute(world, permit.permit_id, by=late)
    assert (result.status, result.effect) == ("failed", "none")
    assert "could not be over by" in result.message
    assert world.target.orders == []
