"""Breaking a glass: by whom, how often, what an overdue review costs, and what the review is."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from policy.approval.standing import refuse, stand
from policy.breaking import broken
from policy.document import read_policy
from policy.errors import DocumentError
from policy.judging import judge
from policy.observed import GlassBreak
from policy.people.facts import PersonFacts
from policy.proposal import ActionProposal, receive
from policy.reviewing import found_by, review_of
from policy.revision import DocumentDigests, Revision, assess_revision
from policy.rules.exceptions import BreakGlass
from tests.unit.builders import POLICY, T0, a_ballot, a_policy, a_proposal, facts_of, proposal_json

DAY = timedelta(days=1)
GLASS = BreakGlass.model_validate(
    {
        "id": "outage",
        "match": {"environments": ["production"]},
        "chain": "quick",
        "review_within": "2d",
        "dual_control": "both",
        "budget": {"count": 2, "days": 30},
        "who": {"groups": ["ops"]},
    }
)
ANN, OLGA = PersonFacts(person_id="ann", groups=("ops",)), PersonFacts(person_id="olga", groups=())
BROKEN = (
    POLICY
    + b"""  quick: {stages: [{name: quick, requirements: [{groups: [sre]}], deadline: 10m}]}
  both: {stages: [{name: both, requirements: [{groups: [sre]}, {groups: [dba]}], deadline: 10m}]}
  looking: {stages: [{name: looking, requirements: [{groups: [dba]}], deadline: 10m, on_expiry: cancel}]}
break_glass:
  - id: outage
    match: {operations: [pg.set, pg.reset]}
    chain: quick
    review: looking
    dual_control: both
    review_within: 2d
    budget: {count: 2, days: 30}
"""
)


def a_break(
    person: str = "ann", days: float = 1, *, glass: str = "outage", closed: bool = True, due: float = 1
) -> GlassBreak:
    """Somebody broke a glass so many days ago, with a review that is due in so many days."""
    at = T0 - days * DAY
    return GlassBreak(
        break_glass=glass, person=person, proposal_id=f"p-{person}-{days}", at=at, due_at=T0 + due * DAY, closed=closed
    )


@dataclass(frozen=True)
class Case:
    """Who stands behind an emergency, what was broken before, whom it asks, and a part of why."""

    chain: str | None
    why: str = ""
    behind: tuple[PersonFacts, ...] = (ANN,)
    breaks: tuple[GlassBreak, ...] = ()
    glass: BreakGlass = GLASS


BARE = GLASS.model_copy(update={"dual_control": None})
CASES = {
    "somebody who may": Case("quick"),
    "the agent's owner may": Case("quick", behind=(OLGA, ANN)),
    "nobody who may": Case(None, "olga may not break it, that is for ops", behind=(OLGA,)),
    "nobody known": Case(None, "nobody known may not break it", behind=()),
    "anybody, where the glass names nobody": Case(
        "quick", behind=(OLGA,), glass=GLASS.model_copy(update={"who": None})
    ),
    "within the budget": Case("quick", breaks=(a_break(),)),
    "over the budget": Case("both", "ann broke it 2 times in 30 days", breaks=(a_break(days=1), a_break(days=29))),
    "a break that is long ago": Case("quick", breaks=(a_break(days=1), a_break(days=30))),
    "breaks of another glass": Case("quick", breaks=(a_break(days=1, glass="x"), a_break(days=2, glass="x"))),
    "breaks of another person": Case("quick", breaks=(a_break("olga", 1), a_break("olga", 2))),
    "the owner's breaks, behind another name": Case(
        "both", "ann broke it", behind=(OLGA, ANN), breaks=(a_break(days=1), a_break(days=2))
    ),
    "over the budget, without dual control": Case(
        None, "the usual chain is asked", breaks=(a_break(days=1), a_break(days=2)), glass=BARE
    ),
    "an overdue review": Case("both", "is overdue for ann", breaks=(a_break(closed=False, due=-0.01),)),
    "an overdue review of another glass": Case(
        "both", "is overdue for ann", breaks=(a_break(glass="x", closed=False, due=-1),)
    ),
    "an overdue review of somebody else": Case("quick", breaks=(a_break("olga", closed=False, due=-1),)),
    "a review that is due": Case("quick", breaks=(a_break(closed=False, due=0),)),
    "a review that was answered late": Case("quick", breaks=(a_break(closed=True, due=-1),)),
}


@pytest.mark.parametrize("name", CASES)
def test_whom_an_emergency_asks(name: str) -> None:
    """The glass's chain, dual control, or the usual chain; and it is said why."""
    case = CASES[name]
    found = broken(case.glass, case.behind, case.breaks, T0)
    assert found.chain == case.chain
    assert case.why in (found.reason.message if found.reason else "")
    assert (found.reason is None) == (case.why == "")


