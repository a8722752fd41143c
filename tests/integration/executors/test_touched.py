"""A step on several targets at once that ends half-way is undone where it acted, and nowhere else."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from activities import stepping
from activities.executors.base import Executor, Inquiry, Order, TargetCredentials
from activities.executors.command import make as command
from activities.executors.http import make as http
from activities.stepping import Stepped
from policy.permit import Direction, Permit
from policy.targets import ResolvedTarget, without_versions
from tests.integration.executors.flag_server import FlagServer
from tests.integration.executors.http_harness import HOST
from tests.integration.executors.kubernetes_emulator import EmulatedCluster, workload
from tests.integration.executors.kubernetes_place import RESOURCE, RESTART_ALL, placed
from tests.unit.permitted import permit

NAMES = ("a", "b", "c")
TARGETS = tuple(ResolvedTarget(id=f"flag-{name}", resource="all") for name in NAMES)


def _both(do: str, undo: str, **common: Any) -> tuple[Permit, Permit]:
    return (
        permit(Direction.do, operation=do, parameters={}, **common),
        permit(Direction.undo, operation=undo, parameters={}, **common),
    )


async def _do_and_undo(executor: Executor, do: Permit, undo: Permit) -> tuple[Stepped, Stepped]:
    ends_at = asyncio.get_running_loop().time() + 30
    done = await stepping.do({do.executor: executor}, do, ends_at, ())
    return done, await stepping.undo(executor, undo, done.touched)


# How the second of three ends by its exit status, and how many are touched.
ENDS = {"refused": (3, 1), "went wrong": (6, 2)}


def _program(log: Path, status: int, **more: Any) -> dict[str, Any]:
    """An entry whose program writes down where it acts, under which key, and ends like that on b."""
    note = f'echo "$0 $1 $COUNTERSIGN_PERMIT_ID" >> {log}'
    does = f'case "$1" in *b) [ {status} = 3 ] || {note}; exit {status};; esac; {note}'
    place = "{target.id}" if more else "{target.resource}"
    exits = {"refused": [3], "failed": [6]}
    return {
        "as_root": True,
        "operations": {
            "x.set": {"argv": ["/bin/sh", "-c", does, "do", place], "exits": exits, **more},
            "x.unset": {"argv": ["/bin/sh", "-c", note, "undo", place], **more},
        },
    }


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("resolves", [False, True])
@pytest.mark.parametrize(("status", "count"), ENDS.values(), ids=ENDS)
async def test_a_program_undoes_what_it_did(
    tmp_path: Path, status: int, count: int, resolves: bool, one_by_one: bool
) -> None:
    """Under the keys that it would have on all of them; with targets that it found, or the resources themselves."""
    log = tmp_path / "log"
    finds = {"resolve": {"argv": ["/bin/true"], "listing": {"id": "/id"}}} if resolves else {}
    resolved, targets = (("all",), TARGETS) if resolves else (NAMES, ())
    executor = command("command", _program(log, status, **finds), TargetCredentials({n: n for n in resolved}))
    common = {"executor": "command", "resolved": resolved, "targets": targets, "one_by_one": one_by_one}
    done, undone = await _do_and_undo(executor, *_both("x.set", "x.unset", **common))

    if one_by_one:
        count = 1  # nothing is measured after the first, so the second is not begun
    names = [f"flag-{name}" for name in NAMES] if resolves else list(NAMES)
    assert (done.acted.effect, done.touched) == ("done", tuple(names[:count]))
    assert (undone.acted.effect, undone.acted.message) == ("done", "")
    said = [line.split() for line in log.read_text().splitlines()]
    undos = [(name, key.partition(".")[2]) for what, name, key in said if what == "undo"]
    assert undos == [(name, str(number)) for number, name in enumerate(names[:count], start=1)]


async def test_an_endpoint_is_asked_to_undo_what_it_did(server: FlagServer) -> None:
    call = {"method": "PUT", "path": "/flags/checkout", "body": {"on": True}}
    entry = {"hosts": {"127.0.0.1": HOST}, "operations": {name: {"call": call} for name in ("x.set", "x.unset")}}
    executor = http("http", entry, TargetCredentials(dict.fromkeys(NAMES, server.base)))
    server.behaviour = ["", "422"]

    done, undone = await _do_and_undo(executor, *_both("x.set", "x.unset", executor="http", resolved=NAMES, targets=()))

    assert (done.acted.effect, done.touched, undone.acted.message) == ("done", ("a",), "")
    assert "done for 1 of 3 targets, then b" in done.acted.message
    keys = [headers["idempotency-key"] for _, _, headers, _ in server.requests]
    assert [key.strip('"').partition(".")[2] for key in keys] == ["1", "2", "1"]
    assert len({key.partition(".")[0] for key in keys}) == 2


async def test_an_object_that_was_not_written_gets_no_undo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even its mark: somebody else may have it by now."""
    async with placed(tmp_path) as place:
        place.cluster.add("deployment", "shop", "api", labels={"app": "api"}, spec=workload(app="api"))
        given = {"kind": "deployment", "namespace": "shop"}
        found = await place.executor.resolve(Inquiry(RESTART_ALL, given, (RESOURCE,), "production"))
        common: dict[str, Any] = {"executor": "kubernetes", "operation": RESTART_ALL, "resolved": (RESOURCE,)}
        do = permit(Direction.do, **common, parameters=given, targets=found)
        undo = permit(Direction.undo, **common, parameters=given, targets=without_versions(found))
        stops = Order.under(do)
        stored = EmulatedCluster._stored

        def stop(cluster: EmulatedCluster, *written: Any) -> None:
            stops.stop.set()
            stored(cluster, *written)

        monkeypatch.setattr(EmulatedCluster, "_stored", stop)
        monkeypatch.setattr(stepping, "orders_of", lambda _: {"": stops})
        done = await stepping.do({"kubernetes": place.executor}, do, asyncio.get_running_loop().time() + 30, ())
        monkeypatch.undo()
        before = len(place.cluster.effects)
        undone = await stepping.undo(place.executor, undo, done.touched)

        first = found[0].id
        assert (done.acted.effect, done.touched) == ("done", (first,))
        assert (undone.acted.effect, undone.acted.message) == ("done", "")
        name = first.partition("@")[0].rpartition("/")[2]
        assert {path.rpartition("/")[2] for path, _ in place.cluster.effects[before:]} == {name}


async def test_what_no_permit_names_is_not_undone_on_all(tmp_path: Path) -> None:
    executor = command("command", _program(tmp_path / "log", 0), TargetCredentials({n: n for n in NAMES}))
    _, undo = _both("x.set", "x.unset", executor="command", resolved=NAMES, targets=())

    found = await stepping.undo(executor, undo, ("somewhere-else",))

    assert (found.acted.effect, not (tmp_path / "log").exists()) == ("none", True)
    assert found.acted.message == "its step touched somewhere-else, of which its permit names none"
