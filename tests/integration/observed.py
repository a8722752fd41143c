"""A record in which actions ended in every way, and what is observed from there of the next proposal."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from activities.attempt import Attempt
from activities.claims import Claimed, Claims
from activities.clock import SystemClock
from activities.dispatch import PermitActivities
from activities.documents import Documents, Kind
from activities.observing import observe
from activities.permits import step_permits
from activities.proving import Prover
from activities.reports import Reports
from activities.tables import SloStateRow
from cli.policy import publish_one
from policy.observed import Observed
from policy.outcome import EffectReport, Measurement, Rehearsal
from policy.permit import Direction, Permit, permit_id
from policy.proposal import receive
from tests.anchors import anchored_by
from tests.integration.left_behind import UNDO_OVERDUE, assessed, forget_holds, recorded, without_resolving
from tests.permit_keys import SIGNER, trust
from tests.replay import recording as scenes
from tests.replay.recording import DOCUMENTS, Recording
from workflows.messages import DispatchRequest

_RESOURCE = """
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: {name}
  annotations:
    countersign/resource-id: postgres/{name}
    countersign/environment: {environment}
    countersign/criticality: {criticality}
    countersign/failure-domains: zone-{zone}
spec: {{type: database, owner: orders-team}}
"""
_SLO = """
---
apiVersion: openslo/v1
kind: SLO
metadata: {{name: {name}}}
spec: {{service: "resource:default/{service}", objectives: [{{target: 0.99}}]}}
"""
_PARAMETERS = """
    parameters:
      name: {type: string, pattern: "[a-z_]+"}
      value: {type: string}
"""
_CRITERIA = """
    criteria: [{probe: postgres.parameter.value, parameters: {name: $name}, equals: $value}]"""


def targets(*names: str, zone: str = "", environment: str = "staging", criticality: str = "low") -> str:
    """Resources of a catalog, each in a failure domain of its own where none is named."""
    return "".join(
        _RESOURCE.format(name=name, zone=zone or name, environment=environment, criticality=criticality)
        for name in names
    )


def objective(name: str, service: str) -> str:
    """An objective of a resource, as a document of the catalog."""
    return _SLO.format(name=name, service=service)


@dataclass(frozen=True)
class Past:
    """The record, and how to put actions into it. Every test has targets of its own."""

    place: Recording

    async def govern(self, catalog: str, criteria: str = _CRITERIA) -> None:
        """Put a catalog and operations with these criteria of their own in force."""
        url = self.place.stack.database_url("postgres", "countersign")
        registry = without_resolving((DOCUMENTS / "operations.yaml").read_text())
        documents: dict[Kind, str] = {
            "catalog": (DOCUMENTS / "catalog.yaml").read_text() + catalog,
            "operations": registry.replace(_PARAMETERS, criteria + _PARAMETERS, 1),
        }
        for kind, text in documents.items():
            await publish_one(url, kind, text.encode(), by="tests", at=datetime.now(UTC))

    async def begun(self, proposal_id: str, target: str, **other: Any) -> None:
        """An allowed action that is at work: its permit is claimed, its report is still to come."""
        now = datetime.now(UTC)
        await forget_holds(self.place)
        answer = await assessed(self.place, proposal(proposal_id, target, **other))
        assert answer.plan is not None, answer.result
        prover = Prover(accepts_claimed=True)
        permits = PermitActivities(
            self.place.database, Documents(), SystemClock(), prover, SIGNER, anchored_by(self.place.settings)
        )
        await permits.dispatch(DispatchRequest(proposal_id=proposal_id, revision=1, step=1, now=now))
        await self._claim(proposal_id, Direction.do)

    async def ended(self, proposal_id: str, target: str, outcome: str = "succeeded", **other: Any) -> None:
        """An action that ended so."""
        await self.begun(proposal_id, target, **other)
        if outcome == "not_executed":
            await self._rehearsed(proposal_id)
        elif outcome != "outcome_unknown":
            await self._report(proposal_id, Direction.do, met=outcome == "succeeded")
        if outcome == "compensated":
            await self._claim(proposal_id, Direction.undo)
            await self._report(proposal_id, Direction.undo)
        answer = await recorded(self.place, proposal_id, UNDO_OVERDUE)
        assert answer.result is not None
        assert answer.result.outcome == outcome

    async def _claim(self, proposal_id: str, direction: Direction) -> None:
        claims = Claims(self.place.database, SystemClock(), frozenset({"postgres"}), trust())
        found = await claims.claim(permit_id(proposal_id, 1, 1, direction), attempt(), tried=False)
        assert isinstance(found, Claimed), found

    async def _report(self, proposal_id: str, direction: Direction, *, met: bool | None = None) -> None:
        """The executor's report of a permit that took two seconds."""
        permit, _ = await self._permits(proposal_id, direction)
        ended = datetime.now(UTC)
        measurement = Measurement(probe="postgres.parameter.value", expected="32MB", value="32MB", met=met)
        report = EffectReport(
            permit_id=permit.permit_id,
            status="failed" if met is False else "succeeded",
            effect="done",
            measurements=() if met is None else (measurement,),
            started_at=ended - timedelta(seconds=2),
            finished_at=ended,
        )
        await Reports(self.place.database, SystemClock()).store(permit, report, attempt().under(permit))

    async def _rehearsed(self, proposal_id: str) -> None:
        """The executor's report of a dry run in which the step and its undo went well."""
        permit, undo = await self._permits(proposal_id, Direction.do)
        assert undo is not None
        now = datetime.now(UTC)
        report = EffectReport(
            permit_id=permit.permit_id,
            status="succeeded",
            effect="none",
            started_at=now,
            finished_at=now,
            dry_run=True,
            rehearsals=tuple(
                Rehearsal(direction=item.direction.value, operation=item.operation, passed=True)
                for item in (permit, undo)
            ),
        )
        await Reports(self.place.database, SystemClock()).store(permit, report, attempt().under(permit))

    async def _permits(self, proposal_id: str, direction: Direction) -> tuple[Permit, Permit | None]:
        async with self.place.database.snapshot() as connection:
            permit, other = await step_permits(connection, permit_id(proposal_id, 1, 1, direction))
        assert permit is not None
        return permit, other

    async def observed(self, target: str, *, later: timedelta = timedelta(0), **other: Any) -> Observed:
        """What is observed of another proposal."""
        received = receive(proposal("next", target, **other))
        async with self.place.database.snapshot() as connection:
            in_force = await Documents().in_force(connection)
            return await observe(connection, received, in_force, datetime.now(UTC) + later)

    async def measured(self, target: str, name: str, budget_left: float, at: datetime) -> None:
        """A measured SLO state."""
        row = {"target": f"resource:default/{target}", "name": name, "measured_at": at, "source": "tests"}
        async with self.place.database.transaction() as connection:
            await connection.execute(insert(SloStateRow).values(**row, budget_left=budget_left))


def attempt() -> Attempt:
    """The attempt of an executor that nobody knows of."""
    return Attempt(
        token="an attempt",
        tokens=frozenset({"an attempt"}),
        started_at=datetime.now(UTC),
        last=False,
        run_id=None,
        worker="tests",
        ends_at=0,
        budget=60,
    )


def proposal(proposal_id: str, target: str, **other: Any) -> dict[str, Any]:
    """Set `work_mem` on a resource."""
    value = {"target": f"resource:default/{target}", "environment": "staging", **other}
    return scenes.proposal(proposal_id, **value)
