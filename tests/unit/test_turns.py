"""Whom an escalation finds in the directory."""

import pytest

from policy.people.directory import Directory
from policy.people.turns import Found, found, nobody
from policy.rules.chains import Turn
from tests.unit.builders import T0
from tests.unit.people import days, people


def _directory() -> Directory:
    """ann and bob work for cleo, she for dan, who has left, and he for eve; ops belongs to infra, infra to all."""
    rotation = {"order": ["ann", "bob"], "start": T0, "every": "7d"}
    return people(
        {"id": "ann", "manager": "cleo", "groups": ["ops"], "aliases": ["a"]},
        {"id": "bob", "manager": "cleo", "groups": ["ops"]},
        {"id": "cleo", "manager": "dan"},
        {"id": "dan", "manager": "eve", "until": days(-1), "groups": ["infra"]},
        {"id": "eve", "groups": ["all"]},
        rotations=[{"group": "ops", **rotation}, {"group": "dba", **rotation, "order": ["bob", "ann"]}],
        groups=[
            {"name": "ops", "parent": "infra"},
            {"name": "infra", "parent": "all"},
            {"name": "dba", "parent": "ops"},
        ],
    )


FOUND: dict[str, tuple[Turn, str, str, str, str]] = {
    "the manager of somebody by name": (Turn.manager, "", "ann", "", "cleo"),
    "the manager of an alias": (Turn.manager, "", "a", "", "cleo"),
    "one manager of two": (Turn.manager, "", "ann bob", "", "cleo"),
    "the manager of who is on call": (Turn.manager, "ops", "", "", "cleo"),
    "a manager who has left is passed over": (Turn.manager, "", "cleo", "", "eve"),
    "a manager who is asked already": (Turn.manager, "", "ann cleo", "", "eve"),
    "nobody above": (Turn.manager, "", "eve", "", ""),
    "of nobody": (Turn.manager, "none", "nobody", "", ""),
    "the next on call": (Turn.next_on_call, "ops", "", "", "bob"),
    "the next on call of two groups": (Turn.next_on_call, "ops dba", "", "", "bob ann"),
    "the next is asked already": (Turn.next_on_call, "ops", "bob", "", ""),
    "no rotation": (Turn.next_on_call, "none", "ann", "", ""),
    "the group above": (Turn.parent_group, "dba", "", "ops", ""),
    "an empty group above is passed over": (Turn.parent_group, "ops", "", "all", ""),
    "the group above is asked already": (Turn.parent_group, "dba ops", "", "all", ""),
    "no group above": (Turn.parent_group, "all none", "ann", "", ""),
}


@pytest.mark.parametrize(("turn", "groups", "asked", "more_groups", "more_people"), FOUND.values(), ids=FOUND)
def test_found(turn: Turn, groups: str, asked: str, more_groups: str, more_people: str) -> None:
    """Each turn finds whoever is not asked yet, and is there."""
    expected = Found(tuple(more_groups.split()), tuple(more_people.split()))
    assert found(_directory(), turn, groups.split(), asked.split(), T0) == expected


@pytest.mark.parametrize("turn", Turn)
def test_finding_nobody_is_said(turn: Turn) -> None:
    """There is a sentence for every turn that finds nobody, with whom it looked for."""
    assert nobody(turn, ("ops",), ("ann",)).endswith(" ops, ann")
    assert nobody(turn, (), ()).endswith(" anybody")
