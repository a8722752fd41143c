"""What changes while people are asked, and what they are asked then; on a real server, with documents that change."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from activities.attributes import RegisteredAttributes
from activities.auditing import audit
from activities.clock import SystemClock
from activities.control import ControlActivities
from activities.dispatch import PermitActivities
from activities.documents import Documents
from activities.export import export_action
from activities.proving import Prover
from activities.telemetry_pending import PendingReader
from tests.anchors import anchored
from tests.permit_keys import SIGNER
from tests.world import DOCUMENTS, Handle, World, decision, publish_documents, until
from worker import workflow_runner
from workflows.interface import RECHECK, workflow_id
from workflows.messages import AdvanceRequest, AssessRequest, DecisionRequest, DispatchRequest, StartFacts

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY, CATALOG, DIRECTORY = ((DOCUMENTS / f"{name}.yaml").read_bytes() for name in ("policy", "catalog", "directory"))
_RULES = b"permit_ttl: 60s\n"
_OTHER_ID = CATALOG.replace(b"countersign/resource-id: bench/shop", b"countersign/resource-id: bench/market")
_NO_SHOP = CATALOG.replace(b"  name: shop\n", b"  name: closed\n")
_CLEO_LEFT = DIRECTORY.replace(
    b"aliases: [cleo@example.org], groups: [dba]", b"aliases: [cleo@example.org], groups: []"
)
_EVE_LEFT = DIRECTORY.replace(b"aliases: [eve@example.org], groups: [ops]", b"aliases: [eve@example.org], groups: []")


def _policy(drift: str = "", *, signed: str = "verdict: require_approval, chain: single") -> bytes:
    """The policy of the tests with these rules for changes, and this answer for what one person signs."""
    text = POLICY.replace(b"verdict: require_approval, chain: single", signed.encode())
    return text.replace(_RULES, _RULES + (f"drift: {{{drift}}}\n".encode() if drift else b""))


CADENCE = _policy("recheck_every: 1s, min_interval: 1s")
ON_REQUEST = _policy("min_interval: 1s")


@pytest_asyncio.fixture(name="house", loop_scope="module")
async def _house(world: World) -> AsyncIterator[World]:
    """The world with its documents as they are in the folder, before and after."""
    await publish_documents(world.url, POLICY, CATALOG, DIRECTORY)
    yield world
    await publish_documents(world.url, POLICY, CATALOG, DIRECTORY)


async def _revision(world: World, handle: Handle, number: int) -> dict[str, Any]:
    """The status, as soon as people are asked about that revision."""
    return await until(
        lambda: world.status(handle), lambda found: found["revision"] == number and found["state"] == "pending"
    )


async def _findings(world: World, handle: Handle) -> list[str]:
    """What an audit of the newest run finds."""
    file = await export_action(world.client, world.database, handle.id, at=datetime.now(UTC))
    return [str(item) for item in (await audit(file.body(), workflow_runner())).findings]


async def _vote_then_publish(world: World, handle: Handle, person: str, document: bytes) -> None:
    """The last vote is recorded, the document is in force, and only then the run hears that it was approved."""
    vote = decision(await world.pending(handle, 2), person)
    told = {"proposal_id": _id(handle), "revision": 1, "submission": vote, "channel": "update", "arrival": 9}
    taken = await _control(world).take_decision(DecisionRequest(**told, now=datetime.now(UTC)))
    await publish_documents(world.url, document)
    assert (taken.resolution, (await world.send(handle, vote)).counted) == ("approved", True)


def _id(handle: Handle) -> str:
    return handle.id.removeprefix("action/")


async def _superseded(world: World, handle: Handle) -> list[dict[str, Any]]:
    """What each later revision says of the one before."""
    entries = await world.entries(_id(handle), "assessed")
    return [entry["content"]["revision"]["superseded"] for entry in entries[1:]]


async def test_the_cadence_finds_a_material_change_and_people_are_asked_anew(house: World) -> None:
    """Other ids open revision 2: the vote is void, the old revision takes no decision, and what runs is the new one."""
    await publish_documents(house.url, CADENCE)
    handle = await house.start(house.propose("bench.put", undo="bench.take"))
    first = await house.pending(handle)
    assert (await house.decide(handle, "eve")).counted

    await publish_documents(house.url, _OTHER_ID)
    second = await _revision(house, handle, 2)
    late = await house.send(handle, decision(first, "bob"))
    permits = _permits(house)
    asked = DispatchRequest(proposal_id=_id(handle), revision=1, step=1, now=datetime.now(UTC))
    assert (await permits.dispatch(asked)).permit_id is None
    receipts = [await house.decide(handle, "eve")]
    await house.pending(handle, 2)
    receipts.append(await house.decide(handle, "cleo"))
    result = await house.result(handle)

    assert (late.counted, late.code) == (False, "revision_mismatch")
    assert [receipt.counted for receipt in receipts] == [True, True]
    assert (result.revision, result.outcome) == (2, "succeeded")
    told = (await _superseded(house, handle))[0]
    assert (told["rule"], [item["person_id"] for item in told["voided"]]) == ("target_changed", ["eve"])
    assert "bench/market" in told["changes"][0]
    assert second["screen"]["changed"] == told["changes"]
    assert first["screen"]["absolute_deadline"] == second["screen"]["absolute_deadline"]
    assert await _findings(house, handle) == []


async def test_a_change_that_is_not_material_is_recorded_and_votes_stay(house: World) -> None:
    """Another version of the policy that asks the same: one entry, the same revision, and the first vote counts on."""
    await publish_documents(house.url, CADENCE)
    handle = await house.start(house.propose("bench.put", undo="bench.take"))
    await house.pending(handle)
    assert (await house.decide(handle, "eve")).counted

    await publish_documents(house.url, CADENCE + b"# a comment\n")
    entry = (await until(lambda: house.entries(_id(handle), "remeasured")))[0]
    assert (await house.decide(handle, "cleo")).counted
    result = await house.result(handle)

    assert (entry["content"]["drift"]["kind"], entry["content"]["drift"]["rule"]) == ("immaterial", "not_worse")
    assert (result.revision, result.outcome) == (1, "succeeded")
    assert len(await house.entries(_id(handle), "remeasured")) == 1
    assert await _findings(house, handle) == []


async def test_a_flood_of_signals_costs_its_own_events_and_one_timer(house: World) -> None:
    """Two hundred signals of any shape within an interval: nothing is measured before its end, and the case goes on."""
    await publish_documents(house.url, _policy("min_interval: 1h"))
    handle = await house.start(house.propose("bench.sign", undo="bench.unset"))
    await house.pending(handle)
    before = await house.events(handle)

    shapes: tuple[list[Any], ...] = ([], [None], ["the disk is full", 7], [{"vote": "approve"}])
    for number in range(200):
        await handle.signal(RECHECK, args=shapes[number % len(shapes)])
    assert (await house.decide(handle, "eve")).counted
    assert (await house.result(handle)).outcome == "succeeded"
    events = await house.events(handle)

    assert events.count("workflow_execution_signaled") == 200
    # The timer of the deadline, and that of the end of the interval instead of it.
    assert events.count("timer_started") - before.count("timer_started") <= 2
    assert await house.entries(_id(handle), "remeasured") == []
    assert await _findings(house, handle) == []


async def test_somebody_who_says_that_the_world_changed_is_heard(house: World) -> None:
    """Without a cadence the signal measures, once its interval is over."""
    await publish_documents(house.url, ON_REQUEST)
    handle = await house.start(house.propose("bench.sign", undo="bench.unset"))
    await house.pending(handle)
    await publish_documents(house.url, _OTHER_ID)
    await handle.signal(RECHECK, {"because": "it was moved"})
    await _revision(house, handle, 2)
    assert (await house.decide(handle, "eve")).counted
    assert (await house.result(handle)).outcome == "succeeded"
    assert await _findings(house, handle) == []


async def test_without_a_word_in_the_policy_nothing_is_measured_before_dispatch(house: World) -> None:
    """A signal is taken and does nothing; what changed is found where the permit is asked for."""
    handle = await house.start(house.propose("bench.sign", undo="bench.unset"))
    await house.pending(handle)
    await publish_documents(house.url, _OTHER_ID)
    await handle.signal(RECHECK)
    assert (await house.decide(handle, "eve")).counted

    await _revision(house, handle, 2)
    assert (await house.decide(handle, "eve")).counted
    result = await house.result(handle)

    assert (result.revision, result.outcome) == (2, "succeeded")
    assert len(await house.entries(_id(handle), "dispatch_refused")) == 1
    assert (await _superseded(house, handle))[0]["rule"] == "target_changed"
    assert await _findings(house, handle) == []


async def test_a_vote_that_lost_its_standing_goes_back_to_people_and_the_others_are_kept(house: World) -> None:
    """Eve left between the last vote and dispatch: stage 1 is asked again, and what cleo said in stage 2 counts once
    it opens.
    """
    handle = await house.start(house.propose("bench.put", undo="bench.take"))
    await house.pending(handle)
    assert (await house.decide(handle, "eve")).counted
    await _vote_then_publish(house, handle, "cleo", _EVE_LEFT)

    status = await _revision(house, handle, 2)
    assert status["stage"] == 1
    assert (await house.decide(handle, "bob")).counted
    result = await house.result(handle)

    assert (result.revision, result.outcome) == (2, "succeeded")
    assert [(item.person_id, item.stage) for item in result.decided_by] == [("cleo", 2), ("bob", 1)]
    kept = (await house.entries(_id(handle), "votes_kept"))[0]["content"]
    told = (await _superseded(house, handle))[0]
    assert (told["rule"], [item["person_id"] for item in told["voided"]]) == ("approval_lapsed", ["eve"])
    assert told["changes"][0] == "the approval of eve does not count any more"
    assert kept["decisions"] == told["kept"] == [item["decision_id"] for item in kept["ballots"]]
    assert (kept["old_digest"], kept["new_digest"]) == (told["digest"], result.assessment_digest)
    assert await _findings(house, handle) == []


async def test_a_vote_that_is_kept_closes_its_stage_at_once(house: World) -> None:
    """Cleo left between her vote and dispatch: what eve said in stage 1 is kept and enough, and stage 2 is asked."""
    handle = await house.start(house.propose("bench.put", undo="bench.take"))
    await house.pending(handle)
    assert (await house.decide(handle, "eve")).counted
    await _vote_then_publish(house, handle, "cleo", _CLEO_LEFT)

    status = await _revision(house, handle, 2)
    waiting = await PendingReader(house.database).read(datetime.now(UTC))
    assert (status["stage"], status["stages"][0]["approvals"]) == (2, ["eve"])
    assert sum(count for (_, stage), count in waiting.pending.items() if stage == "2") == 1
    assert (await house.decide(handle, "bob")).counted
    result = await house.result(handle)

    assert [(item.person_id, item.stage) for item in result.decided_by] == [("eve", 1), ("bob", 2)]


async def test_what_a_rule_allowed_and_people_are_asked_about_by_now_goes_to_them(house: World) -> None:
    """Between the assessment and the first permit the policy asks somebody: no permit, and revision 2 asks them."""
    control, permits = (
        _control(house),
        _permits(house),
    )
    body = house.propose("bench.set", undo="bench.unset")
    start = StartFacts(workflow_id=workflow_id(body["proposal_id"]), run_id="run")
    assessed = await control.assess(AssessRequest(proposal=body, start=start, now=datetime.now(UTC)))
    assert assessed.plan is not None
    assert assessed.plan.resolution == "approved"
    asks = POLICY.replace(b"[bench.touch, bench.set,", b"[bench.touch,").replace(
        b"[bench.sign]", b"[bench.sign, bench.set]"
    )
    await publish_documents(house.url, asks)

    told = {"proposal_id": body["proposal_id"], "revision": 1}
    refused = await permits.dispatch(DispatchRequest(**told, step=1, now=datetime.now(UTC)))
    given = await control.advance(AdvanceRequest(**told, returning=True, now=datetime.now(UTC)))
    again = await permits.dispatch(DispatchRequest(**told, step=1, now=datetime.now(UTC)))

    assert (refused.permit_id, refused.curable) == (None, True)
    assert given.plan is not None
    assert (given.plan.revision, given.plan.resolution, given.plan.verdict) == (2, None, "require_approval")
    assert given.standing is not None
    assert given.standing.current.groups == ("ops",)
    assert (again.permit_id, again.curable) == (None, True)


async def test_once_a_permit_was_issued_nothing_goes_back_to_people(house: World) -> None:
    """Whoever asks for it after that gets the case as it is, whatever changed meanwhile."""
    control, permits = (
        _control(house),
        _permits(house),
    )
    body = house.propose("bench.set", undo="bench.unset")
    start = StartFacts(workflow_id=workflow_id(body["proposal_id"]), run_id="run")
    await control.assess(AssessRequest(proposal=body, start=start, now=datetime.now(UTC)))
    told = {"proposal_id": body["proposal_id"], "revision": 1}
    issued = await permits.dispatch(DispatchRequest(**told, step=1, now=datetime.now(UTC)))
    await publish_documents(house.url, _OTHER_ID)
    given = await control.advance(AdvanceRequest(**told, returning=True, now=datetime.now(UTC)))

    assert issued.permit_id is not None
    assert (given.plan, given.resolution) == (None, "approved")
    assert len(await house.entries(body["proposal_id"], "assessed")) == 1


def _permits(world: World) -> PermitActivities:
    prover, kept = Prover(accepts_claimed=True), anchored(world.anchor)
    return PermitActivities(world.database, Documents(), SystemClock(), prover, SIGNER, kept)


def _control(world: World) -> ControlActivities:
    known, prover = RegisteredAttributes(world.client), Prover(accepts_claimed=True)
    return ControlActivities(world.database, Documents(), SystemClock(), prover, local_dispatch=True, attributes=known)


async def test_a_stricter_policy_at_dispatch_asks_its_people(house: World) -> None:
    """The policy asks another chain by the last vote: that one is asked, and nothing runs before."""
    handle = await house.start(house.propose("bench.sign", undo="bench.unset"))
    await house.pending(handle)
    stricter = _policy(signed="verdict: hold, chain: pair")
    await publish_documents(house.url, stricter)
    assert (await house.decide(handle, "eve")).counted

    await _revision(house, handle, 2)
    assert await house.effects(_id(handle)) == []
    assert (await house.decide(handle, "eve")).counted
    await house.pending(handle, 2)
    assert (await house.decide(handle, "cleo")).counted
    result = await house.result(handle)

    assert (result.revision, result.verdict, result.outcome) == (2, "hold", "succeeded")
    assert (await _superseded(house, handle))[0]["rule"] == "policy_stricter"
    assert await _findings(house, handle) == []


async def test_a_policy_that_denies_at_dispatch_ends_the_action(house: World) -> None:
    """What people cannot cure is not put to them: it ends as it did before, and nothing ran."""
    handle = await house.start(house.propose("bench.sign", undo="bench.unset"))
    await house.pending(handle)
    denies = _policy(signed="verdict: deny")
    await publish_documents(house.url, denies)
    assert (await house.decide(handle, "eve")).counted
    result = await house.result(handle)

    assert (result.revision, result.resolution, result.outcome) == (1, "approved", "not_executed")
    assert result.reasons[0].code == "policy_stricter"
    assert await _findings(house, handle) == []


async def test_a_policy_that_denies_while_people_are_asked_denies(house: World) -> None:
    """The measurement opens a revision that is denied by the policy, and the action ends with it."""
    await publish_documents(house.url, CADENCE)
    handle = await house.start(house.propose("bench.sign", undo="bench.unset"))
    await house.pending(handle)
    denies = _policy("recheck_every: 1s, min_interval: 1s", signed="verdict: deny")
    await publish_documents(house.url, denies)
    result = await house.result(handle)

    assert (result.revision, result.resolution, result.outcome) == (2, "denied", "not_executed")
    assert await _findings(house, handle) == []


async def test_after_two_voids_people_decide_whether_it_goes_on(house: World) -> None:
    """The third revision takes no approval before somebody of its first stage has released it; nobody behind it may."""
    await publish_documents(house.url, CADENCE)
    handle = await house.start(house.propose("bench.sign", undo="bench.unset"))
    await house.pending(handle)
    await publish_documents(house.url, _OTHER_ID)
    await _revision(house, handle, 2)
    await publish_documents(house.url, CATALOG)
    held = await _revision(house, handle, 3)
    await publish_documents(house.url, _OTHER_ID)

    receipts = [
        await house.decide(handle, person, vote)
        for person, vote in (("eve", "approve"), ("ann", "release"), ("cleo", "release"), ("eve", "release"))
    ]
    assert [receipt.code for receipt in receipts] == ["on_hold", "self_approval", "not_eligible", None]
    assert held["screen"]["held"] is True
    assert held["stages"][0]["missing"][0].startswith("the release")
    # What changed while it was held is found now, and is one void more.
    await _revision(house, handle, 4)
    assert (await house.decide(handle, "bob", "release")).counted
    assert (await house.decide(handle, "bob")).counted
    result = await house.result(handle)

    assert (result.revision, result.outcome) == (4, "succeeded")
    assert await _findings(house, handle) == []


async def test_an_effect_that_vanished_closes_the_case(house: World) -> None:
    """The target is in the catalog no more: nobody has to answer, and the result says why."""
    await publish_documents(house.url, CADENCE)
    handle = await house.start(house.propose("bench.sign", undo="bench.unset"))
    await house.pending(handle)
    await publish_documents(house.url, _NO_SHOP)
    result = await house.result(handle)

    assert (result.resolution, result.outcome) == ("withdrawn", "not_executed")
    assert [reason.code for reason in result.reasons] == ["effect_vanished", "not_executed"][: len(result.reasons)]
    assert await _findings(house, handle) == []


async def test_a_reset_to_before_the_change_goes_on_with_the_open_revision(house: World) -> None:
    """The run that begins again is told of the revision that is open, and asks about that one only."""
    await publish_documents(house.url, CADENCE)
    handle = await house.start(house.propose("bench.sign", undo="bench.unset"))
    await house.pending(handle)
    await publish_documents(house.url, _OTHER_ID)
    await _revision(house, handle, 2)
    request = ResetWorkflowExecutionRequest(
        namespace=house.client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=handle.id),
        reason="to see it again",
        workflow_task_finish_event_id=4,
        request_id=handle.id,
    )
    answer = await house.client.workflow_service.reset_workflow_execution(request)
    again = house.client.get_workflow_handle(handle.id, run_id=answer.run_id)

    await _revision(house, again, 2)
    assert (await house.decide(again, "eve")).counted
    result = await house.result(again)

    assert (result.revision, result.outcome) == (2, "succeeded")
    assert len(await house.permits(_id(handle))) == 2
    assert await _findings(house, again) == []
