"""A worker that is killed at any point changes when an action ends, never what it may do or how often it is done."""

import asyncio

import pytest

from deploy.dev import Stack
from policy.lifecycle import State
from tests.faults.kill_points import COMMITS, PATHS
from tests.faults.ordeal import Books, Ordeal
from workflows.ports import CasePort, ExecutorPort, PermitPort

QUICK = {
    "allowed": ("after:dispatch:1", "before:execute:1", "after:effect", "before:effect"),
    "asked": ("after:take_decision:1",),
    "given back": ("after:advance:1",),
}
AT_ONCE = 4


async def _play(stack: Stack, wanted: dict[str, tuple[str, ...]]) -> None:
    """Play these points of these paths, a few at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(ordeal: Ordeal) -> Books:
        async with gate:
            return await ordeal.run()

    ordeals = [(name, _ordeal(stack, name, point)) for name, points in wanted.items() for point in points]
    for _, ordeal in ordeals:
        await ordeal.prepare()
    found = await asyncio.gather(*(one(ordeal) for _, ordeal in ordeals))
    problems = [_problem(name, ordeal.point, books) for (name, ordeal), books in zip(ordeals, found, strict=True)]
    assert [problem for problem in problems if problem] == []


def _ordeal(stack: Stack, name: str, point: str) -> Ordeal:
    path = PATHS[name]
    return Ordeal(
        stack,
        point,
        target=path.target,
        fails=path.fails,
        undecided=path.undecided,
        conduct=path.conduct,
        observed=path.observed,
        again=path.again,
    )


def _problem(name: str, point: str, books: Books) -> str:
    """What is not as it must be: reached, ended, counted, undone, held. Empty where nothing is."""
    if not books.crashed:
        return f"{name}, {point}: never reached, {books}"
    outcome, effects = PATHS[name].ends[point]
    ended = (books.result["resolution"], books.result["outcome"], books.effects, books.holds)
    expected = (PATHS[name].resolution, outcome, effects, int(outcome == "outcome_unknown"))
    undone = books.undos >= 1 if outcome == "compensated" else books.undos == 0
    return "" if ended == expected and undone else f"{name}, {point}: {books}, expected {expected}"


async def test_a_killed_worker_never_doubles_an_effect(stack: Stack) -> None:
    """At a few telling points, the action ends as it must and its effect is counted once at the target."""
    await _play(stack, QUICK)


@pytest.mark.chaos
@pytest.mark.parametrize("name", PATHS)
async def test_every_point_of_a_path(stack: Stack, name: str) -> None:
    """Before and after each commit and effect: it ends as it must, counted once, undone and held where it must be."""
    await _play(stack, {name: tuple(PATHS[name].ends)})


def test_every_state_has_a_kill_point() -> None:
    """A worker is killed in each state of the lifecycle, at a commit that belongs to the state."""
    kills = [(state, point) for path in PATHS.values() for state, points in path.kills.items() for point in points]
    assert {state for state, _ in kills} == set(State)
    wrong = [(state, point) for state, point in kills if point.split("+")[-1].split(":")[1] not in COMMITS[state]]
    assert wrong == []


def test_every_commit_of_a_case_has_its_kill_points() -> None:
    """Before and after what each activity of a case commits; the sweep has its own in `test_sweep.py`."""
    activities = {name for port in (CasePort, PermitPort, ExecutorPort) for name in port.__abstractmethods__}
    points = [point.split("+")[-1] for path in PATHS.values() for point in path.ends]
    killed = {tuple(point.split(":")[:2]) for point in points}
    assert {(when, name) for name in activities for when in ("before", "after")} <= killed
