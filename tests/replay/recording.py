"""Real runs of every path, to be exported: a stack, a worker, a target, and what people say when.

Each scenario takes a proposal id and returns when its workflow has closed. Nothing is faked; deadlines are seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from activities.connection import connect
from activities.database import Database
from activities.documents import Documents
from activities.drafts import store_draft
from activities.encryption.keys import Keys
from activities.settings import Settings
from cli.policy import publish_one
from cli.ready import prepare_local
from deploy.dev import Stack
from policy.base import instant_text
from policy.canonical import digest
from policy.draft import Draft, publication
from tests.replay.scratch import prepare_scratch
from worker import running_workers
from workflows import interface
from workflows.messages import PACE

DOCUMENTS = Path(__file__).parent / "documents"
BOUND_SECONDS = 20.0
# After so many a run continues as a new one.
SIGNALS = 12
QUICK = PACE.model_copy(update={"signals": SIGNALS})


@dataclass(frozen=True)
class Recording:
    """A running place, as a platform and the people of it see it."""

    client: Client
    database: Database
    settings: Settings
    stack: Stack

    async def start(self, proposal_id: str, proposal: Any, **options: Any) -> "WorkflowHandle[Any, Any]":
        """Start a run under the workflow id of a proposal."""
        return await self.client.start_workflow(
            interface.WORKFLOW_TYPE,
            proposal,
            id=interface.workflow_id(proposal_id),
            task_queue=interface.TASK_QUEUE,
            **options,
        )

    async def status(self, handle: "WorkflowHandle[Any, Any]", until: Callable[[dict[str, Any]], bool]) -> Any:
        """The status once it is as wanted; bounded."""
        async with asyncio.timeout(BOUND_SECONDS):
            while True:
                found: dict[str, Any] = await handle.query(interface.STATUS)
                if until(found):
                    return found
                await asyncio.sleep(0.05)

    async def decide(self, handle: "WorkflowHandle[Any, Any]", who: str, vote: str = "approve", **other: Any) -> Any:
        """One decision about what is open now, as an update; the receipt."""
        found = await self.status(handle, lambda item: item["screen"] is not None)
        return await handle.execute_update(interface.DECIDE, decision(found, who, vote, **other))

    async def publish(self, name: str) -> None:
        """Put another policy in force."""
        body = (DOCUMENTS / name).read_bytes()
        url = self.stack.database_url("postgres", "countersign")
        await publish_one(url, "policy", body, by="tests", at=datetime.now(UTC))


def decision(status: dict[str, Any], who: str, vote: str = "approve", **other: Any) -> dict[str, Any]:
    """A decision as JSON, about what a status shows."""
    now = datetime.now(UTC)
    names = ("action_digest", "assessment_digest", "policy_digest", "presented_digest")
    return {
        "decision_id": f"{who}-{vote}-{status['stage']}",
        "proposal_id": status["proposal_id"],
        "revision": status["revision"],
        "stage": status["stage"],
        **{name: status[name] for name in names},
        "vote": vote,
        "justification": "not in this season" if vote == "deny" else "",
        "issued_at": instant_text(now),
        "expires_at": instant_text(now + timedelta(hours=1)),
        "proof": {"kind": "claimed", "identity": who},
        **other,
    }


def proposal(proposal_id: str, *, scratch: bool = False, **other: Any) -> dict[str, Any]:
    """Set `work_mem`, which the executor's operator may, and read it back."""
    target, environment = ("scratch-db", "staging") if scratch else ("orders-db", "production")
    value = {"name": "work_mem", "value": "32MB"}
    return {
        "api_version": "countersign/v1",
        "proposal_id": proposal_id,
        "operation": "postgres.parameter.set",
        "target": f"resource:default/{target}",
        "environment": environment,
        "agent": {"id": "agent:tuner", "model": "tuner-2", "confidence": 0.9},
        "on_behalf_of": "dana",
        "rationale": "sorts spill to disk <b>every</b> night",
        "steps": [
            {
                "name": "raise-work-mem",
                "operation": "postgres.parameter.set",
                "parameters": value,
                "undo": {"operation": "postgres.parameter.reset", "parameters": {"name": "work_mem"}},
            }
        ],
        "success_criteria": [reads(value["value"])],
        **other,
    }


