"""What is put together for an approver, from proposal, facts and what was concluded."""

from typing import Any

from policy.canonical import digest_of
from policy.catalog import Dependent, Reach
from policy.proposal import receive
from policy.revision import DocumentDigests, Revision, assess_revision
from policy.screen import Screen, make_screen
from tests.unit.builders import T0, a_policy, at, facts_of, proposal_json, step_json

_DIGEST = "sha256:" + "0" * 64
_DOCUMENTS = DocumentDigests(policy=_DIGEST, operations=_DIGEST, catalog=_DIGEST, directory=_DIGEST)


def _revision(**changes: Any) -> tuple[Screen, Revision]:
    received = receive(proposal_json(**changes))
    nearest = tuple(Dependent(ref=f"component:default/s{at}", criticality="low", distance=1) for at in range(10))
    facts = facts_of(
        received.proposal,
        reach=Reach(total=12, hard=12, weight=3.0, nearest=nearest),
    )
    revision = assess_revision(
        received, facts, a_policy(), _DOCUMENTS, revision=1, assessed_at=T0, absolute_deadline=at(60)
    )
    return make_screen(received.proposal, revision, _DIGEST), revision


def test_screen() -> None:
    """Everything an approver needs is on the screen: facts from the record, words from the proposer, cut and marked."""
    screen, revision = _revision(
        rationale="a\n" + "b" * 700,
        alternatives=[{"operation": "pg.reset", "summary": "x\x1b" + "y" * 200}],
        evidence=[{"kind": "metric", "text": "slow\u202e", "url": "https://x.example"}] * 4,
        change_type="emergency",
    )
    assert (screen.operation, screen.resolved, screen.resolved_count) == ("pg.set", ("pg-orders",), 1)
    assert (screen.target, screen.spelled) == ("component:default/orders", "orders")
    assert (screen.risk_tier, screen.risk_score) == (revision.assessment.risk_tier, revision.assessment.risk_score)
    assert (len(screen.dependents), screen.dependent_count, screen.dependents_hard) == (10, 12, 12)
    assert screen.steps[0].undo == "pg.reset"
    assert screen.requesters == ("ann",)
    assert screen.policy == ("settings: require_approval",)
    assert (screen.assessed_at, screen.absolute_deadline) == (T0, at(60))
    assert screen.words.startswith("a\\u{000a}bbb")
    assert screen.words.endswith("…")
    assert len(screen.words) == 600
    assert screen.alternatives[0].startswith("pg.reset: x\\u{001b}yyy")
    assert screen.evidence == ("metric: slow\\u{202e} (https://x.example)",) * 3
    assert screen.evidence_count == 4
    assert screen.agent_says == ("confidence 0.9", "type of change emergency")
    contributions = [item.contribution for item in screen.indicators]
    assert contributions == sorted(contributions, reverse=True)
    assert len(contributions) == 3


def test_what_it_is_measured_by_is_shown_with_its_seconds() -> None:
    """A criterion is shown as it would be measured; how many the registry asks for is said."""
    screen, _ = _revision()

    assert screen.criteria[-1] == 'pg.setting {"name": "work_mem"} = "8MB" within 5 s'
    assert screen.criteria_count == len(screen.criteria)
    assert screen.criteria_registered < screen.criteria_count


def test_a_step_without_undo_is_shown_as_such() -> None:
    """What cannot be undone has no undo on the screen."""
    screen, _ = _revision(steps=[step_json(undo=None)])
    assert (screen.steps[0].undo, screen.steps[0].undo_parameters) == (None, {})
    assert not screen.steps[0].needs_no_undo


def test_presented_digest() -> None:
    """The digest covers what was shown, survives the wire, and does not change by a field that a release adds."""
    screen, _ = _revision(rationale="a")
    other, _ = _revision(rationale="b")
    assert screen.presented_digest != other.presented_digest
    assert Screen.model_validate_json(screen.model_dump_json()).presented_digest == screen.presented_digest

    class NewScreen(Screen):
        added: str = ""

    assert NewScreen.model_validate_json(screen.model_dump_json()).presented_digest == screen.presented_digest
    assert screen.presented_digest != digest_of({})


def test_a_revision_is_sealed() -> None:
    """The assessment digest is of the whole revision, and its case asks what the policy asked."""
    _, revision = _revision()
    case = revision.case()
    assert case is not None
    assert case.requesters == ("ann",)
    assert [stage.name for stage in case.chain.stages] == ["ops", "dba"]
    again = Revision.model_validate_json(revision.body())
    assert again == revision
    assert again.body() == revision.body()
    allowed, _ = _revision(), None
    session = _revision(operation="pg.end_session", steps=[step_json("pg.end_session", undo=None)])[1]
    assert session.case() is None
    assert allowed[1].body() == revision.body()
