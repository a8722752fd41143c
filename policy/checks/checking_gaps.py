"""Gaps: what is registered and no rule covers, by environment. It is denied, and nobody said why.

- Each registered operation is asked about at each probe (`policy/checks/probing.py`): in the environments of the
  catalog, if one is given, and on every target, system, owner and tier that the policy tells apart.
- Where a limit denies anyway there is no gap. Where only rules with conditions or windows speak, whether they hold is
  not analysed: an info says so. A freeze, an exception, break-glass and a rule that only observes cover nothing.
- A root's or a team's part alone covers little, and means to: gaps are looked for where the organisation's is there.
- What changes governed documents is asked about elsewhere (`policy/governance.py`).
"""

from collections.abc import Iterator

from policy.builtin import ENVIRONMENT, PUBLISH, TARGET
from policy.checks.findings import Finding, Severity
from policy.checks.meaning import Form, Meaning
from policy.checks.probing import Probes, other
from policy.checks.regions import Point, boxes, sentence
from policy.document import PolicySet, Scope
from policy.errors import DocumentError
from policy.operations import OperationsRegistry
from policy.subject import Subject

_ORDER = (5, 4, 3, 2, 1, 0)
_SHOWN = 50


def gap_findings(subject: Subject) -> Iterator[Finding]:
    """Findings about what no rule covers; none without an operations registry."""
    scopes = {item.document.metadata.scope for item in subject.policies}
    if subject.operations is None or Scope.organisation not in scopes:
        return
    first = subject.policies[0]
    meaning = Meaning(PolicySet(documents=tuple(item.document for item in subject.policies)), subject.now)
    places = {"environments": frozenset(_environments(subject))} if subject.catalog else {}
    try:
        probes = Probes([*meaning.items, places], _written(subject.operations), subject.catalog)
    except DocumentError as error:
        yield first.say(Severity.info, "gaps_not_analysed", f"gaps are not looked for: {error}", "rules")
        return
    known = {kind.label for kind in probes.kinds if kind.registered}
    nowhere = {ENVIRONMENT, other("environments") if subject.catalog else ENVIRONMENT}
    bare: list[Point] = []
    unsure: list[Point] = []
    for point, bits in probes:
        form = meaning.at(bits)
        if form.wall or _always(form) or point[0] not in known or point[1] in nowhere or point[2] == TARGET:
            continue
        (unsure if any(speech.answers for speech in form.speeches) else bare).append(point)
    for box in boxes(bare, _ORDER)[:_SHOWN]:
        where = sentence(box, probes.dimensions)
        message = f"no rule covers {where}: it is denied, add a rule that says what should be"
        yield first.say(Severity.warning, "gap", message, "rules")
    for box in boxes(unsure, _ORDER)[:_SHOWN]:
        where = sentence(box, probes.dimensions)
        message = f"only rules with conditions or windows cover {where}: where none of them holds, it is denied"
        yield first.say(Severity.info, "gap_unless", message, "rules")


def _always(form: Form) -> bool:
    return any(speech.answers and speech.answers[-1].always for speech in form.speeches)


def _written(operations: OperationsRegistry) -> OperationsRegistry:
    return operations.model_copy(
        update={"operations": tuple(item for item in operations.operations if item.name != PUBLISH)}
    )


def _environments(subject: Subject) -> set[str]:
    assert subject.catalog is not None
    entities = [subject.catalog.entity(ref) for ref in subject.catalog.entities]
    return {item.environment for item in entities if item and item.environment} - {ENVIRONMENT}
