"""Which refused decisions are listed one by one, and when the rest is counted.

- Every refusal is answered with its reason, listed or not. What is listed has a ledger entry and a row of its own.
- The first `KEPT_OF_CASE` refusals of a case are listed; of one person at most `KEPT_OF_ONE`. Whatever is no decision,
  or comes from an identity that the directory does not know, is nobody's: all of that shares `KEPT_OF_NOBODY`.
- An answer to a review that does not count is listed within the same bounds, each review for itself, and not counted.
- These bounds say what is listed, never what counts or how it is answered. So junk in somebody's name takes nothing
  from that person's vote.
- What is not listed is counted by code. The ledger says so when the count reaches 1, 2, 4, 8 and so on: a million of
  them are twenty entries.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from policy.decision import Refusal

KEPT_OF_CASE = 200
KEPT_OF_ONE = 10
KEPT_OF_NOBODY = 50
_CODES = frozenset(str(code) for code in Refusal)


class Listed:
    """How many refusals of a case are listed, by person; None is nobody."""

    def __init__(self, of: Mapping[str | None, int] | None = None) -> None:
        self.of: Counter[str | None] = Counter(of or {})

    def has_room(self, person_id: str | None) -> bool:
        """Whether one more of a person is listed."""
        return self.of.total() < KEPT_OF_CASE and self.of[person_id] < _kept_of(person_id)

    @property
    def full_for_somebody(self) -> bool:
        """Whether any refusal at all can have been left out."""
        return self.of.total() >= KEPT_OF_CASE or any(count >= _kept_of(name) for name, count in self.of.items())


def milestone(before: int, after: int) -> int | None:
    """The greatest power of two that a count reached on its way from `before` to `after`, if it reached one."""
    greatest = 1 << (after.bit_length() - 1) if after > 0 else 0
    return greatest if greatest > before else None


def check_unlisted(content: Mapping[str, Any], listed: Listed) -> list[str]:
    """What is wrong with an entry that counts what was not listed; `listed` is what the entries before it list."""
    found = []
    codes, count = content["codes"], content["count"]
    if sum(codes.values()) != count or count < 1:
        found.append(f"count is {count}, its codes add up to {sum(codes.values())}")
    if unknown := sorted(codes.keys() - _CODES):
        found.append(f"code {unknown[0]:.60} is none")
    if not listed.full_for_somebody:
        found.append(f"refusals are left out although only {listed.of.total()} are listed")
    return found


def unlisted_key(content: Mapping[str, Any]) -> tuple[object, ...]:
    """The key of such an entry: the power of two that its count reached."""
    return (milestone(0, content["count"]),)


def _kept_of(person_id: str | None) -> int:
    return KEPT_OF_NOBODY if person_id is None else KEPT_OF_ONE
