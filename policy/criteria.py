"""Which criteria an action is measured by.

- The operations registry gives each operation its minimum criteria. They come first, filled from the parameters of the
  step; where two steps say different things of the same probe and parameters, the later step is right.
- A proposal may add others, and make a minimum stricter: the same value, not later, and observed for no less. What it
  says less strictly is refused, not ignored, so that nobody is surprised.
- A criterion that cannot fail is refused: its probe is constant, it says what the executor made sure of before it
  acted, it looks at an object that no step touches (a read touches nothing, and may be measured by any), or it forgives
  more than it looks (`policy/measurable.py`). So is one that says the same as another, or its contrary. Guards alone
  measure nothing that the steps did.
- Where probes are declared, a criterion's probe is one of them, with parameters and a value of its types; whichever
  executor the registry names for it measures it. One that is not declared is the last step's executor's.
- History counts only what was measured by the minimum (`policy/risk/history.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from policy.base import Reason
from policy.bounds import Condition, OfBaseline, number_of
from policy.canonical import canonical
from policy.consistency import template
from policy.measurable import faults
from policy.measuring import says
from policy.operations import MinimumCriterion, OperationsRegistry, Probe, Reading, RegisteredOperation
from policy.parameter_types import is_of
from policy.parameters import cut
from policy.proposal import ActionProposal, Criterion, Step

_Key = tuple[str, bytes]
# What a proposal may say more strictly than the minimum, and which of the two then counts.
_STRICTER: Mapping[str, Callable[[int, int], int]] = {
    "within_seconds": min,
    "observe_seconds": max,
    "failure_limit": min,
    "consecutive_successes": max,
}
_SAID = {
    "within_seconds": "within {least} s, not {own}",
    "observe_seconds": "for {least} s, not {own}",
    "failure_limit": "with at most {least} failures forgiven, not {own}",
    "consecutive_successes": "{least} times in a row, not {own}",
}
# What it leaves out, or says as the minimum does.
_SAME = ("failure", "initial_delay_seconds", "interval_seconds", "error_limit")


def minimum(proposal: ActionProposal, operations: Mapping[str, RegisteredOperation]) -> tuple[Criterion, ...]:
    """The criteria that the operations of the steps bring, filled from the steps' parameters, in their order."""
    found: dict[_Key, Criterion] = {}
    for step in proposal.steps:
        known = operations.get(step.operation)
        for wanted in known.criteria if known is not None else ():
            criterion = _minimum(wanted, step)
            found.pop(_key(criterion), None)
            found[_key(criterion)] = criterion
    return tuple(found.values())


def effective(proposal: ActionProposal, operations: Mapping[str, RegisteredOperation]) -> tuple[Criterion, ...]:
    """What an action is measured by: the minimum, as strict as the proposal asks, then what the proposal adds.

    Args:
        proposal: what is asked for.
        operations: what is known of its operations, by name (`Facts.operations`).
    """
    found = {_key(item): item for item in minimum(proposal, operations)}
    for own in proposal.success_criteria:
        least = found.get(_key(own))
        if least is None or _wants(least) != _wants(own):
            # Refused in an assessment; in a record from before the minimum there was none. Measured beside it.
            key = _key(own) if least is None else (own.probe, canonical([own.parameters, own.equals]))
            found[key] = own
            continue
        found[_key(own)] = least.model_copy(update=_stricter(own, least))
    return tuple(found.values())


def probes_elsewhere(proposal: ActionProposal, registry: OperationsRegistry) -> dict[str, Probe]:
    """The probes of the criteria that a permit has to say more of than their names: another executor than that of the
    last step reads them, or the registry has the text that reads them.
    """
    known = {name: item for name in proposal.operations if (item := registry.find(name)) is not None}
    last = known.get(proposal.steps[-1].operation)
    found = {item.probe: registry.probe(item.probe) for item in effective(proposal, known)}
    return {
        name: probe
        for name, probe in found.items()
        if probe is not None and (probe.query or (last is not None and probe.executor != last.executor))
    }


def guards(proposal: ActionProposal, registry: OperationsRegistry) -> tuple[str, ...]:
    """The entities of the catalog that its guards are measured on, as they are written."""
    known = {name: item for name in proposal.operations if (item := registry.find(name)) is not None}
    return tuple(dict.fromkeys(item.of for item in effective(proposal, known) if item.of is not None))


def guard_refusals(guarded: Mapping[str, tuple[str, ...]], resolved: tuple[str, ...]) -> tuple[Reason, ...]:
    """Guards that are measured on nothing, or on what the steps act on: those are no neighbours.

    Args:
        guarded: the ids of each guarded entity.
        resolved: the ids that the steps act on.
    """
    reasons = []
    for name, ids in guarded.items():
        if not ids:
            reasons.append(Reason(code="unknown_guard", message=f"guard {name} resolves to nothing in the catalog"))
        elif shared := sorted(set(ids) & set(resolved)):
            message = f"guard {name} is {shared[0]}, which the steps act on: leave `of` out to measure the target"
            reasons.append(Reason(code="bad_criterion", message=message[:300]))
    return cut(reasons, "unknown_guard")


