"""What holds parts is judged as each of its parts is, too.

- A rule, a limit or a freeze that names a part, its system or its owner speaks of an action on whatever holds it: by
  another name the same is done to the same ids.
- A part makes the answer stricter, never milder: what is allowed of a part is not allowed of all that is beside it.
- Only parts that the policy can tell from the others are asked about, and each kind of them once.

Example: `db` is all there is of the system `payments`, and a rule denies what is done to `db`. Whoever proposes it of
`system:payments` is denied by the same rule.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from policy.facts import Facts
from policy.rules.match import Where

if TYPE_CHECKING:
    from policy.document import PolicyDocument, PolicySet

_TELLS_APART = re.compile(r"\btarget\s*\.\s*(ref|owner|system)\b")


class ToldApart(NamedTuple):
    """By what a policy can tell one part from another: by any name, where a condition asks for it, or by these."""

    by_condition: bool
    names: frozenset[str]


def told_apart(policy: "PolicySet") -> ToldApart:
    """By what a policy tells parts apart; the same for every action."""
    return ToldApart(
        any(_TELLS_APART.search(text) for document in policy.documents for text in _conditions(document)),
        frozenset(name for document in policy.documents for name in _named(document)),
    )


def views_of_parts(policy: "PolicySet", facts: Facts) -> tuple[Facts, ...]:
    """The same facts as of each part that a policy may speak of; empty where the target holds none."""
    if not facts.parts:
        return ()
    told = policy.told_apart
    views: dict[tuple[str | None, ...], Facts] = {}
    for part in facts.parts:
        given = (part.ref, part.system, part.owner)
        key = given if told.by_condition else tuple(name if name in told.names else None for name in given)
        if any(key) and key not in views:
            update = {"target_ref": part.ref, "target_system": part.system, "target_owner": part.owner}
            views[key] = facts.model_copy(update=update)
    return tuple(views.values())


def _conditions(document: "PolicyDocument") -> Iterator[str]:
    for items in (document.limits, document.rules, document.exceptions, document.aggregate):
        yield from (item.when for item in items if item.when is not None)


def _named(document: "PolicyDocument") -> Iterator[str]:
    """Every target, system and owner that a document names."""
    scoped = (*document.limits, *document.rules, *document.exceptions, *document.aggregate)
    matches: list[Where | None] = [document.metadata.covers, *(item.match for item in scoped)]
    matches += [*(item.match for item in document.calendars), *(item.match for item in document.break_glass)]
    for match in matches:
        if match is not None:
            yield from match.target_refs
            yield from match.systems or ()
    for rule in document.rules:
        yield from (owner for choice in rule.choices for owner in choice.owners or ())
