"""The embedded stack: a real Temporal and a real PostgreSQL for the command line, the demo and the tests alike.

Rules:
- One stack a data folder. Who runs it holds the folder's lock, and so do its supervisors until the servers have ended.
- While a persistent stack runs, `stack.json` in its folder says where; `running_stack` reads it from another terminal.
- Whatever ends the process that runs a stack ends the servers (see `deploy.supervise`).
- The stack knows nothing of Countersign's schema: who starts it migrates the database.
"""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import quote

from deploy import unprivileged
from deploy.postgres import PostgresServer
from deploy.servers import Server, ServerError
from deploy.temporal import TemporalServer, program

__all__ = [
    "PostgresServer",
    "ServerError",
    "Stack",
    "StackAddresses",
    "StackRunningError",
    "TemporalServer",
    "ephemeral_stack",
    "persistent_stack",
    "program",
    "running_stack",
]

DATA_DIR = Path(".dev")
# Where whoever runs a worker on a stack keeps the copy outside the record, in the folder of its data.
ANCHOR_NAME = "anchor.json"
_LOCK_SECONDS = 15.0


class StackRunningError(RuntimeError):
    """Another process runs a stack on the same data folder."""


@dataclass(frozen=True)
class StackAddresses:
    """Where a running stack answers. `pid` is the process that runs it; `ui_url` is None without a UI."""

    temporal_address: str
    namespace: str
    ui_url: str | None
    socket_dir: str
    postgres_port: int
    data_dir: str
    pid: int

    def database_url(self, role: str, database: str = "countersign") -> str:
        """The URL of `database` as `role` (the superuser is `postgres`), for asyncpg, libpq and SQLAlchemy.

        It leads to the unix socket; SQLAlchemy wants `postgresql+asyncpg` instead of `postgresql` in front.
        """
        host = quote(self.socket_dir, safe="/")
        return f"postgresql://{quote(role)}@/{quote(database)}?host={host}&port={self.postgres_port}"


@dataclass(frozen=True)
class Stack(StackAddresses):
    """A running stack and its two servers, which a test may stop, kill and start again at the same addresses."""

    postgres: PostgresServer
    temporal: TemporalServer


@contextlib.contextmanager
def persistent_stack(
    data_dir: Path = DATA_DIR,
    *,
    search_attributes: Mapping[str, str] | None = None,
    dynamic_config: Mapping[str, object] | None = None,
    namespace: str = "default",
    ui: bool = True,
    tcp: bool = False,
) -> Iterator[Stack]:
    """Run the stack of `data_dir` on the usual ports where they are free; its data stay.

    `search_attributes`, `dynamic_config`, `namespace` and `ui` are Temporal's, see `TemporalServer`; with `tcp`
    PostgreSQL listens on loopback too, see `PostgresServer`.

    Raises StackRunningError if another process runs it, ServerError if a server does not start.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    unprivileged.admit(data_dir)
    with _lock(data_dir) as lock:
        postgres = PostgresServer(data_dir / "postgres", tcp=tcp, held=[lock])
        temporal = TemporalServer(
            data_dir / "temporal",
            namespace=namespace,
            search_attributes=search_attributes,
            dynamic_config=dynamic_config,
            ui=ui,
            held=[lock],
        )
        with _running(data_dir, postgres, temporal) as stack, _announced(stack):
            yield stack


@contextlib.contextmanager
def ephemeral_stack(
    *,
    search_attributes: Mapping[str, str] | None = None,
    dynamic_config: Mapping[str, object] | None = None,
    namespace: str = "default",
    ui: bool = False,
    tcp: bool = False,
    durable: bool = False,
    keep_workflows: bool = False,
    usual_ports: bool = False,
) -> Iterator[Stack]:
    """Run a stack in a temporary folder that is removed at the end.

    As `persistent_stack`, and: `durable` leaves PostgreSQL's fsync on (off otherwise); with `keep_workflows` Temporal's
    data survive a restart of its server; `usual_ports` takes Temporal's usual ports where they are free.

    Raises ServerError if a server does not start.
    """
    data_dir = Path(tempfile.mkdtemp(prefix="countersign-")).resolve()
    unprivileged.admit(data_dir)
    try:
        postgres = PostgresServer(data_dir / "postgres", durable=durable, tcp=tcp, temporary=True)
        temporal = TemporalServer(
            data_dir / "temporal",
            namespace=namespace,
            search_attributes=search_attributes,
            dynamic_config=dynamic_config,
            keep=keep_workflows,
            ui=ui,
            usual_ports=usual_ports,
            temporary=True,
        )
        with _running(data_dir, postgres, temporal) as stack:
            yield stack
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


def running_stack(data_dir: Path = DATA_DIR) -> StackAddresses | None:
    """Where the stack of `data_dir` answers, None if no living process runs one."""
    try:
        announced = json.loads((data_dir / "stack.json").read_text())
        addresses = StackAddresses(**{field.name: announced[field.name] for field in fields(StackAddresses)})
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return addresses if _alive(addresses.pid) and _lock_is_held(data_dir / "lock") else None


@contextlib.contextmanager
def _running(data_dir: Path, postgres: PostgresServer, temporal: TemporalServer) -> Iterator[Stack]:
    servers: tuple[Server, ...] = (postgres, temporal)
    with contextlib.ExitStack() as cleanup:
        for server in servers:
            cleanup.callback(server.stop)
        with ThreadPoolExecutor(len(servers)) as pool:
            for started in [pool.submit(server.start) for server in servers]:
                started.result()
        yield Stack(
            temporal_address=temporal.address,
            namespace=temporal.namespace,
            ui_url=temporal.ui_url,
            socket_dir=str(postgres.socket_dir),
            postgres_port=postgres.port,
            data_dir=str(data_dir),
            pid=os.getpid(),
            postgres=postgres,
            temporal=temporal,
        )


@contextlib.contextmanager
def _announced(stack: Stack) -> Iterator[None]:
    file = Path(stack.data_dir, "stack.json")
    unfinished = file.with_suffix(".new")
    addresses = {field.name: getattr(stack, field.name) for field in fields(StackAddresses)}
    unfinished.write_text(json.dumps(addresses, indent=2) + "\n")
    unfinished.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _lock(data_dir: Path) -> Iterator[int]:
    """Hold the folder's lock, which waits a little for the servers of a process that was killed a moment ago."""
    path = data_dir / "lock"
    with path.open("a+") as file:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _locked(file.fileno()):
            other = running_stack(data_dir)
            if other or time.monotonic() > deadline:
                who = f"process {other.pid}" if other else "another process"
                raise StackRunningError(
                    f"{data_dir}: {who} runs a stack here (lock file {path}); use it or end it first"
                )
            time.sleep(0.05)
        yield file.fileno()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_is_held(path: Path) -> bool:
    # A process id alone may have been given to somebody else after a crash.
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
