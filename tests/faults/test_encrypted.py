"""Where payloads are encrypted: what is swapped, cut, of another key or in the clear is believed by nobody, and wedges
nothing.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from activities.auditing import audit
from activities.encryption.codec import BOUND, KEY_ID, Belongs, close, open_payload
from activities.encryption.keys import Keys
from activities.export import export_action
from activities.settings import Role
from deploy.dev import Stack
from policy.permit import Direction, permit_id
from tests.faults.attack import asked, assessed, dispatch, forge, plan
from tests.faults.sending import Sender, raw
from tests.keyring import encrypted_world, keys
from tests.world import Handle, World, decision, until
from worker import workflow_runner
from workflows.interface import DECIDE, EXECUTOR_QUEUE, PERMIT_QUEUE, TASK_QUEUE
from workflows.marks import CLEAR_SINCE, ROLE

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(name="ring", scope="module")
def _ring(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return keys(tmp_path_factory.mktemp("keys"), "k1")


@pytest_asyncio.fixture(name="world", scope="module", loop_scope="module")
async def _world(stack: Stack, ring: Keys) -> AsyncIterator[World]:
    async with encrypted_world(stack, ring) as world:
        yield world


@pytest.fixture(name="sender")
def _sender(world: World) -> Sender:
    return Sender(world)


def in_the_clear(value: Any) -> Payload:
    return raw(json.dumps(value).encode())


async def answers(handle: Handle) -> dict[str, Payload]:
    """The encrypted answers of a run's local activities, by activity: what anybody can copy who reads the namespace."""
    history = await handle.fetch_history()
    found = {}
    for event in history.events:
        said = event.marker_recorded_event_attributes
        if said.marker_name == "core_local_activity":
            name = json.loads(said.details["data"].payloads[0].data)["activity_type"]
            found[name] = said.details["result"].payloads[0]
    return found


async def finished(world: World) -> Handle:
    """An action that ran."""
    handle = await world.start(world.propose("bench.set", undo="bench.unset"))
    assert (await world.result(handle)).outcome == "succeeded"
    return handle


async def failed_tasks(world: World, handle: Handle) -> list[str]:
    return [event for event in await world.events(handle) if event == "workflow_task_failed"]


async def findings(world: World, handle: Handle, ring: Keys) -> list[str]:
    file = await export_action(world.client, world.database, handle.id, at=datetime.now(UTC))
    return [str(finding) for finding in (await audit(file.body(), workflow_runner(), keys=ring)).findings]


async def test_downgrade_of_the_assessment(world: World, sender: Sender, ring: Keys) -> None:
    """An answer in the clear says that nobody has to be asked: it is asked again, and the audit names it."""
    body = world.propose("bench.put", undo="bench.take")
    async with world.record_away():
        handle = await world.start(body)
        await sender.complete(handle, "assess", in_the_clear({"plan": plan(body)}))
    await world.pending(handle)
    assert await world.permits(body["proposal_id"]) == []
    assert await failed_tasks(world, handle) == []
    assert [await world.decide(handle, name) for name in ("eve", "cleo")][1].counted
    assert (await world.result(handle)).outcome == "succeeded"
    found = await findings(world, handle, ring)
    assert found
    assert all("(ACTIVITY_TASK_COMPLETED): assess" in finding for finding in found)


async def test_downgrade_by_a_client_that_sets_our_marks(world: World, sender: Sender) -> None:
    """Marks of the codec that a client sends with an answer in the clear are taken off: it is in the clear."""
    body = world.propose("bench.put", undo="bench.take")
    lie = in_the_clear({"plan": plan(body)})
    lie.metadata[ROLE], lie.metadata[CLEAR_SINCE] = b"AssessResult", b"9999-01-01T00:00:00Z"
    async with world.record_away():
        handle = await world.start(body)
        await sender.complete(handle, "assess", lie)
    await world.pending(handle)
    await handle.terminate()


@pytest.mark.parametrize("name", ["take_decision", "advance"])
async def test_downgrade_of_an_approval(world: World, sender: Sender, name: str) -> None:
    """A resolution in the clear resolves nothing: the action goes on waiting for people."""
    proposal_id, handle = await asked(world)
    submission = decision(await world.status(handle), "eve")
    lie = {"receipt": {"decision_id": submission["decision_id"], "counted": True}, "resolution": "approved"}
    async with world.record_away():
        await (handle.signal(DECIDE, submission) if name == "take_decision" else handle.cancel())
        await sender.complete(handle, name, in_the_clear(lie))
    if name == "take_decision":
        await world.pending(handle, stage=2)
    else:
        assert (await world.result(handle)).resolution == "withdrawn"
    assert await world.permits(proposal_id) == []
    assert await failed_tasks(world, handle) == []


