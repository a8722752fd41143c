"""The codec server, asked by the stock `temporal` CLI and by a browser: who may read, and what is shown."""

import asyncio
import base64
import io
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from activities.encryption.keys import read_keys
from deploy.dev import Stack
from tests.keyring import encrypted_world, write_keys
from tests.world import BOUND, Handle, World, decision
from workflows.interface import DECIDE, STATUS

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORD = "nobody-reads-this-word"
UI = "http://localhost:8233"


@dataclass(frozen=True)
class Serving:
    """A codec server in a process of its own, and what it wrote."""

    url: str
    token: str
    log: Path

    async def ask(self, path: str, body: str, **headers: str) -> tuple[int, Any, Any]:
        """Status, JSON and headers of an answer."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{self.url}{path}", data=io.BytesIO(body.encode(errors="surrogatepass")), headers=headers
            ) as answer,
        ):
            return answer.status, await answer.json(), answer.headers

    async def read(self, payloads: list[Any], **headers: str) -> tuple[int, Any, Any]:
        """The same for payloads, as somebody who may read."""
        known = {"Authorization": f"Bearer {self.token}", "X-Namespace": "default", **headers}
        return await self.ask("/decode", json.dumps({"payloads": payloads}), **known)


@pytest.fixture(name="key_file", scope="module")
def _key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_keys(tmp_path_factory.mktemp("keys") / "keys.json", "k1")


@pytest_asyncio.fixture(name="world", scope="module", loop_scope="module")
async def _world(stack: Stack, key_file: Path) -> AsyncIterator[World]:
    async with encrypted_world(stack, read_keys(key_file)) as world:
        yield world


async def command(*arguments: str) -> str:
    """Run one command of ours; what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "starter.py", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    return output.decode()


@pytest_asyncio.fixture(name="serving", scope="module", loop_scope="module")
async def _serving(key_file: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    folder = tmp_path_factory.mktemp("server")
    readers, log = folder / "readers.json", folder / "log"
    token = (await command("codec", "add-reader", str(readers), "ana")).strip()
    with log.open("wb") as told:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "starter.py", "codec", "serve", "--readers", str(readers), "--port", "0"),
            env={**os.environ, "COUNTERSIGN_CODEC_KEYS_FILE": str(key_file)},
            stdout=asyncio.subprocess.PIPE,
            stderr=told,
        )
        assert process.stdout is not None
        async with asyncio.timeout(BOUND):
            line = (await process.stdout.readline()).decode()
        found = re.search(r"http://\S+", line)
        assert found, (line, log.read_text())
        yield Serving(found[0], token, log)
        process.terminate()
        assert await process.wait() == 0


@pytest_asyncio.fixture(name="waiting", scope="module", loop_scope="module")
async def _waiting(world: World) -> Handle:
    handle = await world.start(world.propose("bench.sign", undo="bench.unset", rationale=WORD))
    await world.pending(handle)
    return handle


def _words(shown: str) -> str:
    """The proposal in what `show` printed."""
    started = json.loads(shown)["events"][0]["workflowExecutionStartedEventAttributes"]
    return base64.b64decode(started["input"]["payloads"][0]["data"]).decode(errors="replace")


async def encrypted(handle: Handle) -> dict[str, Any]:
    """The proposal as the server has it, in the JSON of the protocol."""
    payload = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes.input.payloads[0]
    metadata = {name: base64.b64encode(value).decode() for name, value in payload.metadata.items()}
    return {"metadata": metadata, "data": base64.b64encode(payload.data).decode()}


async def test_the_stock_cli_shows_words_with_it_and_none_without(
    world: World, serving: Serving, waiting: Handle
) -> None:
    """`temporal workflow show` and `query`: words for a reader, ciphertext for anybody else."""
    show = ("workflow", "show", "--workflow-id", waiting.id, "--output", "json")
    query = ("workflow", "query", "--workflow-id", waiting.id, "--type", STATUS)
    reader = ("--codec-endpoint", serving.url, "--codec-auth", f"Bearer {serving.token}")

    (_, bare), (_, unread), (code, read), (asked, status) = await asyncio.gather(
        world.cli(*show), world.cli(*query), world.cli(*show, *reader), world.cli(*query, *reader)
    )

    assert WORD not in _words(bare)
    assert "pending" not in unread
    assert (code, asked) == (0, 0), (read, status)
    assert WORD in _words(read)
    assert WORD in status


async def test_the_details_of_the_ui_are_encrypted_too(world: World, serving: Serving, waiting: Handle) -> None:
    """The current details, which the UI asks the worker for, are words for a reader only."""
    ask = ("workflow", "metadata", "--workflow-id", waiting.id, "--output", "json")
    reader = ("--codec-endpoint", serving.url, "--codec-auth", f"Bearer {serving.token}")

    (_, bare), (code, read) = await asyncio.gather(world.cli(*ask), world.cli(*ask, *reader))

    assert "waiting for stage" not in bare
    assert WORD not in bare
    assert code == 0, read
    assert "waiting for stage" in read


