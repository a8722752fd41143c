import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from deploy.dev import (
    ServerError,
    Stack,
    StackAddresses,
    StackRunningError,
    ephemeral_stack,
    persistent_stack,
    running_stack,
)
from deploy.servers import free_ports

ROOT = Path(__file__).parents[2]
END_SECONDS = 30.0
OWNER = """
import json, signal, sys
from pathlib import Path
from deploy.dev import ephemeral_stack, persistent_stack
signal.signal(signal.SIGINT, signal.default_int_handler)
folder = sys.argv[1]
with persistent_stack(Path(folder)) if folder else ephemeral_stack() as stack:
    print(json.dumps({"data_dir": stack.data_dir}), flush=True)
    signal.pause()
"""


async def _sql(stack: StackAddresses, query: str) -> object:
    connection = await asyncpg.connect(stack.database_url("postgres", "postgres"))
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def _descendants(pid: int) -> set[int]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    pairs = [(int(child), int(parent)) for child, parent in (line.split() for line in listing.splitlines())]
    found: set[int] = set()
    wanted = {pid}
    while wanted:
        wanted = {child for child, parent in pairs if parent in wanted} - found
        found |= wanted
    return found


def _alive(pids: set[int]) -> set[int]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,stat="], check=True, capture_output=True, text=True).stdout
    states = dict(line.split(maxsplit=1) for line in listing.splitlines())
    return {pid for pid in pids if not states.get(str(pid), "Z").startswith("Z")}


def _await_none(pids: set[int]) -> None:
    deadline = time.monotonic() + END_SECONDS
    while left := _alive(pids):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.02)


def _command(pid: int) -> bytes:
    """The command line of a process; empty of one that has ended, as some children of PostgreSQL soon do."""
    path = Path(f"/proc/{pid}/cmdline")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


@contextlib.contextmanager
def _owner(data_dir: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, data_dir], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())["data_dir"]
        finally:
            process.kill()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_and_no_temporary_file_outlives_the_owner(ending: signal.Signals) -> None:
    """Whatever signal ends the process that runs a stack, no server, supervisor or temporary folder is left."""
    with _owner() as (process, data_dir):
        pids = _descendants(process.pid)
        assert len(pids) > 4, "two supervisors, Temporal, PostgreSQL and its children"
        process.send_signal(ending)
        process.wait(END_SECONDS)
    _await_none(pids)
    assert not Path(data_dir).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_servers_end_when_their_supervisors_are_killed(tmp_path: Path) -> None:
    """Even SIGKILL of owner and supervisors together leaves no server behind."""
    with _owner(str(tmp_path)) as (process, _):
        pids = _descendants(process.pid)
        supervisors = [pid for pid in pids if b"supervise.py" in _command(pid)]
        assert len(supervisors) == 2
        for pid in (process.pid, *supervisors):
            os.kill(pid, signal.SIGKILL)
    _await_none(pids)


def test_a_stack_starts_on_the_folder_of_a_killed_owner(tmp_path: Path) -> None:
    """After SIGKILL of the owner the next start waits for the old servers to end, and then works."""
    with _owner(str(tmp_path)) as (process, _):
        assert running_stack(tmp_path) is not None
        process.kill()
        process.wait(END_SECONDS)
        assert running_stack(tmp_path) is None
        with persistent_stack(tmp_path) as stack:
            assert stack.postgres.running
            assert stack.temporal.running


async def test_data_survive_a_restart_of_the_stack(tmp_path: Path) -> None:
    """Rows and workflows of a persistent stack are there again when it is started again, search attributes too."""
    attributes = {"CountersignProbe": "Keyword"}
    with persistent_stack(tmp_path, search_attributes=attributes) as stack:
        await _sql(stack, "create table kept as select 42 as n")
        client = await Client.connect(stack.temporal_address, namespace=stack.namespace)
        await client.start_workflow("Nobody", id="kept", task_queue="nobody")
    with persistent_stack(tmp_path, search_attributes=attributes) as stack:
        assert await _sql(stack, "select n from kept") == 42
        client = await Client.connect(stack.temporal_address, namespace=stack.namespace)
        assert (await client.get_workflow_handle("kept").describe()).workflow_type == "Nobody"


def test_a_running_stack_is_found_from_outside_and_not_started_twice(tmp_path: Path) -> None:
    """While a persistent stack runs, its addresses are readable and a second start names the process that runs it."""
    assert running_stack(tmp_path) is None
    with persistent_stack(tmp_path, ui=False) as stack:
        found = running_stack(tmp_path)
        assert found is not None
        assert found.temporal_address == stack.temporal_address
        assert found.database_url("reader") == stack.database_url("reader")
        with (
            pytest.raises(StackRunningError, match=f"process {os.getpid()} runs a stack here"),
            persistent_stack(tmp_path),
        ):
            pass
    assert running_stack(tmp_path) is None


