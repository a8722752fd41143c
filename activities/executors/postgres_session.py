"""Sessions on PostgreSQL targets, and what a failed statement says of the effect.

Before the statement that acts, every failure means that nothing was done. The statement itself was refused only where
the server says so in one of the classes of errors that it raises before it changes anything; whatever else happens to
it, an answer that does not come included, leaves the effect unknown.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeAlias

import asyncpg

from activities.executors.base import (
    EffectUnknownError,
    PreconditionFailedError,
    TargetCredentials,
    TargetUnreachableError,
)

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)  # TimeoutError is an OSError

# Classes: unsupported, bad value, wrong state, no login, no privilege or name. State: not changeable at run time.
_REFUSED = ("0A", "22", "25", "28", "42", "55P02")


@asynccontextmanager
async def session(
    credentials: TargetCredentials, resource_id: str, *, read_only: bool = False
) -> AsyncIterator[Session]:
    """A session of its own on a resource, with a bound on every statement.

    Raises:
        PreconditionFailedError: there are no credentials for it.
        TargetUnreachableError: it cannot be connected to.
    """
    settings = {
        "application_name": "countersign-executor",
        "search_path": "pg_catalog, pg_temp",
        "statement_timeout": f"{STATEMENT_SECONDS * 1000:.0f}",
        "default_transaction_read_only": "on" if read_only else "off",
    }
    url = credentials.url(resource_id)
    try:
        opened = await asyncpg.connect(
            url, timeout=CONNECT_SECONDS, command_timeout=2 * STATEMENT_SECONDS, server_settings=settings
        )
    except (*FAILURES, ValueError) as error:
        raise TargetUnreachableError(f"cannot connect to {resource_id}: {say(error)}") from error
    try:
        yield opened
    finally:
        with suppress(*FAILURES):
            await opened.close(timeout=_CLOSE_SECONDS)


@contextmanager
def before_effect(what: str) -> Iterator[None]:
    """Around statements that only read or wait: their failure means that nothing was done.

    Raises:
        TargetUnreachableError: instead of the driver's error.
    """
    try:
        yield
    except FAILURES as error:
        raise TargetUnreachableError(f"{what}: {say(error)}") from error


@contextmanager
def effect(what: str) -> Iterator[None]:
    """Around the statement that acts.

    Raises:
        PreconditionFailedError: the server refused it, so nothing was done.
        EffectUnknownError: it may or may not have been carried out.
    """
    try:
        yield
    except FAILURES as error:
        if (getattr(error, "sqlstate", None) or "").startswith(_REFUSED):
            raise PreconditionFailedError(f"{what} was refused: {say(error)}") from error
        raise EffectUnknownError(f"{what} got no clear answer: {say(error)}") from error


def say(error: BaseException) -> str:
    """The error's text, or its type where it has none."""
    return str(error) or type(error).__name__
