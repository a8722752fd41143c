"""What the Kubernetes executor undoes, and what it leaves to people, before an emulated cluster."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from activities.executors.base import (
    PreconditionFailedError,
    TargetChangedError,
)
from tests.integration.executors.kubernetes_emulator import workload
from tests.integration.executors.kubernetes_place import (
    CORDON,
    RESTART,
    SCALE,
    UNCORDON,
    WEB,
    Place,
    placed,
    undoing,
)


@pytest.fixture(name="place")
async def _place(tmp_path: Path) -> AsyncIterator[Place]:
    async with placed(tmp_path) as place:
        yield place


async def test_an_undo_of_what_somebody_changed_since_is_refused_and_changes_nothing(place: Place) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)
    await place.executor.execute(order)
    place.cluster.change("deployment", "shop", "web", replicas=9)

    with pytest.raises(TargetChangedError, match="an undo would overwrite it"):
        await place.executor.execute(undoing(order, SCALE, **WEB, replicas=2))

    assert place.spec()["replicas"] == 9


async def test_an_undo_overwrites_no_other_field_that_somebody_changed_since(place: Place) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)
    await place.executor.execute(order)
    place.cluster.change("deployment", "shop", "web", template=workload(image="shop:2")["template"])

    await place.executor.execute(undoing(order, SCALE, **WEB, replicas=2))

    assert (place.spec()["replicas"], place.image()) == (2, "shop:2")


async def test_an_undo_after_a_later_permit_is_refused(place: Place) -> None:
    first = await place.order(SCALE, **WEB, replicas=5)
    await place.executor.execute(first)
    await place.executor.execute(await place.order(RESTART, **WEB))

    with pytest.raises(TargetChangedError, match="after permit"):
        await place.executor.execute(undoing(first, SCALE, **WEB, replicas=2))

    assert place.spec()["replicas"] == 5


async def test_an_undo_of_what_was_never_reached_keeps_what_may_still_arrive_from_counting(place: Place) -> None:
    """A write that was sent before and comes after it is refused by its resourceVersion."""
    order = await place.order(SCALE, **WEB, replicas=5)
    before = place.cluster.raw("deployment", "shop", "web")["metadata"]["resourceVersion"]

    await place.executor.execute(undoing(order, SCALE, **WEB, replicas=1))

    assert place.cluster.effects == []
    assert place.spec()["replicas"] == 2
    assert place.cluster.raw("deployment", "shop", "web")["metadata"]["resourceVersion"] != before


async def test_an_undo_of_several_undoes_what_it_can_and_names_the_rest(place: Place) -> None:
    place.cluster.add("node", None, "n2", labels={}, spec={})
    one, two = await place.order(CORDON, node="n1"), await place.order(CORDON, node="n2")
    both = replace(one, targets=(*one.targets, *two.targets))
    undo = undoing(both, UNCORDON, node="n1")

    with pytest.raises(PreconditionFailedError, match="not what the parameters name"):
        await place.executor.execute(undo)

    assert place.cluster.effects == []


async def test_an_undo_that_does_not_say_what_it_undoes_is_refused(place: Place) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)
    await place.executor.execute(order)

    with pytest.raises(PreconditionFailedError, match="does not say what it undoes"):
        await place.executor.execute(replace(undoing(order, SCALE, **WEB, replicas=2), undoes=None))

    assert place.spec()["replicas"] == 5


async def test_marks_that_somebody_spoilt_make_an_undo_a_matter_of_people(place: Place) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)
    await place.executor.execute(order)
    found = place.cluster.raw("deployment", "shop", "web")
    found["metadata"]["annotations"]["countersign/wrote"] = "{"
    place.cluster._stored("deployment", "shop", "web", found, found)

    with pytest.raises(TargetChangedError, match="cannot be told any more"):
        await place.executor.execute(undoing(order, SCALE, **WEB, replicas=2))


async def test_of_more_permits_than_are_kept_nobody_is_said_to_have_done_nothing(place: Place) -> None:
    first = await place.order(SCALE, **WEB, replicas=3)
    await place.executor.execute(first)
    for replicas in range(4, 13):
        await place.executor.execute(await place.order(SCALE, **WEB, replicas=replicas))

    assert await place.executor.observe(first) == "unknown"
    with pytest.raises(TargetChangedError, match="cannot be told any more"):
        await place.executor.execute(undoing(first, SCALE, **WEB, replicas=2))
