"""Fixtures that more than one test module uses."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from deploy.dev import Stack, ephemeral_stack
from tests.world import World, whole_world


@pytest.fixture(name="stack", scope="session")
def _stack() -> Iterator[Stack]:
    """One real Temporal and one real PostgreSQL for the whole run, started by the first test that asks."""
    with ephemeral_stack() as stack:
        yield stack


@pytest_asyncio.fixture(name="world", scope="module", loop_scope="module")
async def _world(stack: Stack) -> AsyncIterator[World]:
    """A Temporal, a record and running workers of a test module's own; its tests run in the module's event loop."""
    async with whole_world(stack) as world:
        yield world
