"""Fixtures of the fault tests."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from deploy.dev import Stack
from tests.faults.outage import Fragile, fragile_stack, fragile_world


@pytest.fixture(name="fragile", scope="session")
def _fragile() -> Iterator[Stack]:
    """A stack of the fault tests, whose servers a test may stop and start; afterwards they run again."""
    with fragile_stack() as stack:
        yield stack


@pytest_asyncio.fixture(name="shaky", scope="module", loop_scope="module")
async def _shaky(fragile: Stack, stack: Stack) -> AsyncIterator[Fragile]:
    """A running world of a test module's own on servers that may go away; its target stays."""
    async with fragile_world(fragile, stack) as world:
        yield world