def ending(proposal_id: str, pid: int) -> dict[str, Any]:
    """End a session, about which one person is asked for two seconds."""
    end = {
        "name": "end-it",
        "operation": "postgres.session.terminate",
        "parameters": {"pid": pid, "backend_start": "2026-01-01T00:00:00Z"},
    }
    return proposal(proposal_id, operation="postgres.session.terminate", steps=[end])


def reads(value: str, **other: Any) -> dict[str, Any]:
    return {"probe": "postgres.parameter.value", "parameters": {"name": "work_mem"}, "equals": value, **other}


@asynccontextmanager
async def recording(
    stack: Stack, keys: Keys | None = None, executors: Any = None, documents: Path = DOCUMENTS
) -> AsyncIterator[Recording]:
    """A worker with the documents of a folder and two databases; `executors` are those that it has besides ours."""
    settings = await prepare_local(stack, datetime.now(UTC), documents)
    settings = replace(settings, targets={**settings.targets, **await prepare_scratch(stack)})
    client = await connect(address=stack.temporal_address, namespace=stack.namespace, identity="recording", keys=keys)
    database = Database(settings.check_worker(), application="countersign-recording")
    try:
        async with running_workers(client, database, settings, executors=executors, pace=QUICK):
            yield Recording(client, database, settings, stack)
    finally:
        await database.close()


async def allowed(place: Recording, proposal_id: str) -> None:
    """Policy allows it, it runs and is read back."""
    await (await place.start(proposal_id, proposal(proposal_id, scratch=True))).result()


async def two_steps(place: Recording, proposal_id: str) -> None:
    """Two steps, each with its own permit."""
    first = proposal(proposal_id, scratch=True)["steps"][0]
    second = {**first, "name": "again", "parameters": {"name": "maintenance_work_mem", "value": "96MB"}}
    second["undo"] = {"operation": "postgres.parameter.reset", "parameters": {"name": "maintenance_work_mem"}}
    value = proposal(proposal_id, scratch=True, steps=[first, second])
    await (await place.start(proposal_id, value)).result()


async def compensated(place: Recording, proposal_id: str) -> None:
    """It runs, its criterion is not met, it is undone."""
    value = proposal(proposal_id, scratch=True, success_criteria=[reads("1GB", within_seconds=0)])
    await (await place.start(proposal_id, value)).result()


async def precondition_failed(place: Recording, proposal_id: str) -> None:
    """The executor refuses before it touches anything."""
    value = proposal(proposal_id, scratch=True)
    value["steps"][0]["parameters"]["expected"] = "7MB"
    await (await place.start(proposal_id, value)).result()


async def dry_run(place: Recording, proposal_id: str) -> None:
    """The step and its undo are rehearsed: nothing is changed, read back or undone."""
    await (await place.start(proposal_id, proposal(proposal_id, scratch=True, dry_run=True))).result()


async def denied_by_limit(place: Recording, proposal_id: str) -> None:
    """A limit denies; nobody is asked."""
    drop = {"name": "drop", "operation": "postgres.table.drop", "parameters": {"table": "orders"}}
    value = proposal(proposal_id, operation="postgres.table.drop", steps=[drop])
    await (await place.start(proposal_id, value)).result()


async def two_stages(place: Recording, proposal_id: str) -> None:
    """Self-approval is refused; a reminder, an escalation, two approvals of two groups; it runs and is verified."""
    handle = await place.start(proposal_id, proposal(proposal_id))
    await place.decide(handle, "dana")
    await place.status(handle, lambda item: "leads" in item["stages"][0]["groups"])
    await place.decide(handle, "alice", justification="seen on the dashboard")
    await place.decide(handle, "bob")
    await handle.result()


