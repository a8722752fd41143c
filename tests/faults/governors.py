"""A place whose documents people govern by their keys, and an operator who holds every credential of the command line.

Olga runs things: she reads the record, stores drafts, writes to the namespace, has two keys of her own, an agent that
runs by her schedule, and is one of the governors. Ann and Ben are the others. Nobody else's key is hers, and neither is
the owner's database role. The policy even takes proposals that nobody signed, so that she proposes in Ann's name and
has a vote herself.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg

import starter
from activities.ceremonies import hold_ceremony, replaced
from activities.connection import connect
from activities.database import Database
from activities.documents import Documents, Kind
from activities.drafts import store_draft
from deploy.dev import Stack
from policy.base import instant_text
from policy.decision import DecisionReceipt
from policy.draft import Draft, publication
from policy.proofs import Domain
from signing.keys import SigningKey, generate
from tests.copies import create_migrated
from tests.unit.signed import by_key
from tests.world import DOCUMENTS, Handle, World, decision, running_world, temporal_server

AUDIENCE = "countersign/governed"
KEYS = {name: generate(name) for name in ("ann-1", "ben-1", "olga-1", "olga-2", "bot-1")}
# A key that nobody registered.
NEW = generate("ann-2")
BEGAN, ENDED = (instant_text(datetime.now(UTC) - timedelta(days=days)) for days in (10, 1))
POLICY = """
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: governed, version: "1"}
unsigned: [{agents: [tuner]}]
limits:
  - {id: no-drop, match: {operations: [bench.drop]}, reason: nothing is dropped}
calendars:
  - {id: always, kind: freeze, zone: UTC, start: "2020-01-01", duration: 1d, rrule: FREQ=DAILY,
     match: {operations: [bench.set]}, reason: nothing is set}
exceptions:
  - {id: yesterday, match: {operations: [bench.set]}, lifts: [always], approved_by: [cai], reason: it was needed,
     granted_at: "GRANTED", expires_at: "ENDED"}
rules:
  - {id: routine, match: {operations: [bench.touch, bench.set, bench.unset, bench.drop]}, verdict: allow}
---
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: root, version: "1", scope: root}
proofs: [{assurance: aal1}]
unsigned: [{operations: [countersign.document.publish], agents: ["agent:countersign"]}]
rules:
  - {id: documents, match: {operations: [countersign.document.publish]}, verdict: require_approval, chain: governors}
chains:
  governors:
    stages:
      - {name: first, requirements: [{groups: [governors]}], deadline: 1h}
      - {name: second, requirements: [{groups: [governors]}], deadline: 1h}
