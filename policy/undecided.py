"""What becomes of a step that was done and of which nobody can tell whether it is good: people say, or time does.

1. Where the policy speaks of it (`inconclusive`), a step whose criteria could not be measured to their end does not end
   the action: its undo stays possible, and people have so long, from when the measuring ended, to say what is to be.
2. Whoever may revoke such an action may accept what was done, or revoke it; who stands behind the proposal may only
   revoke it. What is accepted is kept: the outcome stays inconclusive, says by whom, and holds nothing.
3. When their time is over the policy's verb applies: what was done is undone, or left under a hold.
4. Until then nothing is undone for the reason that nobody can tell. It needs a revocation or a stop on record; what a
   workflow says is no cause.
5. Before their time is over they are reminded, once: a quarter of it before its end, and an hour at most.
6. What failed, and what others ended while it was measured, is not for this rule.
7. Of several documents the shorter time counts, and to undo before to hold.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import PositiveInt

from policy.base import Reason, RecordModel, instant_text
from policy.outcome import EffectReport, StepRecord

OnExpiry = Literal["compensate", "hold"]
ACCEPTED, NOT_JUDGED = "accepted", "not_judged"
_SAID = 500
_REMINDER = timedelta(hours=1)
WORDS = {"compensate": "what was done is undone", "hold": "it is left as it is, under a hold"}


class Judging(RecordModel):
    """How long people have to say what becomes of an inconclusive step (seconds), and what happens then."""

    within_seconds: PositiveInt
    on_expiry: OnExpiry

    def until(self, report: EffectReport) -> datetime:
        """The last instant (UTC) at which somebody may say something."""
        return report.finished_at + timedelta(seconds=self.within_seconds)

    def remind_at(self, report: EffectReport) -> datetime:
        """The instant (UTC) from which people are told that their time is nearly over."""
        return self.until(report) - min(timedelta(seconds=self.within_seconds) / 4, _REMINDER)

    def spares(self, records: Iterable[StepRecord], now: datetime) -> bool:
        """Whether nothing is undone, at an instant (UTC), for the reason that nobody can tell."""
        report = undecided(records)
        return report is not None and (self.on_expiry == "hold" or now <= self.until(report))


def strictest(rules: Iterable[Judging]) -> Judging | None:
    """What several documents say together; None where none speaks of it."""
    found = tuple(rules)
    if not found:
        return None
    verb: OnExpiry = "compensate" if any(item.on_expiry == "compensate" for item in found) else "hold"
    return Judging(within_seconds=min(item.within_seconds for item in found), on_expiry=verb)


def undecided(records: Iterable[StepRecord]) -> EffectReport | None:
    """The report of which nobody can tell whether it is good; None where there is none, or something is undone."""
    every = tuple(records)
    if any(item.direction == "undo" and item.use == "claimed" for item in every):
        return None
    reports = [item.report for item in every if item.direction == "do" and item.report is not None]
    open_ends = [item for item in reports if item.inconclusive and not item.stopped]
    others = [item for item in reports if not item.succeeded and item not in open_ends]
    return open_ends[-1] if open_ends and not others else None


def accepted_reason(person: str, why: str) -> Reason:
    """That somebody accepted what was done, with their words."""
    return Reason(code=ACCEPTED, message=f"accepted by {person}: {why}"[:_SAID])


def left_as_is(judging: Judging | None, records: Iterable[StepRecord], accepted: Reason | None) -> Reason | None:
    """Why an inconclusive step is kept as it is; None where it is not for people, or has to be undone."""
    report = undecided(records)
    if judging is None or report is None:
        return None
    if accepted is not None:
        return accepted
    if judging.on_expiry == "compensate":
        return None
    message = f"nobody said until {instant_text(judging.until(report))} what is to be: it is held"
    return Reason(code=NOT_JUDGED, message=message)


def check_judging(content: Mapping[str, Any], judging: Judging | None, records: Iterable[StepRecord]) -> list[str]:
    """What differs where people were asked: that the policy says so, of which report, and until when."""
    report = undecided(records)
    if judging is None or report is None:
        return ["nobody is asked what becomes of it: the policy says nothing, or no step is inconclusive"]
    found = []
    if content["judging"] != judging.model_dump(mode="json"):
        found.append("it is not how the policy lets people judge")
    if content["until"] != instant_text(judging.until(report)):
        found.append(f"it lasts until {content['until']}, the policy says {instant_text(judging.until(report))}")
    return found
