"""A world on a server that skips time: weeks pass when a test says so."""

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from temporalio.testing import WorkflowEnvironment

from deploy.dev import Stack, program
from tests.world import Handle, World, running_world, until
from workflows.converter import DATA_CONVERTER


class ServerClock:
    """The clock of the test server."""

    def __init__(self, environment: WorkflowEnvironment) -> None:
        self._environment = environment

    async def now(self) -> datetime:
        return await self._environment.get_current_time()


class Weeks:
    """A world in which time passes when a test says so."""

    def __init__(self, world: World, environment: WorkflowEnvironment) -> None:
        self.world = world
        self._environment = environment

    async def now(self) -> datetime:
        """What time it is on the server (UTC)."""
        return await self._environment.get_current_time()

    async def asked(self, operation: str) -> Handle:
        """An action that waits for its first stage."""
        handle = await self.world.start(self.world.propose(operation))
        await self.world.pending(handle)
        return handle

    async def sleep(self, duration: timedelta) -> None:
        """Let time pass, and a second more, so that a timer of that instant has fired."""
        await self._environment.sleep(duration + timedelta(seconds=1))

    async def stage(self, handle: Handle, state: str) -> dict[str, Any]:
        """The first stage, as soon as it is in a state."""
        status = await until(lambda: self.world.status(handle), lambda found: found["stages"][0]["state"] == state)
        found: dict[str, Any] = status["stages"][0]
        return found

    async def noted(self, handle: Handle, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """What the ledger entries of a kind hold, as soon as there are so many."""
        proposal_id = handle.id.removeprefix("action/")
        entries = await until(lambda: self.world.entries(proposal_id, kind), lambda found: len(found) >= count)
        return [entry["content"] for entry in entries]


@contextlib.asynccontextmanager
async def skipping(stack: Stack, name: str) -> AsyncIterator[Weeks]:
    """A server with a clock of its own, because all workflows of one share it, and a world on a record of that name."""
    async with contextlib.AsyncExitStack() as cleanup:
        environment = await cleanup.enter_async_context(
            await WorkflowEnvironment.start_time_skipping(
                data_converter=DATA_CONVERTER, test_server_existing_path=str(program("temporal-test-server"))
            )
        )
        clock = ServerClock(environment)
        world = await cleanup.enter_async_context(running_world(stack, environment.client, name, clock=clock))
        yield Weeks(world, environment)