async def denied_by_person(place: Recording, proposal_id: str) -> None:
    """Somebody says no."""
    handle = await place.start(proposal_id, proposal(proposal_id))
    await place.decide(handle, "carol", "acknowledge")
    await place.decide(handle, "carol", "deny")
    await handle.result()


async def unreachable(place: Recording, proposal_id: str) -> None:
    """The only one who could approve the second stage steps out."""
    handle = await place.start(proposal_id, proposal(proposal_id))
    await place.decide(handle, "carol")
    await place.status(handle, lambda item: item["stage"] == 2)
    await place.decide(handle, "bob", "recuse")
    await handle.result()


async def expired(place: Recording, proposal_id: str) -> None:
    """Nobody answers within the two seconds of the chain `brief`."""
    await (await place.start(proposal_id, ending(proposal_id, 1))).result()


async def withdrawn(place: Recording, proposal_id: str) -> None:
    """It is cancelled while people are asked."""
    handle = await place.start(proposal_id, proposal(proposal_id))
    await place.status(handle, lambda item: item["state"] == "pending")
    await handle.cancel()
    await handle.result()


async def dispatch_refused(place: Recording, proposal_id: str) -> None:
    """Between the first and the last approval the policy becomes stricter: approved, and not dispatched."""
    handle = await place.start(proposal_id, proposal(proposal_id))
    await place.decide(handle, "carol")
    await place.publish("later/policy.yaml")
    try:
        await place.decide(handle, "bob")
        await handle.result()
    finally:
        await place.publish("policy.yaml")


async def stopped_while_running(place: Recording, proposal_id: str) -> None:
    """It is cancelled while its effect is observed: the approved verb undoes it. A late decision is answered."""
    value = proposal(proposal_id, success_criteria=[reads("32MB", observe_seconds=30)])
    handle = await place.start(proposal_id, value)
    await place.decide(handle, "carol")
    await place.decide(handle, "bob")
    await place.status(handle, lambda item: item["state"] == "executing")
    found = await handle.query(interface.STATUS)
    await handle.execute_update(interface.DECIDE, decision(found, "alice", decision_id="late"))
    await handle.cancel()
    await handle.result()


async def malformed_messages(place: Recording, proposal_id: str) -> None:
    """Garbage by signal is recorded and answered; the action goes on and is approved by signal."""
    handle = await place.start(proposal_id, proposal(proposal_id))
    found = await place.status(handle, lambda item: item["screen"] is not None)
    await handle.signal(interface.DECIDE, {"vote": "maybe"})
    await handle.signal("approve_everything", "please")
    await handle.signal(interface.DECIDE, args=[])
    await handle.signal(interface.DECIDE, decision(found, "nobody-we-know"))
    await handle.signal(interface.DECIDE, {**decision(found, "carol"), "action_digest": digest(b"another")})
    await handle.signal(interface.DECIDE, decision(found, "carol", decision_id="real"))
    await handle.signal(interface.DECIDE, decision(found, "carol", decision_id="real"))
    await place.status(handle, lambda item: item["stage"] == 2)
    await place.decide(handle, "bob", "retract")
    await place.decide(handle, "bob")
    await handle.result()


async def record_away(place: Recording, proposal_id: str) -> None:
    """PostgreSQL is stopped when a decision comes: it waits on the queue and counts when the record is back."""
    handle = await place.start(proposal_id, proposal(proposal_id))
    found = await place.status(handle, lambda item: item["screen"] is not None)
    await asyncio.to_thread(place.stack.postgres.stop)
    await handle.signal(interface.DECIDE, decision(found, "carol"))
    await until_queued(handle)
    await asyncio.to_thread(place.stack.postgres.start)
    await place.status(handle, lambda item: item["stage"] == 2)
    await place.decide(handle, "bob")
    await handle.result()


async def until_queued(handle: "WorkflowHandle[Any, Any]", times: int = 1) -> None:
    """Until a case activity waits on the server, for so many times; bounded."""
    async with asyncio.timeout(BOUND_SECONDS):
        while True:
            history = await handle.fetch_history()
            if sum(event.HasField("activity_task_scheduled_event_attributes") for event in history.events) >= times:
                return
            await asyncio.sleep(0.2)


