"""An operator with every credential of the command line cannot alone make a denied action allowed. Real servers.

Each attack fails, leaves evidence, and at its end what was denied is denied. What the operator does not have is the
owner's database role; what happens with that is at the end: it shows.
"""

import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from activities.auditing_publications import UNSIGNED, Governed, audit_publications
from activities.database import Database
from activities.settings import Role, SettingsError
from cli import exits
from deploy.dev import Stack
from policy.base import instant_text
from policy.canonical import digest
from policy.decision import Refusal
from policy.errors import DocumentError
from policy.people.directory import Delegation
from policy.proofs import Assurance, Domain
from signing.keys import SigningKey
from tests.faults.governors import AUDIENCE, ENDED, KEYS, NEW, POLICY, Place, bodies, directory, governed_place, held
from tests.permit_keys import settings
from tests.unit.signed import RSA, by_key, by_token
from tests.world import decision, until
from worker import running_workers

pytestmark = pytest.mark.asyncio(loop_scope="module")
OLGA, OTHER, ANN, BEN, BOT = (KEYS[name] for name in ("olga-1", "olga-2", "ann-1", "ben-1", "bot-1"))


@pytest_asyncio.fixture(name="place", scope="module", loop_scope="module")
async def _place(stack: Stack) -> AsyncIterator[Place]:
    async with governed_place(stack) as place:
        yield place


