"""Taking a reservation where a permit is issued, or a place in the row of those who wait for one.

1. Whoever asks takes the locks of all scopes that it needs, in one order, and reads then, in a statement of its own:
   what it reads is what everybody before it committed. Some scopes have a lock together, which costs a moment.
2. The locks come after that of the proposal and those of effects an hour, wherever they are taken. Nobody else takes
   them: a reservation ends with the row of a result, which only ever makes room.
3. What is decided from what was read is `policy/reserving.py`; the entry keeps all of it.

4. What has its result is left out before anything is counted. Of what is left 10,000 rows of a scope are counted, and
   the entry says where that was not all: then there is no room, whatever the sum is.
5. All who wait for a scope are put in order, and the first 50 are read: a look-up that stopped before would choose
   whom it obeys.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, Text

from activities.cases import CaseFile
from activities.database import lock_key
from activities.documents import InForce
from activities.ledger import Ledger
from activities.tables_reservations import ReservationRow, ReservationWaitRow, TakeoverRow
from policy import reserving
from policy.facts import Facts
from policy.ledger import EntryKind
from policy.reserving import AGED, GRACE, Lease, Reserving, Turn, Used, Wanted, after, decide, pause, wanted_of
from policy.urgency import urgency
from workflows.ports import UNDO_RETRY

LOCKS = 128
# How many reservations of a scope are counted. Where there are as many, there is no room.
COUNTED = 10_000
# How many of those who wait are told that something became free; the first of them gets it.
TOLD_AT_ONCE = 5
_HOUR = timedelta(hours=1)
_INSTANT = TIMESTAMP(timezone=True)

_TAKEOVER = TakeoverRow.__table__.c  # type: ignore[attr-defined]
_TURNS = text(
    "SELECT pg_advisory_xact_lock(turn.key) FROM (SELECT key FROM unnest(:keys) AS asked (key) ORDER BY key) AS turn"
).bindparams(bindparam("keys", type_=ARRAY(BigInteger)))
_OPEN = "(SELECT e.proposal_id FROM countersign.result AS e WHERE e.proposal_id = one.proposal_id) IS NULL"
_LIVING = f"""
  SELECT one.* FROM countersign.reservation AS one WHERE one.scope = asked.scope AND one.lease_until > :at
    AND one.proposal_id <> :proposal_id AND {_OPEN}"""  # noqa: S608
_HELD = f"""
  SELECT coalesce(sum(h.amount), 0) AS at_once, coalesce(bool_or(NOT h.shared), false) AS alone,
    coalesce(sum(h.n) >= :counted, false) AS more_at_once,
    json_agg(json_build_object('proposal_id', h.proposal_id, 'since', h.since, 'until', h.lease_until,
      'shared', h.shared) ORDER BY h.since, h.proposal_id)
      FILTER (WHERE h.place <= 5 OR h.proposal_id = :takes_over) AS holders
  FROM (SELECT r.proposal_id, max(r.amount) AS amount, bool_and(r.shared) AS shared, min(r.since) AS since,
      max(r.lease_until) AS lease_until, count(*) AS n,
      row_number() OVER (ORDER BY min(r.since), r.proposal_id) AS place
    FROM (({_LIVING} LIMIT :counted) UNION ({_LIVING} AND one.proposal_id = :takes_over)) AS r
    GROUP BY r.proposal_id) AS h"""  # noqa: S608
_IN_HOUR = """
  SELECT coalesce(sum(begun.amount), 0) AS in_hour, coalesce(sum(begun.n) >= :counted, false) AS more_in_hour
  FROM (SELECT max(r.amount) AS amount, count(*) AS n FROM (
      SELECT one.* FROM countersign.reservation AS one WHERE one.scope = asked.scope AND one.since > :hour_since
        AND NOT one.renewed AND one.proposal_id <> :proposal_id LIMIT :counted) AS r
    GROUP BY r.proposal_id) AS begun"""
# Of those who wait: not who has ended, was stopped, or has what it waited for by now. `rank` is what `Turn.order` says.
_LINE = f"""
  SELECT one.*, CASE WHEN one.since <= :aged_since THEN 0 ELSE one.priority END AS rank
  FROM (SELECT w.proposal_id, min(w.priority) AS priority, min(w.registered_at) AS registered_at, min(w.since) AS since
    FROM countersign.reservation_wait AS w
    WHERE w.scope = asked.scope AND w.until > :at AND w.proposal_id <> :proposal_id GROUP BY w.proposal_id) AS one
  WHERE {_OPEN}
    AND (SELECT s.proposal_id FROM countersign.stop AS s WHERE s.proposal_id = one.proposal_id) IS NULL
    AND NOT EXISTS (SELECT FROM countersign.reservation AS r
      WHERE r.proposal_id = one.proposal_id AND r.lease_until > :at)"""  # noqa: S608
_ORDER = 'w.rank, w.registered_at, w.proposal_id COLLATE "C"'
_WAITING = f"""
  SELECT json_agg(json_build_object('proposal_id', w.proposal_id, 'priority', w.priority,
      'registered_at', w.registered_at, 'since', w.since) ORDER BY {_ORDER}) AS waiting
  FROM (SELECT w.* FROM ({_LINE}) AS w ORDER BY {_ORDER} LIMIT 50) AS w"""  # noqa: S608
_USED = f"""
  SELECT asked.scope, held.*, hour.*, line.* FROM unnest(:scopes) AS asked (scope)
    CROSS JOIN LATERAL ({_HELD}) AS held CROSS JOIN LATERAL ({_IN_HOUR}) AS hour
    CROSS JOIN LATERAL ({_WAITING}) AS line
  WHERE held.holders IS NOT NULL OR hour.in_hour > 0 OR hour.more_in_hour OR line.waiting IS NOT NULL
  ORDER BY asked.scope"""  # noqa: S608
_OWN = """
  SELECT r.scope, max(r.lease_until) AS until, min(r.since) AS since,
    coalesce(max(r.amount) FILTER (WHERE r.lease_until > :at), max(r.amount)) AS amount
  FROM countersign.reservation AS r WHERE r.proposal_id = :proposal_id GROUP BY r.scope"""
_ASKED = """
  SELECT min(w.since) AS since, count(DISTINCT w.asked_at) AS times FROM countersign.reservation_wait AS w
  WHERE w.proposal_id = :proposal_id"""
_READ = text(
    f"SELECT (SELECT json_agg(u) FROM ({_USED}) AS u) AS used, (SELECT json_agg(o) FROM ({_OWN}) AS o) AS own,"  # noqa: S608
    f" (SELECT row_to_json(a) FROM ({_ASKED}) AS a) AS asked"
).bindparams(
    bindparam("scopes", type_=ARRAY(Text)),
    bindparam("proposal_id", type_=Text),
    bindparam("at", type_=_INSTANT),
    bindparam("hour_since", type_=_INSTANT),
    bindparam("aged_since", type_=_INSTANT),
    bindparam("takes_over", type_=Text),
    bindparam("counted", type_=BigInteger),
)
_NEXT = text(
    "SELECT w.proposal_id FROM (SELECT DISTINCT scope FROM countersign.reservation WHERE proposal_id = :proposal_id)"  # noqa: S608
    f" AS asked CROSS JOIN LATERAL ({_LINE}) AS w"
    " GROUP BY w.proposal_id ORDER BY min(w.rank), min(w.registered_at), w.proposal_id LIMIT :most"
).bindparams(
    bindparam("proposal_id", type_=Text),
    bindparam("at", type_=_INSTANT),
    bindparam("aged_since", type_=_INSTANT),
)


async def reserve(
    connection: AsyncConnection, file: CaseFile, facts: Facts, in_force: InForce, step: int, now: datetime
) -> Reserving | None:
    """Take what a step needs, or a place in the row; None where it needs nothing.

    Args:
        connection: in the transaction that issues the permit.
        file: the case; its revision is the one that acts.
        facts: as of now.
        in_force: the documents.
        step: the one that is to be permitted, from 1.
        now: the instant (UTC).
    """
    wanted = wanted_of(in_force.policy, file.proposal, facts)
    if not wanted:
        return None
    lease = lease_of(file, in_force, step, now)
    named = file.proposal.takes_over if takes_over(file) else None
    return await take(connection, wanted, turn_of(file), step=step, now=now, lease_until=lease, takes_over=named)


async def take(
    connection: AsyncConnection,
    wanted: Sequence[Wanted],
    turn: Turn,
    *,
    step: int,
    now: datetime,
    lease_until: datetime,
    takes_over: str | None = None,
) -> Reserving:
    """Take all of some scopes, or for a first step a place in the row of each.

    Args:
        connection: in the transaction that issues the permit.
        wanted: the scopes.
        turn: of the action, as if it asked for the first time.
        step: the one that is to be permitted, from 1.
        now: the instant (UTC).
        lease_until: until when it would have them.
        takes_over: whose reservation people approved that it takes over; it is found among however many.
    """
    scopes = [item.scope for item in wanted]
    await connection.execute(_TURNS, {"keys": sorted({lock_of(scope) for scope in scopes})})
    key = {
        "scopes": scopes,
        "proposal_id": turn.proposal_id,
        "takes_over": takes_over,
        "counted": COUNTED,
        "at": now,
        "hour_since": now - _HOUR,
        "aged_since": now - AGED,
    }
    row = (await connection.execute(_READ, key)).one()
    used, own, asked = ([] if value is None else _value(value) for value in row)
    begun = {item["scope"]: datetime.fromisoformat(item["since"]) for item in own}
    leases = {item["scope"]: Lease(datetime.fromisoformat(item["until"]), item["amount"]) for item in own}
    found = decide(
        wanted,
        tuple(Used.model_validate({name: item for name, item in each.items() if item is not None}) for each in used),
        Turn.model_validate({**turn.model_dump(), "since": asked["since"], "asked": asked["times"]}),
        now,
        lease_until=lease_until,
        leases=leases,
    )
    if found.lease_until is not None:
        await _store(connection, found, leases, begun, step, now)
    elif found.waits and step == 1:
        await _wait(connection, found, now)
    return found


def lock_of(scope: str) -> int:
    """The number of the advisory lock of a scope, one of `LOCKS`."""
    return lock_key(f"reservation {lock_key(scope) % LOCKS}")


def turn_of(file: CaseFile, since: Any = None, asked: int = 0) -> Turn:
    """An action's place among those who wait."""
    assert file.revision is not None
    return Turn(
        proposal_id=file.proposal.proposal_id,
        priority=0 if takes_over(file) else urgency(file.proposal, file.revision),
        registered_at=file.registered_at,
        since=since,
        asked=asked,
    )


