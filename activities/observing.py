"""What the record and the world say about a proposal, read in one statement inside the caller's transaction.

- Outcomes count as history only where something was done, not in a dry run, and where the criteria of the operations
  registry measured it. Of an action of several operations nobody can say which of them an outcome is about: people
  read it, nothing counts it.
- An outcome that people amended counts as they know it now, and no longer as it was recorded. What somebody said for
  the better does not count for what they ask for themselves: then what was recorded, or others said, counts.
- Of each kind of outcome the newest 100 within 180 days are read. So the statement costs the same however long
  the record is, and nobody pushes a failure out of sight with a row of successes.
- A denial counts where people denied the same effect, or anything that this would do to any of its ids: under another
  name of the target, split, or among other steps it is the same to who denied it. By whom: those whose last vote in a
  stage says so.
- An action is in flight from its approval to its result, for a day at most, where it acts on the same target, the same
  ids or the same failure domains.
- A dry run proves the very orders that it rehearsed, on the same ids; the newest one of each is read.
- Every instant is passed in.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.documents import InForce
from activities.observing_sql import OBSERVE
from activities.permits import resolved_digest
from activities.registering import orders_of, scopes_of
from activities.reviews import read_breaks
from activities.undone import read_undone
from policy.canonical import parse_canonical
from policy.catalog import CRITICALITIES, Catalog
from policy.facts import people_behind
from policy.findings import Amended
from policy.observed import DenialFact, GlassBreak, HoldFact, Observed, UndoProof
from policy.outcome import Outcome
from policy.permit import Direction, order_digest
from policy.proposal import ActionProposal, ChangeType, ReceivedProposal
from policy.revision import Revision
from policy.targets import Declared

HISTORY = timedelta(days=180)
_IN_FLIGHT = timedelta(days=1)
_REASON_LIMIT = 500
_STANDS = ("approve", "deny", "abstain", "recuse", "retract")
# What people know of an action counts in place of what was recorded of it; one that never ran is no history.
_AMENDED = tuple(str(outcome) for outcome in Amended if outcome is not Amended.not_executed)
_DONE = tuple(str(outcome) for outcome in Outcome if outcome is not Outcome.not_executed)


async def observe(
    connection: AsyncConnection,
    received: ReceivedProposal,
    in_force: InForce,
    now: datetime,
    objects: Sequence[str] = (),
) -> Observed:
    """Everything that is observed of a proposal as of `now` (UTC); `objects` are the scopes of those that its executors
    found, under which a hold may be, too.
    """
    wanted = _wanted(received, in_force, now)
    wanted["resolved"] += objects
    row = (await connection.execute(OBSERVE, wanted)).mappings().one()
    found: dict[str, Any] = {name: _read(value) for name, value in row.items()}
    effects = Counter({item["operation"]: item["n"] for item in found["last_hour"]})
    effects.update({item["operation"]: item["n"] for item in found["issued"] if item["operation"] in effects})
    return Observed(
        at=now,
        holds=tuple(HoldFact.model_validate(item) for item in found["holds"]),
        denials=tuple(_denial(item) for item in found["denials"]),
        tallies=found["tallies"],
        calibration=next(iter(found["calibration"]), None),
        in_flight=tuple(item["proposal_id"] for item in found["in_flight"]),
        last_hour={operation: count for operation, count in effects.items() if count > 0},
        undo_proofs=(*found["undo_proofs"], *_rehearsed(received.proposal, in_force, found["rehearsals"])),
        slo_states=found["slo_states"],
        similar=found["similar"],
        catalog_at=in_force.catalog.facts_at(received.proposal.target, in_force.catalog_at),
        directory_at=in_force.directory.true_at(in_force.directory_at),
        undone=await read_undone(connection, received.proposal, now),
        glass=await _glass(connection, received.proposal, in_force, now),
        declared=tuple(Declared(**{**item, "capabilities": item["capabilities"] or ()}) for item in found["declared"]),
    )


async def _glass(
    connection: AsyncConnection, proposal: ActionProposal, in_force: InForce, now: datetime
) -> tuple[GlassBreak, ...]:
    """How often the people behind an emergency broke a glass; nobody else is asked that."""
    if proposal.change_type is not ChangeType.emergency:
        return ()
    people = tuple(person.person_id for person in people_behind(proposal, in_force.directory, now))
    return await read_breaks(connection, people, proposal.proposal_id)


def history_of(proposal: ActionProposal, revision: Revision | None, outcome: Outcome) -> dict[str, Any]:
    """The columns of a result by which it is history; none where nothing was done, or in a dry run."""
    if revision is None or proposal.dry_run or outcome is Outcome.not_executed:
        return {}
    operations = {step.operation for step in proposal.steps}
    measured = operations == {proposal.operation} and bool(revision.facts.operation(proposal.operation).criteria)
    return {
        "operation": proposal.operation,
        "target": proposal.target_ref,
        "target_kind": _kind_of(proposal.target_ref),
        "environment": proposal.environment,
        "criticality": _rank(revision.facts.target_criticality),
        "agent": proposal.agent.id,
        "confidence": proposal.agent.confidence,
        "outcome": str(outcome),
        "measured": measured,
    }


def _wanted(received: ReceivedProposal, in_force: InForce, now: datetime) -> dict[str, Any]:
    proposal, catalog = received.proposal, in_force.catalog
    resolved = catalog.resolve(proposal.target)
    entity = catalog.entity(proposal.target)
    # Nobody said how critical the target is: then none is known to be at least as critical.
    least = _rank(entity.criticality if entity else None) or len(CRITICALITIES) + 1
    objectives = _objectives(catalog, proposal.target)
    return {
        "proposal_id": proposal.proposal_id,
        "effect": received.effect_digest,
        "operations": sorted({step.operation for step in proposal.steps}),
        "counted": sorted(_counted(proposal, in_force)),
        "capped": is_capped(proposal, in_force),
        "undos": sorted({step.undo.operation for step in proposal.steps if step.undo is not None}),
        "target": proposal.target_ref,
        "target_kind": _kind_of(proposal.target_ref),
        "environment": proposal.environment,
        "criticalities": list(range(least, len(CRITICALITIES) + 1)),
        "agent": proposal.agent.id,
        "done": list(_DONE),
        "amended": list(_AMENDED),
        "resolved": list(resolved),
        "resolved_digest": resolved_digest(resolved),
        "orders": orders_of(proposal, resolved, in_force.operations.find),
        "rehearsals": sorted({one for _, _, one in _orders(proposal, resolved)}),
        "scopes": scopes_of(proposal.target_ref, resolved, catalog.failure_domains_of(proposal.target)),
        "slo_targets": [target for target, _ in objectives],
        "slo_names": [name for _, name in objectives],
        "every": list(proposal.operations),
        "executors": _executors(proposal, in_force),
        "people": [person.person_id for person in people_behind(proposal, in_force.directory, now)],
        "at": now,
        "hour_since": now - timedelta(hours=1),
        "flying_since": now - _IN_FLIGHT,
        "history_since": now - HISTORY,
    }


def _executors(proposal: ActionProposal, in_force: InForce) -> list[str]:
    """Who carries its operations out, by the registry in force."""
    known = (in_force.operations.find(name) for name in proposal.operations)
    return sorted({operation.executor for operation in known if operation is not None})


def _orders(proposal: ActionProposal, resolved: tuple[str, ...]) -> Iterator[tuple[Direction, str, str]]:
    """Direction, operation and digest of everything that the steps would do, and their undos."""
    for step in proposal.steps:
        for direction, each in ((Direction.do, step), (Direction.undo, step.undo)):
            if each is not None:
                one = order_digest(proposal.environment, resolved, each.operation, each.parameters)
                yield direction, each.operation, one


def _rehearsed(proposal: ActionProposal, in_force: InForce, rows: Sequence[Mapping[str, Any]]) -> Iterator[UndoProof]:
    """What dry runs showed: of an operation only where each of its steps, or of its undos, was rehearsed."""
    at = {(row["direction"], row["digest"]): row["at"] for row in rows}
    wanted: dict[tuple[Direction, str], list[str | None]] = {}
    for direction, operation, one in _orders(proposal, in_force.catalog.resolve(proposal.target)):
        wanted.setdefault((direction, operation), []).append(at.get((direction.value, one)))
    for (direction, operation), instants in wanted.items():
        found = [UndoProof.model_validate(_proof(direction, operation, each)) for each in instants if each is not None]
        if len(found) == len(instants):
            yield min(found, key=lambda proof: proof.at)


def _proof(direction: Direction, operation: str, at: str) -> dict[str, str]:
    return {"operation": operation, "kind": "dry_run", "at": at, "direction": direction.value}


def is_capped(proposal: ActionProposal, in_force: InForce) -> bool:
    """Whether effects an hour are limited, so that permits which are not used yet count, too."""
    caps = [limit.max_per_hour for document in in_force.policy.documents for limit in document.limits]
    known = (in_force.operations.find(name) for name in proposal.operations)
    caps += [operation.caps.per_hour for operation in known if operation is not None]
    return any(cap is not None for cap in caps)


def _counted(proposal: ActionProposal, in_force: InForce) -> set[str]:
    """The operations whose effects are counted: a limit on effects an hour may speak of more than the steps do."""
    own = {step.operation for step in proposal.steps}
    limits = (limit for document in in_force.policy.documents for limit in document.limits)
    if all(limit.max_per_hour is None for limit in limits):
        return own
    return own | {operation.name for operation in in_force.operations.operations}


def _objectives(catalog: Catalog, target: str) -> list[tuple[str, str]]:
    """Entity and name of every objective of the target, of its parts, and of the nearest that depend on it directly."""
    near = [item.ref for item in catalog.reach(target).nearest if item.distance == 1]
    refs = dict.fromkeys((*catalog.members_of(target), *near))
    return [(ref, item.name) for ref in refs for item in catalog.objectives.get(ref, ())]


def _rank(criticality: str | None) -> int:
    return CRITICALITIES.index(criticality) + 1 if criticality in CRITICALITIES else 0


def _kind_of(target_ref: str) -> str:
    return target_ref.partition(":")[0]


def _denial(item: Mapping[str, Any]) -> DenialFact:
    """Who denied, and the first reason that was given for it."""
    last: dict[tuple[int, str], Mapping[str, Any]] = {}
    for vote in item["votes"] or ():
        if vote["vote"] in _STANDS:
            last[vote["stage"], vote["person"]] = vote
    denied = [vote for vote in last.values() if vote["vote"] == "deny"]
    said = [str(parse_canonical(vote["body"].encode()).get("justification", "")) for vote in denied]
    return DenialFact(
        proposal_id=item["proposal_id"],
        denied_by=tuple(dict.fromkeys(vote["person"] for vote in denied)),
        at=item["at"],
        tier=item["tier"],
        reason=next((reason[:_REASON_LIMIT] for reason in said if reason), ""),
    )


def _read(value: Any) -> Sequence[Any]:
    """The rows of one part; PostgreSQL's JSON comes as text."""
    if value is None:
        return ()
    rows: Sequence[Any] = json.loads(value) if isinstance(value, str) else value
    return rows
