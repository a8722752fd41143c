"""The activity `claim`: an executor of the platform's own shows a permit, and gets it once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from activities.claiming import ClaimActivities
from activities.claims import REFUSALS_KEPT
from policy.permit import Permit
from signing.keys import generate
from tests.integration.effects import World, attempt, execute, signed
from tests.permit_keys import KEY, trust
from workflows.messages import ClaimRequest, ClaimResult

PAYROLL: dict[str, Any] = {"executor": "payroll"}


async def claim(world: World, token: str | None, name: str = "job-1") -> ClaimResult:
    """Run the activity for a platform's executor, in another process each time."""
    claiming = ClaimActivities(world.database, world.clock, trust(), frozenset({"memory"}), "worker-1")
    return await attempt().run(claiming.claim, ClaimRequest(permit=token or "", attempt_token=name))


async def issued(world: World, **more: Any) -> Permit:
    """A permit for an executor of the platform's own, with its undo."""
    return await world.permit(signing=lambda permit: signed(permit.model_copy(update=PAYROLL)), **more)


async def test_the_same_attempt_gets_the_same_answer(world: World) -> None:
    """However often it asks, and whichever process answers: one row, and the instant of the first time."""
    permit = await issued(world)

    first = await claim(world, permit.signed)
    world.clock.at += timedelta(minutes=30)
    again = await claim(world, permit.signed)

    assert first == again
    assert (first.status, first.permit_id) == ("claimed", permit.permit_id)
    assert first.claimed_at == permit.issued_at
    [use] = await world.rows("permit_use")
    assert (use["use"], use["used_by"], use["run_id"]) == ("claimed", "worker-1", "run-1")
    assert await world.entries("claim_refused") == []


async def test_another_attempt_is_refused_and_recorded(world: World) -> None:
    """A permit that was claimed is nobody else's."""
    permit = await issued(world)
    await claim(world, permit.signed)

    refused = await claim(world, permit.signed, "job-2")

    assert (refused.status, refused.code) == ("refused", "claimed_by_another")
    assert [entry["content"]["code"] for entry in await world.entries("claim_refused")] == ["claimed_by_another"]


async def test_of_many_attempts_at_once_one_claims(world: World) -> None:
    """Whoever is first has it."""
    permit = await issued(world)

    found = await asyncio.gather(*(claim(world, permit.signed, f"job-{number}") for number in range(8)))

    assert sorted(item.status for item in found) == ["claimed", *["refused"] * 7]
    assert len(await world.rows("permit_use")) == 1


async def test_a_flood_of_attempts_is_bounded(world: World) -> None:
    """The ledger keeps the first refused attempts of a proposal and no flood."""
    permit = await issued(world)

    for number in range(REFUSALS_KEPT + 3):
        await claim(world, permit.signed, f"job-{number}")

    assert len(await world.entries("claim_refused")) == REFUSALS_KEPT


async def test_an_expired_permit_is_refused(world: World) -> None:
    """It was good for five minutes."""
    permit = await issued(world)
    world.clock.at += timedelta(minutes=5, microseconds=1)

    assert (await claim(world, permit.signed)).code == "permit_expired"


async def test_a_permit_of_this_process_is_not_given_away(world: World) -> None:
    """Whoever sees the permit of our own executor cannot use it up, and ours still acts."""
    permit = await world.permit()

    assert (await claim(world, permit.signed)).code == "unknown_executor"

    assert (await execute(world, permit.permit_id)).status == "succeeded"


async def test_a_permit_that_is_not_the_stored_one_is_refused(world: World) -> None:
    """Signed by another key, edited, of nothing that the record has, signed again, or none at all."""
    permit = await issued(world)
    assert permit.signed is not None
    edited = permit.signed[:-2] + ("AA" if not permit.signed.endswith("AA") else "BA")
    cases = {
        "bad_permit_signature": [signed(permit, generate(KEY.id)).signed, edited, "", "a.b.c", "permit"],
        "unknown_permit_key": [signed(permit, generate("another")).signed],
        "unknown_permit": [signed(permit.model_copy(update={"permit_id": str(uuid4())})).signed],
        "permit_mismatch": [signed(permit, run_id="another").signed],
    }
    for code, tokens in cases.items():
        for token in tokens:
            assert (await claim(world, token)).code == code, token
    assert await world.rows("permit_use") == []


@pytest.mark.parametrize("name", ["", "x" * 201])
async def test_an_attempt_has_a_name(world: World, name: str) -> None:
    """Without one, two attempts could not be told apart."""
    permit = await issued(world)

    assert (await claim(world, permit.signed, name)).code == "malformed_permit"


async def test_no_name_passes_for_an_attempt_of_ours(world: World) -> None:
    """The token in a row is no name that anybody can say again."""
    permit = await issued(world)
    await claim(world, permit.signed)
    [use] = await world.rows("permit_use")

    assert (await claim(world, permit.signed, use["attempt_token"])).code == "claimed_by_another"


async def test_an_undo_needs_its_cause_here_too(world: World) -> None:
    """A signed permit to undo is no leave to undo what nobody did."""
    permit = await issued(world)
    undo = (await world.stored_undo(permit)).signed

    assert (await claim(world, undo)).code == "nothing_to_undo"