def takes_over(file: CaseFile) -> bool:
    """Whether people approved that an action takes over the reservation of another."""
    assert file.revision is not None
    return file.proposal.takes_over is not None and file.revision.evaluation.verdict.asks


async def take_over(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, found: Reserving, now: datetime
) -> None:
    """Stop the action in the way whose reservation is taken over; once, and by one action alone."""
    taken = reserving.taken_over(found, file.proposal, approved=takes_over(file))
    if taken is None:
        return
    row = {"taken": taken, "proposal_id": found.turn.proposal_id, "at": now}
    done = await connection.execute(
        insert_once(TakeoverRow).values(row).on_conflict_do_nothing().returning(_TAKEOVER.taken)
    )
    if done.first() is not None:
        assert file.revision is not None
        content = {
            "taken": taken,
            "revision": file.revision.revision,
            "reason": file.proposal.rationale,
            "reserved": found.model_dump(mode="json"),
        }
        await ledger.append(EntryKind.takes_over, content, taken, new=True)


def lease_of(file: CaseFile, in_force: InForce, step: int, now: datetime) -> datetime:
    """How long a reservation that is taken now would last."""
    assert file.revision is not None
    return reserving.lease_until(
        file.proposal,
        file.criteria,
        step=step,
        acted_on=file.revision.facts.acted_on,
        now=now,
        permit_ttl=in_force.policy.permit_ttl,
        undo_attempts=UNDO_RETRY.maximum_attempts,
    )


