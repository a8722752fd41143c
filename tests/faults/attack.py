"""What an attacker does with the stock `temporal` CLI, for the tests that count what came of it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from policy.base import instant_text
from policy.proposal import receive
from tests.world import Handle, World, until
from workflows.interface import EXECUTOR_QUEUE, workflow_id


def now(**later: float) -> str:
    return instant_text(datetime.now(UTC) + timedelta(**later))


async def call(world: World, name: str, queue: str, request: Any) -> dict[str, Any]:
    """Run one of our activities alone, with the stock CLI; its answer."""
    code, output = await world.cli(
        *("activity", "execute", "--activity-id", uuid4().hex, "--type", name, "--task-queue", queue),
        *("--start-to-close-timeout", "10s", "--retry-maximum-attempts", "1", "--output", "json"),
        *("--input", json.dumps(request)),
    )
    assert code == 0, output
    answer: dict[str, Any] = json.loads(output)["result"]
    return answer


def dispatch(proposal_id: str, step: int = 1, revision: int = 1) -> Any:
    return {"proposal_id": proposal_id, "revision": revision, "step": step, "now": now()}


def assessed(body: Any) -> Any:
    start = {"workflow_id": workflow_id(body["proposal_id"]), "run_id": "forged"}
    return {"proposal": body, "start": start, "now": now()}


async def asked(world: World, *operations: str, **more: Any) -> tuple[str, Handle]:
    """An action that waits for people."""
    body = world.propose(*(operations or ("bench.put",)), undo="bench.take", **more)
    handle = await world.start(body)
    await world.pending(handle)
    return body["proposal_id"], handle


async def forge(world: World, handle: Handle, name: str, answer: Any) -> None:
    """Complete a waiting activity of a workflow with an answer of ours, with the stock CLI."""

    async def waiting() -> list[str]:
        found = (await handle.describe()).raw_description.pending_activities
        return [each.activity_id for each in found if each.activity_type.name == name]

    which = ("--workflow-id", handle.id, "--activity-id", (await until(waiting))[0])
    text = answer if isinstance(answer, str) else json.dumps(answer)
    code, output = await world.cli("activity", "complete", *which, "--result", text)
    assert code == 0, output


def plan(body: Any, **changes: Any) -> Any:
    """What `assess` would say of an action that nobody has to approve."""
    digest = receive(body).action_digest
    steps = [
        {"number": number, "name": step["name"], "timeout_seconds": 5} for number, step in enumerate(body["steps"], 1)
    ]
    known = {"proposal_id": body["proposal_id"], "revision": 1, "steps": steps, "on_stop": "compensate"}
    digests = {"action_digest": digest, "assessment_digest": digest, "policy_digest": digest}
    shown = {"verdict": "allow", "risk_tier": "low", "risk_score": 0, "permit_seconds": 60, "local_dispatch": True}
    return known | digests | shown | {"resolution": "approved"} | changes


async def running(handle: Handle) -> str:
    """The id of the one activity that waits or runs."""
    (found,) = (await handle.describe()).raw_description.pending_activities
    return str(found.activity_id)


async def observed(world: World, permit: str) -> dict[str, Any]:
    return await call(world, "observe", EXECUTOR_QUEUE, {"permit_id": permit})
