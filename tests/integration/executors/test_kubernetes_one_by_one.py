"""A step that takes one object after the other is marked, and undone, object by object."""

import asyncio
from pathlib import Path

import pytest

from activities import stepping
from activities.executors.base import Inquiry
from policy.permit import Direction
from policy.targets import without_versions
from tests.integration.executors.kubernetes_place import RESOURCE, SCALE, WEB, placed
from tests.unit.permitted import permit


@pytest.mark.parametrize("one_by_one", [False, True])
async def test_what_was_done_is_undone_whichever_way_it_was_taken(tmp_path: Path, one_by_one: bool) -> None:
    async with placed(tmp_path) as place:
        found = await place.executor.resolve(Inquiry(SCALE, WEB | {"replicas": 5}, (RESOURCE,), "production"))
        common = {"executor": "kubernetes", "operation": SCALE, "resolved": (RESOURCE,), "one_by_one": one_by_one}
        do = permit(Direction.do, **common, parameters=WEB | {"replicas": 5}, targets=found)
        back = permit(Direction.undo, **common, parameters=WEB | {"replicas": 2}, targets=without_versions(found))

        ends_at = asyncio.get_running_loop().time() + 30
        done = await stepping.do({"kubernetes": place.executor}, do, ends_at, ())
        raised = place.spec()["replicas"]
        undone = await stepping.undo(place.executor, back, done.touched)

        assert (done.acted.effect, raised) == ("done", 5)
        assert (undone.acted.effect, undone.acted.message, place.spec()["replicas"]) == ("done", "", 2)
