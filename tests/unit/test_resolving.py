"""What is asked of executors, what of their answers can be used, and what another answer means."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.approval.drift import compare, effect_of
from policy.errors import DocumentError
from policy.gate import DispatchInputs, curable, may_dispatch
from policy.gate_inputs import gate_inputs
from policy.issuing import issue
from policy.operations import read_operations
from policy.outcome import EffectReport, StepRecord
from policy.permit import Direction
from policy.proofs import Assurance
from policy.proposal import receive
from policy.resolving import (
    MAX_ID,
    RESOLUTION_SECONDS,
    asked_of,
    carried,
    check_resolution,
    ended_at,
    is_fresh,
    moved,
    problem_of,
)
from policy.revision import DocumentDigests, Revision, assess_revision
from policy.rules.drifting import UNSAID
from policy.rules.impossible import why_impossible
from policy.targets import MAX_TARGETS, ResolvedTarget, TargetResolution, targets_digest
from tests.unit.builders import (
    OPERATIONS,
    T0,
    a_catalog,
    a_directory,
    a_policy,
    a_registry,
    at,
    proposal_json,
    step_json,
)
from tests.unit.resolved import DIGEST, SHOP, facts_with, found, registry, step, target

DIGESTS = DocumentDigests(policy="p", operations="o", catalog="c", directory="d")
_MINUTE = timedelta(seconds=RESOLUTION_SECONDS)


def test_only_what_is_resolved_is_asked_about() -> None:
    """A step whose operation the registry does not have resolved is not asked about, nor is an action without one."""
    steps = [step_json(), step_json("pg.end_session", name="end", undo=None)]
    both = receive(proposal_json(steps=steps)).proposal
    asked = asked_of(both, registry(), a_catalog())
    assert [(item.step, item.operation, item.executor, item.resources) for item in asked] == [
        (1, "pg.set", "postgres", (SHOP,))
    ]
    assert asked[0].parameters == both.steps[0].parameters
    assert asked_of(both, a_registry(), a_catalog()) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"steps": [step_json(parameters={"name": 7})]},
        {"steps": [step_json(parameters={"name": "DROP TABLE"})]},
        {"steps": [step_json(parameters={"name": "work_mem", "more": "x"})]},
        {"steps": [step_json(), step_json("pg.end_session", name="end", undo=None, parameters={"pid": "1"})]},
        {"target": "nobody-knows"},
        {"target": "nameless"},
    ],
)
def test_nothing_is_asked_that_is_not_typed_or_not_known(change: dict[str, Any]) -> None:
    """One wrong parameter anywhere, a target without an id: no executor is asked anything."""
    assert asked_of(receive(proposal_json(**change)).proposal, registry(), a_catalog()) == ()


_TOO_MANY = [target(str(number)) for number in range(MAX_TARGETS + 1)]


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        ([], "matches no target"),
        (_TOO_MANY, "1001 targets"),
        ([target("a"), target("a", version="2")], "named twice"),
        ([target("a", resource="elsewhere")], "not asked about"),
        ([target("")], "its id has 0 characters"),
        ([target("x" * (MAX_ID + 1))], "its id has 501 characters"),
        ([target(environment="")], "its environment has 0"),
        ([target(version="v" * (MAX_ID + 1))], "its version has 501"),
        ([target(units=-1)], "its units are -1"),
        ([target(units=float("nan"))], "its units are nan"),
        ([target(units=1e300)], "its units are 1e+300"),
        ([target("\ud800")], "cannot be kept"),
        ([target(state={"n": 2**60})], "cannot be kept"),
        ([target(state={"n": "x" * 300_000})], "bytes"),
    ],
)
def test_what_cannot_be_used(targets: list[ResolvedTarget], says: str) -> None:
    """Each answer that cannot be used says why, in printable words that are cut."""
    problem = problem_of(targets, [SHOP])
    assert says in problem
    assert len(problem) <= 300
    assert problem.isprintable()


def test_what_can_be_used_has_no_problem() -> None:
    """The most that may be, and the same id in two resources."""
    assert problem_of(_TOO_MANY[1:], [SHOP]) == ""
    assert problem_of([target("a"), target("a", resource="other")], [SHOP, "other"]) == ""


@pytest.mark.parametrize(
    ("later", "since", "fresh"),
    [
        (timedelta(0), None, True),
        (_MINUTE, None, True),
        (_MINUTE + timedelta(microseconds=1), None, False),
        (-timedelta(seconds=60), None, True),
        (-timedelta(seconds=61), None, False),
        (timedelta(seconds=5), T0, True),
        (timedelta(seconds=5), T0 + timedelta(microseconds=1), False),
    ],
)
def test_how_long_a_resolution_is_good(later: timedelta, since: datetime | None, fresh: bool) -> None:
    """For a minute, up to a minute ahead by another clock, and not from before the last step ended."""
    assert is_fresh(found(), T0 + later, since) is fresh
    assert (check_resolution(found(), DIGEST, T0 + later, since) == []) is fresh


def test_a_resolution_of_another_action_is_found_by_an_audit() -> None:
    """An entry that rests on what was found for another action is wrong."""
    assert check_resolution(None, DIGEST, T0) == []
    assert "not for this action" in check_resolution(found(action_digest="sha256:other"), DIGEST, T0)[0]


_TARGETS = st.lists(
    st.builds(
        ResolvedTarget,
        id=st.sampled_from("abc"),
        resource=st.sampled_from(["one", "two"]),
        environment=st.sampled_from([None, "production"]),
        version=st.sampled_from([None, "1", "2"]),
        units=st.sampled_from([None, 1.0, 2.0]),
    ),
    max_size=5,
)


@given(_TARGETS, _TARGETS)
def test_two_answers_are_the_same_where_they_name_the_same(
    one: list[ResolvedTarget], other: list[ResolvedTarget]
) -> None:
    """Nothing moved exactly where the same ids are there, in the same resources and environments."""
    names = [{(item.resource, item.id, item.environment) for item in items} for items in (one, other)]
    assert (moved([step(*one)], [step(*other)]) == ()) == (names[0] == names[1])


def test_what_moved_is_said_in_words_that_hold() -> None:
    """Which came and which went, cut; what somebody called a thing breaks no line."""
    before, now = [step(target("a"))], [step(*(target(f"x\n{number}") for number in range(5)))]
    came, went = moved(before, now)
    assert came == "step 1 touches pg-orders/x\\n0, pg-orders/x\\n1, pg-orders/x\\n2 and 2 more now"
    assert went == "step 1 does not touch pg-orders/a now"
    assert moved([], now)[0] == came


def test_a_step_that_was_done_stays_as_it_was_approved() -> None:
    """Before step 2 what was approved of step 1 stands in for what is left of it; of step 2 the newest counts."""
    approved = found(step(target("a")), step(target("b"), number=2))
    newest = found(step(problem="gone"), step(target("c"), number=2), at=at(1))
    merged = carried(newest, approved, 2)
    assert [(item.step, [one.id for one in item.targets]) for item in merged.steps] == [(1, ["a"]), (2, ["c"])]
    assert merged.at == at(1)
    assert carried(newest, approved, 1) == newest
    assert carried(merged, approved, 2) == merged


# -- what the rules say ----------------------------------------------------------------------------------------------


def _codes(resolution: TargetResolution | None, **changes: Any) -> list[str]:
    proposal = receive(proposal_json(**changes)).proposal
    return [reason.code for reason in why_impossible(proposal, facts_with(proposal, resolution))]


@pytest.mark.parametrize(
    ("resolution", "changes", "codes"),
    [
        (found(step(target())), {}, []),
        (None, {}, ["unresolved_target"]),
        (found(), {}, ["unresolved_target"]),
        (found(step(problem="nobody there")), {}, ["unresolved_target"]),
        (found(step(target(resource="other"))), {}, ["unresolved_target"]),
        (found(step(target()), at=T0 - timedelta(minutes=2)), {}, ["unresolved_target"]),
        (found(step(target(environment="production"))), {}, []),
        (found(step(target(environment="staging"))), {}, ["environment_mismatch"]),
        (found(step(target())), {"expected_targets": [SHOP]}, []),
        (found(step(target())), {"expected_targets": ["a"]}, []),
        (found(step(target())), {"expected_targets": [f"{SHOP}/a"]}, []),
        (found(step(target(), target("b"))), {"expected_targets": ["a"]}, ["target_mismatch"]),
        (found(step(target())), {"expected_targets": ["a", SHOP]}, ["target_mismatch"]),
        (None, {"steps": [step_json(parameters={"name": 7})]}, ["bad_parameter"]),
    ],
)
def test_why_nothing_runs(resolution: TargetResolution | None, changes: dict[str, Any], codes: list[str]) -> None:
    """What was not found, not lately, not there or not here denies before any rule is read."""
    assert _codes(resolution, **changes) == codes


def test_what_is_not_resolved_by_the_registry_is_as_it_was() -> None:
    """Without `resolves` nothing is missing, and what somebody found all the same counts for nothing."""
    proposal = receive(proposal_json()).proposal
    facts = facts_with(proposal, found(step(target("a"), target("b"))), known=a_registry())
    assert why_impossible(proposal, facts) == ()
    assert (facts.touched, facts.targets_of(1)) == (1, ())


def test_targets_count_where_ids_do() -> None:
    """Two steps on three different things count three; the ids of the catalog count where they are more."""
    proposal = receive(proposal_json(steps=[step_json(), step_json(name="again")])).proposal
    both = found(step(target("a"), target("b")), step(target("b"), target("c"), number=2))
    assert facts_with(proposal, both).touched == 3
    assert facts_with(proposal, None).touched == 1


def test_units_are_those_of_what_was_found() -> None:
    """All of them, where each says how many it is; else nobody knows."""
    counting = registry("counts: {resolved_units: true}")
    proposal = receive(proposal_json()).proposal

    def units(*targets: ResolvedTarget) -> float | None:
        return facts_with(proposal, found(step(*targets)), known=counting).units_touched

    assert units(target("a", units=2), target("b", units=3)) == 5
    assert units(target("a", units=2), target("b")) is None
    assert facts_with(proposal, None, known=counting).units_touched is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"{name: pg.reset, resolves: true, ", "its inverse pg.reset resolves"),
        (b"{name: pg.reset, counts: {resolved_units: true}, ", "does not resolve"),
        (b"{name: pg.reset, counts: {resolved_units: true, all: true}, ", "counts needs one of"),
    ],
)
def test_a_registry_that_contradicts_itself_is_refused(text: bytes, says: str) -> None:
    """An undo acts on what was found for its step, and what is counted has to be found."""
    with pytest.raises(DocumentError, match=says):
        read_operations(OPERATIONS.replace(b"{name: pg.reset, ", text))


# -- drift and gate --------------------------------------------------------------------------------------------------


def _revision(resolution: TargetResolution | None, number: int = 1, **changes: Any) -> Revision:
    received = receive(proposal_json(**changes))
    facts = facts_with(received.proposal, resolution)
    return assess_revision(
        received, facts, a_policy(), DIGESTS, revision=number, assessed_at=T0, absolute_deadline=at(1000)
    )


def test_another_target_is_material_and_another_version_is_not() -> None:
    """Ids and environment make the set; version, units and state move without anybody being asked again."""
    base = _revision(found(step(target("a", version="1", units=1, state={"n": 1}))))
    same = _revision(found(step(target("a", version="2", units=2, state={"n": 2}))), 2)
    other = _revision(found(step(target("a"), target("b"))), 2)
    assert [text for text in compare(base, same, UNSAID).changes if "touch" in text] == []
    assert effect_of(base) == effect_of(same) != effect_of(other)
    drift = compare(base, other, UNSAID)
    assert (drift.kind, drift.rule, drift.changes[0]) == (
        "material",
        "target_changed",
        "step 1 touches pg-orders/b now",
    )


def _gate(
    approved: TargetResolution | None, now: TargetResolution | None, number: int = 1, **changes: Any
) -> DispatchInputs:
    received = receive(proposal_json(**changes))
    return gate_inputs(
        received.proposal,
        _revision(approved, **changes),
        step=number,
        now=T0,
        ballots=(),
        resolution="approved",
        stop=None,
        closed=False,
        facts=facts_with(received.proposal, now),
        document=a_policy(),
        directory=a_directory(),
        records=(),
    )


def _refused(inputs: DispatchInputs) -> set[str]:
    return {reason.code for reason in may_dispatch(inputs)} - {
        "approval_lapsed",
        "no_case",
        "policy_stricter",
        "denied",
    }


def test_the_gate_holds_what_was_found_against_what_was_approved() -> None:
    """The same set passes; another one closes the gate for what people can cure, an unknown one for good."""
    approved = found(step(target("a", version="1")))
    assert _refused(_gate(approved, found(step(target("a", version="2"))))) == set()
    changed = _gate(approved, found(step(target("b"))))
    assert _refused(changed) == {"target_changed"}
    assert curable(changed, may_dispatch(changed))
    unknown = _gate(approved, None)
    assert "target_not_resolved" in _refused(unknown)
    assert not curable(unknown, may_dispatch(unknown))
    assert "target_changed" in _refused(_gate(None, found(step(target("a")))))


def test_a_later_step_asks_nothing_of_those_before() -> None:
    """That nobody finds the first step's target any more is no reason against the second."""
    steps = [step_json(), step_json(name="again")]
    approved = found(step(target("a")), step(target("b"), number=2))
    now = carried(found(step(problem="gone"), step(target("b"), number=2)), approved, 2)
    assert _refused(_gate(approved, now, 2, steps=steps)) == {"step_order"}
    missing = carried(found(step(target("a")), step(problem="gone", number=2)), approved, 2)
    assert "target_not_resolved" in _refused(_gate(approved, missing, 2, steps=steps))


