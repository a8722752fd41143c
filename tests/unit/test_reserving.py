"""What an action reserves, who is in its way, whose turn it is, and until when: the rules without a record."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from policy.checks.effective import effective
from policy.checks.policy_diff import diff
from policy.criteria import effective as criteria_of
from policy.document import PolicySet, read_policy
from policy.errors import DocumentError
from policy.evaluation import evaluate
from policy.impact import assess
from policy.reserving import (
    AGED,
    LONGEST_PAUSE,
    Holder,
    Lease,
    Reserving,
    Turn,
    Used,
    Wanted,
    after,
    decide,
    lease_until,
    pause,
    taken_over,
    unreserved,
    wanted_of,
)
from policy.rules.calendars import timing_of
from tests.unit.builders import POLICY, T0, a_proposal, facts_of, step_json

ID = "id pg-orders"
ME = Turn(proposal_id="p-1", priority=3, registered_at=T0)
HOLDER = Holder(proposal_id="p-0", since=T0, until=T0 + timedelta(hours=1))


def policy(*limits: str) -> PolicySet:
    return read_policy(POLICY.replace(b"limits:", f"aggregate: [{', '.join(limits)}]\nlimits:".encode(), 1))


def wanted(*limits: str, **changes: Any) -> list[tuple[str, bool]]:
    """Scope, and whether it is shared, of everything that the small world's proposal needs."""
    proposal = a_proposal(**changes)
    return [(item.scope, item.shared) for item in wanted_of(policy(*limits), proposal, facts_of(proposal))]


WANTED: dict[str, tuple[tuple[str, ...], dict[str, Any], list[tuple[str, bool]]]] = {
    "nothing is said: the id for itself": ((), {}, [(ID, False)]),
    "a dry run": (("{id: all, per: everything, at_once: 1}",), {"dry_run": True}, []),
    "several may be at the target": (
        ("{id: many, per: target, at_once: 3}",),
        {},
        [(ID, True), (f"many {ID}", True)],
    ),
    "a limit on units says nothing of being alone": (
        ("{id: ids, per: everything, count: ids, at_once: 9}",),
        {},
        [(ID, False), ("ids everything", True)],
    ),
    "another operation": (
        ("{id: ends, per: everything, at_once: 1, match: {operations: [pg.drop]}}",),
        {},
        [(ID, False)],
    ),
    "the undo is meant": (
        ("{id: resets, per: environment, at_once: 1, match: {operations: [pg.reset]}}",),
        {},
        [(ID, False), ("resets environment production", True)],
    ),
    "a condition that has no answer counts": (
        ("{id: asks, per: everything, at_once: 1, when: 'parameters.nothing == 1'}",),
        {},
        [("asks everything", True), (ID, False)],
    ),
}


@pytest.mark.parametrize(("limits", "changes", "scopes"), WANTED.values(), ids=WANTED)
def test_what_an_action_needs(limits: tuple[str, ...], changes: dict[str, Any], scopes: list[tuple[str, bool]]) -> None:
    assert wanted(*limits, **changes) == scopes


def asked(item: Wanted, used: Used, turn: Turn = ME, **more: Any) -> Reserving:
    return decide((item,), (used,), turn, T0, lease_until=T0 + timedelta(hours=1), **more)


