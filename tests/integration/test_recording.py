"""The end of an action that anybody asks for, and what it leaves for the ones that come later."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from activities.clock import SystemClock
from activities.documents import Documents
from activities.house import HouseActivities
from activities.observing import observe
from cli.policy import publish_one
from deploy.dev import Stack
from policy.permit import Direction
from policy.proposal import receive
from tests.integration.left_behind import (
    OVERDUE,
    UNDO_OVERDUE,
    assessed,
    claimed,
    forget_holds,
    recorded,
    reported,
    unasked,
)
from tests.replay import recording as scenes
from tests.replay.recording import DOCUMENTS, Recording, recording

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(name="place", scope="module", loop_scope="module")
async def _place(own_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recording]:
    documents = unasked(tmp_path_factory.mktemp("recording") / "documents")
    async with recording(own_stack, documents=documents) as place:
        yield place


async def test_nobody_ends_an_action_before_its_undo(place: Recording) -> None:
    """`record` by itself voids no undo that is due: it is not over until no attempt of the undo can come any more."""
    await claimed(place, "due")
    await reported(place, "due", met=False)

    at_once, later = await recorded(place, "due", SystemClock()), await recorded(place, "due", OVERDUE)
    at_last = await recorded(place, "due", UNDO_OVERDUE)

    assert at_once.stale
    assert later.stale
    assert at_last.result is not None
    assert at_last.result.outcome == "compensation_failed"


async def test_an_undo_that_runs_is_given_all_of_its_attempts(place: Recording) -> None:
    """A claimed undo that has not reported is no reason to end the action after the time of one attempt."""
    await claimed(place, "trying", claims=(Direction.do, Direction.undo))
    await reported(place, "trying", met=False)

    early, late = await recorded(place, "trying", OVERDUE), await recorded(place, "trying", UNDO_OVERDUE)

    assert early.stale
    assert late.result is not None


async def test_whose_undo_is_reported_is_over_at_once(place: Recording) -> None:
    """The last attempt of an undo reports, and then there is nothing to wait for; nor is there after success."""
    await claimed(place, "over", claims=(Direction.do, Direction.undo))
    await reported(place, "over", met=False)
    await reported(place, "over", Direction.undo, met=True)
    await claimed(place, "good")
    await reported(place, "good", met=True)

    over, good = await recorded(place, "over", SystemClock()), await recorded(place, "good", SystemClock())

    assert over.result is not None
    assert good.result is not None
    assert (over.result.outcome, good.result.outcome) == ("compensated", "succeeded")


async def publish_catalog(place: Recording, body: bytes) -> None:
    url = place.stack.database_url("postgres", "countersign")
    await publish_one(url, "catalog", body, by="tests", at=datetime.now(UTC))


async def test_another_name_in_the_catalog_lifts_no_hold(place: Recording) -> None:
    """What is under hold is the resource: who proposes to act on it by a new name is denied."""
    await claimed(place, "held")
    await HouseActivities(place.database, place.client, Documents(), OVERDUE, None).sweep()
    catalog = (DOCUMENTS / "catalog.yaml").read_bytes()
    await publish_catalog(place, catalog.replace(b"scratch-db", b"renamed-db"))
    renamed = scenes.proposal("renamed", scratch=True, target="resource:default/renamed-db")

    answer = await assessed(place, renamed)

    await publish_catalog(place, catalog)
    await forget_holds(place)
    assert answer.result is not None
    assert [reason.code for reason in answer.result.reasons] == ["on_hold"]


async def test_only_people_make_an_effect_riskier_by_denying_it(place: Recording) -> None:
    """What a rule denied says nothing to later proposals of the same effect; what a person denied does."""
    await claimed(place, "holding")
    await HouseActivities(place.database, place.client, Documents(), OVERDUE, None).sweep()
    by_rule = scenes.proposal("by-rule", scratch=True)
    answer = await assessed(place, by_rule)
    await forget_holds(place)
    await scenes.denied_by_person(place, "by-person")
    later = [receive(scenes.proposal("later", scratch=scratch)) for scratch in (True, False)]

    async with place.database.snapshot() as connection:
        in_force = await Documents().in_force(connection)
        found = [(await observe(connection, item, in_force, datetime.now(UTC))).denials for item in later]

    assert answer.result is not None
    assert answer.result.resolution == "denied"
    assert [tuple(item.proposal_id for item in one) for one in found] == [(), ("by-person",)]
