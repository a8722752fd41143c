"""Attacks on signed permits: by whoever holds one role's credentials, by whoever copied a permit, and by races."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import DBAPIError

from activities.clock import SystemClock
from activities.database import Database
from activities.dispatch import PermitActivities
from activities.documents import Documents
from activities.proving import Prover
from activities.settings import Role
from activities.tables import PermitRow
from policy.canonical import canonical, digest
from policy.operations import RiskTier
from policy.permit import Direction, Permit, permit_id
from policy.permit_claims import UNNAMED, Grounds, claims_of
from policy.proofs import Assurance
from signing.keys import SigningKey, generate
from signing.permits import sign_permit
from tests.anchors import anchored
from tests.faults.attack import asked, call
from tests.permit_keys import KEY, SIGNER
from tests.world import World, until
from workflows.interface import EXECUTOR_QUEUE
from workflows.messages import DispatchRequest, DispatchResult

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN = generate(KEY.id)
ASSESSED = (
    "SELECT action_digest, digest, policy_digest"
    " FROM countersign.proposal JOIN countersign.assessment USING (proposal_id) WHERE proposal_id = $1"
)
SIGNED = "SELECT permit_id, signed FROM countersign.permit WHERE proposal_id = $1 ORDER BY direction"


def as_role(world: World, role: str) -> Database:
    """The record, with the credentials of one worker role."""
    return Database(world.url.replace("postgres@", f"countersign_{role}@"), pool_size=1)


async def minted(world: World, proposal_id: str, key: SigningKey | None) -> dict[str, Any]:
    """A row that permits the effect of a pending action, as well made as anybody can who cannot sign for us."""
    [found] = await world.sql(ASSESSED, proposal_id)
    now = datetime.now(UTC)
    permit = Permit(
        permit_id=permit_id(proposal_id, 1, 1, Direction.do),
        proposal_id=proposal_id,
        revision=1,
        step=1,
        direction=Direction.do,
        executor="bench",
        operation="bench.put",
        parameters={"key": proposal_id},
        environment="production",
        resolved=("bench/shop",),
        timeout_seconds=5,
        action_digest=found["action_digest"],
        assessment_digest=found["digest"],
        policy_digest=found["policy_digest"],
        resolved_digest=digest(canonical(["bench/shop"])),
        assurance=Assurance.claimed,
        issued_at=now,
        expires_at=now.replace(year=now.year + 1),
    )
    grounds = Grounds(issuer=UNNAMED, risk_tier=RiskTier.low, verdict="allow")
    text = canonical(permit.model_dump(mode="json"))
    return {
        "permit_id": UUID(permit.permit_id),
        "proposal_id": proposal_id,
        "revision": 1,
        "step": 1,
        "direction": "do",
        "action_digest": permit.action_digest,
        "body": text,
        "digest": digest(text),
        "issued_at": permit.issued_at,
        "expires_at": permit.expires_at,
        "signed": None if key is None else sign_permit(claims_of(permit, grounds), key),
    }


async def _insert(world: World, role: str, row: dict[str, Any]) -> str:
    """Write the row with the credentials of a role; what the record says to it."""
    database = as_role(world, role)
    try:
        async with database.transaction() as connection:
            await connection.execute(insert(PermitRow).values(**row))
    except DBAPIError as error:
        return str(error)
    finally:
        await database.close()
    return "written"


@pytest.mark.parametrize("role", ["control", "executor"])
async def test_a_compromised_worker_cannot_mint_a_permit(world: World, role: str) -> None:
    """With everything that a control or an executor worker has, no permit can be written."""
    proposal_id, handle = await asked(world)

    said = await _insert(world, role, await minted(world, proposal_id, OWN))

    assert "permission denied" in said
    assert await world.permits(proposal_id) == []
    await handle.cancel()
    await world.result(handle)


@pytest.mark.parametrize(
    ("code", "key"),
    [("unsigned_permit", None), ("bad_permit_signature", OWN), ("unknown_permit_key", generate("control-1"))],
    ids=["unsigned", "signed by another key of that id", "signed by the control role's key"],
)
async def test_the_permit_role_without_its_key_lets_nothing_happen(
    world: World, code: str, key: SigningKey | None
) -> None:
    """Whoever has the permit role's database credentials, and not its key, writes a row that nobody believes."""
    proposal_id, handle = await asked(world)
    row = await minted(world, proposal_id, key)
    assert await _insert(world, "permit", row) == "written"

    told = await call(world, "execute", EXECUTOR_QUEUE, {"permit_id": str(row["permit_id"])})

    assert (told["status"], told["effect"]) == ("failed", "none")
    assert told["message"].startswith(f"{code}: ")
    assert await world.effects(proposal_id) == []
    assert [entry["content"]["code"] for entry in await world.entries(proposal_id, "claim_refused")] == [code]
    await handle.cancel()
    await world.result(handle)


