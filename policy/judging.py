"""One computation for every place that judges an action: where it is assessed, where a permit is asked for, where an
auditor asks again, and where somebody only wants to know what would be.
"""

from typing import NamedTuple

from policy.approval.opening import could_ask, opened
from policy.document import PolicySet
from policy.evaluation import Evaluation, evaluate
from policy.facts import Facts
from policy.governance import pinned
from policy.impact import ImpactAssessment, assess
from policy.people.directory import Directory
from policy.proposal import ActionProposal
from policy.rules.calendars import timing_of
from policy.rules.timing import Timing


class Judgement(NamedTuple):
    """What the calendars say, how bad it could be, and what the policy answers."""

    timing: Timing
    assessment: ImpactAssessment
    evaluation: Evaluation


def judge(policy: PolicySet, proposal: ActionProposal, facts: Facts, directory: Directory | None = None) -> Judgement:
    """Judge an action by its facts under a policy; pure.

    Args:
        policy: the documents in force together.
        proposal: what is asked for.
        facts: what is known of it.
        directory: the people who would have to approve it, where a case would be opened now. Left out where an open
            case is judged again: whether that can still be satisfied depends on its votes.
    """
    timing = timing_of(policy, facts)
    assessment = assess(proposal, facts, timing)
    evaluation = evaluate(policy, proposal, facts, assessment, timing)
    answer = pinned(proposal, facts, evaluation)
    if directory is not None and answer.chain is not None and facts.at is not None:
        people = could_ask(answer.chain, directory, facts.at)
        answer = opened(answer, barred(facts, answer), facts.teams, people, facts.at, policy.absolute_deadline)
    return Judgement(timing, assessment, answer)


def barred(facts: Facts, evaluation: Evaluation) -> tuple[str, ...]:
    """Who does not approve an action: who asks for it, who wrote the policy that asks, who granted an exception."""
    return tuple(sorted({*facts.requesters, *(name for item in evaluation.excluded for name in item.people)}))
