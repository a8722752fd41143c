"""What is read before a step is begun, and what keeps it from beginning; pure, so that an auditor concludes the same.

- Before the first step everything is read that a later value is compared with, and every guard. One that cannot be
  read, says nothing as a value to compare with, or is a guard that does not hold, keeps the step from beginning.
- Before the step that is measured every other criterion is read, too, and kept beside what it reads afterwards: whoever
  looks at the outcome sees what the step changed. These keep nothing from beginning, as a step may be what makes a
  probe answer at all.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from policy.bounds import says_nothing
from policy.measuring import says, shown
from policy.outcome import Baseline, Place, place
from policy.permit import Permit, PermitCriterion

Pair = tuple[PermitCriterion, str]


def needed_before(permit: Permit) -> tuple[Pair, ...]:
    """The criteria, each with a resource, that must be read before a permit's step may begin."""
    return permit.measured_on(permit.baselines)


def kept_before(permit: Permit) -> tuple[Pair, ...]:
    """The criteria, each with a resource, that are read before a permit's step and kept, whatever they read."""
    return permit.measured_on(tuple(item for item in permit.criteria if not item.needs_baseline))


def not_to_begin(criterion: PermitCriterion, before: Baseline) -> str:
    """Why a step must not begin with what was read of a criterion that it needs; empty where it may.

    Args:
        criterion: one of a permit's `baselines`.
        before: what it read.
    """
    where = before.resource
    value: Any = before.value  # what JSON cannot say is kept as text
    if before.error:
        return f"{criterion.probe} has no baseline on {where}: {before.error}"
    if says(criterion, value, value) == "none":
        return f"{criterion.probe} has no baseline on {where}: {shown(value)} is no number"
    if criterion.success is not None and says_nothing(criterion.success, value):
        return f"{criterion.probe} is {shown(value)} on {where} before the step: a share of it says nothing"
    if criterion.of is not None and says(criterion, value, value) != "success":
        return f"guard {criterion.probe} does not hold before the step: {shown(value)} on {where}"
    return ""


def check_baselines(permit: Permit, baselines: Iterable[Baseline], *, began: bool) -> Iterator[str]:
    """What is wrong with what a report says was read before its step.

    Args:
        permit: of the step.
        baselines: those of its report.
        began: whether the step was begun by whoever reports.
    """
    needed = needed_before(permit)
    # A release that did not have the others read asked twice where two of these ask the same.
    often = Counter(place_of(*pair) for pair in needed) | Counter({place_of(*pair) for pair in kept_before(permit)})
    read: dict[Place, list[Baseline]] = defaultdict(list)
    for item in baselines:
        read[item.place].append(item)
    for where, items in read.items():
        if len(items) > often[where]:
            probe, _, resource = where
            yield f"{probe} was read on {resource} before the step {len(items)} times, which it was not to be"
    for criterion, resource in needed if began else ():
        found = [not_to_begin(criterion, item) for item in read.get(place_of(criterion, resource), ())]
        for why in found or [f"{criterion.probe} was not read on {resource}"]:
            if why:
                yield f"it was begun, and must not have been: {why}"


def place_of(criterion: PermitCriterion, resource: str) -> Place:
    """What is read of a criterion on a resource: two criteria that ask the same of it are read once."""
    return place(criterion.probe, criterion.parameters, resource)