async def malformed_start(place: Recording, proposal_id: str) -> None:
    """What is started is no proposal: it fails at once, readably."""
    value = {**proposal(proposal_id), "steps": [], "confidence": "very"}
    with suppress(WorkflowFailureError):
        await (await place.start(proposal_id, value)).result()


async def start_refused(place: Recording, proposal_id: str) -> None:
    """A start with a timeout is refused as a result; nothing is registered."""
    options = {"execution_timeout": timedelta(hours=1)}
    await (await place.start(proposal_id, proposal(proposal_id), **options)).result()


async def held(place: Recording, proposal_id: str) -> None:
    """The policy holds it; one person of its chain releases it, and it runs."""
    value = proposal(
        proposal_id,
        operation="postgres.parameter.reset",
        steps=[{"name": "back", "operation": "postgres.parameter.reset", "parameters": {"name": "work_mem"}}],
        success_criteria=[reads("4MB")],
    )
    handle = await place.start(proposal_id, value)
    await place.decide(handle, "carol")
    for person in ("bob", "alice"):
        found = await place.status(handle, lambda item: item["result"] is not None or item["state"] == "pending")
        if found["result"] is None:
            await place.decide(handle, person)
    await handle.result()


async def published(place: Recording, proposal_id: str) -> None:
    """A policy is changed by an action: its author may not approve, two others do, and it is put back the same way."""
    later = (DOCUMENTS / "policy.yaml").read_bytes() + b"# a comment\n"
    author = Database(place.stack.database_url("countersign_author", "countersign"), pool_size=1)
    async with author.transaction() as connection:
        previous = (await Documents().digests_in_force(connection))["policy"]
        key = await store_draft(connection, Draft("policy", "recorded", "1", later), by="dana", at=datetime.now(UTC))
    await author.close()
    parameters = {"kind": "policy", "digest": key, "previous": previous}
    handle = await place.start(proposal_id, publication(proposal_id, parameters, "dana", "a comment"))
    for person in ("dana", "carol", "bob"):
        await place.decide(handle, person)
    await handle.result()
    await place.publish("policy.yaml")


async def started_again(place: Recording, proposal_id: str) -> None:
    """The same proposal started after its end gives back the recorded result."""
    await allowed(place, proposal_id)
    await (await place.start(proposal_id, proposal(proposal_id, scratch=True))).result()


async def reset(place: Recording, proposal_id: str) -> None:
    """Somebody resets the workflow of a finished action to its beginning: it finds the recorded result and ends."""
    await allowed(place, proposal_id)
    execution = WorkflowExecution(workflow_id=interface.workflow_id(proposal_id))
    first_task = 4
    request = ResetWorkflowExecutionRequest(
        namespace=place.client.namespace,
        workflow_execution=execution,
        reason="to see it again",
        workflow_task_finish_event_id=first_task,
        request_id=proposal_id,
    )
    answer = await place.client.workflow_service.reset_workflow_execution(request)
    await place.client.get_workflow_handle(execution.workflow_id, run_id=answer.run_id).result()


async def digest_conflict(place: Recording, proposal_id: str) -> None:
    """Another proposal under the id of a finished one is refused."""
    await allowed(place, proposal_id)
    await (await place.start(proposal_id, proposal(proposal_id, scratch=True, rationale="another story"))).result()


Scenario = Callable[[Recording, str], Awaitable[None]]
SCENARIOS: tuple[Scenario, ...] = (
    allowed,
    two_steps,
    compensated,
    precondition_failed,
    dry_run,
    denied_by_limit,
    two_stages,
    denied_by_person,
    unreachable,
    expired,
    withdrawn,
    dispatch_refused,
    stopped_while_running,
    held,
    published,
    malformed_messages,
    record_away,
    malformed_start,
    start_refused,
    started_again,
    reset,
    digest_conflict,
)
