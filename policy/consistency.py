"""What a registry may not say of one operation and of another at once.

- A read has no effects, destroys nothing, is of low severity and has nothing to undo; nothing is undone by a read.
- What needs no undo is not destructive. Where an undo is required there is an inverse to require.
- Every name is that of a declared parameter: what is counted, what identifies the object, and each `$name` of a
  criterion. A `$name` that a criterion cannot do without is a required parameter, and never a secret.
- A cap on the share of capacity needs something that is counted.
- What is counted by what the executor finds needs an executor that looks (`resolves`). So does an undo: it acts on what
  was found for its step, so where an inverse resolves, what it undoes does too, by the same executor.
- Where probes are declared, a criterion's probe is one of them, with parameters and a value of its types, and is not
  constant: a minimum that cannot fail is none. What is made sure of before is read by who makes sure of it.
- Each `$name` of a probe's text is one of its parameters, or `$resource`: the id that it is read on. So no parameter of
  a probe has that name: a proposal would choose by its value what is measured.

Records that were written under older rules are not held to these; they are checked where a text is read.
"""

from collections.abc import Iterator
from string import Template
from typing import TYPE_CHECKING, Any

from policy.measurable import faults
from policy.parameter_types import Parameter, is_number, is_of

if TYPE_CHECKING:
    from policy.operations import MinimumCriterion, OperationsRegistry, Probe, Reading, RegisteredOperation

_READ_SEVERITY = 10
# What stands in a probe's text for the id that it is read on.
RESOURCE = "resource"


def contradictions(registry: "OperationsRegistry") -> tuple[str, ...]:
    """Everything in a registry that contradicts itself, a sentence each, in its order."""
    found = [f"operation {item.name}: {what}" for item in registry.operations for what in _operation(item, registry)]
    return (*found, *(f"probe {probe.name}: {what}" for probe in registry.probes for what in _probe(probe)))


def template(value: Any) -> str | None:
    """The name of the parameter that a value in a criterion stands for, or None where it is just that value."""
    return value[1:] if isinstance(value, str) and value.startswith("$") else None


def _operation(item: "RegisteredOperation", registry: "OperationsRegistry") -> list[str]:
    found = [*_reads(item), *_undone(item, registry), *_counted(item)]
    for name in item.identifies:
        if name not in item.parameters:
            found.append(f"identifies {name}, which is no parameter of it")
        elif item.parameters[name].secret:
            found.append(f"identifies {name}, which is a secret")
    for reading in (*item.criteria, *item.before):
        found += _criterion(item, reading, registry)
    found += [f"{each.probe}: {what}" for each in item.criteria for what in _looked_at(item, each, registry)]
    return found


def _reads(item: "RegisteredOperation") -> list[str]:
    if not item.read_only:
        return []
    said = {
        "has effects": bool(item.effects),
        "is destructive": item.destructive,
        f"has severity {item.severity}, above {_READ_SEVERITY}": item.severity > _READ_SEVERITY,
        "has an inverse": bool(item.inverse),
        "requires an undo": "undo" in item.required,
    }
    return [f"is read_only and {what}: a read does not" for what, is_so in said.items() if is_so]


def _undone(item: "RegisteredOperation", registry: "OperationsRegistry") -> list[str]:
    found = []
    if item.needs_no_undo and item.destructive:
        found.append("needs_no_undo and is destructive: what was destroyed is not undone by doing nothing")
    if "undo" in item.required and not item.inverse:
        found.append("requires an undo and has no inverse: no proposal could satisfy it")
    for name in item.inverse:
        other = registry.find(name)
        if other is None:
            found.append(f"its inverse {name} is not registered")
        elif other.read_only:
            found.append(f"its inverse {name} is read_only: a read undoes nothing")
        elif other.resolves and not (item.resolves and item.executor == other.executor):
            found.append(f"its inverse {name} resolves: it needs resolves, too, and the same executor")
    return found


def _counted(item: "RegisteredOperation") -> list[str]:
    if item.counts is None:
        return ["caps.share needs counts: without it nobody knows the share"] if item.caps.share is not None else []
    name = item.counts.parameter
    if item.counts.resolved_units and not item.resolves:
        return ["counts resolved_units and does not resolve: nobody finds any"]
    if name is None:
        return []
    if name not in item.parameters:
        return [f"counts {name}, which is no parameter of it"]
    declared = item.parameters[name]
    if declared.type != "list" and not is_number(declared.type):
        return [f"counts {name}, which is of type {declared.type}: count a number or a list"]
    return []


