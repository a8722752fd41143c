"""The executor role believes a permit by its signature: what the record holds is not enough."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from activities.database import Database
from activities.permit_trust import ClaimedTargets
from deploy.dev import Stack
from policy.operations import RiskTier
from policy.permit import Direction, Permit
from policy.permit_claims import UNNAMED, approval_of
from policy.proofs import Assurance
from signing.keys import SigningKey, generate
from signing.permits import PermitKeys, registered, sign_permit, verify_permit
from tests.copies import create_migrated
from tests.integration.effects import Signing, World, attempt, execute, met, signed, undo_of
from tests.permit_keys import KEY, KEYS, trust
from tests.unit.signed import ANN, AUDIENCE, BEN, PLATFORM, STRANGER, by_key, statement
from tests.world import publish_documents

BEFORE = "2030-01-01T11:59:30Z"
CONTROL, OTHER, OLD = generate("control-1"), generate(KEY.id), generate("permit-old")


def claiming(**changes: Any) -> Signing:
    """Signs other claims than those of the permit."""

    def sign(permit: Permit) -> Permit:
        said = verify_permit(signed(permit).signed or "", KEYS)
        return permit.model_copy(update={"signed": sign_permit({**said, **changes}, KEY)})

    return sign


def resting_on(**grounds: Any) -> Signing:
    """Signs what rests on something else."""
    return lambda permit: signed(permit, **grounds)


def by(key: SigningKey) -> Signing:
    """Signs with another key."""
    return lambda permit: signed(permit, key)


def _edited(permit: Permit) -> Permit:
    """The signature of a permit whose row says something else by now."""
    return permit.model_copy(update={"signed": signed(permit.model_copy(update={"parameters": {"a": 1}})).signed})


def _undo_only(permit: Permit) -> Permit:
    """The permit to undo is not signed; that to do is."""
    return permit if permit.direction is Direction.undo else signed(permit)


REFUSED: dict[str, tuple[str, Signing]] = {
    "not signed": ("unsigned_permit", lambda permit: permit),
    "its undo not signed": ("unsigned_permit", _undo_only),
    "edited in the record, digest and all": ("permit_mismatch", _edited),
    "with a longer life than its row": ("permit_mismatch", claiming(exp=4102444800)),
    "of another permit": ("permit_mismatch", claiming(jti=str(uuid4()))),
    "signed by another key of that id": ("bad_permit_signature", by(OTHER)),
    "signed by the control role's key": ("unknown_permit_key", by(CONTROL)),
    "for another executor": ("wrong_audience", claiming(aud="unnamed/payroll")),
    "of another installation": ("wrong_issuer", resting_on(issuer="countersign/test")),
    "by a clock that is ahead": ("permit_not_yet", claiming(nbf=4102444800)),
    "approved by people, and carries nothing": (
        "approval_unproven",
        resting_on(risk_tier=RiskTier.high, verdict="require_approval"),
    ),
}


@pytest.mark.parametrize(("code", "signing"), REFUSED.values(), ids=REFUSED)
async def test_a_permit_that_is_not_believed_does_nothing(world: World, code: str, signing: Signing) -> None:
    """It is refused before it is claimed, and the try is evidence."""
    permit = await world.permit(signing=signing)

    result = await execute(world, permit.permit_id)

    assert (result.status, result.effect) == ("failed", "none")
    assert result.message.startswith(f"{code}: ")
    assert [entry["content"]["code"] for entry in await world.entries("claim_refused")] == [code]
    assert await world.rows("permit_use") == []
    assert world.target.orders == []


async def test_a_rotated_key_is_believed_and_a_revoked_one_is_not(world: World) -> None:
    """An undo is carried out after its key gave way to another; once the key is revoked, nothing is."""
    at = world.clock.at
    permit = await world.permit(criteria=(met(False),), signing=by(OLD))
    rotated = registered(OLD).model_copy(update={"until": at + timedelta(minutes=1)})
    revoked = rotated.model_copy(update={"revoked_at": at})
    before = world.process(trust(PermitKeys({KEY.id: registered(KEY), OLD.id: rotated})))
    after = world.process(trust(PermitKeys({KEY.id: registered(KEY), OLD.id: revoked})))
    assert (await execute(world, permit.permit_id, by=before)).status == "failed"
    world.clock.at += timedelta(hours=1)

    refused = await execute(world, undo_of(permit), attempt(activity="undo", run="run-2"), after)
    undone = await execute(world, undo_of(permit), attempt(activity="undo"), before)

    assert refused.message.startswith("revoked_permit_key: ")
    assert (undone.status, undone.effect) == ("succeeded", "done")


ASSURANCES: dict[str, tuple[bool, Assurance, str, ClaimedTargets]] = {
    "claimed, and not asked for": (False, Assurance.claimed, "test", ClaimedTargets()),
    "claimed, asked for, at a target that is not marked": (
        False,
        Assurance.claimed,
        "test",
        ClaimedTargets(accepted=True),
    ),
    "claimed, asked for, at a target that is no production": (
        True,
        Assurance.claimed,
        "test",
        ClaimedTargets(accepted=True, others=frozenset({"memory/a"})),
    ),
    "claimed, asked for, in an environment of that name": (
        False,
        Assurance.claimed,
        "production",
        ClaimedTargets(accepted=True, others=frozenset({"memory/a"})),
    ),
    "claimed, in production, on a local stack": (
        True,
        Assurance.claimed,
        "production",
        ClaimedTargets(accepted=True, in_production=True),
    ),
    "claimed, in production, and not asked for": (
        False,
        Assurance.claimed,
        "production",
        ClaimedTargets(in_production=True),
    ),
    "a key, in production": (True, Assurance.aal1, "production", ClaimedTargets()),
}


@pytest.mark.parametrize(("acts", "assurance", "environment", "claimed"), ASSURANCES.values(), ids=ASSURANCES)
async def test_claimed_identities_change_nothing_in_production(
    world: World, acts: bool, assurance: Assurance, environment: str, claimed: ClaimedTargets
) -> None:
    """An executor acts on claimed identities only where it was started for that, and never at a production target."""
    world.assurance, world.environment = assurance, environment
    permit = await world.permit()

    result = await execute(world, permit.permit_id, by=world.process(trust(claimed=claimed)))

    assert len(world.target.orders) == acts
    if not acts:
        assert result.message.startswith("assurance_not_accepted: ")
        assert await world.rows("permit_use") == []


async def test_an_adapter_can_hand_the_permit_on(world: World) -> None:
    """The order has the signed permit, so that whoever acts in the end can verify it."""
    permit = await world.permit()

    await execute(world, permit.permit_id)

    [order] = world.target.orders
    assert order.signed == permit.signed
    assert verify_permit(order.signed or "", KEYS)["jti"] == permit.permit_id
    assert (permit.signed or "") not in repr(order)


# -- approvals that a permit carries -----------------------------------------------------------------------------------


@pytest_asyncio.fixture(name="known", scope="module", loop_scope="module")
async def _known(stack: Stack) -> AsyncIterator[tuple[str, str]]:
    """A record whose directory knows Ann's key, and that Ben's was revoked."""
    name = f"approvals_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(stack.database_url("postgres", "postgres"))
    await create_migrated(stack, name)
    url = stack.database_url("postgres", name)
    directory = {
        "apiVersion": "countersign/v1",
        "kind": "Directory",
        "metadata": {"name": "people", "version": "1"},
        "audience": AUDIENCE,
        "people": [
            {"id": "ann", "keys": [{"id": "ann-1", "jwk": ANN.public}]},
            {"id": "ben", "keys": [{"id": "ben-1", "jwk": BEN.public, "revoked_at": "2029-01-01T00:00:00Z"}]},
        ],
        "agents": [{"id": "tuner", "owner": "ben", "keys": [{"id": PLATFORM.id, "jwk": PLATFORM.public}]}],
    }
    await publish_documents(url, json.dumps(directory).encode())
    yield name, url
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest_asyncio.fixture(name="house")
async def _house(stack: Stack, known: tuple[str, str]) -> AsyncIterator[World]:
    name, url = known
    admin = await asyncpg.connect(stack.database_url("postgres", "postgres"))
    owner, database = Database(url), Database(stack.database_url("countersign_executor", name))
    yield World(admin=admin, name=name, url=url, owner=owner, database=database)
    await owner.close()
    await database.close()
    await admin.close()


def _said(world: World, key: SigningKey = ANN, **changes: Any) -> dict[str, Any]:
    """An approval of the world's action, signed."""
    said = statement(proposal_id=world.proposal, action_digest=world.action_digest, **changes)
    return by_key(said, key)


