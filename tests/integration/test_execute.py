"""The executor role against a real record: claim once, act once, and refuse everybody else."""

import asyncio
import dataclasses
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from activities.claims import REFUSALS_KEPT
from activities.execute import ExecutorActivities
from activities.executors.base import Inquiry, TargetCredentials
from activities.executors.postgres import PostgresExecutor
from activities.permits import resolved_digest
from deploy.dev import Stack
from deploy.orders import prepare_orders
from policy.canonical import canonical, digest
from policy.permit import PermitCriterion
from policy.targets import ResolvedTarget, targets_digest
from tests.integration.effects import BOUND, NO_PERMIT, World, attempt, execute, met, observe
from tests.permit_keys import trust
from workflows.messages import ExecuteRequest


async def test_acts_once_and_reports(world: World) -> None:
    """A permit is claimed, carried out once, measured, and reported in the record and in the ledger."""
    permit = await world.permit(criteria=(met(),))

    result = await execute(world, permit.permit_id)

    assert (result.status, result.effect, result.message) == ("succeeded", "done", "")
    assert [order.resolved for order in world.target.orders] == [("memory/a",)]
    [use] = await world.rows("permit_use")
    assert (use["use"], use["used_by"], use["run_id"]) == ("claimed", "worker-1", "run-1")
    report = await world.report(permit.permit_id)
    assert report is not None
    assert [item.met for item in report.measurements] == [True]
    [entry] = await world.entries()
    assert (entry["kind"], entry["content"]["report"]) == ("reported", report.model_dump(mode="json"))


async def test_acts_on_a_real_database(world: World, stack: Stack) -> None:
    """With the PostgreSQL executor a parameter is changed, read back, and found changed."""
    await prepare_orders(stack.database_url("postgres", "postgres"))
    credentials = TargetCredentials({"postgres/orders": stack.database_url("orders_operator", "orders")})
    criterion = PermitCriterion(probe="postgres.parameter.value", parameters={"name": "work_mem"}, equals="64MB")
    executor = PostgresExecutor(credentials)
    parameters = {"name": "work_mem", "value": "64MB", "expected": "4MB"}
    asked = Inquiry("postgres.parameter.set", parameters, ("postgres/orders",), "production")
    targets = await executor.resolve(asked)
    permit = await world.permit(
        executor="postgres",
        operation="postgres.parameter.set",
        parameters=parameters,
        targets=targets,
        targets_digest=targets_digest(targets),
        resolved=("postgres/orders",),
        resolved_digest=resolved_digest(("postgres/orders",)),
        criteria=(criterion,),
    )
    executors = {"postgres": executor}

    result = await execute(
        world, permit.permit_id, by=ExecutorActivities(world.database, world.clock, executors, "worker-1", trust())
    )

    assert (result.status, result.effect, result.message) == ("succeeded", "done", "")
    await world.admin.execute("ALTER SYSTEM RESET work_mem")
    await world.admin.execute("SELECT pg_reload_conf()")


async def test_the_same_attempt_gets_its_report_again(world: World) -> None:
    """Asking again with the attempt that claimed gives the stored report, and nothing happens."""
    permit = await world.permit(criteria=(met(),))

    results = [await execute(world, permit.permit_id, by=by) for by in (None, None, world.process())]

    assert results[0] == results[1] == results[2]
    assert len(world.target.orders) == 1
    assert await world.entries("claim_refused") == []


async def test_the_same_attempt_without_a_report_does_not_act_again(world: World) -> None:
    """An attempt that claimed and left no report has an unknown effect, and is not given a second go."""
    permit = await world.permit()
    world.target.go_on.clear()
    first = asyncio.create_task(execute(world, permit.permit_id))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)

    again = await execute(world, permit.permit_id, by=world.process())

    assert (again.status, again.effect) == ("unknown", "unknown")
    assert "left no report" in again.message
    world.target.go_on.set()
    assert (await first).status == "succeeded"
    assert len(world.target.orders) == 1


@pytest.mark.parametrize("other", [{"run": "run-2"}, {"activity": "2"}, {"number": 2}])
async def test_another_attempt_is_refused_and_recorded_once(world: World, other: dict[str, Any]) -> None:
    """Another run, activity or attempt does not act under a claimed permit, and its try is evidence."""
    permit = await world.permit()
    world.target.go_on.clear()
    first = asyncio.create_task(execute(world, permit.permit_id))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)

    refused = [await execute(world, permit.permit_id, attempt(**other)) for _ in range(2)]

    assert {result.status for result in refused} == {"unknown"}
    world.target.go_on.set()
    await first
    assert len(world.target.orders) == 1
    expected = "claimed_already" if "number" in other else "claimed_by_another"
    assert [entry["content"]["code"] for entry in await world.entries("claim_refused")] == [expected]


