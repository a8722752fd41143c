"""What a target's own audit trail says, held against the permits that were consumed: changes nobody authorized.

1. An effect is authorized by exactly one permit: the one that its mark names. That permit must have been claimed, be
   for this resource, this target and this operation, and the effect must lie in its window. The mark itself proves
   nothing: anybody who can write at the target can write one. No mark is no permit.
2. The window begins at the claim and ends with the report, or where there is none when the permitted time is over; an
   undo may begin before its claim is on record. Two clocks may differ by `CLOCK_SECONDS`.
   A trail of a whole cluster is of everything in it, of which a permit names what it is for, and may name a thing
   without telling it from an earlier one of the same name.
3. A permit covers what its operation does to each of its targets, once. What comes after that under it is one too many.
   An undo may be tried again, so it covers the same as often as it was tried within its window, and what it takes away
   first of what its step left half done (`ALSO`).
4. A permit that is reported as done and has left no effect in a trail that covers its window says that the trail is
   incomplete, or that whoever reported did not do it. That is asked only of operations that this trail shows.
5. What of a trail cannot be read is told by its number: it may be what somebody did not want read.
6. Nothing here decides anything. It is evidence, in the ledger of the action whose permit is named, or of no action.

Within its window, who holds the operator's credentials and copies the mark of a running permit is told apart only where
the same thing was then done twice, or something else was done than what the permit is for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from policy.base import Instant, RecordModel, instant_text
from policy.canonical import digest_of
from policy.permit import Direction, Permit
from policy.screens.neutral import visible

# The ledger of what was done to targets under no permit of the record. No proposal can have this id.
TRAILS_LEDGER = "@trails"
# How many entries one look adds to one ledger.
LISTED = 50
CLOCK_SECONDS = 60.0
# What an attempt may take besides its permitted seconds (`activities/execute.py`).
_SLACK = timedelta(seconds=15)
_SKEW = timedelta(seconds=CLOCK_SECONDS)
_SHOWN = 300
# What an undo does besides its operation.
ALSO: Mapping[str, frozenset[str]] = {"postgres.index.create": frozenset({"postgres.index.drop"})}


class TrailEffect(RecordModel):
    """One thing that was done.

    Attributes:
        at: when the target received it (UTC).
        target: its name in the target system, as an executor names it, as far as the trail tells.
        resource: the resource id of the catalog that the trail is of.
        operation: which operation it looks like; where a mark claims one that it can be, that one.
        actor: who did it, in the target's words.
        permit_id: the permit that its mark claims; None where it has none.
        evidence: the trail's own words, cut to size.
    """

    at: Instant
    target: str
    resource: str
    operation: str
    actor: str
    permit_id: str | None = None
    evidence: str = ""


class TrailSign(StrEnum):
    no_permit = "no_permit"
    forged_marker = "forged_marker"
    other_operation = "other_operation"
    other_target = "other_target"
    outside_window = "outside_window"
    twice = "twice"
    no_trace = "no_trace"
    unreadable = "unreadable"
    more = "more"


_WHAT: Mapping[TrailSign, str] = {
    TrailSign.no_permit: "a target was changed without a permit",
    TrailSign.forged_marker: "a target was changed in the name of a permit that nobody could act under",
    TrailSign.other_operation: "a target was changed in another way than the permit that is named allows",
    TrailSign.other_target: "something else was changed than the permit that is named is for",
    TrailSign.outside_window: "a target was changed in the name of a permit that was not in use then",
    TrailSign.twice: "more was done under a permit than it allows",
    TrailSign.no_trace: "a permit is reported as done, and the target's trail has no trace of it",
    TrailSign.unreadable: "part of a target's trail cannot be read",
    TrailSign.more: "more violations than are listed",
}


class TrailPermit(NamedTuple):
    """What the record says of one permit. `used_at` is when it was claimed or became void (UTC); the instants and the
    effect of the report are None where there is none.
    """

    permit: Permit
    use: Literal["unused", "void", "claimed"]
    used_at: datetime | None = None
    effect: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def window(self) -> tuple[datetime, datetime] | None:
        """From when to when its effect can be; None where it was not claimed."""
        if self.use != "claimed" or self.used_at is None:
            return None
        seconds = self.permit.longest if self.permit.one_by_one else self.permit.timeout_seconds
        over = self.used_at + timedelta(seconds=seconds) + _SLACK
        begins = min(self.used_at, self.started_at or self.used_at)
        # Criteria are measured after the effect, so a report may come long after it.
        ends = self.finished_at if self.finished_at is not None else over
        return begins - _SKEW, ends + _SKEW


class Finding(NamedTuple):
    """What is wrong. `about` is the action whose permit is named, where the record knows that permit."""

    sign: TrailSign
    at: datetime
    resource: str
    target: str
    operation: str
    actor: str
    permit_id: str | None
    evidence: str
    why: str
    about: str | None = None

    @property
    def content(self) -> dict[str, Any]:
        """What its entry says."""
        texts = {
            "resource": self.resource,
            "target": self.target,
            "operation": self.operation,
            "actor": self.actor,
            "permit_id": self.permit_id,
            "evidence": self.evidence,
            "why": self.why,
        }
        said = {name: visible(text)[:_SHOWN] for name, text in texts.items() if text}
        return {"what": _WHAT[self.sign], "trail": {"sign": str(self.sign), "at": instant_text(self.at), **said}}


def held_against(
    effects: Iterable[TrailEffect],
    permits: Mapping[str, TrailPermit],
    *,
    resource: str,
    covers: tuple[datetime, datetime] | None,
    shows: frozenset[str],
) -> tuple[Finding, ...]:
    """What a trail says that the record does not, and the other way round; in the order of their instants.

    Args:
        effects: what the trail says that was done.
        permits: by id, those that the effects name, and those that were claimed while the trail goes.
        resource: the resource id that the trail is of.
        covers: from when to when the trail says what was done (UTC); None where it says nothing.
        shows: the operations of which it shows every effect.
    """
    found: list[Finding] = []
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for effect in sorted(effects, key=lambda item: item.at):
        known = permits.get(effect.permit_id or "")
        wrong = _unauthorized(effect, known, resource)
        if wrong is None and known is not None:
            before = seen[known.permit.permit_id]
            before[effect.target] += 1
            times = _times(before, effect.target)
            if times > 1 and known.permit.direction is Direction.do:
                wrong = TrailSign.twice, f"number {times} of {effect.operation} on {effect.target}"
        if wrong is not None:
            found.append(_of_effect(effect, *wrong, known))
    found += [
        _without_trace(known, resource) for known in permits.values() if _owes(known, seen, resource, covers, shows)
    ]
    return tuple(sorted(found, key=lambda item: item.at))


def unreadable(resource: str, lines: int, at: datetime, evidence: str) -> Finding:
    """That so many lines of a trail could not be read; told once a day for each number of them."""
    at = at.replace(hour=0, minute=0, second=0, microsecond=0)
    why = f"{lines} lines are longer than is read, or are none of this kind"
    return Finding(TrailSign.unreadable, at, resource, "", "", "", None, evidence, why)


def more_of(resource: str, left_out: Iterable[TrailSign], until: datetime) -> dict[str, Any]:
    """What the entry says that stands for all that one look left out."""
    count = Counter(str(sign) for sign in left_out)
    about = {"sign": str(TrailSign.more), "resource": resource, "at": instant_text(until)}
    return {"what": _WHAT[TrailSign.more], "trail": {**about, "count": dict(sorted(count.items()))}}


def trail_key(trail: Mapping[str, Any]) -> tuple[object, ...]:
    """What makes such an entry the only one about what it says: all that it says."""
    return "trail", trail["sign"], digest_of(dict(trail))


def check_trail(content: Mapping[str, Any]) -> list[str]:
    """Whether an entry says of its sign what is said of it."""
    sign = TrailSign(content["trail"]["sign"])
    return [] if content["what"] == _WHAT[sign] else [f"it says {content['what']!r:.100} of sign {sign}"]


_Wrong = tuple[TrailSign, str]


def _unauthorized(effect: TrailEffect, known: TrailPermit | None, resource: str) -> _Wrong | None:
    """Why an effect is not what the permit that it names allows; None where it is."""
    if effect.permit_id is None:
        return TrailSign.no_permit, "it has no mark"
    if known is None:
        return TrailSign.forged_marker, "the record has no such permit"
    permit, window = known.permit, known.window
    if permit.dry_run:
        return TrailSign.forged_marker, "that permit is of a dry run"
    if window is None:
        return TrailSign.forged_marker, "that permit is void" if known.use == "void" else "nobody claimed that permit"
    also = ALSO.get(permit.operation, frozenset()) if permit.direction is Direction.undo else frozenset()
    if effect.operation not in {permit.operation, *also}:
        return TrailSign.other_operation, f"that permit is for {permit.operation}"
    if effect.resource != resource or not any(_is_within(resource, one) for one in permit.resolved):
        return TrailSign.other_target, f"that permit is for {', '.join(permit.resolved)}"
    ids = {item.id for item in permit.targets if _is_within(resource, item.resource)}
    if not ids and resource not in permit.resolved:
        return TrailSign.other_target, "that permit is for a part of it, and names no target in it"
    if ids and effect.target not in ids and not _is_any(effect.target, ids):
        return TrailSign.other_target, f"that permit is for {', '.join(sorted(ids))}"
    if not window[0] <= effect.at <= window[1]:
        return (
            TrailSign.outside_window,
            f"that permit was in use from {instant_text(window[0])} to {instant_text(window[1])}",
        )
    return None


def _is_within(resource: str, one: str) -> bool:
    """Whether a resource is the one that a trail is of, or a part of it: a trail may be of a whole cluster."""
    return one == resource or one.startswith(f"{resource}/")


def _is_any(target: str, ids: Iterable[str]) -> bool:
    """Whether a target is named by any of the ids, where the trail does not tell which of its name it was (`@uid`)."""
    return bool(target) and "@" not in target and any(target == _name_of(one) for one in ids)


def _name_of(target: str) -> str:
    """A target without what tells it from an earlier one of its name."""
    return target.partition("@")[0]


def _times(before: Counter[str], target: str) -> int:
    """How often a target was changed, with those times that do not tell which one of its name it was."""
    if "@" in target:
        return before[target] + before[_name_of(target)]
    return sum(times for other, times in before.items() if _name_of(other) == target)


def _owes(
    known: TrailPermit,
    seen: Mapping[str, Counter[str]],
    resource: str,
    covers: tuple[datetime, datetime] | None,
    shows: frozenset[str],
) -> bool:
    """Whether a trail ought to have an effect of a permit and has none."""
    permit, window = known.permit, known.window
    if window is None or covers is None or permit.dry_run or known.effect != "done":
        return False
    if not any(_is_within(resource, one) for one in permit.resolved) or permit.operation not in shows:
        return False
    return covers[0] <= window[0] and window[1] <= covers[1] and permit.permit_id not in seen


def _of_effect(effect: TrailEffect, sign: TrailSign, why: str, known: TrailPermit | None) -> Finding:
    about = known.permit.proposal_id if known is not None else None
    said = (effect.resource, effect.target, effect.operation, effect.actor, effect.permit_id, effect.evidence)
    return Finding(sign, effect.at, *said, why, about)


def _without_trace(known: TrailPermit, resource: str) -> Finding:
    permit, at = known.permit, known.used_at
    assert at is not None
    target = ", ".join(item.id for item in permit.targets if _is_within(resource, item.resource))
    why = f"it was claimed at {instant_text(at)}, and reported as done"
    said = (resource, target, permit.operation, "", permit.permit_id, "")
    return Finding(TrailSign.no_trace, at, *said, why, permit.proposal_id)