APPROVALS: dict[str, tuple[str | None, Callable[[World], list[dict[str, Any]]]]] = {
    "one that holds": (None, lambda world: [_said(world)]),
    "none": ("carries no approval", lambda _: []),
    "by a key that was revoked": ("was revoked", lambda world: [_said(world), _said(world, BEN)]),
    "by another key of that id": ("does not verify", lambda world: [_said(world, STRANGER)]),
    "by a key that nobody has": ("has no key", lambda world: [_said(world, generate("who"))]),
    "a denial": ("is no approval of this action", lambda world: [_said(world, vote="deny")]),
    "of another action": (
        "is no approval of this action",
        lambda world: [by_key(statement(proposal_id=world.proposal, action_digest="sha256:" + "1" * 64))],
    ),
    "of another proposal": (
        "is no approval of this action",
        lambda world: [by_key(statement(proposal_id="another", action_digest=world.action_digest))],
    ),
    "for another installation": (
        "audience is 'countersign/test'",
        lambda world: [_said(world, audience="countersign/test")],
    ),
    "of the platform, by its agent's key": (
        "identity tuner is no person of the directory",
        lambda world: [_said(world), _said(world, PLATFORM)],
    ),
    "taken after it had expired": ("the decision expired", lambda world: [_said(world, expires_at=BEFORE)]),
    "a name alone": (
        "is only claimed",
        lambda world: [{**_said(world), "proof": {"kind": "claimed", "identity": "ann"}}],
    ),
}


