"""Comparing the books: what the target counted, what the record says, and how every workflow ended.

Rules:
- What a report says was done was done once; what it says was not done was not; where nobody can know, it happened at
  most once, the outcome says so and a hold is on the target. An undo may be carried out twice, and at least once.
- Nothing happens under a permit that was not claimed, or under none. No claim is left without a report, except where
  the outcome is unknown and says so.
- What ended without a definite state has an item and a hold, and nothing else has an item. Nobody has a reservation
  after its result, and no halt is left that was released.
- Every proposal has a result, every workflow completed with it, every ledger chain verifies, every history replays.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import Replayer

from policy.errors import AuditError
from policy.ledger import verify_chain
from worker import workflow_runner
from workflows.authorize import AuthorizeAction
from workflows.converter import DATA_CONVERTER
from workflows.interface import workflow_id

_PERMITS = """
SELECT permit_id::text, proposal_id, direction, use,
       convert_from(r.body, 'UTF8')::jsonb ->> 'effect' AS effect,
       convert_from(s.body, 'UTF8')::jsonb ->> 'outcome' AS outcome,
       EXISTS (SELECT FROM countersign.hold h WHERE h.proposal_id = p.proposal_id) AS held
FROM countersign.permit p LEFT JOIN countersign.permit_use USING (permit_id)
LEFT JOIN countersign.effect_report r USING (permit_id) LEFT JOIN countersign.result s USING (proposal_id)
"""
_RESULTS = """
SELECT p.proposal_id, convert_from(r.body, 'UTF8')::jsonb ->> 'outcome' AS outcome,
       convert_from(r.body, 'UTF8')::jsonb ->> 'resolution' AS resolution
FROM countersign.proposal p LEFT JOIN countersign.result r USING (proposal_id)
"""
# Outcomes that need an item (`policy/items.py`), and what is left of an action that has its result.
_LEFT = """
WITH ended AS (SELECT proposal_id, convert_from(body, 'UTF8')::jsonb ->> 'outcome' AS outcome FROM countersign.result)
SELECT e.proposal_id, e.outcome || ', and no item' AS what FROM ended e LEFT JOIN countersign.unresolved u
  USING (proposal_id) WHERE e.outcome IN ('outcome_unknown', 'compensation_failed') AND u.proposal_id IS NULL
UNION ALL SELECT u.proposal_id, 'an item, and it ended as ' || coalesce(e.outcome, 'nothing') FROM
  countersign.unresolved u LEFT JOIN ended e USING (proposal_id)
  WHERE coalesce(e.outcome, '') NOT IN ('outcome_unknown', 'compensation_failed', 'inconclusive')
UNION ALL SELECT e.proposal_id, e.outcome || ', and no hold' FROM ended e LEFT JOIN countersign.hold h
  USING (proposal_id) WHERE e.outcome IN ('outcome_unknown', 'compensation_failed') AND h.proposal_id IS NULL
UNION ALL SELECT DISTINCT h.proposal_id, 'a hold, and it ended as ' || coalesce(e.outcome, 'nothing')
  FROM countersign.hold h LEFT JOIN ended e USING (proposal_id)
  WHERE coalesce(e.outcome, '') NOT IN ('outcome_unknown', 'compensation_failed', 'inconclusive')
UNION ALL SELECT DISTINCT r.proposal_id, 'a reservation, and no result' FROM countersign.reservation r
  LEFT JOIN ended e USING (proposal_id) WHERE e.proposal_id IS NULL
"""
_ENTRIES = "SELECT body, digest FROM countersign.ledger_entry WHERE proposal_id = $1 ORDER BY position"


@dataclass(frozen=True)
class Books:
    """Where to look: record and target as superuser, and the workflows. What does not replay is kept in `folder`."""

    record: str
    target: str
    client: Client
    folder: Path
    # What other targets have counted, by permit.
    others: Callable[[], Counter[str]] = Counter

    async def problems(self, expected: dict[str, tuple[str, ...]]) -> list[str]:
        """Everything that does not add up; `expected` are the ends that each may have, as resolution/outcome."""
        record = await asyncpg.connect(self.record)
        target = await asyncpg.connect(self.target)
        try:
            counted = Counter({row["permit_id"]: row["n"] for row in await target.fetch(_COUNTED)}) + self.others()
            found = _effects(counted, await record.fetch(_PERMITS))
            found += [f"{row['proposal_id']}: {row['what']}" for row in await record.fetch(_LEFT)]
            ends = {row["proposal_id"]: f"{row['resolution']}/{row['outcome']}" for row in await record.fetch(_RESULTS)}
            found += [
                f"{proposal}: ended as {ends.get(proposal)}, expected one of {', '.join(may)}"
                for proposal, may in expected.items()
                if ends.get(proposal) not in may
            ]
            for proposal in expected:
                found += _chain(proposal, await record.fetch(_ENTRIES, proposal))
        finally:
            await record.close()
            await target.close()
        for proposal in expected:
            found += await self._history(proposal)
        return found

    async def outcomes(self) -> Counter[str]:
        """How often each end came."""
        record = await asyncpg.connect(self.record)
        try:
            return Counter(f"{row['resolution']}/{row['outcome']}" for row in await record.fetch(_RESULTS))
        finally:
            await record.close()

    async def _history(self, proposal: str) -> list[str]:
        handle = self.client.get_workflow_handle(workflow_id(proposal))
        status = (await handle.describe()).status
        found = [] if status is WorkflowExecutionStatus.COMPLETED else [f"{proposal}: its workflow is {status}"]
        replayer = Replayer(
            workflows=[AuthorizeAction], data_converter=DATA_CONVERTER, workflow_runner=workflow_runner()
        )
        history = await handle.fetch_history()
        replayed = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        if replayed.replay_failure is None:
            return found
        file = self.folder / f"{proposal}.history.json"
        file.write_text(history.to_json())
        return [*found, f"{proposal}: its history {file} does not replay: {replayed.replay_failure}"]


_COUNTED = "SELECT permit_id, count(*) AS n FROM public.effect GROUP BY permit_id"


def _effects(counted: Counter[str], permits: list[Any]) -> list[str]:
    found = [
        f"{row['proposal_id']}: permit {row['permit_id']} ({row['direction']}) is {row['use']}, reported "
        f"{row['effect']}, outcome {row['outcome']}, hold {row['held']}: {counted[row['permit_id']]} effects"
        for row in permits
        if not _adds_up(row, counted[row["permit_id"]])
    ]
    strangers = set(counted) - {row["permit_id"] for row in permits}
    return found + [f"{counted[permit]} effects without a permit: {permit}" for permit in sorted(strangers)]


def _adds_up(row: Any, count: int) -> bool:
    if row["use"] != "claimed":
        return count == 0
    unknown = row["effect"] in (None, "unknown")
    if row["direction"] == "undo":
        return bool(row["held"] if unknown else count >= (row["effect"] == "done"))
    if unknown:
        return count <= 1 and row["outcome"] == "outcome_unknown" and bool(row["held"])
    return bool(count == (row["effect"] == "done"))


def _chain(proposal: str, rows: list[Any]) -> list[str]:
    try:
        verify_chain(proposal, [(row["body"], row["digest"]) for row in rows])
    except AuditError as error:
        return [f"{proposal}: {error}"]
    return []
