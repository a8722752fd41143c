"""A terminal for the tests of the command line: a stack with a worker, and the commands beside it."""

import asyncio
import contextlib
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activities.connection import connect
from activities.database import Database
from activities.settings import Settings
from cli import exits
from deploy.dev import Stack
from signing.keys import generate
from worker import running_workers

ROOT = Path(__file__).parents[2]
BOUND_SECONDS = 30.0
# Two people who hold ceremonies.
SIGNERS = {name: generate(f"{name}-1") for name in ("ana", "ben")}
DOCUMENTS = {
    "policy": """
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: cli, version: "1"}
unsigned: [{}]
limits:
  - {id: no-destruction, match: {operations: [postgres.session.terminate]}, reason: nothing is ended here}
rules:
  - {id: parameters, match: {operations: [postgres.parameter.set]}, verdict: require_approval, chain: two}
chains:
  two:
    stages:
      - {name: dba, requirements: [{groups: [dba]}], deadline: 4h, reminders: [1h]}
      - {name: owners, requirements: [{groups: [owners]}], deadline: 4h}
""",
    "operations": """
apiVersion: countersign/v1
kind: OperationsRegistry
metadata: {name: cli, version: "1"}
operations:
  - name: postgres.parameter.set
    executor: postgres
    resolves: true
    severity: 50
    inverse: [postgres.parameter.set]
    parameters:
      name: {type: string}
      value: {type: string}
      expected: {type: string, required: false}
  - name: postgres.session.terminate
    executor: postgres
    severity: 10
    parameters: {pid: {type: integer}}
""",
    "directory": f"""
apiVersion: countersign/v1
kind: Directory
metadata: {{name: cli, version: "1"}}
audience: countersign/cli
people:
  - {{id: ana, groups: [dba], keys: [{{id: ana-1, jwk: {json.dumps(SIGNERS["ana"].public)}}}]}}
  - {{id: ben, groups: [dba], keys: [{{id: ben-1, jwk: {json.dumps(SIGNERS["ben"].public)}}}]}}
  - {{id: eva, groups: [owners]}}
agents: [{{id: tuning-agent, owner: ana}}]
""",
    "catalog": """
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: orders-db
  annotations:
    countersign/environment: production
    countersign/criticality: high
    countersign/resource-id: postgres/orders
spec: {owner: team-orders}
""",
}


def proposal(proposal_id: str, operation: str = "postgres.parameter.set") -> dict[str, Any]:
    """A proposal with an effect of its own: of two that ask for the same, the second would be told to wait."""
    number = zlib.crc32(proposal_id.encode()) % 1000
    value, pid = f"{32 * 1024 + 1 + number}kB", 1 + number
    parameters: dict[str, Any] = {"name": "work_mem", "value": value}
    return {
        "api_version": "countersign/v1",
        "proposal_id": proposal_id,
        "operation": operation,
        "target": "resource:orders-db",
        "environment": "production",
        "agent": {"id": "tuning-agent"},
        "on_behalf_of": "ana",
        "rationale": "sorts \x1b[2J spill",
        "steps": [
            {
                "name": "set",
                "operation": operation,
                "parameters": parameters if operation.endswith("set") else {"pid": pid},
                "undo": {"operation": operation, "parameters": {**parameters, "value": "4MB"}}
                if operation.endswith("set")
                else None,
            }
        ],
        "success_criteria": [
            {"probe": "postgres.parameter.value", "parameters": {"name": "work_mem"}, "equals": value}
        ],
    }


@dataclass
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class House:
    """A stack with its worker, and the command line beside it."""

    stack: Stack
    settings: Settings
    run: Callable[..., Ran]
    folder: Path

    def file(self, value: Any) -> str:
        path = self.folder / "proposal.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return str(path)

    def propose(self, proposal_id: str, **more: Any) -> Ran:
        return self.run("propose", self.file(proposal(proposal_id, **more)))

    def until(self, proposal_id: str, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The status, once it is as wanted."""
        deadline = time.monotonic() + BOUND_SECONDS
        while True:
            status: dict[str, Any] = self.run("status", proposal_id).json
            if done(status):
                return status
            assert time.monotonic() < deadline, status
            time.sleep(0.05)

    def pending(self, proposal_id: str) -> dict[str, Any]:
        assert self.propose(proposal_id).code == exits.OK
        return self.until(proposal_id, lambda status: status["state"] == "pending")

    def key(self, name: str) -> str:
        """The file with a person's key."""
        path = self.folder / f"{name}.jwk"
        path.write_text(SIGNERS[name].private_json)
        path.chmod(0o600)
        return str(path)

    def signatures(self, path: Path, *more: str, signers: Sequence[str] = tuple(SIGNERS)) -> list[str]:
        """What people sign one after the other so that a document, or a folder of them, comes in force."""
        files: list[str] = []
        for name in signers:
            file = self.folder / f"{path.stem}.{name}.json"
            terms = ("--with", files[0]) if files else ("--because", "the tests need it")
            ran = self.run("policy", "ceremony", str(path), *more, *terms, "--key", self.key(name), "-o", str(file))
            assert ran.code == exits.OK, ran.err
            files.append(str(file))
        return files

    def publish(self, path: Path, *more: str) -> Ran:
        """Put a document in force in a ceremony."""
        return self.run("policy", "publish", "--ceremony", str(path), *more, "--signed", *self.signatures(path, *more))

    def decide(self, vote: str, proposal_id: str, identity: str, *more: str) -> Ran:
        return self.run(vote, proposal_id, "--as", identity, "--yes", *more)


@contextlib.contextmanager
def workers(stack: Stack, settings: Settings) -> Iterator[None]:
    """Workers in a thread of their own, so that commands run in this one as they do in a terminal."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def work() -> None:
        client = await connect(address=stack.temporal_address)
        database = Database(settings.check_worker())
        async with running_workers(client, database, settings):
            ready.set()
            await stop.wait()
        await database.close()

    def main() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(work())

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    assert ready.wait(BOUND_SECONDS), "the workers did not start"
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(BOUND_SECONDS)
        assert not thread.is_alive()
