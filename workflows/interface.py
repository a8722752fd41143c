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

SWEEP_WORKFLOW = "Sweep"
ARCHIVE_WORKFLOW = "Archive"
SLO_WORKFLOW = "RefreshSloStates"
DELIVER_WORKFLOW = "Deliver"
KEYS_WORKFLOW = "RefreshIssuerKeys"
WATCH_WORKFLOW = "Watch"
ITEM_WORKFLOW = "ResolveItem"
HALT_WORKFLOW = "Halt"
RELEASE = "release"


def workflow_id(proposal_id: str) -> str:
    """The one workflow id that a proposal can have."""
    return f"action/{proposal_id}"


def item_id(name: str) -> str:
    """The one workflow id that an item which people have to look at can have."""
    return f"item/{name}"


def halt_workflow_id(halt_id: str) -> str:
    """The one workflow id that a halt can have."""
    return f"halt/{halt_id}"
