"""Who proposed, on real servers: a platform's signature counts, and nobody proposes in another agent's name."""

import json
import runpy
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from temporalio.client import WorkflowFailureError

from activities.auditing import audit
from activities.export import export_action
from deploy.dev import Stack
from policy.envelope import statement_of
from policy.proofs import Domain
from policy.proposal import receive
from signing.keys import SigningKey, generate
from tests.unit.signed import by_key
from tests.world import DOCUMENTS, Handle, World, publish_documents, whole_world
from worker import workflow_runner

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUDIENCE = "countersign/tests"
EXAMPLE = Path(__file__).parents[2] / "examples" / "start_signed.py"
TUNER, MOVER, FORGED = generate("tuner-1"), generate("mover-1", "p256"), generate("tuner-1")
KEYLESS = {"agent": {"id": "keyless"}}


@pytest_asyncio.fixture(name="signed", scope="module", loop_scope="module")
async def _signed(stack: Stack) -> AsyncIterator[World]:
    """A world in which the platforms of two agents sign, and one agent has no key."""
    async with whole_world(stack, _directory()) as world:
        yield world


def _directory(**of_tuner: Any) -> bytes:
    value = yaml.safe_load((DOCUMENTS / "directory.yaml").read_text())
    keys = {
        "tuner": [{"id": TUNER.id, "jwk": TUNER.public, **of_tuner}],
        "mover": [{"id": MOVER.id, "jwk": MOVER.public}],
    }
    agents = [{"id": name, "owner": "ann", "keys": keys.get(name, [])} for name in ("tuner", "mover", "keyless")]
    return json.dumps({**value, "agents": agents, "audience": AUDIENCE}).encode()


def _policy(unsigned: list[dict[str, Any]]) -> bytes:
    value = yaml.safe_load((DOCUMENTS / "policy.yaml").read_text())
    return json.dumps({**value, "unsigned": unsigned}).encode()


def sign(body: Any, key: SigningKey = TUNER, ago: timedelta = timedelta(0), **changes: Any) -> dict[str, Any]:
    """A proposal in an envelope, signed; `changes` are of the statement, before it is signed."""
    said = statement_of(receive(body), audience=AUDIENCE, now=datetime.now(UTC) - ago, valid=timedelta(hours=1))
    return {"proposal": body, "statement": by_key({**said, **changes}, key, Domain.proposal)}


async def _refused(world: World, value: Any) -> tuple[str, str]:
    """Start what must be refused; code and sentence of the reason."""
    result = await world.run(value)
    assert (result.resolution, result.outcome) == ("refused", "not_executed")
    assert await world.sql("SELECT 1 FROM countersign.proposal WHERE proposal_id = $1", result.proposal_id) == []
    return result.reasons[0].code, result.reasons[0].message


async def _consistent(world: World, handle: Handle) -> None:
    """The newest run and the ledger say the same, computed again from what was exported."""
    file = await export_action(world.client, world.database, handle.id, at=datetime.now(UTC))
    assert (await audit(file.body(), workflow_runner())).findings == ()


async def test_a_signed_proposal_runs_and_says_whose_it_is(signed: World) -> None:
    """What its platform signed is in the record and in the ledger, verified again by an auditor; it raises nothing."""
    body = signed.propose("bench.touch")
    handle = await signed.start(sign(body))
    result = await signed.result(handle)
    assert (result.outcome, result.action_digest) == ("succeeded", receive(body).action_digest)
    assert result.assurance == "aal1"
    (assessed,) = await signed.entries(result.proposal_id, "assessed")
    shown = assessed["content"]["revision"]["facts"]["observed"]["signature"]
    assert (shown["kind"], shown["signer"], shown["key_id"], shown["assurance"]) == ("key", "tuner", "tuner-1", "aal1")
    assert assessed["content"]["signed"]["statement"]["agent"] == "tuner"
    assert {item["name"]: item["value"] for item in assessed["content"]["revision"]["assessment"]["indicators"]}[
        "unsigned"
    ] == 0
    await _consistent(signed, handle)


