"""The executor for PostgreSQL: sessions, server parameters, and indexes (`postgres_indexes.py`).

1. No parameter of an order is ever SQL. Names are looked up in `pg_settings`, and the server itself quotes them and
   the values (`format` with %I and %L).
2. A session is ended only if pid and start are the order's and it sits idle in a transaction at that instant: the
   check and the signal are one statement, so a pid that was given out anew is never hit.
3. A parameter is changed by ALTER SYSTEM and a reload, and the reload is waited for: sessions that begin afterwards
   have the value, or `pending_restart` says that they cannot. With `expected` the change needs that value before it;
   an advisory lock keeps two executors from passing that check together.
4. It needs pg_signal_backend, pg_read_all_stats, ALTER SYSTEM on each parameter it may change, and EXECUTE on
   pg_reload_conf (`deploy/orders.py`); it needs no superuser and can end no superuser's session.
5. Probes and dry runs run in new read-only sessions with a statement timeout: an old session may not have seen a
   reload yet. What only looks uses `read_url`, where the target has one; a dry run asks what the operator role may do.
6. It acts on the one target of the order, which it resolved itself (`postgres_targets.py`), and only while that is
   what it was: a session in the same transaction, a parameter of the same value from the same source.
7. Every session that acts is called `countersign/<permit id>` at the server.

A parameter that takes a list (`search_path`) gets the value as one item.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    Seen,
    Supports,
    TargetChangedError,
    TargetCredentials,
    TargetUnreachableError,
)
from activities.executors.kinds import ExecutorSettings
from activities.executors.postgres_index_facts import INDEX_PROBES
from activities.executors.postgres_index_rehearsal import INDEX_REHEARSALS
from activities.executors.postgres_indexes import INDEX_OPERATIONS, Indexes
from activities.executors.postgres_indexes import observe as observe_index
from activities.executors.postgres_probes import PROBES as OTHER_PROBES
from activities.executors.postgres_probes import Parameters, backend_start, pid, setting, text
from activities.executors.postgres_rehearsal import REHEARSALS as OTHER_REHEARSALS
from activities.executors.postgres_session import (
    CONNECT_SECONDS,
    FAILURES,
    STATEMENT_SECONDS,
    Session,
    before_effect,
    effect,
    reading_session,
    say,
    session,
)
from activities.executors.postgres_sql_probe import read_sql
from activities.executors.postgres_targets import (
    RESOLUTIONS,
    check_target,
    parameter_version,
    resolve,
    session_id,
    target_of,
)
from policy.targets import ResolvedTarget

_ENDED_SECONDS = 4.0  # below the statement timeout, so that the server says whether the session has ended
_RELOAD_SECONDS = 5.0
_RELOAD_POLL_SECONDS = 0.02

PROBES = {**OTHER_PROBES, **INDEX_PROBES}
REHEARSALS = {**OTHER_REHEARSALS, **INDEX_REHEARSALS}

_STATE = "SELECT state, xact_start FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2"
_TERMINATE = """
SELECT pg_terminate_backend(pid, $3) FROM pg_stat_activity
WHERE pid = $1 AND backend_start = $2 AND state = 'idle in transaction'
  AND ($4::timestamptz IS NULL OR xact_start = $4)
