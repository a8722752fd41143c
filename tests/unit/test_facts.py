"""The facts, the ids, and what all rules share."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from policy.base import instant_text
from policy.errors import MESSAGE_LIMIT, explain
from policy.facts import collect
from policy.observed import Observed
from policy.operations import RiskTier
from policy.permit import Direction, entry_id, permit_id
from policy.proposal import ActionProposal
from tests.unit.builders import a_catalog, a_directory, a_proposal, a_registry, facts_of, proposal_json, step_json


def test_what_is_known_of_a_proposal() -> None:
    """Facts come from catalog, directory and registry; nothing of them is the proposer's word."""
    facts = facts_of(a_proposal(target="Component:Orders", on_behalf_of="ann@example.org"))
    assert (facts.target_known, facts.target_environment, facts.resolved) == (True, "production", ("pg-orders",))
    assert [item.ref for item in facts.reach.nearest] == ["component:default/shop"]
    assert (facts.agent_owner, facts.on_behalf_of, facts.requesters) == ("ann", "ann", ("ann",))
    assert sorted(facts.operations) == ["pg.reset", "pg.set"]
    assert (facts.unregistered, facts.bad_parameters) == ((), ())


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
