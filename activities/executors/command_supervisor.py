"""Runs one program for a command executor, and ends it with everything that it started.

Rules:
- Its first line on stdin says what to run. Whatever ends its owner closes that pipe: then everything is killed.
- The word `stop` is SIGTERM for all of it, and SIGKILL after the grace; the word `kill` is SIGKILL at once.
- Whoever leaves the program's session or loses its parent becomes this process's child (a subreaper), so that nothing
  that the program started can stay behind: when the program has ended, what is left is killed, and waited for.
- The program has an empty stdin, no other open file than stdout and stderr, a session of its own, its limits, no way to
  gain privileges unless it may, and dies with this process.
- The last thing is one line of JSON on the file whose number is the argument: how the program ended, or why it did not
  begin.

Run as `python -I -S command_supervisor.py FD`, on Linux; the standard library is all it needs.
"""

import contextlib
import ctypes
import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_KILL_SECONDS = 10.0
_LIMITS = {
    "cpu_seconds": resource.RLIMIT_CPU,
    "memory_bytes": resource.RLIMIT_AS,
    "files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "file_bytes": resource.RLIMIT_FSIZE,
}
_libc = ctypes.CDLL(None, use_errno=True)


def main(report: int) -> None:
    """Run what the first line of stdin says, and report how it ended."""
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    _control(_PR_SET_CHILD_SUBREAPER, 1)
    line, word = _first_line()
    if word:
        return _say(report, {"not_started": "it was told to end before it began"})
    told = json.loads(line)
    try:
        program = _start(told)
    except (OSError, subprocess.SubprocessError) as error:
        return _say(report, {"not_started": getattr(error, "strerror", None) or type(error).__name__})
    status = _wait(program.pid, woken, told["grace"])
    program.returncode = os.waitstatus_to_exitcode(status)
    gone = _end_all(time.monotonic() + _KILL_SECONDS)
    return _say(report, {"status": program.returncode, "gone": gone})


def _first_line() -> tuple[bytes, bytes]:
    """What to run, and the word that came right behind it."""
    found = b""
    while b"\n" not in found:
        chunk = os.read(0, 65536)
        if not chunk:
            sys.exit(1)
        found += chunk
    line, _, word = found.partition(b"\n")
    return line, word


def _start(told: dict[str, Any]) -> "subprocess.Popen[bytes]":
    supervisor = os.getpid()

    def restrict() -> None:
        for name, value in told["limits"].items():
            if value is not None:
                resource.setrlimit(_LIMITS[name], (value, value))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if not told["gains_privileges"]:
            _control(_PR_SET_NO_NEW_PRIVS, 1)
        # After the change of the account, which would clear it.
        _control(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)

    account = {} if told["user"] is None else {"user": told["user"], "group": told["group"], "extra_groups": []}
    return subprocess.Popen(  # noqa: S603 - the executor made the list, and no shell reads it
        told["argv"],
        stdin=subprocess.DEVNULL,
        cwd=told["directory"],
        env=told["environment"],
        start_new_session=True,
        umask=0o077,
        preexec_fn=restrict,  # noqa: PLW1509 - this process has one thread
        **account,
    )


def _wait(program: int, woken: int, grace: float) -> int:
    """Wait until the program has ended, by itself or because it was told to; its status."""
    listening = [0, woken]
    kill_at = math.inf
    while (status := _reap(program)) is None:
        left = None if kill_at == math.inf else max(0.0, kill_at - time.monotonic())
        ready, _, _ = select.select(listening, [], [], left)
        with contextlib.suppress(BlockingIOError):
            while os.read(woken, 512):
                pass
        if 0 in ready:
            word = os.read(0, 64)
            if not word:
                listening = [woken]
            if word.startswith(b"stop"):
                _signal_all(signal.SIGTERM)
                kill_at = min(kill_at, time.monotonic() + grace)
            elif word or kill_at == math.inf:
                kill_at = time.monotonic()
        if time.monotonic() >= kill_at:
            _signal_all(signal.SIGKILL)
            kill_at = time.monotonic() + 0.05
    return status


def _reap(program: int) -> int | None:
    """Take note of every child that ended; the status of the program, where it is one of them."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in (0, program):
            return status if pid else None


def _end_all(deadline: float) -> bool:
    """Kill and wait for what the program left behind; whether nothing is left."""
    while time.monotonic() < deadline:
        _signal_all(signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return True
        time.sleep(0.002)
    return False


def _signal_all(number: int) -> None:
    for pid in _descendants():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _descendants() -> list[int]:
    """Every process that stands below this one, by /proc."""
    below: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((path / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
                below.setdefault(parent, []).append(int(path.name))
    found, queue = [], [os.getpid()]
    while queue:
        children = below.get(queue.pop(), [])
        found += children
        queue += children
    return found


def _control(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} failed")


def _say(report: int, what: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(report, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
