"""What the gate is told of those who voted."""

from collections.abc import Callable

import pytest

from policy.approval.standing import Ballot
from policy.base import Reason
from policy.document import PolicySet, Verdict
from policy.gate import DispatchInputs, case_of_today, may_dispatch
from policy.gate_inputs import gate_inputs
from policy.operations import MinimumCriterion, Probe
from policy.people.directory import Directory, Person
from policy.people.facts import PersonFacts
from policy.proposal import receive
from policy.revision import DocumentDigests, Revision, assess_revision
from tests.unit.asking import policy_with
from tests.unit.builders import POLICY, a_ballot, a_directory, a_policy, at, facts_of, proposal_json
from tests.unit.people import people

EASY = (MinimumCriterion(probe="easy.probe", equals=True),)
DIGESTS = DocumentDigests(policy="p", operations="o", catalog="c", directory="d")


def _groups(directory: Directory, *voters: str) -> dict[str, tuple[str, ...]]:
    found = _people(directory, *(a_ballot(voter, "approve", 1) for voter in voters))
    return {name: person.groups for name, person in found.items()}


def _people(directory: Directory, *ballots: Ballot, policy: PolicySet | None = None) -> dict[str, PersonFacts]:
    """What the gate is told of people five minutes after the case opened."""
    policy = policy or a_policy()
    received = receive(proposal_json())
    facts = facts_of(received.proposal)
    revision = assess_revision(
        received, facts, policy, DIGESTS, revision=1, assessed_at=at(0), absolute_deadline=at(1000)
    )
    inputs = gate_inputs(
        received.proposal,
        revision,
        step=1,
        now=at(5),
        ballots=ballots,
        resolution="approved",
        stop=None,
        closed=False,
        facts=facts,
        document=policy,
        directory=directory,
        records=(),
    )
    assert inputs.people_now is not None
    return inputs.people_now


def _asked(policy: PolicySet, minutes: float) -> tuple[Revision, DispatchInputs]:
    """The revision of 09:00 under a policy, and what the gate is told so many minutes later."""
    received = receive(proposal_json())
    before, later = (
        (facts := facts_of(received.proposal)).model_copy(
            update={"observed": facts.observed.model_copy(update={"at": at(when)})}
        )
        for when in (0, minutes)
    )
    revision = assess_revision(
        received, before, policy, DIGESTS, revision=1, assessed_at=at(0), absolute_deadline=at(1000)
    )
    inputs = gate_inputs(
        received.proposal,
        revision,
        step=1,
        now=at(minutes),
        ballots=(),
        resolution="approved",
        stop=None,
        closed=False,
        facts=later,
        document=policy,
        directory=a_directory(),
        records=(),
    )
    return revision, inputs


_WINDOWED = (
    "- {id: wait, match: {environments: [production]}, verdict: hold, chain: one, windows: [mornings], outside: deny}"
)


def test_the_calendars_of_now_are_asked() -> None:
    """Within the window the permit ends with it; after it what was held is denied, and the gate is told so."""
    policy = policy_with(_WINDOWED)
    assert (_asked(policy, 30)[1].verdict_now, _asked(policy, 30)[1].permit_until_now) == (Verdict.hold, at(60))
    closed = _asked(policy, 60)[1]
    assert (closed.assessed_verdict, closed.verdict_now, closed.permit_until_now) == (Verdict.hold, Verdict.deny, None)
    assert "policy_stricter" in {reason.code for reason in may_dispatch(closed)}


@pytest.mark.parametrize(("minutes", "closed"), [(30, False), (58.9, False), (59, True), (59.9, True)])
def test_a_step_that_would_outlast_its_window_is_not_permitted(minutes: float, closed: bool) -> None:
    """The window closes after an hour and the step may take a minute: from the 59th minute on it is too late."""
    inputs = _asked(policy_with(_WINDOWED), minutes)[1]
    assert inputs.latest_start_now == at(59)
    assert ("window_too_short" in {reason.code for reason in may_dispatch(inputs)}) is closed


def test_without_a_window_there_is_always_time() -> None:
    """Nothing closes: the step may begin whenever the gate holds."""
    inputs = _asked(a_policy(), 30)[1]
    assert (inputs.permit_until_now, inputs.latest_start_now) == (None, None)
    assert "window_too_short" not in {reason.code for reason in may_dispatch(inputs)}


def test_who_granted_an_exception_or_wrote_the_policy_is_no_approver() -> None:
    """Both stand beside those who ask, when people are asked and when the gate is."""
    exception = (
        "exceptions: [{id: e, when: 'true', lifts: [never], approved_by: [dan], reason: so,"
        " granted_at: 2029-12-31T00:00:00Z, expires_at: 2030-01-01T09:30:00Z}]\n"
    )
    never = "- {id: never, match: {environments: [production]}, verdict: deny}"
    policy = policy_with(never, more=exception, metadata="authors: [cleo]")
    revision, inputs = _asked(policy, 10)
    case = revision.case()

    assert case is not None
    assert case.requesters == inputs.requesters_now == ("ann", "cleo", "dan")
    assert inputs.permit_until_now == at(30)


def test_an_alias_of_a_voter_is_no_second_person() -> None:
    """A vote under an id that has become somebody's alias keeps no group: one person fills one seat."""
    one = Person(id="one", groups=("dba",), aliases=("two",))
    directory = a_directory().model_copy(update={"people": (one,), "agents": ()})

    assert _groups(directory, "one", "two") == {"one": ("dba",)}


