"""What PostgreSQL would do: the same questions as before the effect, in a read-only session, and no effect.

1. A session would be ended if it is there, sits idle in a transaction, and this role may signal it.
2. A parameter would be changed if the server has it, takes a new value while it runs, and lets this role alter the
   system's configuration and reload it.
3. The value is tried with SET LOCAL in a transaction that is rolled back, quoted as ALTER SYSTEM would have it. Where
   this session may not set the parameter (only a reload does, or only who has the privilege), it is not tried, and that
   is said.
4. `expected` is what the step is to find. The undo comes after the step, so before it that is not compared.
"""

from collections.abc import Awaitable, Callable

import asyncpg

from activities.executors.base import Order, PreconditionFailedError
from activities.executors.postgres_probes import backend_start, pid, text
from activities.executors.postgres_session import FAILURES, Session, before_effect, say
from policy.permit import Direction

_SESSION = """
SELECT a.state, a.usename, (has.rolsuper AND NOT mine.rolsuper)
    OR NOT (pg_has_role(mine.oid, a.usesysid, 'USAGE') OR pg_has_role(mine.oid, 'pg_signal_backend', 'USAGE')) AS barred
FROM pg_stat_activity AS a JOIN pg_roles AS has ON has.oid = a.usesysid
  JOIN pg_roles AS mine ON mine.rolname = current_user
WHERE a.pid = $1 AND a.backend_start = $2
"""
_PARAMETER = """
SELECT context, current_setting(name) AS value, boot_val, has_parameter_privilege(name, 'ALTER SYSTEM') AS may_alter,
  has_function_privilege('pg_reload_conf()', 'EXECUTE') AS may_reload,
  format('SET LOCAL %I TO %L', name, $2::text) AS trial
FROM pg_settings WHERE name = $1
"""
_FIXED = {"internal": "never takes another value", "postmaster": "takes another value only when the server starts"}
# Not changeable in a running session, or not by this role: says nothing of the value.
_NOT_TRIED = (asyncpg.CantChangeRuntimeParamError, asyncpg.InsufficientPrivilegeError)


async def terminate(reading: Session, order: Order) -> str:
    """Whether a session would be ended.

    Raises:
        PreconditionFailedError: not now.
    """
    who = (pid(order.parameters), backend_start(order.parameters))
    with before_effect("reading the session's state"):
        found = await reading.fetchrow(_SESSION, *who)
    if found is None or found["state"] != "idle in transaction":
        seen = "does not exist" if found is None else f"is {found['state'] or 'not to be seen by this role'}"
        raise PreconditionFailedError(f"session {who[0]} of {who[1]} {seen}: it must be idle in transaction")
    if found["barred"]:
        raise PreconditionFailedError(f"this role may not end sessions of {found['usename']}")
    return f"would end session {who[0]} of {found['usename']}, idle in transaction now"


async def set_parameter(reading: Session, order: Order) -> str:
    """Whether a parameter would be set, and what it would read then.

    Raises:
        PreconditionFailedError: it would be refused.
    """
    name, value = text(order.parameters, "name"), text(order.parameters, "value")
    expected = text(order.parameters, "expected") if "expected" in order.parameters else None
    found = await _changeable(reading, name, value)
    notes = []
    if expected is not None and order.direction is Direction.undo:
        notes.append(f"that it is {expected} after the step")
    elif expected is not None and found["value"] != expected:
        raise PreconditionFailedError(f"parameter {name} is {found['value']}, expected {expected}")
    reads = await _tried(reading, name, value, found["trial"])
    if reads is None:
        notes.append(f"whether the server accepts {value}, which only a reload tells")
    unsure = f"; not checked: {'; '.join(notes)}" if notes else ""
    return f"would set {name} from {found['value']} to {reads or value}{unsure}"


async def reset_parameter(reading: Session, order: Order) -> str:
    """Whether a parameter would be reset.

    Raises:
        PreconditionFailedError: it would be refused.
    """
    name = text(order.parameters, "name")
    found = await _changeable(reading, name, "")
    unsure = f"not checked: the value of the configuration file ({found['boot_val']!r} without one)"
    return f"would reset {name}, {found['value']} now; {unsure}"


async def _changeable(reading: Session, name: str, value: str) -> asyncpg.Record:
    with before_effect(f"reading {name}"):
        found = await reading.fetchrow(_PARAMETER, name, value)
    if found is None:
        raise PreconditionFailedError(f"parameter {name} does not exist on the server")
    if found["context"] in _FIXED:
        raise PreconditionFailedError(f"parameter {name} {_FIXED[found['context']]}")
    if not found["may_alter"]:
        raise PreconditionFailedError(f"this role has no ALTER SYSTEM privilege on parameter {name}")
    if not found["may_reload"]:
        raise PreconditionFailedError("this role may not execute pg_reload_conf")
    return found


async def _tried(reading: Session, name: str, value: str, statement: str) -> str | None:
    """How the value would read; None where this session may not try it."""
    trying = reading.transaction()
    with before_effect(f"trying {name}"):
        await trying.start()
    try:
        await reading.execute(statement)
        return str(await reading.fetchval("SELECT current_setting($1)", name))
    except _NOT_TRIED:
        return None
    except FAILURES as error:
        raise PreconditionFailedError(f"parameter {name} does not take {value}: {say(error)}") from error
    finally:
        with before_effect(f"taking back the trial of {name}"):
            await trying.rollback()


REHEARSALS: dict[str, Callable[[Session, Order], Awaitable[str]]] = {
    "postgres.session.terminate": terminate,
    "postgres.parameter.set": set_parameter,
    "postgres.parameter.reset": reset_parameter,
}
