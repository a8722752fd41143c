"""The three roles as three processes: together they carry an action, and none of them can do another's part."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from activities.connection import connect
from activities.settings import Role
from deploy.dev import Stack
from signing.keys import kept_signing_key
from tests.faults.governed import catalog, document, resource
from tests.faults.outage import fresh_record
from tests.world import decision, until
from workflows.interface import DECIDE, PERMIT_QUEUE, TASK_QUEUE, WORKFLOW_TYPE, workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
ROLES = (Role.control, Role.permit, Role.executor)
BOUND = 60.0
DOCUMENTS = (
    document(
        "PolicyDocument",
        "roles",
        """
unsigned: [{}]
rules:
  - {id: routine, match: {targets: ["resource:calm", "resource:grave"]}, verdict: allow}
  - {id: asked, match: {targets: ["resource:busy"]}, verdict: require_approval, chain: one}
chains:
  one: {stages: [{name: only, requirements: [{groups: [dba]}], deadline: 1h}]}
""",
    ),
    document(
        "OperationsRegistry",
        "roles",
        """
operations:
  - name: postgres.session.terminate
    executor: postgres
    resolves: true
    severity: 10
    needs_no_undo: true
    parameters: {pid: {type: integer}, backend_start: {type: string}}
""",
    ),
    document(
        "Directory",
        "roles",
        """
people: [{id: dirk, groups: [dba]}, {id: anna}]
agents: [{id: bot, owner: anna}]
""",
    ),
    catalog(resource("calm", "postgres/calm"), resource("busy", "postgres/busy"), resource("grave", "postgres/grave")),
)


@dataclass(frozen=True)
class Place:
    """A record, a Temporal, and a target whose sessions can be ended."""

    servers: Stack
    name: str
    target: str
    targets: Path

    def environment(self, role: str, *, user: str | None = None, **more: str) -> dict[str, str]:
        """What a worker of a role is given; `user` is another database role than its own."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TEMPORAL_", "COUNTERSIGN_"))}
        ours = {
            "TEMPORAL_ADDRESS": self.servers.temporal_address,
            "COUNTERSIGN_DATABASE_URL": self.url(user or f"countersign_{role}"),
            "COUNTERSIGN_UNSAFE_CLAIMED_IDENTITIES": "1",
        }
        if role == "executor":
            ours["COUNTERSIGN_TARGETS_FILE"] = str(self.targets)
            ours["COUNTERSIGN_PERMIT_KEYS_FILE"] = str(self.targets.with_name("permit-keys.json"))
        if role in ("permit", "all"):
            ours["COUNTERSIGN_PERMIT_KEY_FILE"] = str(self.targets.with_name("permit-key.json"))
            ours["COUNTERSIGN_ANCHOR_FILE"] = str(self.targets.with_name("anchor.json"))
        return kept | ours | more

    def url(self, user: str) -> str:
        return self.servers.database_url(user, self.name)

    async def sql(self, statement: str, *values: Any, user: str = "postgres") -> list[Any]:
        """Ask the record as one of its roles."""
        connection = await asyncpg.connect(self.url(user))
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()


async def worker(role: str, environment: dict[str, str]) -> asyncio.subprocess.Process:
    """A worker process, started as an operator would."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "worker.py", "--role", role),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest_asyncio.fixture(name="place", scope="module", loop_scope="module")
async def _place(fragile: Stack, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A record of its own; the target is another server."""
    name = await fresh_record(fragile, DOCUMENTS)
    target = stack.database_url("postgres", "postgres")
    targets = tmp_path_factory.mktemp("roles") / "targets.json"
    # `grave` is not marked: production.
    tried = {"url": target, "production": False}
    targets.write_text(json.dumps({"postgres/calm": tried, "postgres/busy": tried, "postgres/grave": target}))
    key = kept_signing_key(targets.with_name("permit-key.json"), "permit")
    targets.with_name("permit-keys.json").write_text(json.dumps({"keys": [{**key.public, "kid": key.id}]}))
    return Place(servers=fragile, name=name, target=target, targets=targets)


@pytest_asyncio.fixture(name="processes", scope="module", loop_scope="module")
async def _processes(place: Place) -> AsyncIterator[dict[Role, asyncio.subprocess.Process]]:
    """One process for each role, with its own database role; they end when they are asked to."""
    running = {role: await worker(role, place.environment(role)) for role in ROLES}
    yield running
    for process in running.values():
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
    said = await asyncio.gather(*(process.communicate() for process in running.values()))
    assert [process.returncode for process in running.values()] == [0, 0, 0], said


