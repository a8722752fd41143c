"""Reservations: what an action takes while it is under way, and whose turn it is. Computed once, by whoever permits.

- An action reserves all that it needs together, or nothing. It holds that from its first permit to its result: a result
  is the release, in the same transaction, whatever came of the action. Nobody who holds something waits for more, so no
  two actions wait for each other.
- Without any policy an action has each id that its target resolves to for itself, and each object that its executors
  found there and that has a name of its own: the catalog may know it under another id, too. An aggregate limit that
  says how many actions may be at one target (`shares_targets`) lets those that it speaks of be there together; next to
  one that it does not speak of they wait. What only reads takes no id, and what only rehearses takes nothing.
- A later step keeps what the first one took, whole, until the result. Where it takes more than that, all of it must
  find room beside the others; those who wait do not come before it. Where there is none, it goes backwards.
- More than can be counted is no room: where others have so much of a scope that it was not counted to the end, or begun
  so much in an hour, a limit counts as reached and an id as not shared.
- Whoever finds no room waits in a row: the more urgent first (`policy/urgency.py`), and of equals who was registered
  first. Whoever has waited for an hour is as urgent as anybody. Nobody goes ahead of one who waits for any of the same
  scopes, though there were room: else an action that needs much would wait for ever.
- An action may say whose reservation it takes over, and people approve exactly that: nothing that is merely allowed
  takes over. It is at the head of the row, and the other, where that is in its way, is stopped: no further permit, no
  claim, and the verb that was approved for a stop. It begins once the other has its result, and not before.
- Whoever waits asks again, and keeps the place only until shortly after it should have: an action that nobody is at
  work on any more holds up nobody.
- Where a limit says `hold`, people are asked again, about a new revision that says what is in the way: every time that
  they approved and there is no room. What nobody was asked about is refused.
- A lease ends when nothing that was permitted can still run: every step had its permit's life, its timeout and its
  criteria, every undo all of its attempts. From then on the ids are free, whatever became of the action. An undo asks
  for no reservation. A step after its lease needs a new one; where there is none, the action goes backwards.

All instants are passed in (UTC); what others hold is read by the caller, under the locks of the scopes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from policy.base import Instant, Reason, RecordModel
from policy.catalogs.parts import views_of_parts
from policy.document import PolicySet
from policy.errors import ConditionError
from policy.facts import Facts
from policy.impact import assess
from policy.proposal import ActionProposal, Criterion
from policy.rules.aggregate import EPSILON, AggregateLimit, Counts, Exceeded, amount, said, scopes
from policy.rules.calendars import timing_of
from policy.rules.environment import Case
from policy.staging import step_seconds, targets_of

AGED = timedelta(hours=1)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=15)
# How long after it should have asked again somebody still has its place.
GRACE = timedelta(minutes=2)
# How long an executor needs besides, to claim, to measure and to report.
MARGIN = timedelta(seconds=90)
_SHOWN = 5
DENIED, HELD = "aggregate_limit", "aggregate_hold"
LOST = "reservation_lost"


class Wanted(RecordModel):
    """One scope that an action needs room in.

    Attributes:
        scope: of what: `id …` or `object …`, or a limit's id with the scope that it counts for.
        limit: the id of the aggregate limit; None for an id or an object of the target itself.
        amount: how much of it.
        at_once: the most that may be reserved; None for any.
        per_hour: the most that may have been reserved in an hour; None for any.
        shared: others may be there, too.
    """

    scope: str
    limit: str | None = None
    count: Counts = "actions"
    amount: float = 1.0
    at_once: float | None = None
    per_hour: float | None = None
    exceeded: Exceeded = "queue"
    shared: bool = False


class Holder(RecordModel):
    """Who has a reservation in a scope, since when, and until when at the longest."""

    proposal_id: str
    since: Instant
    until: Instant
    shared: bool = False


class Lease(NamedTuple):
    """What an action took of a scope before, and until when (UTC)."""

    until: datetime
    amount: float


class Turn(RecordModel):
    """A place in the row. `since` is when it first found no room, None for whoever asks for the first time; `asked` how
    often it found none.
    """

    proposal_id: str
    priority: int
    registered_at: Instant
    since: Instant | None = None
    asked: int = 0

    def order(self, now: datetime) -> tuple[int, datetime, str]:
        """The less, the earlier it is its turn."""
        aged = self.since is not None and now - self.since >= AGED
        return (0 if aged else self.priority, self.registered_at, self.proposal_id)


class Used(RecordModel):
    """What others have of one scope. `holders` are those who have it longest, and whose is taken over; `alone` whether
    any of them has it for itself; `waiting` who waits for it, those first whose turn it is first.

    `more_at_once` and `more_in_hour`: there was so much that it was not counted to the end.
    """

    scope: str
    at_once: float = 0.0
    in_hour: float = 0.0
    alone: bool = False
    holders: tuple[Holder, ...] = ()
    waiting: tuple[Turn, ...] = ()
    more_at_once: Annotated[bool, Field(exclude_if=lambda value: not value)] = False
    more_in_hour: Annotated[bool, Field(exclude_if=lambda value: not value)] = False


class Conflict(RecordModel):
    """Why there is no room: in which scope, who is in the way, and what happens then."""

    scope: str
    limit: str | None
    verb: Exceeded
    kind: Literal["held", "at_once", "per_hour", "turn"]
    by: tuple[str, ...]
    message: str


class Reserving(RecordModel):
    """What the entry keeps of a reservation: what was needed, what others had, and what came of it.

    `had` are the scopes that an earlier step took and that are still its own. `lease_until` is given where it has all.
    """

    wanted: tuple[Wanted, ...]
    turn: Turn
    had: Annotated[tuple[str, ...], Field(exclude_if=lambda value: not value)] = ()
    used: Annotated[tuple[Used, ...], Field(exclude_if=lambda value: not value)] = ()
    conflicts: Annotated[tuple[Conflict, ...], Field(exclude_if=lambda value: not value)] = ()
    lease_until: Instant | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits for its turn."""
        return bool(self.conflicts) and all(item.verb == "queue" for item in self.conflicts)

    @property
    def in_the_way(self) -> tuple[str, ...]:
        """The actions that are in the way, each once."""
        return tuple(dict.fromkeys(name for item in self.conflicts for name in item.by))

    @property
    def says(self) -> str:
        """What it waits for, in words."""
        return "; ".join(item.message for item in self.conflicts[:_SHOWN])


