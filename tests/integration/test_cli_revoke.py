"""`revoke`, `accept` and `reviews` from the command line, against a real stack."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from activities.connection import connect
from cli import exits
from tests.integration.terminal import BOUND_SECONDS, DOCUMENTS, House, proposal
from workflows.interface import SWEEP_WORKFLOW, TASK_QUEUE

POLICY = (
    DOCUMENTS["policy"]
    + """
  one:
    stages: [{name: anybody, requirements: [{groups: [dba, owners]}], deadline: 4h}]
revocation:
  after: {window: 1d, chain: one}
inconclusive: {within: 1h, on_expiry: hold}
break_glass:
  - {id: outage, match: {environments: [production]}, chain: one, review_within: 2d}
"""
)


@pytest.fixture(name="documents", scope="module")
def _documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents of the terminal, with a window for rollbacks and a glass."""
    folder = tmp_path_factory.mktemp("documents")
    for name, text in {**DOCUMENTS, "policy": POLICY}.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_a_pending_action_is_revoked(house: House) -> None:
    """It says who and why, and ends as withdrawn; whoever may not is told what is needed."""
    house.pending("revoked")
    revoked = house.decide("revoke", "revoked", "eva", "--because", "wrong database")
    assert (revoked.code, "withdrawn" in revoked.out) == (exits.OK, True)
    done = house.until("revoked", lambda status: status["result"] is not None)
    assert done["result"]["reasons"] == [{"code": "revoked", "message": "revoked by eva: wrong database"}]
    assert "revoked by eva" in house.run("show", "revoked").out


def test_what_has_succeeded_is_undone_by_an_action_of_its_own(house: House) -> None:
    """`revoke` builds, signs and starts the recorded undo, which one person of the faster chain approves.

    Ben has a key: without it nobody starts anything in his name.
    """
    house.pending("done")
    house.decide("approve", "done", "ben")
    house.decide("approve", "done", "eva")
    house.until("done", lambda status: status["result"] is not None)
    bare = house.decide("revoke", "done", "ben", "--because", "reports are slower now")
    assert (bare.code, "say with --criterion" in bare.err) == (exits.FAILED, True)
    criterion = house.file({**proposal("x")["success_criteria"][0], "equals": "4MB"})
    named = house.decide("revoke", "done", "ben", "--because", "slower now", "--criterion", criterion)
    assert (named.code, "unsigned" in named.out) == (exits.REFUSED, True), named.out
    because = ("--because", "slower now", "--criterion", criterion, "--key", house.key("ben"), "--yes")
    started = house.run("revoke", "done", *because, "--json")
    assert (started.code, started.json["undoes"], started.json["state"]) == (exits.OK, "done", "pending")
    undo = started.json["proposal_id"]
    again = house.run("revoke", "done", *because)
    assert (again.code, "same_effect_pending" in again.out) == (exits.REFUSED, True)
    assert " undoes done" not in again.out
    house.until(undo, lambda status: status["state"] == "pending")
    assert "ROLLBACK of done" in house.run("show", undo).out
    assert house.decide("approve", undo, "eva").code == exits.OK
    done = house.until(undo, lambda status: status["result"] is not None)
    assert done["result"]["outcome"] == "succeeded"
    assert "ben-1" in house.run("show", undo).out
    late = house.run("revoke", "done", *because)
    assert (late.code, "unknown_agent" in late.out.split("\n")[1]) == (exits.REFUSED, False), late.out


def test_what_nobody_could_measure_is_accepted(house: House) -> None:
    """`accept` shows what was measured and until when; only who may revoke it and does not stand behind it counts.

    What is signed for the Temporal UI says the same, and once it has ended there is nothing to accept.
    """
    house.pending("early")
    early = house.decide("accept", "early", "ben", "--because", "fine")
    assert (early.code, "nothing of early waits" in early.err) == (exits.FAILED, True)
    value = proposal("unclear")
    value["success_criteria"][0] |= {"equals": "1MB", "failure": {"equals": "2MB"}, "within_seconds": 1}
    assert house.run("propose", house.file(value)).code == exits.OK
    house.until("unclear", lambda status: status["state"] == "pending")
    house.decide("approve", "unclear", "ben")
    house.decide("approve", "unclear", "eva")
    house.until("unclear", lambda status: status["state"] == "judging")
    own = house.decide("accept", "unclear", "ana", "--because", "mine is fine")
    assert (own.code, "not_authorized" in own.out) == (exits.REFUSED, True)
    signed = house.run("sign", "unclear", "--accept", "--because", "by hand", "--key", house.key("ben"), "--yes")
    assert (json.loads(signed.out)["vote"], "somebody may accept or revoke it" in signed.err) == ("accept", True)
    found = house.decide("accept", "unclear", "eva", "--because", "sorts are fine by hand")
    assert found.code == exits.OK, found.err
    for line in ("postgres.parameter.value reads", "nobody can tell", "under a hold", "nothing is undone"):
        assert line in found.out
    done = house.until("unclear", lambda status: status["result"] is not None)
    assert done["result"]["reasons"][-1]["message"] == "accepted by eva: sorts are fine by hand"
    late = house.decide("accept", "unclear", "eva", "--because", "again")
    assert (late.code, "has ended as inconclusive" in late.err) == (exits.FAILED, True)


async def _sweep(house: House) -> None:
    client = await connect(address=house.stack.temporal_address)
    await client.execute_workflow(SWEEP_WORKFLOW, id="sweep-now", task_queue=TASK_QUEUE)


def test_a_review_is_listed_and_answered(house: House) -> None:
    """What broke a glass is listed until somebody who has nothing to do with it finds it in order."""
    value = {**proposal("urgent"), "change_type": "emergency"}
    assert house.run("propose", house.file(json.dumps(value))).code == exits.OK
    house.until("urgent", lambda status: status["state"] == "pending")
    house.decide("approve", "urgent", "eva")
    house.until("urgent", lambda status: status["result"] is not None)
    (row,) = house.run("reviews", "--json").json
    assert (row["action"], row["asked by"]) == ("urgent", "ana")
    deadline = time.monotonic() + BOUND_SECONDS
    while (own := house.run("reviews", "in-order", "urgent", "--because", "ok", "--as", "ana")).code == exits.FAILED:
        assert time.monotonic() < deadline, own.err
        asyncio.run(_sweep(house))
    assert (own.code, "self_approval" in own.out) == (exits.REFUSED, True)
    found = house.run("reviews", "at-fault", "urgent", "--because", "no incident", "--as", "ben")
    assert (found.code, "counted" in found.out) == (exits.OK, True)
    assert "the review found it at fault" in found.out
    assert house.run("reviews").out.startswith("nothing that broke a glass")
