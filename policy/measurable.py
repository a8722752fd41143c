"""Whether a criterion measures anything: whether it can fail, can be met, and says one thing.

Both a registry and a proposal are held to this. A criterion that cannot fail makes every action a success, one that
cannot be met undoes every action, and one whose success and failure overlap says two things of one value.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from policy.bounds import Condition, always, impossible, overlap
from policy.measured import MAX_LOOKS, Measured
from policy.parameter_types import is_number, is_of

if TYPE_CHECKING:
    from policy.operations import Probe

CANNOT_FAIL = "criterion_cannot_fail"
BAD = "bad_criterion"


def faults(item: Measured, probe: "Probe | None") -> Iterator[tuple[str, str]]:
    """What is wrong with how a criterion is measured: a reason code and a sentence without its subject, each.

    Args:
        item: the criterion.
        probe: what is declared of its probe; None where nothing is.
    """
    yield from _conditions(item)
    yield from _counts(item)
    if probe is not None:
        yield from _values(item, probe)


def _conditions(item: Measured) -> Iterator[tuple[str, str]]:
    if item.success is not None and item.success.equals is not None:
        yield BAD, "has equals within success: write it beside the probe"
    for name, condition in _said(item):
        if not _is_open(condition) and impossible(condition):
            yield BAD, f"has {name} {condition.words}, which no number is"
    both = item.success is not None and item.failure is not None
    if both and not any(_is_open(condition) for _, condition in _said(item)):
        assert item.success is not None
        assert item.failure is not None
        if overlap(item.success, item.failure):
            yield BAD, f"has values that are success ({item.success.words}) and failure ({item.failure.words}) at once"


def _counts(item: Measured) -> Iterator[tuple[str, str]]:
    least = (item.consecutive_successes - 1) * item.pause
    if least > item.within_seconds:
        wanted = f"{item.consecutive_successes} successes in a row, {item.pause:g} s apart"
        yield BAD, f"is not met in time: {wanted}, take longer than {item.within_seconds} s"
    if item.looks > MAX_LOOKS:
        yield BAD, f"is looked at {item.looks} times, at most {MAX_LOOKS}: make interval_seconds longer"
    if item.failure_limit and item.failure_limit >= _counting(item):
        forgiven = f"forgives {item.failure_limit} failures, and is looked at {_counting(item)} times"
        yield CANNOT_FAIL, f"{forgiven} in which one would count"
    if item.observe_seconds and item.error_limit and 2 * item.error_limit >= item.looks:
        forgiven = f"forgives {item.error_limit} looks in a row without a value, and is looked at {item.looks} times"
        yield CANNOT_FAIL, f"{forgiven}: forgive fewer than half"


def _values(item: Measured, probe: "Probe") -> Iterator[tuple[str, str]]:
    for name, condition in _said(item):
        if condition.equals is not None and not is_of(condition.equals, probe.type) and not _is_template(condition):
            yield BAD, f"reads {probe.type}, and {name} is {condition.words}"
        if condition.bounds and not is_number(probe.type):
            yield BAD, f"reads {probe.type}, and {name} says {condition.words}: only a number has bounds"
    success = item.success
    if success is not None and not _is_open(success) and always(success, probe.minimum, probe.maximum):
        yield CANNOT_FAIL, f"reads {success.words} whatever happens: its probe declares nothing else"


def _counting(item: Measured) -> int:
    """How many looks there are of which a failure would count."""
    before = int(item.within_seconds / item.pause) + 1 if item.failure is not None else 0
    return before + (item.looks if item.observe_seconds else 0)


def _said(item: Measured) -> list[tuple[str, Condition]]:
    pairs = (("success", item.success), ("failure", item.failure))
    return [(name, condition) for name, condition in pairs if condition is not None]


def _is_open(condition: Condition) -> bool:
    """Whether it is not known yet what it says, as a parameter of the step stands in it."""
    return _is_template(condition) or any(isinstance(bound, str) for bound in condition.bounds.values())


def _is_template(condition: Condition) -> bool:
    return isinstance(condition.equals, str) and condition.equals.startswith("$")
