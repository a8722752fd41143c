"""Fixtures that more than one test module uses."""

from collections.abc import Iterator

import pytest

from deploy.dev import Stack, ephemeral_stack


@pytest.fixture(name="stack", scope="session")
def _stack() -> Iterator[Stack]:
    """One real Temporal and one real PostgreSQL for the whole run, started by the first test that asks."""
    with ephemeral_stack() as stack:
        yield stack
