"""What was presented is what is decided by, whatever today's code would show of the same facts."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from activities.cases import CaseFile
from activities.deciding import read_decision
from activities.dossier import Dossier
from activities.planning import make_plan
from policy.approval.standing import stand
from policy.decision import Refusal, receive_decision
from policy.evaluation import Evaluation
from policy.lifecycle import State
from policy.people.directory import read_directory
from policy.proofs import Principal
from policy.proposal import receive
from policy.revision import revision_digest
from policy.rules.chains import ApprovalChain, Verdict
from policy.sealing import check_sealed, seal, sealed_of, untrue
from policy.undecided import Judging
from tests.unit.builders import stage
from tests.unit.screens import DATABASE, NOW, TWO_PEOPLE, proposal_of, revision_of
from workflows.view import View

PROPOSAL = receive(proposal_of())
REVISION = revision_of(
    proposal_of(),
    DATABASE,
    answer=Evaluation(
        verdict=Verdict.require_approval, reasons=(TWO_PEOPLE,), chain=ApprovalChain(stages=(stage("dba"),))
    ),
)
ASSESSMENT = revision_digest(REVISION.body())
DIRECTORY = read_directory(
    b"""apiVersion: countersign/v1
kind: Directory
metadata: {name: d, version: "1"}
people: [{id: ben, groups: [dba]}]
"""
)


def _value(**changes: Any) -> dict[str, Any]:
    """The screen that an earlier release sealed: it had another advice, and wrote nothing of what was known since."""
    sealed = seal(PROPOSAL.proposal, REVISION, ASSESSMENT)
    assert sealed is not None
    value = {**sealed.value, "recommended": [{"code": "wait", "text": "wait for a calmer hour"}], **changes}
    return {name: item for name, item in value.items() if item is not None}


def _content(value: Any, **changes: Any) -> dict[str, Any]:
    presented = sealed_of(value).presented_digest if value is not None else None
    return {"assessment_digest": ASSESSMENT, "screen": value, "presented_digest": presented, **changes}


EARLIER = sealed_of(_value())
FILE = CaseFile(
    received=PROPOSAL,
    registered_at=NOW,
    absolute_deadline=REVISION.absolute_deadline,
    revision=REVISION,
    assessment_digest=ASSESSMENT,
    resolution=None,
    resolved_at=None,
    stop=None,
    result=None,
    kept=EARLIER,
)


def _decide(presented: str) -> Refusal | None:
    """What a decision is refused for that names this digest."""
    submission = receive_decision(
        {
            "decision_id": "ben-1",
            "proposal_id": PROPOSAL.proposal.proposal_id,
            "revision": 1,
            "stage": 1,
            "action_digest": PROPOSAL.action_digest,
            "assessment_digest": ASSESSMENT,
            "policy_digest": REVISION.documents.policy,
            "presented_digest": presented,
            "vote": "approve",
            "issued_at": NOW.isoformat(),
            "expires_at": (NOW + timedelta(hours=1)).isoformat(),
            "proof": {"kind": "claimed", "identity": "ben"},
        }
    )
    reading = read_decision(FILE, submission, Principal.claimed("ben"), DIRECTORY, NOW)
    assert (reading.ballot is None) == (reading.refusal is not None)
    return reading.refusal[0] if reading.refusal else None


def test_a_vote_on_what_was_sealed_counts_under_a_release_that_would_show_something_else() -> None:
    """The sealed digest is the one to name; that of what today's code makes is of something that nobody was shown."""
    today = seal(PROPOSAL.proposal, REVISION, ASSESSMENT)
    assert today is not None

    assert today.presented_digest != EARLIER.presented_digest
    assert _decide(EARLIER.presented_digest) is None
    assert _decide(today.presented_digest) is Refusal.presented_digest_mismatch


def test_what_was_sealed_is_what_is_shown() -> None:
    """In the plan of a run that picks the case up, in its details with the decision filled in, and in the record."""
    assert FILE.case is not None
    view = View()
    view.begin(make_plan(FILE, stand(FILE.case, NOW, deadline_counts_as_passed=False), local_dispatch=True))
    details = view.markdown(State.pending)
    shown = view.status(State.pending)
    recorded = Dossier(file=FILE, entries=(), broken="", receipts={}).status(NOW)

    assert "wait for a calmer hour" in details
    assert EARLIER.presented_digest in details
    for status in (shown, recorded):
        assert status["presented_digest"] == EARLIER.presented_digest
        assert status["screen"]["recommended"] == [{"code": "wait", "text": "wait for a calmer hour"}]


def test_where_nobody_is_asked_nothing_is_sealed() -> None:
    """An allowed action has no digest to name, and its screen can be read all the same."""
    revision = REVISION.model_copy(update={"evaluation": Evaluation(verdict=Verdict.allow, reasons=())})
    file = CaseFile(**{**vars(FILE), "revision": revision, "kept": None})
    status = Dossier(file=file, entries=(), broken="", receipts={}).status(NOW)

    assert seal(PROPOSAL.proposal, revision, ASSESSMENT) is None
    assert status["presented_digest"] is None
    assert status["screen"]["target"] == "resource:default/orders-db"
    assert check_sealed(PROPOSAL.proposal, revision, _content(None)) == ([], [])
    assert check_sealed(PROPOSAL.proposal, revision, _content(_value()))[0]


