"""One computation for every place that judges an action: where it is assessed, where a permit is asked for, where an
auditor asks again, and where somebody only wants to know what would be.
"""

from typing import NamedTuple

from policy.document import PolicySet
from policy.evaluation import Evaluation, evaluate
from policy.facts import Facts
from policy.governance import pinned
from policy.impact import ImpactAssessment, assess
from policy.proposal import ActionProposal
from policy.rules.calendars import timing_of
from policy.rules.timing import Timing


class Judgement(NamedTuple):
    """What the calendars say, how bad it could be, and what the policy answers."""

    timing: Timing
    assessment: ImpactAssessment
    evaluation: Evaluation


def judge(policy: PolicySet, proposal: ActionProposal, facts: Facts) -> Judgement:
    """Judge an action by its facts under a policy; pure."""
    timing = timing_of(policy, facts)
    assessment = assess(proposal, facts, timing)
    evaluation = evaluate(policy, proposal, facts, assessment, timing)
    return Judgement(timing, assessment, pinned(proposal, facts, evaluation))
