"""The safer alternative that is offered where nobody answered in time, on a real server."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from activities.auditing import audit
from activities.export import export_action
from tests.world import DOCUMENTS, World, publish_documents
from worker import workflow_runner
from workflows.interface import workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = (
    (
        (DOCUMENTS / "policy.yaml")
        .read_bytes()
        .replace(b"verdict: require_approval, chain: deny-soon", b"verdict: require_approval, chain: offer-soon", 1)
    )
    + b"""  offer-soon:
    stages:
      - {name: ops, requirements: [{groups: [ops]}], deadline: 1s, on_expiry: offer_alternative}
"""
)


@pytest_asyncio.fixture(name="offering", scope="module", loop_scope="module", autouse=True)
async def _offering(world: World) -> AsyncIterator[None]:
    await publish_documents(world.url, POLICY)
    yield
    await publish_documents(world.url, (DOCUMENTS / "policy.yaml").read_bytes())


def alternative(body: Any, operation: str) -> dict[str, Any]:
    """A way to do it with another operation."""
    step = {**body["steps"][0], "operation": operation}
    return {
        "operation": operation,
        "summary": f"do {operation} instead",
        "steps": [step],
        "success_criteria": body["success_criteria"],
    }


async def test_what_is_safer_is_offered_and_not_started(world: World) -> None:
    """The first alternative that is worse on nothing is in the result; started as it stands, it runs."""
    body = world.propose("bench.lapse")
    worse, safer = alternative(body, "bench.put"), alternative(body, "bench.touch")
    body["alternatives"] = [{"operation": "bench.wait", "summary": "only words"}, worse, safer]
    result = await world.run(body)
    assert (result.resolution, result.next_action) == ("expired", "propose_offered")
    assert [reason.code for reason in result.reasons] == ["expired_offer_alternative"]
    assert result.offered is not None
    offered: Any = result.offered.proposal
    assert (offered["proposal_id"], offered["alternative_to"]) == (
        f"{body['proposal_id']}.alternative-3",
        result.proposal_id,
    )
    assert await world.effects(body["proposal_id"]) == []
    (entry,) = await world.entries(body["proposal_id"], "offered")
    assert [item["number"] for item in entry["content"]["considered"]] == [2, 3]
    assert "higher on" in entry["content"]["considered"][0]["why"]
    file = await export_action(world.client, world.database, workflow_id(body["proposal_id"]), at=datetime.now(UTC))
    assert (await audit(file.body(), workflow_runner())).findings == ()
    started = await world.run(offered)
    assert (started.action_digest, started.outcome) == (result.offered.action_digest, "succeeded")


async def test_what_would_be_denied_is_not_offered(world: World) -> None:
    """An alternative that a limit forbids, or that nobody registered, leaves nothing to offer."""
    body = world.propose("bench.lapse")
    body["alternatives"] = [alternative(body, "bench.drop"), alternative(body, "bench.unknown")]
    result = await world.run(body)
    assert (result.next_action, result.offered) == ("propose_anew", None)
    (entry,) = await world.entries(body["proposal_id"], "offered")
    assert [item["offer"] for item in entry["content"]["considered"]] == [None, None]
