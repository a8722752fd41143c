"""What two policies say otherwise of what comes after an action: who says how it ended, what a failed undo means."""

from collections.abc import Iterator

from policy.document import PolicySet
from policy.rules.chains import ApprovalChain
from policy.rules.durations import written

_NAMES = ("unresolved", "amendments", "compensation", "inconclusive")


def said_afterwards(old: PolicySet, new: PolicySet) -> Iterator[tuple[str, str, str]]:
    """What differs, and what the old and the new policy say of it, in words; neither is stricter."""
    before, after = _said(old), _said(new)
    for name in _NAMES:
        one, other = before.get(name, "none"), after.get(name, "none")
        if one != other:
            yield name, one, other


def _said(policy: PolicySet) -> dict[str, str]:
    found: dict[str, list[str]] = {name: [] for name in _NAMES}
    for part in policy.documents:
        if (rule := part.unresolved) is not None:
            who = _chain(part.chain(rule.chain)) if rule.chain is not None else "whoever had to do with it"
            found["unresolved"].append(f"{who}, due {written(rule.due)}, again every {written(rule.remind_every)}")
        if part.amendments is not None:
            found["amendments"].append(_chain(part.chain(part.amendments.chain)))
        if part.compensation is not None:
            found["compensation"].append(f"on a failed undo {part.compensation.on_failed_undo}")
        if (judged := part.inconclusive) is not None:
            found["inconclusive"].append(f"people within {written(judged.within)}, then {judged.on_expiry}")
    return {name: "; ".join(items) for name, items in found.items() if items}


def _chain(chain: ApprovalChain) -> str:
    """Whom a chain asks, in words."""
    stages = []
    for stage in chain.stages:
        wanted = [f"{rule.count} of {rule.wanted}" for rule in stage.requirements]
        stages.append((" or " if stage.mode == "any_of" else " and ").join(wanted))
    return ", then ".join(stages)
