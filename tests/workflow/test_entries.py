"""The executors of an operator's entries, from a proposal to its end: over HTTP, and by a command."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from activities.executors.base import TargetCredentials
from activities.executors.kinds import make_executors
from deploy import unprivileged
from deploy.dev import Stack
from policy.permit import Direction, permit_id
from tests.integration.executors import http_harness
from tests.integration.executors.command_harness import allowed_program
from tests.integration.executors.flag_server import FlagServer, flag_server
from tests.world import DOCUMENTS, World, whole_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHIPPED = Path(__file__).parents[2] / "operations"
COMPONENT = """
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: NAME
  annotations: {countersign/environment: production, countersign/criticality: low, countersign/resource-id: ID}
spec: {owner: team-NAME}
"""
RULES = b"""rules:
  - {id: entries, match: {operations: [http.flag.set, host.service.restart]}, verdict: allow, reason: tests}
"""
FLAGS, WEB = "http/flags", "host/web-1"
# Restarts what it is told, unless that is `broken.service`; says so, and whether it runs.
PROGRAM = f"""#!{sys.executable} -ISB
import os, pathlib, sys
home = pathlib.Path(__file__).parent / "state"
match sys.argv[1:]:
    case ["restart", "--", "broken.service"]:
        sys.exit(5)
    case ["restart", "--", unit]:
        (home / os.environ["COUNTERSIGN_PERMIT_ID"]).write_text(unit)
    case ["is-active", "--", unit]:
        sys.exit(0 if any(path.read_text() == unit for path in home.iterdir()) else 3)
"""
UNIT = {"type": "string", "pattern": "[a-z0-9.-]+"}


@pytest_asyncio.fixture(name="server", scope="module", loop_scope="module")
async def _server() -> AsyncIterator[FlagServer]:
    async with flag_server() as server:
        yield server


@pytest_asyncio.fixture(name="program", scope="module", loop_scope="module")
async def _program() -> AsyncIterator[Path]:
    with allowed_program(PROGRAM) as program:
        yield program


@pytest_asyncio.fixture(name="entries", scope="module", loop_scope="module")
async def _entries(stack: Stack, server: FlagServer, program: Path) -> AsyncIterator[World]:
    """A world whose workers have an operator's entries, with the registries that ship."""
    user = {"user": account} if (account := unprivileged.account()) else {}
    command = {
        "kind": "command",
        **user,
        "operations": {
            "host.service.restart": {
                "parameters": {"unit": UNIT},
                "argv": [str(program), "restart", "--", "{unit}"],
                "exits": {"refused": [5]},
            }
        },
        "probes": {
            "host.service.active": {
                "parameters": {"unit": UNIT},
                "argv": [str(program), "is-active", "--", "{unit}"],
                "by_exit": {"0": True, "3": False},
            }
        },
    }
    flags = {key: value for key, value in http_harness.SET.items() if key != "resolve"}
    http = {"kind": "http", **http_harness.entry(operations={"http.flag.set": flags})}
    targets = TargetCredentials({FLAGS: server.base, WEB: "web-1"})
    executors = make_executors({"http": http, "command": command}, targets)
    registry = b"---\n".join(
        path.read_bytes() for path in (DOCUMENTS / "operations.yaml", SHIPPED / "http.yaml", SHIPPED / "command.yaml")
    )
    catalog = (DOCUMENTS / "catalog.yaml").read_text() + "".join(
        COMPONENT.replace("NAME", name).replace("ID", resource) for name, resource in (("flags", FLAGS), ("web", WEB))
    )
    policy = (DOCUMENTS / "policy.yaml").read_bytes().replace(b"rules:\n", RULES, 1)
    async with whole_world(stack, registry, catalog.encode(), policy, executors=executors) as world:
        yield world


def _set(world: World, value: bool) -> Any:
    """Turn a flag over, and back."""
    flag: dict[str, Any] = {"flag": "checkout"}
    step = {
        "name": "set",
        "operation": "http.flag.set",
        "parameters": {**flag, "value": value, "expected": not value},
        "undo": {"operation": "http.flag.set", "parameters": {**flag, "value": not value}},
    }
    criterion = {"probe": "http.flag.enabled", "parameters": flag, "equals": value, "within_seconds": 0}
    body = world.propose("http.flag.set", target="flags")
    return {**body, "steps": [step], "success_criteria": [criterion]}


def _restart(world: World, unit: str, **more: Any) -> Any:
    step = {"name": "restart", "operation": "host.service.restart", "parameters": {"unit": unit}}
    criterion = {
        "probe": "host.service.active",
        "parameters": {"unit": unit},
        "equals": True,
        "within_seconds": 30,
        "observe_seconds": 10,
    }
    body = world.propose("host.service.restart", target="web", **more)
    return {**body, "steps": [step], "success_criteria": [criterion]}


def _permit(body: Any, direction: Direction = Direction.do) -> str:
    return permit_id(body["proposal_id"], 1, 1, direction)


async def test_a_flag_is_set_over_http_once_under_its_permit_and_measured(entries: World, server: FlagServer) -> None:
    """The endpoint gets the key and the signed permit, and the probe of the registry reads what came of it."""
    body = _set(entries, True)
    result = await entries.run(body)

    assert (result.outcome, server.on) == ("succeeded", True)
    assert server.effects == {_permit(body): 1}
    [sent] = [headers for method, _, headers, _ in server.requests if method == "PUT"]
    [stored] = await entries.sql(
        "SELECT signed FROM countersign.permit WHERE proposal_id = $1 AND direction = 'do'", body["proposal_id"]
    )
    assert sent["idempotency-key"] == f'"{_permit(body)}"'
    assert sent["countersign-permit"] == stored["signed"]


async def test_a_flag_that_does_not_take_is_set_back_over_http(entries: World, server: FlagServer) -> None:
    """The criterion of the registry fails, and the approved undo runs under its own permit."""
    server.stuck = True
    body = _set(entries, not server.on)
    before = server.on
    result = await entries.run(body)
    server.stuck = False

    assert (result.outcome, server.on) == ("compensated", before)
    assert [server.effects[_permit(body, direction)] for direction in Direction] == [1, 1]


async def test_a_service_is_restarted_by_a_command_once_and_measured(entries: World, program: Path) -> None:
    body = _restart(entries, "nginx.service")
    result = await entries.run(body)

    assert result.outcome == "succeeded"
    assert _done(program) == {_permit(body): "nginx.service"}


def _done(program: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (program.parent / "state").iterdir()}


async def test_a_command_that_refuses_has_done_nothing(entries: World, program: Path) -> None:
    body = _restart(entries, "broken.service")
    before = _done(program)
    result = await entries.run(body)

    assert result.outcome == "not_executed"
    assert any("status 5" in reason.message for reason in result.reasons)
    assert _done(program) == before
