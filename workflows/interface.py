"""What a client may say, and where. These names are the public contract (`docs/spec/contract.md`)."""

WORKFLOW_TYPE = "AuthorizeAction"
TASK_QUEUE = "countersign"
PERMIT_QUEUE = "countersign-permit"
EXECUTOR_QUEUE = "countersign-executor"

DECIDE = "decide"
RECHECK = "recheck"
LOOK_AGAIN = "look_again"
STATUS = "status"
EXPLAIN = "explain"
# What a query fails with that came between an event and the workflow task that delivers it: it is asked again.
ASKED_TOO_EARLY = "asked while a workflow task was on its way: ask again, or the record where the run has ended"

SWEEP_WORKFLOW = "Sweep"
ARCHIVE_WORKFLOW = "Archive"
SLO_WORKFLOW = "RefreshSloStates"
DELIVER_WORKFLOW = "Deliver"
KEYS_WORKFLOW = "RefreshIssuerKeys"
WATCH_WORKFLOW = "Watch"
DETECT_WORKFLOW = "Detect"
ITEM_WORKFLOW = "ResolveItem"
_AMENDMENT = "amendment."
_OUTSIDE = "outside."
HALT_WORKFLOW = "Halt"
RELEASE = "release"


def workflow_id(proposal_id: str) -> str:
    """The one workflow id that a proposal can have."""
    return f"action/{proposal_id}"


def item_id(name: str) -> str:
    """The one workflow id that an item which people have to look at can have."""
    return f"item/{name}"


def amendment_item(proposal_id: str) -> str:
    """The name of the item by which people amend how an action ended."""
    return f"{_AMENDMENT}{proposal_id}"


def amended_of(name: str) -> str | None:
    """Whose outcome an item of that name amends; None where it is another item."""
    return name.removeprefix(_AMENDMENT) if name.startswith(_AMENDMENT) else None


def outside_item(statement_id: str) -> str:
    """The name of the item by which somebody states what was done outside."""
    return f"{_OUTSIDE}{statement_id}"


def states_outside(name: str) -> bool:
    """Whether an item of that name takes a statement of what was done outside."""
    return name.startswith(_OUTSIDE)


def halt_workflow_id(halt_id: str) -> str:
    """The one workflow id that a halt can have."""
    return f"halt/{halt_id}"
