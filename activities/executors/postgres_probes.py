"""The probes of PostgreSQL, and the reading of parameters that operations and probes share.

A parameter that is not what it should be is refused before anything is sent. Nothing here changes anything.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
from pydantic import JsonValue

from activities.executors.base import PreconditionFailedError
from activities.executors.postgres_session import Session

Parameters: TypeAlias = Mapping[str, JsonValue]

_PRESENT = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2)"
_BLOCKED = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)"
_SETTING = "SELECT name, current_setting(name) AS value, source, pending_restart FROM pg_settings WHERE name = $1"


async def _present(session: Session, parameters: Parameters) -> bool:
    return bool(await session.fetchval(_PRESENT, pid(parameters), backend_start(parameters)))


async def _blocked(session: Session, parameters: Parameters) -> bool:
    return bool(await session.fetchval(_BLOCKED, pid(parameters)))


async def _value(session: Session, parameters: Parameters) -> str:
    return str((await setting(session, text(parameters, "name")))["value"])


async def _pending_restart(session: Session, parameters: Parameters) -> bool:
    return bool((await setting(session, text(parameters, "name")))["pending_restart"])


PROBES: dict[str, Callable[[Session, Parameters], Awaitable[Any]]] = {
    "postgres.session.present": _present,
    "postgres.session.blocked": _blocked,
    "postgres.parameter.value": _value,
    "postgres.parameter.pending_restart": _pending_restart,
}


async def setting(session: Session, name: str) -> asyncpg.Record:
    """The row of a server parameter: name, value as SHOW writes it, source, pending_restart.

    Raises:
        PreconditionFailedError: there is no such parameter.
    """
    found = await session.fetchrow(_SETTING, name)
    if found is None:
        raise PreconditionFailedError(f"parameter {name} does not exist on the server")
    return found


def text(parameters: Parameters, name: str) -> str:
    """A parameter that must be a text, not empty.

    Raises:
        PreconditionFailedError: it is missing or something else.
    """
    value = parameters.get(name)
    if not isinstance(value, str) or not value or "\0" in value:
        raise PreconditionFailedError(f"parameter {name} = {value!r} is not a text: write a string")
    return value


def pid(parameters: Parameters) -> int:
    """The parameter `pid`, a process id.

    Raises:
        PreconditionFailedError: it is missing or something else.
    """
    value = parameters.get("pid")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
        raise PreconditionFailedError(f"parameter pid = {value!r} is not a process id: write a positive integer")
    return value


def backend_start(parameters: Parameters) -> datetime:
    """The parameter `backend_start`, an instant in RFC 3339 with a zone, exact to the microsecond.

    Raises:
        PreconditionFailedError: it is missing or something else.
    """
    value = text(parameters, "backend_start")
    try:
        started = datetime.fromisoformat(value)
    except ValueError:
        started = None
    if started is None or started.tzinfo is None:
        raise PreconditionFailedError(f"parameter backend_start = {value!r} is not an instant with a zone (RFC 3339)")
    return started
