"""A worker that is killed at any point changes when an action ends, never what it may do or how often it is done."""

import asyncio

import pytest

from deploy.dev import Stack
from tests.faults.ordeal import Books, Ordeal

# point -> outcome and effects at the target. Where the claim is durable and the effect was not seen, nobody can know.
ALLOWED = {
    "before:assess:1": ("succeeded", 1),
    "after:assess:1": ("succeeded", 1),
    "before:dispatch:1": ("succeeded", 1),
    "after:dispatch:1": ("succeeded", 1),
    "before:execute:1": ("not_executed", 0),
    "after:execute:1": ("outcome_unknown", 0),
    "before:effect": ("outcome_unknown", 0),
    "after:effect": ("succeeded", 1),
    "before:execute:2": ("succeeded", 1),
    "after:execute:2": ("succeeded", 1),
    "before:record:1": ("succeeded", 1),
    "after:record:1": ("succeeded", 1),
}
ASKED = {
    "before:take_decision:1": ("succeeded", 1),
    "after:take_decision:1": ("succeeded", 1),
    "before:take_decision:2": ("succeeded", 1),
    "after:take_decision:2": ("succeeded", 1),
    "before:advance:1": ("succeeded", 1),
    "after:advance:1": ("succeeded", 1),
}
UNDONE = {
    "before:undo": ("compensated", 1),
    "after:undo": ("compensated", 1),
    # The third transaction of `execute` claims the undo permit, the fourth stores its report.
    "before:execute:3": ("compensated", 1),
    "after:execute:3": ("compensated", 1),
    "before:execute:4": ("compensated", 1),
    "after:execute:4": ("compensated", 1),
    "before:record:1": ("compensated", 1),
    "after:record:1": ("compensated", 1),
}
QUICK = ("after:dispatch:1", "after:effect", "before:effect", "after:take_decision:1")


async def _play(expected: dict[str, tuple[str, int]], ordeals: list[Ordeal], at_once: int = 4) -> None:
    gate = asyncio.Semaphore(at_once)

    async def one(ordeal: Ordeal) -> tuple[str, Books]:
        async with gate:
            return ordeal.point, await ordeal.run()

    for ordeal in ordeals:
        await ordeal.prepare()
    for point, books in await asyncio.gather(*(one(ordeal) for ordeal in ordeals)):
        outcome, effects = expected[point]
        assert books.crashed, f"{point} was never reached"
        assert (books.result["outcome"], books.effects) == (outcome, effects), (point, books)
        assert books.holds == (outcome == "outcome_unknown"), (point, books)
        assert books.undos >= 1 if outcome == "compensated" else books.undos == 0, (point, books)


async def test_a_killed_worker_never_doubles_an_effect(stack: Stack) -> None:
    """At four telling points, the action ends as it must and its effect is counted once at the target."""
    targets = {point: "resource:busy" if point in ASKED else "resource:calm" for point in QUICK}
    await _play({**ALLOWED, **ASKED}, [Ordeal(stack, point, target=target) for point, target in targets.items()])


@pytest.mark.chaos
async def test_every_point_of_an_allowed_action(stack: Stack) -> None:
    """Before and after each commit and the effect of an allowed action."""
    await _play(ALLOWED, [Ordeal(stack, point) for point in ALLOWED])


@pytest.mark.chaos
async def test_every_point_of_an_action_that_people_approve(stack: Stack) -> None:
    """Before and after each commit while people are asked."""
    await _play(ASKED, [Ordeal(stack, point, target="resource:busy") for point in ASKED])


@pytest.mark.chaos
async def test_every_point_of_an_undo(stack: Stack) -> None:
    """An undo whose worker is killed is tried again until it is reported."""
    await _play(UNDONE, [Ordeal(stack, point, fails=True) for point in UNDONE])