ALONE, SHARED = Wanted(scope=ID), Wanted(scope=ID, shared=True)
FEW = Wanted(scope="few x", limit="few", at_once=3, shared=True)
SHARE = Wanted(scope="few x", limit="few", count="share", amount=0.1, at_once=0.5, shared=True)
HOURLY = Wanted(scope="few x", limit="few", per_hour=2, shared=True, exceeded="deny")
# name: what is wanted, what others have of it, what is in the way
ROOM: dict[str, tuple[Wanted, Used, list[str]]] = {
    "nobody is there": (ALONE, Used(scope=ID), []),
    "somebody is there": (ALONE, Used(scope=ID, at_once=1, alone=True, holders=(HOLDER,)), ["held"]),
    "somebody who shares is there": (ALONE, Used(scope=ID, at_once=1, holders=(HOLDER,)), ["held"]),
    "both share": (SHARED, Used(scope=ID, at_once=1, holders=(HOLDER,)), []),
    "one shares and the other does not": (SHARED, Used(scope=ID, at_once=1, alone=True, holders=(HOLDER,)), ["held"]),
    "the last place": (FEW, Used(scope="few x", at_once=2), []),
    "one too many": (FEW, Used(scope="few x", at_once=3), ["at_once"]),
    "four times 10 % and 10 % are 50 %": (SHARE, Used(scope="few x", at_once=0.1 + 0.1 + 0.1 + 0.1), []),
    "five times are more": (SHARE, Used(scope="few x", at_once=0.5), ["at_once"]),
    "the hour is full": (HOURLY, Used(scope="few x", in_hour=2), ["per_hour"]),
    "more than are counted are there": (FEW, Used(scope="few x", at_once=1, more_at_once=True), ["at_once"]),
    "more than are counted share it": (
        SHARED,
        Used(scope=ID, at_once=1, holders=(HOLDER,), more_at_once=True),
        ["held"],
    ),
    "more than are counted were begun": (HOURLY, Used(scope="few x", in_hour=1, more_in_hour=True), ["per_hour"]),
    "somebody waits who came before": (
        FEW,
        Used(scope="few x", waiting=(Turn(proposal_id="p-0", priority=3, registered_at=T0 - timedelta(seconds=1)),)),
        ["turn"],
    ),
    "somebody waits who came after": (
        FEW,
        Used(scope="few x", waiting=(Turn(proposal_id="p-2", priority=3, registered_at=T0 + timedelta(seconds=1)),)),
        [],
    ),
    "somebody urgent came after": (
        FEW,
        Used(scope="few x", waiting=(Turn(proposal_id="p-2", priority=1, registered_at=T0 + timedelta(seconds=1)),)),
        ["turn"],
    ),
}


@pytest.mark.parametrize(("item", "used", "kinds"), ROOM.values(), ids=ROOM)
def test_whether_there_is_room(item: Wanted, used: Used, kinds: list[str]) -> None:
    found = asked(item, used)
    assert [conflict.kind for conflict in found.conflicts] == kinds
    assert (found.lease_until is None) == bool(kinds)
    assert found.waits == (bool(kinds) and item.exceeded == "queue")


def test_what_is_its_own_already_is_not_asked_again() -> None:
    """Though somebody else waits for it, and came before."""
    used = Used(scope=ID, waiting=(Turn(proposal_id="p-0", priority=1, registered_at=T0),))
    mine = Lease(T0 + timedelta(seconds=1), 1.0)
    assert asked(ALONE, used, leases={ID: mine}).lease_until is not None
    assert asked(ALONE, used, leases={ID: mine._replace(until=T0)}).lease_until is None


UNITS = Wanted(scope="few x", limit="few", count="units", amount=50, at_once=60, shared=True)
# name: what it had, what others have, what is in the way of 50 of 60
GROWN: dict[str, tuple[float, Used, list[str]]] = {
    "no more than it had": (50, Used(scope="few x", at_once=40), []),
    "more, and there is room": (20, Used(scope="few x", at_once=10), []),
    "more, and there is none": (20, Used(scope="few x", at_once=40), ["at_once"]),
    "more, and somebody waits": (
        20,
        Used(scope="few x", waiting=(Turn(proposal_id="p-0", priority=1, registered_at=T0),)),
        [],
    ),
}


@pytest.mark.parametrize(("had", "used", "kinds"), GROWN.values(), ids=GROWN)
def test_a_later_step_that_takes_more_needs_room_for_all_of_it(had: float, used: Used, kinds: list[str]) -> None:
    found = asked(UNITS, used, leases={"few x": Lease(T0 + timedelta(hours=1), had)})
    assert [conflict.kind for conflict in found.conflicts] == kinds
    assert found.had == ("few x",)
    lost = [reason.message.partition(":")[0] for reason in unreserved(found, 2)]
    assert lost == ["it takes more than it reserved" for _ in kinds]


