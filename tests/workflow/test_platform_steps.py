"""An action whose step runs on a platform's queue, in its own Temporal namespace: from the proposal to the outcome."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from temporalio.exceptions import ApplicationError

from activities.executors.base import TargetCredentials
from activities.executors.temporal import make
from deploy.dev import Stack
from policy.permit_claims import UNNAMED
from tests.integration.executors.platform import EXECUTOR, Platform, platform_workers
from tests.permit_keys import KEY
from tests.world import DOCUMENTS, World, whole_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

PARAMETERS = b"parameters: {order: {type: string}, amount: {type: integer}}"
OPERATIONS = (
    (DOCUMENTS / "operations.yaml").read_bytes()
    + b"""
  - {name: orders.refund, executor: billing, resolves: true, severity: 5, inverse: [orders.take_back], PARAMETERS}
  - {name: orders.take_back, executor: billing, resolves: true, severity: 5, needs_no_undo: true, PARAMETERS}
""".replace(b"PARAMETERS", PARAMETERS)
)
CATALOG = (DOCUMENTS / "catalog.yaml").read_bytes() + b"".join(
    b"""
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: NAME
  annotations: {countersign/environment: production, countersign/criticality: low, countersign/resource-id: RESOURCE}
spec: {owner: team-billing}
""".replace(b"NAME", name).replace(b"RESOURCE", resource)
    for name, resource in ((b"till", b"billing/till"), (b"other-till", b"billing/other"))
)
POLICY = (
    (DOCUMENTS / "policy.yaml")
    .read_bytes()
    .replace(b"[bench.touch, ", b"[orders.refund, orders.take_back, bench.touch, ", 1)
)


@dataclass
class Place:
    """Countersign's world and the platform's, on two servers."""

    world: World
    platform: Platform


@pytest_asyncio.fixture(
    name="place", scope="module", loop_scope="module", params=[False, True], ids=["activity", "workflow"]
)
async def _place(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    believed: dict[str, Any] = {"key": KEY, "issuer": UNNAMED, "accepts_claimed": True}
    async with platform_workers(stack.temporal_address, tmp_path_factory.mktemp("used"), **believed) as platform:
        entry = platform.entry(stack.temporal_address, workflow=request.param)
        executors = {EXECUTOR: make(EXECUTOR, entry, TargetCredentials({}))}
        async with whole_world(stack, OPERATIONS, CATALOG, POLICY, executors=executors) as world:
            platform.answer = None
            yield Place(world, platform)


def refund(world: World, *, expects: int = 12, target: str = "till", **more: Any) -> dict[str, Any]:
    """A proposal to refund an order; success is what the platform's own activity reads of it."""
    body: dict[str, Any] = world.propose("orders.refund", undo="orders.take_back", target=target, **more)
    parameters = {"order": body["proposal_id"], "amount": 12}
    body["steps"][0]["parameters"] = parameters
    body["steps"][0]["undo"]["parameters"] = parameters
    probe = {"probe": "orders.refunded", "parameters": {"order": body["proposal_id"]}}
    body["success_criteria"] = [{**probe, "equals": expects, "within_seconds": 0}]
    return body


@pytest.fixture(name="till")
def _till(place: Place) -> Any:
    """What the platform booked, forgetting what it answered in the test before."""
    place.platform.answer = place.platform.raises = None
    place.platform.till.booked = 0
    return place.platform.till


async def test_a_step_runs_on_the_platforms_queue_and_is_measured_by_its_activity(place: Place, till: Any) -> None:
    """Allowed, permitted, carried out once under the permit's id by a worker that verified it, and read back."""
    body = refund(place.world)
    result = await place.world.run(body)

    assert (result.resolution, result.outcome) == ("approved", "succeeded")
    assert (till.booked, till.refunded[body["proposal_id"]]) == (1, 12)
    assert await place.world.permits(body["proposal_id"]) == [(1, "do", "claimed"), (1, "undo", "void")]
    [reported] = await place.world.entries(body["proposal_id"], "reported")
    [measured] = reported["content"]["report"]["measurements"]
    assert (measured["probe"], measured["value"], measured["met"]) == ("orders.refunded", 12, True)


async def test_what_the_platform_reads_undoes_it(place: Place, till: Any) -> None:
    """The platform's own activity reads something else than was promised: its undo runs on its queue, too."""
    body = refund(place.world, expects=99)
    result = await place.world.run(body)

    assert result.outcome == "compensated"
    assert till.booked == 1
    assert body["proposal_id"] not in till.refunded
    assert [use for _, _, use in await place.world.permits(body["proposal_id"])] == ["claimed", "claimed"]


async def test_what_the_worker_refuses_is_not_executed(place: Place, till: Any) -> None:
    """Nothing was done, nothing is undone, and no hold is left."""
    body = refund(place.world)
    body["steps"][0]["parameters"]["amount"] = 5000
    result = await place.world.run(body)

    assert result.outcome == "not_executed"
    assert "more than anybody paid" in result.reasons[0].message
    assert (till.booked, await place.world.holds("till")) == (0, [])


async def test_a_worker_that_breaks_leaves_an_unknown_outcome_and_a_hold(place: Place, till: Any) -> None:
    """Nobody runs it again, on whatever queue."""
    body = refund(place.world, target="other-till")
    place.platform.raises = ApplicationError("broke half-way")
    result = await place.world.run(body)

    assert (result.outcome, result.next_action) == ("outcome_unknown", "ask_a_person")
    assert await place.world.holds("other-till") == [body["proposal_id"]]
    assert till.booked == 0


async def test_a_dry_run_is_rehearsed_by_the_worker(place: Place, till: Any) -> None:
    body = refund(place.world, dry_run=True)
    result = await place.world.run(body)

    assert (result.outcome, [reason.code for reason in result.reasons]) == ("not_executed", ["rehearsed"])
    assert f"would refund 12 of order {body['proposal_id']}" in result.reasons[0].message
    assert till.booked == 0