async def test_the_stock_cli_decides_through_it_in_the_clear(world: World, serving: Serving) -> None:
    """An update by the CLI with the codec server counts, its receipt is readable, and says that it was in the clear."""
    handle = await world.start(world.propose("bench.sign", undo="bench.unset"))
    submission = decision(await world.pending(handle), "eve")

    code, output = await world.cli(
        *("workflow", "update", "execute", "--workflow-id", handle.id, "--name", DECIDE),
        *("--input", json.dumps(submission)),
        *("--codec-endpoint", serving.url, "--codec-auth", f"Bearer {serving.token}"),
    )

    assert code == 0, output
    assert "in_the_clear" in output
    assert (await world.result(handle)).outcome == "succeeded"


async def test_a_reader_is_given_the_words_and_nobody_else(serving: Serving, waiting: Handle) -> None:
    """Without a token, with another scheme or a wrong token: 401, and no word."""
    payload = await encrypted(waiting)

    status, found, headers = await serving.read([payload])
    assert status == 200
    assert WORD in base64.b64decode(found["payloads"][0]["data"]).decode()
    assert headers["Cache-Control"] == "no-store"

    for wrong in ("", f"Basic {serving.token}", serving.token, "Bearer x", "Bearer ", f"Bearer {serving.token}x"):
        status, told, headers = await serving.read([payload], Authorization=wrong)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer"), wrong
        assert set(told) == {"message"}


@pytest.mark.parametrize(
    ("change", "headers"),
    [
        ({}, {"X-Namespace": "elsewhere"}),
        ({}, {"X-Namespace": ""}),
        ({"data": base64.b64encode(b"x" * 60).decode()}, {}),
        ({"data": ""}, {}),
    ],
    ids=["another namespace", "no namespace", "changed", "empty"],
)
async def test_what_cannot_be_read_stays_encrypted(
    serving: Serving, waiting: Handle, change: Any, headers: dict[str, str]
) -> None:
    """A payload of another namespace, or one that was changed, comes back as it was sent."""
    payload = {**await encrypted(waiting), **change}
    status, found, _ = await serving.read([payload], **headers)
    assert status == 200
    assert found["payloads"][0]["metadata"] == payload["metadata"]
    assert found["payloads"][0].get("data", "") == payload["data"]


async def test_encoding_gives_back_what_it_got(serving: Serving) -> None:
    """The server writes nothing: what tools send through it goes in the clear."""
    plain = {
        "metadata": {"encoding": base64.b64encode(b"json/plain").decode()},
        "data": base64.b64encode(b"{}").decode(),
    }
    body = json.dumps({"payloads": [plain]})
    assert (await serving.ask("/encode", body, Authorization=f"Bearer {serving.token}"))[:2] == (
        200,
        {"payloads": [plain]},
    )
    assert (await serving.ask("/encode", body))[0] == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ('{"payloads": 1}', 400),
        ('{"payloads": [{"data": {}}]}', 400),
        ("\ud800", 400),
        ("[" * 100_000, 400),
        (json.dumps({"payloads": [{}] * 5001}), 413),
        (" " * (8 * 1024 * 1024 + 1), 413),
    ],
    ids=["nothing", "number", "data that is none", "no text", "nested", "too many", "too large"],
)
async def test_what_is_no_request_is_refused(serving: Serving, body: str, status: int) -> None:
    """A body that is none, too large or too deep is answered with a status, and the server goes on."""
    assert (await serving.ask("/decode", body, Authorization=f"Bearer {serving.token}"))[0] == status
    assert (await serving.read([]))[0] == 200


async def test_a_browser_is_answered_on_the_pages_of_the_ui_only(serving: Serving, waiting: Handle) -> None:
    """Preflight and answer name the UI's origin; another page's request is refused, token or not."""
    async with aiohttp.ClientSession() as session:
        asked = {"Origin": UI, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-namespace"}
        async with session.options(f"{serving.url}/decode", headers=asked) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == UI
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
            assert {"authorization", "x-namespace"} <= set(answer.headers["Access-Control-Allow-Headers"].split(", "))
        async with session.options(f"{serving.url}/decode", headers={**asked, "Origin": "http://evil"}) as answer:
            assert answer.status == 403
        async with session.get(f"{serving.url}/decode") as answer:
            assert answer.status == 405
    status, _, headers = await serving.read([await encrypted(waiting)], Origin=UI)
    assert (status, headers["Access-Control-Allow-Origin"], headers["Vary"]) == (200, UI, "Origin")
    status, told, headers = await serving.read([await encrypted(waiting)], Origin="http://evil")
    assert (status, set(told)) == (403, {"message"})
    assert "Access-Control-Allow-Origin" not in headers


async def test_the_log_says_who_read_and_nothing_of_what(serving: Serving, waiting: Handle) -> None:
    """A name, a number and a namespace; no word and no token."""
    await serving.read([await encrypted(waiting)])
    text = serving.log.read_text()
    assert "ana" in text
    assert WORD not in text
    assert serving.token not in text
