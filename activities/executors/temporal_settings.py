"""What an operator says of a Temporal of the platform's, and the connection to it.

- `operations` says which workflow or activity on which task queue carries out each operation, `probes` which one reads
  each value. What is not listed cannot be asked for: no proposal names a queue, a type or an id.
- An API key without TLS is refused: it would travel in clear. Files are read when it connects, so that renewed ones
  count from the next connection on.
- The payloads are plain JSON, because the platform's worker has to read them.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints, model_validator
from temporalio.client import Client
from temporalio.service import RetryConfig, TLSConfig

from activities.connection import brief
from activities.executors.base import TargetUnreachableError
from activities.executors.kinds import ExecutorSettings
from policy.base import Operation

Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
CONNECT_SECONDS = 5.0
# A request that fails is sent again by the client for as long as this, under one request id.
_RETRY = RetryConfig(max_elapsed_time_millis=3000, max_interval_millis=500, max_retries=5)


class Work(ExecutorSettings):
    """A workflow or an activity on a task queue: exactly one of both.

    Attributes:
        workflow: the type of a workflow.
        activity: the type of an activity, which is started alone, without a workflow.
        queue: the task queue that the platform's worker polls.
        starts_within: seconds until some worker must have taken it; it is withdrawn then.
        heartbeat: seconds without a heartbeat after which an activity counts as lost; None asks for none.
    """

    workflow: Text | None = None
    activity: Text | None = None
    queue: Text
    starts_within: Seconds = 10
    heartbeat: Seconds | None = None

    @model_validator(mode="after")
    def _one(self) -> "Work":
        if (self.workflow is None) == (self.activity is None):
            raise ValueError("name either a workflow or an activity")
        if self.workflow is not None and self.heartbeat is not None:
            raise ValueError("heartbeat is for an activity: a workflow has none")
        return self

    @property
    def type(self) -> str:
        """The type of the workflow or activity."""
        return self.workflow or self.activity or ""


class OperationWork(Work):
    """How an operation is carried out.

    Attributes:
        stops: cancelling it ends it in the middle, and it says what was done.
        ends_within: seconds that it may take to end after it was cancelled.
        rehearses: with `dry_run` in its order it changes nothing and says what it would do.
        resolve: what finds out what it would touch; None acts on what the catalog names.
    """

    stops: bool = False
    ends_within: Seconds = 10
    rehearses: bool = False
    resolve: Work | None = None


class ProbeWork(Work):
    """What reads a value; `seconds` is how long that may take."""

    seconds: Annotated[float, Field(gt=0, le=60)] = 8


class TlsFiles(ExecutorSettings):
    """PEM files, all optional: the authority of the server, and the client's certificate with its key."""

    server_name: Text | None = None
    ca_file: Text | None = None
    cert_file: Text | None = None
    key_file: Text | None = None

    @model_validator(mode="after")
    def _both(self) -> "TlsFiles":
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("give cert_file and key_file together")
        return self

    def config(self) -> TLSConfig:
        """What the client takes.

        Raises:
            OSError: a file cannot be read.
        """
        return TLSConfig(
            server_root_ca_cert=_read(self.ca_file),
            domain=self.server_name,
            client_cert=_read(self.cert_file),
            client_private_key=_read(self.key_file),
        )


class TemporalSettings(ExecutorSettings):
    """An entry of kind `temporal`."""

    address: Annotated[str, StringConstraints(pattern=r"^[^\s/:]+:[0-9]{1,5}$")]
    namespace: Text
    tls: bool | TlsFiles = False
    api_key: SecretStr | None = None
    operations: Annotated[dict[Operation, OperationWork], Field(min_length=1)]
    probes: dict[Operation, ProbeWork] = {}

    @model_validator(mode="after")
    def _secret(self) -> "TemporalSettings":
        if self.api_key is not None and self.tls is False:
            raise ValueError("api_key without tls would travel in clear: set tls")
        return self


class Connection:
    """The client of an entry, made when it is first needed.

    Args:
        settings: where, and how to log in.
        identity: what that Temporal records as the sender; a hint for people.
    """

    def __init__(self, settings: TemporalSettings, identity: str) -> None:
        self._settings = settings
        self._identity = identity
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    @property
    def place(self) -> str:
        """Which Temporal, for messages."""
        return f"temporal at {self._settings.address}, namespace {self._settings.namespace}"

    async def client(self) -> Client:
        """A client that was connected once.

        Raises:
            TargetUnreachableError: nobody answers there, or it lets nobody in.
        """
        async with self._connecting:
            if self._client is None:
                self._client = await self._connected()
            return self._client

    async def _connected(self) -> Client:
        given = self._settings
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await Client.connect(
                    given.address,
                    namespace=given.namespace,
                    tls=given.tls.config() if isinstance(given.tls, TlsFiles) else given.tls,
                    api_key=given.api_key.get_secret_value() if given.api_key else None,
                    identity=self._identity,
                    retry_config=_RETRY,
                    connect_timeout=timedelta(seconds=CONNECT_SECONDS),
                )
        except TimeoutError:
            raise TargetUnreachableError(f"{self.place} gave no answer within {CONNECT_SECONDS:g} s") from None
        except (RuntimeError, ValueError) as error:
            raise TargetUnreachableError(f"{self.place}: {brief(error)}") from None
        except OSError as error:
            raise TargetUnreachableError(f"{self.place}: {error.filename} cannot be read: {error.strerror}") from None


def read_settings(given: Mapping[str, object]) -> TemporalSettings:
    """What an operator wrote.

    Raises:
        ValidationError: it cannot be used.
    """
    return TemporalSettings.model_validate(given)


def _read(name: str | None) -> bytes | None:
    return None if name is None else Path(name).read_bytes()
