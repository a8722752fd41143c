"""The permit role compares its own clock with the workflow's before it looks at anything else."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.clock import SystemClock
from activities.database import Database
from activities.dispatch import PermitActivities
from activities.documents import Documents
from activities.proving import Prover
from deploy.dev import Stack
from tests.anchors import anchored
from tests.permit_keys import SIGNER
from tests.world import record
from workflows.messages import DispatchRequest


@pytest.mark.parametrize("off", [timedelta(minutes=2), timedelta(minutes=-2)], ids=["ahead", "behind"])
async def test_clocks_that_disagree_stop_dispatch(stack: Stack, off: timedelta) -> None:
    """A request whose instant is minutes away is answered as stale, and gets no permit."""
    async with record(stack) as name:
        database = Database(stack.database_url("countersign_permit", name))
        prover = Prover(accepts_claimed=True)
        permits = PermitActivities(database, Documents(), SystemClock(), prover, SIGNER, anchored())

        answer = await permits.dispatch(
            DispatchRequest(proposal_id="p", revision=1, step=1, now=datetime.now(UTC) + off)
        )
        await database.close()

    assert answer.stale
    assert answer.permit_id is None
