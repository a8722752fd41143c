"""Deadlines that never come: an action does not live to see them.

- `absolute_deadline`, of several documents the shortest, ends an action whatever its stages wait for. A stage whose
  deadline is longer never comes to what `on_expiry` says: a warning. One of the same length does.
- Reviews have no such end: a chain that only they ask is not meant.
- Hours make a deadline later, and so do the stages before it; neither is looked at.
"""

from collections.abc import Iterator

from policy.checks.findings import Finding, Severity
from policy.document import PolicyDocument
from policy.rules.durations import written
from policy.subject import Subject


def deadline_findings(subject: Subject) -> Iterator[Finding]:
    """Findings about the deadlines of stages."""
    longest = min(item.document.absolute_deadline for item in subject.policies)
    for policy, name in subject.chains:
        stages = policy.document.chains[name].stages if name in _asked(policy.document) else ()
        for number, stage in enumerate(stages):
            if stage.deadline > longest:
                message = (
                    f"stage {stage.name} waits {written(stage.deadline)}, and absolute_deadline ends every action after"
                    f" {written(longest)}: its own deadline never comes, shorten it or lengthen absolute_deadline"
                )
                path = ("chains", name, "stages", number, "deadline")
                yield policy.say(Severity.warning, "deadline_never_comes", message, *path)


def _asked(document: PolicyDocument) -> set[str]:
    """The chains that are asked before an action runs."""
    asked = {choice.chain for rule in document.rules for choice in rule.choices}
    asked |= {name for glass in document.break_glass for name in (glass.chain, glass.dual_control) if name}
    if document.revocation is not None and document.revocation.after is not None:
        asked.add(document.revocation.after.chain)
    return asked
