"""When a directory last said something new: published, or an instant in it passed."""

from datetime import UTC, datetime, timedelta

import pytest

from policy.people.changing import changed_at
from policy.people.directory import Directory, read_directory

PUBLISHED = datetime(2030, 1, 1, tzinfo=UTC)
HEAD = "apiVersion: countersign/v1\nkind: Directory\nmetadata: {name: d, version: '1'}\npeople:\n"
PERIOD = "since: '2030-01-02T00:00:00Z', until: '2030-01-03T00:00:00Z'"
# What is in it, and how many days after it was published it says something new.
CASES = {
    "nothing ends": ("- {id: ann, groups: [ops]}", []),
    "a membership ends": ("- {id: ann, groups: [{name: ops, until: '2030-01-03T00:00:00Z'}]}", [2]),
    "a role begins": ("- {id: ann, roles: [{name: lead, since: '2030-01-02T00:00:00Z'}]}", [1]),
    "a qualification ends": ("- {id: ann, qualifications: [{name: q, until: '2030-01-04T00:00:00Z'}]}", [3]),
    "somebody leaves": ("- {id: ann, until: '2030-01-06T00:00:00Z'}", [5]),
    "it began before": ("- {id: ann, since: '2029-01-01T00:00:00Z'}", []),
    "a delegation": (
        "- {id: ann}\n- {id: ben}\ndelegations:\n- {id: d, delegator: ann, delegate: ben, reason: away, "
        + PERIOD
        + "}",
        [1, 2],
    ),
}


def _directory(people: str) -> Directory:
    return read_directory((HEAD + people).encode())


@pytest.mark.parametrize("case", CASES)
def test_a_directory_changes_by_itself(case: str) -> None:
    """The newest instant that has passed counts, and the publication before any."""
    text, days = CASES[case]
    found = {changed_at(_directory(text), PUBLISHED, PUBLISHED + timedelta(hours=12 * half)) for half in range(20)}
    assert found == {PUBLISHED, *(PUBLISHED + timedelta(days=day) for day in days)}