def wanted_of(policy: PolicySet, proposal: ActionProposal, facts: Facts) -> tuple[Wanted, ...]:
    """What an action needs room in, each scope once and in order; pure. Nothing for what only rehearses."""
    if proposal.dry_run:
        return ()
    limits = tuple(limits_of(policy, proposal, facts))
    found = {item.scope: item for limit in limits for item in _of_limit(limit, facts)}
    if not all(facts.operation(name).read_only for name in proposal.operations):
        shared = any(limit.shares_targets for limit in limits)
        for scope in (*(f"id {one}" for one in facts.resolved), *facts.objects):
            found[scope] = Wanted(scope=scope, shared=shared)
    return tuple(found[scope] for scope in sorted(found))


def limits_of(policy: PolicySet, proposal: ActionProposal, facts: Facts) -> Iterator[AggregateLimit]:
    """The aggregate limits that speak of an action; pure. One whose condition has no answer does: it would deny."""
    every = [(document, limit) for document in policy.documents for limit in document.aggregate]
    if not every:
        return
    timing = timing_of(policy, facts)
    whole = Case(proposal, facts, assess(proposal, facts, timing), timing)
    cases = (whole, *(replace(whole, facts=view) for view in views_of_parts(policy, facts)))
    questions = [question for each in cases for question in each.questions()]
    for document, limit in every:
        mine = (item for item in questions if document.speaks_of(item.operation, item.case.facts))
        try:
            if any(item.meant(limit) for item in mine):
                yield limit
        except ConditionError:
            yield limit


def _of_limit(limit: AggregateLimit, facts: Facts) -> Iterator[Wanted]:
    taken = amount(limit, facts)
    for scope in scopes(limit, facts) if taken is not None else ():
        yield Wanted(
            scope=f"{limit.id} {scope}",
            limit=limit.id,
            count=limit.count,
            amount=taken,
            at_once=limit.at_once,
            per_hour=limit.per_hour,
            exceeded=limit.exceeded,
            shared=True,
        )


def decide(
    wanted: Sequence[Wanted],
    used: Sequence[Used],
    turn: Turn,
    now: datetime,
    *,
    lease_until: datetime,
    leases: Mapping[str, Lease] | None = None,
) -> Reserving:
    """Whether there is room for an action now; pure.

    Args:
        wanted: what it needs.
        used: what others have and wait for, of the scopes where there are any.
        turn: its own place in the row.
        now: the instant (UTC) at which it asks.
        lease_until: how long it would have it.
        leases: what it took before, by scope; what still lasts is its own, and asks for room only where it became more.
    """
    of = {item.scope: item for item in used}
    had = {scope: lease.amount for scope, lease in (leases or {}).items() if lease.until > now}
    conflicts: list[Conflict] = []
    for item in wanted:
        others = of.get(item.scope)
        if others is None or item.amount <= had.get(item.scope, -1.0):
            continue
        conflicts += _of_room(item, others)
        if item.scope not in had:
            conflicts += _of_turn(item, others, turn, now)
    return Reserving(
        wanted=tuple(wanted),
        turn=turn,
        had=tuple(sorted(had)),
        used=tuple(used),
        conflicts=tuple(conflicts),
        lease_until=None if conflicts else lease_until,
    )


def after(before: Lease | None, until: datetime, amount: float, now: datetime) -> Lease:
    """What an action has of a scope once a step was permitted: nothing that it had becomes shorter or less; pure.

    Args:
        before: what it took before; None where it took nothing.
        until: the end of the lease that the step takes (UTC).
        amount: how much the step takes.
        now: when it is permitted (UTC).
    """
    if before is None or before.until <= now:
        return Lease(until, amount)
    return Lease(max(before.until, until), max(before.amount, amount))


