"""Comparing the books: what the target counted, what the record says, and how every workflow ended.

Rules:
- What a report says was done was done once; what it says was not done was not; where nobody can know, it happened at
  most once, the outcome says so and a hold is on the target. An undo may be carried out twice, and at least once.
- Of a step that takes one object after the other, the same of each: those that the report names, once.
- What was meant to succeed and was undone all the same was stopped, or nobody could tell how it was: its report says.
- Nothing happens under a permit that was not claimed, or under none. No claim is left without a report, except where
  the outcome is unknown and says so.
- What ended without a definite state has an item and a hold, and nothing else has an item. The item that people have
  settled is closed, its hold released, and no other. Nobody has a reservation after its result, and no halt is left.
- Every proposal has a result, every workflow completed with it, every ledger chain verifies, every history replays.
"""

import json
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
from policy.permit import permit_of
from worker import workflow_runner
from workflows.authorize import AuthorizeAction
from workflows.converter import DATA_CONVERTER
from workflows.interface import workflow_id

_PERMITS = """
SELECT permit_id::text, proposal_id, direction, use,
       convert_from(r.body, 'UTF8')::jsonb ->> 'effect' AS effect,
       convert_from(r.body, 'UTF8')::jsonb -> 'touched' AS touched,
       convert_from(s.body, 'UTF8')::jsonb ->> 'outcome' AS outcome,
       EXISTS (SELECT FROM countersign.hold h WHERE h.proposal_id = p.proposal_id) AS held
FROM countersign.permit p LEFT JOIN countersign.permit_use USING (permit_id)
LEFT JOIN countersign.effect_report r USING (permit_id) LEFT JOIN countersign.result s USING (proposal_id)
"""
# With what its steps' reports say of why it may have been undone: it was stopped, or not measured to its end.
_RESULTS = """
SELECT p.proposal_id, convert_from(r.body, 'UTF8')::jsonb ->> 'outcome' AS outcome,
       convert_from(r.body, 'UTF8')::jsonb ->> 'resolution' AS resolution,
       coalesce(bool_or(said.body ->> 'stopped' <> ''), false) AS stopped,
       coalesce(bool_or(said.body @? '$.measurements[*] ? (@.met == null)'), false) AS unclear
FROM countersign.proposal p LEFT JOIN countersign.result r USING (proposal_id) LEFT JOIN (
  SELECT m.proposal_id, convert_from(e.body, 'UTF8')::jsonb AS body
  FROM countersign.permit m JOIN countersign.effect_report e USING (permit_id) WHERE m.direction = 'do'
) AS said USING (proposal_id) GROUP BY p.proposal_id, r.body
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
UNION ALL SELECT u.proposal_id, 'settled, and its hold is there' FROM countersign.unresolved_closed
  JOIN countersign.unresolved u USING (item_id) JOIN countersign.hold h ON h.proposal_id = u.proposal_id
  LEFT JOIN countersign.hold_release f ON f.hold_id = h.hold_id WHERE f.hold_id IS NULL
UNION ALL SELECT h.proposal_id, 'not settled, and its hold is gone' FROM countersign.hold h
  JOIN countersign.hold_release f ON f.hold_id = h.hold_id
  LEFT JOIN countersign.unresolved u ON u.proposal_id = h.proposal_id
  LEFT JOIN countersign.unresolved_closed c ON c.item_id = u.item_id WHERE c.item_id IS NULL
UNION ALL SELECT h.halt_id::text, 'a halt that nobody released' FROM countersign.halt h
  LEFT JOIN countersign.halt_release f USING (halt_id) WHERE f.halt_id IS NULL
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
        try:
            found = _effects(await self.counted(), await record.fetch(_PERMITS))
            found += [f"{row['proposal_id']}: {row['what']}" for row in await record.fetch(_LEFT)]
            ends = {row["proposal_id"]: _end(row) for row in await record.fetch(_RESULTS)}
            found += [
                f"{proposal}: ended as {ends.get(proposal)}, expected one of {', '.join(may)}"
                for proposal, may in expected.items()
                if ends.get(proposal) not in may
            ]
            for proposal in expected:
                found += _chain(proposal, await record.fetch(_ENTRIES, proposal))
        finally:
            await record.close()
        for proposal in expected:
            found += await self._history(proposal)
        return found

    async def counted(self) -> Counter[str]:
        """How many effects the targets have counted, by key; they are there whatever is killed."""
        target = await asyncpg.connect(self.target)
        try:
            rows = await target.fetch(_COUNTED)
        finally:
            await target.close()
        return Counter({row["permit_id"]: row["n"] for row in rows}) + self.others()

    async def totals(self) -> dict[str, Any]:
        """How much there is of everything."""
        record = await asyncpg.connect(self.record)
        try:
            ends = Counter(_end(row) for row in await record.fetch(_RESULTS))
            permits = await record.fetch(_PERMITS)
            held = await record.fetchval("SELECT count(*) FROM countersign.halt")
        finally:
            await record.close()
        counted = await self.counted()
        return {
            "ends": dict(ends.most_common()),
            "halts": held,
            **{way: _total(counted, permits, way) for way in ("do", "undo")},
        }

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


def _end(row: Any) -> str:
    """How an action ended, and why it was undone where somebody stopped it or nobody could tell."""
    why = " (stopped)" if row["stopped"] else " (unclear)" if row["unclear"] else ""
    return f"{row['resolution']}/{row['outcome']}" + (why if row["outcome"] == "compensated" else "")


def _total(counted: Counter[str], permits: list[Any], way: str) -> dict[str, int]:
    """How many permits of one direction were claimed, what their reports say, and what the targets counted."""
    claimed = {
        row["permit_id"]: row["effect"] for row in permits if row["use"] == "claimed" and row["direction"] == way
    }
    said = Counter(f"reported {effect or 'nothing'}" for effect in claimed.values())
    seen = {permit_of(key) for key in counted}
    return {"claimed": len(claimed), "had an effect": len(seen & set(claimed)), **said}


def _effects(counted: Counter[str], permits: list[Any]) -> list[str]:
    """What differs between effects by key and permits; a permit that takes one object after the other has several."""
    found: dict[str, list[int]] = {}
    for key, count in counted.items():
        found.setdefault(permit_of(key), []).append(count)
    problems = [
        f"{row['proposal_id']}: permit {row['permit_id']} ({row['direction']}) is {row['use']}, reported "
        f"{row['effect']} of {row['touched']}, outcome {row['outcome']}, hold {row['held']}: "
        f"{found.get(row['permit_id'], [])} effects"
        for row in permits
        if not _adds_up(row, found.get(row["permit_id"], []))
    ]
    strangers = set(found) - {row["permit_id"] for row in permits}
    return problems + [f"{found[permit]} effects without a permit: {permit}" for permit in sorted(strangers)]


def _adds_up(row: Any, counts: list[int]) -> bool:
    if row["use"] != "claimed":
        return not counts
    unknown = row["effect"] in (None, "unknown")
    if row["direction"] == "undo":
        return bool(row["held"] if unknown else sum(counts) >= (row["effect"] == "done"))
    if any(count > 1 for count in counts):
        return False
    if unknown:
        return row["outcome"] == "outcome_unknown" and bool(row["held"])
    expected = len(json.loads(row["touched"] or "[]")) or 1
    return len(counts) == (expected if row["effect"] == "done" else 0)


def _chain(proposal: str, rows: list[Any]) -> list[str]:
    try:
        verify_chain(proposal, [(row["body"], row["digest"]) for row in rows])
    except AuditError as error:
        return [f"{proposal}: {error}"]
    return []