async def test_of_many_at_once_one_acts(world: World) -> None:
    """However many ask at the same time, from several processes, one effect happens."""
    permit = await world.permit()
    world.target.go_on.clear()
    asking = [
        asyncio.create_task(execute(world, permit.permit_id, attempt(run=f"run-{at}"), world.process()))
        for at in range(5)
    ]
    async with asyncio.timeout(BOUND):
        while True:
            if sum(each.done() for each in asking) == 4:
                break
            await asyncio.sleep(0.02)
    world.target.go_on.set()
    results = await asyncio.gather(*asking)

    assert sorted(result.status for result in results) == ["succeeded", *["unknown"] * 4]
    assert len(world.target.orders) == 1


async def test_whoever_asks_for_what_was_reported_gets_the_report(world: World) -> None:
    """An action that is started again goes on where the record is; nothing is done twice, and the try is evidence."""
    permit = await world.permit(criteria=(met(),))
    first = await execute(world, permit.permit_id)

    again = [await execute(world, permit.permit_id, attempt(run="run-2"), world.process()) for _ in range(2)]

    assert again == [first, first]
    assert len(world.target.orders) == 1
    assert [entry["content"]["code"] for entry in await world.entries("claim_refused")] == ["claimed_by_another"]


async def test_a_flood_of_refusals_is_bounded(world: World) -> None:
    """The ledger keeps the first refused attempts of a proposal and no flood."""
    permit = await world.permit()
    await execute(world, permit.permit_id)

    for at in range(REFUSALS_KEPT + 3):
        await execute(world, permit.permit_id, attempt(run=f"attacker-{at}"))

    assert len(await world.entries("claim_refused")) == REFUSALS_KEPT


@pytest.mark.parametrize("wanted", [NO_PERMIT, "", "no uuid", "1; DROP TABLE permit"])
async def test_an_unknown_permit_is_refused(world: World, wanted: str) -> None:
    """An id that the record does not know leads to nothing, whatever it looks like."""
    result = await execute(world, wanted)

    assert (result.status, result.effect) == ("failed", "none")
    assert result.message.startswith("unknown_permit: ")


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("unknown_executor", {"executor": "none"}),
        ("action_digest_mismatch", {"action_digest": "sha256:" + "0" * 64}),
        ("malformed_permit", {"resolved": ("memory/a", "memory/b")}),
        ("malformed_permit", {"permit_id": NO_PERMIT}),
    ],
)
async def test_a_permit_that_does_not_hold_together_is_refused(world: World, code: str, change: dict[str, Any]) -> None:
    """A permit for another action, other targets, another id or an executor that is not here does nothing."""
    permit = await world.permit(**change)

    result = await execute(world, permit.permit_id)

    assert (result.status, result.effect) == ("failed", "none")
    assert result.message.startswith(f"{code}: ")
    assert await world.rows("permit_use") == []
    assert world.target.orders == []


async def test_an_expired_permit_is_refused(world: World) -> None:
    """A forward permit is good until the instant at which it expires, and recorded as refused after it."""
    permit = await world.permit()
    world.clock.at += timedelta(minutes=5, microseconds=1)

    result = await execute(world, permit.permit_id)

    assert result.message.startswith("permit_expired: ")
    assert world.target.orders == []
    assert [entry["content"]["code"] for entry in await world.entries()] == ["permit_expired"]


@pytest.mark.parametrize(
    ("code", "table", "row"),
    [
        ("withdrawn", "stop", {"kind": "withdrawn", "actor": "unverified", "stopped_at": ...}),
        ("revoked", "stop", {"kind": "revoked", "actor": "ana", "stopped_at": ...}),
        ("already_closed", "result", {"recorded_at": ...}),
    ],
)
async def test_what_was_stopped_or_closed_does_not_begin(
    world: World, code: str, table: str, row: dict[str, Any]
) -> None:
    """A stop or a result that is on record before the claim wins."""
    permit = await world.permit()
    filled = {name: world.clock.at if value is ... else value for name, value in row.items()}
    await world.write(table, proposal_id=world.proposal, **filled)

    result = await execute(world, permit.permit_id)

    assert result.message.startswith(f"{code}: ")
    assert world.target.orders == []


