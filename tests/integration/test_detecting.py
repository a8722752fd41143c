"""The detector before a real server with a log of its own: what nobody authorized is found, and what was is not."""

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from temporalio.exceptions import ApplicationError

from activities.clock import SystemClock
from activities.database import Database
from activities.detecting import DetectActivities
from activities.execute import ExecutorActivities
from activities.executors.base import Inquiry, TargetCredentials
from activities.executors.postgres import PostgresExecutor
from activities.permits import resolved_digest
from activities.trails.kinds import TrailSource
from cli import exits
from deploy import unprivileged
from deploy.dev import Stack
from deploy.orders import prepare_orders
from deploy.postgres import PostgresServer
from policy.ledger import verify_chain
from policy.permit import Permit
from policy.targets import targets_digest
from policy.trails import TRAILS_LEDGER
from tests.integration.effects import Target, World, execute
from tests.integration.terminal import House
from tests.permit_keys import trust

RESOURCE = "postgres/orders"
SET = "postgres.parameter.set"


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[PostgresServer]:
    """A target of its own that logs what changes it."""
    home = Path(tempfile.mkdtemp(prefix="countersign-")).resolve()
    unprivileged.admit(home)
    server = PostgresServer(home / "postgres", durable=False, temporary=True, trail=True)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(home, ignore_errors=True)


class Scene:
    """A target with its log, an executor before it, a record, and the detector between both."""

    def __init__(self, world: World, server: PostgresServer, control: Database, folder: Path) -> None:
        self.world, self.control, self._server, self._folder = world, control, server, folder
        self._since = datetime.now(UTC)
        self.executor = PostgresExecutor(TargetCredentials({RESOURCE: self._url("orders_operator")}))

    def _url(self, role: str, database: str = "orders") -> str:
        return f"postgresql://{role}@/{database}?host={self._server.socket_dir}&port={self._server.port}"

    async def prepare(self) -> None:
        """The orders, without a trace of what was changed to prepare them."""
        await prepare_orders(self._url("postgres", "postgres"))
        await self.by_hand("ALTER ROLE orders_operator SET log_statement = 'all'")
        self._since = datetime.now(UTC)

    async def by_hand(self, statement: str, name: str = "psql", role: str = "postgres") -> None:
        """What somebody does who has nothing to do with the executor."""
        session = await asyncpg.connect(self._url(role), server_settings={"application_name": name})
        await session.execute(statement)
        await session.close()

    async def permit(self, name: str = "work_mem", value: str = "8MB") -> Permit:
        """A permit to set a parameter, for what it is now."""
        parameters = {"name": name, "value": value}
        targets = await self.executor.resolve(Inquiry(SET, parameters, (RESOURCE,), "production"))
        return await self.world.permit(
            executor="postgres",
            operation=SET,
            parameters=parameters,
            resolved=(RESOURCE,),
            resolved_digest=resolved_digest((RESOURCE,)),
            targets=targets,
            targets_digest=targets_digest(targets),
        )

    async def act(self, permit: Permit, executor: Any = None) -> None:
        """Carry it out, as an executor's worker does."""
        executors = {"postgres": executor or self.executor}
        self.world.clock.at = datetime.now(UTC)
        by = ExecutorActivities(self.world.database, self.world.clock, executors, "worker-1", trust())
        result = await execute(self.world, permit.permit_id, by=by)
        assert (result.status, result.message) == ("succeeded", "")

    def source(self, **more: Any) -> TrailSource:
        """Its log, from when this test began, in a folder of its own."""
        lines = [
            line for path in sorted(self._server.trail_dir.glob("*.json")) for line in path.read_bytes().splitlines()
        ]
        new = [line for line in lines if json.loads(line)["timestamp"] >= f"{self._since:%F %T}.{self._since:%f}"[:23]]
        (self._folder / "postgresql.json").write_bytes(b"".join(line + b"\n" for line in new))
        return TrailSource(kind="postgres", path=str(self._folder), pattern="*.json", **more)

    async def look(self, source: TrailSource | None = None) -> int:
        """One look of a detector; how many entries it wrote."""
        sources = {RESOURCE: source or self.source()}
        return await DetectActivities(self.control, SystemClock(), sources).detect()

    async def found(self, ledger: str) -> list[dict[str, Any]]:
        """What the violations of a ledger say, after checking its chain."""
        rows = await self._rows(ledger)
        chain = verify_chain(ledger, [(row["body"], row["digest"]) for row in rows])
        return [entry["content"]["trail"] for entry in chain if "trail" in entry["content"]]

    async def _rows(self, ledger: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.world.url)
        wanted = "SELECT body, digest FROM countersign.ledger_entry WHERE proposal_id = $1 ORDER BY position"
        rows = await connection.fetch(wanted, ledger)
        await connection.close()
        return list(rows)


@pytest.fixture(name="scene")
async def _scene(world: World, stack: Stack, server: PostgresServer, tmp_path: Path) -> AsyncIterator[Scene]:
    async with _control(stack, world) as control:
        scene = Scene(world, server, control, tmp_path)
        await scene.prepare()
        yield scene
        await scene.by_hand("ALTER SYSTEM RESET ALL")
        await scene.by_hand("SELECT pg_reload_conf()")


@asynccontextmanager
async def _control(stack: Stack, world: World) -> AsyncIterator[Database]:
    database = Database(stack.database_url("countersign_control", world.name))
    yield database
    await database.close()


