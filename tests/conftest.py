"""Fixtures that more than one test module uses."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.dev import Stack, ephemeral_stack
from tests.world import World, whole_world

UNIT = Path(__file__).parent / "unit"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first and unit tests last, so that no process is left alone with a long file."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.path.is_relative_to(UNIT)))


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
