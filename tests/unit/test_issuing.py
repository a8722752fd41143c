"""Which permits a step gets."""

from datetime import timedelta

import pytest

from policy.canonical import digest_of
from policy.issuing import issue
from policy.operations import MinimumCriterion, Probe
from policy.parameter_types import Parameter
from policy.permit import Direction, Permit
from policy.proofs import Assurance
from policy.proposal import receive
from policy.revision import DocumentDigests, assess_revision
from tests.unit.builders import DIGEST, T0, a_policy, at, facts_of, issued, proposal_json, step_json

AAL1 = Assurance.aal1
_TWO = {"steps": [step_json(), step_json("pg.end_session", name="end", undo=None)]}


def test_a_step_and_its_undo() -> None:
    """Both permits are issued together, for the assessed ids; the undo never expires and has no criteria."""
    forward, undo = issued(1)
    assert (forward.direction, forward.operation, forward.expires_at) == (Direction.do, "pg.set", at(10))
    assert (undo.direction, undo.operation, undo.expires_at) == (Direction.undo, "pg.reset", None)
    assert forward.permit_id != undo.permit_id
    for permit in (forward, undo):
        assert (permit.resolved, permit.resolved_digest) == (("pg-orders",), digest_of(["pg-orders"]))
        assert (permit.executor, permit.issued_at) == ("postgres", at(5))
    assert [item.probe for item in forward.criteria] == ["pg.setting"]
    assert undo.criteria == ()


def test_a_step_without_undo() -> None:
    """Without an undo there is only the permit to do."""
    assert [permit.direction for permit in issued(2, **_TWO)] == [Direction.do]


@pytest.mark.parametrize(("step", "criteria"), [(1, 0), (2, 1)], ids=["a step on the way", "the last step"])
def test_criteria_belong_to_the_last_step(step: int, criteria: int) -> None:
    """Success is measured when everything is done."""
    assert len(issued(step, **_TWO)[0].criteria) == criteria


def test_the_minimum_of_every_step_is_measured() -> None:
    """The last permit brings the minimum criteria of all steps, before those of the proposal."""
    received = receive(proposal_json(**_TWO))
    facts = facts_of(received.proposal)
    asked = MinimumCriterion(probe="pg.waits", parameters={"for": "$name"}, equals=False)
    operations = {**facts.operations, "pg.set": facts.operation("pg.set").model_copy(update={"criteria": (asked,)})}
    documents = DocumentDigests(policy=DIGEST, operations=DIGEST, catalog=DIGEST, directory=DIGEST)
    revision = assess_revision(
        received,
        facts.model_copy(update={"operations": operations}),
        a_policy(),
        documents,
        revision=1,
        assessed_at=T0,
        absolute_deadline=at(60),
    )

    (forward,) = issue(
        received.proposal, revision, DIGEST, step=2, now=at(5), document=a_policy(), assurance=Assurance.aal1
    )

    assert [(item.probe, item.parameters) for item in forward.criteria] == [
        ("pg.waits", {"for": "work_mem"}),
        ("pg.setting", {"name": "work_mem"}),
    ]


@pytest.mark.parametrize(("closes", "expires"), [(7, 6), (10, 9), (11, 10), (30, 10), (None, 10)])
def test_a_permit_ends_before_its_window(closes: int | None, expires: int) -> None:
    """A permit waits five minutes, and for no longer than its step of a minute can still be over when the window that
    lets it run closes; an undo waits for no window.
    """
    received = receive(proposal_json())
    documents = DocumentDigests(policy=DIGEST, operations=DIGEST, catalog=DIGEST, directory=DIGEST)
    facts = facts_of(received.proposal)
    revision = assess_revision(
        received, facts, a_policy(), documents, revision=1, assessed_at=T0, absolute_deadline=at(60)
    )
    until = None if closes is None else at(closes)
    forward, undo = issue(
        received.proposal, revision, DIGEST, step=1, now=at(5), document=a_policy(), assurance=AAL1, until=until
    )

    assert (forward.expires_at, undo.expires_at) == (at(expires), None)
    assert (forward.over_by, undo.over_by) == (until, None)
    assert forward.begins_in_time(at(expires))
    assert closes is None or not forward.begins_in_time(at(closes))


def test_issuing_again_gives_the_same_permit() -> None:
    """The id of a permit follows from what it is for, not from when it was issued."""
    assert issued(1) == issued(1)
    assert issued(1)[0].expires_at == at(5) + timedelta(minutes=5)


def test_the_permits_of_a_dry_run_say_so() -> None:
    """Both directions carry the mark of the proposal, and nothing is to be measured; otherwise they are the same."""
    real, dry = issued(1), issued(1, dry_run=True)
    assert [permit.dry_run for permit in (*real, *dry)] == [False, False, True, True]
    assert dry[0].criteria == ()
    assert [permit.order_digest for permit in dry] == [permit.order_digest for permit in real]


COMPARED = {"probe": "pg.waits", "success": {"at_most": {"baseline_times": 2}}, "of": "component:till"}


def test_what_is_compared_with_before_is_read_before_the_first_step() -> None:
    """The first permit says what is read, the last one what is measured; each by whom, by which text, and where."""
    text = Parameter(type="string")
    probe = Probe(name="pg.waits", executor="metrics", type="number", query="w", parameters={"for": text})
    criteria = [*proposal_json()["success_criteria"], COMPARED]
    received = receive(proposal_json(**_TWO, success_criteria=criteria))
    facts = facts_of(received.proposal, probes={"pg.waits": probe}, guarded={"component:till": ("web/till",)})
    documents = DocumentDigests(policy=DIGEST, operations=DIGEST, catalog=DIGEST, directory=DIGEST)
    revision = assess_revision(
        received, facts, a_policy(), documents, revision=1, assessed_at=T0, absolute_deadline=at(60)
    )

    first, last = (
        issue(received.proposal, revision, DIGEST, step=step, now=at(5), document=a_policy(), assurance=AAL1)[0]
        for step in (1, 2)
    )

    assert (first.criteria, last.baselines) == ((), ())
    assert [item.probe for item in first.baselines] == ["pg.waits"]
    assert last.criteria[-1] == first.baselines[0]
    read = first.baselines[0]
    assert (read.executor, read.query, read.types, read.reads) == ("metrics", "w", {"for": "string"}, "number")
    assert last.measurable[-1] == (read, "web/till")
    assert Permit.model_validate_json(last.model_dump_json()) == last


def test_target_by_target_is_said_to_the_step_and_to_its_undo() -> None:
    steps = [{**proposal_json()["steps"][0], "one_by_one": True}]

    forward, undo = issued(1, steps=steps)

    assert (forward.one_by_one, undo.one_by_one) == (True, True)
    assert (forward.parts, issued(1)[0].parts) == (("pg-orders",), ("",))
    assert "one_by_one" not in issued(1)[0].model_dump()