def _of_room(item: Wanted, used: Used) -> Iterator[Conflict]:
    by = tuple(holder.proposal_id for holder in used.holders)
    if item.limit is None:
        if used.holders and (used.alone or used.more_at_once or not item.shared):
            first = used.holders[0]
            message = f"action {first.proposal_id} has {item.scope} since {_at(first.since)}"
            yield Conflict(scope=item.scope, limit=None, verb="queue", kind="held", by=by, message=message)
    else:
        taken = said(item.amount, item.count)
        if item.at_once is not None and (used.more_at_once or used.at_once + item.amount > item.at_once + EPSILON):
            message = (
                f"{item.scope}: {_counted(used.at_once, item, used.more_at_once)} are under way and it takes {taken}, "
                f"{said(item.at_once, item.count)} at once are the most"
            )
            yield Conflict(
                scope=item.scope, limit=item.limit, verb=item.exceeded, kind="at_once", by=by, message=message
            )
        if item.per_hour is not None and (used.more_in_hour or used.in_hour + item.amount > item.per_hour + EPSILON):
            begun = _counted(used.in_hour, item, used.more_in_hour)
            message = (
                f"{item.scope}: {begun} were begun within an hour and it takes {taken}, "
                f"{said(item.per_hour, item.count)} are the most"
            )
            yield Conflict(
                scope=item.scope, limit=item.limit, verb=item.exceeded, kind="per_hour", by=by, message=message
            )


def _of_turn(item: Wanted, used: Used, turn: Turn, now: datetime) -> Iterator[Conflict]:
    if before := [other for other in used.waiting if other.order(now) < turn.order(now)]:
        first_in_row = min(before, key=lambda other: other.order(now))
        message = f"action {first_in_row.proposal_id} waits for {item.scope} and comes before it"
        names = tuple(other.proposal_id for other in before[:_SHOWN])
        yield Conflict(scope=item.scope, limit=item.limit, verb="queue", kind="turn", by=names, message=message)


def _counted(value: float, item: Wanted, more: bool) -> str:
    return f"{'at least ' if more else ''}{said(value, item.count)}"


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def taken_over(found: Reserving, proposal: ActionProposal, *, approved: bool) -> str | None:
    """The action whose reservation is taken over now; None where none is in the way, or nobody approved that.

    Args:
        found: what stands in the way.
        proposal: what was approved.
        approved: whether people were asked.
    """
    named = proposal.takes_over
    holders = {name for item in found.conflicts if item.kind in ("held", "at_once") for name in item.by}
    return named if approved and named in holders else None


def unreserved(found: Reserving, step: int) -> tuple[Reason, ...]:
    """Why a step is refused for want of room; nothing where it has it, or waits.

    What has begun does not wait half-way: its lease ended or it needs more, others are there, and it goes backwards.
    """
    if step > 1:
        return tuple(Reason(code=LOST, message=f"{_lost(found, item)}: {item.message}") for item in found.conflicts)
    if found.waits:
        return ()
    codes = {"deny": DENIED, "hold": HELD}
    return tuple(Reason(code=codes[item.verb], message=item.message) for item in found.conflicts if item.verb in codes)


def crowded_reasons(facts: Facts) -> tuple[Reason, ...]:
    """Why people are asked again about an action that found no room, as the refusal on record says it; pure."""
    return tuple(Reason(code=HELD, message=said) for said in facts.observed.crowded)


def _lost(found: Reserving, item: Conflict) -> str:
    return "it takes more than it reserved" if item.scope in found.had else "its reservation ended"


def pause(asked_before: int) -> timedelta:
    """How long whoever finds no room waits until it asks again, if nobody wakes it before."""
    return min(FIRST_PAUSE * (1 << min(asked_before, 10)), LONGEST_PAUSE)


def lease_until(
    proposal: ActionProposal,
    criteria: tuple[Criterion, ...],
    *,
    step: int,
    acted_on: Callable[[int], int],
    now: datetime,
    permit_ttl: timedelta,
    undo_attempts: int,
) -> datetime:
    """The instant (UTC) from which nothing that was permitted of an action can still run; pure.

    Args:
        proposal: what was approved.
        criteria: by which its success is measured.
        step: the one that is permitted now, from 1; those after it count, and the undos of all.
        acted_on: how many targets a step acts on, from 1.
        now: when it is permitted.
        permit_ttl: how long a permit may wait.
        undo_attempts: how often an undo is tried.
    """
    numbered = list(enumerate(proposal.steps, start=1))
    times = [timedelta(seconds=step_seconds(item, criteria, acted_on(number))) + MARGIN for number, item in numbered]
    undos = [
        timedelta(seconds=targets_of(item, acted_on(number)) * item.undo.timeout_seconds) + MARGIN
        for number, item in numbered
        if item.undo is not None
    ]
    left = times[step - 1 :]
    total = sum(left, timedelta()) + permit_ttl * len(left) + undo_attempts * sum(undos, timedelta())
    return now + total + max(times)