def _criterion(item: "RegisteredOperation", reading: "Reading", registry: "OperationsRegistry") -> list[str]:
    found = []
    for where, value in [*reading.parameters.items(), ("equals", reading.equals)]:
        name = template(value)
        if name is None:
            continue
        declared = item.parameters.get(name)
        if declared is None:
            found.append(f"{reading.probe}: {where} is ${name}, which is no parameter of it")
        elif declared.secret:
            found.append(f"{reading.probe}: {where} is ${name}, which is a secret")
        elif where == "equals" and not declared.required and reading not in item.before:
            found.append(f"{reading.probe}: equals is ${name}, which may be missing: make it required")
    return found + _measured(item, reading, registry)


def _looked_at(
    item: "RegisteredOperation", reading: "MinimumCriterion", registry: "OperationsRegistry"
) -> Iterator[str]:
    """What is wrong with how a criterion is measured, and with the names in its conditions."""
    yield from (what for _, what in faults(reading, registry.probe(reading.probe)))
    for condition in (reading.success, reading.failure):
        for where, value in condition.bounds.items() if condition is not None else ():
            if (name := template(value)) is None:
                continue
            declared = item.parameters.get(name)
            if declared is None or not declared.required or not is_number(declared.type):
                yield f"{where} is ${name}, which is no required parameter that is a number"
        name = template(condition.equals) if condition is not None else None
        if name is not None and (name not in item.parameters or not _is_plain(item.parameters[name])):
            yield f"equals is ${name}, which is no required parameter, or a secret"


def _is_plain(declared: Parameter) -> bool:
    return declared.required and not declared.secret


def _measured(item: "RegisteredOperation", reading: "Reading", registry: "OperationsRegistry") -> list[str]:
    """What is wrong with a criterion by the probes that are declared; nothing where none are."""
    if not registry.probes:
        return []
    probe = registry.probe(reading.probe)
    if probe is None:
        return [f"probe {reading.probe} is not declared under probes"] if _own_probes(item, registry) else []
    found = []
    if probe.executor != item.executor and reading in item.before:
        found.append(
            f"probe {probe.name} is read by {probe.executor}, and {item.executor} is to make sure of it before it acts"
        )
    if probe.constant and reading in item.criteria:
        found.append(f"probe {probe.name} is constant: a criterion on it cannot fail")
    if unknown := sorted(set(reading.parameters) - set(probe.parameters)):
        found.append(f"probe {probe.name} has no parameter {unknown[0]}")
    missing = [name for name, one in probe.parameters.items() if one.required and name not in reading.parameters]
    if missing:
        found.append(f"probe {probe.name} needs parameter {missing[0]}")
    if getattr(reading, "success", None) is not None:
        return found
    type_of_value = _type_of(item, reading)
    if (
        type_of_value is not None
        and type_of_value != probe.type
        and (type_of_value, probe.type) != ("integer", "number")
    ):
        found.append(f"probe {probe.name} reads {probe.type}, its value is of type {type_of_value}")
    if type_of_value is None and not is_of(reading.equals, probe.type):
        found.append(f"probe {probe.name} reads {probe.type}, and {reading.equals!r} is none")
    return found


def _own_probes(item: "RegisteredOperation", registry: "OperationsRegistry") -> bool:
    """Whether the probes of an operation's executor are declared: another part may leave its own out."""
    return any(probe.executor == item.executor for probe in registry.probes)


def _type_of(item: "RegisteredOperation", reading: "Reading") -> str | None:
    """The declared type of the parameter that a criterion's value stands for."""
    name = template(reading.equals)
    declared = item.parameters.get(name) if name is not None else None
    return declared.type if declared is not None else None


def _probe(probe: "Probe") -> list[str]:
    found = [
        f"identifies {name}, which is no parameter of it" for name in probe.identifies if name not in probe.parameters
    ]
    if RESOURCE in probe.parameters:
        found.append(f"its parameter {RESOURCE} has the name of what it is read on: give it another name")
    text = Template(probe.query)
    if not text.is_valid():
        return [*found, "its query has a $ that names nothing: write $name, or $$ for one that is part of the query"]
    unknown = sorted(set(text.get_identifiers()) - set(probe.parameters) - {RESOURCE})
    return [*found, *(f"its query has ${name}, which is no parameter of it" for name in unknown)]
