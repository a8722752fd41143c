"""Computing the noted events of a case again: each must follow from the case before it and the documents it names.

Each kind of event has its own check; it takes the case before the event, the event and what its entry kept, and returns
what differs, one sentence each.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from policy.approval.ballot import ApprovalCase, CaseEvent
from policy.approval.changes import changes
from policy.audit import GovernedDocuments
from policy.audit_evaluations import compare

Check: TypeAlias = Callable[[ApprovalCase, CaseEvent, Mapping[str, Any], GovernedDocuments], list[str]]


def _check_change(
    case: ApprovalCase, event: CaseEvent, content: Mapping[str, Any], documents: GovernedDocuments
) -> list[str]:
    """Whether time or the directory brought it (`policy/approval/changes.py`)."""
    directory = documents.directory(content["directory"])
    due = changes(case, directory, content["agent"], event.at)
    if not due or due[0].event.kind != event.kind or due[0].key != content["key"]:
        return [f"nothing brought {content['key']} at {event.at.isoformat()}"]
    return compare("event", content["event"], due[0].event)


_CHECKS: dict[str, Check] = {"escalated": _check_change, "dropped": _check_change, "grace": _check_change}


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
