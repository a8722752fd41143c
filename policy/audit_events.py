"""Computing the noted events of a case again: each must follow from the case before it and the documents it names.

Each kind of event has its own check; it takes the case before the event, the event, what its entry kept, and the people
by the directory that the entry names, and returns what differs, one sentence each.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from policy.approval.ballot import ApprovalCase, CaseEvent
from policy.approval.changes import changes
from policy.approval.following import CAUSE, follows
from policy.approval.today import Today
from policy.audit_evaluations import compare

Check: TypeAlias = Callable[[ApprovalCase, CaseEvent, Mapping[str, Any], Today], list[str]]


def _check_change(case: ApprovalCase, event: CaseEvent, content: Mapping[str, Any], today: Today) -> list[str]:
    """Whether time or the directory brought it (`policy/approval/changes.py`)."""
    due = changes(case, today, event.at)
    if not due or due[0].event.kind != event.kind or due[0].key != content["key"]:
        return [f"nothing brought {content['key']} at {event.at.isoformat()}"]
    return compare("event", content["event"], due[0].event)


def _check_follows(case: ApprovalCase, event: CaseEvent, content: Mapping[str, Any], today: Today) -> list[str]:
    """Whether it followed from who is left (`policy/approval/following.py`)."""
    found = next(iter(follows(case, today, event.at)), None)
    if found is None:
        return ["people were left, so nothing followed"]
    return compare("event", content["event"], found)


def _check_escalated(case: ApprovalCase, event: CaseEvent, content: Mapping[str, Any], today: Today) -> list[str]:
    check = _check_follows if content.get("cause") == CAUSE else _check_change
    return check(case, event, content, today)


_CHECKS: dict[str, Check] = {
    "escalated": _check_escalated,
    "dropped": _check_change,
    "grace": _check_change,
    "unreachable": _check_follows,
}


def check_event(case: ApprovalCase | None, event: CaseEvent, content: Mapping[str, Any], today: Today) -> list[str]:
    """Whether an event was due to be noted."""
    if case is None:
        return ["nobody was asked, so nothing could happen to the case"]
    if event.at != case.after(event.at):
        return [f"it is dated {event.at.isoformat()}, not after what happened before"]
    return _CHECKS[event.kind](case, event, content, today)
