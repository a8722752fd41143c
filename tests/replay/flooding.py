"""Real runs under a flood, to be exported: many messages at once, a run that continues, starts that are refused."""

import asyncio
from typing import Any

from temporalio.client import WorkflowHandle

from policy.canonical import digest
from tests.replay.recording import (
    BOUND_SECONDS,
    SIGNALS,
    Recording,
    Scenario,
    decision,
    ending,
    proposal,
    until_queued,
)
from workflows import interface


async def batch(place: Recording, proposal_id: str) -> None:
    """Junk and two votes wait for the record together: what could count is taken first, all of it in one call."""
    handle = await place.start(proposal_id, proposal(proposal_id))
    found = await place.status(handle, lambda item: item["screen"] is not None)
    await asyncio.to_thread(place.stack.postgres.stop)
    await handle.signal(interface.DECIDE, {"vote": "first"})
    await until_queued(handle)
    for number in range(3):
        await handle.signal(interface.DECIDE, decision(found, f"nobody-{number}", decision_id=f"junk-{number}"))
        await handle.signal(interface.DECIDE, {**decision(found, "carol"), "action_digest": digest(b"another")})
    await handle.signal(interface.DECIDE, decision(found, "carol", decision_id="real"))
    await handle.signal(interface.DECIDE, decision(found, "bob", decision_id="also-real", stage=2))
    await asyncio.to_thread(place.stack.postgres.start)
    await handle.result()


async def continued_as_new(place: Recording, proposal_id: str) -> None:
    """After so many signals a new run goes on with the vote that was counted, and the second one approves it."""
    handle = await place.start(proposal_id, proposal(proposal_id))
    await place.decide(handle, "carol")
    for number in range(SIGNALS):
        await handle.signal(interface.DECIDE, {"vote": "maybe", "number": number})
    await until_continued(handle)
    await place.status(handle, lambda item: item["stage"] == 2)
    await place.decide(handle, "bob")
    await handle.result()


async def continued_by_signals(place: Recording, proposal_id: str) -> None:
    """Signals that say nothing end a run; a stop that comes afterwards ends the next one."""
    handle = await place.start(proposal_id, proposal(proposal_id))
    await place.status(handle, lambda item: item["state"] == "pending")
    for _ in range(SIGNALS):
        await handle.signal(interface.RECHECK)
    await until_continued(handle)
    await handle.cancel()
    await handle.result()


async def collapsed(place: Recording, proposal_id: str) -> None:
    """Another action asks for the same effect and is pending: this one is told to wait for it."""
    other = await place.start(f"{proposal_id}-other", proposal(f"{proposal_id}-other"))
    await place.status(other, lambda item: item["state"] == "pending")
    await (await place.start(proposal_id, proposal(proposal_id))).result()
    await other.cancel()
    await other.result()


async def not_admitted(place: Recording, proposal_id: str) -> None:
    """As many as the policy admits wait already."""
    other = await place.start(f"{proposal_id}-other", ending(f"{proposal_id}-other", 2))
    await place.status(other, lambda item: item["state"] == "pending")
    await (await place.start(proposal_id, ending(proposal_id, 3))).result()
    await other.result()


async def until_continued(handle: "WorkflowHandle[Any, Any]") -> None:
    """Until the newest run continues another one; bounded."""
    async with asyncio.timeout(BOUND_SECONDS):
        while True:
            history = await handle.fetch_history()
            if history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id:
                return
            await asyncio.sleep(0.2)


FLOODS: tuple[Scenario, ...] = (batch, continued_as_new, continued_by_signals, collapsed, not_admitted)
