"""The executor for governed documents: puts a draft in force, through the one function of the record that may.

1. It holds no right to write publications: `countersign.publish_permitted` runs as the owner, and looks at the claimed
   permit itself. What the order says is not what is published; what the permit says is.
2. The same permit publishes once, however often it is asked.
3. A dry run only reads: whether that draft is there, and whether what it would replace is in force. The function itself
   refuses the permit of a dry run.
4. The server's own refusals (class P0) come before anything is written: nothing was done.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from activities.clock import Clock
from activities.database import Database, DatabaseUnavailableError
from activities.executors.base import (
    EffectUnknownError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    Seen,
    Supports,
    TargetUnreachableError,
)
from policy.builtin import EXECUTOR, IN_FORCE, PUBLISH
from policy.permit import Direction
from policy.targets import ResolvedTarget

_PUBLISH = text("SELECT countersign.publish_permitted(:permit, :at)")
_DONE = text("SELECT count(*) FROM countersign.publication WHERE permit_id = :permit")
_IN_FORCE = text("SELECT digest FROM countersign.publication WHERE kind = :kind ORDER BY seq DESC LIMIT 1")
_THERE = text(
    "SELECT count(*) FROM (SELECT digest FROM countersign.draft WHERE digest = :digest AND kind = :kind"
    " UNION ALL SELECT digest FROM countersign.document WHERE digest = :digest AND kind = :kind) AS found"
)
_REFUSED = "P0001"


class DocumentsExecutor:
    """Publishes drafts.

    Args:
        database: the record, as the executor or application role.
        clock: the instant of the publication.
    """

    name = EXECUTOR
    supports = Supports(
        operations=frozenset({PUBLISH}),
        probes=frozenset({IN_FORCE}),
        stops_within=timedelta(seconds=5),
        observes="by_key",
        dry_runs=frozenset({PUBLISH}),
    )

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def execute(self, order: Order) -> None:
        """Put the draft in force that the order's permit names; see `Executor.execute`."""
        order.check_real()
        if order.operation != PUBLISH:
            raise PreconditionFailedError(f"operation {order.operation} is not {PUBLISH}")
        sent = False
        try:
            async with self._database.transaction() as connection:
                sent = True
                wanted = {"permit": UUID(order.of_permit), "at": await self._clock.now()}
                await connection.execute(_PUBLISH, wanted)
        except DatabaseUnavailableError as error:
            # It may have been committed: asked again with the same permit, the record says what it did.
            kind = EffectUnknownError if sent else TargetUnreachableError
            raise kind(str(error)) from error
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _REFUSED:
                raise EffectUnknownError(str(error.orig)) from error
            raise PreconditionFailedError(str(error.orig).rpartition(": ")[2]) from error

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """It acts on what the catalog names; see `Executor.resolve`."""
        raise PreconditionFailedError(f"what {inquiry.operation} would touch is what the catalog names")

    async def dry_run(self, order: Order) -> str:
        """Whether the draft would be put in force; see `Executor.dry_run`."""
        kind, wanted, previous = (str(order.parameters.get(name)) for name in ("kind", "digest", "previous"))
        try:
            async with self._database.snapshot() as connection:
                there = await connection.scalar(_THERE, {"digest": wanted, "kind": kind})
                before = await connection.scalar(_IN_FORCE, {"kind": kind})
        except DatabaseUnavailableError as error:
            raise TargetUnreachableError(str(error)) from error
        if not there:
            raise PreconditionFailedError(f"there is no draft {wanted} of kind {kind}")
        if order.direction is Direction.do and before != previous:
            raise PreconditionFailedError(f"the {kind} in force is {before}, approved was a change of {previous}")
        return f"would put {kind} {wanted} in force over {previous}"

    async def observe(self, order: Order) -> Seen:
        """Whether this very permit published; see `Executor.observe`."""
        try:
            async with self._database.snapshot() as connection:
                found = await connection.scalar(_DONE, {"permit": UUID(order.of_permit)})
        except DatabaseUnavailableError:
            return "unknown"
        return "done" if found else "none"

    async def measure(self, order: ProbeOrder) -> Any:
        """The digest in force of a kind; see `Executor.measure`."""
        if order.probe != IN_FORCE:
            raise ProbeError(f"probe {order.probe} is not {IN_FORCE}")
        try:
            async with self._database.snapshot() as connection:
                return await connection.scalar(_IN_FORCE, {"kind": str(order.parameters.get("kind"))})
        except DatabaseUnavailableError as error:
            raise ProbeError(str(error)) from error
