"""What a command may take, how it is ended, and that nothing of it is left, whoever dies."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from activities.executors.base import (
    EffectUnknownError,
    PreconditionFailedError,
)
from tests.integration.executors.commands import (
    alive,
    command_entry,
    command_executor,
    command_order,
    runs,
    until,
    until_there,
)

CUT: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "a signal": (["signal", "9"], {}, "signal 9"),
    "its own abort": (["signal", "6"], {}, "signal 6"),
    "out of time": (["stay"], {}, "out of time"),
    "out of time, and it does not mind": (["stay-on"], {}, "signal 9, out of time"),
    "too much output": (["write-on"], {}, "too much output"),
    "one byte too much": (["write", "65537"], {}, "too much output"),
    "too much memory": (["allocate"], {"memory_bytes": 2**28}, "status 1"),
    "too large a file": (["fill"], {"file_bytes": 2**16}, "status 1"),
    "too much of the processor": (["compute"], {"cpu_seconds": 1}, "signal"),
}


@pytest.mark.parametrize(("argv", "limits", "said"), CUT.values(), ids=CUT)
async def test_what_does_not_end_by_itself_is_ended_and_unknown(
    program: Path, state: Path, argv: list[str], limits: dict[str, Any], said: str
) -> None:
    seconds = 1.0 if argv[0].startswith("stay") else 20.0
    started = time.monotonic()

    with pytest.raises(EffectUnknownError, match=said):
        await command_executor(program, *argv, limits=limits).execute(command_order(seconds))

    assert time.monotonic() - started < 10
    assert argv[0] not in ("stay", "stay-on") or alive(state) == []


async def test_as_much_output_as_allowed_is_no_fault(program: Path, state: Path) -> None:
    await command_executor(program, "write", "65536").execute(command_order())

    assert (state / "ran").exists()


@pytest.mark.parametrize("argv", ["scatter", "scatter-and-end"])
async def test_nothing_that_a_program_started_is_left(program: Path, state: Path, argv: str) -> None:
    """Neither a child, nor one in another session, nor a daemon whose parent is gone; done or out of time."""
    executor = command_executor(program, argv)
    if argv == "scatter-and-end":
        await executor.execute(command_order())
    else:
        with pytest.raises(EffectUnknownError, match="out of time"):
            await executor.execute(command_order(2))

    assert len((state / "pids").read_text().splitlines()) == 3
    assert alive(state) == []


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def test_a_cancelled_order_is_over_when_it_says_so(program: Path, state: Path) -> None:
    """The executor role cancels what takes longer than permitted: then nothing acts any more."""
    acting = asyncio.create_task(command_executor(program, "scatter").execute(command_order()))
    await until_there(state / "pids", 3)
    acting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await acting
    assert alive(state) == []


STOPS: dict[str, tuple[list[str], bool, type[Exception] | None]] = {
    "it ends, and may have meant something else": (["leave", "0"], False, EffectUnknownError),
    "it ends and says that it is done": (["leave", "0"], True, None),
    "it ends and says that nothing was done": (["leave", "3"], True, PreconditionFailedError),
    "it does not mind": (["stay-on"], True, EffectUnknownError),
}


@pytest.mark.parametrize(("argv", "when_stopped", "error"), STOPS.values(), ids=STOPS)
async def test_a_stop_ends_a_program_in_the_middle(
    program: Path, state: Path, argv: list[str], when_stopped: bool, error: type[Exception] | None
) -> None:
    executor = command_executor(program, *argv, more={"exits": {"refused": [3], "when_stopped": when_stopped}})
    order = command_order()
    acting = asyncio.create_task(executor.execute(order))
    await until_there(state / "pids")
    started = time.monotonic()
    order.stop.set()

    if error is None:
        await acting
    else:
        with pytest.raises(error) as raised:
            await acting
        assert type(raised.value) is error
    assert time.monotonic() - started < executor.supports.stops_within.total_seconds()
    assert alive(state) == []


WORKER = """
import asyncio, json, sys
from datetime import timedelta
from activities.executors.base import Order, TargetCredentials
from activities.executors.command import make
from policy.permit import Direction
executor = make("command", json.loads(sys.argv[1]), TargetCredentials({"host/web-1": "web-1"}))
order = Order("permit-1", Direction.do, "host.x.act", {}, ("host/web-1",), timedelta(seconds=60))
asyncio.run(executor.execute(order))
"""


async def test_nothing_goes_on_when_the_worker_is_killed(program: Path, state: Path) -> None:
    written = json.dumps(command_entry(program, "scatter"))
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, written)
    await until_there(state / "pids", 3)
    worker.kill()
    await worker.wait()

    await until(lambda: not alive(state))


async def test_a_program_whose_supervisor_is_killed_dies_and_is_unknown(program: Path, state: Path) -> None:
    acting = asyncio.create_task(command_executor(program, "stay-on").execute(command_order()))
    await until_there(state / "pids")
    [pid] = alive(state)
    os.kill(_parent(pid), signal.SIGKILL)

    with pytest.raises(EffectUnknownError, match="nobody knows"):
        await acting
    await until(lambda: not runs(pid))
