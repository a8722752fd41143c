"""The fourteen invariants, each with the tests that go red when it is broken. This file only keeps the list true.

What `claimed` identities cannot protect yet is in SECURITY.md, and where an invariant is held in part the list says so.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

INVARIANTS: dict[str, tuple[str, ...]] = {
    "1 no effect without a permit, no permit without a gate that held at that moment": (
        "test_an_effect_asked_for_without_a_permit_does_not_happen",
        "test_a_permit_asked_for_alone_is_refused_and_on_record",
        "test_a_foreign_workflow_gets_no_further_than_the_cli",
        "test_a_forged_permit_is_none",
        "test_a_permit_that_is_not_believed_does_nothing",
        "test_the_permit_role_without_its_key_lets_nothing_happen",
        "test_a_compromised_worker_cannot_mint_a_permit",
        "test_a_compromised_control_worker_cannot_act",
        "test_a_rogue_worker_on_our_queue_gets_no_effect",
        "test_no_reset_of_a_closed_action_does_anything_again",
        "test_no_reset_of_a_pending_action_forgets_or_adds_a_vote",
        "test_delete_and_start_again_does_nothing_again",
        "test_nobody_publishes_without_a_claimed_permit",
        "test_a_key_that_only_the_control_role_saw_lets_nothing_happen",
        "test_the_control_role_writes_no_key_down",
        "test_what_stops_the_real_action_stops_its_rehearsal",
        "test_a_rehearsal_that_fails_says_why_and_is_no_effect",
        "test_control_cannot_release_in_the_name_of_people",
        "test_control_cannot_release_by_a_repair_that_was_none",
        "test_a_release_that_control_made_up_opens_no_gate",
        "test_a_release_that_control_made_up_lets_nothing_be_claimed",
        "test_a_release_that_control_made_up_frees_no_target",
        "test_dispatch_alone_is_no_way_around_the_executors",
    ),
    "2 at most once; where it cannot be known, outcome_unknown": (
        "test_a_killed_worker_never_doubles_an_effect",
        "test_many_at_once_claim_one_permit_once",
        "test_a_permit_is_not_used_twice",
        "test_an_effect_that_nobody_knows_is_never_repeated",
        "test_the_check_sees_an_effect_that_happened_twice",
        "test_a_second_revision_does_not_act_beside_the_first",
        "test_no_revision_opens_after_a_permit",
        "test_two_at_once_without_the_lock_do_not_both_get_a_permit",
        "test_two_dispatchers_that_race_issue_one_permit",
        "test_a_copied_permit_is_used_up",
        "test_of_many_attempts_at_once_one_claims",
        "test_the_same_permit_again_does_nothing_more_where_the_target_knows_its_id",
        "test_an_effect_whose_answer_is_lost_is_unknown_and_seen_by_its_key",
    ),
    "3 what was approved is what runs": (
        "test_a_permit_that_does_not_hold_together_is_refused",
        "test_expected_targets",
        "test_what_was_sealed_is_what_is_shown",
        "test_a_draft_over_another_policy_than_the_one_in_force_is_denied",
        "test_a_publication_in_between_stops_the_one_that_was_approved",
        "test_a_decision_that_does_not_count_is_answered_and_recorded",
        "test_what_is_found_is_assessed_permitted_and_acted_on",
        "test_what_changed_before_the_permit_is_asked_about_again",
        "test_a_target_that_moved_on_is_left_alone",
        "test_no_other_role_says_what_is_there",
    ),
    "4 one computation, one now": (
        "test_rules_and_workflows_read_no_world",
        "test_the_same_documents_have_the_same_answer",
        "test_the_same_question_has_the_same_answer",
        "test_an_instant_is_an_argument",
        "test_nothing_overtakes_what_could_count",
        "test_past_actions_are_judged_by_the_facts_of_then",
    ),
    "5 nothing is vacuously allowed": (
        "test_denied_before_any_rule",
        "test_nobody_can_approve_an_empty_chain",
        "test_what_nobody_registered_is_the_worst",
        "test_an_unknown_target_is_the_worst_case_in_every_respect",
        "test_what_has_no_answer",
        "test_what_has_no_answer_is_named",
        "test_no_rule_denies",
        "test_limits",
        "test_stale_facts",
        "test_without_an_instant_nothing_is_open_and_everything_is_frozen",
        "test_resolution",
        "test_what_holds_before_shows_nothing",
        "test_a_proposal_never_lowers_the_minimum",
        "test_who_can_approve",
        "test_a_chain_that_nobody_could_satisfy_is_refused",
        "test_a_recusal_that_leaves_nobody_ends_the_action_at_once",
        "test_a_selector_that_matches_nothing_resolves_to_nothing",
        "test_an_order_without_targets_touches_nothing",
        "test_a_criterion_that_measures_nothing_is_refused",
        "test_a_share_of_nothing_is_no_success_and_nothing_is_begun",
        "test_what_cannot_be_used_denies",
    ),
    "6 nothing that the proposer controls lowers the tier": (
        "test_nothing_the_proposer_writes_lowers",
        "test_floor",
        "test_worse_is_never_lower",
        "test_the_tier_is_never_below_the_floor",
        "test_nothing_the_owner_of_the_target_writes_lowers_below_the_floor",
        "test_nothing_observed_lowers_below_the_floor_of_the_operations",
        "test_ten_thousand_successes_of_one_agent_count_as_twenty",
        "test_outcomes_by_criteria_of_the_proposer_alone_are_no_history",
        "test_a_dry_run_is_no_history",
        "test_no_stated_confidence_is_worth_more_than_silence",
        "test_what_was_denied_enters_no_lower_tier",
        "test_an_audit_misses_what_was_not_told",
        "test_the_undo_counts_as_if_it_were_proposed",
        "test_the_worst_state_counts",
        "test_an_edge_more_lowers_nothing",
        "test_hints_only_raise",
        "test_no_name_is_free_text_of_the_proposer",
        "test_the_words_of_the_proposer_come_last",
        "test_a_further_document_never_makes_an_answer_milder",
        "test_nothing_lifts_a_limit",
        "test_the_label_changes_no_indicator",
        "test_what_somebody_said_for_the_better_does_not_count_for_their_own_proposals",
        "test_what_is_none_is_asked_about_as_usual",
        "test_higher_on_anything_is_seen",
    ),
    "7 separation of duties is between people": (
        "test_who_runs_the_executor_does_not_approve_what_it_does",
        "test_whoever_runs_the_executor_of_a_step_or_an_undo_is_known",
        "test_conflict",
        "test_one_person_does_not_approve_two_stages",
        "test_an_alias_of_a_voter_is_no_second_person",
        "test_who_wrote_the_policy_or_granted_an_exception_does_not_approve",
        "test_who_granted_an_exception_or_wrote_the_policy_is_no_approver",
        "test_two_people_who_did_not_write_it_put_a_draft_in_force",
        "test_who_became_the_owner_meanwhile_does_not_approve",
        "test_one_eligibility_is_used_once",
        "test_a_delegate_decides_for_whom_the_directory_says_and_for_nobody_else",
        "test_a_policy_in_force_that_asks_too_few_is_not_followed",
        "test_a_policy_that_locks_the_door_or_leaves_it_open_is_denied",
        "test_a_review_is_owed_and_people_close_it",
        "test_who_asked_for_it_and_whom_nobody_asks_does_not_say_how_it_ended",
        "test_one_person_releases_nothing_under_however_many_names_and_keys",
    ),
    "8 dispatch re-checks everything": (
        "test_gate_closes",
        "test_gate_holds",
        "test_the_calendars_of_now_are_asked",
        "test_until_when_a_permit_may_wait",
        "test_a_directory_that_has_grown_too_old_issues_no_permit",
        "test_what_people_can_cure",
        "test_what_is_always_material",
        "test_small_steps_become_material_once_they_are_a_large_one",
        "test_a_vote_that_lost_its_standing_goes_back_to_people_and_the_others_are_kept",
        "test_an_edit_of_what_changed_is_named",
        "test_no_interleaving_exceeds_a_limit_and_everybody_ends",
        "test_a_permit_that_was_issued_before_is_not_claimed",
    ),
    "9 refused attempts are evidence": (
        "test_a_decision_that_does_not_count_is_answered_and_recorded",
        "test_a_revocation_that_does_not_count_is_answered_and_recorded",
        "test_what_only_says_that_it_is_one_is_a_violation",
        "test_a_flood_of_junk_grows_neither_ledger_nor_state_without_end",
        "test_which_refusals_are_listed",
        "test_a_count_is_noted_at_every_power_of_two_that_it_reaches",
        "test_junk_in_somebodys_name_takes_nothing_from_that_persons_vote",
        "test_a_flood_of_refused_starts_leaves_few_entries",
    ),
    "10 bad input never wedges or kills a workflow": (
        "test_a_malformed_update_is_answered",
        "test_a_malformed_signal_is_recorded",
        "test_a_malformed_start_fails_at_once",
        "test_megabytes_that_waited_for_a_worker_are_read_one_by_one",
        "test_a_flood_exhausts_no_workflow_and_holds_back_no_vote",
        "test_a_handler_that_is_cut_off_fails_the_task",
        "test_a_second_argument_is_malformed_in_a_start",
        "test_a_number_that_the_record_cannot_hold_is_no_decision",
        "test_no_text_of_a_proposer_has_an_effect",
        "test_no_name_of_a_proposer_has_an_effect",
        "test_no_text_at_all_has_an_effect",
        "test_nor_has_a_workflow_that_lies",
        "test_a_hostile_condition_ends_soon",
        "test_a_hostile_value_ends_soon",
        "test_any_text_is_read_or_refused",
        "test_a_mutated_document_is_answered",
        "test_anything_is_imported_or_refused",
        "test_whatever_is_imported_can_be_published",
        "test_an_owner_that_can_be_no_group_is_nobody_and_keeps_nothing_from_its_end",
        "test_an_answer_that_nobody_can_read_wedges_nothing",
    ),
    "11 write-ahead audit; compensation never waits": (
        "test_without_the_record_nothing_starts_and_an_undo_still_runs",
        "test_an_undo_does_not_wait_for_the_record",
    ),
    "12 compensation ends in a definite state": (
        "test_what_cannot_be_undone_ends_failed_and_under_a_hold",
        "test_a_step_is_not_undone_before_the_later_ones",
        "test_a_stop_whose_verb_is_to_ask_undoes_nothing",
        "test_a_revocation_while_a_step_runs_ends_and_undoes_it",
        "test_a_hold_admits_only_the_approved_repair_of_what_is_held",
        "test_an_effect_that_nobody_knows_is_never_repeated",
        "test_a_failing_undo_goes_on_or_stops_and_is_never_swallowed",
        "test_a_repair_that_fails_itself_can_be_repaired_with_what_it_was_to_repair",
        "test_nobody_closes_an_item_by_the_server",
        "test_what_no_permit_names_is_not_undone_on_all",
        "test_an_undo_that_somebody_runs_by_hand_before_the_judgement_does_nothing",
        "test_a_hold_on_one_name_of_an_object_holds_the_other",
        "test_every_open_item_gets_its_workflow_however_many_are_due_before_it",
    ),
    "13 every released history replays": ("test_a_recorded_run_holds_under_the_code_of_today",),
    "14 time is explicit": (
        "test_nothing_moves_the_absolute_deadline",
        "test_time_does_not_end_a_review",
        "test_an_outage_across_a_deadline_falls_to_the_stages_verb",
        "test_an_outage_across_a_deadline_begins_a_grace",
        "test_clocks_that_disagree_stop_dispatch",
        "test_the_dates_are_those_of_dateutil",
        "test_zones_are_those_of_the_locked_package",
        "test_a_rule_enforces_from_the_beginning_of_its_day",
        "test_when_nobody_says_anything_the_verb_of_the_policy_applies",
    ),
}


@cache
def defined() -> frozenset[str]:
    names: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        names |= {node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_")}
    return frozenset(names)


def test_there_are_fourteen() -> None:
    """Each number once, in order."""
    assert [int(name.split(" ")[0]) for name in INVARIANTS] == list(range(1, 15))


@pytest.mark.parametrize("invariant", INVARIANTS)
def test_each_invariant_has_its_tests(invariant: str) -> None:
    """Every test that is named for an invariant exists."""
    assert set(INVARIANTS[invariant]) - defined() == set()