"""
_QUOTE_SET = "SELECT format('ALTER SYSTEM SET %I TO %L', name, $2::text) FROM pg_settings WHERE name = $1"
_QUOTE_RESET = "SELECT format('ALTER SYSTEM RESET %I', name) FROM pg_settings WHERE name = $1"
_LOCK = "SELECT pg_advisory_lock(hashtextextended('countersign parameter ' || $1, 0))"


class PostgresExecutor:
    """Acts on PostgreSQL servers.

    Args:
        credentials: connection URLs (`postgresql://`) by resource id, each as the operator role of that database.
        name: under which permits call it.
    """

    def __init__(self, credentials: TargetCredentials, name: str = "postgres") -> None:
        self.name = name
        self._credentials = credentials
        self._operations: dict[str, Callable[[str, Order], Awaitable[None]]] = {
            "postgres.session.terminate": self._terminate,
            "postgres.parameter.set": self._set,
            "postgres.parameter.reset": self._reset,
            **dict.fromkeys(INDEX_OPERATIONS, self._maintain),
        }
        self._observations: dict[str, Callable[[str, Order], Awaitable[Seen]]] = {
            "postgres.session.terminate": self._observe_terminate,
            "postgres.parameter.set": self._observe_set,
            "postgres.parameter.reset": self._observe_reset,
            **dict.fromkeys(INDEX_OPERATIONS, self._observe_index),
        }
        self.supports = Supports(
            operations=frozenset(self._operations),
            probes=frozenset(PROBES),
            stops_within=timedelta(seconds=CONNECT_SECONDS + 4 * STATEMENT_SECONDS + _RELOAD_SECONDS),
            observes="by_effect",
            dry_runs=frozenset(REHEARSALS),
            stops="within",
            resolves=frozenset(RESOLUTIONS),
        )

    async def execute(self, order: Order) -> None:
        """Carry an order out; see `Executor.execute`."""
        order.check_real()
        operation = self._operations.get(order.operation)
        if operation is None:
            raise PreconditionFailedError(f"operation {order.operation} is none of {', '.join(self._operations)}")
        resource = _one(order)
        target_of(order)
        if order.stop.is_set():
            raise PreconditionFailedError("stopped before it acted")
        await operation(resource, order)

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """What an operation would touch now; see `Executor.resolve`."""
        if inquiry.operation not in RESOLUTIONS:
            raise PreconditionFailedError(f"operation {inquiry.operation} is none of {', '.join(RESOLUTIONS)}")
        if len(inquiry.resources) != 1:
            number = len(inquiry.resources)
            raise PreconditionFailedError(f"{inquiry.operation} acts on one resource, the target has {number}")
        async with reading_session(self._credentials, inquiry.resources[0]) as reading:
            return await resolve(reading, inquiry.resources[0], inquiry)

    async def dry_run(self, order: Order) -> str:
        """What an order would do, without doing it; see `Executor.dry_run`."""
        rehearsal = REHEARSALS.get(order.operation)
        if rehearsal is None:
            raise PreconditionFailedError(f"operation {order.operation} is none of {', '.join(REHEARSALS)}")
        async with session(self._credentials, _one(order), read_only=True) as reading:
            return await rehearsal(reading, order)

    async def observe(self, order: Order) -> Seen:
        """Whether the target is as the order would have left it; see `Executor.observe`."""
        observation = self._observations.get(order.operation)
        if observation is None:
            return "unknown"
        try:
            return await observation(_one(order), order)
        except (ProbeError, PreconditionFailedError):
            return "unknown"

    async def measure(self, order: ProbeOrder) -> Any:
        """Read a probe's value; see `Executor.measure`."""
        if order.query:
            return await read_sql(self._credentials, order)
        return await self._read(order.probe, order.parameters, order.resource)

    async def _read(self, probe: str, parameters: Parameters, resource: str) -> Any:
        read = PROBES.get(probe)
        if read is None:
            raise ProbeError(f"probe {probe} is none of {', '.join(PROBES)}")
        try:
            async with reading_session(self._credentials, resource) as reading:
                return await read(reading, parameters)
        except (*FAILURES, PreconditionFailedError) as error:
            raise ProbeError(f"probe {probe} on {resource}: {say(error)}") from error

    async def _terminate(self, resource: str, order: Order) -> None:
        who = (pid(order.parameters), backend_start(order.parameters))
        begun = _begun(order, session_id(*who))
        async with self._session(resource, order) as acting:
            with effect("ending the session"):
                ended = await acting.fetchval(_TERMINATE, *who, int(_ENDED_SECONDS * 1000), begun)
            if ended is None:
                await _refuse_termination(acting, who)
            if not ended:
                raise EffectUnknownError(f"session {who[0]} was told to end, and not gone {_ENDED_SECONDS:g} s later")

    async def _set(self, resource: str, order: Order) -> None:
        name, value = text(order.parameters, "name"), text(order.parameters, "value")
        expected = text(order.parameters, "expected") if "expected" in order.parameters else None
        async with self._changing(resource, order, name) as acting:
            with before_effect(f"reading {name}"):
                found = await self._setting(resource, name)
                statement = await acting.fetchval(_QUOTE_SET, name, value)
            check_target(order, name, parameter_version(found))
            if expected is not None and found["value"] != expected:
                raise PreconditionFailedError(f"parameter {name} is {found['value']}, expected {expected}")
            await self._alter(resource, acting, statement, name)

    async def _reset(self, resource: str, order: Order) -> None:
        name = text(order.parameters, "name")
        async with self._changing(resource, order, name) as acting:
            with before_effect(f"reading {name}"):
                found = await self._setting(resource, name)
                statement = await acting.fetchval(_QUOTE_RESET, name)
            check_target(order, name, parameter_version(found))
            await self._alter(resource, acting, statement, name)

    async def _maintain(self, resource: str, order: Order) -> None:
        await INDEX_OPERATIONS[order.operation](Indexes(self._credentials, resource, order))

    async def _alter(self, resource: str, acting: Session, statement: str, name: str) -> None:
        with effect(f"alter system for {name}"):
            await acting.execute(statement)
        # From here on the server's configuration file has the change: what fails now has to be undone.
        try:
            before = await acting.fetchval("SELECT pg_conf_load_time()")
            await acting.execute("SELECT pg_reload_conf()")
            await self._await_reload(resource, before)
        except (*FAILURES, TargetUnreachableError) as error:
            raise ExecutorError(f"parameter {name} was written, its reload failed: {say(error)}") from error

    async def _await_reload(self, resource: str, before: datetime) -> None:
        """Until a new session, which inherits the configuration of the server's main process, has a newer one."""
        deadline = time.monotonic() + _RELOAD_SECONDS
        while True:
            async with reading_session(self._credentials, resource) as reading:
                if await reading.fetchval("SELECT pg_conf_load_time()") > before:
                    return
            if time.monotonic() > deadline:
                raise ExecutorError(f"the configuration was not reloaded within {_RELOAD_SECONDS:g} s")
            await asyncio.sleep(_RELOAD_POLL_SECONDS)

    async def _observe_terminate(self, resource: str, order: Order) -> Seen:
        there = await self._read("postgres.session.present", order.parameters, resource)
        return "none" if there else "done"

    async def _observe_set(self, resource: str, order: Order) -> Seen:
        # Another spelling of the same value (65536kB for 64MB) reads differently, so a difference proves nothing.
        value = await self._read("postgres.parameter.value", order.parameters, resource)
        return "done" if value == text(order.parameters, "value") else "unknown"

    async def _observe_reset(self, resource: str, order: Order) -> Seen:
        name = text(order.parameters, "name")
        with before_effect(f"reading {name}"):
            found = await self._setting(resource, name)
        return "done" if found["source"] == "default" and not found["pending_restart"] else "unknown"

    async def _observe_index(self, resource: str, order: Order) -> Seen:
        return await observe_index(self._credentials, resource, order)

    async def _setting(self, resource: str, name: str) -> Any:
        # As the role that resolved it: another may not see the same.
        async with reading_session(self._credentials, resource) as reading:
            return await setting(reading, name)

    @asynccontextmanager
    async def _changing(self, resource: str, order: Order, name: str) -> AsyncIterator[Session]:
        """A session that alone changes this parameter."""
        async with self._session(resource, order) as acting:
            with before_effect(f"waiting for another change of {name}"):
                await acting.execute(_LOCK, name)
            yield acting

    def _session(self, resource: str, order: Order) -> AbstractAsyncContextManager[Session]:
        return session(self._credentials, resource, permit_id=order.permit_id)