async def test_downgrade_of_an_effect(world: World, sender: Sender) -> None:
    """`execute` answered in the clear while no executor ran is no report: nothing is taken for done."""
    body = world.propose("bench.set", undo="bench.unset")
    permit = permit_id(body["proposal_id"], 1, 1, Direction.do)
    await world.stop_workers()
    await world.start_workers(Role.control, Role.permit)
    handle = await world.start(body)
    lie = {"permit_id": permit, "status": "succeeded", "effect": "done"}
    await sender.complete(handle, "execute", in_the_clear(lie))
    result = await world.result(handle)
    await world.stop_workers()
    await world.start_workers()
    assert (result.resolution, result.outcome) == ("approved", "not_executed")
    assert await world.effects(body["proposal_id"]) == []


@pytest.mark.parametrize("name", ["assess", "dispatch", "execute", "record"])
async def test_downgrade_of_a_request(world: World, name: str) -> None:
    """Nobody runs an activity of ours alone with the stock CLI: a request in the clear is refused."""
    proposal_id, handle = await asked(world)
    body = world.propose("bench.touch")
    queue = {"dispatch": PERMIT_QUEUE, "execute": EXECUTOR_QUEUE}.get(name, TASK_QUEUE)
    request = {
        "assess": assessed(body),
        "dispatch": dispatch(proposal_id),
        "execute": {"permit_id": str(uuid4())},
        "record": {"proposal_id": proposal_id, "revision": 1, "now": assessed(body)["now"]},
    }[name]
    code, output = await world.cli(
        *("activity", "execute", "--activity-id", uuid4().hex, "--type", name, "--task-queue", queue),
        *("--start-to-close-timeout", "10s", "--retry-maximum-attempts", "1", "--input", json.dumps(request)),
    )
    assert code
    assert "InTheClear" in output or "Encoded failure" in output, output
    assert await world.entries(body["proposal_id"]) == []
    assert (await world.status(handle))["state"] == "pending"
    await handle.terminate()


async def test_swap_between_two_workflows(world: World, sender: Sender) -> None:
    """The answer of `assess` to an action that is allowed, given to one that has to be asked about: asked again."""
    stolen = (await answers(await finished(world)))["assess"]
    body = world.propose("bench.put", undo="bench.take")
    async with world.record_away():
        handle = await world.start(body)
        await sender.complete(handle, "assess", stolen)
    await world.pending(handle)
    assert await world.permits(body["proposal_id"]) == []
    assert await failed_tasks(world, handle) == []
    await handle.terminate()


async def test_swap_between_two_activities(world: World, sender: Sender, ring: Keys) -> None:
    """The answer of `take_decision`, given as that of `advance` of the same run, though both are of one type."""
    proposal_id, handle = await asked(world)
    await handle.signal(DECIDE, decision(await world.status(handle), "eve"))
    await world.pending(handle, stage=2)
    stolen = (await answers(handle))["take_decision"]
    assert open_payload(stolen, ring)[1].activity == "take_decision"
    async with world.record_away():
        await handle.cancel()
        await sender.complete(handle, "advance", stolen)
    assert (await world.result(handle)).resolution == "withdrawn"
    assert await failed_tasks(world, handle) == []
    assert await world.permits(proposal_id) == []


async def test_swap_between_two_roles(world: World, sender: Sender, ring: Keys) -> None:
    """What was encrypted as a request of the same activity is no answer; as an answer it would be read."""
    body = world.propose("bench.put", undo="bench.take")
    found = in_the_clear({"plan": plan(body)})
    found.metadata[ROLE] = b"AssessRequest"
    async with world.record_away():
        handle = await world.start(body)
        where = Belongs("default", handle.id, "assess")
        await sender.complete(handle, "assess", close(found, ring, "k1", where))
    await world.pending(handle)
    await handle.terminate()


async def test_an_answer_is_no_message(world: World, sender: Sender, ring: Keys) -> None:
    """A decision that was encrypted as something else than a message is answered as malformed."""
    _, handle = await asked(world)
    found = in_the_clear(decision(await world.status(handle), "eve"))
    found.metadata[ROLE] = b"CaseResult"
    await sender.signal(handle, DECIDE, [close(found, ring, "k1", Belongs("default", handle.id))])
    status = await until(lambda: world.status(handle), lambda status: status["refused_messages"] > 0)
    assert "encrypted as CaseResult" in next(iter(status["receipts"].values()))["message"]
    await handle.terminate()