def test_nothing_that_an_action_had_becomes_less_before_its_lease_ends() -> None:
    long, short = T0 + timedelta(hours=2), T0 + timedelta(hours=1)
    assert after(None, short, 3, T0) == (short, 3)
    assert after(Lease(long, 5), short, 3, T0) == (long, 5)
    assert after(Lease(short, 3), long, 5, T0) == (long, 5)
    assert after(Lease(T0, 5), short, 3, T0) == (short, 3)


def test_who_has_waited_for_an_hour_is_overtaken_by_nobody() -> None:
    """However many urgent ones come: each of them finds it before."""
    aged = Turn(proposal_id="p-9", priority=3, registered_at=T0, since=T0 - AGED)
    urgent = Turn(proposal_id="p-1", priority=1, registered_at=T0 - timedelta(days=1))
    assert asked(FEW, Used(scope="few x", waiting=(aged,)), urgent).conflicts[0].by == ("p-9",)
    young = aged.model_copy(update={"since": T0 - AGED + timedelta(seconds=1)})
    assert asked(FEW, Used(scope="few x", waiting=(young,)), urgent).conflicts == ()


@given(
    some.lists(some.tuples(some.integers(0, 3), some.integers(0, 3), some.integers(0, 7200)), min_size=2, max_size=8)
)
def test_of_those_who_wait_exactly_one_is_first(rows: list[tuple[int, int, int]]) -> None:
    """Whatever their urgency and age: nobody waits for somebody who waits for them."""
    turns = [
        Turn(
            proposal_id=f"p-{number}",
            priority=priority,
            registered_at=T0 + timedelta(seconds=registered),
            since=T0 - timedelta(seconds=waited),
        )
        for number, (priority, registered, waited) in enumerate(rows)
    ]
    first = [
        turn
        for turn in turns
        if not asked(FEW, Used(scope="few x", waiting=tuple(set(turns) - {turn})), turn).conflicts
    ]
    assert len(first) == 1


def test_what_has_begun_does_not_wait_half_way() -> None:
    """Its lease ended and somebody else is there: it goes backwards, whatever the verb of the limit."""
    found = asked(ALONE, Used(scope=ID, at_once=1, alone=True, holders=(HOLDER,)))
    assert unreserved(found, 1) == ()
    assert [reason.code for reason in unreserved(found, 2)] == ["reservation_lost"]
    denied = asked(HOURLY, Used(scope="few x", in_hour=2))
    assert [reason.code for reason in unreserved(denied, 1)] == ["aggregate_limit"]


@pytest.mark.parametrize(
    ("named", "approved", "taken"),
    [("p-0", True, "p-0"), ("p-0", False, None), ("p-7", True, None), (None, True, None)],
)
def test_what_is_taken_over(named: str | None, approved: bool, taken: str | None) -> None:
    """Only what is in the way, and only what people approved."""
    found = asked(ALONE, Used(scope=ID, at_once=1, alone=True, holders=(HOLDER,)))
    assert taken_over(found, a_proposal(takes_over=named), approved=approved) == taken


def test_a_lease_lasts_for_everything_that_was_permitted() -> None:
    """Two steps of a minute with an undo each: their permits, their criteria, and twenty attempts of both undos."""
    proposal = a_proposal(steps=[step_json(name="one"), step_json(name="two")])
    criteria = criteria_of(proposal, facts_of(proposal).operations)
    args: dict[str, Any] = {"acted_on": lambda _: 1, "now": T0, "permit_ttl": timedelta(minutes=5), "undo_attempts": 20}
    whole, rest = (lease_until(proposal, criteria, step=step, **args) - T0 for step in (1, 2))
    step, undo = timedelta(seconds=60 + 5 + 90), timedelta(seconds=60 + 90)
    assert whole == 2 * (step + timedelta(minutes=5)) + 20 * 2 * undo + step
    assert whole - rest == step + timedelta(minutes=5)


