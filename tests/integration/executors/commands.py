"""A program that does what it is told, and the command executor with entries for it that a test chooses."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from activities.executors.base import (
    Order,
    TargetCredentials,
)
from activities.executors.command import CommandExecutor, make
from deploy import unprivileged
from policy.permit import Direction

RESOURCE = "host/web-1"
# Does what its first argument says, and writes down what it was given.
PROGRAM = f"""#!{sys.executable} -ISB
import json, os, pathlib, resource, signal, sys, time
home = pathlib.Path(__file__).parent / "state"
(home / "ran").open("a").write("x")

def note(**what):
    (home / "noted").write_text(json.dumps(what))

def stay(ignoring=()):
    for number in ignoring:
        signal.signal(number, signal.SIG_IGN)
    with (home / "pids").open("a") as pids:
        pids.write(f"{{os.getpid()}}\\n")
    time.sleep(60)

def scatter():
    # A child, a child of another session, and a daemon of which the parent is gone; none of them minds SIGTERM.
    if os.fork() == 0:
        stay([signal.SIGTERM])
    if os.fork() == 0:
        os.setsid()
        stay([signal.SIGTERM])
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            stay([signal.SIGTERM, signal.SIGHUP])
        os._exit(0)
    while not (home / "pids").exists() or len((home / "pids").read_text().splitlines()) < 3:
        time.sleep(0.01)

def leave(status):
    def ending(*_):
        sys.exit(status)
    signal.signal(signal.SIGTERM, ending)
    stay()

match sys.argv[1:]:
    case ["note", *rest]:
        status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines())
        note(
            argv=rest, environment=dict(os.environ), ids=[os.geteuid(), os.getegid(), os.getgroups()],
            stdin=sys.stdin.read(), files=sorted(map(int, os.listdir("/proc/self/fd")))[:-1], directory=os.getcwd(),
            session=os.getsid(0) == os.getpid(), privileges=status["NoNewPrivs"], umask=status["Umask"],
            limits=[resource.getrlimit(getattr(resource, "RLIMIT_" + name))[0] for name in ("AS", "NOFILE", "CORE")],
        )
    case ["exit", status]:
        sys.exit(int(status))
    case ["exit", status, *_]:
        print("hunter2 and more", file=sys.stderr)
        sys.exit(int(status))
    case ["signal", number]:
        os.kill(os.getpid(), int(number))
    case ["scatter"]:
        scatter()
        time.sleep(60)
    case ["scatter-and-end"]:
        scatter()
    case ["stay"]:
        stay()
    case ["stay-on"]:
        stay([signal.SIGTERM])
    case ["leave", status]:
        leave(int(status))
    case ["write", count]:
        left = int(count)
        while left > 0:
            left -= os.write(1, b"y" * min(left, 65536))
    case ["write-on"]:
        while True:
            os.write(2, b"y" * 65536)
    case ["allocate"]:
        kept = bytearray(2**31)
    case ["fill"]:
        (home / "filled").write_bytes(b"x" * 2**20)
    case ["compute"]:
        while True:
            pass
    case ["print", text]:
        print(text)
"""


def account() -> dict[str, str]:
    return {"user": user} if (user := unprivileged.account()) else {}


def command_entry(program: Path, *argv: str, probe: Any = None, more: Any = None, **settings: Any) -> dict[str, Any]:
    operation = {"argv": [str(program), *argv], **(more or {})}
    probes = {"host.x.y": {**probe, "argv": [str(program), *probe["argv"]]}} if probe else {}
    return {**account(), "operations": {"host.x.act": operation}, "probes": probes, "stop_seconds": 0.5, **settings}


def command_executor(program: Path, *argv: str, **more: Any) -> CommandExecutor:
    return make("command", command_entry(program, *argv, **more), TargetCredentials({RESOURCE: "web-1"}))


def command_order(seconds: float = 20, **parameters: Any) -> Order:
    order = Order("permit-1", Direction.do, "host.x.act", parameters, (RESOURCE,), timedelta(seconds=seconds))
    return replace(order, signed="the.signed.permit")


def noted(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state / "noted").read_text())
    return found


def left(state: Path) -> list[Path]:
    """What a program wrote down."""
    return list(state.iterdir())


def alive(state: Path) -> list[int]:
    """Those of the processes which wrote their number down that still run."""
    pids = [int(line) for line in (state / "pids").read_text().splitlines()]
    return [pid for pid in pids if runs(pid)]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


async def until_there(path: Path, lines: int = 1) -> None:
    await until(lambda: path.exists() and len(path.read_text().splitlines()) >= lines)
