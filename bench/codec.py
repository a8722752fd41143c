"""What encrypting costs: events, bytes, actions a second and time a payload, next to the same in the clear.

- Two stacks run side by side, one with keys; rounds alternate between them, and the order turns. Ratios are computed
  within each round, and their quartiles are quoted.
- Bytes are the serialised events as the server stores them.
"""

import asyncio
import base64
import json
import secrets
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from temporalio.api.common.v1 import Payload

from activities.encryption.codec import Belongs, close, decoded
from activities.encryption.keys import KEY_BYTES, Keys, read_keys
from bench.documents import FIRST, SECOND
from bench.events import Size, measure_allowed, measure_decided
from bench.figures import Quartiles, table
from bench.stack import Bench, UnsuccessfulError, running_bench

ROUNDS, ACTIONS, AT_A_TIME = 5, 40, 20
_SIZES = (200, 2_000, 20_000)
_TIMES = 500
_CLEAR, _ENCRYPTED = "in the clear", "encrypted"


async def measure_codec(bench: Bench) -> str:
    """Measure sizes, rates and single payloads; three tables.

    Args:
        bench: the stack in the clear; the encrypted one is started beside it.
    """
    keys = _keys()
    async with running_bench(keys) as encrypted:
        contestants = {_CLEAR: bench, _ENCRYPTED: encrypted}
        sizes = {name: await _sizes(one) for name, one in contestants.items()}
        rates = await _rates(contestants)
    return "\n\n".join([_sizes_table(sizes), _rates_table(rates), _payloads_table(keys)])


def _keys() -> Keys:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.json"
        path.touch(0o600)
        key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
        path.write_text(json.dumps({"active": "bench", "since": "2020-01-01T00:00:00Z", "keys": {"bench": key}}))
        return read_keys(path)


async def _sizes(bench: Bench) -> list[Size]:
    await bench.act()
    return [await measure_allowed(bench), await measure_decided(bench, "two-stages", FIRST, SECOND)]


async def _rates(contestants: Mapping[str, Bench]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for bench in contestants.values():
        await _round(bench, AT_A_TIME)
    order = deque(contestants)
    for _ in range(ROUNDS):
        for name in order:
            found[name].append(await _round(contestants[name], ACTIONS))
        order.rotate(1)
    return found


async def _round(bench: Bench, actions: int) -> float:
    """Actions a second, `AT_A_TIME` of them at any moment."""
    left = iter(range(actions))

    async def run() -> None:
        for _ in left:
            try:
                await bench.act()
            except UnsuccessfulError:
                # On a machine at its limit; it counts with the time it took (bench/throughput.py).
                continue

    began = time.perf_counter()
    await asyncio.gather(*(run() for _ in range(AT_A_TIME)))
    return actions / (time.perf_counter() - began)


def _sizes_table(sizes: Mapping[str, list[Size]]) -> str:
    rows = [
        [shape, clear.events, encrypted.events, clear.size, encrypted.size, f"{encrypted.size / clear.size:.2f}"]
        for shape, clear, encrypted in zip(
            ("allowed action", "two stages, two updates"), sizes[_CLEAR], sizes[_ENCRYPTED], strict=True
        )
    ]
    return table(["shape", "events", "events encrypted", "bytes", "bytes encrypted", "ratio of bytes"], rows)


def _rates_table(rates: Mapping[str, list[float]]) -> str:
    ratios = [mine / clear for mine, clear in zip(rates[_ENCRYPTED], rates[_CLEAR], strict=True)]
    rows = [[name, Quartiles.of(found).text(1)] for name, found in rates.items()]
    head = [f"allowed actions a second, {AT_A_TIME} at a time", f"{ROUNDS} rounds of {ACTIONS}"]
    return table(head, [*rows, ["encrypted to clear", Quartiles.of(ratios).text()]])


def _payloads_table(keys: Keys) -> str:
    where = Belongs("default", "action/payments-42", "assess")
    rows = []
    for size in _SIZES:
        plain = Payload(metadata={"encoding": b"json/plain"}, data=b"x" * size)
        sealed = close(plain, keys, "bench", where)
        began = time.perf_counter()
        for _ in range(_TIMES):
            close(plain, keys, "bench", where)
        between = time.perf_counter()
        for _ in range(_TIMES):
            decoded(sealed, keys, where)
        ended = time.perf_counter()
        more = sealed.ByteSize() - plain.ByteSize()
        rows.append([size, more, *(f"{each / _TIMES * 1e6:.0f}" for each in (between - began, ended - between))])
    return table(["bytes of a payload", "bytes more", "us to encrypt", "us to decrypt"], rows)