def test_a_lease_lasts_for_every_target_that_is_taken_after_another() -> None:
    """And for criteria that are looked at late."""
    proposal = a_proposal(steps=[step_json(one_by_one=True)])
    criteria = tuple(
        item.model_copy(update={"initial_delay_seconds": 600})
        for item in criteria_of(proposal, facts_of(proposal).operations)
    )
    args: dict[str, Any] = {"step": 1, "now": T0, "permit_ttl": timedelta(minutes=5), "undo_attempts": 20}

    lease = lease_until(proposal, criteria, acted_on=lambda _: 50, **args) - T0

    acting, undoing = timedelta(seconds=50 * (60 + 600 + 5)), timedelta(seconds=50 * 60 + 90)
    assert lease >= timedelta(minutes=5) + acting + 20 * undoing


def test_pauses_grow_and_end() -> None:
    assert [pause(number).total_seconds() for number in (0, 1, 2)] == [5, 10, 20]
    assert pause(10_000) == LONGEST_PAUSE


WRONG = {
    "it limits nothing": ("{id: x, per: target}", "it would limit nothing"),
    "shares of several targets": ("{id: x, per: environment, count: share, at_once: 0.5}", "do not add up"),
    "more than all of it": ("{id: x, per: target, count: share, at_once: 1.5}", "a share is 1 at most"),
    "half an action": ("{id: x, per: target, at_once: 1.5}", "whole numbers"),
    "an id of something else": ("{id: no-drop, per: target, at_once: 1}", "is used twice"),
}


@pytest.mark.parametrize(("limit", "said"), WRONG.values(), ids=WRONG)
def test_a_limit_that_means_nothing_is_refused(limit: str, said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        policy(limit)


def test_what_alone_is_too_much_is_denied_when_it_is_assessed() -> None:
    """Where nobody knows its share, too; and a condition without an answer denies."""
    proposal = a_proposal()
    facts = facts_of(proposal, units_touched=3.0, units_total=5.0)

    def verdict(limit: str, **changes: Any) -> tuple[str, str]:
        known = facts.model_copy(update=changes)
        found = policy(limit)
        answer = evaluate(found, proposal, known, assess(proposal, known, timing_of(found, known)))
        return answer.verdict, answer.reasons[0].message

    share = "{id: half, per: target, count: share, at_once: 0.5, reason: the rest carries the load}"
    denied, why = verdict(share)
    assert (denied, why.partition(" of all")[0]) == (
        "deny",
        "half: alone it takes 60% of the capacity, 50% of the capacity are the most",
    )
    assert why.endswith("; the rest carries the load")
    assert verdict(share, units_touched=2.0)[0] == "require_approval"
    assert "nobody knows how much it takes" in verdict(share, units_total=None)[1]
    assert "nobody knows the system of the target" in verdict("{id: one, per: system, at_once: 1}")[1]
    assert "has no answer" in verdict("{id: one, per: everything, at_once: 1, when: 'parameters.nothing == 1'}")[1]


def test_a_limit_is_said_and_its_change_is_seen() -> None:
    """`policy effective` says it, `policy diff` shows that it became another."""
    old, new = (policy(f"{{id: few, per: environment, at_once: {most}}}") for most in (2, 5))
    (told,) = [item.says for item in effective(old, T0) if item.what == "aggregate"]
    assert told == "2 actions at once per environment, else queue"
    assert diff(old, new, now=T0).changes


def test_a_record_without_what_was_not_counted_reads_as_it_was() -> None:
    """Neither a history nor an entry of a release before becomes another."""
    used = Used(scope=ID, at_once=1)
    assert not {"more_at_once", "more_in_hour"} & used.model_dump(mode="json").keys()
    full = Used(scope=ID, more_at_once=True, more_in_hour=True)
    assert Used.model_validate(full.model_dump(mode="json")) == full
    found = asked(FEW, Used(scope="few x", at_once=1, more_at_once=True))
    assert "at least 1 actions are under way" in found.conflicts[0].message
