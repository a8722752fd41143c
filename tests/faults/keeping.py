"""Keeping a worker process alive that is there to be killed."""

import asyncio
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Keeper:
    """Keeps a worker process running: what dies is started again. `config` is what `crashing.main` reads."""

    def __init__(self, config: dict[str, str]) -> None:
        self._config = config
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Start workers one after the other, until cancelled."""
        while True:
            process = await self.start()
            try:
                await process.wait()
            finally:
                self.kill()
                await process.wait()

    async def start(self) -> asyncio.subprocess.Process:
        """Start one worker."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.crashing", json.dumps(self._config)),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return self._process

    def kill(self) -> None:
        """SIGKILL the worker that runs now."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
