"""Real runs in which something changes while people are asked: measured again, asked anew, given back, gone, held."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from activities.attributes import RegisteredAttributes
from activities.clock import SystemClock
from activities.control import ControlActivities
from activities.documents import Documents, kind_of
from activities.proving import Prover
from activities.tables import LedgerEntryRow
from cli.policy import publish_one
from policy.ledger import EntryKind
from tests.replay.recording import DOCUMENTS, Recording, Scenario, decision, proposal
from workflows import interface
from workflows.messages import DecisionRequest

_DRIFT = b"drift: {recheck_every: 1s, min_interval: 1s, max_voids: %d}\nlimits:\n"


def _text(kind: str) -> bytes:
    return (DOCUMENTS / f"{kind}.yaml").read_bytes()


def _policy(voids: int = 2) -> bytes:
    """The policy, and that an action is measured again every second."""
    return _text("policy").replace(b"limits:\n", _DRIFT % voids, 1)


# Another database of production under the same name.
MOVED = _text("catalog").replace(b"resource-id: postgres/orders", b"resource-id: postgres/reports")
GONE = _text("catalog").replace(b"  name: orders-db\n", b"  name: other-db\n")
CAROL_LEFT = _text("directory").replace(b"aliases: [carol], groups: [oncall]", b"aliases: [carol], groups: []")


@asynccontextmanager
async def _changing(place: Recording, *documents: bytes) -> AsyncIterator[None]:
    """With these documents in force inside the block; as they were before and after it."""
    for body in documents:
        await _publish(place, body)
    try:
        yield
    finally:
        for kind in ("policy", "catalog", "directory"):
            await _publish(place, _text(kind))


async def _publish(place: Recording, body: bytes) -> None:
    url = place.stack.database_url("postgres", "countersign")
    await publish_one(url, kind_of(body), body, by="tests", at=datetime.now(UTC))


async def _asked(place: Recording, handle: Any, revision: int) -> None:
    await place.status(handle, lambda item: item["revision"] == revision and item["state"] == "pending")


async def _measured(place: Recording, proposal_id: str) -> None:
    """Until the record has a measurement; bounded."""
    wanted = select(LedgerEntryRow.entry_id).where(  # type: ignore[call-overload]
        LedgerEntryRow.proposal_id == proposal_id, LedgerEntryRow.kind == str(EntryKind.remeasured)
    )
    async with asyncio.timeout(20):
        while True:
            async with place.database.snapshot() as connection:
                if (await connection.execute(wanted)).first() is not None:
                    return
            await asyncio.sleep(0.05)


async def remeasured(place: Recording, proposal_id: str) -> None:
    """Another version of the policy asks the same: recorded while people are asked, and the votes stay."""
    async with _changing(place, _policy()):
        handle = await place.start(proposal_id, proposal(proposal_id))
        await place.decide(handle, "carol")
        await _publish(place, _policy() + b"# a comment\n")
        await _measured(place, proposal_id)
        await place.decide(handle, "bob")
        await handle.result()


async def superseded(place: Recording, proposal_id: str) -> None:
    """The target is another database by now: the vote is void, a late one is refused, and two people answer anew."""
    async with _changing(place, _policy()):
        handle = await place.start(proposal_id, proposal(proposal_id))
        await place.decide(handle, "carol")
        await _publish(place, MOVED)
        await _asked(place, handle, 2)
        await place.decide(handle, "bob", revision=1, decision_id="bob-late")
        await place.decide(handle, "carol", decision_id="carol-again")
        await place.decide(handle, "bob")
        await handle.result()


async def given_back(place: Recording, proposal_id: str) -> None:
    """Who approved the first stage left between the last vote and dispatch: it is asked again, the vote of the second
    stage is kept.
    """
    async with _changing(place):
        handle = await place.start(proposal_id, proposal(proposal_id))
        await place.decide(handle, "carol")
        found = await place.status(handle, lambda item: item["stage"] == 2)
        vote = decision(found, "bob")
        await _taken(place, proposal_id, vote)
        await _publish(place, CAROL_LEFT)
        await handle.execute_update(interface.DECIDE, vote)
        await _asked(place, handle, 2)
        await place.status(handle, lambda item: "leads" in item["stages"][0]["groups"])
        await place.decide(handle, "alice")
        await handle.result()


async def _taken(place: Recording, proposal_id: str, vote: dict[str, Any]) -> None:
    """What the activity does with a vote, before the run hears of it."""
    control = ControlActivities(
        place.database,
        Documents(),
        SystemClock(),
        Prover(accepts_claimed=True),
        local_dispatch=True,
        attributes=RegisteredAttributes(place.client),
    )
    told = {"proposal_id": proposal_id, "revision": 1, "submission": vote, "channel": "update", "arrival": 9}
    await control.take_decision(DecisionRequest.model_validate({**told, "now": datetime.now(UTC)}))


async def vanished(place: Recording, proposal_id: str) -> None:
    """The target is in the catalog no more, as somebody says by the signal `recheck`: the case closes."""
    async with _changing(place, _policy()):
        handle = await place.start(proposal_id, proposal(proposal_id))
        await _asked(place, handle, 1)
        await _publish(place, GONE)
        await handle.signal("recheck", {"because": "it was switched off"})
        await handle.result()


async def released(place: Recording, proposal_id: str) -> None:
    """It changed too often: nobody approves before somebody of the first stage has released it. Time brings both
    revisions a reminder and an escalation.
    """
    async with _changing(place, _policy(voids=1)):
        handle = await place.start(proposal_id, proposal(proposal_id))
        await place.status(handle, lambda item: bool(item["stages"]) and "leads" in item["stages"][0]["groups"])
        await _publish(place, MOVED)
        await _asked(place, handle, 2)
        await place.status(handle, lambda item: "leads" in item["stages"][0]["groups"])
        for person, vote in (("carol", "approve"), ("dana", "release"), ("carol", "release")):
            await place.decide(handle, person, vote)
        await place.decide(handle, "carol", decision_id="carol-now")
        await place.decide(handle, "bob")
        await handle.result()


CHANGES: tuple[Scenario, ...] = (remeasured, superseded, given_back, vanished, released)
