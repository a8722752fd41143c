"""Floods of what looks signed: no signed vote waits for long, nobody's quota is spent, no issuer is asked often."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio
import yaml
from temporalio.service import RPCError

from activities.connection import connect
from deploy.dev import Stack
from policy.decision import DecisionReceipt, Refusal
from policy.proofs import Domain
from policy.refusals import KEPT_OF_CASE, KEPT_OF_NOBODY
from signing.keys import generate
from tests.unit.signed import AUDIENCE, CLIENT, RSA, b64, by_key, claims, token
from tests.unit.ssh_wire import SshKey
from tests.workflow.test_floods import PACE, findings
from tests.world import (
    BOUND,
    DOCUMENTS,
    Handle,
    World,
    decision,
    publish_documents,
    record,
    running_world,
    temporal_server,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.timeout(240)]

SIGNALS, BEFORE_IT, AT_A_TIME = 1_000, 300, 8
EVE, CLEO, STRANGER = generate("eve-1"), generate("cleo-1", "p256"), generate("eve-1")
EVE_SSH = SshKey.new("ssh-ed25519")
# How often a process may ask an issuer for its keys.
PAUSE_SECONDS = 30
NOT_SHOWN = {"bad_proof", "unknown_key", "unverifiable", "wrong_audience"}


@dataclass
class Issuer:
    """An OpenID provider on loopback that counts how often it is asked, and has one key that nobody asks for."""

    url: str = ""
    asked: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Its discovery document, or a set of keys in which there is one."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked += b"openid-configuration" in head
        discovery = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        keys = {"keys": [{**RSA.as_dict(private=False), "kid": "issuer-1", "use": "sig"}]}
        body = json.dumps(discovery if b"openid-configuration" in head else keys).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()


@asynccontextmanager
async def running_issuer() -> AsyncIterator[Issuer]:
    """The issuer, answering inside the block."""
    issuer = Issuer()
    server = await asyncio.start_server(issuer.answer, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield issuer


def directory(issuer: str) -> bytes:
    """The directory of the tests, with keys of eve and cleo."""
    value = yaml.safe_load((DOCUMENTS / "directory.yaml").read_text())
    keys = {
        "eve": [{"id": EVE.id, "jwk": EVE.public}, {"id": "eve-ssh", "ssh": EVE_SSH.line}],
        "cleo": [{"id": CLEO.id, "jwk": CLEO.public}],
    }
    people = [{**person, "keys": keys.get(person["id"], [])} for person in value["people"]]
    issuers = [{"issuer": issuer, "client_ids": [CLIENT]}]
    return json.dumps({**value, "people": people, "audience": AUDIENCE, "issuers": issuers}).encode()


@dataclass
class Place:
    """A world whose people sign, and the issuer that it believes."""

    world: World
    issuer: Issuer


@pytest_asyncio.fixture(name="place", scope="module", loop_scope="module")
async def _place(stack: Stack) -> AsyncIterator[Place]:
    """Names are not accepted here, and runs continue as new ones soon."""
    with temporal_server() as server:
        client = await connect(address=server.address, identity="tests")
        async with running_issuer() as issuer, record(stack) as name:
            await publish_documents(stack.database_url("postgres", name), directory(issuer.url))
            async with running_world(stack, client, name, claimed=False, pace=PACE) as world:
                yield Place(world, issuer)


def unsigned(status: Mapping[str, Any], vote: str = "approve", **changes: Any) -> dict[str, Any]:
    """A decision about what waits, that nobody signed."""
    value = decision(status, "eve", vote, audience=AUDIENCE, **changes)
    return {name: item for name, item in value.items() if name != "proof"}


def forged(value: dict[str, Any], number: int) -> dict[str, Any]:
    """A decision with a proof that shows nothing: each of them another one."""
    signed = by_key(value, EVE)
    header = signed["proof"]["jws"].partition("..")[0]
    match number % 8:
        case 0:
            return {**value, "proof": {"kind": "key", "jws": f"{header}..{b64(number.to_bytes(64, 'big'))}"}}
        case 1:
            return by_key(value, STRANGER)
        case 2:
            return by_key(value, replace(STRANGER, id=f"nobody-{number}"))
        case 3:
            return {**signed, "justification": "written over"}
        case 4:
            return by_key({**value, "audience": "countersign/elsewhere"}, EVE)
        case 5:
            return by_key(value, EVE, Domain.proposal)
        case 6:
            return {**value, "proof": {"kind": "oidc", "id_token": f"e30.{b64(json.dumps({'iss': 'x'}))}.AA"}}
        case _:
            kind, payload = Domain.decision.ssh_namespace, number.to_bytes(8, "big")
            return {**value, "proof": {"kind": "ssh", "signature": EVE_SSH.sign(payload, kind)}}


def by_unknown_key_of(issuer: str, value: dict[str, Any], number: int) -> dict[str, Any]:
    """A decision under a token that names a key which its issuer does not have, another one each time."""
    said = token(claims(value, iss=issuer), RSA, kid=f"new-{number}")
    return {**value, "proof": {"kind": "oidc", "id_token": said}}


async def second_stage(world: World, handle: Handle) -> dict[str, Any]:
    """The status, as soon as eve's vote was taken; between two runs, and while a task is tried again, there is none."""
    async with asyncio.timeout(4 * BOUND):
        while True:
            with contextlib.suppress(RPCError):
                status = await world.status(handle)
                if status["stage"] == 2:
                    return status
            await asyncio.sleep(0.1)


