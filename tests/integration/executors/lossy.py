"""A way to a real server on which one request goes wrong; everything else is passed on.

Its answer is lost after it was carried out, or it never arrives, or it arrives late.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_CHUNK = 65536


class LossyWay:
    """Passes bytes between clients on loopback and a PostgreSQL server's socket, until it is told what goes wrong.

    `passed` counts the requests that reached the server and contain one of these texts. `told` hears of each request on
    which something went wrong.
    """

    def __init__(self, socket: str, told: Callable[[bytes], None] | None = None) -> None:
        self._socket = socket
        self._told = told
        self._marker: bytes | None = None
        self._requests = 0
        self._how, self._seconds = "lose", 0.0
        self.passed: dict[str, int] = {}
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def armed(self) -> bool:
        """Whether something is still to go wrong."""
        return self._marker is not None

    def lose(self, marker: str, requests: int = 1) -> None:
        """Lose the answer to a request that contains a text, or to one that follows it; then end that connection.

        Args:
            marker: the text.
            requests: 1 for that request itself, 2 for the next one (that a prepared statement is carried out).
        """
        self._arm(marker, requests, "lose")

    def cut(self, marker: str, requests: int = 1) -> None:
        """Let such a request never arrive: its connection ends instead. Arguments as for `lose`."""
        self._arm(marker, requests, "cut")

    def hold(self, marker: str, seconds: float, requests: int = 1) -> None:
        """Let such a request arrive so many seconds late. Arguments as for `lose`."""
        self._arm(marker, requests, "hold")
        self._seconds = seconds

    def _arm(self, marker: str, requests: int, how: str) -> None:
        self._marker, self._requests, self._how = marker.encode(), requests, how

    async def close(self) -> None:
        """Break off what goes through it."""
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)
        to_server, from_client = await asyncio.open_unix_connection(self._socket)
        lost = asyncio.Event()

        async def answers() -> None:
            while data := await to_server.read(_CHUNK):
                if lost.is_set():
                    return
                writer.write(data)
                await writer.drain()

        ways = [asyncio.ensure_future(self._requests_of(reader, from_client, lost)), asyncio.ensure_future(answers())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, from_client):
                end.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _requests_of(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, lost: asyncio.Event
    ) -> None:
        """Pass on what a client asks, until a request never arrives."""
        armed = 0
        while data := await reader.read(_CHUNK):
            armed += bool(armed)
            if self._marker is not None and self._marker in data:
                self._marker, armed = None, 1
            if armed and armed == self._requests:
                if self._told is not None:
                    self._told(data)
                if self._how == "cut":
                    return
                await self._go_wrong(lost)
            for text in self.passed:
                self.passed[text] += text.encode() in data
            server.write(data)
            await server.drain()

    async def _go_wrong(self, lost: asyncio.Event) -> None:
        if self._how == "hold":
            await asyncio.sleep(self._seconds)
        else:
            lost.set()


@asynccontextmanager
async def lossy_way(socket: str, told: Callable[[bytes], None] | None = None) -> AsyncIterator[tuple[LossyWay, int]]:
    """A way to a server's unix socket, and the port of loopback where it begins."""
    way = LossyWay(socket, told)
    server = await asyncio.start_server(way.handle, "127.0.0.1", 0)
    async with server:
        try:
            yield way, server.sockets[0].getsockname()[1]
        finally:
            await way.close()
