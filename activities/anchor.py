"""Where the copy outside the record is kept, and where people hand in that they acknowledged something.

- One file, written whole: aside, flushed to the disk, renamed. A change reads what is there and writes what follows
  under a lock, so that several processes on one machine may share a file, and on several where the file system locks.
- A file that others than its owner may write is not believed.
- The statements of people lie beside it (`FILE.acknowledgement`), and are put aside once they counted.
- What is in either is the business of `policy/anchoring.py` and `policy/restoring.py`.
"""

import asyncio
import contextlib
import fcntl
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

from activities.export import write_whole
from policy.anchoring import AnchorError

ACKNOWLEDGEMENT, USED, LOCK = ".acknowledgement", ".acknowledged", ".lock"


class Anchor(ABC):
    """One copy. Every method raises AnchorError where it cannot be read or written."""

    @abstractmethod
    async def read(self) -> bytes | None:
        """What is kept; None where nothing is."""

    @abstractmethod
    async def change(self, step: Callable[[bytes | None], bytes | None]) -> None:
        """Keep what follows from what is kept, as one step that survives a power failure.

        Args:
            step: gets what is kept, and gives what to keep; None leaves it. What it raises leaves it, too.
        """

    @abstractmethod
    async def acknowledgement(self) -> bytes | None:
        """The statements that people handed in; None where there are none."""

    @abstractmethod
    async def put_aside(self) -> None:
        """The statements counted: they are not handed in any more."""


class FileAnchor(Anchor):
    """A copy in a file of a folder that exists."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> bytes | None:
        return await asyncio.to_thread(self._read, self._path)

    async def change(self, step: Callable[[bytes | None], bytes | None]) -> None:
        await asyncio.to_thread(self._change, step)

    async def acknowledgement(self) -> bytes | None:
        return await asyncio.to_thread(self._read, beside(self._path, ACKNOWLEDGEMENT))

    async def put_aside(self) -> None:
        with _named(self._path):
            await asyncio.to_thread(beside(self._path, ACKNOWLEDGEMENT).replace, beside(self._path, USED))

    def _read(self, path: Path) -> bytes | None:
        with _named(path):
            try:
                mode = path.stat().st_mode
                body = path.read_bytes()
            except FileNotFoundError:
                return None
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise AnchorError(f"file {path} can be written by others: chmod go-w {path}")
        return body

    def _change(self, step: Callable[[bytes | None], bytes | None]) -> None:
        with _named(self._path), self._locked():
            body = step(self._read(self._path))
            if body is not None:
                write_whole(self._path, body)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # The file itself is replaced by a change, so another one is locked.
        handle = os.open(beside(self._path, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, stat.S_IRUSR | stat.S_IWUSR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def beside(path: Path, suffix: str) -> Path:
    """The file beside a copy that has a purpose of its own."""
    return path.with_name(path.name + suffix)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AnchorError(f"file {path} cannot be used: {error.strerror}") from error
