"""Which refusals are listed one by one, and that all others are counted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.refusals import (
    KEPT_OF_CASE,
    KEPT_OF_NOBODY,
    KEPT_OF_ONE,
    Listed,
    check_unlisted,
    milestone,
    unlisted_key,
)

# name: what is listed by person, whose refusal comes, whether it is listed
ROOM: dict[str, tuple[dict[str | None, int], str | None, bool]] = {
    "the first of a case": ({}, "bob", True),
    "the last of a person": ({"bob": KEPT_OF_ONE - 1}, "bob", True),
    "one more of that person": ({"bob": KEPT_OF_ONE}, "bob", False),
    "one of another person": ({"bob": KEPT_OF_ONE}, "eve", True),
    "the last of nobody": ({None: KEPT_OF_NOBODY - 1}, None, True),
    "one more of nobody": ({None: KEPT_OF_NOBODY}, None, False),
    "junk of nobody leaves a person's room as it is": ({None: KEPT_OF_NOBODY}, "bob", True),
    "a case that lists as many as it may": ({f"p{n}": 10 for n in range(KEPT_OF_CASE // 10)}, "bob", False),
}
# name: the entry's content, what is listed before it, what is said
ENTRIES: dict[str, tuple[dict[str, Any], dict[str | None, int], str | None]] = {
    "as it should be": ({"count": 3, "codes": {"malformed": 2, "expired": 1}}, {None: KEPT_OF_NOBODY}, None),
    "a count that is no sum": (
        {"count": 9, "codes": {"malformed": 2}},
        {None: KEPT_OF_NOBODY},
        "its codes add up to 2",
    ),
    "none at all": ({"count": 0, "codes": {}}, {None: KEPT_OF_NOBODY}, "count is 0"),
    "a code of nothing": ({"count": 1, "codes": {"because": 1}}, {None: KEPT_OF_NOBODY}, "code because is none"),
    "left out with room left": ({"count": 1, "codes": {"expired": 1}}, {"bob": 9, None: 49}, "only 58 are listed"),
    "a person's room is spent": ({"count": 1, "codes": {"expired": 1}}, {"bob": KEPT_OF_ONE}, None),
}


@pytest.mark.parametrize("case", ROOM)
def test_which_refusals_are_listed(case: str) -> None:
    """Each bound holds for whom it is about, and spends nobody else's room."""
    listed, person, expected = ROOM[case]
    assert Listed(listed).has_room(person) is expected


@pytest.mark.parametrize("case", ENTRIES)
def test_an_entry_that_counts_them_is_checked(case: str) -> None:
    """The count is that of its codes, and nothing was left out while there was room for everybody."""
    content, listed, said = ENTRIES[case]
    found = check_unlisted(content, Listed(listed))
    assert any(said in item for item in found) if said else found == []


@given(st.lists(st.integers(1, 300), max_size=40))
def test_a_count_is_noted_at_every_power_of_two_that_it_reaches(batches: list[int]) -> None:
    """However many come at once, the notes rise, each is the key of its entry, and the last says half of all."""
    noted, count = [], 0
    for batch in batches:
        reached = milestone(count, count + batch)
        count += batch
        if reached is not None:
            assert unlisted_key({"count": count}) == (reached,)
            noted.append(reached)
    assert noted == sorted(set(noted))
    assert not batches or 2 * noted[-1] > count
    assert len(noted) <= count.bit_length()
