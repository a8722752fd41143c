"""The worker of `examples/executor-typescript`, built once for each state of its sources, and run for a test."""

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.npm import fetched, place

SOURCE = Path(__file__).parents[1] / "examples" / "executor-typescript"
_READY = "the worker runs"
_READY_SECONDS = 90.0


class WorkerBrokenError(Exception):
    """The example does not build, or does not start."""


def built() -> Path:
    """The folder of the compiled worker, beside the packages that it needs."""
    manifest = (SOURCE / "package.json").read_bytes()
    packages = fetched(f"executor-typescript-{_short(manifest)}", json.loads(manifest))
    sources = sorted(SOURCE.glob("src/*.ts"))
    state = b"".join(file.read_bytes() for file in (*sources, SOURCE / "tsconfig.json"))
    folder = packages / f"built-{_short(state)}"
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory(dir=packages) as unfinished:
        whole = Path(unfinished, "whole")
        shutil.copytree(SOURCE / "src", whole / "src")
        shutil.copy(SOURCE / "tsconfig.json", whole)
        command = ("node", str(packages / "node_modules" / "typescript" / "bin" / "tsc"), "--project", str(whole))
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=whole)
        if done.returncode:
            raise WorkerBrokenError(f"the example does not compile: {done.stdout[-2000:]}")
        place(whole, folder)
    return folder


@asynccontextmanager
async def typescript_worker(settings: dict[str, Any], folder: Path) -> AsyncIterator[None]:
    """The worker, running inside the block.

    Args:
        settings: as `src/worker.ts` has them.
        folder: where its settings and what it says are written.
    """
    worker = await asyncio.to_thread(built)
    process, said = await asyncio.to_thread(_started, worker, settings, folder)
    try:
        await asyncio.to_thread(_wait_until_ready, process, said)
        yield
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


def _started(worker: Path, settings: dict[str, Any], folder: Path) -> tuple["subprocess.Popen[bytes]", Path]:
    """The process, and the file that it writes to."""
    file, said = folder / "settings.json", folder / "said.txt"
    file.write_text(json.dumps(settings))
    command = ("node", str(worker / "dist" / "worker.js"), str(file))
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    return process, said


def _wait_until_ready(process: "subprocess.Popen[bytes]", said: Path) -> None:
    ends_at = time.monotonic() + _READY_SECONDS
    while _READY not in (text := said.read_text()):
        if process.poll() is not None or time.monotonic() > ends_at:
            raise WorkerBrokenError(f"the worker did not start (exit code {process.returncode}): {text[-2000:]}")
        time.sleep(0.05)


def _short(text: bytes) -> str:
    return sha256(text).hexdigest()[:12]
