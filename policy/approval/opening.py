"""Opening a case: is anybody there who could satisfy what a policy asks?

- An answer that asks people is held against the directory as of that instant, without those who may not approve. If
  nobody is left who could satisfy it (`policy/approval/feasibility.py`), it denies: `unreachable`, with who is missing.
- If an escalation has to come before it can be satisfied, it stays and says so: `late_quorum`. So it does where the
  stage brings its escalations forward (`on_infeasible: escalate`) and one of them looks somebody up in the directory.
- The chain is not changed: what is asked of whom is the policy's.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from policy.approval.ballot import ApprovalCase
from policy.approval.feasibility import Feasibility, feasible
from policy.base import Reason
from policy.evaluation import Evaluation
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.rules.chains import ApprovalChain, Verdict


def opened(
    evaluation: Evaluation,
    requesters: Sequence[str],
    teams: Sequence[str],
    population: Sequence[PersonFacts],
    at: datetime,
    longest: timedelta,
) -> Evaluation:
    """The answer of a policy, held against the people who are there; pure.

    Args:
        evaluation: what the policy answers.
        requesters: who may not approve it.
        teams: those of who asks.
        population: everybody whom its chain could ask, as of `at`.
        at: the instant (UTC) at which the case would open.
        longest: how long a case may take in all, by the policy.
    """
    chain = evaluation.chain
    if chain is None:
        return evaluation
    case = ApprovalCase(
        chain=chain, opened_at=at, absolute_deadline=at + longest, requesters=tuple(requesters), teams=tuple(teams)
    )
    found = feasible(case, population, at)
    if found.feasible and not found.needs:
        return evaluation
    if (late := _late(chain, found)) is not None:
        return evaluation.model_copy(update={"reasons": (*evaluation.reasons, late)})
    reason = Reason(code="unreachable", message=found.reason)
    denied = {"verdict": Verdict.deny, "chain": None, "chain_name": None}
    return evaluation.model_copy(update={**denied, "reasons": (reason, *evaluation.reasons)})


def _late(chain: ApprovalChain, found: Feasibility) -> Reason | None:
    """That people are there once somebody is escalated to, or None where they are not."""
    if found.feasible:
        names = dict.fromkeys(f"stage {item.stage} ({chain.stages[item.stage - 1].name})" for item in found.needs)
        return Reason(code="late_quorum", message=f"{', '.join(names)} can be satisfied after an escalation only")
    assert found.stage is not None
    stage = chain.stages[found.stage - 1]
    if stage.on_infeasible == "escalate" and any(step.to for step in stage.escalations):
        return Reason(code="late_quorum", message=f"{found.reason}; an escalation looks for somebody at once")
    return None


def could_ask(
    chain: ApprovalChain,
    directory: Directory,
    at: datetime,
    *,
    groups: Collection[str] = (),
    people: Collection[str] = (),
) -> tuple[PersonFacts, ...]:
    """Everybody of a directory whom a chain could ask, as of an instant (UTC).

    Args:
        chain: the stages.
        directory: the people.
        at: the instant.
        groups: further groups, which somebody was escalated to.
        people: further people, the same.
    """
    asked = [requirement for stage in chain.stages for requirement in stage.requirements]
    if not all(requirement.named for requirement in asked):
        return directory.population(at, chain.conditions)
    steps = [
        step
        for stage in chain.stages
        for step in (*stage.escalations, *((stage.expiry_escalation,) if stage.expiry_escalation else ()))
    ]
    return directory.population(
        at,
        chain.conditions,
        groups={
            *groups,
            *(name for item in asked for name in item.groups),
            *(name for step in steps for name in step.add_groups),
        },
        roles={name for item in asked for name in item.roles},
        people={*people, *(name for item in asked for name in item.people)},
    )
