"""When a run asks that its action is measured again."""

import pytest

from policy.approval.standing import stand
from policy.proposal import StopVerb
from tests.unit.builders import T0, a_case, at, stage
from workflows.messages import Plan
from workflows.rechecks import Rechecks

_FIVE = 300


def _plan(interval: int = _FIVE, *, recheck: int | None = None, held: bool = False, revision: int = 1) -> Plan:
    asked = a_case(stage("ops"), recheck_seconds=recheck, held=held)
    return Plan(
        proposal_id="p-1",
        revision=revision,
        action_digest="",
        assessment_digest="",
        policy_digest="",
        verdict="require_approval",
        risk_tier="low",
        risk_score=1,
        steps=(),
        on_stop=StopVerb.compensate,
        permit_seconds=60,
        local_dispatch=True,
        standing=stand(asked, T0, deadline_counts_as_passed=False),
        min_interval_seconds=interval,
    )


def _begun(plan: Plan) -> Rechecks:
    found = Rechecks()
    found.begin(plan)
    return found


def test_who_asks_is_heard_once_in_a_slot() -> None:
    """The first who asks sets the instant, all others change nothing, and after it the next slot may be asked for."""
    rechecks, standing = _begun(_plan()), _plan().standing
    assert [rechecks.ask() for _ in range(100)].count(True) == 1
    assert [rechecks.wanted(standing, at(minutes)) for minutes in (0, 4.9, 5)] == [False, False, True]
    rechecks.measured(at(6))
    assert not rechecks.wanted(standing, at(60))
    assert rechecks.ask()
    assert [rechecks.wanted(standing, at(minutes)) for minutes in (9.9, 10)] == [False, True]


def test_another_revision_begins_anew() -> None:
    """Who asked about the one before is forgotten: it was measured when it opened."""
    rechecks = _begun(_plan())
    rechecks.ask()
    rechecks.begin(_plan(revision=2))
    assert rechecks.next_at is None


@pytest.mark.parametrize("interval", [0], ids=["a plan that takes no signal, or of a release before"])
def test_where_nothing_is_measured_nobody_is_heard(interval: int) -> None:
    """A signal costs its own event and nothing else."""
    rechecks = _begun(_plan(interval))
    assert not rechecks.ask()
    assert rechecks.next_at is None
    assert not rechecks.wanted(_plan(interval).standing, at(60))


def test_the_cadence_is_the_records() -> None:
    """What the standing names as due is asked for once that comes; a case that is held names none."""
    plan = _plan(recheck=600)
    rechecks = _begun(plan)
    assert [rechecks.wanted(plan.standing, at(minutes)) for minutes in (9.9, 10)] == [False, True]
    assert not rechecks.wanted(_plan(recheck=600, held=True).standing, at(60))