def _stricter(own: Criterion, least: Criterion) -> dict[str, int]:
    """What a proposal asks of a minimum criterion beyond it. What it leaves out is the minimum's, not the default."""
    found = {}
    for name, stricter in _STRICTER.items():
        if name in own.model_fields_set:
            found[name] = stricter(getattr(least, name), getattr(own, name))
    return found


def minimum_refusals(proposal: ActionProposal, registry: OperationsRegistry) -> tuple[Reason, ...]:
    """What is wrong with the criteria of a proposal."""
    known = {name: item for name in proposal.operations if (item := registry.find(name)) is not None}
    least = {_key(item): item for item in minimum(proposal, known)}
    seen: dict[_Key, Criterion] = {}
    reasons = [*_vacuous_minimum(proposal, known, least), *_nowhere(proposal, known, registry)]
    for own in proposal.success_criteria:
        reasons += _weaker(own, least.get(_key(own)))
        reasons += _repeated(own, seen.get(_key(own)))
        seen.setdefault(_key(own), own)
        if (probe := registry.probe(own.probe)) is None:
            reasons += _undeclared(own, proposal, known, registry)
        else:
            reasons += _mistyped(own, probe)
            reasons += _cannot_fail(own, probe, proposal, known)
        reasons += [_reason(code, own, what) for code, what in faults(own, registry.probe(own.probe))]
        reasons += _held_before(own, proposal, known)
    if all(item.of is not None for item in effective(proposal, known)):
        message = "only guards on neighbours measure it: nothing shows what the steps themselves did"
        reasons.append(Reason(code="bad_criterion", message=message))
    return cut(reasons, "bad_criterion")


def _weaker(own: Criterion, least: Criterion | None) -> Iterator[Reason]:
    if least is None:
        return
    wrong = []
    if _wants(own) != _wants(least):
        wrong.append(f"it has to read {least.wanted[:100]}, not {own.wanted[:100]}")
    for name, stricter in _STRICTER.items():
        wanted, given = getattr(least, name), getattr(own, name)
        if name in own.model_fields_set and stricter(wanted, given) != given:
            wrong.append(_SAID[name].format(least=wanted, own=given))
    wrong += [
        f"{name} is to be what the operation says"
        for name in _SAME
        if name in own.model_fields_set and getattr(own, name) != getattr(least, name)
    ]
    if wrong:
        yield _reason("criterion_too_weak", own, f"is weaker than the operation's own: {'; '.join(wrong)}")


def _repeated(own: Criterion, other: Criterion | None) -> Iterator[Reason]:
    if other is None:
        return
    same = _wants(own) == _wants(other)
    yield _reason("bad_criterion", own, "says the same as another one" if same else "contradicts another one")


def _undeclared(
    own: Criterion, proposal: ActionProposal, known: Mapping[str, RegisteredOperation], registry: OperationsRegistry
) -> Iterator[Reason]:
    measuring = known.get(proposal.steps[-1].operation)
    if measuring is not None and any(probe.executor == measuring.executor for probe in registry.probes):
        yield _reason("unknown_probe", own, f"is no probe of {measuring.executor} that the registry declares")


def _mistyped(own: Criterion, probe: Probe) -> Iterator[Reason]:
    if own.success is None and not is_of(own.equals, probe.type):
        yield _reason("bad_criterion", own, f"reads {probe.type}, never {_json(own.equals)}")
    for name, declared in probe.parameters.items():
        if name not in own.parameters:
            if declared.required:
                yield _reason("bad_criterion", own, f"needs parameter {name}")
        elif refusal := declared.refusal(own.parameters[name]):
            shown = "" if declared.secret else f" = {_json(own.parameters[name])}"
            yield _reason("bad_criterion", own, f"parameter {name}{shown} {refusal}")
    for name in own.parameters:
        if name not in probe.parameters:
            yield _reason("bad_criterion", own, f"has no parameter {name!r}")


def _cannot_fail(
    own: Criterion, probe: Probe, proposal: ActionProposal, known: Mapping[str, RegisteredOperation]
) -> Iterator[Reason]:
    if probe.constant:
        yield _reason("criterion_cannot_fail", own, "reads the same whatever the steps do")
    if own.of is not None:
        return
    if all(item is not None and item.read_only for item in (known.get(step.operation) for step in proposal.steps)):
        return
    wanted = {name: own.parameters[name] for name in probe.identifies if name in own.parameters}
    if wanted and not any(_touches(step, known.get(step.operation), wanted) for step in proposal.steps):
        shown = ", ".join(f"{name} = {_json(value)}" for name, value in wanted.items())
        yield _reason("criterion_cannot_fail", own, f"looks at {shown}, which no step touches")


def _touches(step: Step, known: RegisteredOperation | None, wanted: Mapping[str, object]) -> bool:
    """Whether a step acts on the object that a probe looks at; one that does not say acts on all of the target."""
    named = [name for name in wanted if known is None or name in known.parameters]
    return all(canonical(step.parameters.get(name)) == canonical(wanted[name]) for name in named)