def test_without_an_instant_every_count_is_over() -> None:
    """What nobody can date is not within a budget, and every open review is overdue."""
    assert broken(GLASS, (ANN,), (), None).chain == "both"
    open_glass = GLASS.model_copy(update={"budget": None})
    assert broken(open_glass, (ANN,), (a_break(closed=False, due=9),), None).chain == "both"


def test_a_policy_says_why_another_chain_is_asked() -> None:
    """Where dual control is asked, the evaluation has its chain, the glass and the reason; a limit still denies."""
    proposal = a_proposal(change_type="emergency")
    facts = facts_of(proposal, glass=(a_break(days=1), a_break(days=2)))
    found = judge(a_policy(BROKEN), proposal, facts).evaluation
    assert (found.chain_name, found.break_glass) == ("both", "outage")
    assert "dual_control" in [reason.code for reason in found.reasons]
    limited = BROKEN.replace(b"limits:\n", b"limits:\n  - {id: no, match: {operations: [pg.set]}, reason: no}\n")
    assert judge(a_policy(limited), proposal, facts).evaluation.reasons[0].code == "limit"


def _revision(**changes: Any) -> tuple[ActionProposal, Revision]:
    received = receive(proposal_json(change_type="emergency", **changes))
    digests = DocumentDigests(policy="p", operations="o", catalog="c", directory="d")
    facts = facts_of(received.proposal)
    return received.proposal, assess_revision(
        received, facts, a_policy(BROKEN), digests, revision=1, assessed_at=T0, absolute_deadline=T0 + DAY
    )


def test_a_review_is_owed_by_who_stands_behind_it() -> None:
    """Due within the glass's time, asked of its review chain; a dry run and what breaks no glass owe none."""
    proposal, revision = _revision()
    review = review_of(proposal, revision, "sha256:a", T0)
    assert review is not None
    assert (review.people, review.due_at, review.chain.stages[0].name) == (("ann",), T0 + 2 * DAY, "looking")
    assert (review.overdue(T0 + 2 * DAY), review.overdue(T0 + 2 * DAY + timedelta(seconds=1))) == (False, True)
    dry, its = _revision(dry_run=True)
    assert review_of(dry, its, "sha256:a", T0) is None
    usual = judge(a_policy(BROKEN), a_proposal(), facts_of(a_proposal())).evaluation
    assert (usual.break_glass, usual.review) == (None, None)


@pytest.mark.parametrize(("vote", "found"), [("approve", "in_order"), ("deny", "at_fault"), ("abstain", None)])
def test_time_does_not_end_a_review(vote: str, found: str | None) -> None:
    """A year later it is still open, and then people answer it; who owes it cannot approve it."""
    proposal, revision = _revision()
    review = review_of(proposal, revision, "sha256:a", T0)
    assert review is not None
    ballot = a_ballot("cleo", vote, 365 * 24 * 60, "dba")
    assert found_by(stand(review.case(), ballot.received_at, deadline_counts_as_passed=True)) is None
    assert refuse(review.case(), ballot) is None
    assert found_by(stand(review.case((ballot,)), ballot.received_at, deadline_counts_as_passed=False)) == found
    own = refuse(review.case(), a_ballot("ann", "approve", 1, "dba"))
    assert own is not None
    assert own[0] == "self_approval"


def test_what_a_glass_names_is_there() -> None:
    """A review chain or a dual control that nobody defined is refused, and so is asking for several people."""
    for field in (b"review: looking", b"dual_control: both"):
        name, _ = field.split(b": ")
        with pytest.raises(DocumentError, match="chain missing is named by break_glass outage and not defined"):
            read_policy(BROKEN.replace(field, name + b": missing"))
    with pytest.raises(ValidationError, match="one person asks"):
        BreakGlass.model_validate({**GLASS.model_dump(mode="json"), "who": {"groups": ["ops"], "count": 2}})
