"""The facts, the ids, and what all rules share."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from policy.base import instant_text
from policy.errors import MESSAGE_LIMIT, explain
from policy.facts import collect
from policy.observed import DraftFact, Observed
from policy.operations import RiskTier
from policy.permit import Direction, entry_id, permit_id
from policy.proposal import ActionProposal
from tests.unit.builders import T0, a_catalog, a_directory, a_proposal, a_registry, facts_of, proposal_json, step_json
from tests.unit.people import people


def test_what_is_known_of_a_proposal() -> None:
    """Facts come from catalog, directory and registry; nothing of them is the proposer's word."""
    facts = facts_of(a_proposal(target="Component:Orders", on_behalf_of="ann@example.org"))
    assert (facts.target_known, facts.target_environment, facts.resolved) == (True, "production", ("pg-orders",))
    assert [item.ref for item in facts.reach.nearest] == ["component:default/shop"]
    assert (facts.agent_owner, facts.on_behalf_of, facts.requesters) == ("ann", "ann", ("ann",))
    assert sorted(facts.operations) == ["pg.reset", "pg.set"]
    assert (facts.unregistered, facts.bad_parameters) == ((), ())


_ASKING = {
    "one of each": (
        {"ann": "a", "bob": "b", "cleo": "c"},
        {"owner": "ann", "scheduled_by": ["bob"]},
        "cleo",
        ("ann", "bob", "cleo"),
        ("a", "b", "c"),
    ),
    "an account stands for who answers for it": (
        {"ann": "a", "bob": "a"},
        {"owner": "ann"},
        "ci",
        ("ann", "bob"),
        ("a",),
    ),
    "the agent's own team": ({"ann": "a"}, {"owner": "ann", "team": "robots"}, "ann", ("ann",), ("a", "robots")),
    "a team that nobody knows": ({"ann": "a", "bob": ""}, {"owner": "ann"}, "bob", ("ann", "bob"), ()),
    "no person at all": ({"ann": "a"}, {"owner": "ann"}, "tuner", ("ann",), ("a",)),
}


@pytest.mark.parametrize(("teams", "agent", "behalf", "requesters", "expected"), _ASKING.values(), ids=_ASKING)
def test_who_asks(
    teams: dict[str, str], agent: dict[str, Any], behalf: str, requesters: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    """The agent's owner, whoever schedules it and whom it acts for ask together; their teams are known all or not."""
    everybody = [{"id": name, "team": team, "until": T0} for name, team in teams.items()]
    accounts = [{"id": "ci", "owner": "bob" if "bob" in teams else "ann"}]
    facts = collect(
        a_proposal(on_behalf_of=behalf),
        catalog=a_catalog(),
        directory=people(*everybody, agents=[{"id": "tuner", **agent}], service_accounts=accounts),
        registry=a_registry(),
        observed=Observed(),
    )
    assert (facts.requesters, facts.teams) == (requesters, expected)
    assert (facts.on_behalf_of is None) == (behalf == "tuner")


def test_who_wrote_a_draft_asks_with_their_team() -> None:
    """An author is a person whatever they are called by, and one whom nobody knows has no team that anybody knows."""
    directory = people({"id": "ann", "team": "a", "aliases": ["x"]}, agents=[{"id": "tuner", "owner": "ann"}])
    for author, requesters, teams in (("x", ("ann",), ("a",)), ("ghost", ("ann", "ghost"), ())):
        draft = DraftFact(kind="policy", digest="d", authors=(author,))
        facts = collect(
            a_proposal(),
            catalog=a_catalog(),
            directory=directory,
            registry=a_registry(),
            observed=Observed(draft=draft),
        )
        assert (facts.requesters, facts.teams) == (requesters, teams)


def test_whoever_runs_the_executor_of_a_step_or_an_undo_is_known() -> None:
    """By the names that the registry has for the executors; who runs another one is not meant."""
    runs = [{"name": "postgres", "operators": ["bob", "ann"]}, {"name": "kubernetes", "operators": ["cleo"]}]
    for executors, operators in ((runs, ("ann", "bob")), ([], ())):
        facts = collect(
            a_proposal(),
            catalog=a_catalog(),
            directory=people(*({"id": name} for name in ("ann", "bob", "cleo")), executors=executors),
            registry=a_registry(),
            observed=Observed(),
        )
        assert (facts.operators, "operators" in facts.model_dump()) == (operators, bool(operators))


def test_what_is_not_known() -> None:
    """What nobody knows is none, and nothing is resolved; it is never everything."""
    facts = facts_of(a_proposal(target="nothing", agent={"id": "stray"}, on_behalf_of="bob"))
    assert (facts.target_known, facts.resolved, facts.reach.total) == (False, (), 0)
    assert facts.unresolved == "component:default/nothing is not in the catalog"
    assert (facts.agent_owner, facts.requesters) == (None, ("bob",))


def test_an_operation_that_was_not_looked_up_is_the_worst() -> None:
    """A fact that is missing is assumed to be bad."""
    assert facts_of(a_proposal(), operations={}).operation("pg.set").floor is RiskTier.critical


def test_wrong_parameters_are_found_whoever_asks() -> None:
    """Collecting finds wrong parameters itself."""
    facts = collect(
        a_proposal(steps=[step_json(parameters={"name": 5})]),
        catalog=a_catalog(),
        directory=a_directory(),
        registry=a_registry(),
        observed=Observed(),
    )
    assert [item.message for item in facts.bad_parameters] == ["step set: parameter name = 5 is not of type string"]


def test_ids_follow_from_what_they_are_for() -> None:
    """The same step gives the same permit id, another step, revision or direction another."""
    ids = {
        permit_id(name, revision, step, direction)
        for name in ("p-1", "p-2")
        for revision in (1, 2)
        for step in (1, 2)
        for direction in Direction
    }
    assert len(ids) == 16
    assert permit_id("p-1", 1, 1, Direction.do) in ids
    assert entry_id("p-1", "result") == entry_id("p-1", "result") != entry_id("p-1", "result", 1)


INSTANTS = {
    "2030-01-01T09:00:00Z": datetime(2030, 1, 1, 9, tzinfo=UTC),
    "2030-01-01T08:00:00Z": datetime(2030, 1, 1, 9, tzinfo=timezone(timedelta(hours=1))),
    "2030-01-01T09:00:00.000001Z": datetime(2030, 1, 1, 9, microsecond=1, tzinfo=UTC),
}


@pytest.mark.parametrize(("text", "at"), INSTANTS.items(), ids=INSTANTS)
def test_one_text_per_instant(text: str, at: datetime) -> None:
    """An instant has one text, in UTC."""
    assert instant_text(at) == text


def test_an_instant_without_an_offset_has_no_text() -> None:
    """What means another instant on another machine is refused."""
    with pytest.raises(ValueError, match="has no offset"):
        instant_text(datetime(2030, 1, 1, 9))  # noqa: DTZ001


def test_explanations_are_short() -> None:
    """However much is wrong, the explanation is one short line that begins with the first field."""
    with pytest.raises(ValidationError) as raised:
        ActionProposal.model_validate(proposal_json(**{f"extra_{number}": "x" * 500 for number in range(50)}))
    text = explain(raised.value)
    assert len(text) == MESSAGE_LIMIT
    assert text.startswith("extra_0: extra inputs are not permitted (got 'xxx")
    assert text.endswith("…")


def test_the_agent_of_the_command_line_hides_nobody() -> None:
    """What proposes documents for a person proposes nothing else: a platform's agent has an owner of its own."""
    assert facts_of(a_proposal(agent={"id": "agent:countersign"})).agent_owner is None
