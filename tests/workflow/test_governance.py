"""Governed documents change by actions of their own: a draft, people who did not write it, a permit, one change."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from activities.database import Database
from activities.drafts import store_draft
from policy.builtin import PUBLISH
from policy.canonical import digest
from policy.decision import Refusal
from policy.draft import Draft, publication
from tests.world import DOCUMENTS, Handle, World, publish_documents

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = """
---
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: root, version: "%s", scope: root, authors: [cleo]}
unsigned: [{}]
rules:
  - {id: documents, match: {operations: [countersign.document.publish]}, verdict: require_approval, chain: governors}
chains:
  governors:
    stages:
      - {name: first, requirements: [{groups: [ops]}], deadline: 1h}
      - {name: second, requirements: [{groups: [ops, dba, sre]}], deadline: 1h}
"""
POLICY = (DOCUMENTS / "policy.yaml").read_bytes()


def _policy(version: str, rest: str = "") -> bytes:
    return POLICY + (ROOT % version).encode() + rest.encode()


async def _in_force(world: World, kind: str = "policy") -> str:
    rows = await world.sql("SELECT digest FROM countersign.publication WHERE kind = $1 ORDER BY seq DESC LIMIT 1", kind)
    return str(rows[0]["digest"])


async def _draft(world: World, body: bytes, by: str = "ann", kind: str = "policy") -> str:
    """Store a draft as the role of authors."""
    author = Database(world.url.replace("//postgres@", "//countersign_author@"), pool_size=1)
    async with author.transaction() as connection:
        key = await store_draft(connection, Draft(kind, "tests", "2", body), by=by, at=datetime.now(UTC))
    await author.close()
    return key


async def _propose(world: World, key: str, previous: str, kind: str = "policy") -> Handle:
    parameters = {"kind": kind, "digest": key, "previous": previous}
    return await world.start(publication(world.id(), parameters, "ann", "a clearer rule"))


async def _with_root(world: World) -> str:
    """The ceremony: the first policy, with a root, as the owner."""
    await publish_documents(world.url, _policy(uuid4().hex))
    return await _in_force(world)


async def test_two_people_who_did_not_write_it_put_a_draft_in_force(world: World) -> None:
    """Proposer and authors are refused, two others approve, the permit publishes once, and it reads back."""
    before = await _with_root(world)
    body = _policy("next")
    handle = await _propose(world, await _draft(world, body), before)

    await world.pending(handle)
    receipts = [await world.decide(handle, person) for person in ("ann", "cleo", "bob")]
    await world.pending(handle, stage=2)
    receipts += [await world.decide(handle, person) for person in ("bob", "dan")]
    result = await world.result(handle)

    assert [str(item.code) if item.code else "counted" for item in receipts][:2] == ["self_approval", "self_approval"]
    assert [item.counted for item in receipts] == [False, False, True, False, True]
    assert (result.outcome, await _in_force(world)) == ("succeeded", digest(body))
    published = await world.sql("SELECT published_by, permit_id FROM countersign.publication ORDER BY seq DESC LIMIT 1")
    assert published[0]["published_by"] == f"action/{result.proposal_id}"
    assert published[0]["permit_id"] is not None


async def test_who_wrote_a_draft_does_not_approve_it_whoever_proposes(world: World) -> None:
    """Whom it names is barred, though others propose and store it, and no document in force names them."""
    before = await _with_root(world)
    body = _policy("theirs").replace(b"authors: [cleo]", b"authors: [eve]")
    handle = await _propose(world, await _draft(world, body), before)

    await world.pending(handle)
    receipts = [await world.decide(handle, person) for person in ("ann", "eve")]
    await handle.cancel()

    assert [(item.counted, item.code) for item in receipts] == [(False, Refusal.self_approval)] * 2
    assert (await world.result(handle)).outcome == "not_executed"
    assert await _in_force(world) == before


async def test_a_draft_of_everybody_who_could_approve_it_is_denied(world: World) -> None:
    """Whoever stored it is barred, too: where nobody is left for the first stage it ends there, and says so."""
    before = await _with_root(world)
    body = _policy("of-all").replace(b"authors: [cleo]", b"authors: [eve]")
    handle = await _propose(world, await _draft(world, body, by="bob"), before)

    result = await world.result(handle)

    assert (result.resolution, result.reasons[0].code) == ("denied", "unreachable")
    assert await _in_force(world) == before


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("\n---\nkind: [\n", "line"),
        (ROOT.replace("root", "second") % "2", "root"),
    ],
    ids=["no document", "two roots"],
)
async def test_a_draft_that_cannot_be_read_is_denied(world: World, rest: str, said: str) -> None:
    """What is wrong in a draft is said, and nobody is asked about it."""
    before = await _with_root(world)
    result = await world.result(await _propose(world, await _draft(world, _policy("bad", rest)), before))
    assert (result.resolution, result.reasons[0].code) == ("denied", "unfit_draft")
    assert said in result.reasons[0].message
    assert await _in_force(world) == before


async def test_a_policy_that_locks_the_door_or_leaves_it_open_is_denied(world: World) -> None:
    """Without a root, or with one that lets a single person publish, nothing is published."""
    before = await _with_root(world)
    second = "      - {name: second, requirements: [{groups: [ops, dba, sre]}], deadline: 1h}"
    open_door = (ROOT % "open").replace(second, "")
    found = [
        await world.result(await _propose(world, await _draft(world, body), before))
        for body in (POLICY + b"# no root", POLICY + open_door.encode())
    ]
    assert [item.resolution for item in found] == ["denied", "denied"]
    assert ["nobody could publish" in item.reasons[0].message for item in found] == [True, True]
    assert await _in_force(world) == before


async def test_a_draft_that_is_too_different_to_compare_is_still_asked_about(world: World) -> None:
    """What cannot be said of a draft is said so; it never keeps the assessment from ending."""
    before = await _with_root(world)
    rules = "".join(
        f"  - {{id: r{number}, match: {{environments: [e{number}], targets: [t{number}]}}, verdict: deny}}\n"
        for number in range(700)
    )
    wide = '\n---\napiVersion: countersign/v1\nkind: PolicyDocument\nmetadata: {name: wide, version: "1"}\nrules:\n'
    handle = await _propose(world, await _draft(world, _policy("wide", wide + rules)), before)
    await world.pending(handle)
    rows = await world.sql(
        "SELECT convert_from(body, 'UTF8') AS body FROM countersign.assessment ORDER BY assessed_at DESC LIMIT 1"
    )
    assert "what it changes cannot be said: the policies tell" in rows[0]["body"]
    await world.decide(handle, "bob", "deny")
    assert (await world.result(handle)).resolution == "denied"


async def test_what_nobody_approved_is_not_put_in_force_by_an_undo(world: World) -> None:
    """The undo of a publication is that publication turned round, and who stored a draft is somebody."""
    before = await _with_root(world)
    key, other = await _draft(world, _policy("seen")), await _draft(world, _policy("unseen"))
    value = publication(world.id(), {"kind": "policy", "digest": key, "previous": before}, "ann", "look at this one")
    value["steps"][0]["undo"]["parameters"]["digest"] = other  # type: ignore[index]
    foreign = await _propose(world, await _draft(world, _policy("by nobody"), by="ANN"), before)
    found = [await world.run(value), await world.result(foreign)]
    assert [item.reasons[0].code for item in found] == ["undo_is_no_inverse", "unfit_draft"]


async def test_a_policy_in_force_that_asks_too_few_is_not_followed(world: World) -> None:
    """The pinned minimum holds even where somebody put a weak policy in force as the owner."""
    weak = POLICY + (ROOT % uuid4().hex).replace("require_approval, chain: governors", "allow").encode()
    await publish_documents(world.url, weak)
    before = await _in_force(world)
    result = await world.result(await _propose(world, await _draft(world, _policy("after-weak")), before))
    assert (result.resolution, result.reasons[0].code) == ("denied", "root_chain_too_weak")
    assert await _in_force(world) == before


async def test_a_draft_over_another_policy_than_the_one_in_force_is_denied(world: World) -> None:
    """Approving a change of one text never publishes it over another."""
    before = await _with_root(world)
    await _with_root(world)
    result = await world.result(await _propose(world, await _draft(world, _policy("late")), before))
    assert (result.resolution, result.reasons[0].code) == ("denied", "superseded")


async def test_a_publication_in_between_stops_the_one_that_was_approved(world: World) -> None:
    """What changed between approval and effect closes the gate; nothing is published."""
    handle = await _propose(world, await _draft(world, _policy("slow")), await _with_root(world))
    await world.pending(handle)
    await world.decide(handle, "bob")
    await world.pending(handle, stage=2)
    between = await _with_root(world)
    await world.decide(handle, "dan")
    result = await world.result(handle)
    assert result.outcome == "not_executed"
    assert await _in_force(world) == between


@pytest.mark.parametrize(
    "role", ["countersign_app", "countersign_executor", "countersign_author", "countersign_control"]
)
async def test_nobody_publishes_without_a_claimed_permit(world: World, role: str) -> None:
    """The function refuses every worker that has no claimed permit to publish; some may not even call it."""
    before = await _with_root(world)
    key = await _draft(world, _policy(role))
    done = await world.run(world.propose("bench.touch"))
    rows = await world.sql("SELECT permit_id FROM countersign.permit WHERE proposal_id = $1", done.proposal_id)
    connection = await asyncpg.connect(world.url.replace("//postgres@", f"//{role}@"))
    for permit in (rows[0]["permit_id"], UUID(int=7)):
        with pytest.raises((asyncpg.RaiseError, asyncpg.InsufficientPrivilegeError)):
            await connection.execute("SELECT countersign.publish_permitted($1, now())", permit)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(
            "INSERT INTO countersign.publication (kind, digest, published_at, published_by)"
            " VALUES ('policy', $1, now(), 'me')",
            key,
        )
    await connection.close()
    assert await _in_force(world) == before


async def test_publishing_is_an_action_of_its_own(world: World) -> None:
    """Nothing hides behind a publication, and no draft is published that was never stored."""
    before = await _with_root(world)
    key = await _draft(world, _policy("company"))
    together = publication(world.id(), {"kind": "policy", "digest": key, "previous": before}, "ann", "two at once")
    step = together["steps"][0]  # type: ignore[index]
    together["steps"] = [step, {**step, "name": "again"}]
    nothing = await _propose(world, "sha256:" + "1" * 64, before)
    found = [await world.run(together), await world.result(nothing)]
    assert [item.reasons[0].code for item in found] == ["not_alone", "unknown_draft"]
    assert PUBLISH in str(together)


async def test_a_rehearsed_publication_publishes_nothing(world: World) -> None:
    """The draft and what it would replace are found, two people are asked, and the permit publishes nothing."""
    before = await _with_root(world)
    key = await _draft(world, _policy("rehearsed"))
    parameters = {"kind": "policy", "digest": key, "previous": before}
    body = publication(world.id(), parameters, "ann", "to see whether it would")
    handle = await world.start(body | {"dry_run": True})
    await world.pending(handle)
    await world.decide(handle, "bob")
    await world.pending(handle, stage=2)
    await world.decide(handle, "dan")
    result = await world.result(handle)

    assert (result.outcome, [reason.code for reason in result.reasons]) == ("not_executed", ["rehearsed"])
    assert f"would put policy {key} in force over {before}" in result.reasons[0].message
    permits = await world.sql("SELECT permit_id FROM countersign.permit WHERE proposal_id = $1", result.proposal_id)
    connection = await asyncpg.connect(world.url.replace("//postgres@", "//countersign_executor@"))
    for row in permits:
        with pytest.raises(asyncpg.RaiseError, match=r"is of a dry run|is not a claimed permit"):
            await connection.execute("SELECT countersign.publish_permitted($1, now())", row["permit_id"])
    await connection.close()
    assert await _in_force(world) == before
