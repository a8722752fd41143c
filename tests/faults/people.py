"""What people do about an action whose worker is killed: the same over and over, since nobody knows what arrived."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import StrEnum
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from workflows.interface import DECIDE

_RPC = timedelta(seconds=3)
_PEOPLE = ("person:olga", "person:dirk")


class Conduct(StrEnum):
    """How people behave."""

    approve = "approve"
    deny = "deny"
    ignore = "ignore"
    # They cancel the workflow: while it is pending, or once its effect has happened.
    withdraw = "withdraw"
    stop = "stop"
    # Junk and the approval come in one moment, more than is taken one by one.
    flood = "flood"


async def converse(handle: WorkflowHandle[Any, Any], conduct: Conduct, happened: Callable[[], Awaitable[bool]]) -> None:
    """Behave like that until cancelled.

    Args:
        handle: the action.
        conduct: how to behave.
        happened: whether the target shows an effect.
    """
    while True:
        try:
            status = await handle.query("status", rpc_timeout=_RPC)
            if status["state"] == "pending":
                await _answer(handle, conduct, status)
            if status["state"] == "executing" and conduct is Conduct.stop and await happened():
                await handle.cancel(rpc_timeout=_RPC)
        except RPCError:
            pass
        await asyncio.sleep(0.3)


async def _answer(handle: WorkflowHandle[Any, Any], conduct: Conduct, status: dict[str, Any]) -> None:
    """Say what there is to say while people are asked. Nobody answers before a reminder that is due."""
    if conduct is Conduct.withdraw:
        await handle.cancel(rpc_timeout=_RPC)
    elif conduct is Conduct.flood:
        real = _decision(status, Conduct.approve)
        every = [*({**real, "decision_id": f"junk-{number}", "revision": 9} for number in range(12)), real]
        await asyncio.gather(*(handle.signal(DECIDE, one, rpc_timeout=_RPC) for one in every))
    elif conduct in (Conduct.approve, Conduct.deny) and all(due["kind"] != "reminder" for due in status["due"]):
        await handle.signal(DECIDE, _decision(status, conduct), rpc_timeout=_RPC)


def _decision(status: dict[str, Any], vote: Conduct) -> dict[str, Any]:
    """The same decision whenever it is asked for: nothing in it depends on when."""
    stage = status["stage"]
    return {
        "decision_id": f"stage-{stage}",
        "proposal_id": status["proposal_id"],
        "revision": status["revision"],
        "stage": stage,
        **{name: status[name] for name in status if name.endswith("_digest")},
        "vote": str(vote),
        "justification": "it has to be said",
        "issued_at": status["screen"]["assessed_at"],
        "expires_at": status["screen"]["absolute_deadline"],
        "proof": {"kind": "claimed", "identity": _PEOPLE[stage - 1]},
    }
