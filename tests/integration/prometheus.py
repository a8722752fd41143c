"""Prometheus for the tests: a real server where one is installed, and one of our own that answers as it is told."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Answers = Callable[[str], bytes]
# Where the server's program is, if it is not on the PATH.
PROGRAM = "COUNTERSIGN_TEST_PROMETHEUS"


@contextlib.asynccontextmanager
async def answering(answers: Answers, *, pause: float = 0.0) -> AsyncIterator[str]:
    """A server on loopback that answers each request line with these bytes; its address."""

    running: set[asyncio.Task[Any]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            asked = (await reader.readuntil(b"\r\n\r\n")).decode()
            await asyncio.sleep(pause)
            writer.write(answers(asked))
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def said(body: str, status: str = "200 OK", **fields: str) -> bytes:
    """An answer of the HTTP API."""
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n{body}".encode()


def number(value: str, at: float | None = None, *, series: int = 1) -> bytes:
    """An answer with a number, as so many series have it, at an instant in seconds since 1970; now by default."""
    sample = f'{{"metric":{{}},"value":[{at or datetime.now(UTC).timestamp()}, "{value}"]}}'
    found = ",".join([sample] * series)
    return said(f'{{"status":"success","data":{{"resultType":"vector","result":[{found}]}}}}')


@contextlib.contextmanager
def serving(folder: Path, rules: str) -> Iterator[str]:
    """A real Prometheus on loopback with rules of its own (YAML of one group's `rules`); its address."""
    (folder / "rules.yaml").write_text(f"groups: [{{name: told, interval: 100ms, rules: {rules}}}]")
    (folder / "prometheus.yaml").write_text("rule_files: [rules.yaml]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        _program(folder),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=log, stdout=log)
        try:
            yield f"http://{address}"
        finally:
            os.kill(process.pid, signal.SIGTERM)
            process.wait(20)


def _program(folder: Path) -> str:
    """The installed one, or Debian's package unpacked; fails where there is neither."""
    if installed := os.environ.get(PROGRAM) or shutil.which("prometheus"):
        return installed
    subprocess.run(["apt-get", "download", "prometheus"], cwd=folder, check=True, timeout=300)
    (package,) = folder.glob("prometheus_*.deb")
    subprocess.run(["dpkg", "-x", package.name, "."], cwd=folder, check=True, timeout=300)
    return str(folder / "usr/bin/prometheus")