def test_addresses_left_by_a_crash_are_not_believed(tmp_path: Path) -> None:
    """Addresses whose process id now belongs to another process do not count as a running stack."""
    with persistent_stack(tmp_path, ui=False):
        left = (tmp_path / "stack.json").read_text()
    (tmp_path / "stack.json").write_text(left)
    assert running_stack(tmp_path) is None


async def test_search_attributes_are_registered_before_the_first_start() -> None:
    """A caller's search attributes exist, with their types, when the stack is ready."""
    with ephemeral_stack(search_attributes={"CountersignState": "Keyword", "CountersignDue": "Datetime"}) as stack:
        client = await Client.connect(stack.temporal_address)
        listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace="default"))
    assert dict(listed.custom_attributes) == {
        "CountersignState": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
        "CountersignDue": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
    }


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_servers_come_back_at_the_same_address_with_their_data(end: str) -> None:
    """A server that was stopped or killed and started again answers at the same address with its data."""
    with ephemeral_stack(keep_workflows=True) as stack:
        await _sql(stack, "create table kept as select 42 as n")
        client = await Client.connect(stack.temporal_address)
        await client.start_workflow("Nobody", id="kept", task_queue="nobody")
        for server in (stack.postgres, stack.temporal):
            getattr(server, end)()
            assert not server.running
            server.start()
            assert server.running
        assert stack.temporal.address == stack.temporal_address
        assert await _sql(stack, "select n from kept") == 42
        client = await Client.connect(stack.temporal_address)
        assert (await client.get_workflow_handle("kept").describe()).workflow_type == "Nobody"


def test_other_ports_are_taken_when_the_usual_ones_are_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack whose usual ports belong to somebody else starts on free ones."""
    with socket.create_server(("127.0.0.1", 0)) as grpc, socket.create_server(("127.0.0.1", 0)) as ui:
        taken = {grpc.getsockname()[1], ui.getsockname()[1]}
        monkeypatch.setattr("deploy.temporal.GRPC_PORT", grpc.getsockname()[1])
        monkeypatch.setattr("deploy.temporal.UI_PORT", ui.getsockname()[1])
        with ephemeral_stack(ui=True, usual_ports=True) as stack:
            assert stack.ui_url is not None
            assert not taken & {int(address.rsplit(":", 1)[1]) for address in (stack.temporal_address, stack.ui_url)}


def test_a_usual_port_is_taken_when_it_is_free() -> None:
    """The usual port is preferred to any other."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        usual = somebody.getsockname()[1]
    assert free_ports({"grpc": usual}) == {"grpc": usual}


async def test_the_database_url_suits_sqlalchemy_too(stack: Stack) -> None:
    """The same URL, with the driver named, opens a connection through SQLAlchemy."""
    url = stack.database_url("postgres", "postgres").replace("postgresql", "postgresql+asyncpg", 1)
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        assert (await connection.execute(text("select current_user"))).scalar() == "postgres"
    await engine.dispose()


def test_postgres_is_private(stack: Stack) -> None:
    """PostgreSQL does not run as root, listens on no network, and its socket's folder is closed to others."""
    owner = ["ps", "-o", "uid=", "-p", str(stack.postgres.pid)]
    assert int(subprocess.run(owner, check=True, capture_output=True, text=True).stdout) != 0
    assert asyncio.run(_sql(stack, "show listen_addresses")) == ""
    assert stat.S_IMODE(Path(stack.socket_dir).stat().st_mode) == 0o700


def test_a_folder_whose_path_is_too_long_for_a_socket_works(tmp_path: Path) -> None:
    """A deep checkout does not run into the kernel's limit on the length of a socket's path."""
    with persistent_stack(tmp_path / ("deep" * 25), ui=False) as stack:
        assert asyncio.run(_sql(stack, "select 1")) == 1
    Path(stack.socket_dir).rmdir()


async def test_tcp_wants_a_password() -> None:
    """Where PostgreSQL listens on loopback, a role without a password cannot log in there."""
    with ephemeral_stack(tcp=True) as reachable:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(f"postgresql://postgres:guess@127.0.0.1:{reachable.postgres_port}/postgres")
        await _sql(reachable, "alter role postgres password 'known'")
        connection = await asyncpg.connect(f"postgresql://postgres:known@127.0.0.1:{reachable.postgres_port}/postgres")
        await connection.close()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A data folder of another PostgreSQL version is refused in the server's own words, and nothing keeps running."""
    with persistent_stack(tmp_path, ui=False):
        pass
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("9\n")
    before = _descendants(os.getpid())
    with pytest.raises(ServerError, match="not compatible"), persistent_stack(tmp_path, ui=False):
        pass
    _await_none(_descendants(os.getpid()) - before)


async def test_only_a_durable_stack_has_fsync(stack: Stack) -> None:
    """PostgreSQL runs without fsync only where nobody asked for durability."""
    assert await _sql(stack, "show fsync") == "off"
    with ephemeral_stack(durable=True) as durable:
        assert await _sql(durable, "show fsync") == "on"
