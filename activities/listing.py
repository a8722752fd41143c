"""How many refusals of a case are listed already, read once in a transaction; the rule is `policy/refusals.py`.

What is not listed leaves nothing behind that could be counted later, so the workflow counts it and says how many there
were. It is believed for that number only: nothing is decided by it.
"""

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger import Ledger
from activities.tables import DecisionRow, LedgerEntryRow
from policy.ledger import EntryKind
from policy.refusals import Listed, milestone

_ENTRY = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]
_DECISION = DecisionRow.__table__.c  # type: ignore[attr-defined]
_TOTAL = select(func.count()).where(
    _ENTRY.proposal_id == bindparam("proposal_id"), _ENTRY.kind == str(EntryKind.decision_refused)
)
_OF_PEOPLE = (
    select(_DECISION.person_id, func.count().label("n"))
    .where(_DECISION.proposal_id == bindparam("proposal_id"), ~_DECISION.counted, _DECISION.person_id.is_not(None))
    .group_by(_DECISION.person_id)
)


class Listing:
    """The refusals of one case in one transaction.

    Args:
        connection: in a transaction that holds the proposal's lock.
        proposal_id: whose.
        before: how many were not listed before, by code.
    """

    def __init__(self, connection: AsyncConnection, proposal_id: str, before: Mapping[str, int]) -> None:
        self._connection = connection
        self._key = {"proposal_id": proposal_id}
        self._before = Counter(before)
        self._listed: Listed | None = None
        self.unlisted: Counter[str] = Counter()

    async def lists(self, person_id: str | None, code: str) -> bool:
        """Whether a refusal is listed; counts it either way."""
        if self._listed is None:
            self._listed = await self._read()
        if self._listed.has_room(person_id):
            self._listed.of[person_id] += 1
            return True
        self.unlisted[code] += 1
        return False

    async def note(self, ledger: Ledger) -> None:
        """Append the entry that counts what is not listed, where that is due."""
        count = self._before + self.unlisted
        reached = milestone(self._before.total(), count.total())
        if reached is not None:
            content = {"count": count.total(), "codes": dict(sorted(count.items()))}
            await ledger.append(EntryKind.refusals_unlisted, content, reached)

    async def _read(self) -> Listed:
        total = (await self._connection.execute(_TOTAL, self._key)).scalar_one()
        people = {row.person_id: row.n for row in await self._connection.execute(_OF_PEOPLE, self._key)}
        return Listed({**people, None: total - sum(people.values())})