""".replace("GRANTED", BEGAN).replace("ENDED", ENDED)


def _keys(*names: str) -> list[dict[str, Any]]:
    return [{"id": name, "jwk": KEYS[name].public} for name in names]


def directory() -> dict[str, Any]:
    """Who is who: three governors of whom one is the operator, and what she has besides."""
    return {
        "apiVersion": "countersign/v1",
        "kind": "Directory",
        "metadata": {"name": "governed", "version": "1"},
        "audience": AUDIENCE,
        "people": [
            {"id": "ann", "groups": ["governors"], "keys": _keys("ann-1")},
            {"id": "ben", "groups": ["governors"], "keys": _keys("ben-1")},
            {"id": "cai", "groups": ["governors"]},
            {"id": "olga", "aliases": ["o.olga"], "groups": ["governors"], "keys": _keys("olga-1", "olga-2")},
        ],
        "agents": [
            {"id": "tuner", "owner": "ann"},
            {"id": "bot", "owner": "ann", "scheduled_by": ["olga"], "keys": _keys("bot-1")},
        ],
        "delegations": [
            {
                "id": "cai-olga",
                "delegator": "cai",
                "delegate": "olga",
                "since": instant_text(datetime.now(UTC) - timedelta(days=1)),
                "until": instant_text(datetime.now(UTC) + timedelta(days=30)),
                "reason": "she says that Cai is on leave",
            }
        ],
    }


def bodies() -> dict[Kind, bytes]:
    """The texts that the ceremony puts in force."""
    return {
        "policy": POLICY.encode(),
        "operations": (DOCUMENTS / "operations.yaml").read_bytes(),
        "catalog": (DOCUMENTS / "catalog.yaml").read_bytes(),
        "directory": json.dumps(directory()).encode(),
    }


def ceremony(
    texts: Mapping[Kind, bytes], before: Mapping[Kind, str], *signers: SigningKey, **changes: Any
) -> list[dict[str, Any]]:
    """What some people signed so that texts come in force, one statement each."""
    now = datetime.now(UTC)
    value = {
        "audience": AUDIENCE,
        "documents": [item.model_dump() for item in replaced(texts, before)],
        "reason": "the place begins",
        "issued_at": instant_text(now),
        "expires_at": instant_text(now + timedelta(hours=1)),
        "nonce": uuid4().hex,
        **changes,
    }
    return [by_key(value, key, Domain.ceremony) for key in signers]


async def held(url: str, texts: Mapping[Kind, bytes], *signers: SigningKey) -> None:
    """Put texts in force as the owner, by what these people sign."""
    owner, now = Database(url, pool_size=1), datetime.now(UTC)
    try:
        async with owner.transaction() as connection:
            statements = ceremony(texts, await Documents().digests_in_force(connection), *signers)
            await hold_ceremony(connection, texts, statements, by="the owner", at=now)
    finally:
        await owner.close()


@dataclass
class Place:
    """The place, and what the operator can do in it."""

    world: World
    environ: dict[str, str] = field(default_factory=dict)

    async def run(self, *arguments: str) -> int:
        """A command of the operator's; its exit code. What it prints goes where the test's output goes."""
        return await asyncio.to_thread(starter.run, arguments)

    async def in_force(self) -> dict[str, str]:
        """The digest in force of each kind."""
        rows = await self.world.sql("SELECT kind, digest FROM countersign.publication ORDER BY seq")
        return {row["kind"]: row["digest"] for row in rows}

    async def draft(self, kind: Kind, body: bytes, by: str = "ann") -> str:
        """Store a draft as the role of authors, in a name that she chooses."""
        author = Database(self.world.url.replace("//postgres@", "//countersign_author@"), pool_size=1)
        async with author.transaction() as connection:
            key = await store_draft(connection, Draft(kind, "governed", "2", body), by=by, at=datetime.now(UTC))
        await author.close()
        return key

    async def propose(self, kind: Kind, body: bytes, *, by: str = "ann") -> Handle:
        """Store a draft and propose to publish it, both in a name that she chooses."""
        key, before = await self.draft(kind, body, by), (await self.in_force())[kind]
        parameters = {"kind": kind, "digest": key, "previous": before}
        return await self.world.start(publication(self.world.id(), parameters, by, "a clearer rule"))

    async def vote(self, handle: Handle, key: SigningKey, **changes: Any) -> DecisionReceipt:
        """An approval of what is asked now, signed."""
        status = await self.world.pending(handle, stage=changes.get("stage", 1))
        value = {**decision(status, "nobody"), "audience": AUDIENCE, **changes}
        del value["proof"]
        return await self.world.send(handle, by_key(value, key))

    async def refusals(self, handle: Handle) -> list[str]:
        """The codes of the decisions about an action that the record has as refused."""
        entries = await self.world.entries(handle.id.removeprefix("action/"), "decision_refused")
        return [entry["content"]["receipt"]["code"] for entry in entries]

    async def denied(self) -> None:
        """What the policy denies is denied still: the limit holds, the freeze is on, the exception is over."""
        for operation, by in (("bench.drop", "limit"), ("bench.set", "freeze")):
            more = {"undo": "bench.unset"} if operation == "bench.set" else {}
            result = await self.world.run(self.world.propose(operation, **more))
            assert (result.resolution, result.outcome) == ("denied", "not_executed")
            assert by in {reason.code for reason in result.reasons}, result.reasons
            assert await self.world.effects(result.proposal_id) == []


@contextlib.asynccontextmanager
async def governed_place(stack: Stack) -> AsyncIterator[Place]:
    """A place with a Temporal and a record of its own, begun by a ceremony of Ann and Ben; no claimed name counts."""
    name = f"governed_{uuid4().hex[:16]}"
    admin = await asyncpg.connect(stack.database_url("postgres", "postgres"))
    await create_migrated(stack, name)
    url = stack.database_url("postgres", name)
    await held(url, bodies(), KEYS["ann-1"], KEYS["ben-1"])
    with temporal_server() as server:
        client = await connect(address=server.address, identity="tests")
        async with running_world(stack, client, name, claimed=False) as world:
            yield Place(
                world,
                {
                    "TEMPORAL_ADDRESS": server.address,
                    "COUNTERSIGN_DATABASE_URL": stack.database_url("countersign_reader", name),
                    "COUNTERSIGN_AUTHOR_DATABASE_URL": stack.database_url("countersign_author", name),
                    "COUNTERSIGN_IDENTITY": "olga",
                },
            )
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()
