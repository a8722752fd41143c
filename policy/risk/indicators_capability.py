"""The indicators of what the executors cannot do: what they do not support makes it more probable that it goes wrong.

- Each executor says what it can do, operation by operation (`policy/targets.py`). What it says never lowers anything:
  what it can do reads 0, and of one that said nothing nothing is read. An operation that it does not have it can
  neither rehearse nor observe.
- What cannot be rehearsed is found out by doing it.
- Where the effect is not observed by the permit's id, an attempt that left no report may have done it or not: by what
  the target looks like is one half, not at all is 1.
- What cannot be stopped in the middle goes on for as long as a step may take: five minutes are one half.
- Steps that only read are not asked about. An undo that its executor does not have is none (`policy/risk/reversal.py`).
"""

from collections.abc import Iterator
from typing import NamedTuple

from policy.facts import Facts
from policy.proposal import ActionProposal, Step
from policy.risk.indicators import Reading, share_of
from policy.targets import Capability, Observes

HALF_OF_STEP_SECONDS = 300
EXECUTOR = "executor"
UNSEEN: dict[Observes, float] = {"by_key": 0.0, "by_effect": 0.5, "never": 1.0}


class _Asked(NamedTuple):
    """A step that acts, and what its executor says of its operation; the worst where it does not have it."""

    step: Step
    capability: Capability


def capability_readings(proposal: ActionProposal, facts: Facts) -> tuple[Reading, ...]:
    """What is read of the executors; nothing where none of them said anything."""
    asked = tuple(_asked(proposal, facts))
    return (_unrehearsed(asked), _unobserved(asked), _unstoppable(asked)) if asked else ()


def _asked(proposal: ActionProposal, facts: Facts) -> Iterator[_Asked]:
    for step in proposal.steps:
        known = facts.operation(step.operation)
        declared = facts.declared_by(known.executor)
        if declared is not None and not known.read_only:
            said = declared.of(step.operation)
            yield _Asked(step, said or Capability(operation=step.operation))


def _unrehearsed(asked: tuple[_Asked, ...]) -> Reading:
    never = [item.step.operation for item in asked if not item.capability.dry_runs]
    evidence = f"its executor cannot rehearse {never[0]}" if never else "every step can be rehearsed"
    return Reading("unrehearsed", 1.0 if never else 0.0, evidence, EXECUTOR)


def _unobserved(asked: tuple[_Asked, ...]) -> Reading:
    worst = max(asked, key=lambda item: UNSEEN[item.capability.observes])
    how = {
        "by_key": "every effect is observed by its permit",
        "by_effect": f"{worst.step.operation} is known by what the target looks like only",
        "never": f"nobody can tell afterwards whether {worst.step.operation} was done",
    }[worst.capability.observes]
    return Reading("unobserved", UNSEEN[worst.capability.observes], how, EXECUTOR)


def _unstoppable(asked: tuple[_Asked, ...]) -> Reading:
    going_on = [item.step for item in asked if item.capability.stops == "between"]
    if not going_on:
        return Reading("unstoppable", 0.0, "every step can be stopped in the middle", EXECUTOR)
    longest = max(going_on, key=lambda step: step.timeout_seconds)
    evidence = f"{longest.operation} cannot be stopped in the middle and may take {longest.timeout_seconds} s"
    return Reading("unstoppable", share_of(longest.timeout_seconds, HALF_OF_STEP_SECONDS), evidence, EXECUTOR)