async def test_a_compromised_control_worker_cannot_act(world: World) -> None:
    """It cannot claim, it holds no target, and asking the executor gets what a permit gives: nothing without one."""
    proposal_id, handle = await asked(world)
    wanted = permit_id(proposal_id, 1, 1, Direction.do)
    database = as_role(world, "control")
    use = (
        "INSERT INTO countersign.permit_use (permit_id, use, attempt_token, used_by, used_at)"
        f" VALUES ('{wanted}', 'claimed', 'mine', 'control', now())"
    )
    try:
        with pytest.raises(DBAPIError, match="row-level security"):
            async with database.transaction() as connection:
                await connection.exec_driver_sql(use)
    finally:
        await database.close()

    told = await call(world, "execute", EXECUTOR_QUEUE, {"permit_id": wanted})

    assert told["message"].startswith("unknown_permit: ")
    assert await world.effects(proposal_id) == []
    await handle.cancel()
    await world.result(handle)


async def test_a_copied_permit_is_used_up(world: World) -> None:
    """Whoever reads the signed permit of a finished action gets nothing for it, from us or from `claim`."""
    body = world.propose("bench.set", undo="bench.unset")
    assert (await world.run(body)).outcome == "succeeded"
    rows = await world.sql(SIGNED, body["proposal_id"])

    for row in rows:
        shown = {"permit": row["signed"], "attempt_token": "copied"}
        told = await call(world, "claim", EXECUTOR_QUEUE, shown)
        assert (told["status"], told["code"]) == ("refused", "unknown_executor")
        await call(world, "execute", EXECUTOR_QUEUE, {"permit_id": str(row["permit_id"])})

    assert await world.effects(body["proposal_id"]) == ["do bench.set"]


async def test_two_dispatchers_that_race_issue_one_permit(world: World) -> None:
    """Several permit workers at once: one permit in each direction, one entry, and one effect."""
    await world.stop_workers()
    await world.start_workers(Role.control)
    body = world.propose("bench.set", undo="bench.unset")
    handle = await world.start(body)
    registered = "SELECT 1 FROM countersign.assessment WHERE proposal_id = $1"
    await until(lambda: world.sql(registered, body["proposal_id"]))

    async def dispatched() -> DispatchResult:
        request = DispatchRequest(proposal_id=body["proposal_id"], revision=1, step=1, now=datetime.now(UTC))
        prover = Prover(accepts_claimed=True)
        return await PermitActivities(
            world.database, Documents(), SystemClock(), prover, SIGNER, anchored(world.anchor)
        ).dispatch(request)

    found = await asyncio.gather(*(dispatched() for _ in range(4)))
    await world.stop_workers()
    await world.start_workers()

    assert (await world.result(handle)).outcome == "succeeded"
    assert len({(item.permit_id, item.undo_permit_id) for item in found}) == 1
    assert await world.permits(body["proposal_id"]) == [(1, "do", "claimed"), (1, "undo", "void")]
    assert await world.effects(body["proposal_id"]) == ["do bench.set"]
    assert len(await world.entries(body["proposal_id"], "dispatched")) == 1


async def test_every_permit_of_a_run_is_signed_for_its_executor(world: World) -> None:
    """Both directions, with the run that asked, in the row and in the entry; a reset run gets the same again."""
    body = world.propose("bench.set", undo="bench.unset")
    handle = await world.start(body)
    await world.result(handle)
    rows = await world.sql(SIGNED, body["proposal_id"])
    [entry] = await world.entries(body["proposal_id"], "dispatched")
    again = await world.start(body)

    assert (await world.result(again)).outcome == "succeeded"
    assert entry["content"]["signed"]["jws"] == [row["signed"] for row in rows]
    assert entry["content"]["signed"]["key"] == {**KEY.public, "kid": KEY.id}
    assert await world.effects(body["proposal_id"]) == ["do bench.set"]