@pytest.mark.parametrize("tier", [RiskTier.high, RiskTier.critical])
@pytest.mark.parametrize(("why", "approvals"), APPROVALS.values(), ids=APPROVALS)
async def test_what_is_high_is_done_by_approvals_that_hold(
    house: World, why: str | None, approvals: Callable[[World], list[dict[str, Any]]], tier: RiskTier
) -> None:
    """The permit role's word is not enough: each approval is proved again, by the directory of today."""
    carried = tuple(approval_of(item, datetime(2030, 1, 1, 12, tzinfo=UTC)) for item in approvals(house))
    grounds = {"issuer": AUDIENCE, "risk_tier": tier, "verdict": "require_approval", "approvals": carried}
    house.assurance = Assurance.aal1
    permit = await house.permit(signing=resting_on(**grounds))

    result = await execute(house, permit.permit_id, by=house.process(trust(claimed=ClaimedTargets())))

    assert len(house.target.orders) == (why is None), result.message
    if why is not None:
        assert result.message.startswith("approval_unproven: ")
        assert why in result.message


@pytest.mark.parametrize("kind", ["key", "claimed"])
async def test_an_approval_is_no_weaker_than_its_permit_says(house: World, kind: str) -> None:
    """A compromised permit role writes `aal2` over a name that was claimed, or a key; nothing happens by either."""
    said = _said(house)
    said = said if kind == "key" else {**said, "proof": {"kind": "claimed", "identity": "ann"}}
    carried = (approval_of(said, datetime(2030, 1, 1, 12, tzinfo=UTC)),)
    house.assurance, house.environment = Assurance.aal2, "production"
    grounds = {"issuer": AUDIENCE, "risk_tier": RiskTier.high, "verdict": "require_approval", "approvals": carried}
    permit = await house.permit(signing=resting_on(**grounds))

    by = house.process(trust(claimed=ClaimedTargets(accepted=True)))
    result = await execute(house, permit.permit_id, by=by)

    assert house.target.orders == []
    assert "the permit says aal2" in result.message


async def test_an_approval_that_is_malformed_is_a_refusal(house: World) -> None:
    """Whatever the permit role signs, an executor answers with a typed refusal."""
    house.action_digest = "sha256:" + "2" * 64
    for item in ({}, {"signed": "!", "proof": {}, "seen_at": "now"}, {"signed": 1}, {"signed": "e30", "proof": {}}):
        house.proposal = f"p-{uuid4().hex}"
        grounds = {"issuer": AUDIENCE, "risk_tier": RiskTier.high, "verdict": "hold", "approvals": (item,)}
        permit = await house.permit(signing=resting_on(**grounds))
        result = await execute(house, permit.permit_id)
        assert result.message.startswith("approval_unproven: ")
        assert "malformed" in result.message
    assert house.target.orders == []


async def test_a_named_installation_takes_no_permit_of_an_unnamed_one(house: World) -> None:
    """What was signed before the installation had a name is refused."""
    permit = await house.permit(signing=resting_on(issuer=UNNAMED))

    assert (await execute(house, permit.permit_id)).message.startswith("wrong_issuer: ")


async def test_two_dispatchers_that_sign_at_once_leave_one_permit(world: World) -> None:
    """The second row of a step is refused by the database, whatever is signed."""
    await world.permit()
    again = [asyncio.create_task(world.permit(signing=by(OLD))) for _ in range(2)]

    found = await asyncio.gather(*again, return_exceptions=True)

    assert all("permit_" in str(item) for item in found), found
    assert len(await world.rows("permit")) == 2
