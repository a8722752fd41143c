"""One run of a program, from the event loop: bounded in time and output, and over when this returns.

The program is supervised (`command_supervisor.py`): when the supervisor has ended, nothing that the program started is
left. Told to stop, or out of time, it gets SIGTERM and then SIGKILL; with too much output it is killed at once. If this
process dies, the supervisor kills it.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from activities.executors.command_settings import CommandSettings

_SUPERVISOR = Path(__file__).with_name("command_supervisor.py")
_MARGIN_SECONDS = 12.0

Cut = Literal["stopped", "out of time", "too much output"]


class NotStartedError(Exception):
    """The program did not begin; nothing was done."""


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        status: its exit status; negative for the number of the signal that ended it; None where nobody knows.
        out: what it wrote to stdout.
        err: what it wrote to stderr.
        cut: why it did not end by itself, where it was ended.
    """

    status: int | None
    out: bytes = field(repr=False)
    err: bytes = field(repr=False)
    cut: Cut | None = None


@dataclass(frozen=True)
class Account:
    """The account (uid) and group (gid) that programs run as."""

    user: int
    group: int


async def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    settings: CommandSettings,
    account: Account | None,
    *,
    seconds: float,
    stop: asyncio.Event | None = None,
) -> Ended:
    """Run a program to its end.

    Args:
        argv: program and arguments.
        environment: all of it.
        settings: limits, directory, grace.
        account: whom it runs as; as ourselves where it is None.
        seconds: until it has to have ended.
        stop: set when it is told to stop.

    Raises:
        NotStartedError: it did not begin.
    """
    reading, writing = os.pipe()
    try:
        try:
            supervisor = await _supervised(writing)
        finally:
            os.close(writing)
        told = _told(argv, environment, settings, account)
        cut, out, err = await _run_out(supervisor, told, settings, seconds, stop or asyncio.Event())
        report = os.read(reading, 4096)
    finally:
        os.close(reading)
    said = json.loads(report) if report.endswith(b"\n") else {}
    if "not_started" in said:
        raise NotStartedError(f"{argv[0]} did not start: {said['not_started']}")
    return Ended(said.get("status") if said.get("gone") else None, out, err, cut)


async def _supervised(report: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-B", str(_SUPERVISOR), str(report)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(report,),
        env={},
        start_new_session=True,
    )


def _told(
    argv: Sequence[str], environment: Mapping[str, str], settings: CommandSettings, account: Account | None
) -> bytes:
    limits = settings.limits
    told = {
        "argv": list(argv),
        "environment": dict(environment),
        "directory": settings.directory,
        "user": account.user if account else None,
        "group": account.group if account else None,
        "limits": limits.model_dump(exclude={"output_bytes"}),
        "grace": settings.stop_seconds,
        "gains_privileges": settings.gains_privileges,
    }
    return json.dumps(told).encode() + b"\n"


async def _run_out(
    supervisor: asyncio.subprocess.Process, told: bytes, settings: CommandSettings, seconds: float, stop: asyncio.Event
) -> tuple[Cut | None, bytes, bytes]:
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    assert supervisor.stderr is not None
    overflow = asyncio.Event()
    limit = settings.limits.output_bytes
    readers = [
        asyncio.create_task(_bounded(stream, limit, overflow)) for stream in (supervisor.stdout, supervisor.stderr)
    ]
    ending = asyncio.create_task(supervisor.wait())
    watching = {asyncio.create_task(overflow.wait()), asyncio.create_task(stop.wait())}
    cut: Cut | None = None
    try:
        supervisor.stdin.write(told)
        await asyncio.wait({ending, *watching}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            cut = "too much output" if overflow.is_set() else "stopped" if stop.is_set() else "out of time"
    finally:
        for task in watching:
            task.cancel()
        # Also where this was cancelled: what was started ends before anybody says that it is over.
        word = b"kill" if overflow.is_set() else b"stop"
        await _end(supervisor, ending, word, settings.stop_seconds)
        await asyncio.wait(readers)
    out, err = await asyncio.gather(*readers)
    return cut or ("too much output" if overflow.is_set() else None), out, err


async def _end(supervisor: asyncio.subprocess.Process, ending: "asyncio.Task[int]", word: bytes, grace: float) -> None:
    assert supervisor.stdin is not None
    with contextlib.suppress(ConnectionError):
        if not ending.done():
            supervisor.stdin.write(word)
            await supervisor.stdin.drain()
    supervisor.stdin.close()
    await asyncio.wait({ending}, timeout=grace + _MARGIN_SECONDS)
    if not ending.done():
        supervisor.kill()
        await ending


async def _bounded(stream: asyncio.StreamReader, limit: int, overflow: asyncio.Event) -> bytes:
    """Read to the end and keep the first bytes; what is more is noted and thrown away."""
    kept = bytearray()
    while chunk := await stream.read(16 * 1024):
        room = limit - len(kept)
        kept += chunk[:room]
        if len(chunk) > room:
            overflow.set()
    return bytes(kept)