def test_both_permits_of_a_step_name_what_was_found() -> None:
    """The one to do with versions, the one to undo without; each with the digest of its own list."""
    received, approved = receive(proposal_json()), found(step(target("b", version="2"), target("a", version="1")))
    revision = _revision(approved)
    targets = facts_with(received.proposal, approved).targets_of(1)
    forward, undo = issue(
        received.proposal,
        revision,
        DIGEST,
        step=1,
        now=T0,
        document=a_policy(),
        assurance=Assurance.aal1,
        targets=targets,
    )
    assert (forward.direction, undo.direction) == (Direction.do, Direction.undo)
    assert [(item.id, item.version) for item in forward.targets] == [("a", "1"), ("b", "2")]
    assert [(item.id, item.version) for item in undo.targets] == [("a", None), ("b", None)]
    for permit in (forward, undo):
        assert permit.targets_digest == targets_digest(permit.targets)
    dumped = issue(received.proposal, revision, DIGEST, step=1, now=T0, document=a_policy(), assurance=Assurance.aal1)[
        0
    ].model_dump(mode="json")
    assert {"targets", "targets_digest", "over_by"}.isdisjoint(dumped)


def test_since_when_a_step_has_to_be_resolved() -> None:
    """Since the last report; without one, since ever."""
    report = EffectReport(permit_id="x", status="succeeded", effect="done", started_at=T0, finished_at=at(2))
    done = StepRecord(step=1, direction="do", use="claimed", report=report)
    assert ended_at([done, StepRecord(step=2, direction="do", use="claimed")]) == at(2)
    assert ended_at([]) is None