def test_another_wording_is_a_note_for_an_auditor() -> None:
    """Advice and wording may be another release's; what today's code makes is no difference at all."""
    same = seal(PROPOSAL.proposal, REVISION, ASSESSMENT)
    assert same is not None

    assert check_sealed(PROPOSAL.proposal, REVISION, _content(same.value)) == ([], [])
    found, notes = check_sealed(PROPOSAL.proposal, REVISION, _content(_value(floor_reason=None)))
    assert found == []
    assert len(notes) == 1
    assert "floor_reason, recommended otherwise" in notes[0]


def test_an_entry_of_a_release_that_sealed_nothing_is_no_finding() -> None:
    """What it does not have cannot be compared."""
    assert check_sealed(PROPOSAL.proposal, REVISION, {"assessment_digest": ASSESSMENT}) == ([], [])


@pytest.mark.parametrize(
    ("lie", "named"),
    [
        ({"resolved": ["postgres/scratch"]}, "resolved"),
        ({"risk_tier": "low"}, "risk_tier"),
        ({"environment": "staging"}, "environment"),
        ({"policy_digest": "sha256:" + "1" * 64}, "policy_digest"),
        ({"steps": []}, "steps"),
        ({"steps": None}, "malformed"),
    ],
)
def test_a_screen_that_lies_about_the_action_is_a_finding(lie: dict[str, Any], named: str) -> None:
    """What would run, on what, and how bad it is follows from proposal and revision under every release."""
    found, _ = check_sealed(PROPOSAL.proposal, REVISION, _content(_value(**lie)))

    assert any(named in item for item in found)


def test_a_screen_under_another_digest_is_a_finding() -> None:
    """A decision would be about something that nobody was shown."""
    found, _ = check_sealed(PROPOSAL.proposal, REVISION, _content(_value(), presented_digest="sha256:" + "2" * 64))
    missing, _ = check_sealed(PROPOSAL.proposal, REVISION, _content(None))

    assert found[0].startswith("presented digest is sha256:2222")
    assert missing == ["a screen is sealed where people are asked, and only there"]


# What a compromised control worker seals, so that people approve something that looks harmless.
LIES: dict[str, tuple[dict[str, Any], str]] = {
    "another environment": ({"environment": "staging"}, "the screen's environment"),
    "another target": ({"target": "database:toy", "resolved": ["postgres/toy"]}, "the screen's target"),
    "a lower tier": ({"risk_tier": "low", "risk_score": 1}, "the screen's risk_tier"),
    "no steps": ({"steps": []}, "the screen's steps"),
    "a way to judge it that no policy gave": (
        {"judging": {"within_seconds": 60, "on_expiry": "hold"}},
        "the screen's judging",
    ),
    "no screen": ({"operation": 7}, "malformed"),
}


def test_how_people_judge_it_is_sealed_and_a_screen_of_before_that_says_nothing_of_it_stands() -> None:
    """Its digest is what it was; where a screen says how, it says what was assessed, and no shorter or longer time."""
    rule = Judging(within_seconds=1800, on_expiry="compensate")
    judged = REVISION.model_copy(update={"evaluation": REVISION.evaluation.model_copy(update={"judging": rule})})
    today, before = (seal(PROPOSAL.proposal, one, ASSESSMENT) for one in (judged, REVISION))
    assert today is not None
    assert before is not None
    assert "judging" not in before.value
    assert today.value == {**before.value, "judging": {"within_seconds": 1800, "on_expiry": "compensate"}}
    assert untrue(PROPOSAL.proposal, judged, ASSESSMENT, before) == []
    assert untrue(PROPOSAL.proposal, judged, ASSESSMENT, today) == []
    longer = sealed_of({**today.value, "judging": {"within_seconds": 3600, "on_expiry": "compensate"}})
    assert untrue(PROPOSAL.proposal, judged, ASSESSMENT, longer) == ["the screen's judging is not what was assessed"]


@pytest.mark.parametrize(("changes", "why"), LIES.values(), ids=LIES)
def test_a_screen_that_lies_is_not_signed(changes: dict[str, Any], why: str) -> None:
    """Whoever signs makes the screen again, and so does whoever issues a permit: its digest alone says nothing."""
    forged = sealed_of(_value(**changes))
    assert any(why in item for item in untrue(PROPOSAL.proposal, REVISION, ASSESSMENT, forged))
    assert untrue(PROPOSAL.proposal, REVISION, ASSESSMENT, EARLIER) == []
    if why != "malformed":
        entries = ({"kind": "assessed", "content": {"revision": REVISION.value()}},)
        dossier = Dossier(replace(FILE, kept=forged), entries, broken="", receipts={})
        assert any(why in item for item in dossier.doubts())
        assert replace(dossier, file=FILE).doubts() == []
