"""What tests of halts share: who signs, with which keys, and a halt as people place and release it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle

from cli.signers import KeySigner
from policy.base import instant_text
from policy.people.directory import read_directory
from policy.proofs import Domain
from signing.keys import generate
from tests.world import DOCUMENTS, World, publish_documents, until
from workflows.interface import HALT_WORKFLOW, RELEASE, STATUS, TASK_QUEUE, halt_workflow_id

AUDIENCE = "countersign/tests"
# Who has which key; `cara` is another name of cleo, with a key of its own.
KEYS = {name: generate(f"{name}-key") for name in ("ann", "bob", "cleo", "cara", "dan", "olga")}
DIRECTORY = (DOCUMENTS / "directory.yaml").read_text()
POLICY = (DOCUMENTS / "policy.yaml").read_bytes() + b"halt: {who: {groups: [ops]}, release: {groups: [ops, dba]}}\n"


def directory() -> bytes:
    """The directory of the tests with keys, and an audience."""
    text = DIRECTORY.replace("people:\n", f"audience: {AUDIENCE}\npeople:\n", 1)
    for name in ("ann", "bob", "cleo", "dan", "olga"):
        own = [KEYS[name], *([KEYS["cara"]] if name == "cleo" else [])]
        keys = json.dumps([{"id": key.id, "jwk": key.public} for key in own])
        text = text.replace(f"  - {{id: {name}, ", f"  - {{id: {name}, keys: {keys}, ", 1)
    return text.encode()


async def signed(who: str, verb: str, halt_id: str, **more: Any) -> dict[str, Any]:
    """A statement with its proof."""
    now = datetime.now(UTC)
    value: dict[str, Any] = {
        "audience": AUDIENCE,
        "verb": verb,
        "halt_id": halt_id,
        "reason": "an incident",
        "issued_at": instant_text(now - timedelta(seconds=5)),
        "expires_at": instant_text(now + timedelta(minutes=30)),
        **more,
    }
    proof = await KeySigner(KEYS[who]).prove(value, Domain.halt, read_directory(directory()), None)
    return {**value, "proof": proof}


async def halt(world: World, who: str = "ann", **more: Any) -> "tuple[str, WorkflowHandle[Any, Any], dict[str, Any]]":
    """Halt through Temporal; the id, the workflow, and what it says."""
    halt_id = f"halt-{uuid4().hex}"
    return await begun(world, halt_id, await signed(who, "halt", halt_id, **more))


async def begun(world: World, halt_id: str, statement: Any) -> "tuple[str, WorkflowHandle[Any, Any], dict[str, Any]]":
    """Start the workflow of a halt with a statement."""
    handle = await world.client.start_workflow(
        HALT_WORKFLOW,
        {"halt_id": halt_id, "statement": statement},
        id=halt_workflow_id(halt_id),
        task_queue=TASK_QUEUE,
    )
    said = await until(lambda: handle.query(STATUS), lambda found: found["placed"] or found["code"])
    return halt_id, handle, said


async def release(handle: "WorkflowHandle[Any, Any]", halt_id: str, *people: str) -> dict[str, Any]:
    """Let it go on, one after the other; what the last one is answered."""
    answer: dict[str, Any] = {}
    for who in people:
        answer = await handle.execute_update(RELEASE, await signed(who, "release", halt_id))
    return answer


async def prepared(world: World) -> None:
    await publish_documents(world.url, POLICY, directory())