@pytest_asyncio.fixture(name="operator", loop_scope="module")
async def _operator(place: Place, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    """The place with the operator's variables; afterwards what is in force is as before, and so is what is denied."""
    for name in os.environ:
        if name.startswith(("TEMPORAL_", "COUNTERSIGN_")):
            monkeypatch.delenv(name)
    for name, value in place.environ.items():
        monkeypatch.setenv(name, value)
    before = await place.in_force()
    yield place
    assert await place.in_force() == before
    await place.denied()


async def _audited(place: Place) -> Governed:
    reader = Database(place.environ["COUNTERSIGN_DATABASE_URL"], pool_size=1)
    async with reader.snapshot() as connection:
        found = await audit_publications(connection, datetime.now(UTC))
    await reader.close()
    return found


LATER = instant_text(datetime.now(UTC) + timedelta(days=30))
# what she would change in the policy so that what is denied is allowed
MILDER: dict[str, tuple[str, str]] = {
    "unset a limit": ("no-drop, match: {operations: [bench.drop]}", "no-drop, match: {operations: [bench.take]}"),
    "lift a freeze": ("{operations: [bench.set]}, reason: nothing is set", "{operations: [bench.take]}, reason: no"),
    "extend an exception": (f'expires_at: "{ENDED}"', f'expires_at: "{LATER}"'),
    "ask for no proof": ("proofs: [{assurance: aal1}]\n", ""),
}


@pytest.mark.parametrize(("old", "new"), MILDER.values(), ids=MILDER)
async def test_a_milder_policy_that_she_approves_alone(operator: Place, old: str, new: str) -> None:
    """Drafted in Ann's name, it has her own vote and waits for somebody else's; a draft is not in force."""
    assert old in POLICY
    handle = await operator.propose("policy", POLICY.replace(old, new).encode())
    assert (await operator.vote(handle, OLGA)).counted
    again = await operator.vote(handle, OTHER, stage=2)
    assert (again.counted, again.code) == (False, Refusal.sod_conflict)
    assert (await operator.world.status(handle))["state"] == "pending"
    assert await operator.refusals(handle) == [Refusal.sod_conflict]


@pytest.mark.parametrize("credential", ["COUNTERSIGN_DATABASE_URL", "COUNTERSIGN_AUTHOR_DATABASE_URL"])
async def test_publishing_directly(
    operator: Place,
    credential: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No credential of hers is the owner's, whatever she signs; neither the command nor SQL puts anything in force."""
    part, key, mine = tmp_path / "policy.yaml", tmp_path / "olga.jwk", tmp_path / "mine.json"
    part.write_text(POLICY.replace("bench.drop]}, reason", "bench.take]}, reason").partition("---")[0])
    key.write_text(OLGA.private_json)
    key.chmod(0o600)
    monkeypatch.setenv("COUNTERSIGN_ADMIN_DATABASE_URL", operator.environ[credential])
    signed = ("policy", "ceremony", str(part), "--because", "mine", "--key", str(key), "-o", str(mine))
    assert await operator.run(*signed) == exits.OK
    publish = ("policy", "publish", "--ceremony", str(part), "--signed", str(mine))
    assert await operator.run(*publish) == exits.FAILED
    assert "may not put documents in force" in capsys.readouterr().err
    connection = await asyncpg.connect(operator.environ[credential])
    for table in ("publication", "ceremony"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"INSERT INTO countersign.{table} DEFAULT VALUES")
    await connection.close()


async def test_storing_a_draft_and_approving_it_alone(operator: Place) -> None:
    """Who stored a draft under their own name does not approve it at all."""
    milder = POLICY.replace(*MILDER["unset a limit"]).encode() + b"# mine\n"
    handle = await operator.propose("policy", milder, by="olga")
    receipt = await operator.vote(handle, OLGA)
    assert (receipt.counted, receipt.code) == (False, Refusal.self_approval)
    assert await operator.refusals(handle) == [Refusal.self_approval]


async def test_proposing_and_approving_from_the_command_line(operator: Place, tmp_path: Path) -> None:
    """`policy propose` and a claimed approval: the name is not taken for hers, nor for anybody's."""
    part = tmp_path / "policy.yaml"
    milder = POLICY.replace(*MILDER["unset a limit"]) + "# by the command\n"
    part.write_text(milder)
    assert await operator.run("policy", "propose", str(part), "--whole", "--because", "please") == exits.OK
    drafted = "SELECT proposal_id FROM countersign.proposal WHERE convert_from(body, 'UTF8') LIKE '%' || $1 || '%'"
    rows = await until(lambda: operator.world.sql(drafted, digest(milder.encode())))
    handle = operator.world.client.get_workflow_handle(f"action/{rows[0]['proposal_id']}")
    await operator.world.pending(handle)
    for name in ("ann", "ben", "olga"):
        receipt = await operator.world.decide(handle, name)
        assert (receipt.counted, receipt.code) == (False, Refusal.claimed_not_accepted)
    assert await operator.refusals(handle) == [Refusal.claimed_not_accepted] * 3


async def _drafted(place: Place, mark: str) -> Any:
    """An action that would unset the limit; drafted in Ann's name, so that Olga has a vote."""
    return await place.propose("policy", POLICY.replace(*MILDER["unset a limit"]).encode() + f"# {mark}\n".encode())


async def test_approving_twice_by_two_keys(operator: Place) -> None:
    """Two keys of one person are one person: her second vote fills no second seat."""
    handle = await _drafted(operator, "two keys")
    first = await operator.vote(handle, OLGA)
    second = await operator.vote(handle, OTHER, stage=2)
    assert (first.counted, second.counted, second.code) == (True, False, Refusal.sod_conflict)
    assert (await operator.world.status(handle))["state"] == "pending"


@pytest.mark.parametrize("name", ["o.olga", "ann"])
async def test_approving_twice_by_an_alias(operator: Place, name: str) -> None:
    """A name beside a signature changes nothing: whose key it is, is whose vote it is."""
    handle = await _drafted(operator, f"alias {name}")
    assert (await operator.vote(handle, OLGA)).counted
    status = await operator.world.pending(handle, stage=2)
    claimed = await operator.world.send(handle, decision(status, name, audience=AUDIENCE))
    assert (claimed.counted, claimed.code) == (False, Refusal.claimed_not_accepted)
    own = await operator.vote(handle, OTHER, stage=2, on_behalf_of="o.olga")
    assert (own.counted, own.code) == (False, Refusal.not_delegated)


async def test_approving_as_a_delegate_whom_nobody_signed(operator: Place) -> None:
    """A delegation that Cai did not sign gives nothing, though it stands in the directory in force."""
    handle = await _drafted(operator, "delegate")
    receipt = await operator.vote(handle, OLGA, on_behalf_of="cai")
    assert (receipt.counted, receipt.code) == (False, Refusal.not_delegated)
    assert "cai did not sign the delegation cai-olga" in receipt.message
    assert await operator.refusals(handle) == [Refusal.not_delegated]


async def test_approving_by_a_scheduled_agent(operator: Place) -> None:
    """An agent that runs by her schedule has a key and no vote."""
    handle = await _drafted(operator, "agent")
    receipt = await operator.vote(handle, BOT)
    assert (receipt.counted, receipt.code) == (False, Refusal.unknown_person)


def _changed(name: str, **changes: Any) -> bytes:
    """The directory with something else said of a person."""
    value = directory()
    person = next(item for item in value["people"] if item["id"] == name)
    person.update(changes)
    return json.dumps(value).encode()


def _with(**changes: Any) -> bytes:
    return json.dumps({**directory(), **changes}).encode()


ISSUER = {"issuer": "https://login.example", "client_ids": ["countersign-cli"]}
# what she would change in the directory, and with which key she then approves
DIRECTORIES: dict[str, tuple[bytes, SigningKey]] = {
    "a key of her own for another person": (
        _changed("ann", keys=[{"id": "ann-1", "jwk": ANN.public}, {"id": "ann-2", "jwk": NEW.public}]),
        NEW,
    ),
    "herself into another group": (_changed("olga", groups=["governors", "owners"]), OTHER),
    "the keys of the others revoked": (
        _changed("ann", keys=[{"id": "ann-1", "jwk": ANN.public, "revoked_at": "2026-01-01T00:00:00Z"}]),
        OTHER,
    ),
    "another audience": (_with(audience="countersign/hers"), OTHER),
    "an issuer of her own": (_with(issuers=[ISSUER]), OTHER),
    "a delegation to herself": (
        _with(delegations=[{**directory()["delegations"][0], "id": "ben-olga", "delegator": "ben"}]),
        OTHER,
    ),
}


@pytest.mark.parametrize(("body", "key"), DIRECTORIES.values(), ids=DIRECTORIES)
async def test_a_directory_that_she_approves_alone(operator: Place, body: bytes, key: SigningKey) -> None:
    """What a draft says of people and keys is nobody's authority until two others have approved it."""
    handle = await operator.propose("directory", body)
    assert (await operator.vote(handle, OLGA)).counted
    receipt = await operator.vote(handle, key, stage=2)
    assert (receipt.counted, receipt.code) == (False, Refusal.unknown_key if key is NEW else Refusal.sod_conflict)
    assert (await operator.world.status(handle))["state"] == "pending"
    assert await operator.refusals(handle) == [receipt.code]


@pytest.mark.parametrize(
    ("proof", "code"),
    [("issuer", Refusal.unknown_key), ("audience", Refusal.wrong_audience)],
    ids=["issuer", "audience"],
)
async def test_signing_for_a_place_of_her_own(operator: Place, proof: str, code: Refusal) -> None:
    """A token of an issuer that only her draft names, and a vote for the audience that only her draft has."""
    handle = await operator.propose("directory", _with(issuers=[ISSUER], audience="countersign/hers"))
    status = await operator.world.pending(handle)
    value = {**decision(status, "nobody"), "audience": AUDIENCE if proof == "issuer" else "countersign/hers"}
    del value["proof"]
    forged = by_token(value, key=RSA) if proof == "issuer" else by_key(value, OLGA)
    receipt = await operator.world.send(handle, forged)
    assert (receipt.counted, receipt.code) == (False, code)
    await handle.cancel()


async def test_settings_of_her_own(operator: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that takes claimed names starts with no credential of hers, and one that starts all the same writes
    nothing: what it says is in nobody's record.
    """
    for name in ("COUNTERSIGN_DATABASE_URL", "COUNTERSIGN_AUTHOR_DATABASE_URL"):
        mine = settings(Role.all, database_url=operator.environ[name], unsafe_claimed_identities=True)
        with pytest.raises(SettingsError, match="role all wants countersign_app"):
            mine.check_worker()
    world = operator.world
    reader = Database(operator.environ["COUNTERSIGN_DATABASE_URL"])
    await world.stop_workers()
    takes_claims = settings(Role.all, unsafe_claimed_identities=True)
    async with running_workers(world.client, reader, takes_claims, executors={}, anchor=world.anchor):
        handle = await world.start(world.propose("bench.drop"))
        await until(lambda: world.events(handle), lambda found: "workflow_task_completed" in found)
        assert await world.entries(handle.id.removeprefix("action/")) == []
    await reader.close()
    await world.start_workers()
    assert (await world.result(handle)).resolution == "denied"


async def test_two_others_change_what_she_cannot(place: Place) -> None:
    """The same door opens for two people who did not write it, by their keys: it is closed to nobody but one alone."""
    body = POLICY.encode() + b"# by two people\n"
    handle = await place.propose("policy", body, by="olga")
    assert (await place.vote(handle, ANN)).counted
    assert (await place.vote(handle, BEN, stage=2)).counted
    assert (await place.world.result(handle)).outcome == "succeeded"
    assert (await place.in_force())["policy"] == digest(body)
    found = await _audited(place)
    assert (found.findings, found.notes) == ([], [])
    assert [item.permit_id is not None for item in found.publications] == [False] * 4 + [True]


async def test_a_delegate_counts_whom_the_delegator_signed(place: Place) -> None:
    """What Ann signed lets Ben decide for her; what nobody signed for Cai does not. An auditor computes both again."""
    value, before = directory(), bodies()["directory"]
    terms = {**value["delegations"][0], "delegate": "ben"}
    mine = Delegation.model_validate_json(
        json.dumps({**terms, "id": "ann-ben", "delegator": "ann", "issued_at": LATER})
    )
    signed = by_key(mine.statement(AUDIENCE), ANN, Domain.delegation)
    del signed["audience"]
    value["delegations"] = [{**terms, "id": "cai-ben"}, signed]
    await held(place.world.url, {"directory": json.dumps(value).encode()}, ANN, BEN)

    handle = await place.propose("policy", POLICY.encode() + b"# by a delegate\n", by="cai")
    unsigned = await place.vote(handle, BEN, on_behalf_of="cai")
    assert (unsigned.counted, unsigned.code) == (False, Refusal.not_delegated)
    first = await place.vote(handle, BEN, on_behalf_of="ann")
    assert (first.counted, first.assurance) == (True, Assurance.aal1)
    assert (await place.vote(handle, OLGA, stage=2)).counted
    assert (await place.world.result(handle)).outcome == "succeeded"

    await held(place.world.url, {"directory": before, "policy": POLICY.encode()}, ANN, BEN)
    assert (await _audited(place)).findings == []


@pytest.mark.parametrize(
    ("signers", "said"),
    [
        ((OLGA,), "signed by olga: at least 2 different people"),
        ((OLGA, OTHER), "signed by olga: at least 2 different people"),
        ((OLGA, BOT), "a signature is of nobody who is there"),
        ((OLGA, NEW), "unknown_key"),
        ((), "nobody signed it"),
    ],
    ids=["one", "two keys of one", "an agent", "a key of nobody", "nobody"],
)
async def test_the_owner_with_one_person_holds_no_ceremony(place: Place, signers: Any, said: str) -> None:
    """Even with the owner's role, the command asks for what two different people signed."""
    before = await place.in_force()
    with pytest.raises(DocumentError, match=said):
        await held(place.world.url, {"policy": POLICY.encode() + b"# ceremony\n"}, *signers)
    assert await place.in_force() == before


async def test_a_raw_insert_of_the_owner_is_found(place: Place) -> None:
    """The owner of the database can do it, and the audit says so; putting it right in a ceremony does not unsay it."""
    body = POLICY.replace(*MILDER["unset a limit"]).encode() + b"# raw\n"
    await place.world.sql(
        "WITH added AS (INSERT INTO countersign.document (digest, kind, name, version, body)"
        " VALUES ($1, 'policy', 'raw', '1', $2) RETURNING digest) INSERT INTO countersign.publication"
        " (kind, digest, published_at, published_by) SELECT 'policy', $1, now(), 'ann' RETURNING seq",
        digest(body),
        body,
    )
    await held(place.world.url, {"policy": POLICY.encode()}, ANN, BEN)
    found = await _audited(place)
    assert [finding.what.startswith(f"{UNSIGNED}: {digest(body)} by ann") for finding in found.findings] == [True]
    assert found.publications[-1].ceremony is not None
    await place.denied()


async def test_bodies_are_what_the_place_began_with(place: Place) -> None:
    """The first ceremony is of all four kinds, over none."""
    found = await _audited(place)
    assert {item.kind for item in found.publications[:4]} == set(bodies())
    assert len({item.ceremony for item in found.publications[:4]}) == 1
