"""What a scene of the demo can do, and nothing that another client could not: everything is the public contract.

A proposal is started as a platform starts it, with a plain Temporal client. A person decides through the code of
`countersign approve`. What happened meanwhile is read from the record, as `countersign show` reads it.
"""

import argparse
import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from activities.database import Database
from activities.dossier import read_dossier
from cli.asking import asked
from cli.case import look
from cli.decide import decision
from cli.demo_screen import Screen
from cli.place import Place
from cli.sending import send
from cli.signers import Claim
from deploy.dev import StackAddresses
from policy.decision import DecisionReceipt, Vote
from policy.errors import CountersignError
from policy.ledger import EntryKind

_POLL_SECONDS = 0.1
_PATIENCE = timedelta(seconds=20)
# A scene whose promise does not come true within this is broken.
SCENE_SECONDS = 60.0


class DemoError(CountersignError):
    """The demo cannot go on."""


@dataclass(frozen=True)
class Ended:
    """How a scene ended. `problems` names each promise that was not kept."""

    number: int
    result: Mapping[str, Any]
    problems: tuple[str, ...]

    @property
    def proposal_id(self) -> str:
        """Whose end this is."""
        return str(self.result["proposal_id"])

    @property
    def seconds(self) -> float:
        """From proposal to result."""
        timings = self.result["timings"]
        began, ended = (datetime.fromisoformat(timings[name]) for name in ("proposed_at", "finished_at"))
        return (ended - began).total_seconds()


@dataclass(frozen=True)
class World:
    """The stack of the demo, and the screen that it is told on. `record` reads, as the reader role."""

    stack: StackAddresses
    place: Place
    client: Client
    record: Database
    screen: Screen
    told: dict[str, int] = field(default_factory=dict)

    async def propose(self, proposal: Mapping[str, Any]) -> "WorkflowHandle[Any, Any]":
        """Start an action as docs/spec/contract.md recommends."""
        return await self.client.start_workflow(
            "AuthorizeAction",
            proposal,
            id=f"action/{proposal['proposal_id']}",
            task_queue="countersign",
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=proposal["rationale"][:100],
        )

    async def result(self, handle: "WorkflowHandle[Any, Any]") -> Mapping[str, Any]:
        """Await an action's result, and tell what the ledger has of it by then."""
        result: Mapping[str, Any] = await handle.result()
        await self.tell(result["proposal_id"])
        return result

    async def decide(self, proposal_id: str, identity: str, vote: Vote, because: str = "") -> DecisionReceipt:
        """Say something as somebody, as `countersign approve ID --as IDENTITY --yes` does.

        Raises:
            DemoError: nobody answered.

        """
        case = await look(self.place, proposal_id)
        given = argparse.Namespace(vote=vote, because=because, stage=None)
        submission = {**decision(case, given, datetime.now(UTC)), "proof": Claim(identity).proof}
        answer = await send(self.place, identity, submission, patience=_PATIENCE)
        if answer.receipt is None:
            raise DemoError(f"decision of {identity} on {proposal_id} got no answer: {answer.note}")
        await self.tell(proposal_id)
        return answer.receipt

    async def why(self, handle: "WorkflowHandle[Any, Any]") -> str:
        """Why an action is pending, in one line: its own answer to the query `explain`."""
        answer = await asked(handle, "explain")
        groups = ", ".join(group for names in answer["could_unblock"].values() for group in names)
        return f"{answer['summary']}; could unblock it: {groups}"

    async def until(self, proposal_id: str, kind: EntryKind) -> Mapping[str, Any]:
        """Wait until the ledger has an entry of a kind, telling every entry on the way; the newest of that kind."""
        while True:
            found = [entry for entry in await self.tell(proposal_id) if entry["kind"] == kind]
            if found:
                return found[-1]
            await asyncio.sleep(_POLL_SECONDS)

    async def tell(self, proposal_id: str) -> tuple[Mapping[str, Any], ...]:
        """Show the ledger entries of an action that were not shown yet; all of them."""
        async with self.record.snapshot() as connection:
            dossier = await read_dossier(connection, proposal_id)
        entries = dossier.entries if dossier else ()
        for entry in entries[self.told.get(proposal_id, 0) :]:
            self.screen.entry(entry)
        self.told[proposal_id] = len(entries)
        return entries

    def judge(self, number: int, result: Mapping[str, Any], promises: Mapping[str, bool]) -> Ended:
        """The end of a scene: what was promised, and whether it is so."""
        broken = tuple(promise for promise, kept in promises.items() if not kept)
        for promise in promises:
            (self.screen.broken if promise in broken else self.screen.found)(promise)
        return Ended(number=number, result=result, problems=broken)
