"""`countersign demo` in a process of its own, as `make demo` starts it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOUND_SECONDS = 110.0
END_SECONDS = 30.0
ENDS = {
    "routine-1": "approved, succeeded",
    "high-impact-1": "approved, succeeded",
    "undone-1": "approved, compensated",
    "denied-1": "denied, not_executed",
    "expired-1": "expired, not_executed",
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(BOUND_SECONDS + 2 * END_SECONDS)]


@dataclass
class Demo:
    """A running demo: its lines as they come, and every process that it has started."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    started: set[int] = field(default_factory=set)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.started |= _descendants(self.process.pid)
            self.lines.append(line)

    def end(self) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(BOUND_SECONDS)

    def until(self, text: str) -> None:
        """Wait for a line that has the text."""
        deadline = time.monotonic() + BOUND_SECONDS
        while not any(text in line for line in self.lines):
            assert time.monotonic() < deadline, "".join(self.lines)
            assert self.process.poll() is None, "".join(self.lines)
            time.sleep(0.05)

    def left(self) -> set[int]:
        """What is still running of what it started, once it had the time to end."""
        deadline = time.monotonic() + END_SECONDS
        while (left := _alive(self.started)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left


def _processes(*columns: str) -> list[list[str]]:
    command = ["ps", "-A", *(f"-o{column}=" for column in columns)]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.split(maxsplit=len(columns) - 1) for line in listing.splitlines()]


def _descendants(pid: int) -> set[int]:
    pairs = [(int(child), int(parent)) for child, parent in _processes("pid", "ppid")]
    found: set[int] = set()
    wanted = {pid}
    while wanted:
        wanted = {child for child, parent in pairs if parent in wanted} - found
        found |= wanted
    return found


def _alive(pids: set[int]) -> set[int]:
    return {int(pid) for pid, state in _processes("pid", "stat") if int(pid) in pids and not state.startswith("Z")}


@contextlib.contextmanager
def _demo(folder: Path) -> Iterator[Demo]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "COUNTERSIGN_"))}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "starter.py"), "demo"],
        cwd=folder,
        env=kept,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    demo = Demo(process)
    reader = threading.Thread(target=demo.read, daemon=True)
    reader.start()
    try:
        yield demo
    finally:
        process.kill()
        process.wait()
        reader.join(END_SECONDS)
        assert process.stdout is not None
        process.stdout.close()


def test_the_five_end_as_promised(tmp_path: Path) -> None:
    """All five outcomes are in the table, every promise is kept, every audit finds nothing, and nothing is left."""
    with _demo(tmp_path) as demo:
        code = demo.end()
        left = demo.left()
    text = "".join(demo.lines)

    assert code == 0, text
    rows = {found[1]: found[2] for found in re.finditer(r"^\d  +(\S+-1) .* s +(\w+, \w+) *$", text, re.MULTILINE)}
    assert rows == ENDS
    assert "5 of 5 ended as promised, the audit found them consistent" in text
    assert text.count("consistent, not proven untampered") == len(ENDS)
    assert {path.stem for path in (tmp_path / ".dev" / "demo").glob("*.json")} == set(ENDS)
    assert "✗" not in text
    assert demo.started
    assert left == set()


def test_ctrl_c_ends_the_demo(tmp_path: Path) -> None:
    """Ctrl-C in the middle ends it at once, with the usual code and nothing left; a pipe gets no colour."""
    with _demo(tmp_path) as demo:
        demo.until("tries to approve")
        demo.process.send_signal(signal.SIGINT)
        code = demo.end()
        left = demo.left()
    text = "".join(demo.lines)

    assert code == 130
    assert "Traceback" not in text
    assert "\x1b" not in text
    assert demo.started
    assert left == set()
