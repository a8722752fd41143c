"""Sessions on PostgreSQL targets, and what a failed statement says of the effect.

Before the statement that acts, every failure means that nothing was done. The statement itself was refused only where
the server says so in one of the classes of errors that it raises before it changes anything; whatever else happens to
it, an answer that does not come included, leaves the effect unknown.

Every session that acts under a permit has the name `countersign/<permit id>`, so that the target's own log says under
which permit something was done, and so that it shows whether such a session is still there. Anybody who may log in can
take such a name: it is a claim, which `policy/trails.py` holds against the record.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeAlias

import asyncpg

from activities.executors.base import (
    EffectUnknownError,
    PreconditionFailedError,
    TargetCredentials,
    TargetUnreachableError,
)
from policy.permit import permit_of

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

LOOKS = "countersign-executor"
ACTS = "countersign/"
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)  # TimeoutError is an OSError

# Classes: unsupported, bad value, wrong state, no login, no privilege or name. State: not changeable at run time.
_REFUSED = ("0A", "22", "25", "28", "42", "55P02")


@asynccontextmanager
async def session(
    credentials: TargetCredentials,
    resource_id: str,
    *,
    read_only: bool = False,
    permit_id: str | None = None,
    statement_seconds: float = STATEMENT_SECONDS,
) -> AsyncIterator[Session]:
    """A session of its own on a resource, as who may change it, with a bound on every statement.

    Args:
        credentials: where resources answer.
        resource_id: which one.
        read_only: whether the session begins read only.
        permit_id: the permit that it acts under; None where it only looks.
        statement_seconds: how long one statement may take.

    Raises:
        PreconditionFailedError: there are no credentials for it.
        TargetUnreachableError: it cannot be connected to.
    """
    settings = _settings(application_name(permit_id), statement_seconds, read_only=read_only)
    async with _opened(credentials.url(resource_id), resource_id, settings, statement_seconds) as opened:
        yield opened


@asynccontextmanager
async def reading_session(
    credentials: TargetCredentials, resource_id: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Session]:
    """A session that only reads, as the role that cannot change anything where the resource has one.

    Args:
        credentials: where resources answer.
        resource_id: which one.
        settings: server settings besides ours.

    Raises:
        PreconditionFailedError: there are no credentials for it.
        TargetUnreachableError: it cannot be connected to.
    """
    ours = _settings(LOOKS, STATEMENT_SECONDS, read_only=True) | dict(settings or {})
    async with _opened(credentials.reading_url(resource_id), resource_id, ours, STATEMENT_SECONDS) as opened:
        yield opened


def application_name(permit_id: str | None) -> str:
    """The name that a session under a permit has at the server, which keeps 63 bytes of it."""
    # Of a permit that acts on one target after the other, each session has the name of the permit, which fits.
    return f"{ACTS}{permit_of(permit_id)}" if permit_id is not None else LOOKS


def _settings(name: str, statement_seconds: float, *, read_only: bool) -> dict[str, str]:
    return {
        "application_name": name,
        "search_path": "pg_catalog, pg_temp",
        "statement_timeout": f"{statement_seconds * 1000:.0f}",
        "default_transaction_read_only": "on" if read_only else "off",
    }


@asynccontextmanager
async def _opened(
    url: str, resource_id: str, settings: dict[str, str], statement_seconds: float
) -> AsyncIterator[Session]:
    try:
        opened = await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS + statement_seconds,
            server_settings=settings,
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
        PreconditionFailedError: the server refused it, and would again.
        TargetUnreachableError: it failed otherwise.
    """
    try:
        yield
    except FAILURES as error:
        kind = PreconditionFailedError if was_refused(error) else TargetUnreachableError
        raise kind(f"{what}: {say(error)}") from error


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
        if was_refused(error):
            raise PreconditionFailedError(f"{what} was refused: {say(error)}") from error
        raise EffectUnknownError(f"{what} got no clear answer: {say(error)}") from error


def was_refused(error: BaseException) -> bool:
    """Whether an error is one that the server raises before it changes anything."""
    return (getattr(error, "sqlstate", None) or "").startswith(_REFUSED)


def say(error: BaseException) -> str:
    """The error's message, or its type where it has none. A server's detail is left out: it quotes rows."""
    return str(getattr(error, "message", None) or error) or type(error).__name__
