"""The contract that every executor keeps, whatever it acts on (`activities/executors/base.py`).

A new executor adds its harness to `HARNESSES` and passes all of this.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    TargetChangedError,
    TargetUnreachableError,
)
from deploy.dev import Stack
from tests.integration.executors import HARNESSES
from tests.integration.executors.harness import Harness


@pytest.fixture(name="harness", params=sorted(HARNESSES))
async def _harness(request: pytest.FixtureRequest, stack: Stack) -> AsyncIterator[Harness]:
    async with HARNESSES[request.param](stack) as harness:
        yield harness


def _permit() -> str:
    return str(uuid4())


async def test_what_it_supports_is_among_what_it_carries_out(harness: Harness) -> None:
    supports = harness.executor.supports

    assert supports.operations
    assert supports.dry_runs <= supports.operations
    assert supports.resolves <= supports.operations


async def test_an_order_is_carried_out_once(harness: Harness) -> None:
    order, before = await harness.order(_permit()), await harness.effects()

    await harness.executor.execute(order)

    assert await harness.effects() == before + 1


async def test_the_same_permit_again_does_nothing_more_where_the_target_knows_its_id(harness: Harness) -> None:
    order, before = await harness.order(_permit()), await harness.effects()

    for _ in range(2):
        try:
            await harness.executor.execute(order)
        except PreconditionFailedError:
            assert harness.executor.supports.observes != "by_key"

    assert await harness.effects() == before + 1


async def test_an_operation_that_it_does_not_have_is_refused_and_nothing_is_done(harness: Harness) -> None:
    order, before = await harness.order(_permit()), await harness.effects()

    with pytest.raises(PreconditionFailedError):
        await harness.executor.execute(replace(order, operation="nobody.has.this"))

    assert await harness.effects() == before


async def test_the_order_of_a_dry_run_is_never_carried_out(harness: Harness) -> None:
    order, before = await harness.order(_permit()), await harness.effects()

    with pytest.raises(PreconditionFailedError):
        await harness.executor.execute(replace(order, dry_run=True))

    assert await harness.effects() == before


async def test_an_order_without_targets_touches_nothing(harness: Harness) -> None:
    """Neither without an id of the catalog, nor without what the executor itself resolved."""
    order, before = await harness.order(_permit()), await harness.effects()
    emptied = [replace(order, resolved=(), targets=())]
    if order.operation in harness.executor.supports.resolves:
        emptied.append(replace(order, targets=()))

    for each in emptied:
        with pytest.raises(PreconditionFailedError):
            await harness.executor.execute(each)

    assert await harness.effects() == before


async def test_an_order_that_does_not_fit_is_refused_and_nothing_is_done(harness: Harness) -> None:
    order, before = await harness.misfit(_permit()), await harness.effects()

    with pytest.raises(PreconditionFailedError):
        await harness.executor.execute(order)

    assert await harness.effects() == before


async def test_a_target_that_does_not_answer_is_said_to_be_untouched(harness: Harness) -> None:
    order, before = await harness.order(_permit()), await harness.effects()

    async with harness.unreachable():
        with pytest.raises(TargetUnreachableError) as error:
            await harness.executor.execute(order)
        seen = await harness.executor.observe(order)

    assert seen != "done"
    assert await harness.effects() == before
    assert not any(secret in str(error.value) for secret in harness.secrets)


async def test_a_dry_run_says_what_would_happen_and_changes_nothing(harness: Harness) -> None:
    order, before = await harness.order(_permit()), await harness.effects()
    if order.operation not in harness.executor.supports.dry_runs:
        with pytest.raises(PreconditionFailedError):
            await harness.executor.dry_run(replace(order, dry_run=True))
    else:
        assert await harness.executor.dry_run(replace(order, dry_run=True))

    assert await harness.effects() == before


async def test_what_would_touch_something_is_named_by_ids_and_nothing_is_touched(harness: Harness) -> None:
    inquiry, before = await harness.inquiry(), await harness.effects()
    if inquiry is None:
        assert (await harness.order(_permit())).operation not in harness.executor.supports.resolves
        return
    found = await harness.executor.resolve(inquiry)

    assert found
    assert len({(item.resource, item.id) for item in found}) == len(found)
    assert {item.resource for item in found} <= set(inquiry.resources)
    assert await harness.effects() == before


async def test_a_selector_that_matches_nothing_resolves_to_nothing(harness: Harness) -> None:
    if (inquiry := await harness.empty()) is None:
        return
    try:
        found = await harness.executor.resolve(inquiry)
    except TargetUnreachableError:
        raise
    except PreconditionFailedError:
        return
    assert found == ()


async def test_a_target_that_moved_on_is_left_alone(harness: Harness) -> None:
    order = await harness.order(_permit())
    if not await harness.move():
        return
    before = await harness.effects()

    with pytest.raises(TargetChangedError):
        await harness.executor.execute(order)

    assert await harness.effects() == before


async def test_an_effect_whose_answer_is_lost_is_unknown_and_seen_by_its_key(harness: Harness) -> None:
    if (lost := harness.lost_answer()) is None:
        return
    order, before = await harness.order(_permit()), await harness.effects()
    async with lost:
        with pytest.raises(EffectUnknownError):
            await harness.executor.execute(order)

    assert await harness.effects() == before + 1
    seen = await harness.executor.observe(order)
    assert seen in ({"done"} if harness.executor.supports.observes == "by_key" else {"done", "unknown"})


async def test_looking_tells_what_was_done_from_what_was_not(harness: Harness) -> None:
    order, before = await harness.order(_permit()), await harness.effects()
    seen_before = await harness.executor.observe(order)

    await harness.executor.execute(order)

    assert seen_before != "done"
    assert await harness.executor.observe(order) in (
        {"unknown"} if harness.executor.supports.observes == "never" else {"done", "unknown"}
    )
    assert await harness.effects() == before + 1


async def test_an_undo_done_twice_leaves_what_done_once_leaves(harness: Harness) -> None:
    order, before = await harness.order(_permit()), await harness.state()
    if (undo := harness.undo(order)) is None:
        return
    await harness.executor.execute(order)
    states = []
    for _ in range(2):
        await harness.executor.execute(undo)
        states.append(await harness.state())

    assert states == [before, before]


async def test_a_stop_within_an_effect_ends_it_in_time(harness: Harness) -> None:
    order = await harness.slow(_permit())
    if order is None:
        assert harness.executor.supports.stops == "between"
        return
    order.stop.set()

    with pytest.raises(ExecutorError):
        await harness.executor.execute(order)


async def test_a_probe_that_it_does_not_have_is_an_error_and_no_value(harness: Harness) -> None:
    order: Order = await harness.order(_permit())

    with pytest.raises(ProbeError):
        await harness.executor.measure(ProbeOrder("nobody.has.this", {}, order.resolved[0]))


async def test_no_secret_is_shown_where_it_is_printed(harness: Harness) -> None:
    shown = f"{harness.executor!r} {harness.executor.__dict__} {await harness.order(_permit())!r}"

    assert not any(secret in shown for secret in harness.secrets)
