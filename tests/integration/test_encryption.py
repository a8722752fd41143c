"""A world whose payloads are encrypted: what the server holds, what stock tools can do, and what an audit needs."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.api.history.v1 import History
from temporalio.client import Client
from temporalio.worker import Replayer

from activities.auditing import audit
from activities.encryption.connecting import data_converter
from activities.encryption.histories import encrypted_with
from activities.encryption.keys import Keys
from activities.export import export_action
from deploy.dev import Stack
from tests.keyring import encrypted_world, keys
from tests.world import Handle, World, decision
from worker import workflow_runner
from workflows.authorize import AuthorizeAction
from workflows.interface import DECIDE, STATUS, TASK_QUEUE, WORKFLOW_TYPE, workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORD = "nobody-reads-this-word"


@pytest.fixture(name="ring", scope="module")
def _ring(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return keys(tmp_path_factory.mktemp("keys"), "k1", "k0")


@pytest_asyncio.fixture(name="world", scope="module", loop_scope="module")
async def _world(stack: Stack, ring: Keys) -> AsyncIterator[World]:
    async with encrypted_world(stack, ring) as world:
        yield world


async def server_text(handle: Handle) -> str:
    """A run's history as the server gives it to anybody, base64 decoded where it is one."""
    history = await handle.fetch_history()
    return str(History(events=history.events))


async def approved(world: World) -> Handle:
    """An action that two people approved, one by an update and one by a signal, and that ran."""
    handle = await world.start(world.propose("bench.put", undo="bench.take", rationale=WORD))
    await world.pending(handle)
    receipt = await world.decide(handle, "eve", justification=WORD)
    assert (receipt.counted, receipt.in_the_clear) == (True, False)
    await handle.signal(DECIDE, decision(await world.pending(handle, 2), "cleo", justification=WORD))
    assert (await world.result(handle)).outcome == "succeeded"
    return handle


async def exported(world: World, handle: Handle) -> bytes:
    file = await export_action(world.client, world.database, handle.id, at=datetime.now(UTC))
    return file.body()


async def test_the_server_holds_nothing_that_was_said(world: World) -> None:
    """Proposal, decisions, receipts, answers, summaries and result: none of their words is in the history."""
    handle = await approved(world)

    text = await server_text(handle)

    assert WORD not in text
    assert "counted" not in text
    assert "step-1" not in text
    assert encrypted_with((await handle.fetch_history()).events) == ["k1"]


async def test_what_is_never_encrypted_is_what_the_page_says(world: World) -> None:
    """Search attributes, ids, types and the SDK's note of a local activity stay readable (docs/encryption.md)."""
    handle = await approved(world)

    text = await server_text(handle)

    assert "AuthorizeAction" in text
    assert "CountersignState" in text
    assert "take_decision" in text


async def test_an_audit_needs_the_keys(world: World, ring: Keys) -> None:
    """An exported history stays as the server had it: consistent with the keys, and a finding without them."""
    body = await exported(world, await approved(world))

    with_keys = await audit(body, workflow_runner(), keys=ring)
    without = await audit(body, workflow_runner())

    assert WORD not in json.dumps(json.loads(body)["history"])
    assert [str(finding) for finding in with_keys.findings] == []
    assert [finding.where for finding in without.findings] == ["history"]
    assert "encrypted with key k1: set COUNTERSIGN_CODEC_KEYS_FILE" in without.findings[0].what


async def test_an_audit_with_a_key_that_is_missing_names_it(world: World, tmp_path: Path) -> None:
    """A key file without the key that a history names: not consistent, and a note says which key it lacks."""
    body = await exported(world, await approved(world))

    audited = await audit(body, workflow_runner(), keys=keys(tmp_path, "k0"))

    assert audited.findings
    assert any("key 'k1', which the key file does not have" in note for note in audited.notes)


async def test_an_encrypted_history_replays(world: World, ring: Keys) -> None:
    """Temporal's own replayer replays it with the codec, under the namespace that it was encrypted for."""
    history = await (await approved(world)).fetch_history()
    replayer = Replayer(
        workflows=[AuthorizeAction],
        data_converter=data_converter(ring),
        namespace=world.client.namespace,
        workflow_runner=workflow_runner(),
    )

    assert (await replayer.replay_workflow(history)).replay_failure is None


async def test_clients_without_keys_still_decide(world: World, ring: Keys) -> None:
    """A platform and an approver in the clear: both count, and receipt, status and details say that they were."""
    plain = await Client.connect(world.client.service_client.config.target_host)
    body = world.propose("bench.sign", undo="bench.unset", rationale=WORD)
    await plain.start_workflow(WORKFLOW_TYPE, body, id=workflow_id(body["proposal_id"]), task_queue=TASK_QUEUE)
    handle: Handle = world.client.get_workflow_handle(workflow_id(body["proposal_id"]))
    waiting = await world.pending(handle)
    assert waiting["in_the_clear"] == ["the proposal"]

    submission = decision(waiting, "eve")
    code, output = await world.cli(
        *("workflow", "update", "execute", "--workflow-id", handle.id, "--name", DECIDE),
        *("--input", json.dumps(submission)),
    )
    result = await world.result(handle)
    status = await handle.query(STATUS)

    assert "binary/encrypted" in output or code != 0
    assert result.outcome == "succeeded"
    assert status["in_the_clear"] == ["the proposal", "messages: 1"]
    assert status["receipts"][submission["decision_id"]]["in_the_clear"] is True
    audited = await audit(await exported(world, handle), workflow_runner(), keys=ring)
    assert [str(finding) for finding in audited.findings] == []
