"""Every code that a decision can be refused with, and a test that reaches it. This file only keeps the list true."""

import pytest

from policy.decision import Refusal
from tests.test_invariants import TESTS, defined

REACHED_BY: dict[Refusal, str] = {
    Refusal.unknown_request: "test_a_decision_that_does_not_count_is_answered_and_recorded",
    Refusal.not_pending: "test_a_decision_that_comes_while_the_step_runs_is_answered_and_changes_nothing",
    Refusal.revision_mismatch: "test_a_decision_that_does_not_count_is_answered_and_recorded",
    Refusal.stage_not_open: "test_a_decision_that_does_not_count_is_answered_and_recorded",
    Refusal.stage_closed: "test_a_decision_for_a_stage_that_is_closed_is_refused",
    Refusal.action_digest_mismatch: "test_a_decision_that_does_not_count_is_answered_and_recorded",
    Refusal.assessment_digest_mismatch: "test_a_decision_that_does_not_count_is_answered_and_recorded",
    Refusal.policy_digest_mismatch: "test_a_decision_that_does_not_count_is_answered_and_recorded",
    Refusal.presented_digest_mismatch: "test_a_decision_that_does_not_count_is_answered_and_recorded",
    Refusal.decision_id_reused: "test_a_decision_id_says_one_thing_only",
    Refusal.expired: "test_a_decision_that_does_not_count_is_answered_and_recorded",
    Refusal.not_yet_valid: "test_a_decision_that_does_not_count_is_answered_and_recorded",
    Refusal.past_deadline: "test_refusal",
    Refusal.claimed_not_accepted: "test_claimed_is_nobody_unless_that_was_asked_for",
    Refusal.wrong_audience: "test_a_signature_that_does_not_show_it_is_refused",
    Refusal.bad_proof: "test_a_signature_that_does_not_show_it_is_refused",
    Refusal.unknown_key: "test_a_signature_that_does_not_show_it_is_refused",
    Refusal.revoked_key: "test_a_signature_that_does_not_show_it_is_refused",
    Refusal.unverifiable: "test_without_openssh_nothing_can_be_said",
    Refusal.unknown_person: "test_a_decision_that_does_not_count_is_answered_and_recorded",
    Refusal.not_eligible: "test_a_decision_that_does_not_count_is_answered_and_recorded",
    Refusal.self_approval: "test_a_decision_that_does_not_count_is_answered_and_recorded",
    Refusal.sod_conflict: "test_one_person_does_not_approve_two_stages",
    Refusal.not_delegated: "test_a_delegate_decides_for_whom_the_directory_says_and_for_nobody_else",
    Refusal.newcomer: "test_duties",
    Refusal.assurance_too_low: "test_a_proof_that_is_too_weak_is_refused_and_says_what_is_wanted",
    Refusal.authentication_too_old: "test_a_proof_that_is_too_weak_is_refused_and_says_what_is_wanted",
    Refusal.on_hold: "test_refusals",
    Refusal.not_held: "test_refusals",
    Refusal.unknown_question: "test_refusals",
    Refusal.not_authorized: "test_a_revocation_that_does_not_count_is_answered_and_recorded",
    Refusal.not_repaired: "test_who_asked_for_it_and_whom_nobody_asks_does_not_say_how_it_ended",
    Refusal.recused: "test_duties",
    Refusal.justification_missing: "test_a_decision_that_does_not_count_is_answered_and_recorded",
    Refusal.malformed: "test_a_malformed_signal_is_recorded",
    Refusal.busy: "test_a_run_that_is_about_to_continue_answers_busy",
}


def test_no_code_is_missing() -> None:
    """A new code comes with a test that reaches it."""
    assert set(REACHED_BY) == set(Refusal)


@pytest.mark.parametrize("code", REACHED_BY)
def test_each_code_is_reached(code: Refusal) -> None:
    """The test is there, in a file that says the code."""
    name = REACHED_BY[code]
    assert name in defined()
    files = [path.read_text() for path in TESTS.rglob("test_*.py") if f"def {name}(" in path.read_text()]
    assert any(f'"{code}"' in text or f"Refusal.{code}" in text for text in files)