@pytest.mark.parametrize("target", ["resource:default/NAME", "memory/NAME", "resource:default/by-another-name"])
@pytest.mark.parametrize("left_by", ["another", None, "p-0"])
@pytest.mark.parametrize("released_by", [None, "item"])
async def test_a_hold_that_came_after_the_permit_is_respected(
    world: World, target: str, left_by: str | None, released_by: str | None
) -> None:
    """A hold on the target or on what it resolves to, by whatever name, refuses the claim; a remedy is let through. So
    does one that is released, where nothing shows that it was.
    """
    hold = uuid4()
    name, target = f"shop-{hold}", target.replace("NAME", f"shop-{hold}")
    world.resolved = (f"memory/{name}",)
    permit = await world.permit(proposal=canonical({"remedies": "p-0", "target": f"Resource:{name}"}))
    body = canonical({"resolved": [f"memory/{name}"] if target.endswith("another-name") else []})
    await world.write(
        "hold",
        hold_id=hold,
        target=target,
        proposal_id=left_by,
        reason="unknown outcome",
        owner="sre",
        placed_at=world.clock.at,
        body=body,
        digest=digest(body),
    )
    if released_by is not None:
        released = {"hold_id": hold, "proposal_id": None, "released_by": released_by}
        await world.write("hold_release", **released, released_at=world.clock.at)

    result = await execute(world, permit.permit_id)

    assert result.status == ("succeeded" if left_by == "p-0" else "failed")
    assert len(world.target.orders) == (left_by == "p-0")
    if left_by != "p-0":
        assert result.message.startswith("on_hold: ")


@pytest.mark.parametrize("object_name", ["uid-1", "uid-2"])
async def test_a_hold_on_an_object_is_respected_under_another_id(world: World, object_name: str) -> None:
    """A hold that knows the object from another entry of the catalog refuses the claim; one on another does not."""
    hold = uuid4()
    world.resolved = ("memory/wide",)
    found = ResolvedTarget(id="w", resource="memory/wide", object=f"uid-1-{hold}")
    permit = await world.permit(targets=(found,), targets_digest=targets_digest((found,)))
    body = canonical({"resolved": ["memory/narrow", f"object {object_name}-{hold}"]})
    await world.write(
        "hold",
        hold_id=hold,
        target="resource:default/narrow",
        proposal_id="p-0",
        reason="unknown outcome",
        owner="sre",
        placed_at=world.clock.at,
        body=body,
        digest=digest(body),
    )

    result = await execute(world, permit.permit_id)

    assert (result.status, result.message[:9]) == (
        ("failed", "on_hold: ") if object_name == "uid-1" else ("succeeded", "")
    )


async def test_a_void_permit_is_refused(world: World) -> None:
    """A permit that the record has as void is not claimed."""
    permit = await world.permit()
    await world.sql(
        "INSERT INTO countersign.permit_use VALUES ($1, 'void', NULL, 'record', NULL, $2)",
        *(UUID(permit.permit_id), world.clock.at),
    )

    result = await execute(world, permit.permit_id)

    assert result.message.startswith("void: ")
    assert world.target.orders == []


async def test_the_first_report_counts_and_another_is_a_violation(world: World) -> None:
    """A zombie that reports after it was given up gets what counts, and what it said is kept."""
    permit = await world.permit()
    world.target.go_on.clear()
    zombie = asyncio.create_task(execute(world, permit.permit_id))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)
    world.let_attempts_end()
    assert (await observe(world, permit.permit_id, world.process())).status == "unknown"

    world.target.go_on.set()
    result = await zombie

    assert (result.status, result.effect) == ("unknown", "unknown")
    [entry] = await world.entries("violation")
    assert entry["content"]["report"]["status"] == "succeeded"
    assert entry["content"]["counted"]["status"] == "unknown"


async def test_a_standalone_activity_acts_under_a_token_of_its_own(world: World) -> None:
    """Without a workflow the run of the activity itself tells its attempts apart."""
    permit = await world.permit()
    alone = attempt()
    alone.info = dataclasses.replace(alone.info, workflow_run_id=None, workflow_id=None, activity_run_id="alone-1")

    assert (await execute(world, permit.permit_id, alone)).status == "succeeded"

    [use] = await world.rows("permit_use")
    assert use["run_id"] == "alone-1"


async def test_heartbeats_while_it_acts(world: World) -> None:
    """A worker that acts says that it is alive, so that one that died is noticed."""
    permit = await world.permit()
    at, beats = attempt(), asyncio.Event()
    at.on_heartbeat = lambda *_: beats.set()
    world.target.go_on.clear()
    running = asyncio.create_task(at.run(world.activities.execute, ExecuteRequest(permit_id=permit.permit_id)))

    await asyncio.wait_for(beats.wait(), BOUND)

    world.target.go_on.set()
    await running
