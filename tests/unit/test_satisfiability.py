"""Whether anybody can approve, by a directory."""

from datetime import timedelta
from typing import Any

import pytest

from policy.checks.satisfiability import satisfiability
from policy.governed import Metadata
from policy.people.directory import Directory, Person, RegisteredAgent
from policy.rules.chains import ApprovalChain, EscalationStep, Mode, Requirement, Stage
from tests.unit.builders import T0


def _directory(**people: str) -> Directory:
    """People with their groups, separated by spaces; the first of them owns an agent."""
    return Directory(
        apiVersion="countersign/v1",
        kind="Directory",
        metadata=Metadata(name="people", version="1"),
        people=tuple(Person(id=name, groups=tuple(groups.split())) for name, groups in people.items()),
        agents=(RegisteredAgent(id="robot", owner=next(iter(people))),),
    )


def _chain(*stages: list[tuple[str, int]], escalate: str = "") -> ApprovalChain:
    """Stages of requirements; groups of one requirement are separated by spaces."""
    more: dict[str, Any] = {}
    if escalate:
        step = EscalationStep(after=timedelta(minutes=30), add_groups=tuple(escalate.split()), reason="r")
        more["escalations"] = (step,)
    return ApprovalChain(
        stages=tuple(
            Stage(
                name=f"s{number}",
                requirements=tuple(Requirement(groups=tuple(groups.split()), count=count) for groups, count in stage),
                deadline=timedelta(hours=1),
                **more,
            )
            for number, stage in enumerate(stages, 1)
        )
    )


OPS = {"ana": "ops", "ben": "ops", "dora": "dba"}
CASES: dict[str, tuple[ApprovalChain, dict[str, str], dict[str, tuple[str, ...]]]] = {
    "enough of everybody": (_chain([("ops", 1)]), OPS, {}),
    "nobody in the group": (
        _chain([("sre", 1)]),
        OPS,
        {"unknown_groups": ("sre",), "missing": ("1 of sre",)},
    ),
    "too few": (_chain([("ops", 3)]), OPS, {"missing": ("1 of ops",)}),
    "the same person would be needed twice": (
        _chain([("dba", 1)], [("dba", 1)]),
        OPS,
        {"missing": ("1 of dba",)},
    ),
    "two groups with one person in both": (
        _chain([("a", 1)], [("b", 1)]),
        {"ana": "a b"},
        {"missing": ("1 of b",)},
    ),
    "a matching that is not greedy": (
        _chain([("a b", 1)], [("a", 1)]),
        {"ana": "a", "ben": "b"},
        {"without": ("ana", "ben")},
    ),
    "only without the one who asks": (_chain([("ops", 2)]), OPS, {"without": ("ana", "ben")}),
    "one of one": (_chain([("dba", 1)]), OPS, {"without": ("dora",)}),
    "only late": (_chain([("sre", 1)], escalate="ops"), OPS, {"unknown_groups": ("sre",), "late": ("1 of sre",)}),
}


@pytest.mark.parametrize(("chain", "people", "expected"), CASES.values(), ids=CASES)
def test_who_can_approve(chain: ApprovalChain, people: dict[str, str], expected: dict[str, tuple[str, ...]]) -> None:
    """All seats of all stages are filled by different people, with and without whoever asks."""
    found = satisfiability(chain, _directory(**people), T0)

    names = ("unknown_groups", "missing", "late", "without")
    assert {name: getattr(found, name) for name in names if getattr(found, name)} == expected


def test_an_author_fills_no_seat() -> None:
    """Who wrote the document is not counted among those who may approve, under an alias neither."""
    assert satisfiability(_chain([("ops", 2)]), _directory(**OPS), T0, ("ana",)).missing == ("1 of ops",)
    assert satisfiability(_chain([("ops", 2)]), _directory(**OPS), T0, ("dora", "nobody")).missing == ()


def test_a_large_directory_costs_little() -> None:
    """As many people of each group as there are seats decide the question."""
    people = {f"p{number}": "ops dba" for number in range(3000)}
    found = satisfiability(_chain(*[[("ops", 5), ("dba", 5)]] * 10), _directory(**people), T0)

    assert (found.missing, found.without, found.total, found.people) == ((), (), 100, 3000)


def _asks(*requirements: Requirement, mode: Mode = Mode.all_of) -> ApprovalChain:
    asked = Stage(name="s", mode=mode, requirements=requirements, deadline=timedelta(hours=1))
    return ApprovalChain(stages=(asked,))


_OWNERS = Requirement(roles=("owner",))
_NAMED = Requirement(people=("ana",))
_SKILLED = Requirement(groups=("ops",), qualifications=("backup",))
# What is asked, of which mode, and what nobody can fill.
BESIDES_GROUPS: dict[str, tuple[tuple[Requirement, ...], Mode, tuple[str, ...]]] = {
    "somebody by name": ((_NAMED,), Mode.all_of, ()),
    "nobody has the role": ((_OWNERS,), Mode.all_of, ("1 of role owner",)),
    "nobody has the qualification": ((_SKILLED,), Mode.all_of, ("1 of ops with backup",)),
    "any of two, and one can be filled": ((_OWNERS, _NAMED), Mode.any_of, ()),
    "any of two, and none can be filled": ((_OWNERS, _SKILLED), Mode.any_of, ("1 of role owner",)),
    "one person by name and by group": (
        (_NAMED, Requirement(groups=("ops",), count=2)),
        Mode.all_of,
        ("1 of ops",),
    ),
}


@pytest.mark.parametrize(("asked", "mode", "missing"), BESIDES_GROUPS.values(), ids=BESIDES_GROUPS)
def test_more_than_groups_is_counted(asked: tuple[Requirement, ...], mode: Mode, missing: tuple[str, ...]) -> None:
    """Roles, names and qualifications count as they do when votes are counted, and so does any one of several."""
    assert satisfiability(_asks(*asked, mode=mode), _directory(**OPS), T0).missing == missing
