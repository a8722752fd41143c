"""Names in a policy that nothing else knows, and things in it that nothing names.

- Operations are compared with the operations registry, environments, targets, systems and owners with the catalog, each
  where it is given. A rule for a name that does not exist matches nothing, and the action it was meant for is denied or
  decided by another rule: a warning.
- Controls that are written as those of NIST are looked up in the table; other frameworks are free text.
- A chain that nothing asks, and a window that no rule opens in, is a warning: it can hardly be meant.
"""

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from policy.catalog import Catalog, normalize
from policy.checks.findings import Finding, Severity
from policy.checks.nist_controls import CONTROLS, looks_like_nist, oscal_id
from policy.document import PolicyDocument
from policy.subject import Subject, WrittenPolicy

Path = tuple[str | int, ...]
_SHOWN = 5
_WHERE = {"operations": "the operations registry"}


def name_findings(subject: Subject) -> Iterator[Finding]:
    """Findings about names."""
    known = dict(_known(subject))
    for written in subject.policies:
        for path, match in _matches(written.document):
            for field, names in known.items():
                yield from _unknown(written, (*path, field), getattr(match, field, None) or (), field, names)
        yield from _controls(written)
        yield from _unused(written)
        yield from _without_controls(written)


def _known(subject: Subject) -> Iterator[tuple[str, set[str]]]:
    """For each list of a match, what it may name."""
    if subject.operations is not None:
        yield "operations", {item.name for item in subject.operations.operations}
    if subject.catalog is not None:
        yield from _of_catalog(subject.catalog).items()


def _of_catalog(catalog: Catalog) -> dict[str, set[str]]:
    entities = [catalog.entity(ref) for ref in catalog.entities]
    pick: dict[str, Callable[[Any], Any]] = {
        "environments": lambda entity: entity.environment,
        "targets": lambda entity: entity.ref,
        "systems": lambda entity: entity.system,
        "owners": lambda entity: entity.owner,
    }
    return {field: {value for item in entities if item and (value := of(item))} for field, of in pick.items()}


def _matches(document: PolicyDocument) -> Iterator[tuple[Path, Any]]:
    """Everything in a document that has lists of names, with its path."""
    yield ("metadata", "covers"), document.metadata.covers
    for field in ("limits", "rules", "calendars", "exceptions", "break_glass", "admission"):
        for number, item in enumerate(getattr(document, field)):
            yield (field, number, "match"), item.match
    yield from ((("proofs", number), rule) for number, rule in enumerate(document.proofs))
    for number, rule in enumerate(document.rules):
        if not isinstance(rule.chain, str):
            yield from ((("rules", number, "chain", at), choice) for at, choice in enumerate(rule.chain or ()))


def _unknown(
    written: WrittenPolicy, path: Path, given: Sequence[str], field: str, known: set[str]
) -> Iterator[Finding]:
    for number, name in enumerate(given):
        if (normalize(name) if field == "targets" else name) not in known:
            where = _WHERE.get(field, "the catalog")
            message = f"{field[:-1]} {name} is not in {where}, nothing matches it: correct it{_meant(name, known)}"
            yield written.say(Severity.warning, f"unknown_{field[:-1]}", message, *path, number)


def _meant(name: str, known: set[str]) -> str:
    # Comparing is quadratic in the length of names; among thousands of them a guess is worth less than it costs.
    found = get_close_matches(name, sorted(known)[:500], n=1)
    return f", did you mean {found[0]}?" if found else " or add it there"


def _controls(written: WrittenPolicy) -> Iterator[Finding]:
    document = written.document
    places: list[tuple[Path, Sequence[str]]] = [(("metadata", "controls"), document.metadata.controls)]
    places += [(("rules", number, "controls"), rule.controls) for number, rule in enumerate(document.rules)]
    places += [(("limits", number, "controls"), limit.controls) for number, limit in enumerate(document.limits)]
    for path, controls in places:
        for number, name in enumerate(controls):
            if not looks_like_nist(name) or name in CONTROLS:
                continue
            right = oscal_id(name)
            fix = f"write {right}" if right in CONTROLS else "correct its id, or name the framework that it is from"
            message = f"control {name} is not in the table of NIST SP 800-53 controls: {fix}"
            yield written.say(Severity.warning, "unknown_control", message, *path, number)


def _unused(written: WrittenPolicy) -> Iterator[Finding]:
    document = written.document
    asked = {choice.chain for rule in document.rules for choice in rule.choices}
    asked |= {name for glass in document.break_glass for name in glass.chains}
    if document.revocation is not None and document.revocation.after is not None:
        asked.add(document.revocation.after.chain)
    asked |= set(document.chains_afterwards)
    for name in document.chains:
        if name not in asked:
            message = f"chain {name} is asked by no rule: remove it, or name it in a rule"
            yield written.say(Severity.warning, "unused_chain", message, "chains", name)
    opened = {name for rule in document.rules for name in rule.windows or ()}
    for number, calendar in enumerate(document.calendars):
        if calendar.kind == "window" and calendar.id not in opened:
            message = f"window {calendar.id} is named by no rule and opens nothing: name it in the windows of a rule"
            yield written.say(Severity.warning, "unused_window", message, "calendars", number)


def _without_controls(written: WrittenPolicy) -> Iterator[Finding]:
    document = written.document
    bare = [rule.id for rule in document.rules if not rule.controls]
    if bare and not document.metadata.controls:
        shown = ", ".join(bare[:_SHOWN]) + (f" and {len(bare) - _SHOWN} more" if len(bare) > _SHOWN else "")
        message = f"no control is named by {shown}: an auditor will ask which control each rule serves"
        yield written.say(Severity.info, "no_controls", message, "rules")