async def test_what_was_permitted_is_no_violation_and_what_was_done_by_hand_is(scene: Scene) -> None:
    """The same change of the same server: once by the executor, once by a superuser; found once, however often."""
    before = await scene.found(TRAILS_LEDGER)
    await scene.act(await scene.permit())
    assert await scene.look() == 0

    await scene.by_hand("ALTER SYSTEM SET work_mem = '1GB'")

    assert [await scene.look(), await scene.look()] == [1, 0]
    found = (await scene.found(TRAILS_LEDGER))[len(before) :]
    assert [(item["sign"], item["operation"], item["target"], item["actor"]) for item in found] == [
        ("no_permit", SET, "work_mem", "postgres")
    ]
    assert "ALTER SYSTEM SET work_mem = '1GB'" in found[0]["evidence"]


async def test_the_mark_of_another_permit_authorizes_nothing(scene: Scene) -> None:
    """Unknown, never claimed, for something else, and used up: whoever takes a name from a log is seen."""
    before = len(await scene.found(TRAILS_LEDGER))
    used = await scene.permit()
    await scene.act(used)
    own = f"countersign/{used.permit_id}"
    unknown = uuid4()
    await scene.by_hand("ALTER SYSTEM SET work_mem = '8MB'", name=own, role="orders_operator")
    await scene.by_hand("ALTER SYSTEM SET max_connections = 7", name=own, role="orders_operator")
    await scene.by_hand("ALTER SYSTEM RESET work_mem", name=own, role="orders_operator")
    await scene.by_hand("ALTER SYSTEM SET work_mem = '9MB'", name=f"countersign/{unknown}", role="orders_operator")
    await scene.by_hand("SELECT pg_terminate_backend(1)", name="countersign/' OR true", role="orders_operator")

    assert await scene.look() == 5

    of_the_action = await scene.found(scene.world.proposal)
    assert [item["sign"] for item in of_the_action] == ["twice", "other_target", "other_operation"]
    others = (await scene.found(TRAILS_LEDGER))[before:]
    assert [(item["sign"], item["permit_id"]) for item in others] == [
        ("forged_marker", str(unknown)),
        ("forged_marker", "' OR true"),
    ]


async def test_a_permit_that_nobody_claimed_authorizes_nothing(scene: Scene) -> None:
    """Issued is not used."""
    permit = await scene.permit()
    await scene.by_hand("ALTER SYSTEM SET work_mem = '8MB'", f"countersign/{permit.permit_id}", "orders_operator")

    await scene.look()

    (found,) = await scene.found(scene.world.proposal)
    assert (found["sign"], found["why"]) == ("forged_marker", "nobody claimed that permit")


async def test_an_executor_that_says_done_and_did_nothing_is_seen(scene: Scene, tmp_path: Path) -> None:
    """Its permit was claimed and reported; the log, which covers that time, has no trace of it."""
    liar = Target(name="postgres")
    permit = await scene.permit()
    await scene.act(permit, liar)
    await scene.by_hand("ALTER SYSTEM RESET work_mem")
    source = scene.source()
    lines = (tmp_path / "postgresql.json").read_bytes().splitlines()
    now = datetime.now(UTC)
    for name, at in (("a.json", now - timedelta(minutes=5)), ("z.json", now + timedelta(minutes=5))):
        # A line that says nothing, of some minutes before and after: the log covers what is between.
        entry = json.loads(lines[-1]) | {"timestamp": f"{at:%F %T}.000 UTC", "message": "checkpoint complete"}
        (tmp_path / name).write_text(json.dumps(entry, separators=(",", ":")) + "\n")

    await scene.look(source)

    (found,) = await scene.found(scene.world.proposal)
    assert (found["sign"], found["permit_id"], found["target"]) == ("no_trace", permit.permit_id, "work_mem")


async def test_a_trail_that_cannot_be_read_fails_and_the_others_are_looked_at(scene: Scene, tmp_path: Path) -> None:
    """It is neither passed over nor taken for an empty one; a line that is none is counted."""
    await scene.by_hand("ALTER SYSTEM RESET work_mem")
    source = scene.source()
    with (tmp_path / "postgresql.json").open("ab") as file:
        file.write(b"not a line of this log\n")
    gone = TrailSource(kind="postgres", path="/nowhere/log")
    before = len(await scene.found(TRAILS_LEDGER))

    with pytest.raises(ApplicationError, match=r"postgres/gone: trail /nowhere/log cannot be read"):
        await DetectActivities(scene.control, SystemClock(), {"postgres/gone": gone, RESOURCE: source}).detect()

    found = (await scene.found(TRAILS_LEDGER))[before:]
    assert {item["sign"] for item in found} == {"no_permit", "unreadable"}


def test_the_command_prints_what_it_found_and_ends_with_a_code(
    idle: House, server: PostgresServer, tmp_path: Path
) -> None:
    """A line for each violation; nothing and zero where there is none."""
    trail = tmp_path / "log.json"
    made = {"timestamp": "2026-11-27 20:00:00.123 UTC", "user": "mallory", "session_id": "a.b", "line_num": 1}
    made |= {"error_severity": "LOG", "backend_type": "client backend"}
    lines = [made | {"message": "statement: SELECT 1"}, made | {"message": "statement: DROP TABLE \x1b[2Jorders"}]
    trail.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    command = ("detect", "--target", RESOURCE, "--trail", str(trail))

    found, later = idle.run(*command), idle.run(*command, "--since", "2026-11-28T00:00:00Z")
    as_json = idle.run(*command, "--json")

    assert found.code == as_json.code == exits.INCONSISTENT
    assert "no_permit postgres.statement.other by mallory" in found.out
    assert "\x1b" not in found.out
    assert as_json.json[0]["trail"]["sign"] == "no_permit"
    assert (later.code, later.out) == (exits.OK, "")
    assert "the trail says nothing" in later.err
    assert idle.run(*command, "--own", "mallory").code == exits.OK
    assert idle.run("detect", "--target", RESOURCE).code == exits.FAILED
    assert idle.run(*command[:3], "--trail", "/nowhere").code == exits.FAILED
