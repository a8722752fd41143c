"""Commands: the executor sets a flag by a real program, which counts by permit id and does not run as root."""

import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from activities.executors.base import Executor, Inquiry, Order, TargetCredentials
from activities.executors.command import make
from deploy import unprivileged
from deploy.dev import Stack
from policy.permit import Direction
from tests.integration.executors.harness import Harness

RESOURCE = "host/web-1"
READING = "password-that-reads"
ACTING = "password-that-acts"
FLAG = {"type": "string", "pattern": "[a-z-][a-z0-9=-]{0,49}"}
# What is done stands in a folder: one file for each permit id, and one for the flag with its version.
PROGRAM = f"""#!{sys.executable} -ISB
import json, os, pathlib, sys, time
home = pathlib.Path(__file__).parent / "state"
permit = os.environ.get("COUNTERSIGN_PERMIT_ID", "none")
action, _, address, *rest = sys.argv[1:]
flag = home / "flag"
value, version = flag.read_text().split()
done = home / f"done-{{permit}}"
reading, acting = address == {READING!r}, address == {ACTING!r}
if action == "set" and acting:
    _, wanted, expected, known = rest
    if done.exists():
        sys.exit(0)
    if known != version and os.environ["DIRECTION"] == "do":
        sys.exit(4)
    if expected not in ("any", value):
        sys.exit(3)
    if (home / "slow").exists():
        time.sleep(30)
    flag.write_text(f"{{wanted}} {{int(version) + 1}}")
    done.touch()
    if (home / "lose").exists():
        os.kill(os.getpid(), 9)
elif action == "dry-run" and reading:
    print(f"would set {{rest[0]}} to {{rest[1]}}")
elif action == "find" and reading:
    print(json.dumps([{{"id": rest[0], "version": version}}]) if rest[0] == "checkout" else "[]")
elif action == "look" and reading:
    sys.exit(0 if done.exists() else 1)
elif action == "read" and reading:
    print(value)
else:
    sys.exit(9)
"""


def entry(program: Path) -> dict[str, Any]:
    """What an operator would write of the program of the tests."""
    ours = str(program)
    places = ["--", "{target.address}", "{flag}", "{value}", "{expected}"]
    return {
        **({"user": unprivileged.account()} if unprivileged.account() else {}),
        "stop_seconds": 1,
        "operations": {
            "host.flag.set": {
                "parameters": {
                    "flag": FLAG,
                    "value": {"type": "string", "enum": ["on", "off"]},
                    "expected": {"type": "string", "enum": ["on", "off", "any"]},
                },
                "argv": [ours, "set", *places, "{target.version}"],
                "environment": {"DIRECTION": "{order.direction}"},
                "exits": {"refused": [3], "changed": [4]},
                "observe": {"argv": [ours, "look", "--", "{target.address}"], "by": "key", "none": [1]},
                "resolve": {
                    "argv": [ours, "find", "--", "{target.address}", "{flag}"],
                    "listing": {"id": "/id", "version": "/version"},
                },
                "dry_run": {"argv": [ours, "dry-run", *places]},
            }
        },
        "probes": {"host.flag.value": {"argv": [ours, "read", "--", "{target.address}"], "text": "string"}},
    }


@contextmanager
def allowed_program(text: str) -> Iterator[Path]:
    """A program that an administrator could have put there, with a folder `state` that whoever runs it can write."""
    home = Path(tempfile.mkdtemp(prefix="countersign-command-"))
    try:
        home.chmod(0o755)
        program = home / "program"
        program.write_text(text)
        program.chmod(0o755)
        unprivileged.give(home / "state")
        unprivileged.show(Path(sys.executable).resolve().parents[1])
        yield program
    finally:
        shutil.rmtree(home, ignore_errors=True)


class CommandHarness(Harness):
    """Each order turns the flag over."""

    secrets = (READING, ACTING)

    def __init__(self, program: Path) -> None:
        self._program = program
        self._state = program.parent / "state"
        self._flag("off", 1)
        targets = TargetCredentials({RESOURCE: ACTING}, {RESOURCE: READING})
        self._executor = make("command", entry(program), targets)

    @property
    def executor(self) -> Executor:
        return self._executor

    async def order(self, permit_id: str) -> Order:
        value, _ = self._now()
        parameters = {"flag": "checkout", "value": "off" if value == "on" else "on", "expected": value}
        targets = await self._executor.resolve(Inquiry("host.flag.set", parameters, (RESOURCE,), "production"))
        order = Order(permit_id, Direction.do, "host.flag.set", parameters, (RESOURCE,), timedelta(seconds=20))
        return replace(order, targets=targets)

    async def misfit(self, permit_id: str) -> Order:
        order = await self.order(permit_id)
        return replace(order, parameters={**order.parameters, "expected": order.parameters["value"]})

    def undo(self, order: Order) -> Order | None:
        parameters = {"flag": "checkout", "value": order.parameters["expected"], "expected": "any"}
        return replace(order, permit_id="undo", direction=Direction.undo, parameters=parameters)

    async def state(self) -> object:
        return self._now()[0]

    async def inquiry(self) -> Inquiry | None:
        return Inquiry("host.flag.set", (await self.order("asked")).parameters, (RESOURCE,), "production")

    async def empty(self) -> Inquiry | None:
        parameters = {"flag": "no-such-flag", "value": "on", "expected": "any"}
        return Inquiry("host.flag.set", parameters, (RESOURCE,), "production")

    async def effects(self) -> int:
        return len(list(self._state.glob("done-*")))

    async def move(self) -> bool:
        value, version = self._now()
        self._flag(value, version + 1)
        return True

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[None]:
        away = self._program.rename(self._program.with_name("away"))
        yield
        away.rename(self._program)

    @asynccontextmanager
    async def _losing(self) -> AsyncIterator[None]:
        (self._state / "lose").touch()
        yield
        (self._state / "lose").unlink()

    def lost_answer(self) -> Any:
        return self._losing()

    async def slow(self, permit_id: str) -> Order | None:
        (self._state / "slow").touch()
        return await self.order(permit_id)

    def _now(self) -> tuple[str, int]:
        value, version = (self._state / "flag").read_text().split()
        return value, int(version)

    def _flag(self, value: str, version: int) -> None:
        flag = self._state / "flag"
        flag.write_text(f"{value} {version}")
        flag.chmod(0o666)


@asynccontextmanager
async def command(_: Stack) -> AsyncIterator[Harness]:
    """The executor before a program of its own."""
    with allowed_program(PROGRAM) as program:
        yield CommandHarness(program)
