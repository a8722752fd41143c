"""A target's trail against the permits: what is authorized, and every way in which something is not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.audit import ReadEntry
from policy.audit_entries import check_entry
from policy.ledger import EntryKind
from policy.permit import Direction, Permit, entry_id, permit_id
from policy.proofs import Assurance
from policy.targets import ResolvedTarget
from policy.trails import (
    TRAILS_LEDGER,
    Finding,
    TrailEffect,
    TrailPermit,
    TrailSign,
    check_trail,
    held_against,
    more_of,
    trail_key,
    unreadable,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORDERS, SET = "postgres/orders", "postgres.parameter.set"
SHOWN = frozenset({SET, "postgres.parameter.reset"})
DIGEST = "sha256:" + "0" * 64


def _at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def _permit(proposal: str = "p-1", direction: Direction = Direction.do, **change: Any) -> Permit:
    """For setting one parameter within half a minute."""
    target = ResolvedTarget(id="work_mem", resource=ORDERS, version="v")
    given: dict[str, Any] = {
        "permit_id": permit_id(proposal, 1, 1, direction),
        "proposal_id": proposal,
        "revision": 1,
        "step": 1,
        "direction": direction,
        "executor": "postgres",
        "operation": SET,
        "parameters": {"name": "work_mem", "value": "8MB"},
        "environment": "production",
        "resolved": (ORDERS,),
        "timeout_seconds": 30,
        "action_digest": DIGEST,
        "assessment_digest": DIGEST,
        "policy_digest": DIGEST,
        "resolved_digest": DIGEST,
        "assurance": Assurance.claimed,
        "issued_at": NOW,
        "expires_at": _at(300),
        "targets": (target,),
    }
    return Permit(**(given | change))


PERMIT = _permit()
CLAIMED = TrailPermit(PERMIT, "claimed", NOW)
DONE = TrailPermit(PERMIT, "claimed", NOW, "done", _at(0), _at(10))


def _effect(seconds: float = 5, **change: Any) -> TrailEffect:
    given: dict[str, Any] = {
        "at": _at(seconds),
        "target": "work_mem",
        "resource": ORDERS,
        "operation": SET,
        "actor": "orders_operator",
    }
    return TrailEffect(**(given | {"permit_id": PERMIT.permit_id, "evidence": f"line {seconds}"} | change))


def _held(
    effects: list[TrailEffect],
    *permits: TrailPermit,
    covers: tuple[datetime, datetime] | None = None,
) -> tuple[Finding, ...]:
    known = {item.permit.permit_id: item for item in permits}
    return held_against(effects, known, resource=ORDERS, covers=covers, shows=SHOWN)


UNDO = TrailPermit(_permit(direction=Direction.undo), "claimed", NOW)
UNDO_ID = UNDO.permit.permit_id
IN_CLUSTER = TrailPermit(
    _permit(
        resolved=(f"{ORDERS}/shop/web",),
        targets=(ResolvedTarget(id="d/shop/web@u-1", resource=f"{ORDERS}/shop/web"),),
    ),
    "claimed",
    NOW,
)
OF_NO_TARGET = TrailPermit(_permit(resolved=(f"{ORDERS}/shop",), targets=()), "claimed", NOW)
REINDEX: dict[str, Any] = {"operation": "postgres.index.create", "targets": ()}
INDEX_UNDO = TrailPermit(_permit(direction=Direction.undo, **REINDEX), "claimed", NOW)


@pytest.mark.parametrize(
    ("effects", "permit", "expected"),
    [
        pytest.param([_effect()], CLAIMED, [], id="one effect under a claimed permit"),
        pytest.param([_effect()], DONE, [], id="one that is reported"),
        pytest.param([_effect(-59)], CLAIMED, [], id="two clocks may differ by a minute"),
        pytest.param([_effect(-61)], CLAIMED, ["outside_window"], id="before it was claimed"),
        pytest.param([_effect(104)], CLAIMED, [], id="as long as it was permitted"),
        pytest.param([_effect(106)], CLAIMED, ["outside_window"], id="after the permitted time"),
        pytest.param([_effect(71)], DONE, ["outside_window"], id="after it was reported"),
        pytest.param([_effect(permit_id=None)], CLAIMED, ["no_permit"], id="no mark"),
        pytest.param([_effect(permit_id="0" * 32)], CLAIMED, ["forged_marker"], id="a permit that nobody issued"),
        pytest.param([_effect()], TrailPermit(PERMIT, "unused"), ["forged_marker"], id="one that nobody claimed"),
        pytest.param([_effect()], TrailPermit(PERMIT, "void", NOW), ["forged_marker"], id="one that is void"),
        pytest.param(
            [_effect()], TrailPermit(_permit(dry_run=True), "claimed", NOW), ["forged_marker"], id="one of a dry run"
        ),
        pytest.param([_effect(operation="postgres.parameter.reset")], CLAIMED, ["other_operation"], id="another way"),
        pytest.param([_effect(target="shared_buffers")], CLAIMED, ["other_target"], id="another parameter"),
        pytest.param([_effect(resource="postgres/other")], CLAIMED, ["other_target"], id="another trail"),
        pytest.param(
            [_effect()],
            TrailPermit(_permit(resolved=("postgres/other",)), "claimed", NOW),
            ["other_target"],
            id="a permit for another resource",
        ),
        pytest.param([_effect(target="d/shop/web")], IN_CLUSTER, [], id="a part of what the trail is of"),
        pytest.param([_effect(target="d/shop/web@u-1")], IN_CLUSTER, [], id="the very one"),
        pytest.param([_effect(target="d/shop/web@u-2")], IN_CLUSTER, ["other_target"], id="one of the same name"),
        pytest.param([_effect(target="d/shop/we")], IN_CLUSTER, ["other_target"], id="the beginning of its name"),
        pytest.param([_effect(target="")], IN_CLUSTER, ["other_target"], id="nothing that has a name"),
        pytest.param([_effect(target="")], CLAIMED, ["other_target"], id="nothing that has a name, of a database"),
        pytest.param([_effect()], OF_NO_TARGET, ["other_target"], id="by a permit of a part that names nothing in it"),
        pytest.param(
            [_effect(5, target="d/shop/web"), _effect(6, target="d/shop/web@u-1")],
            IN_CLUSTER,
            ["twice"],
            id="the same again, and which one it is told once",
        ),
        pytest.param(
            [_effect(5, target="d/shop/web@u-1"), _effect(6, target="d/shop/web")],
            IN_CLUSTER,
            ["twice"],
            id="the same again, and which one it is not told any more",
        ),
        pytest.param([_effect(5), _effect(6)], CLAIMED, ["twice"], id="the same again"),
        pytest.param([_effect(5), _effect(6), _effect(7)], CLAIMED, ["twice", "twice"], id="and again"),
        pytest.param([_effect(5, permit_id=UNDO_ID), _effect(9, permit_id=UNDO_ID)], UNDO, [], id="an undo, again"),
        pytest.param(
            [_effect(permit_id=UNDO_ID, operation="postgres.index.drop")],
            INDEX_UNDO,
            [],
            id="what an undo clears first",
        ),
        pytest.param(
            [_effect(operation="postgres.index.drop")],
            TrailPermit(_permit(**REINDEX), "claimed", NOW),
            ["other_operation"],
            id="which a step does not",
        ),
    ],
)
def test_an_effect_is_authorized_by_the_permit_that_it_names(
    effects: list[TrailEffect], permit: TrailPermit, expected: list[str]
) -> None:
    """Claimed, for this operation on this target, in its window, once."""
    assert [str(item.sign) for item in _held(effects, permit)] == expected


def test_a_permit_of_several_targets_covers_each_once() -> None:
    """Two targets, two effects; a third is one too many."""
    both = tuple(ResolvedTarget(id=name, resource=ORDERS) for name in ("a", "b"))
    permit = TrailPermit(_permit(targets=both), "claimed", NOW)
    effects = [_effect(1, target="a"), _effect(2, target="b"), _effect(3, target="a")]

    assert [(item.sign, item.target) for item in _held(effects, permit)] == [(TrailSign.twice, "a")]


AROUND = (_at(-100), _at(100))


@pytest.mark.parametrize(
    ("permit", "covers", "expected"),
    [
        pytest.param(DONE, AROUND, ["no_trace"], id="reported as done"),
        pytest.param(DONE, (_at(-59), _at(100)), [], id="the trail begins too late"),
        pytest.param(DONE, (_at(-100), _at(69)), [], id="the trail ends too early"),
        pytest.param(DONE, None, [], id="the trail says nothing"),
        pytest.param(CLAIMED, AROUND, [], id="not reported yet"),
        pytest.param(DONE._replace(effect="none"), AROUND, [], id="reported as not done"),
        pytest.param(DONE._replace(effect="unknown"), AROUND, [], id="reported as unknown"),
        pytest.param(DONE._replace(permit=_permit(dry_run=True)), AROUND, [], id="a dry run"),
        pytest.param(DONE._replace(permit=_permit(resolved=("x",))), AROUND, [], id="another target's"),
        pytest.param(
            DONE._replace(permit=_permit(operation="postgres.index.reindex")), AROUND, [], id="not shown by this trail"
        ),
    ],
)
def test_what_is_reported_as_done_leaves_a_trace(
    permit: TrailPermit, covers: tuple[datetime, datetime] | None, expected: list[str]
) -> None:
    """Where the trail covers the whole window and shows the operation."""
    assert [str(item.sign) for item in _held([], permit, covers=covers)] == expected
    assert _held([_effect()], permit._replace(permit=PERMIT), covers=covers) == ()


def test_a_finding_says_what_happened_and_whose_permit_was_named() -> None:
    """Texts from outside are cut and made visible."""
    (found,) = _held([_effect(target="shared\x1b[2J" + "x" * 500)], CLAIMED)

    assert (found.about, found.why) == ("p-1", "that permit is for work_mem")
    trail = found.content["trail"]
    assert "\x1b" not in trail["target"]
    assert len(trail["target"]) == 300
    assert (trail["sign"], trail["at"], trail["actor"]) == ("other_target", "2026-03-01T12:00:05Z", "orders_operator")


SOME = st.lists(
    st.builds(
        _effect,
        seconds=st.floats(-200, 200),
        permit_id=st.sampled_from([None, "nobody", PERMIT.permit_id, UNDO_ID]),
        target=st.sampled_from(["work_mem", "fsync"]),
        operation=st.sampled_from([SET, "postgres.parameter.reset", "postgres.statement.other"]),
    ),
    max_size=8,
    unique_by=lambda item: item.at,
)


@given(SOME, SOME)
def test_more_in_a_trail_never_takes_a_violation_away(first: list[TrailEffect], more: list[TrailEffect]) -> None:
    """Except that what had left no trace has one; the order of the lines says nothing."""
    known = (DONE, UNDO)
    few, all_of = _held(first, *known), _held([*first, *more], *known)

    assert {item[:4] for item in few if item.sign is not TrailSign.twice} <= {item[:4] for item in all_of}
    assert sorted(_held([*more, *first], *known)) == sorted(all_of)
    assert len(all_of) >= len(few)


@given(SOME)
def test_at_most_one_effect_a_target_is_ever_allowed_under_a_permit(effects: list[TrailEffect]) -> None:
    """However many there are: of the effects that are no violation none has no mark, and none is a second one."""
    wrong = {item.evidence for item in _held(effects, DONE)}
    allowed = [item for item in effects if item.evidence not in wrong]

    assert len(allowed) <= 1
    assert all((item.permit_id, item.target, item.operation) == (PERMIT.permit_id, "work_mem", SET) for item in allowed)


def _entry(content: dict[str, Any], identity: str) -> ReadEntry:
    return ReadEntry(
        entry_id=identity, kind=EntryKind.violation, position=1, at=NOW, content=content, late=False, digest=DIGEST
    )


def test_an_entry_is_the_only_one_about_what_it_says() -> None:
    """Its id follows from its content, and what it says of its sign is what is said of that sign."""
    found = [item.content for item in _held([_effect(permit_id=None), _effect(6, permit_id=None)])]
    contents = [*found, unreadable(ORDERS, 3, NOW, "a.json").content, more_of(ORDERS, [TrailSign.twice], NOW)]
    ids = [entry_id(TRAILS_LEDGER, "violation", *trail_key(item["trail"])) for item in contents]

    assert len(set(ids)) == 4
    for content, identity in zip(contents, ids, strict=True):
        assert check_entry(TRAILS_LEDGER, _entry(content, identity), None) == []
        assert check_trail(content) == []
        assert check_trail({**content, "what": "all is well"}) != []
    assert check_entry(TRAILS_LEDGER, _entry(contents[0], ids[1]), None) != []


def test_every_sign_is_documented() -> None:
    """A reader of the ledger finds each of them in the page about it."""
    page = (Path(__file__).parents[2] / "docs/unauthorized-changes.md").read_text()

    assert [sign for sign in TrailSign if f"`{sign}`" not in page] == []
