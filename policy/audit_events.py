"""Computing the noted events of a case again: each must follow from the case before it and the documents it names.

Each kind of event has its own check; it takes the case before the event, the event and what its entry kept, and returns
what differs, one sentence each.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from policy.approval.ballot import ApprovalCase, CaseEvent
from policy.audit import GovernedDocuments

Check: TypeAlias = Callable[[ApprovalCase, CaseEvent, Mapping[str, Any], GovernedDocuments], list[str]]
_CHECKS: dict[str, Check] = {}


def check_event(
    case: ApprovalCase | None, event: CaseEvent, content: Mapping[str, Any], documents: GovernedDocuments
) -> list[str]:
    """Whether an event was due to be noted."""
    if case is None:
        return ["nobody was asked, so nothing could happen to the case"]
    if event.at != case.after(event.at):
        return [f"it is dated {event.at.isoformat()}, not after what happened before"]
    check = _CHECKS.get(event.kind)
    return check(case, event, content, documents) if check is not None else []
