"""What executors cannot do raises the likelihood, and what they say that they can do lowers nothing."""

from typing import Any

import pytest

from policy.evaluation import Evaluation
from policy.impact import assess
from policy.operations import read_operations
from policy.proposal import receive
from policy.risk.reversal import is_stuck
from policy.rules.chains import Verdict
from policy.rules.timing import Timing
from policy.screens.presenting import advise
from policy.targets import Capability
from tests.unit.builders import OPERATIONS, T0, proposal_json, step_json
from tests.unit.resolved import declared, facts_with, found, step, target

BEST = {"dry_runs": True, "observes": "by_key", "stops": "within"}
_NEW = ("unrehearsed", "unobserved", "unstoppable")


def _can(operation: str, **less: Any) -> Capability:
    return Capability(operation=operation, **{**BEST, **less})


def _values(*capabilities: Capability, **changes: Any) -> dict[str, float]:
    proposal = receive(proposal_json(**changes)).proposal
    facts = facts_with(proposal, None, declared=(declared(*capabilities),))
    found = assess(proposal, facts, Timing(at=T0))
    return {item.name: item.value for item in found.indicators}


@pytest.mark.parametrize(
    ("less", "values"),
    [
        ({}, (0, 0, 0)),
        ({"dry_runs": False}, (1, 0, 0)),
        ({"observes": "by_effect"}, (0, 0.5, 0)),
        ({"observes": "never"}, (0, 1, 0)),
        ({"stops": "between"}, (0, 0, round(60 / 360, 4))),
    ],
)
def test_each_lack_is_read(less: dict[str, Any], values: tuple[float, ...]) -> None:
    """Rehearsing, observing and stopping, each alone."""
    read = _values(_can("pg.set", **less), _can("pg.reset"))
    assert tuple(read[name] for name in _NEW) == values


def test_who_said_nothing_is_as_it_was() -> None:
    """Without a word of the executor the indicators are left out, and the score is that of an earlier release."""
    proposal = receive(proposal_json()).proposal
    silent = assess(proposal, facts_with(proposal, None), Timing(at=T0))
    able = assess(
        proposal, facts_with(proposal, None, declared=(declared(_can("pg.set"), _can("pg.reset")),)), Timing(at=T0)
    )
    assert {item.name for item in able.indicators} - {item.name for item in silent.indicators} == set(_NEW)
    assert (able.risk_score, able.likelihood, able.impact) == (silent.risk_score, silent.likelihood, silent.impact)


def test_an_executor_that_does_not_have_the_operation_can_nothing() -> None:
    """What it does not name it can neither rehearse nor observe; and an undo that it does not name is none."""
    read = _values(_can("pg.reset"))
    assert (read["unrehearsed"], read["unobserved"]) == (1, 1)
    without = _values(_can("pg.set"))
    assert without["undo_difficulty"] == 1
    proposal = receive(proposal_json()).proposal
    facts = facts_with(proposal, None, declared=(declared(_can("pg.set")),))
    assert is_stuck(proposal.steps[0], facts)
    assert not is_stuck(proposal.steps[0], facts_with(proposal, None))


def test_the_longest_step_counts() -> None:
    """The longer a step may go on after a stop, the worse."""
    long = _values(_can("pg.set", stops="between"), steps=[step_json(), step_json(name="again", timeout_seconds=3600)])
    assert long["unstoppable"] == round(3600 / 3900, 4)


def test_what_was_said_with_what_was_found_counts_before_what_was_said_at_the_start() -> None:
    """The executor that was asked knows best, and the newest word is its."""
    proposal = receive(proposal_json()).proposal
    seen = found(step(target()), declared=(declared(_can("pg.set", observes="never"), _can("pg.reset")),))
    facts = facts_with(proposal, seen, declared=(declared(_can("pg.set"), _can("pg.reset")),))
    said = facts.declared_by("postgres")
    assert said is not None
    assert said.of("pg.set") == _can("pg.set", observes="never")


def test_a_read_is_asked_nothing() -> None:
    """That a read cannot be rehearsed or stopped is no matter."""
    text = OPERATIONS + b"  - {name: pg.look, executor: postgres, severity: 5, read_only: true}\n"
    proposal = receive(
        proposal_json(operation="pg.look", steps=[{"name": "look", "operation": "pg.look", "parameters": {}}])
    ).proposal
    facts = facts_with(proposal, None, known=read_operations(text), declared=(declared(),))
    names = {item.name for item in assess(proposal, facts, Timing(at=T0)).indicators}
    assert names.isdisjoint(_NEW)


def test_people_are_told_that_an_undo_is_not_there() -> None:
    """The advice speaks of a step that nothing undoes, where its executor does not have the undo."""

    proposal = receive(proposal_json()).proposal
    facts = facts_with(proposal, None, declared=(declared(_can("pg.set")),))
    answer = Evaluation(verdict=Verdict.require_approval, reasons=())
    assert "no_undo" in [item.code for item in advise(proposal, facts, answer, Timing(at=T0), T0)]
