"""Every attack on signatures that was asked for, with the tests that play it. This file only keeps the list true.

A name in brackets is one case of a table: `test[case]`. It must stand as a text in the file of the test, or in one of
the tests' own files that it imports.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.test_invariants import TESTS

ATTACKS: dict[str, tuple[str, ...]] = {
    "forged signature": (
        "test_a_signature_that_does_not_show_it_is_refused[a forged signature]",
        "test_nobody_proposes_in_another_agents_name[forged signature]",
        "test_a_forged_signature_of_a_security_key_is_refused",
        "test_a_jws_that_is_spoiled_is_refused",
        "test_no_bit_of_a_signature_or_its_header_can_be_changed",
        "test_ed25519_as_keys_of_a_directory",
        "test_ecdsa_in_the_form_that_jws_has",
        "test_rsa_pkcs1",
        "test_rsa_pss",
    ),
    "other key": (
        "test_a_signature_that_does_not_show_it_is_refused[another key under the same id]",
        "test_a_token_that_does_not_show_it_is_refused[signed by another key]",
        "test_nobody_proposes_in_another_agents_name[another agent's key]",
        "test_a_permit_that_is_not_believed_does_nothing[signed by another key of that id]",
        "test_what_is_high_is_done_by_approvals_that_hold[by another key of that id]",
    ),
    "algorithm confusion": (
        "test_a_signature_that_does_not_show_it_is_refused[alg HS256 over the public key]",
        "test_a_public_key_taken_for_a_secret_verifies_nothing",
        "test_a_key_of_an_issuer_takes_the_algorithm_that_it_names_only",
        "test_what_no_believed_key_signed_is_no_permit[alg of a shared secret]",
    ),
    "none": (
        "test_a_signature_that_does_not_show_it_is_refused[alg none]",
        "test_a_token_that_does_not_show_it_is_refused[unsigned]",
        "test_a_jws_that_is_spoiled_is_refused[alg none without a signature]",
        "test_what_no_believed_key_signed_is_no_permit[alg none]",
        "test_the_unsecured_example_is_nobodys",
    ),
    "critical headers": (
        "test_a_signature_that_does_not_show_it_is_refused[a critical header]",
        "test_a_signature_that_does_not_show_it_is_refused[an unencoded payload]",
        "test_a_header_that_brings_its_own_key_is_refused[crit]",
        "test_what_no_believed_key_signed_is_no_permit[a critical header]",
        "test_the_example_of_a_critical_header_is_refused",
    ),
    "key of the wrong use": (
        "test_a_directory_takes_no_key_that_is_not_for_verifying",
        "test_keys_of_an_issuer_that_are_wrong_verify_nothing[a key for encryption]",
        "test_a_key_of_the_wrong_use_or_name_is_not_among_an_issuers_keys",
        "test_a_signature_that_does_not_show_it_is_refused[a key of an SSH user]",
        "test_what_no_believed_key_signed_is_no_permit[signed by the control role's key]",
    ),
    "replayed decision, same run": ("test_a_signed_decision_is_replayed_nowhere",),
    "replayed decision, other run": ("test_a_signed_decision_in_another_run_is_the_same_vote",),
    "replayed decision, other action": (
        "test_a_signed_decision_is_replayed_nowhere",
        "test_a_planted_vote_is_not_proved[an approval of another action]",
        "test_what_is_high_is_done_by_approvals_that_hold[of another action]",
        "test_a_token_about_something_else_is_refused[token about another action]",
    ),
    "replayed decision, other stage": (
        "test_what_is_signed_for_something_else_does_not_count[another stage]",
        "test_a_planted_vote_is_not_proved[an approval of another stage]",
    ),
    "replayed decision, other revision": (
        "test_what_is_signed_for_something_else_does_not_count[another revision]",
        "test_a_planted_vote_is_not_proved[an approval of another revision]",
        "test_a_kept_vote_names_what_its_own_revision_asked",
    ),
    "decision signed for another environment": (
        "test_what_is_signed_for_something_else_does_not_count[another installation]",
        "test_a_signature_that_does_not_show_it_is_refused[another installation written over it]",
        "test_what_is_high_is_done_by_approvals_that_hold[for another installation]",
        "test_a_named_installation_takes_no_permit_of_an_unnamed_one",
    ),
    "signature of another domain": (
        "test_a_statement_of_one_domain_is_none_of_another",
        "test_a_token_about_a_statement_of_one_domain_is_about_none_of_another",
        "test_an_ssh_signature_that_does_not_show_it_is_refused[another namespace]",
        "test_nobody_proposes_in_another_agents_name[signed as a decision]",
    ),
    "swapped payload under a valid signature": (
        "test_a_signature_that_does_not_show_it_is_refused[another payload under a valid signature]",
        "test_a_token_that_does_not_show_it_is_refused[moved to another statement]",
        "test_nobody_proposes_in_another_agents_name[swapped payload under a valid signature]",
        "test_no_field_of_a_signed_decision_can_be_changed",
    ),
    "expired": (
        "test_what_is_signed_for_something_else_does_not_count[expired]",
        "test_a_decision_outside_of_its_own_dates_is_not_proved",
        "test_what_is_high_is_done_by_approvals_that_hold[taken after it had expired]",
        "test_a_token_that_does_not_show_it_is_refused[expired]",
        "test_nobody_proposes_in_another_agents_name[expired]",
    ),
    "future-dated": (
        "test_what_is_signed_for_something_else_does_not_count[of the future]",
        "test_a_token_that_does_not_show_it_is_refused[of the future]",
        "test_nobody_proposes_in_another_agents_name[from the future]",
    ),
    "token with another audience": (
        "test_a_token_that_does_not_show_it_is_refused[of another audience]",
        "test_a_token_about_something_else_is_refused[token of another client]",
    ),
    "token with another issuer": (
        "test_a_token_that_does_not_show_it_is_refused[of another issuer]",
        "test_a_token_about_something_else_is_refused[token of another provider]",
    ),
    "token with another nonce": ("test_a_token_that_does_not_show_it_is_refused[about another statement]",),
    "stale authentication": (
        "test_an_old_or_weak_login_is_asked_to_step_up",
        "test_a_compromised_control_worker_waives_no_step_up",
        "test_a_proof_that_is_too_weak_is_refused_and_says_what_is_wanted",
    ),
    "revoked key": (
        "test_a_signature_that_does_not_show_it_is_refused[a revoked key]",
        "test_a_key_that_is_revoked_takes_its_pending_vote_with_it",
        "test_revoked_key_a_pending_action_does_not_run",
        "test_a_rotated_key_is_believed_and_a_revoked_one_is_not",
        "test_what_is_high_is_done_by_approvals_that_hold[by a key that was revoked]",
    ),
    "a role lost between vote and dispatch": (
        "test_a_membership_that_ends_between_vote_and_dispatch_is_seen",
        "test_a_vote_that_lost_its_standing_goes_back_to_people_and_the_others_are_kept",
    ),
    "self-approval through an alias": (
        "test_nobody_approves_their_own_action_with_a_good_signature",
        "test_a_decision_that_does_not_count_is_answered_and_recorded[ann@example.org]",
        "test_approving_twice_by_an_alias",
    ),
    "self-approval through a delegate": (
        "test_duties[a delegate approves for who asks]",
        "test_approving_as_a_delegate_whom_nobody_signed",
        "test_gives_a_signed_vote_nothing",
    ),
    "self-approval through a scheduled agent": (
        "test_whoever_schedules_the_agent_does_not_approve_with_a_good_signature",
        "test_approving_by_a_scheduled_agent",
    ),
    "permit reused": (
        "test_a_permit_is_not_used_twice",
        "test_a_copied_permit_is_used_up",
        "test_another_attempt_is_refused_and_recorded",
        "test_of_many_attempts_at_once_one_claims",
        "test_a_permit_is_used_once",
    ),
    "permit forwarded to another executor": (
        "test_a_permit_that_is_not_believed_does_nothing[for another executor]",
        "test_a_permit_that_is_none_runs_nothing[forwarded from another executor]",
        "test_a_permit_that_is_not_for_this_is_refused[for another executor]",
    ),
    "permit edited": (
        "test_a_permit_that_is_not_believed_does_nothing[edited in the record, digest and all]",
        "test_what_no_believed_key_signed_is_no_permit[edited]",
        "test_a_permit_that_is_none_runs_nothing[edited]",
    ),
    "permit expired": (
        "test_an_expired_permit_is_refused",
        "test_a_permit_that_is_none_runs_nothing[expired]",
        "test_a_permit_that_is_not_for_this_is_refused[expired]",
    ),
    "history tampered with before an audit": (
        "test_an_edit_of_an_approved_action_is_named",
        "test_an_edit_of_a_compensated_action_is_named",
        "test_what_was_signed_is_computed_again",
        "test_a_raw_insert_of_the_owner_is_found",
    ),
    "a second start of a finished action": (
        "test_delete_and_start_again_does_nothing_again",
        "test_no_reset_of_a_closed_action_does_anything_again",
        "test_signed_again_it_is_the_same_action",
    ),
    "two dispatchers that race": ("test_two_dispatchers_that_race_issue_one_permit",),
    "a clock that is off": ("test_clocks_that_disagree_stop_dispatch",),
    "a restored database": ("test_a_restored_backup_runs_nothing_twice",),
    "canonicalisation: duplicate keys": (
        "test_what_two_readers_could_read_differently_is_no_statement[occurs twice]",
        "test_a_signature_that_does_not_show_it_is_refused[a kid twice]",
        "test_refused_text[a duplicate key in another spelling]",
        "test_what_no_believed_key_signed_is_no_permit[a key twice]",
    ),
    "canonicalisation: 1 and 1.0": ("test_one_and_one_point_nought_are_one_statement", "test_numbers_of_rfc_8785"),
    "canonicalisation: unicode forms": (
        "test_a_signature_that_does_not_show_it_is_refused[another unicode form of the reason]",
        "test_canonical_form[sorting by UTF-16]",
    ),
    "canonicalisation: 2^53+1": (
        "test_what_two_readers_could_read_differently_is_no_statement[beyond 2]",
        "test_refused_text[2^53+1]",
    ),
    "proposing in another agent's name": (
        "test_a_signature_that_does_not_show_it_takes_nobodys_id",
        "test_downgrade_leaving_the_signature_out_is_refused",
    ),
    "minting a permit without its key": (
        "test_a_compromised_worker_cannot_mint_a_permit",
        "test_the_permit_role_without_its_key_lets_nothing_happen",
        "test_a_compromised_control_worker_cannot_act",
    ),
    "votes that nobody gave": (
        "test_votes_that_whoever_takes_decisions_planted_give_no_permit",
        "test_a_control_role_that_counts_what_nobody_proved_gets_no_permit",
        "test_a_planted_escalation_is_not_founded",
        "test_a_vote_on_a_screen_that_lies_is_not_proved",
    ),
    "a permit or an assessment that says more than was proved": (
        "test_an_approval_is_no_weaker_than_its_permit_says",
        "test_nothing_that_a_permit_takes_from_an_assessment_is_believed",
        "test_what_is_high_carries_approvals_that_hold[one approver with two keys]",
    ),
    "swapped and downgraded payloads": (
        "test_swap_between_two_workflows",
        "test_swap_between_two_roles",
        "test_downgrade_of_an_approval",
        "test_downgrade_of_a_request",
    ),
    "an operator with every credential": (
        "test_a_milder_policy_that_she_approves_alone",
        "test_publishing_directly",
        "test_a_directory_that_she_approves_alone",
        "test_settings_of_her_own",
    ),
}


@cache
def _texts(path: Path) -> frozenset[str]:
    """The texts that stand in a file; none where there is no such file."""
    if not path.is_file():
        return frozenset()
    nodes = ast.walk(ast.parse(path.read_text()))
    return frozenset(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


@cache
def _cases() -> dict[str, frozenset[str]]:
    """Every test, with the texts of its file and of the files of the tests that it imports."""
    found: dict[str, frozenset[str]] = {}
    for path in TESTS.rglob("test_*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        modules = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
        tables = [TESTS.parent / f"{name.replace('.', '/')}.py" for name in modules if name.startswith("tests.")]
        texts = frozenset[str]().union(*map(_texts, (path, *tables)))
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found[node.name] = found.get(node.name, frozenset()) | texts
    return found


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_attack_is_played(attack: str) -> None:
    """Every test that is named for an attack is there, and has the case."""
    for name in ATTACKS[attack]:
        test, _, case = name.removesuffix("]").partition("[")
        assert test in _cases(), f"{test} is no test"
        assert not case or case in _cases()[test], f"{test} has no case {case}"
