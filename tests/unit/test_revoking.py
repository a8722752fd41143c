"""Who may revoke an action, phase by phase."""

from dataclasses import dataclass

import pytest
from pydantic import ValidationError

from policy.approval.revoking import Phase, phase_of, why_not_authorized
from policy.approval.standing import stand
from policy.document import ApprovalChain, Requirement
from policy.outcome import EffectReport, StepRecord
from policy.people.facts import PersonFacts
from policy.rules.revocation import Revocation
from tests.unit.builders import T0, a_ballot, a_case, at, escalation, stage

OPS, DBA = stage("ops", escalations=(escalation(10, "sre"),)), stage("dba", name="second")
CASE = a_case(OPS, DBA, requesters=("rita",), ballots=(a_ballot("olaf", "approve", 1, "ops"),))
NAMED = Revocation(before=Requirement(groups=("desk",)), during=Requirement(roles=("commander",)))
ELSEWHERE = Revocation(during=Requirement(people=("zoe",)))


@dataclass(frozen=True)
class Case:
    """One person in one phase. `why` is a part of the answer; empty where they may."""

    phase: Phase
    person: PersonFacts
    why: str = ""
    rules: tuple[Revocation, ...] = ()
    asked: bool = True


def a_person(name: str, *groups: str, roles: tuple[str, ...] = (), **more: object) -> PersonFacts:
    return PersonFacts(person_id=name, groups=groups, roles=roles, **more)


CASES = {
    "who asks, before": Case("before", a_person("rita")),
    "who asks, while it runs": Case("during", a_person("rita")),
    "who asks, where the policy names others": Case("during", a_person("rita"), rules=(NAMED,)),
    "who approved and left the group": Case("during", a_person("olaf")),
    "whoever the open stage asks": Case("before", a_person("otto", "ops")),
    "whoever a later stage asks": Case("before", a_person("dora", "dba")),
    "whoever may be escalated to": Case("during", a_person("sara", "sre")),
    "somebody else": Case("before", a_person("mia", "marketing"), "may not revoke it before anything ran"),
    "somebody else, while it runs": Case("during", a_person("mia"), "who asks for it, or whoever approved it or ops"),
    "an approver, where the policy names others": Case("during", a_person("olaf", "ops"), "commander", rules=(NAMED,)),
    "who is named before": Case("before", a_person("dan", "desk"), rules=(NAMED,)),
    "who is named before, while it runs": Case("during", a_person("dan", "desk"), "role commander", rules=(NAMED,)),
    "who is named while it runs": Case("during", a_person("cora", roles=("commander",)), rules=(NAMED,)),
    "who one of two documents names": Case("during", a_person("zoe"), rules=(NAMED, ELSEWHERE)),
    "before, where a document names only later": Case("before", a_person("otto", "ops"), rules=(ELSEWHERE,)),
    "nobody was asked": Case("during", a_person("otto", "ops"), "the policy names nobody else", asked=False),
    "nobody was asked, by who is named": Case("during", a_person("zoe"), rules=(ELSEWHERE,), asked=False),
}


@pytest.mark.parametrize("name", CASES)
def test_who_may_revoke(name: str) -> None:
    """Who asks always may; else whom the policy names, and where it names nobody, who approved or is asked."""
    case = CASES[name]
    found = why_not_authorized(
        case.person,
        case.phase,
        behind=("rita",),
        rules=case.rules,
        chain=CASE.chain if case.asked else None,
        standing=stand(CASE, at(2), deadline_counts_as_passed=False) if case.asked else None,
    )
    assert case.why in (found or "")
    assert bool(found) == bool(case.why)


def record(step: int, *, succeeded: bool | None = None, direction: str = "do") -> StepRecord:
    """A permit, and its report where one is said."""
    report = EffectReport(
        permit_id="p", status="succeeded" if succeeded else "failed", effect="done", started_at=T0, finished_at=T0
    )
    known = None if succeeded is None else report
    return StepRecord(step=step, direction=direction, use="claimed", report=known)


@pytest.mark.parametrize(
    ("records", "phase"),
    [
        ((), "before"),
        ((record(1, direction="undo"),), "before"),
        ((record(1),), "during"),
        ((record(1, succeeded=True),), "during"),
        ((record(1, succeeded=True), record(2)), "during"),
        ((record(1, succeeded=True), record(2, succeeded=False)), "during"),
        ((record(1, succeeded=True), record(2, succeeded=True)), "over"),
    ],
)
def test_how_far_an_action_is(records: tuple[StepRecord, ...], phase: Phase) -> None:
    """Nothing was permitted; something was and not every step has succeeded; every step has."""
    assert phase_of(records, 2) == phase


def test_one_person_is_enough_to_stop() -> None:
    """A rule of revocation that asks for several people is refused: it would make stopping slow."""
    with pytest.raises(ValidationError, match="one person is enough to stop"):
        Revocation(before=Requirement(groups=("ops",), count=2))


def test_an_empty_chain_gives_nobody_authority() -> None:
    """Without stages nobody is asked, so nobody else may revoke either."""
    chain = ApprovalChain.model_construct(stages=())
    found = why_not_authorized(a_person("otto"), "before", behind=(), rules=(), chain=chain, standing=None)
    assert found is not None
