"""What the documents that answer say of how an action ends: who may stop it, how it is undone, who judges it."""

from policy.rules.afterwards import FailedUndo
from policy.rules.composition import Speech
from policy.rules.revocation import Revocation
from policy.undecided import Judging, strictest


def revocations(said: list[Speech]) -> tuple[Revocation, ...]:
    """Who may revoke by each document that speaks of it."""
    documents = {item.document.metadata.name: item.document for item in said}
    return tuple(item.revocation for item in documents.values() if item.revocation is not None)


def stops_at_failed_undo(said: list[Speech]) -> bool:
    """Whether a document that speaks of it wants nothing more undone once an undo has failed."""
    rules = (item.document.compensation for item in said)
    return any(rule is not None and rule.on_failed_undo is FailedUndo.stop for rule in rules)


def judging(said: list[Speech]) -> Judging | None:
    """How people judge what measuring cannot, by every document that speaks of it."""
    documents = {item.document.metadata.name: item.document for item in said}
    rules = (item.inconclusive for item in documents.values() if item.inconclusive is not None)
    return strictest(
        Judging(within_seconds=max(1, int(rule.within.total_seconds())), on_expiry=rule.on_expiry) for rule in rules
    )
