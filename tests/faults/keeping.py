"""Keeping a worker process alive that is there to be killed.

Each is forked from a process that has imported everything (`warm.py`) and has started nothing, neither threads nor
Temporal's runtime: a worker is there in a fraction of the time that a new interpreter takes.
"""

import asyncio
import multiprocessing
import os
from multiprocessing.context import ForkServerProcess
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from unittest.mock import patch

from tests.faults import crashing

ROOT = Path(__file__).parents[2]
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["tests.faults.warm"])


class Worker:
    """One worker process."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def kill(self) -> None:
        """SIGKILL it, unless it has ended."""
        self._process.kill()

    async def wait(self) -> None:
        """Return as soon as it has ended."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        # Of its own: several may wait for one process.
        handle = os.dup(self._process.sentinel)
        loop.add_reader(handle, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
        self._process.join()


class Keeper:
    """Keeps a worker process running: what dies is started again. `config` is what `crashing.main` reads."""

    def __init__(self, config: dict[str, str]) -> None:
        self._config = config
        self._worker: Worker | None = None

    async def run(self) -> None:
        """Start workers one after the other, until cancelled."""
        while True:
            worker = await self.start()
            try:
                await worker.wait()
            finally:
                worker.kill()
                await worker.wait()

    async def start(self) -> Worker:
        """Start one worker."""
        process = _FORKING.Process(target=_work, args=(self._config,), daemon=True)
        starting = asyncio.ensure_future(asyncio.to_thread(_start, process))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A thread cannot be cancelled, and what it starts must not stay.
            await starting
            process.kill()
            raise
        self._worker = Worker(process)
        return self._worker

    def kill(self) -> None:
        """SIGKILL the worker that runs now."""
        if self._worker is not None:
            self._worker.kill()


def _start(process: ForkServerProcess) -> None:
    # What is forked from reads the path from its environment.
    with patch.dict(os.environ, PYTHONPATH=str(ROOT)):
        ensure_running()
    process.start()


def _work(config: dict[str, str]) -> None:
    """The worker process."""
    os.chdir(ROOT)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    asyncio.run(_until_left(config))


async def _until_left(config: dict[str, str]) -> None:
    """Work, and end when the process of the test has ended, however that was."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    asyncio.get_running_loop().add_reader(parent.sentinel, os._exit, 1)
    await crashing.main(config)