async def test_unsigned_runs_only_where_it_may_and_raises_the_risk(signed: World) -> None:
    """An agent without a key proposes as before where the policy says so; the same action has a higher likelihood."""
    ended = [
        await signed.run(value)
        for value in (sign(signed.propose("bench.touch")), signed.propose("bench.touch", **KEYLESS))
    ]
    assert [item.outcome for item in ended] == ["succeeded", "succeeded"]
    found = [(await signed.entries(item.proposal_id, "assessed"))[0]["content"]["revision"] for item in ended]
    assert found[0]["assessment"]["likelihood"] < found[1]["assessment"]["likelihood"]
    assert found[1]["facts"]["observed"]["signature"]["kind"] == "unsigned"
    await publish_documents(signed.url, _policy([{"environments": ["staging"]}]))
    try:
        handle = await signed.start(body := signed.propose("bench.touch", **KEYLESS))
        refused = await signed.result(handle)
        assert (refused.resolution, refused.reasons[0].code) == ("refused", "unsigned")
        await _consistent(signed, handle)
    finally:
        await publish_documents(signed.url, _policy([{}]))
    assert (await signed.run(body)).outcome == "succeeded"


ATTACKS: dict[str, Any] = {
    "forged": lambda body: sign(body, FORGED),
    "another agent's key": lambda body: sign(body, MOVER),
    "another agent named": lambda body: sign({**body, "agent": {"id": "mover"}}),
    "another installation": lambda body: sign(body, audience="countersign/elsewhere"),
    "expired": lambda body: sign(body, ago=timedelta(hours=2)),
    "future": lambda body: sign(body, ago=timedelta(hours=-2)),
    "swapped payload": lambda body: {**sign(body), "proposal": {**body, "rationale": "something else"}},
    "replayed on another id": lambda body: {**sign({**body, "proposal_id": "p-0"}), "proposal": body},
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_signature_that_does_not_show_it_takes_nobodys_id(signed: World, attack: str) -> None:
    """The start is refused, the attempt with its statement is on record, and the platform's own start goes through."""
    body = signed.propose("bench.touch")
    code, _ = await _refused(signed, ATTACKS[attack](body))
    assert code == "signature_refused"
    (entry,) = await signed.entries(body["proposal_id"], "start_refused")
    assert entry["content"]["statement"]["proof"]["kind"] == "key"
    handle = await signed.start(sign(body))
    assert (await signed.result(handle)).outcome == "succeeded"
    await _consistent(signed, handle)


async def test_downgrade_leaving_the_signature_out_is_refused(signed: World) -> None:
    """Unsigned is possible here, and not for an agent whose platform signs: its id stays free for it."""
    body = signed.propose("bench.touch")
    code, message = await _refused(signed, body)
    assert (code, "is expected to sign" in message) == ("unsigned", True)
    assert (await signed.run(sign(body))).outcome == "succeeded"


async def test_downgrade_an_impossible_action_unsigned_takes_nobodys_id(signed: World) -> None:
    """What no policy could let run is denied and registered where it is signed, and refused where it is not."""
    body = signed.propose("bench.touch", target="nowhere")
    assert (await _refused(signed, body))[0] == "unsigned"
    result = await signed.run(sign(body))
    assert (result.resolution, result.reasons[0].code) == ("denied", "unknown_target")


async def test_first_writer_the_same_proposal_unsigned_first(signed: World) -> None:
    """Where the policy lets this very agent come unsigned, whoever is first starts what the platform would have signed.

    The platform is not locked out: it gets that action, once. It rests on nobody's signature all the same.
    """
    await publish_documents(signed.url, _policy([{"agents": ["tuner"]}]))
    try:
        body = signed.propose("bench.touch")
        first = await signed.run(body)
        again = await signed.run(sign(body))
    finally:
        await publish_documents(signed.url, _policy([{}]))
    assert (first.outcome, again) == ("succeeded", first)
    assert len(await signed.effects(body["proposal_id"])) == 1
    assert first.assurance == "claimed"


async def test_first_writer_an_unsigned_action_keeps_no_signed_one_waiting(signed: World) -> None:
    """The same effect, unsigned and pending: what is signed is asked about at once, and not the other way round."""
    steps = [{"name": "put", "operation": "bench.put", "parameters": {"key": "shared"}}]
    same = {"steps": steps, "operation": "bench.put"}
    bare, other = (signed.propose("bench.put", **same, **KEYLESS) for _ in range(2))
    waiting = await signed.start(bare)
    await signed.pending(waiting)
    handle = await signed.start(sign(signed.propose("bench.put", **same)))
    await signed.pending(handle)
    turned_away = await signed.run(other)
    assert turned_away.reasons[0].code == "same_effect_pending"
    for one in (waiting, handle):
        await signed.decide(one, "bob", "deny")
        assert (await signed.result(one)).resolution == "denied"


async def test_signed_again_it_is_the_same_action(signed: World) -> None:
    """Another statement, an expired one, a forged one or none: the digest is known, and so is the result."""
    body = signed.propose("bench.touch")
    first = await signed.run(sign(body))
    for value in (sign(body), sign(body, ago=timedelta(days=1)), sign(body, FORGED), body):
        assert await signed.run(value) == first
    assert len(await signed.effects(body["proposal_id"])) == 1


async def test_revoked_key_a_pending_action_does_not_run(signed: World) -> None:
    """People approve what a platform signed; its key is revoked before it runs: the gate closes, nothing happens."""
    handle = await signed.start(sign(signed.propose("bench.put", undo="bench.take")))
    await signed.pending(handle)
    await signed.decide(handle, "eve")
    await signed.pending(handle, stage=2)
    await publish_documents(signed.url, _directory(revoked_at="2026-01-01T00:00:00Z"))
    try:
        await signed.decide(handle, "cleo")
        result = await signed.result(handle)
        assert (await _refused(signed, sign(signed.propose("bench.touch"))))[1].startswith("revoked_key")
    finally:
        await publish_documents(signed.url, _directory())
    assert result.outcome == "not_executed"
    assert "signature counts no longer" in " ".join(reason.message for reason in result.reasons)
    assert await signed.effects(result.proposal_id) == []
    await _consistent(signed, handle)


async def test_a_malformed_envelope_fails_as_a_malformed_proposal(signed: World) -> None:
    """The one way in which the workflow fails, with the field that is wrong."""
    value = {"proposal": signed.propose("bench.touch"), "statement": {"audience": AUDIENCE}}
    handle = await signed.start(value)
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert "malformed proposal: envelope: statement.proposal_id: field required" in str(caught.value.cause)


async def test_the_screen_says_whose_word_it_is(signed: World) -> None:
    """Whoever decides sees by which key it was signed, or that nobody signed it."""
    handles = [
        await signed.start(sign(signed.propose("bench.put", undo="bench.take"))),
        await signed.start(signed.propose("bench.put", undo="bench.take", **KEYLESS)),
    ]
    shown = [json.dumps((await signed.pending(handle))["screen"]) for handle in handles]
    assert "signed by tuner (key, key tuner-1, aal1)" in shown[0]
    assert "unsigned: nobody can say who proposed it" in shown[1]
    for handle in handles:
        await signed.decide(handle, "bob", "deny")


@pytest.mark.parametrize("key", [TUNER, MOVER], ids=["ed25519", "p256"])
async def test_the_example_signs_without_anything_of_ours(signed: World, key: SigningKey) -> None:
    """A platform with a JOSE library alone starts a signed proposal, after somebody else took the workflow id."""
    example = runpy.run_path(str(EXAMPLE))
    body = signed.propose("bench.touch", agent={"id": key.id.removesuffix("-1")}, rationale="ä 1.0 \u2028")
    await _refused(signed, sign(body, FORGED))
    value = example["envelope"](body, json.loads(key.private_json), AUDIENCE, datetime.now(UTC))
    result = await example["start"](signed.client, value)
    assert (result["outcome"], result["action_digest"]) == ("succeeded", receive(body).action_digest)
