"""The copy outside the record, in memory: it passes the contract suite of the port (`tests/unit/test_anchor.py`)."""

import asyncio
from collections.abc import Callable

from activities.anchor import Anchor, FileAnchor
from activities.anchored import Anchored
from activities.documents import Documents
from activities.proving import Prover
from activities.settings import Settings


class MemoryAnchor(Anchor):
    """A copy as long as the process lives. Tests read and write `body` and `handed_in`."""

    def __init__(self) -> None:
        self.body: bytes | None = None
        self.handed_in: bytes | None = None
        self._turn = asyncio.Lock()

    async def read(self) -> bytes | None:
        return self.body

    async def change(self, step: Callable[[bytes | None], bytes | None]) -> None:
        async with self._turn:
            found = step(self.body)
            self.body = self.body if found is None else found

    async def acknowledgement(self) -> bytes | None:
        return self.handed_in

    async def put_aside(self) -> None:
        self.handed_in = None


def anchored_by(settings: Settings) -> Anchored:
    """The same as a worker with these settings has it, on its copy."""
    assert settings.anchor_file is not None
    return anchored(FileAnchor(settings.anchor_file))


def anchored(anchor: Anchor | None = None, *, accepts_claimed: bool = True) -> Anchored:
    """What a worker that issues asks, with a copy in memory unless another is given."""
    return Anchored(anchor or MemoryAnchor(), Documents(), Prover(accepts_claimed=accepts_claimed))