class PostgresSettings(ExecutorSettings):
    """What an operator says of it: nothing but its name, so far."""


def make(name: str, given: Mapping[str, Any], targets: TargetCredentials) -> PostgresExecutor:
    """The executor of an operator's entry."""
    PostgresSettings.model_validate(given)
    return PostgresExecutor(targets, name)


def _one(order: Order) -> str:
    if len(order.resolved) != 1:
        raise PreconditionFailedError(f"{order.operation} acts on one resource, the permit has {len(order.resolved)}")
    return order.resolved[0]


def _begun(order: Order, ident: str) -> datetime | None:
    """When the transaction began that the session has to be in still; None where an order does not say."""
    target = target_of(order)
    if target.id != ident:
        raise PreconditionFailedError(f"the parameters name session {ident}, the permit is for {target.id}")
    try:
        return datetime.fromisoformat(target.version) if target.version is not None else None
    except ValueError:
        message = f"session {ident} had {target.version} when it was resolved: it must be idle in transaction"
        raise PreconditionFailedError(message) from None


async def _refuse_termination(acting: Session, who: tuple[int, datetime]) -> None:
    """Say why a session was not ended."""
    with before_effect("reading the session's state"):
        found = await acting.fetchrow(_STATE, *who)
    if found is not None and found["state"] == "idle in transaction":
        begun = found["xact_start"].isoformat()
        raise TargetChangedError(f"session {who[0]} of {who[1]} is in another transaction, which began at {begun}")
    shown = f"is {found['state']}" if found is not None else "does not exist"
    raise PreconditionFailedError(f"session {who[0]} of {who[1]} {shown}: it must be idle in transaction")
