"""Refreshing the measured SLO states: Prometheus is asked once for each objective in the catalog, by schedule.

- It is off unless an operator named a server and a query (`activities/settings.py`).
- A state is the share of the error budget that is left, with the instant that the server gave it for, or now where that
  is in the future. More than everything is no share, and refused; a budget that is spent very often over is cut.
- What cannot be measured leaves the old state as it is: its age counts. The others are refreshed, and at the end the
  activity fails and names it.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert as insert_once
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.clock import Clock
from activities.database import Database
from activities.documents import Documents
from activities.prometheus import Prometheus, PrometheusError
from activities.tables import SloStateRow
from policy.catalog import Catalog
from workflows.ports import SloPort

log = logging.getLogger("countersign.slo")

_SOURCE = "prometheus"
_AT_ONCE = 8
_LEAST = -1_000_000.0
_ROUNDING = 1e-9
_NAMED = 20
_STORE = insert_once(SloStateRow).on_conflict_do_nothing()


@dataclass(frozen=True)
class _Objective:
    target: str
    name: str
    objective: float

    def __str__(self) -> str:
        return f"{self.name} of {self.target}"


class SloActivities(SloPort):
    """Measures SLOs, as the control or application role.

    Args:
        database: the record.
        documents: the governed documents; the catalog in force names the objectives.
        clock: what time it is.
        prometheus: who is asked; None asks nobody.

    """

    def __init__(self, database: Database, documents: Documents, clock: Clock, prometheus: Prometheus | None) -> None:
        self._database = database
        self._documents = documents
        self._clock = clock
        self._prometheus = prometheus

    @activity.defn(name="refresh_slo_states")
    async def refresh_slo_states(self) -> int:
        if self._prometheus is None:
            return 0
        async with self._database.snapshot() as connection:
            catalog = (await self._documents.in_force(connection)).catalog
        turns = asyncio.Semaphore(_AT_ONCE)
        asked = [self._measure(self._prometheus, item, turns) for item in _objectives(catalog)]
        found = await asyncio.gather(*asked)
        rows = [item for item in found if isinstance(item, dict)]
        if rows:
            async with self._database.transaction() as connection:
                await connection.execute(_STORE, rows)
        failed = [item for item in found if isinstance(item, str)]
        if failed:
            named = "; ".join(failed[:_NAMED])
            text = f"slo states: {len(rows)} measured, {len(failed)} not: {named}"
            raise ApplicationError(text[:2000], type="SloStatesIncomplete")
        return len(rows)

    async def _measure(
        self, prometheus: Prometheus, item: _Objective, turns: asyncio.Semaphore
    ) -> dict[str, Any] | str:
        """The row of one objective, or why there is none."""
        query = prometheus.query(name=item.name, target=item.target, objective=item.objective)
        try:
            async with turns:
                value, at = await prometheus.ask(query)
            now = await self._clock.now()
            return _row(item, value, min(at, now))
        except PrometheusError as error:
            log.warning("slo state of %s is not refreshed: %s", item, error)
            return f"{item}: {error}"


def _objectives(catalog: Catalog) -> list[_Objective]:
    return [
        _Objective(target, item.name, item.objective)
        for target, items in sorted(catalog.objectives.items())
        for item in items
    ]


def _row(item: _Objective, value: float, at: datetime) -> dict[str, Any]:
    if value > 1 + _ROUNDING:
        raise PrometheusError(f"prometheus gives {value:g}: the share of the budget that is left is at most 1")
    budget_left = min(max(value, _LEAST), 1.0)
    row = {"target": item.target, "name": item.name, "measured_at": at}
    return {**row, "budget_left": budget_left, "source": _SOURCE}