def asks_again_at(found: Reserving, now: datetime, deadline: datetime) -> datetime:
    """When whoever waits asks again, at the end of its time at the latest."""
    return min(now + pause(found.turn.asked), max(deadline, now) + timedelta(seconds=1))


async def next_in_row(connection: AsyncConnection, proposal_id: str, now: datetime) -> tuple[str, ...]:
    """The first of those who wait for anything that an action had."""
    key = {"proposal_id": proposal_id, "at": now, "aged_since": now - AGED, "most": TOLD_AT_ONCE}
    return tuple(await connection.scalars(_NEXT, key))


async def _store(
    connection: AsyncConnection,
    found: Reserving,
    leases: dict[str, Lease],
    begun: dict[str, datetime],
    step: int,
    now: datetime,
) -> None:
    """Write what is new: scopes that are not its own, and of those that are a longer lease, or more."""
    assert found.lease_until is not None
    rows = []
    for item in found.wanted:
        before = leases.get(item.scope)
        lease = after(before, found.lease_until, item.amount, now)
        if lease == before:
            continue
        # What it takes more is begun now, and counts in the hour.
        renewed = before is not None and item.amount <= before.amount
        rows.append(
            {
                "proposal_id": found.turn.proposal_id,
                "scope": item.scope,
                "step": step,
                "amount": lease.amount,
                "shared": item.shared,
                "since": begun[item.scope] if renewed and item.scope in found.had else now,
                "renewed": renewed,
                "lease_until": lease.until,
            }
        )
    if rows:
        await connection.execute(insert(ReservationRow), rows)


async def _wait(connection: AsyncConnection, found: Reserving, now: datetime) -> None:
    turn = found.turn
    place = {"proposal_id": turn.proposal_id, "priority": turn.priority, "registered_at": turn.registered_at}
    rows = [
        {
            **place,
            "scope": scope,
            "asked_at": now,
            "since": turn.since or now,
            "until": now + pause(turn.asked) + GRACE,
        }
        for scope in dict.fromkeys(item.scope for item in found.wanted)
    ]
    await connection.execute(insert_once(ReservationWaitRow).on_conflict_do_nothing(), rows)


def _value(value: Any) -> Any:
    """PostgreSQL's JSON comes as text."""
    return json.loads(value) if isinstance(value, str) else value
