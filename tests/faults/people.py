"""What people do about an action whose worker is killed: the same over and over, since nobody knows what arrived."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import StrEnum
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from cli.asking import asked
from workflows.interface import DECIDE, RECHECK

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
    # The target moves while it is pending: they say so and wait for the next revision, or approve what they saw.
    see_it_move = "see_it_move"
    miss_it_move = "miss_it_move"
    # Who asks for it revokes it: while it is pending, or once its effect has happened.
    revoke = "revoke"
    # They accept what nobody can tell, once they are asked.
    accept = "accept"
    # Junk and the approval come in one moment, more than is taken one by one.
    flood = "flood"

    @property
    def moves(self) -> bool:
        """Whether the target moves."""
        return self in (Conduct.see_it_move, Conduct.miss_it_move)


async def converse(
    handle: WorkflowHandle[Any, Any],
    conduct: Conduct,
    happened: Callable[[], Awaitable[bool]],
    move: Callable[[], Awaitable[None]],
) -> None:
    """Behave like that until cancelled.

    Args:
        handle: the action.
        conduct: how to behave.
        happened: whether the target shows an effect.
        move: lets the target move, unless it has.
    """
    while True:
        try:
            status = await asked(handle, "status", rpc_timeout=_RPC)
            if status["state"] == "pending":
                if conduct.moves:
                    await move()
                await _answer(handle, conduct, status)
            if status["state"] == "executing" and conduct in (Conduct.stop, Conduct.revoke) and await happened():
                await _stop(handle, conduct, status)
            if status["state"] == "judging" and conduct is Conduct.accept:
                accepted = {**revocation(status), "decision_id": "accepted", "vote": "accept"}
                accepted["proof"] = {"kind": "claimed", "identity": _PEOPLE[0]}
                await handle.signal(DECIDE, accepted, rpc_timeout=_RPC)
        except RPCError:
            pass
        await asyncio.sleep(0.3)


_ANSWERS = {
    Conduct.approve: "approve",
    Conduct.accept: "approve",
    Conduct.deny: "deny",
    Conduct.see_it_move: "approve",
    Conduct.miss_it_move: "approve",
}


async def _stop(handle: WorkflowHandle[Any, Any], conduct: Conduct, status: dict[str, Any]) -> None:
    if conduct is Conduct.revoke:
        await handle.signal(DECIDE, revocation(status), rpc_timeout=_RPC)
    else:
        await handle.cancel(rpc_timeout=_RPC)


async def _answer(handle: WorkflowHandle[Any, Any], conduct: Conduct, status: dict[str, Any]) -> None:
    """Say what there is to say while people are asked. Nobody answers before a reminder that is due."""
    if conduct is Conduct.withdraw:
        await handle.cancel(rpc_timeout=_RPC)
    elif conduct is Conduct.revoke:
        await handle.signal(DECIDE, revocation(status), rpc_timeout=_RPC)
    elif conduct is Conduct.flood:
        real = _decision(status, "approve")
        every = [*({**real, "decision_id": f"junk-{number}", "revision": 9} for number in range(12)), real]
        await asyncio.gather(*(handle.signal(DECIDE, one, rpc_timeout=_RPC) for one in every))
    elif conduct is Conduct.see_it_move and status["revision"] == 1:
        await handle.signal(RECHECK, rpc_timeout=_RPC)
    elif conduct in _ANSWERS and all(due["kind"] != "reminder" for due in status["due"]):
        await handle.signal(DECIDE, _decision(status, _ANSWERS[conduct]), rpc_timeout=_RPC)


def _decision(status: dict[str, Any], vote: str) -> dict[str, Any]:
    """The same decision whenever it is asked for: nothing in it depends on when."""
    stage = status["stage"]
    return {
        "decision_id": f"revision-{status['revision']}-stage-{stage}",
        "proposal_id": status["proposal_id"],
        "revision": status["revision"],
        "stage": stage,
        **{name: status[name] for name in status if name.endswith("_digest")},
        "vote": vote,
        "justification": "it has to be said",
        "issued_at": status["screen"]["assessed_at"],
        "expires_at": status["screen"]["absolute_deadline"],
        "proof": {"kind": "claimed", "identity": _PEOPLE[stage - 1]},
    }


def revocation(status: dict[str, Any]) -> dict[str, Any]:
    """The same revocation whenever it is asked for; where nobody was asked, no screen is sealed that it could name."""
    return {
        "decision_id": "revoked",
        "proposal_id": status["proposal_id"],
        "revision": status["revision"],
        "stage": 1,
        **{name: status[name] or status["action_digest"] for name in status if name.endswith("_digest")},
        "vote": "revoke",
        "justification": "it was a mistake",
        "issued_at": "2020-01-01T00:00:00Z",
        "expires_at": "2100-01-01T00:00:00Z",
        "proof": {"kind": "claimed", "identity": "person:anna"},
    }
