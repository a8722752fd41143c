"""Keep one server alive for exactly as long as the process that started it.

Rules:
- The supervisor starts the server in a session of its own (so Ctrl-C in a terminal reaches the owner only, and the
  owner decides the order in which things stop) and writes the server's process id as one line on its stdout.
- The owner holds the other end of the supervisor's stdin. It may write `stop` or `kill` before it closes that pipe.
  Whatever ends the owner, SIGKILL included, closes it too; end of file therefore always means "end the server".
- To stop is: the server's own signal for a clean end, then SIGKILL after the grace.
- End of file without a word means that the owner died. Nobody is left to tidy up, so the folder named with
  `--remove` (a temporary one) is removed too.
- The server and everything it forks inherit one pipe. That pipe's end of file, not the exit of the first process,
  means "all of them are gone" (the children of a killed PostgreSQL outlive it for a moment and hold its shared memory).
- On Linux the kernel sends the server its stop signal if the supervisor itself is killed.

Run as `python supervise.py [options] -- COMMAND...`; the standard library is all it needs.
"""

import argparse
import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 1.0


def main(argv: list[str]) -> int:
    """Run COMMAND until it ends or the owner goes away.

    Returns the command's exit status, negative for the number of the signal that ended it.
    """
    options = _parse(argv)
    _on_interrupt(_leave)
    alive, inherited = os.pipe()
    server = _start(options, inherited)
    os.close(inherited)
    word = "stop"
    with contextlib.suppress(SystemExit):
        word = _wait(server, alive)
    _on_interrupt(signal.SIG_IGN)
    _end(server, alive, "SIGKILL" if word == "kill" else options.stop_signal, options.grace)
    if word == "" and options.remove:
        shutil.rmtree(options.remove, ignore_errors=True)
        with contextlib.suppress(OSError):
            options.remove.parent.rmdir()
    return server.returncode


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="supervise.py")
    parser.add_argument("--stop-signal", required=True, help="name of the signal that asks for a clean end")
    parser.add_argument("--grace", type=float, required=True, help="seconds from that signal to SIGKILL")
    parser.add_argument("--user", help="account the server runs as (needs root)")
    parser.add_argument("--log", type=Path, required=True, help="file that gets the server's output")
    parser.add_argument("--remove", type=Path, help="folder to remove if the owner dies")
    parser.add_argument("command", nargs="+")
    return parser.parse_args(argv)


def _start(options: argparse.Namespace, inherited: int) -> subprocess.Popen[bytes]:
    supervisor = os.getpid()

    def follow_supervisor() -> None:
        _on_interrupt(signal.SIG_DFL)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.Signals[options.stop_signal]))
            if os.getppid() != supervisor:
                os._exit(1)

    account: dict[str, object] = {}
    if options.user:
        account = {"user": options.user, "group": _group_of(options.user), "extra_groups": []}
    with options.log.open("ab") as log:
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            options.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[inherited],
            preexec_fn=follow_supervisor,  # noqa: PLW1509 - this process has one thread
            **account,
        )


def _group_of(user: str) -> int:
    import pwd  # noqa: PLC0415 - absent on Windows

    return pwd.getpwnam(user).pw_gid


def _wait(server: subprocess.Popen[bytes], alive: int) -> str:
    """Wait until the server has ended or the owner lets go; the owner's last word, empty if it died without one."""
    owner, said = os.getppid(), b""
    with contextlib.suppress(BrokenPipeError):
        print(server.pid, flush=True)
    while server.poll() is None:
        ready, _, _ = select.select([sys.stdin, alive], [], [], _POLL_SECONDS)
        if sys.stdin in ready:
            chunk = os.read(sys.stdin.fileno(), 64)
            if not chunk:
                return said.decode()
            said += chunk
        elif alive in ready:
            server.wait()
        elif os.getppid() != owner:
            return ""
    return "ended"


def _end(server: subprocess.Popen[bytes], alive: int, stop_signal: str, grace: float) -> None:
    if server.poll() is None:
        server.send_signal(signal.Signals[stop_signal])
    if not _gone(alive, time.monotonic() + grace):
        server.kill()
        _gone(alive, time.monotonic() + grace)
    server.wait()


def _gone(alive: int, deadline: float) -> bool:
    """Whether the server and everything it forked ended before the deadline (monotonic seconds)."""
    ready, _, _ = select.select([alive], [], [], max(0.0, deadline - time.monotonic()))
    return bool(ready)


def _on_interrupt(handler: Callable[..., object] | signal.Handlers) -> None:
    for interrupt in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(interrupt, handler)


def _leave(*_: object) -> None:
    raise SystemExit


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
