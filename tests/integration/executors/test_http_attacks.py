"""The HTTP executor is aimed elsewhere, or asks somebody who does not behave: it goes nowhere, and is never held up."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from activities.executors.base import (
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
)
from tests.integration.executors.flag_server import READING_TOKEN, FlagServer
from tests.integration.executors.flags import flag_executor, flag_host, flag_order
from tests.integration.executors.http_harness import FLAG, RESOURCE

# Where an operator's own name points to, and the networks that he listed for it.
ADDRESSES: dict[str, tuple[list[str], list[str]]] = {
    "loopback": (["127.0.0.1"], []),
    "loopback, another one": (["127.0.0.1"], ["127.0.0.2/32"]),
    "loopback by ipv6": (["::1"], ["127.0.0.0/8"]),
    "private": (["10.1.2.3"], []),
    "private by ipv6": (["fd12::1"], []),
    "link-local": (["169.254.7.7"], []),
    "link-local by ipv6": (["fe80::1"], []),
    "link-local with a zone": (["fe80::1%1"], ["fe80::/10"]),
    "multicast": (["224.0.1.1"], []),
    "nowhere": (["0.0.0.0"], []),
    "mapped": (["::ffff:10.0.0.1"], []),
    "mapped metadata": (["::ffff:169.254.169.254"], ["0.0.0.0/0", "::/0"]),
    "metadata": (["169.254.169.254"], ["169.254.0.0/16"]),
    "metadata by ipv6": (["fd00:ec2::254"], ["fd00::/8"]),
    "metadata of azure": (["168.63.129.16"], []),
    "metadata of alibaba": (["100.100.100.200"], []),
    "translated": (["64:ff9b::a00:1"], []),
    "6to4": (["2002:7f00:1::"], []),
    "one of two": (["93.184.215.14", "127.0.0.1"], []),
    "none at all": ([], ["127.0.0.0/8"]),
}


@pytest.mark.parametrize(("found", "networks"), ADDRESSES.values(), ids=ADDRESSES)
async def test_an_address_that_nobody_listed_is_not_asked(
    server: FlagServer, found: list[str], networks: list[str]
) -> None:
    """Whatever the name of the host points to: nothing is sent, neither by an effect nor by a probe."""

    async def resolve(_host: str, _port: int) -> list[str]:
        return found

    hosts = {"flags.example.org": flag_host(networks=networks)}
    executor = flag_executor(url=f"http://flags.example.org:{server.port}/api", resolve=resolve, hosts=hosts)

    with pytest.raises(PreconditionFailedError):
        await executor.execute(flag_order())
    with pytest.raises(ProbeError):
        await executor.measure(ProbeOrder("http.endpoint.status", {"endpoint": "checkout"}, RESOURCE))
    assert server.requests == []


async def test_what_was_looked_at_is_what_is_connected_to(server: FlagServer) -> None:
    """A name that points elsewhere a moment later changes nothing, and the request names the host and no number."""
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    hosts = {"flags.example.org": flag_host(networks=["127.0.0.1/32"])}
    executor = flag_executor(url=f"http://flags.example.org:{server.port}/api", resolve=rebinding, hosts=hosts)
    await executor.execute(flag_order())

    assert asked == ["flags.example.org"]
    assert server.requests[0][2]["host"] == f"flags.example.org:{server.port}"
    with pytest.raises(PreconditionFailedError, match=r"169\.254\.169\.254"):
        await executor.execute(flag_order())
    assert len(server.requests) == 1


URLS: dict[str, str] = {
    "another host": "http://other.example.org:{port}/api",
    "a longer host": "http://127.0.0.1.example.org:{port}/api",
    "a decimal host": "http://2130706433:{port}/api",
    "an octal host": "http://0177.0.0.1:{port}/api",
    "a short host": "http://127.1:{port}/api",
    "a mapped host": "http://[::ffff:127.0.0.1]:{port}/api",
    "a user": "http://127.0.0.1@169.254.169.254:{port}/api",
    "a password": "http://somebody:hunter2@127.0.0.1:{port}/api",
    "another scheme": "ftp://127.0.0.1:{port}/api",
    "tls where it is plain": "https://127.0.0.1:{port}/api",
    "a query": "http://127.0.0.1:{port}/api?x=1",
    "a fragment": "http://127.0.0.1:{port}/api#x",
    "no port": "http://127.0.0.1:port/api",
    "nothing": "-",
}


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
async def test_a_resource_whose_address_is_none_of_the_entry_is_refused(server: FlagServer, url: str) -> None:
    executor = flag_executor(url=url.format(port=server.port))

    with pytest.raises(PreconditionFailedError) as error:
        await executor.execute(flag_order())
    with pytest.raises(ProbeError):
        await executor.measure(ProbeOrder("http.flag.enabled", {"flag": "checkout"}, RESOURCE))

    assert server.requests == []
    assert "hunter2" not in str(error.value)


async def test_no_proxy_of_the_environment_is_used(server: FlagServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    await flag_executor(server).execute(flag_order())

    assert server.effects.total() == 1


@contextlib.asynccontextmanager
async def _raw(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that answers with whatever bytes; its address."""
    handled: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handled.add(task)
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
            await writer.drain()
        with contextlib.suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"
    finally:
        server.close()
        # Whoever drips sees soon that nobody listens any more.
        await asyncio.gather(*handled)


def _says(body: bytes, headers: str = "content-type: application/json", status: str = "200 OK") -> Any:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\n{headers}\r\nconnection: close\r\n\r\n".encode() + body)

    return answer


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _drip_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        writer.write(b"y")
        await writer.drain()
        await asyncio.sleep(0.02)


