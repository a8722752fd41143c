"""The states that an action can end in, and how each of them can be left."""

from datetime import timedelta
from typing import Any

import pytest

from policy.facts import Facts
from policy.observed import Observed, UndoProof
from policy.operations import RegisteredOperation
from policy.proposal import ActionProposal
from policy.risk.indicators import filled
from policy.risk.indicators_change import change_readings, worst_change
from policy.risk.reversal import State, best_proofs, states
from tests.unit.builders import T0, a_proposal, step_json

DO, LOOK, RESTART, UNDO = "x.do", "x.look", "x.restart", "x.undo"
KNOWN = {
    DO: RegisteredOperation(name=DO, executor="x", severity=30, inverse=(UNDO,), undo_seconds=30),
    LOOK: RegisteredOperation(name=LOOK, executor="x", severity=0, read_only=True),
    RESTART: RegisteredOperation(name=RESTART, executor="x", severity=20, needs_no_undo=True),
    UNDO: RegisteredOperation(name=UNDO, executor="x", severity=10),
}


def _action(*steps: tuple[str, str | None]) -> ActionProposal:
    named = [step_json(operation, name=f"s{number}", undo=undo) for number, (operation, undo) in enumerate(steps)]
    return a_proposal(operation=steps[0][0], steps=named)


def _facts(**changes: Any) -> Facts:
    return Facts(target_known=True, operations=KNOWN, observed=Observed(at=T0)).model_copy(update=changes)


def _proof(kind: Any = "undone", days: int = 1, seconds: float | None = None) -> UndoProof:
    return UndoProof(operation=UNDO, kind=kind, at=T0 - timedelta(days=days), seconds=seconds)


CASES: dict[str, tuple[ActionProposal, list[str]]] = {
    "one step": (_action((DO, UNDO)), ["after step 1 of 1", "after step 1 of 1 was undone"]),
    "one step without undo": (_action((DO, None)), ["after step 1 of 1, step 1 cannot be undone"]),
    "one read": (_action((LOOK, None)), ["after step 1 of 1"]),
    "two steps": (
        _action((DO, UNDO), (DO, UNDO)),
        [
            "after step 2 of 2",
            "after step 1 of 2",
            "after step 2 of 2 was undone",
            "after step 1 of 2 was undone",
        ],
    ),
    "the first of three without undo": (
        _action((DO, None), (DO, UNDO), (RESTART, None)),
        [
            "after step 3 of 3, step 1 cannot be undone",
            "after step 2 of 3, step 1 cannot be undone",
            "after step 1 of 3, step 1 cannot be undone",
            "after step 3 of 3 was undone, step 1 cannot be undone",
            "after step 2 of 3 was undone, step 1 cannot be undone",
        ],
    ),
    "a restart and a read": (_action((RESTART, None), (LOOK, None)), ["after step 2 of 2", "after step 1 of 2"]),
}


@pytest.mark.parametrize(("proposal", "where"), CASES.values(), ids=CASES)
def test_every_state_is_named(proposal: ActionProposal, where: list[str]) -> None:
    """After all steps, after some of them, and after their undos: each state says where it is and what is stuck."""
    assert [state.where for state in states(proposal, _facts())] == where


def test_states_are_linear_in_the_steps() -> None:
    """Twenty steps make forty states."""
    assert len(states(_action(*[(DO, UNDO)] * 20), _facts())) == 40


def test_the_undos_of_a_state_take_their_time_together() -> None:
    """After k steps k undos are to be run; what nobody knows makes the sum unknown, and a restart takes nothing."""
    found = states(_action((DO, UNDO), (RESTART, None), (DO, UNDO)), _facts())
    assert [state.undo_seconds for state in found[:3]] == [60, 30, 30]
    timeless = KNOWN | {DO: KNOWN[DO].model_copy(update={"undo_seconds": None})}
    assert states(_action((DO, UNDO)), _facts(operations=timeless))[0].undo_seconds is None


SECONDS = {
    "longer than registered": ((_proof(seconds=90),), 90),
    "shorter than registered": ((_proof(seconds=5),), 30),
    "long ago": ((_proof(days=400, seconds=90),), 90),
}


@pytest.mark.parametrize(("proofs", "seconds"), SECONDS.values(), ids=SECONDS)
def test_what_was_measured_counts_if_it_is_longer(proofs: tuple[UndoProof, ...], seconds: float) -> None:
    """An undo that once took longer than the registry says is expected to take so long again."""
    facts = _facts(observed=Observed(at=T0, undo_proofs=proofs))
    assert states(_action((DO, UNDO)), facts)[0].undo_seconds == seconds


PROOFS: dict[str, tuple[tuple[UndoProof, ...], str]] = {
    "none": ((), "unproved"),
    "done": ((_proof(),), "proved"),
    "a restore": ((_proof("restore"),), "proved"),
    "dry": ((_proof("dry_run"),), "rehearsed"),
    "dry after it was done": ((_proof(days=9), _proof("dry_run", days=1)), "proved"),
    "too old": ((_proof(days=31),), "unproved"),
    "of tomorrow": ((_proof(days=-1),), "unproved"),
}


@pytest.mark.parametrize(("proofs", "expected"), PROOFS.values(), ids=PROOFS)
def test_what_proves_an_undo(proofs: tuple[UndoProof, ...], expected: str) -> None:
    """An undo that was done within 30 days is proved, one that was tried dry is rehearsed."""
    state = states(_action((DO, UNDO)), _facts(observed=Observed(at=T0, undo_proofs=proofs)))[0]
    assert (bool(state.unproved), bool(state.rehearsed)) == (expected == "unproved", expected == "rehearsed")


def test_without_an_instant_nothing_is_proved() -> None:
    """Where nobody knows what time it is, no proof is young enough."""
    assert best_proofs(_facts(observed=Observed(undo_proofs=(_proof(),)))) == {}


def test_what_is_destructive_leaves_something() -> None:
    """Destroying something never counts as needing no undo, or as reading."""
    harsh = KNOWN | {RESTART: KNOWN[RESTART].model_copy(update={"destructive": True})}
    assert states(_action((RESTART, None)), _facts(operations=harsh))[0].stuck == (1,)


def test_an_undo_of_another_object_is_none() -> None:
    """What identifies the object has the same value in the undo, or the step stays done."""
    named = KNOWN | {DO: KNOWN[DO].model_copy(update={"identifies": ("name",)})}
    facts = _facts(operations=named)
    for undone, stuck in (("one", ()), ("other", (1,))):
        step = step_json(DO, undo=UNDO) | {"parameters": {"name": "one"}}
        step["undo"]["parameters"] = {"name": undone}
        assert states(a_proposal(operation=DO, steps=[step]), facts)[0].stuck == stuck


@pytest.mark.parametrize("proposal", [proposal for proposal, _ in CASES.values()], ids=CASES)
def test_the_worst_state_counts(proposal: ActionProposal) -> None:
    """No state is worse than the one that is assessed."""
    state, readings = worst_change(proposal, _facts())
    found: dict[State, float] = {
        one: filled(change_readings(one, _facts()), "change") for one in states(proposal, _facts())
    }
    assert filled(readings, "change") == found[state] == max(found.values())
