"""The fourteen invariants, each with the tests that go red when it is broken. This file only keeps the list true.

What `claimed` identities cannot protect yet is in SECURITY.md, and where an invariant is held in part the list says so.
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

INVARIANTS: dict[str, tuple[str, ...]] = {
    "1 no effect without a permit, no permit without a gate that held at that moment": (
        "test_an_effect_asked_for_without_a_permit_does_not_happen",
        "test_a_permit_asked_for_alone_is_refused_and_on_record",
        "test_a_foreign_workflow_gets_no_further_than_the_cli",
        "test_a_forged_permit_is_none",
        "test_a_rogue_worker_on_our_queue_gets_no_effect",
        "test_no_reset_of_a_closed_action_does_anything_again",
        "test_no_reset_of_a_pending_action_forgets_or_adds_a_vote",
        "test_delete_and_start_again_does_nothing_again",
    ),
    "2 at most once; where it cannot be known, outcome_unknown": (
        "test_a_killed_worker_never_doubles_an_effect",
        "test_many_at_once_claim_one_permit_once",
        "test_a_permit_is_not_used_twice",
        "test_an_effect_that_nobody_knows_is_never_repeated",
        "test_the_check_sees_an_effect_that_happened_twice",
    ),
    "3 what was approved is what runs": (
        "test_a_permit_that_does_not_hold_together_is_refused",
        "test_a_decision_that_does_not_count_is_answered_and_recorded",
    ),
    "4 one computation, one now": ("test_rules_and_workflows_read_no_world",),
    "5 nothing is vacuously allowed (facts have no age and criteria no registry yet)": (
        "test_denied_before_any_rule",
        "test_nobody_can_approve_an_empty_chain",
        "test_what_nobody_registered_is_the_worst",
    ),
    "6 nothing that the proposer controls lowers the tier": ("test_nothing_the_proposer_writes_lowers", "test_floor"),
    "7 separation of duties is between people (policy's author and executor's operator come with signing)": (
        "test_conflict",
        "test_one_person_does_not_approve_two_stages",
        "test_an_alias_of_a_voter_is_no_second_person",
    ),
    "8 dispatch re-checks everything": ("test_gate_closes", "test_gate_holds"),
    "9 refused attempts are evidence": (
        "test_a_decision_that_does_not_count_is_answered_and_recorded",
        "test_a_flood_of_junk_grows_neither_ledger_nor_state_without_end",
    ),
    "10 bad input never wedges or kills a workflow": (
        "test_a_malformed_update_is_answered",
        "test_a_malformed_signal_is_recorded",
        "test_a_malformed_start_fails_at_once",
        "test_megabytes_that_waited_for_a_worker_are_read_one_by_one",
        "test_a_number_that_the_record_cannot_hold_is_no_decision",
    ),
    "11 write-ahead audit; compensation never waits": (
        "test_without_the_record_nothing_starts_and_an_undo_still_runs",
        "test_an_undo_does_not_wait_for_the_record",
    ),
    "12 compensation ends in a definite state": (
        "test_what_cannot_be_undone_ends_failed_and_under_a_hold",
        "test_a_step_is_not_undone_before_the_later_ones",
        "test_a_stop_whose_verb_is_to_ask_undoes_nothing",
        "test_a_hold_admits_only_the_approved_repair_of_what_is_held",
        "test_an_effect_that_nobody_knows_is_never_repeated",
    ),
    "13 every released history replays": ("test_a_recorded_run_holds_under_the_code_of_today",),
    "14 time is explicit": (
        "test_nothing_moves_the_absolute_deadline",
        "test_an_outage_across_a_deadline_falls_to_the_stages_verb",
        "test_clocks_that_disagree_stop_dispatch",
    ),
}


def _defined() -> set[str]:
    names: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        names |= {node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_")}
    return names


def test_there_are_fourteen() -> None:
    """Each number once, in order."""
    assert [int(name.split(" ")[0]) for name in INVARIANTS] == list(range(1, 15))


@pytest.mark.parametrize("invariant", INVARIANTS)
def test_each_invariant_has_its_tests(invariant: str) -> None:
    """Every test that is named for an invariant exists."""
    assert set(INVARIANTS[invariant]) - _defined() == set()
