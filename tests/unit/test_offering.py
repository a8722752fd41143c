"""The safer alternative: what becomes of it, what it is compared with, and when it is offered."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import ProposalError
from policy.impact import ImpactAssessment
from policy.judging import judge
from policy.offering import alternatives, consider, raised
from policy.operations import RiskTier
from policy.proposal import ReceivedProposal, receive
from tests.unit.builders import a_policy, facts_of, proposal_json, step_json

RESET = {
    "operation": "pg.reset",
    "summary": "take the value away instead",
    "steps": [step_json("pg.reset", name="reset", undo=None)],
    "success_criteria": [{"probe": "pg.setting", "parameters": {"name": "work_mem"}, "equals": "4MB"}],
}
END = {**RESET, "operation": "pg.end_session", "steps": [step_json("pg.end_session", name="end", undo=None)]}
DROP = {**RESET, "operation": "pg.drop", "steps": [step_json("pg.drop", name="drop", undo=None)]}
WORDS = {"operation": "pg.reset", "summary": "think again"}


def judged(received: ReceivedProposal) -> Any:
    """A proposal, judged in the small world."""
    return judge(a_policy(), received.proposal, facts_of(received.proposal))


def considered(alternative: dict[str, Any], **changes: Any) -> Any:
    """What comes of one alternative."""
    original = receive(proposal_json(alternatives=[WORDS, alternative], **changes))
    ((number, found),) = alternatives(original)
    assert not isinstance(found, str)
    return consider(number, found, judged(original), judged(found))


@pytest.mark.parametrize(
    ("alternative", "offered", "why"),
    [
        (END, True, ""),
        (DROP, False, "it is higher on"),
        (RESET | {"steps": [step_json("pg.reset", name="reset", undo="pg.drop")]}, False, "it is higher on"),
        (END | {"steps": [{**END["steps"][0], "parameters": {"pid": "all"}}]}, False, "it would be denied"),
    ],
    ids=["safer", "worse", "safer with a worse undo", "denied"],
)
def test_what_is_offered(alternative: dict[str, Any], offered: bool, why: str) -> None:
    """Only what is no higher on anything and would not be denied."""
    found = considered(alternative)
    assert (found.number, found.offer is not None) == (2, offered)
    assert why in found.why


def test_it_is_a_proposal_of_its_own() -> None:
    """Same target, agent and person; its own id, operation, steps, criteria and words; and whose it is."""
    offer = considered(END, change_type="emergency", remedies="p-0").offer
    assert offer is not None
    value = offer.proposal
    assert (value["proposal_id"], value["alternative_to"]) == ("p-1.alternative-2", "p-1")
    assert (value["operation"], value["rationale"]) == ("pg.end_session", END["summary"])
    assert (value["target"], value["agent"], value["remedies"]) == ("orders", {"id": "tuner", "confidence": 0.9}, "p-0")
    assert "alternatives" not in value
    assert receive(value).action_digest == offer.action_digest


def test_an_id_that_is_too_long_leaves_nothing_to_offer() -> None:
    """What cannot be a proposal says why, and nothing is raised."""
    ((_, why),) = alternatives(receive(proposal_json(proposal_id="p" * 95, alternatives=[END])))
    assert isinstance(why, str)
    assert "proposal_id" in why


@pytest.mark.parametrize("missing", ["steps", "success_criteria"])
def test_steps_and_criteria_belong_together(missing: str) -> None:
    """An alternative with one of them could be run by nobody, or measured by nothing."""
    half = {name: value for name, value in END.items() if name != missing}
    with pytest.raises(ProposalError, match="belong together"):
        receive(proposal_json(alternatives=[half]))


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6), st.integers(0, 5), st.floats(0.001, 1))
def test_higher_on_anything_is_seen(values: list[float], at: int, more: float) -> None:
    """The same assessment is higher on nothing; one indicator more, and it is named."""
    assessment: ImpactAssessment = judged(receive(proposal_json())).assessment
    names = [item.name for item in assessment.indicators][: len(values)]
    rest = assessment.indicators[len(values) :]
    pairs = zip(assessment.indicators, values, strict=False)
    before = assessment.model_copy(
        update={"indicators": (*(item.model_copy(update={"value": value}) for item, value in pairs), *rest)}
    )
    assert raised(before, before) == ()
    indicators = list(before.indicators)
    indicators[at] = indicators[at].model_copy(update={"value": values[at] + more})
    assert raised(before, before.model_copy(update={"indicators": tuple(indicators)})) == (names[at],)
    higher = before.model_copy(update={"risk_score": before.risk_score + 1, "risk_tier": RiskTier.critical})
    assert "risk_score" in raised(before, higher)