ON = b'{"state": {"on": true}}'
HOSTILE: dict[str, tuple[Any, str]] = {
    "a redirect": (_says(b"", "location: http://127.0.0.1:1/x", "302 Found"), "status 302"),
    "an error": (_says(ON, status="500 Oops"), "status 500"),
    "a giant": (_says(b'{"state": {"on": "' + b"x" * 70_000 + b'"}}'), "more than 65536 bytes"),
    "a giant that says so": (
        _says(b"{}", "content-type: application/json\r\ncontent-length: 999999999"),
        "got no answer",
    ),
    "a drip": (_drip, "within"),
    "a drip of headers": (_drip_headers, "within"),
    "a giant header": (_says(ON, "x: " + "y" * 20_000), "got no answer"),
    "very many headers": (_says(ON, "\r\n".join(f"x{n}: y" for n in range(500))), "got no answer"),
    "compressed": (_says(b"\x1f\x8b", "content-encoding: gzip\r\ncontent-type: application/json"), "compressed"),
    "no json by its type": (_says(ON, "content-type: text/html"), "content type"),
    "no type": (_says(ON, "x: y"), "content type"),
    "another charset": (_says(ON, "content-type: application/json; charset=utf-16"), "charset"),
    "no json": (_says(b"<html>hunter2</html>"), "no strict json"),
    "a key twice": (_says(b'{"state": {"on": true, "on": false}}'), "no strict json"),
    "nested too deep": (_says(b"[" * 60_000), "no strict json"),
    "not a number": (_says(b'{"state": {"on": NaN}}'), "no strict json"),
    "no such value": (_says(b"{}"), "nothing at /state/on"),
    "no single value": (_says(b'{"state": {"on": [true]}}'), "no single value"),
    "null": (_says(b'{"state": {"on": null}}'), "no single value"),
    "not http": (_says(b"", status="banana"), "got no answer"),
}


@pytest.mark.parametrize(("answer", "said"), HOSTILE.values(), ids=HOSTILE)
async def test_a_probe_reads_a_value_or_says_in_time_that_it_cannot(answer: Any, said: str) -> None:
    """What the other side sends is bounded in every way, and none of it is repeated."""
    probe = {"parameters": {"flag": FLAG}, "path": "/flags/{flag}", "value": "/state/on", "timeout_seconds": 1}
    started = time.monotonic()
    async with _raw(answer) as url:
        executor = flag_executor(url=url, probes={"http.flag.enabled": probe}, max_bytes=65536)
        with pytest.raises(ProbeError, match=said) as error:
            await executor.measure(ProbeOrder("http.flag.enabled", {"flag": "checkout"}, RESOURCE))

    assert time.monotonic() - started < 5
    assert "hunter2" not in str(error.value)


async def test_a_probe_reads_what_the_operator_points_at_logged_in_to_read(server: FlagServer) -> None:
    executor = flag_executor(server)

    assert await executor.measure(ProbeOrder("http.flag.enabled", {"flag": "checkout"}, RESOURCE)) is False
    assert await executor.measure(ProbeOrder("http.endpoint.status", {"endpoint": "checkout"}, RESOURCE)) == 200
    assert {headers["authorization"] for _, _, headers, _ in server.requests} == {READING_TOKEN}
    for parameters in ({"endpoint": "http://127.0.0.1/"}, {"endpoint": 7}, {}, {"endpoint": "checkout", "url": "/"}):
        with pytest.raises(ProbeError):
            await executor.measure(ProbeOrder("http.endpoint.status", parameters, RESOURCE))
    assert len(server.requests) == 2


async def test_a_probe_of_the_registry_reads_by_an_entry_and_points_at_a_value_in_its_answer(
    server: FlagServer,
) -> None:
    """What it reads has the type that the registry declares; a text that is no pointer reads nothing."""
    executor, flag = flag_executor(server), {"flag": "checkout"}

    def order(query: str, reads: str) -> ProbeOrder:
        return ProbeOrder("shop.checkout.on", flag, RESOURCE, query, {}, reads)

    assert await executor.measure(order("http.flag.enabled", "boolean")) is False
    assert await executor.measure(order("http.flag.enabled /many/0", "integer")) == 1
    for query, reads in (
        ("http.flag.enabled", "integer"),
        ("http.flag.enabled many", "integer"),
        ("http.flag.enabled /many", "integer"),
        ("http.flag.enabled /../secret", "string"),
        ("http://169.254.169.254/", "string"),
        ("no.such.entry", "boolean"),
    ):
        with pytest.raises(ProbeError):
            await executor.measure(order(query, reads))


async def test_a_probe_of_a_status_reads_a_redirect_and_does_not_follow_it() -> None:
    asked = []

    async def answer(writer: asyncio.StreamWriter) -> None:
        asked.append(1)
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: /api/elsewhere\r\ncontent-length: 0\r\n\r\n")

    async with _raw(answer) as url:
        assert (
            await flag_executor(url=url).measure(ProbeOrder("http.endpoint.status", {"endpoint": "checkout"}, RESOURCE))
            == 302
        )
    assert asked == [1]


async def test_a_probe_of_a_status_reads_no_body(server: FlagServer) -> None:
    """However much the other side sends."""
    async with _raw(_drip) as url:
        started = time.monotonic()
        assert (
            await flag_executor(url=url).measure(ProbeOrder("http.endpoint.status", {"endpoint": "checkout"}, RESOURCE))
            == 200
        )
    assert time.monotonic() - started < 5
