"""Places that count by permit: a server of flags, and a program that writes down what it did."""

import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from deploy import unprivileged
from deploy.dev import Stack
from tests.faults.disturbing import SLOW_SECONDS
from tests.faults.place import Permits, Place
from tests.integration.executors.command_harness import allowed_program
from tests.integration.executors.flag_server import CHECKOUT, Flag, FlagServer, flag_server
from tests.integration.executors.http_harness import PROBES, SET
from tests.integration.executors.http_harness import entry as http_entry


class HttpPlace(Place):
    """A server of flags that counts by idempotency key."""

    name, resource, operation, undo, probe = "http", "http/flags", "http.flag.set", "http.flag.set", "http.flag.enabled"
    wired = frozenset({"fail", "lose", "slow"})
    registry = """
operations:
  - name: http.flag.set
    executor: http
    severity: 10
    resolves: true
    inverse: [http.flag.set]
    identifies: [flag]
    parameters: {flag: {type: string}, value: {type: boolean}}
probes:
  - {name: http.flag.enabled, executor: http, type: boolean, identifies: [flag], parameters: {flag: {type: string}}}
"""

    def __init__(self, server: FlagServer, flag: str = CHECKOUT, resource: str = resource) -> None:
        super().__init__()
        self.server, self.flag, self.resource = server, flag, resource

    @property
    def config(self) -> dict[str, Any]:
        entry = {**http_entry(), "kind": "http", "operations": {"http.flag.set": SET}, "probes": PROBES}
        return {"executors": {"http": entry}, "urls": {self.resource: self.server.base}}

    def parameters(self, *, undo: bool = False) -> dict[str, Any]:
        return {"flag": self.flag, "value": not undo}

    def criterion(self, *, fails: bool) -> dict[str, Any]:
        return {"probe": self.probe, "parameters": {"flag": self.flag}, "equals": not fails}

    async def counted(self, permits: Permits) -> tuple[int, int]:
        effects = self.server.effects
        undos = sum(count for key, count in effects.items() if permits.get(key))
        return effects.total() - undos, undos

    def log(self) -> Counter[str]:
        return Counter(self.server.effects)

    async def another(self, number: int) -> Place:
        flag = f"flag-{number}"
        self.server.flags[flag] = Flag()
        return HttpPlace(self.server, flag, f"{self.resource}/{number}")

    def arrange(self, fault: str, *, undo: bool) -> None:
        how = {"fail": "503", "lose": "lose", "slow": "hang"}[fault]
        self.server.behaviour += [*([""] if undo else []), how]
        if fault == "slow":
            self.server.slow_seconds = SLOW_SECONDS

    def met(self) -> bool:
        return not self.server.behaviour


# Every run is a line: which permit, and which direction. It never looks whether it ran before.
_PROGRAM = f"""#!{sys.executable} -ISB
import os, pathlib, signal, sys, time
home = pathlib.Path(__file__).parent / "state"
log, permit = home / "log", os.environ.get("COUNTERSIGN_PERMIT_ID", "none")
action, *rest = sys.argv[1:]
lines = log.read_text().splitlines() if log.exists() else []
if action == "look":
    sys.exit(0 if any(line.split()[0] == permit for line in lines) else 1)
if action == "read":
    done = [line.split()[1] for line in lines if line.split()[2] == rest[-1]]
    print("there" if done and done[-1] == "do" else "gone")
    sys.exit(0)
fault = home / f"{{action}}-fault"
how = fault.read_text() if fault.exists() else ""
if how:
    fault.unlink()
if how == "fail":
    sys.exit(3)
if how == "slow":
    time.sleep({SLOW_SECONDS})
with log.open("a") as file:
    file.write(f"{{permit}} {{action}} {{rest[-1]}}\\n")
if how == "lose":
    os.kill(os.getpid(), signal.SIGKILL)
"""


class CommandPlace(Place):
    """A program that writes a line each time that it acts."""

    name, resource, operation, undo, probe = (
        "command",
        "host/web-1",
        "host.line.add",
        "host.line.remove",
        "host.line.there",
    )
    wired = frozenset({"fail", "lose", "slow"})
    registry = """
operations:
  - name: host.line.add
    executor: command
    severity: 10
    inverse: [host.line.remove]
    identifies: [line]
    parameters: {line: {type: string}}
  - {name: host.line.remove, executor: command, severity: 10, needs_no_undo: true, identifies: [line],
     parameters: {line: {type: string}}}
probes:
  - {name: host.line.there, executor: command, type: string, identifies: [line], parameters: {line: {type: string}}}
"""

    def __init__(self, program: Path, resource: str = resource) -> None:
        super().__init__()
        self.program, self.resource = program, resource
        self._state = program.parent / "state"

    @property
    def config(self) -> dict[str, Any]:
        ours, account = str(self.program), unprivileged.account()
        line = {"line": {"type": "string", "pattern": "k[a-z0-9-]{1,60}"}}

        def acting(verb: str) -> dict[str, Any]:
            return {
                "parameters": line,
                "argv": [ours, verb, "--", "{line}"],
                "exits": {"refused": [3]},
                "observe": {"argv": [ours, "look"], "by": "key", "none": [1]},
            }

        entry = {
            "kind": "command",
            **({"user": account} if account else {}),
            "operations": {"host.line.add": acting("do"), "host.line.remove": acting("undo")},
            "probes": {
                "host.line.there": {"parameters": line, "argv": [ours, "read", "--", "{line}"], "text": "string"}
            },
        }
        return {"executors": {"command": entry}, "urls": {self.resource: "web-1"}}

    def parameters(self, *, undo: bool = False) -> dict[str, Any]:
        return {"line": self.key}

    def criterion(self, *, fails: bool) -> dict[str, Any]:
        return {"probe": self.probe, "parameters": {"line": self.key}, "equals": "gone" if fails else "there"}

    def lines(self) -> list[list[str]]:
        """Permit, direction and line of everything that it did."""
        log = self._state / "log"
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    async def counted(self, permits: Permits) -> tuple[int, int]:
        undos = sum(direction == "undo" for _, direction, _ in self.lines())
        return len(self.lines()) - undos, undos

    def log(self) -> Counter[str]:
        return Counter(permit for permit, _, _ in self.lines())

    async def another(self, number: int) -> Place:
        return CommandPlace(self.program, f"{self.resource}/{number}")

    def arrange(self, fault: str, *, undo: bool) -> None:
        (self._state / f"{'undo' if undo else 'do'}-fault").write_text(fault)

    def met(self) -> bool:
        return not list(self._state.glob("*-fault"))


@asynccontextmanager
async def http_place(_: Stack) -> AsyncIterator[Place]:
    """A place for the executor of the kind http."""
    async with flag_server() as server:
        yield HttpPlace(server)


@asynccontextmanager
async def command_place(_: Stack) -> AsyncIterator[Place]:
    """A place for the executor of the kind command."""
    with allowed_program(_PROGRAM) as program:
        yield CommandPlace(program)