def _held_before(
    own: Criterion, proposal: ActionProposal, known: Mapping[str, RegisteredOperation]
) -> Iterator[Reason]:
    if _fulfils(own, _before(proposal, known).get(_key(own))):
        yield _reason("criterion_cannot_fail", own, f"reads {own.wanted[:100]} before anything is done")


def _vacuous_minimum(
    proposal: ActionProposal, known: Mapping[str, RegisteredOperation], least: Mapping[_Key, Criterion]
) -> Iterator[Reason]:
    before = _before(proposal, known)
    own = {_key(item) for item in proposal.success_criteria}
    for key, item in least.items():
        if key not in own and _fulfils(item, before.get(key)):
            yield _reason("criterion_cannot_fail", item, f"reads {item.wanted[:100]} before anything is done")


def _nowhere(
    proposal: ActionProposal, known: Mapping[str, RegisteredOperation], registry: OperationsRegistry
) -> Iterator[Reason]:
    """Minimum criteria of a step whose probe nobody declares, so that the last step's executor would be asked."""
    last = known.get(proposal.steps[-1].operation)
    for step in proposal.steps[:-1]:
        item = known.get(step.operation)
        if last is None or item is None or item.executor == last.executor:
            continue
        for criterion in item.criteria:
            if registry.probe(criterion.probe) is None:
                message = (
                    f"is measured by {item.executor} and is no declared probe, and the last step is {last.executor}'s: "
                    f"declare it, or propose step {step.name} apart"
                )
                yield _reason("bad_criterion", criterion, message)


def _before(proposal: ActionProposal, known: Mapping[str, RegisteredOperation]) -> dict[_Key, JsonValue]:
    """What the executor makes sure of before each step that is the first to touch it."""
    found: dict[_Key, JsonValue] = {}
    for step in proposal.steps:
        item = known.get(step.operation)
        for reading in item.before if item is not None else ():
            if template(reading.equals) is None or template(reading.equals) in step.parameters:
                filled = Criterion(**_filled(reading, step))
                found.setdefault(_key(filled), filled.equals)
    return found


def _fulfils(item: Criterion, before: JsonValue) -> bool:
    """Whether what is made sure of before is a success already; None is nothing that is made sure of."""
    return before is not None and not item.needs_baseline and says(item, before) == "success"


def _minimum(wanted: MinimumCriterion, step: Step) -> Criterion:
    """A minimum criterion with the step's parameters in place of their names."""
    said = wanted.model_dump(exclude={"probe", "parameters", "equals", "success", "failure"}, exclude_defaults=True)
    filled = _filled(wanted, step)
    if wanted.success is not None:
        del filled["equals"]
        said["success"] = _condition(wanted.success, step)
    if wanted.failure is not None:
        said["failure"] = _condition(wanted.failure, step)
    times = {"within_seconds": wanted.within_seconds, "observe_seconds": wanted.observe_seconds}
    return Criterion(**filled, **{**times, **said})


def _condition(wanted: Condition, step: Step) -> Condition:
    if wanted.equals is not None:
        value = _value(wanted.equals, step)
        return Condition(equals="(missing)" if value is None else value)
    bounds: dict[str, Any] = dict(wanted.bounds)
    filled = {name: step.parameters.get(bound[1:]) if template(bound) else bound for name, bound in bounds.items()}
    if any(number_of(bound) is None and not isinstance(bound, OfBaseline) for bound in filled.values()):
        # The parameter is no number: the proposal is refused for it, and nothing is to be met by accident.
        return Condition(equals=f"{filled!r}"[:200])
    return Condition(**filled)


def _filled(reading: Reading, step: Step) -> dict[str, Any]:
    """A reading with the step's parameters in place of their names; a parameter that may be missing, and is, is not."""
    given = {name: value for name, value in reading.parameters.items() if _is_given(value, step)}
    return {
        "probe": reading.probe,
        "parameters": {name: _value(value, step) for name, value in given.items()},
        "equals": _value(reading.equals, step),
    }


def _is_given(value: JsonValue, step: Step) -> bool:
    name = template(value)
    return name is None or name in step.parameters


def _value(value: JsonValue, step: Step) -> JsonValue:
    name = template(value)
    return value if name is None else step.parameters.get(name)


def _key(criterion: Criterion) -> _Key:
    said = criterion.parameters if criterion.of is None else [criterion.parameters, criterion.of]
    return criterion.probe, canonical(said)


def _wants(criterion: Criterion) -> bytes:
    """What must be read, so that two criteria can be compared by it."""
    if criterion.success is None:
        return canonical(criterion.equals)
    return canonical({"success": criterion.success.model_dump(mode="json")})


def _json(value: JsonValue) -> str:
    return canonical(value).decode()[:100]


def _reason(code: str, criterion: Criterion | Reading, message: str) -> Reason:
    return Reason(code=code, message=f"criterion {criterion.probe} {message}"[:300])
