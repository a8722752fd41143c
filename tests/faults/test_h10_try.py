"""try"""
import asyncio, sys, os
import pytest
from deploy.dev import Stack
from tests.faults.ordeal import Ordeal
from tests.faults.places import placed, PLACES

W = os.environ.get("TRY", "").split()

async def test_try(stack: Stack, capsys) -> None:
    async def one(spec):
        name, fails, point, wired = (spec.split(",") + ["", "", ""])[:4]
        async with placed(name, stack) as place:
            o = Ordeal(stack, point, place=place, fails=bool(fails), wired=wired)
            async with lock:
                await o.prepare()
            async with gate:
                try:
                    b = await o.run()
                except BaseException as e:
                    b = repr(e)
            with capsys.disabled():
                print("\nTRY", spec, b, flush=True)
    lock, gate = asyncio.Lock(), asyncio.Semaphore(5)
    await asyncio.gather(*(one(s) for s in W))
