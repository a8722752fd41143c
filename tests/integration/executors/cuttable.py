"""A way to a server that can be cut: what goes through is passed on until it is cut, and again once it is mended."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Way:
    """A port of 127.0.0.1 that leads to another."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._to = (host, int(port))
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def address(self) -> str:
        """host:port of this end."""
        return f"127.0.0.1:{self.port}"

    async def mend(self) -> None:
        """Open it, at the port that it had before."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Close it, and break off whatever goes through it."""
        if self._server is not None:
            self._server.close()
        for each in self._open:
            each.transport.abort()
        if self._passing:
            await asyncio.wait(self._passing)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        both = {writer, far_writer}
        self._open |= both
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._open -= both
            self._passing.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def way_to(address: str) -> AsyncIterator[Way]:
    """A way to an address, open at first."""
    way = Way(address)
    await way.mend()
    try:
        yield way
    finally:
        await way.cut()