@contextlib.asynccontextmanager
async def idle_session(target: str) -> AsyncIterator[tuple["asyncpg.Connection[Any]", dict[str, Any]]]:
    """A session that sits idle in a transaction, and the parameters that name it."""
    session = await asyncpg.connect(target)
    started = await session.fetchval("SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    pid = await session.fetchval("SELECT pg_backend_pid()")
    await session.execute("BEGIN")
    try:
        yield session, {"pid": pid, "backend_start": started.isoformat()}
    finally:
        session.terminate()


def proposal(target: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Ends that session."""
    return {
        "api_version": "countersign/v1",
        "proposal_id": f"roles-{uuid4().hex[:8]}",
        "operation": "postgres.session.terminate",
        "target": f"resource:{target}",
        "environment": "test",
        "agent": {"id": "bot", "confidence": 0.9},
        "on_behalf_of": "anna",
        "rationale": "it blocks",
        "steps": [{"name": "end", "operation": "postgres.session.terminate", "parameters": parameters}],
        "success_criteria": [{"probe": "postgres.session.present", "parameters": parameters, "equals": False}],
    }


@pytest.mark.parametrize("target", ["calm", "busy"], ids=["allowed", "approved"])
async def test_three_processes_carry_an_action(
    place: Place, processes: dict[Role, asyncio.subprocess.Process], target: str
) -> None:
    """Allowed or approved, it runs; the permit role dispatches on its queue, and the executor's process claims."""
    client = await connect(address=place.servers.temporal_address, identity="tests")
    async with idle_session(place.target) as (session, parameters), asyncio.timeout(BOUND):
        body = proposal(target, parameters)
        handle = await client.start_workflow(
            WORKFLOW_TYPE, body, id=workflow_id(body["proposal_id"]), task_queue=TASK_QUEUE
        )
        if target == "busy":
            status = await until(lambda: handle.query("status"), lambda found: found["state"] == "pending")
            assert (await handle.execute_update(DECIDE, decision(status, "dirk")))["counted"]
        result = await handle.result()
        assert (result["resolution"], result["outcome"]) == ("approved", "succeeded")
        await until(lambda: asyncio.sleep(0, session.is_closed()))
    scheduled = [
        event.activity_task_scheduled_event_attributes
        for event in (await handle.fetch_history()).events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    queues = {event.activity_type.name: event.task_queue.name for event in scheduled}
    assert queues["dispatch"] == PERMIT_QUEUE
    used = "SELECT used_by FROM countersign.permit_use JOIN countersign.permit USING (permit_id) WHERE proposal_id = $1"
    [row] = await place.sql(used, body["proposal_id"])
    assert row["used_by"] == f"executor@{processes[Role.executor].pid}"


async def test_claimed_identities_change_nothing_in_production(
    place: Place, processes: dict[Role, asyncio.subprocess.Process]
) -> None:
    """Workers that an operator started with the unsafe option still leave a production target alone."""
    client = await connect(address=place.servers.temporal_address, identity="tests")
    async with idle_session(place.target) as (session, parameters), asyncio.timeout(BOUND):
        body = proposal("grave", parameters)
        handle = await client.start_workflow(
            WORKFLOW_TYPE, body, id=workflow_id(body["proposal_id"]), task_queue=TASK_QUEUE
        )
        result = await handle.result()
        assert (result["resolution"], result["outcome"]) == ("approved", "not_executed")
        assert not session.is_closed()
    refused = "SELECT convert_from(body, 'UTF8') FROM countersign.ledger_entry WHERE proposal_id = $1 AND kind = $2"
    [row] = await place.sql(refused, body["proposal_id"], "claim_refused")
    assert json.loads(row[0])["content"]["code"] == "assurance_not_accepted"


@pytest.mark.parametrize(
    ("user", "statement"),
    [
        ("control", "INSERT INTO countersign.permit (permit_id) VALUES (gen_random_uuid())"),
        ("control", "INSERT INTO countersign.effect_report (permit_id) VALUES (gen_random_uuid())"),
        ("permit", "INSERT INTO countersign.decision (proposal_id) VALUES ('x')"),
        ("permit", "INSERT INTO countersign.permit_use (permit_id) VALUES (gen_random_uuid())"),
        ("executor", "INSERT INTO countersign.decision (proposal_id) VALUES ('x')"),
        ("executor", "INSERT INTO countersign.permit (permit_id) VALUES (gen_random_uuid())"),
    ],
)
async def test_no_process_can_write_the_part_of_another(place: Place, user: str, statement: str) -> None:
    """With the very address that a worker has, the record refuses what belongs to another role."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await place.sql(statement, user=f"countersign_{user}")


async def test_control_cannot_claim_and_the_executor_cannot_void(place: Place) -> None:
    """Who may write uses of permits may write only its own kind."""
    use = "INSERT INTO countersign.permit_use VALUES (gen_random_uuid(), $1, 'token', 'me', NULL, now())"
    for user, kind in (("control", "claimed"), ("executor", "void")):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await place.sql(use, kind, user=f"countersign_{user}")


async def test_a_worker_that_would_void_the_protection_does_not_start(place: Place) -> None:
    """Targets where one decides, a key that signs where one acts, a database role that can change the record."""
    await place.sql("CREATE ROLE roles_admin SUPERUSER LOGIN")
    await place.sql("CREATE ROLE roles_owner LOGIN IN ROLE countersign_owner")
    targets = {"COUNTERSIGN_TARGETS_FILE": str(place.targets)}
    key = {"COUNTERSIGN_PERMIT_KEY_FILE": str(place.targets.with_name("permit-key.json"))}
    cases = [
        (Role.control, place.environment("control", **targets), "role control must not reach targets"),
        (Role.executor, place.environment("executor", user="postgres"), "which can change the record"),
        (Role.control, place.environment("control", user="roles_admin"), "which can change the record"),
        (Role.control, place.environment("control", **key), "role control must not sign permits"),
        (Role.all, place.environment("all", user="roles_owner"), "which can change the record"),
    ]
    processes = [await worker(role, environment) for role, environment, _ in cases]
    try:
        async with asyncio.timeout(BOUND):
            said = await asyncio.gather(*(process.stderr.read() for process in processes if process.stderr))
            codes = [await process.wait() for process in processes]
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
    lines = [text.decode().strip() for text in said]
    assert codes == [1] * len(cases), lines
    for line, (_, _, why) in zip(lines, cases, strict=True):
        assert why in line
        assert line.startswith("worker: "), line
