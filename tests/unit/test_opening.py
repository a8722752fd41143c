"""Whether anybody is there who could satisfy what a policy asks, when a case would open."""

from datetime import timedelta
from typing import Any

import pytest

from policy.approval.opening import could_ask, opened
from policy.base import Reason
from policy.evaluation import Evaluation
from policy.governed import Metadata
from policy.judging import judge
from policy.people.directory import Directory, Person
from policy.rules.chains import ApprovalChain, EscalationStep, Requirement, Stage, Turn, Verdict
from policy.rules.hours import Hours
from tests.unit.builders import T0, a_directory, a_policy, a_proposal, escalation, facts_of, stage
from tests.unit.crowds import a_person

PEOPLE = (a_person("ann", "ops", teams="red"), a_person("bob", "dba", teams="blue"))
WEEK = timedelta(days=7)
ASKED = Reason(code="rule_require_approval", message="it needs somebody")
LOOKED_UP = EscalationStep(after=timedelta(minutes=5), to=(Turn.manager,), reason="nobody answered")


def _answer(*stages: Stage) -> Evaluation:
    chain = ApprovalChain(stages=stages) if stages else None
    verdict = Verdict.require_approval if stages else Verdict.allow
    return Evaluation(verdict=verdict, reasons=(ASKED,), chain=chain, chain_name="c" if stages else None)


# The stages, who may not approve, and the code that is added with a part of what it says.
CASES: dict[str, tuple[tuple[Stage, ...], tuple[str, ...], str, str]] = {
    "nobody is asked": ((), ("ann", "bob"), "", ""),
    "somebody is there": ((stage("ops"),), (), "", ""),
    "the only one asks": ((stage("ops"),), ("ann",), "unreachable", "stage 1 (review): ann asks"),
    "nobody for the second stage": (
        (stage("ops"), stage("sre", name="second")),
        (),
        "unreachable",
        "nobody eligible is left for stage 2 (second)",
    ),
    "after an escalation": (
        (stage("sre", escalations=(escalation(30, "ops"),)),),
        (),
        "late_quorum",
        "stage 1 (review) can be satisfied after an escalation only",
    ),
    "nobody from outside": ((stage("ops", outside_team=1),), (), "unreachable", "outside the team of who asks"),
    "an escalation looks somebody up": ((stage("sre", escalations=(LOOKED_UP,)),), (), "unreachable", "stage 1"),
    "an escalation looks somebody up at once": (
        (stage("sre", escalations=(LOOKED_UP,), on_infeasible="escalate"),),
        (),
        "late_quorum",
        "looks for somebody at once",
    ),
}


@pytest.mark.parametrize(("stages", "requesters", "code", "said"), CASES.values(), ids=CASES)
def test_opened(stages: tuple[Stage, ...], requesters: tuple[str, ...], code: str, said: str) -> None:
    """An answer stays, says that it can be satisfied late only, or becomes a denial that says who is missing."""
    before = _answer(*stages)
    found = opened(before, requesters, ("red",), PEOPLE, T0, WEEK)
    assert ASKED in found.reasons
    assert {reason.code for reason in found.reasons} - {ASKED.code} == ({code} if code else set())
    assert any(said in reason.message for reason in found.reasons)
    denied = code == "unreachable"
    assert found.verdict is (Verdict.deny if denied else before.verdict)
    assert found.chain == (None if denied else before.chain)


def test_who_asks_may_leave_nobody() -> None:
    """The same proposal is denied where its requester is the only one who could have approved it."""
    few = Directory(
        apiVersion="countersign/v1",
        kind="Directory",
        metadata=Metadata(name="people", version="1"),
        people=(Person(id="ann", groups=("ops",)), Person(id="cleo", groups=("dba",))),
    )
    proposal = a_proposal()
    facts = facts_of(proposal)
    answers = [judge(a_policy(), proposal, facts, directory).evaluation for directory in (a_directory(), few, None)]
    assert [answer.verdict for answer in answers] == ["require_approval", "deny", "require_approval"]
    assert answers[1].reasons[0].message.endswith("stage 1 (ops): ann asks")


def _asked(*requirements: dict[str, Any]) -> ApprovalChain:
    return ApprovalChain(stages=(stage(requirements=tuple(Requirement(**item) for item in requirements)),))


def test_everybody_is_looked_at_where_anybody_may_answer() -> None:
    """A requirement that names nobody asks everybody whom its qualifications or its condition fit."""
    everybody = {person.id for person in a_directory().people}
    found = could_ask(_asked({"qualifications": ("backup",)}), a_directory(), T0)
    assert {person.person_id for person in found} == everybody


def test_closed_hours_make_newcomers_old_enough() -> None:
    """A stage of eight open hours that opens on a closed day ends days later: who is old enough by then is there."""
    hours = Hours(zone="UTC", days={"fri": ("09:00-17:00",)})
    since = {"person": T0, "group ops": T0}
    for number, code in ((1, []), (6, ["unreachable"])):
        asked = stage("ops", minutes=480, hours=hours, newcomer_wait=timedelta(days=number))
        found = opened(_answer(asked), (), (), [a_person("new", "ops", since=since)], T0, WEEK)
        assert [reason.code for reason in found.reasons if reason is not ASKED] == code
