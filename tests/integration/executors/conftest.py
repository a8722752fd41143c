"""The targets that more than one test module of the executors has."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.executors.command_harness import allowed_program
from tests.integration.executors.commands import PROGRAM
from tests.integration.executors.flag_server import FlagServer, flag_server


@pytest.fixture(name="server")
async def _server() -> AsyncIterator[FlagServer]:
    """A server of flags of the test's own."""
    async with flag_server() as server:
        yield server


@pytest.fixture(name="program", scope="module")
def _program() -> Iterator[Path]:
    """A program that does what its first argument says."""
    with allowed_program(PROGRAM) as program:
        yield program


@pytest.fixture(name="state")
def _state(program: Path) -> Path:
    """Where that program writes down what it was given; empty."""
    state = program.parent / "state"
    for path in state.iterdir():
        path.unlink()
    return state
