"""How an action ends: whose votes its result names, and how long the record waits before it concludes."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from activities.cases import CaseFile
from activities.closing import make_result
from activities.patience import left_at, over_at
from policy.approval.standing import Ballot
from policy.document import ApprovalChain, Requirement
from policy.outcome import EffectReport, Outcome, StepRecord
from policy.proposal import receive
from policy.revision import DocumentDigests, assess_revision
from tests.unit.builders import T0, a_ballot, a_policy, at, facts_of, proposal_json, stage, step_json

_DIGEST = "sha256:" + "0" * 64
_UNDO = 20 * timedelta(seconds=60 + 90)  # every attempt of an undo that names no timeout


def _file(resolved: float | None = None, **changes: Any) -> CaseFile:
    """An assessed action; resolved so many minutes after T0."""
    received = receive(proposal_json(**changes))
    documents = DocumentDigests(policy=_DIGEST, operations=_DIGEST, catalog=_DIGEST, directory=_DIGEST)
    facts = facts_of(received.proposal)
    revision = assess_revision(
        received, facts, a_policy(), documents, revision=1, assessed_at=T0, absolute_deadline=at(600)
    )
    return CaseFile(
        received=received,
        registered_at=T0,
        absolute_deadline=at(600),
        revision=revision,
        assessment_digest=_DIGEST,
        resolution=None if resolved is None else "approved",
        resolved_at=None if resolved is None else at(resolved),
        stop=None,
        result=None,
    )


def _decided(resolved: float, *ballots: Ballot) -> list[tuple[str | None, int | None, str, datetime | None]]:
    """Who is named for a stage of two of ops that two deny, and a stage of one of dba."""
    file = _file(resolved)
    assert file.revision is not None
    two = (Requirement(groups=("ops",), count=2),)
    chain = ApprovalChain(stages=(stage(requirements=two, deny_threshold=2), stage("dba", name="owners")))
    evaluation = file.revision.evaluation.model_copy(update={"chain": chain})
    file = replace(file, revision=file.revision.model_copy(update={"evaluation": evaluation}), ballots=ballots)
    result = make_result(file, resolution="approved", outcome=Outcome.succeeded, reasons=(), at=at(resolved + 1))
    return [(item.person_id, item.stage, item.vote, item.at) for item in result.decided_by]


def test_a_result_names_each_vote_that_counted_once() -> None:
    """Who voted again is named with the newest vote, who took it back is not named, and a stage keeps its own."""
    votes = (
        a_ballot("olga", "deny", 1),
        a_ballot("olga", "approve", 2),
        a_ballot("olga", "retract", 3),
        a_ballot("omar", "deny", 4),
        a_ballot("omar", "approve", 5),
        a_ballot("otto", "approve", 6),
        a_ballot("dora", "approve", 7, "dba", number=2),
    )

    assert _decided(7, *votes) == [
        ("omar", 1, "approve", at(5)),
        ("otto", 1, "approve", at(6)),
        ("dora", 2, "approve", at(7)),
    ]


@pytest.mark.parametrize("votes", [2, 30])
def test_voting_again_does_not_lengthen_a_result(votes: int) -> None:
    """One person in one stage is one vote, however often it is given."""
    again = [a_ballot("olga", ("deny", "approve")[number % 2], 1 + number / 100) for number in range(votes)]

    found = _decided(3, *again, a_ballot("omar", "deny", 2), a_ballot("olga", "deny", 3))

    assert found == [("omar", 1, "deny", at(2)), ("olga", 1, "deny", at(3))]


def test_a_vote_that_fills_a_stage_that_never_closed_is_named() -> None:
    """What was withdrawn or expired says who had approved until then."""
    assert _decided(30, a_ballot("olga", "approve", 1)) == [("olga", 1, "approve", at(1))]
    assert _decided(90, a_ballot("olga", "approve", 1)) == [("olga", 1, "approve", at(1))]


def _record(
    step: int, direction: Literal["do", "undo"], effect: Any = None, *, status: Any = "succeeded", minutes: float = 0
) -> StepRecord:
    """A claimed permit, reported with an effect; unreported without one."""
    report = None
    if effect is not None:
        report = EffectReport(permit_id="x", status=status, effect=effect, started_at=T0, finished_at=at(minutes))
    return StepRecord(step=step, direction=direction, use="claimed", report=report, issued_at=T0, used_at=T0)


def _unused(step: int, direction: Literal["do", "undo"] = "undo") -> StepRecord:
    return StepRecord(step=step, direction=direction, use="unused", issued_at=T0)


_TWO = {"steps": [step_json(), step_json(name="again")]}
_FAILED = _record(1, "do", "done", status="failed", minutes=5)
_DONE = _record(1, "do", "done", minutes=5)

# the proposal's own fields, the stop, the records, until when the next step can be claimed, from when it is over
WAITS: dict[str, tuple[Any, str | None, tuple[StepRecord, ...], datetime | None, datetime | None]] = {
    "nothing was issued": ({}, None, (), None, None),
    "nothing was claimed": ({}, None, (_unused(1, "do"), _unused(1)), at(10), None),
    "everything was done": ({}, None, (_DONE, _unused(1)), None, None),
    "it failed and has no undo": ({}, None, (_FAILED,), None, None),
    "it failed and is not undone yet": ({}, None, (_FAILED, _unused(1)), None, at(5) + _UNDO),
    "its undo runs": ({}, None, (_FAILED, _record(1, "undo")), None, at(5) + _UNDO),
    "its undo failed": (
        {},
        None,
        (_FAILED, _record(1, "undo", "unknown", status="failed", minutes=60)),
        None,
        None,
    ),
    "it was stopped to be undone": ({}, "withdrawn", (_DONE, _unused(1)), None, at(5) + _UNDO),
    "it was stopped to ask people": ({"on_stop": "ask"}, "withdrawn", (_FAILED, _unused(1)), None, None),
    "its effect is not known": (_TWO, None, (_DONE, _unused(1), _record(2, "do", "unknown")), None, None),
    "the next step was not permitted yet": (_TWO, None, (_DONE, _unused(1)), None, at(5) + _UNDO),
    "the next step can still be claimed": (
        _TWO,
        None,
        (_DONE, _unused(1), _unused(2, "do"), _unused(2)),
        at(30),
        at(30) + _UNDO,
    ),
    "the next step was refused": (
        _TWO,
        None,
        (_DONE, _unused(1), _record(2, "do", "none", status="failed", minutes=7), _unused(2)),
        None,
        at(7) + _UNDO,
    ),
    "the first is undone after the second": (
        _TWO,
        None,
        (_DONE, _unused(1), _record(2, "do", "done", status="failed"), _record(2, "undo", "done", minutes=40)),
        None,
        at(40) + _UNDO,
    ),
}


@pytest.mark.parametrize(("changes", "stop", "records", "expires_at", "over"), WAITS.values(), ids=WAITS)
def test_when_an_action_is_over(
    changes: Any, stop: str | None, records: tuple[StepRecord, ...], expires_at: datetime | None, over: datetime | None
) -> None:
    """Nothing is waited for that cannot come any more, and nothing is concluded before what is due."""
    file = replace(_file(0, **changes), stop=stop)

    found = over_at(file, records, expires_at)

    assert found == over if over is not None else found < T0
    assert left_at(file, records, expires_at) >= found


def test_a_step_that_runs_has_its_timeout_and_its_windows() -> None:
    """A claim without a report is waited for as long as its step and its criteria may take, and 90 seconds."""
    file = _file(0)
    criterion = file.proposal.success_criteria[0]
    window = criterion.within_seconds + criterion.observe_seconds

    assert over_at(file, (_record(1, "do"), _unused(1)), None) == T0 + timedelta(seconds=60 + window + 90)


def test_who_ends_what_was_left_gives_its_workflow_time() -> None:
    """What is over at once is left only when no workflow that is well would still have it before it."""
    file = _file(0)
    criterion = file.proposal.success_criteria[0]
    window = criterion.within_seconds + criterion.observe_seconds

    assert left_at(file, (_DONE, _unused(1)), None) == at(5) + timedelta(seconds=60 + window + 90)