def test_a_directory_is_told_as_old_as_it_is() -> None:
    """Where a policy says how old the directory may be, the gate is told that and when it was true; else neither."""
    policy = policy_with(_WINDOWED, more="max_directory_age: 1d\n")
    inputs = _asked(policy, 30)[1]
    assert (inputs.directory_at, inputs.directory_seconds) == (None, 86_400)
    assert "directory_stale" in {reason.code for reason in may_dispatch(inputs)}
    inputs = _asked(policy_with(_WINDOWED), 30)[1]
    assert (inputs.directory_at, inputs.directory_seconds) == (None, None)


def test_who_acted_for_somebody_is_asked_about_together() -> None:
    """A delegate is told under an id of their own, the delegator, and both together as long as the delegation holds."""
    given = {"id": "d", "delegator": "ann", "delegate": "cleo", "since": at(0), "reason": "away"}
    ballot = a_ballot("cleo", "approve", 1).model_copy(update={"delegator": "ann"})
    two = ({"id": "ann", "groups": ["ops"]}, {"id": "cleo"})
    lasts, ended = (_people(people(*two, delegations=[{**given, "until": until}]), ballot) for until in (at(6), at(5)))
    assert (sorted(lasts), sorted(ended)) == (["ann", "cleo", "cleo for ann"], ["ann", "cleo"])
    assert (lasts["cleo for ann"].groups, lasts["cleo"].groups) == (("ops",), ())


def test_conditions_are_asked_again() -> None:
    """What a chain asks about people is asked of whoever voted, as they are today."""
    policy = a_policy(POLICY.replace(b"{groups: [ops]}", b"{groups: [ops], when: person.team == 'shop'}"))
    directory = people({"id": "ann", "team": "shop"}, {"id": "bob", "team": "other"})
    found = _people(directory, a_ballot("ann", "approve", 1), a_ballot("bob", "approve", 2), policy=policy)
    assert {name: person.satisfies for name, person in found.items()} == {"ann": ("person.team == 'shop'",), "bob": ()}


def test_who_left_keeps_no_group() -> None:
    """Nobody in the directory, no entry."""
    directory = a_directory().model_copy(update={"people": (), "agents": ()})

    assert _groups(directory, "one") == {}


def _operation(revision: Revision, **changes: object) -> Revision:
    name = next(iter(revision.facts.operations))
    operations = {**revision.facts.operations, name: revision.facts.operations[name].model_copy(update=changes)}
    return revision.model_copy(update={"facts": revision.facts.model_copy(update={"operations": operations})})


def _facts(revision: Revision, **changes: object) -> Revision:
    return revision.model_copy(update={"facts": revision.facts.model_copy(update=changes)})


ANYTHING = Probe(name="pg.waits", executor="metrics", type="number", query="vector(0)")
# What a compromised control worker stores as the assessment, and what the gate says of it.
FORGED: dict[str, tuple[Callable[[Revision], Revision], str]] = {
    "of another proposal, so that one approval has permits under many ids": (
        lambda revision: revision.model_copy(update={"proposal_id": "p-2"}),
        "it is an assessment of p-2",
    ),
    "for another executor": (lambda revision: _operation(revision, executor="memory"), "was assessed for executor"),
    "with success that asks for less": (lambda revision: _operation(revision, criteria=EASY), "has other criteria"),
    "measured by another text": (
        lambda revision: _facts(revision, probes={"pg.waits": ANYTHING}),
        "probe pg.waits is read in another way",
    ),
    "guarded somewhere else": (
        lambda revision: _facts(revision, guarded={"component:till": ("web/quiet",)}),
        "what its guards are measured on is not what it was",
    ),
}


@pytest.mark.parametrize(("forged", "why"), FORGED.values(), ids=FORGED)
def test_nothing_that_a_permit_takes_from_an_assessment_is_believed(
    forged: Callable[[Revision], Revision], why: str
) -> None:
    """Whoever assesses writes the row; the gate compares what a permit would say with the documents of today."""
    found = _gate(forged)
    assert [item.code for item in found if why in item.message] == ["assessment_differs"]
    assert "assessment_differs" not in [item.code for item in _gate(lambda revision: revision)]


def _gate(forged: Callable[[Revision], Revision]) -> tuple[Reason, ...]:
    return may_dispatch(_inputs(forged))


def _inputs(forged: Callable[[Revision], Revision], teams: tuple[str, ...] = ()) -> DispatchInputs:
    received, policy = receive(proposal_json()), a_policy()
    facts = facts_of(received.proposal).model_copy(update={"teams": teams})
    revision = assess_revision(
        received, facts, policy, DIGESTS, revision=1, assessed_at=at(0), absolute_deadline=at(1000)
    )
    return gate_inputs(
        received.proposal,
        forged(revision),
        step=1,
        now=at(5),
        ballots=(),
        resolution="approved",
        stop=None,
        closed=False,
        facts=facts,
        document=policy,
        directory=a_directory(),
        records=(),
    )


def _teams(*names: str) -> Callable[[Revision], Revision]:
    return lambda revision: revision.model_copy(update={"facts": revision.facts.model_copy(update={"teams": names})})


def test_the_teams_of_who_asks_are_those_of_then_and_today() -> None:
    """A forged assessment that names another team makes nobody an outsider."""
    assert case_of_today(_inputs(_teams("elsewhere"), ("payments",))).teams == ("elsewhere", "payments")
    assert case_of_today(_inputs(_teams("elsewhere"))).teams == ()
    assert case_of_today(_inputs(_teams("payments"), ("payments",))).teams == ("payments",)
