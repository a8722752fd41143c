"""Whether a report's measurements say what was read, by the rules that were approved; computed again by an auditor.

- Each measurement is of an approved criterion on a resource where it is to be measured, and its `met` is what
  `policy/measuring.py` concludes from the looks and the baselines that were kept. A record from before looks were kept
  has the one value that it was concluded from.
- Of a step target by target: the targets are the permit's, in order, and whoever went on to the next one had everything
  measured and met after the last one. Only a report of somebody who merely looked afterwards has nothing of that. No
  other report names a target that is not the permit's.
- What was read before the step is what was to be read, and who began it had everything that it needs
  (`policy/baselines.py`). Who merely looked afterwards read nothing before.
"""

from collections.abc import Iterator, Sequence

from policy.baselines import check_baselines
from policy.canonical import canonical
from policy.measuring import baseline_of, judge
from policy.outcome import Baseline, EffectReport, Gate, Measurement
from policy.permit import Direction, Permit, PermitCriterion

_Pair = tuple[PermitCriterion, str]


def check_measurements(permit: Permit, report: EffectReport, baselines: tuple[Baseline, ...] = ()) -> Iterator[str]:
    """What is wrong with the measurements of a report that is no dry run's.

    Args:
        permit: what it is about.
        report: what the executor says.
        baselines: what was read before the first step, of that step's report.
    """
    looked_only = report.late and not report.baselines
    began = permit.direction is Direction.do and report.effect != "none" and not looked_only
    yield from check_baselines(permit, report.baselines, began=began)
    known = (*baselines, *report.baselines)
    pairs = permit.measurable
    wanted = [[item.probe, item.equals] for item, _ in pairs]
    measured = [[item.probe, item.expected] for item in report.measurements]
    if measured and canonical(measured) != canonical(wanted):
        yield "its measurements are not those of the approved criteria"
    else:
        yield from _judged(report.measurements, pairs, known)
    if permit.one_by_one and permit.direction is Direction.do:
        yield from _in_parts(permit, report, known)
    elif strange := sorted(set(report.touched) - {*permit.places, *permit.resolved}):
        yield f"it touched {', '.join(strange)}, permitted are {', '.join(permit.places)}"
    met = len(measured) == len(wanted) and all(item.met for item in report.measurements)
    if report.status == "succeeded" and not (report.effect == "done" and met):
        yield "it is reported as succeeded without an effect, or without every criterion met"


def _judged(measurements: Sequence[Measurement], pairs: Sequence[_Pair], known: tuple[Baseline, ...]) -> Iterator[str]:
    for item, (criterion, resource) in zip(measurements, pairs, strict=False):
        if item.resource and item.resource != resource:
            yield f"{item.probe} was measured on {item.resource}, approved is {resource}"
        if not item.looks:
            yield from _alone(item, criterion)
            continue
        judged = judge(criterion, item.looks, baseline_of(criterion, resource, known))
        if judged.met != item.met:
            yield f"{item.probe} on {resource}: what it read says {judged.met}, and met is recorded as {item.met}"


def _alone(item: Measurement, criterion: PermitCriterion) -> Iterator[str]:
    """A measurement of which only the last value was kept."""
    if item.met is None:
        return
    if criterion.is_judged or item.met != (canonical(item.value) == canonical(item.expected)):
        yield f"{item.probe} read {item.value!r:.60}, expected {item.expected!r:.60}, and met is recorded as {item.met}"


def _in_parts(permit: Permit, report: EffectReport, known: tuple[Baseline, ...]) -> Iterator[str]:
    parts, touched = permit.parts, report.touched
    looked = report.late and not report.gates
    if not looked and touched != parts[: len(touched)]:
        yield f"it touched {', '.join(touched)}, permitted in order are {', '.join(parts)}"
    if report.status == "succeeded" and touched != parts:
        yield f"it is reported as succeeded, and {len(touched)} of {len(parts)} targets were touched"
    gates = {gate.after: gate for gate in report.gates}
    for gate in report.gates:
        yield from _judged(gate.measurements, _gated(permit, gate), known)
    for name in () if looked else touched[:-1]:
        if name not in gates or not gates[name].open:
            yield f"it went on after {name} without everything measured and met"


def _gated(permit: Permit, gate: Gate) -> list[_Pair]:
    """The criteria that are measured after one target."""
    where = dict(zip(permit.parts, permit.part_resources, strict=True)).get(gate.after)
    return [pair for pair in permit.measurable if pair[0].of is not None or pair[1] == where]
