"""Which gates stand in the way of a situation, in the order in which its proposer would meet them.

A denial is read for its reasons, each of which names a gate; the proposer then does what that gate asked for and
proposes again, until people are asked or nobody is. So the list says everything that would have stood between the
situation and its effect, and an empty one says that the gate claims nothing.
"""

import re
from collections.abc import Iterator

from judges.situations import Situation
from judges.world import cured, judged
from policy.base import Reason
from policy.evaluation import Evaluation
from policy.rules.chains import Verdict

_CODES = {
    "environment_mismatch": "DENY_ENV_MISMATCH",
    "target_mismatch": "DENY_TARGET_MISMATCH",
    "missing_dry_run": "DENY_WITHOUT_DRY_RUN",
    "missing_expected_targets": "DENY_WITHOUT_EXPECTED_TARGETS",
    "frozen": "DENY_FREEZE",
    "freeze": "DENY_FREEZE",
    "outside_window": "WINDOW",
    "unknown_operation": "DENY_UNKNOWN",
}
# What the sentence of a limit speaks of, by the words of `policy/rules/limits.py`.
_LIMITS = (
    (re.compile(r"failure domains"), "STAGED"),
    (re.compile(r"capacity|resolves to"), "DENY_OVER_CAP"),
    (re.compile(r"minutes old"), "DENY_STALE"),
)
_TURNS = 12


def gates(situation: Situation) -> tuple[str, ...]:
    """Every gate in the way, in order; empty where it would pass without anybody."""
    found: list[str] = []
    for _ in range(_TURNS):
        evaluation = judged(situation).evaluation
        if evaluation.verdict is not Verdict.deny:
            return (*found, *_people(evaluation))
        named = [name for reason in evaluation.reasons for name in _named(reason, evaluation)]
        found += [name for name in dict.fromkeys(named) if name not in found]
        better = situation
        for name in named:
            better = cured(better, name) or better
        if better == situation:
            return tuple(found)
        situation = better
    return tuple(found)


def _people(evaluation: Evaluation) -> tuple[str, ...]:
    count = evaluation.chain.seats if evaluation.chain else 0
    return () if not count else ("ONE_PERSON",) if count == 1 else ("TWO_PERSON",)


def _named(reason: Reason, evaluation: Evaluation) -> Iterator[str]:
    if reason.code == "limit":
        yield from (name for words, name in _LIMITS if words.search(reason.message))
    elif reason.code in _CODES:
        yield _CODES[reason.code]
    elif evaluation.decided_by == "upgrades":
        yield "WINDOW"
    else:
        yield f"DENY_{reason.code.upper()}"
