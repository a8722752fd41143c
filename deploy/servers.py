"""A server process of the embedded stack that lives under a supervisor and never longer than its owner.

Rules:
- Servers listen on loopback or on a unix socket in a private folder, on nothing else.
- The first start takes the usual ports if they are free and others if not; every later start takes the same again.
- `start` returns when the server answers, `stop` and `kill` when all of its processes are gone.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"
START_SECONDS = 60.0
_GRACE_SECONDS = 10.0
_SUPERVISE = Path(__file__).with_name("supervise.py")


class ServerError(RuntimeError):
    """A server of the embedded stack did not start."""


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
            env=environment(),
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


def free_ports(usual: Mapping[str, int]) -> dict[str, int]:
    """A free loopback port for each purpose: the usual one unless it is 0 or taken."""
    with contextlib.ExitStack() as probes:
        return {purpose: _free_port(port, probes) for purpose, port in usual.items()}


def _free_port(usual: int, probes: contextlib.ExitStack) -> int:
    for port in (usual, 0):
        if port and listens(port):
            continue
        probe = probes.enter_context(socket.socket())
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise ServerError(f"no free port on {LOOPBACK}")


def listens(port: int) -> bool:
    """Whether anything accepts connections on that loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def environment() -> dict[str, str]:
    """Ours without the settings of Temporal's and PostgreSQL's clients, which their servers would read as theirs."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TEMPORAL_", "PG"))}
    return kept | {"LC_ALL": "C"}