def _changed(**metadata: bytes) -> Callable[[Payload], Payload]:
    def change(payload: Payload) -> Payload:
        names = {"key": KEY_ID, "bound": BOUND}
        changed = {names[name]: value for name, value in metadata.items()}
        return Payload(metadata={**payload.metadata, **changed}, data=payload.data)

    return change


def _data(make: Callable[[bytes], bytes]) -> Callable[[Payload], Payload]:
    return lambda payload: Payload(metadata=dict(payload.metadata), data=make(payload.data))


# What is done to a payload that was encrypted as it should be, and what its sender is told.
SPOILED: dict[str, tuple[Callable[[Payload], Payload], str]] = {
    "key that nobody has": (_changed(key=b"k9"), "key 'k9', which the key file does not have"),
    "no key": (_changed(key=b""), "which the key file does not have"),
    "key id that is no text": (_changed(key=b"\xff\x00"), "which the key file does not have"),
    "cut ciphertext": (_data(lambda data: data[:-1]), "it was changed, or moved"),
    "cut to nothing": (_data(lambda data: data[:20]), "was cut off"),
    "no data": (_data(lambda _: b""), "was cut off"),
    "changed ciphertext": (_data(lambda data: data[:-1] + bytes([data[-1] ^ 1])), "it was changed, or moved"),
    "bound to nothing": (_changed(bound=b""), "malformed"),
    "bound to no object": (_changed(bound=b"[]"), "malformed"),
    "bound with a number": (
        _changed(bound=b'{"activity":"","namespace":"default","role":"message","workflow_id":1}'),
        "malformed",
    ),
    "bound to much": (_changed(bound=b"{" + b" " * 100_000 + b"}"), "malformed"),
}


@pytest.mark.parametrize("shape", SPOILED)
async def test_a_spoiled_message_is_answered_and_wedges_nothing(
    world: World, sender: Sender, ring: Keys, shape: str
) -> None:
    """A signal, an update, an answer, a query and a start that cannot be decrypted: each is answered or recorded."""
    spoil, said = SPOILED[shape]
    body = world.propose("bench.put", undo="bench.take")
    async with world.record_away():
        handle = await world.start(body)
        good = in_the_clear({"plan": plan(body)})
        good.metadata[ROLE] = b"AssessResult"
        await sender.complete(handle, "assess", spoil(close(good, ring, "k1", Belongs("default", handle.id, "assess"))))
    status = await world.pending(handle)
    message = spoil(close(in_the_clear(decision(status, "eve")), ring, "k1", Belongs("default", handle.id)))

    refused = await sender.refused(handle, DECIDE, [message])
    await sender.signal(handle, DECIDE, [message])
    status = await until(lambda: world.status(handle), lambda found: found["refused_messages"] > 0)
    await sender.ask(handle, "status", [message])
    other = await sender.start(world.id(), [message])
    with pytest.raises(WorkflowFailureError) as told:
        await world.result(other)

    assert said in open_payload(refused.encoded_attributes, ring)[0].data.decode()
    assert said in next(iter(status["receipts"].values()))["message"]
    assert said in str(told.value.cause)
    assert (await world.decide(handle, "eve")).counted
    assert await failed_tasks(world, handle) == []
    await handle.terminate()


async def test_a_worker_without_the_key_believes_nothing_and_wedges_nothing(
    world: World, sender: Sender, ring: Keys
) -> None:
    """Encrypted messages reach a run whose worker has other keys: refused by name, and the case waits."""
    _, handle = await asked(world)
    foreign = close(in_the_clear({"vote": "approve"}), ring, "k1", Belongs("elsewhere", handle.id))
    await sender.signal(handle, DECIDE, [foreign])
    status = await until(lambda: world.status(handle), lambda found: found["refused_messages"] > 0)
    assert "for namespace 'elsewhere', not for 'default'" in next(iter(status["receipts"].values()))["message"]
    with contextlib.suppress(RPCError):
        await handle.terminate()


async def test_forging_with_the_stock_cli_is_a_downgrade(world: World) -> None:
    """`temporal activity complete` writes in the clear, whatever it says: asked again."""
    body = world.propose("bench.put", undo="bench.take")
    async with world.record_away():
        handle = await world.start(body)
        await forge(world, handle, "assess", {"plan": plan(body)})
    await world.pending(handle)
    await handle.terminate()