async def answered(world: World, handle: Handle, submission: Any) -> DecisionReceipt:
    """Send a decision until the run that takes it is not one that ends."""
    async with asyncio.timeout(4 * BOUND):
        while True:
            receipt = await world.send(handle, submission, patience=4 * BOUND)
            if receipt.code != Refusal.busy:
                return receipt


async def test_forged_decisions_in_somebodys_name_take_nothing_from_that_person(place: Place) -> None:
    """A thousand in eve's kid, under kids and tokens of nobody: her vote counts, and her own refusals are listed."""
    world, began = place.world, time.monotonic()
    handle = await world.start(world.propose("bench.put", undo="bench.take"))
    status = await world.pending(handle)
    numbers = iter(range(SIGNALS))

    async def signal() -> None:
        for number in numbers:
            value = unsigned(status)
            if number == SIGNALS // 2:
                await handle.signal("decide", by_key(value, EVE))
            elif number % 4 == 3:
                await handle.signal("decide", by_unknown_key_of(place.issuer.url, value, number))
            else:
                await handle.signal("decide", forged(value, number // 4 * 3 + number % 4))

    await asyncio.gather(*(signal() for _ in range(AT_A_TIME)))
    status = await second_stage(world, handle)
    told = await answered(world, handle, by_key(unsigned(status), EVE))
    assert (told.counted, told.code) == (False, "sod_conflict")
    assert (await answered(world, handle, by_key(unsigned(status), CLEO))).counted
    assert (await world.result(handle)).outcome == "succeeded"
    assert await world.effects(status["proposal_id"]) == ["do bench.put"]
    await check_listed(world, status["proposal_id"])
    assert place.issuer.asked <= 1 + (time.monotonic() - began) // PAUSE_SECONDS
    assert await findings(world, handle) == []


async def check_listed(world: World, proposal_id: str) -> None:
    """What shows nobody is nobody's: listed up to that bound, counted beyond it, and eve's own refusal stands apart."""
    refused = await world.entries(proposal_id, "decision_refused")
    of = Counter((entry["content"]["person"] or {}).get("person_id") for entry in refused)
    assert len(refused) <= KEPT_OF_CASE
    assert of == {None: KEPT_OF_NOBODY, "eve": 1}
    codes = {entry["content"]["receipt"]["code"] for entry in refused if not entry["content"]["person"]}
    assert codes <= NOT_SHOWN
    assert "bad_proof" in codes
    unlisted = await world.entries(proposal_id, "refusals_unlisted")
    assert unlisted[-1]["content"]["count"] >= SIGNALS // 2


async def test_a_vote_behind_forged_ones_is_taken_in_seconds(place: Place) -> None:
    """Three hundred in eve's name came before it, while no worker ran; each is verified and none counts."""
    world = place.world
    handle = await world.start(world.propose("bench.put", undo="bench.take"))
    status = await world.pending(handle)
    async with world.paused():
        await asyncio.gather(
            *(handle.signal("decide", forged(unsigned(status), number)) for number in range(BEFORE_IT))
        )
        await handle.signal("decide", by_key(unsigned(status), EVE))
    await second_stage(world, handle)
    counted, *_ = await world.entries(status["proposal_id"], "decision_counted")
    assert counted["content"]["arrival"] == BEFORE_IT + 1
    await handle.cancel()
    assert (await world.result(handle)).resolution == "withdrawn"
