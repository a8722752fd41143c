"""The executor role under the permit of a dry run: it rehearses, whoever asks for what."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from activities.acting import act
from activities.executors.base import EffectUnknownError, ExecutorError, Order, PreconditionFailedError
from policy.canonical import digest
from tests.integration.effects import BOUND, World, attempt, execute, observe, undo_of

DRY = b'{"dry_run":true}'


async def test_the_step_and_its_undo_are_rehearsed_and_reported(world: World) -> None:
    """One report with both; the digests of what exactly was rehearsed are beside it, and no effect is counted."""
    permit = await world.permit(proposal=DRY, dry_run=True)

    told = await execute(world, permit.permit_id)
    report = await world.report(permit.permit_id)
    (row,) = await world.rows("effect_report")
    (use,) = await world.rows("permit_use")

    assert (told.status, told.effect) == ("succeeded", "none")
    assert report is not None
    assert (report.dry_run, report.rehearsed, report.succeeded, report.failed) == (True, True, False, False)
    assert [(order.direction, order.dry_run) for order in world.target.rehearsed] == [("do", True), ("undo", True)]
    assert (world.target.orders, world.target.measured) == ([], 0)
    assert row["rehearsed"] == row["undo_rehearsed"] == permit.order_digest
    assert (row["undone_by"], use["effect"]) == (None, None)


@pytest.mark.parametrize(
    "error",
    [
        PreconditionFailedError("no"),
        ExecutorError("no"),
        EffectUnknownError("no"),
        RuntimeError("no"),
        TimeoutError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_rehearsal_raises_is_no_effect(world: World, error: BaseException) -> None:
    """It failed, nothing was done, nothing was proved."""
    permit = await world.permit(proposal=DRY, dry_run=True)
    world.target.fails_with = error

    told = await execute(world, permit.permit_id)

    assert (told.status, told.effect, told.message) == ("failed", "none", "dry run, nothing is changed: no")
    (row,) = await world.rows("effect_report")
    assert (row["rehearsed"], row["undo_rehearsed"]) == (None, None)


async def test_a_rehearsal_that_takes_too_long_is_ended(world: World) -> None:
    """The permitted seconds are for the step and its undo together."""
    permit = await world.permit(proposal=DRY, dry_run=True, timeout_seconds=1)
    world.target.go_on.clear()

    told = await execute(world, permit.permit_id)

    assert (told.status, told.effect) == ("failed", "none")
    assert "no answer within the permitted 1 s" in told.message


async def test_an_attempt_that_left_no_report_did_nothing(world: World) -> None:
    """It is not observed on the target, it is no unknown effect, and nobody acts again."""
    permit = await world.permit(proposal=DRY, dry_run=True)
    world.target.go_on.clear()
    world.target.seen = "done"
    running = asyncio.create_task(execute(world, permit.permit_id))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)
    world.let_attempts_end()

    told = await observe(world, permit.permit_id, world.process())
    world.target.go_on.set()
    await running

    assert (told.status, told.effect) == ("failed", "none")
    assert len(world.target.orders) == 0
    report = await world.report(permit.permit_id)
    assert report is not None
    assert (report.dry_run, report.effect) == (True, "none")


async def test_nothing_is_undone_after_a_dry_run(world: World) -> None:
    """The undo permit cannot be claimed, before it and after it, and however the step was reported."""
    permit = await world.permit(proposal=DRY, dry_run=True)
    early = await execute(world, undo_of(permit), attempt(activity="undo"))
    await execute(world, permit.permit_id)
    late = await execute(world, undo_of(permit), attempt(activity="undo again"))

    assert [told.message for told in (early, late)] == ["nothing_to_undo: a dry run changed nothing"] * 2
    assert world.target.orders == []


@pytest.mark.parametrize(("proposal", "dry_run"), [(DRY, False), (b"{}", True)], ids=["to an effect", "to a dry run"])
async def test_a_permit_that_says_otherwise_than_its_proposal_is_refused(
    world: World, proposal: bytes, dry_run: bool
) -> None:
    """Whoever can write permits cannot turn an approved dry run into an effect, nor an effect into a dry run."""
    permit = await world.permit(proposal=proposal, dry_run=dry_run)

    told = await execute(world, permit.permit_id)

    assert (told.status, told.effect) == ("failed", "none")
    assert told.message.startswith("dry_run_mismatch: ")
    assert (world.target.orders, world.target.rehearsed) == ([], [])
    assert [entry["content"]["code"] for entry in await world.entries("claim_refused")] == ["dry_run_mismatch"]


async def test_a_stored_permit_cannot_lose_its_mark(world: World) -> None:
    """Its row cannot be changed, not even by a superuser."""
    permit = await world.permit(proposal=DRY, dry_run=True)
    body = json.dumps(permit.model_dump(mode="json") | {"dry_run": False}).encode()
    connection = await asyncpg.connect(world.url)
    with pytest.raises(asyncpg.PostgresError, match=r"the record is append-only"):
        await connection.execute(
            "UPDATE countersign.permit SET body = $1, digest = $2 WHERE proposal_id = $3",
            *(body, digest(body), world.proposal),
        )
    await connection.close()


async def test_acting_refuses_the_permit_of_a_dry_run(world: World) -> None:
    """The one place where effects begin does not begin one, whoever gets there with such a permit."""
    permit = await world.permit(proposal=DRY, dry_run=True)
    acted: Any = await act(world.target, permit, Order.under(permit))
    assert (acted.effect, world.target.orders) == ("none", [])
