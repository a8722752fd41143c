"""What a workflow asks of executors before anything is permitted, and what they answer; as `workflows/messages.py`."""

from typing import Any, Self

from workflows.messages import Answer, Request


class ResolveRequest(Request):
    """What an action would touch is asked: of a proposal as received (any JSON value), or of one that is registered."""

    proposal: Any = None
    proposal_id: str | None = None


class ResolveResult(Answer):
    """Whether something was put on record, and nothing of what."""

    resolved: bool = False

    @classmethod
    def unreadable(cls) -> Self:
        return cls()
