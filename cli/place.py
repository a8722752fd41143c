"""Where the commands work: what the environment names, or the development stack that runs in this checkout.

- Temporal and database are taken from one side, never one from each: a decision shown from one record must not be sent
  to another server.
- Variables (TEMPORAL_ADDRESS, TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE, COUNTERSIGN_DATABASE_URL) win over a running
  development stack, and that wins over a default profile file: somebody started it here.
- Variables that name the Temporal of that stack, as other clients need them, choose the stack with its database.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from temporalio.client import Client

from activities.connection import connect
from activities.database import Database
from activities.settings import (
    ADMIN_DATABASE_URL,
    AUTHOR_DATABASE_URL,
    DATABASE_URL,
    TEMPORAL_ADDRESS,
    TEMPORAL_CHOICES,
    Settings,
    SettingsError,
    read_settings,
)
from activities.telemetry_client import tracing
from deploy.dev import ANCHOR_NAME, DATA_DIR, StackAddresses, running_stack
from workflows.interface import workflow_id

READER = "countersign_reader"
AUTHOR = "countersign_author"
HALTER = "countersign_halter"
SUPERUSER = "postgres"


@dataclass(frozen=True)
class Place:
    """A Temporal and a record that belong together. None of an address means Temporal's own configuration.

    `development` is the stack that runs in this checkout, where whoever started it is the root.
    """

    settings: Settings
    temporal_address: str | None = None
    namespace: str | None = None
    ui_url: str | None = None
    development: bool = False

    async def client(self, identity: str | None = None) -> Client:
        """A connected client.

        Raises:
            TemporalConfigError, TemporalUnavailableError: as `activities.connection.connect`.

        """
        traced = tracing(self.settings, service="countersign-cli")
        return await connect(
            address=self.temporal_address,
            namespace=self.namespace,
            identity=identity,
            keys=self.settings.codec_keys,
            interceptors=traced.interceptors,
            plugins=traced.plugins,
        )

    @asynccontextmanager
    async def record(self) -> AsyncIterator[Database | None]:
        """The record, to read; None where no address is known."""
        if self.settings.database_url is None:
            yield None
            return
        database = Database(self.settings.database_url, pool_size=1, application="countersign-cli")
        try:
            yield database
        finally:
            await database.close()

    def admin_url(self) -> str:
        """The address for setting up and publishing.

        Raises:
            SettingsError: none is known.

        """
        if self.settings.admin_database_url is None:
            raise SettingsError(
                f"{ADMIN_DATABASE_URL} is not set: write postgresql://countersign_owner@host/countersign "
                f"(a superuser for the first set-up), or start `countersign dev`"
            )
        return self.settings.admin_database_url

    def author_url(self) -> str:
        """The address for storing drafts of documents.

        Raises:
            SettingsError: none is known.

        """
        if self.settings.author_database_url is None:
            raise SettingsError(
                f"{AUTHOR_DATABASE_URL} is not set: write postgresql://countersign_author@host/countersign, "
                f"or start `countersign dev`"
            )
        return self.settings.author_database_url

    def link(self, proposal_id: str, namespace: str) -> str | None:
        """The action's page in the Temporal UI, where one is known."""
        if self.ui_url is None:
            return None
        return f"{self.ui_url}/namespaces/{quote(namespace)}/workflows/{quote(workflow_id(proposal_id), safe='')}"


NO_RECORD = (
    f"no {DATABASE_URL} is set, and no development stack is meant: none runs in this folder, or TEMPORAL_ variables "
    f"name another Temporal"
)


def find_place() -> Place:
    """Where the commands work now.

    Raises:
        SettingsError: a variable cannot be used.

    """
    settings = read_settings()
    if settings.database_url or settings.admin_database_url:
        return Place(settings)
    stack = running_stack(DATA_DIR)
    if stack is None or (settings.temporal_chosen and not _names(stack, os.environ)):
        return Place(settings)
    return place_of(stack, settings)


def _names(stack: StackAddresses, given: Mapping[str, str]) -> bool:
    """Whether the variables name the Temporal of a stack, and nothing else does."""
    if any(given.get(name) for name in TEMPORAL_CHOICES if name != TEMPORAL_ADDRESS):
        return False
    namespace = given.get("TEMPORAL_NAMESPACE") or stack.namespace
    return (given.get(TEMPORAL_ADDRESS), namespace) == (stack.temporal_address, stack.namespace)


def place_of(stack: StackAddresses, settings: Settings | None = None) -> Place:
    """A running stack as the place to work in: reads as the reader, sets up as the superuser."""
    given = settings or Settings()
    return Place(
        settings=Settings(
            database_url=stack.database_url(READER),
            admin_database_url=stack.database_url(SUPERUSER),
            author_database_url=stack.database_url(AUTHOR),
            halt_database_url=stack.database_url(HALTER),
            identity=given.identity,
            signs_with=given.signs_with,
            otlp_endpoint=given.otlp_endpoint,
            anchor_file=Path(stack.data_dir) / ANCHOR_NAME,
            codec_keys=given.codec_keys,
        ),
        temporal_address=stack.temporal_address,
        namespace=stack.namespace,
        ui_url=stack.ui_url,
        development=True,
    )
