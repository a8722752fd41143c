"""The HTTP executor before a real server that behaves well, and before one that does not."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    TargetChangedError,
    TargetCredentials,
    TargetUnreachableError,
)
from activities.executors.http import HttpExecutor, make
from activities.executors.http_settings import HttpSettings
from policy.canonical import canonical
from policy.permit import Direction
from policy.targets import ResolvedTarget
from tests.integration.executors.flag_server import READING_TOKEN, SECRET, TOKEN, FlagServer, flag_server
from tests.integration.executors.http_harness import FLAG, HOST, RESOURCE, SET, entry

PLAIN = {key: value for key, value in SET.items() if key not in ("resolve", "idempotent")}
JOB: dict[str, Any] = {
    "call": {"path": "/jobs"},
    "completion": {
        "states": {
            "pointer": "/status",
            "done": ["done"],
            "running": ["running"],
            "failed": ["failed"],
            "refused": ["cancelled"],
        },
        "every_seconds": 0.02,
        "stop_seconds": 2,
    },
    "observe": {"path": "/effects/{order.permit_id}"},
    "timeout_seconds": 2,
}


@pytest.fixture(name="server")
async def _server() -> AsyncIterator[FlagServer]:
    async with flag_server() as server:
        yield server


def _executor(server: FlagServer | None = None, *, url: str = "", resolve: Any = None, **more: Any) -> HttpExecutor:
    targets = TargetCredentials({RESOURCE: url or (server.base if server else "")})
    written = entry(**{"operations": {"http.flag.set": PLAIN}, **more})
    if resolve is None:
        return make("http", written, targets)
    return HttpExecutor(HttpSettings.model_validate_json(canonical(written)), targets, resolve=resolve)


def _order(operation: str = "http.flag.set", *, seconds: float = 20, **more: Any) -> Order:
    flag: dict[str, Any] = {"flag": "checkout", "value": True}
    parameters = flag if operation == "http.flag.set" else {}
    order = Order("permit-1", Direction.do, operation, parameters, (RESOURCE,), timedelta(seconds=seconds))
    return replace(order, signed="the.signed.permit", **more)


def _host(**more: Any) -> dict[str, Any]:
    return {**HOST, **more}


async def test_what_is_sent_is_signed_has_a_key_and_carries_the_permit(server: FlagServer) -> None:
    await _executor(server).execute(_order())

    [(method, path, headers, body)] = server.requests
    assert (method, path, headers["host"]) == ("PUT", "/api/flags/checkout", f"127.0.0.1:{server.port}")
    assert headers["idempotency-key"] == '"permit-1"'
    assert headers["webhook-id"] == "permit-1"
    assert headers["countersign-permit"] == "the.signed.permit"
    assert json.loads(body) == {"on": True, "permit": "the.signed.permit"}


async def test_without_a_body_of_its_own_an_endpoint_gets_the_order_as_it_is_permitted(server: FlagServer) -> None:
    """Parameters, target and permit, in one object; a secret is looked up, whatever is named."""
    operation = {
        "parameters": {"flag": FLAG, "value": {"type": "boolean"}, "token": {"type": "string", "secret": True}},
        "call": {"path": "/jobs"},
    }
    executor = _executor(server, operations={"http.flag.set": operation}, secrets={"flags/token": "s3cr3t"})
    order = _order()

    with pytest.raises(EffectUnknownError, match="202"):
        await executor.execute(replace(order, parameters={**order.parameters, "token": "secret://flags/token"}))
    with pytest.raises(PreconditionFailedError, match="holds no secret other"):
        await executor.execute(replace(order, parameters={**order.parameters, "token": "secret://other"}))

    assert json.loads(server.requests[0][3]) == {
        "permit_id": "permit-1",
        "operation": "http.flag.set",
        "direction": "do",
        "resource": RESOURCE,
        "parameters": {"flag": "checkout", "value": True, "token": "s3cr3t"},
        "dry_run": False,
        "permit": "the.signed.permit",
    }
    assert "countersign-permit" not in server.requests[0][2]
    assert "s3cr3t" not in f"{executor!r} {executor.__dict__}"


ANSWERS: dict[str, tuple[list[str], bool, type[Exception] | None, int]] = {
    "done": ([], False, None, 1),
    "too many, then done": (["429", "429"], False, None, 3),
    "too many all the time": (["429"] * 9, False, TargetUnreachableError, 4),
    "unavailable, and the endpoint keeps answers": (["503"], True, None, 2),
    "unavailable, and it keeps none": (["503"], False, EffectUnknownError, 1),
    "refused after it was unavailable": (["503", "422"], True, EffectUnknownError, 2),
    "a fault": (["500"], True, EffectUnknownError, 1),
    "a bad gateway": (["502"], True, EffectUnknownError, 1),
    "malformed": (["400"], True, PreconditionFailedError, 1),
    "refused": (["422"], True, PreconditionFailedError, 1),
    "forbidden": (["403"], True, PreconditionFailedError, 1),
    "conflict": (["409"], True, TargetChangedError, 1),
    "precondition failed": (["412"], True, TargetChangedError, 1),
    "moved": (["301"], True, PreconditionFailedError, 1),
    "temporarily moved": (["307"], True, PreconditionFailedError, 1),
    "found": (["302"], True, EffectUnknownError, 1),
    "see other": (["303"], True, EffectUnknownError, 1),
    "a gateway's time-out": (["408"], True, EffectUnknownError, 1),
}


@pytest.mark.parametrize(("behaviour", "idempotent", "error", "sent"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_says_what_it_says_and_nothing_is_sent_again_that_might_act_twice(
    server: FlagServer, behaviour: list[str], idempotent: bool, error: type[Exception] | None, sent: int
) -> None:
    server.behaviour, server.location = list(behaviour), "/api/told"
    executor = _executor(server, operations={"http.flag.set": {**PLAIN, "idempotent": idempotent}})

    if error is None:
        await executor.execute(_order())
    else:
        with pytest.raises(error) as raised:
            await executor.execute(_order())
        assert type(raised.value) is error

    assert len(server.requests) == sent
    assert {path for _, path, _, _ in server.requests} == {"/api/flags/checkout"}
    assert server.effects.total() == (error is None)


async def test_what_lost_its_answer_is_not_sent_again_by_the_library(server: FlagServer) -> None:
    """aiohttp would send a PUT again, where the connection was closed without an answer."""
    server.behaviour = ["lose"]

    with pytest.raises(EffectUnknownError):
        await _executor(server).execute(_order())

    assert len(server.requests) == 1


async def test_an_answer_that_does_not_come_in_time_is_unknown(server: FlagServer) -> None:
    server.behaviour = ["hang"]
    executor = _executor(server, operations={"http.flag.set": {**PLAIN, "timeout_seconds": 0.2}})

    with pytest.raises(EffectUnknownError, match=r"within 0\.2 s"):
        await executor.execute(_order())
    assert server.effects.total() == 1


async def test_the_permitted_time_is_not_passed_by_waiting(server: FlagServer) -> None:
    """An endpoint that asks for more patience than is permitted is not asked again."""
    server.behaviour = ["429"] * 9
    started = time.monotonic()

    with pytest.raises(TargetUnreachableError):
        await _executor(server).execute(_order(seconds=0.5))

    assert time.monotonic() - started < 2


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

    hosts = {"flags.example.org": _host(networks=networks)}
    executor = _executor(url=f"http://flags.example.org:{server.port}/api", resolve=resolve, hosts=hosts)

    with pytest.raises(PreconditionFailedError):
        await executor.execute(_order())
    with pytest.raises(ProbeError):
        await executor.measure(ProbeOrder("http.endpoint.status", {"endpoint": "checkout"}, RESOURCE))
    assert server.requests == []


async def test_what_was_looked_at_is_what_is_connected_to(server: FlagServer) -> None:
    """A name that points elsewhere a moment later changes nothing, and the request names the host and no number."""
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    hosts = {"flags.example.org": _host(networks=["127.0.0.1/32"])}
    executor = _executor(url=f"http://flags.example.org:{server.port}/api", resolve=rebinding, hosts=hosts)
    await executor.execute(_order())

    assert asked == ["flags.example.org"]
    assert server.requests[0][2]["host"] == f"flags.example.org:{server.port}"
    with pytest.raises(PreconditionFailedError, match=r"169\.254\.169\.254"):
        await executor.execute(_order())
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
    executor = _executor(url=url.format(port=server.port))

    with pytest.raises(PreconditionFailedError) as error:
        await executor.execute(_order())
    with pytest.raises(ProbeError):
        await executor.measure(ProbeOrder("http.flag.enabled", {"flag": "checkout"}, RESOURCE))

    assert server.requests == []
    assert "hunter2" not in str(error.value)


async def test_no_proxy_of_the_environment_is_used(server: FlagServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    await _executor(server).execute(_order())

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
        executor = _executor(url=url, probes={"http.flag.enabled": probe}, max_bytes=65536)
        with pytest.raises(ProbeError, match=said) as error:
            await executor.measure(ProbeOrder("http.flag.enabled", {"flag": "checkout"}, RESOURCE))

    assert time.monotonic() - started < 5
    assert "hunter2" not in str(error.value)


async def test_a_probe_reads_what_the_operator_points_at_logged_in_to_read(server: FlagServer) -> None:
    executor = _executor(server)

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
    executor, flag = _executor(server), {"flag": "checkout"}

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
            await _executor(url=url).measure(ProbeOrder("http.endpoint.status", {"endpoint": "checkout"}, RESOURCE))
            == 302
        )
    assert asked == [1]


async def test_a_probe_of_a_status_reads_no_body(server: FlagServer) -> None:
    """However much the other side sends."""
    async with _raw(_drip) as url:
        started = time.monotonic()
        assert (
            await _executor(url=url).measure(ProbeOrder("http.endpoint.status", {"endpoint": "checkout"}, RESOURCE))
            == 200
        )
    assert time.monotonic() - started < 5


# What the status address answers, one after the other; and what comes of it.
JOBS: dict[str, tuple[list[Any], type[Exception] | None]] = {
    "done": (["running", "running", "done"], None),
    "failed": (["running", "failed"], ExecutorError),
    "refused": (["cancelled"], PreconditionFailedError),
    "a state that nobody knows": (["limbo"], EffectUnknownError),
    "a few faults, then done": ([500, 503, 429, "done"], None),
    "faults all the time": ([500], EffectUnknownError),
    "gone": ([404], EffectUnknownError),
    "a redirect": ([303], EffectUnknownError),
    "goes on for ever": (["running"], EffectUnknownError),
}


@pytest.mark.parametrize(("states", "error"), JOBS.values(), ids=JOBS)
async def test_what_was_accepted_is_followed_to_its_end(
    server: FlagServer, states: list[Any], error: type[Exception] | None
) -> None:
    server.jobs["permit-1"] = list(states)
    executor = _executor(server, operations={"http.job.run": JOB})
    order = _order("http.job.run", seconds=0.5 if states == ["running"] else 20)

    if error is None:
        await executor.execute(order)
    else:
        with pytest.raises(error) as raised:
            await executor.execute(order)
        assert type(raised.value) is error

    assert "/api/told" not in {path for _, path, _, _ in server.requests}
    assert await executor.observe(order) == "done"


LOCATIONS: dict[str, str] = {
    "another host": "http://169.254.169.254/latest/meta-data",
    "another port": "http://127.0.0.1:1/api/jobs/permit-1",
    "another scheme": "https://127.0.0.1/api/jobs/permit-1",
    "no scheme": "//169.254.169.254/x",
    "a user": "http://127.0.0.1@169.254.169.254/x",
    "a backslash": "/\\169.254.169.254/x",
    "a file": "file:///etc/passwd",
    "no address": "http://[::1",
    "very long": "/" + "x" * 3000,
}


@pytest.mark.parametrize("location", LOCATIONS.values(), ids=LOCATIONS)
async def test_a_status_address_elsewhere_is_not_asked(server: FlagServer, location: str) -> None:
    server.location = location

    with pytest.raises(EffectUnknownError, match="not of the host"):
        await _executor(server, operations={"http.job.run": JOB}).execute(_order("http.job.run"))
    assert len(server.requests) == 1


async def _stopped(executor: HttpExecutor, server: FlagServer) -> None:
    """Carry an order out that goes on for ever, and tell it to stop once it was asked how far it is."""
    order = _order("http.job.run", seconds=3)
    server.jobs["permit-1"] = ["running"]
    server.requests.clear()
    acting = asyncio.create_task(executor.execute(order))
    async with asyncio.timeout(5):
        while True:
            if len(server.requests) > 2:
                break
            await asyncio.sleep(0.01)
    order.stop.set()
    await acting


async def test_a_stop_cancels_by_the_operators_request_and_asks_how_it_ended(server: FlagServer) -> None:
    completion = {**JOB["completion"], "cancel": {"path": "/jobs/{order.permit_id}"}}
    for each in (completion, {**completion, "cancel": {}}):
        executor = _executor(server, operations={"http.job.run": {**JOB, "completion": each}})
        assert executor.supports.of("http.job.run").stops == "within"
        with pytest.raises(PreconditionFailedError, match="nothing was done"):
            await _stopped(executor, server)


async def test_a_stop_without_a_cancel_leaves_it_and_says_so_or_goes_on(server: FlagServer) -> None:
    leaving = {**JOB, "completion": {**JOB["completion"], "on_stop": "leave"}}
    executor = _executor(server, operations={"http.job.run": leaving})
    assert executor.supports.of("http.job.run").stops == "within"
    with pytest.raises(EffectUnknownError, match="left when it was told to stop"):
        await _stopped(executor, server)

    executor = _executor(server, operations={"http.job.run": JOB})
    assert executor.supports.of("http.job.run").stops == "between"
    with pytest.raises(EffectUnknownError, match="within the permitted time"):
        await _stopped(executor, server)
    assert server.cancelled == []


async def test_several_targets_are_acted_on_in_turn_each_under_a_key_of_its_own(server: FlagServer) -> None:
    """What is refused after another was done is done in part; a stop counts between them."""
    operation = {
        **SET,
        "call": {**SET["call"], "path": "/flags/{target.id}", "query": {"flag": "{flag}"}},
        "if_match": False,
    }
    executor = _executor(server, operations={"http.flag.set": operation})
    targets = tuple(ResolvedTarget(id=name, resource=RESOURCE, version="1") for name in ("a", "b"))
    order = _order(targets=targets)

    await executor.execute(order)
    seen = await executor.observe(order)
    server.behaviour = ["", "422"]
    with pytest.raises(ExecutorError, match="done for 1 of 2 targets") as partly:
        await executor.execute(replace(order, permit_id="permit-2"))
    order.stop.set()
    with pytest.raises(PreconditionFailedError, match="stopped before"):
        await executor.execute(order)

    assert sorted(server.effects) == ["permit-1.1", "permit-1.2", "permit-2.1"]
    assert seen == "done"
    assert type(partly.value) is ExecutorError
    for strange in (targets[0], ResolvedTarget(id="c", resource="http/others")):
        with pytest.raises(PreconditionFailedError):
            await executor.execute(replace(order, targets=(*targets, strange)))


async def test_a_resolved_version_is_a_precondition_but_for_the_undo_of_what_changed_it(server: FlagServer) -> None:
    executor = _executor(server, operations={"http.flag.set": SET})
    targets = await executor.resolve(Inquiry("http.flag.set", {"flag": "checkout", "value": True}, (RESOURCE,), "x"))
    order = _order(targets=targets)

    await executor.execute(order)
    undo = replace(order, permit_id="undo-1", direction=Direction.undo, parameters={"flag": "checkout", "value": False})
    await executor.execute(undo)

    sent = {
        headers["idempotency-key"]: headers.get("if-match")
        for method, _, headers, _ in server.requests
        if method == "PUT"
    }
    assert sent == {'"permit-1"': '"1"', '"undo-1"': None}
    assert (targets[0].environment, targets[0].state, server.on) == ("production", {"on": False}, False)


async def test_no_error_shows_a_credential_or_an_address(server: FlagServer) -> None:
    """Of whatever kind the failure is."""
    said = []
    for behaviour, order in (
        (["500"], _order()),
        (["400"], _order()),
        (["lose"], _order()),
        ([], _order(parameters={"flag": "a/b", "value": True})),
        ([], _order(parameters={"flag": "checkout"})),
    ):
        server.behaviour = list(behaviour)
        with pytest.raises(ExecutorError) as error:
            await _executor(server).execute(order)
        said.append(f"{error.value} {error.value.__cause__!r}")

    assert not [text for text in said if any(secret in text for secret in (SECRET, TOKEN, "/api/flags"))]
