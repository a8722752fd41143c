"""The benchmark of what waits, with a handful of actions: it measures what it says and ends."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_what_waits_is_listed_and_decided() -> None:
    """Every row has a number: votes through one workflow and across many, memory, the time to list and to decide."""
    few = ("--actions", "6", "--cached", "2", "--rounds", "2", "--votes", "6")
    command = (sys.executable, "-m", "bench.pending", *few)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()

    rows = dict(re.findall(r"^\| ([^|]+) \| (-?[0-9][0-9.]*)", output.decode(), re.MULTILINE))
    assert process.returncode == 0
    assert len(rows) == 11
    assert float(rows["decide all, s"]) > 0
