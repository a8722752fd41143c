"""The clock of a stage: what comes when, and what makes it stand still or begin anew.

- It runs from the instant at which the stage opens. With `hours` only open hours count.
- A stage ends at its own deadline or at the absolute deadline of the request, whichever is first; nothing moves the
  latter.
- A question may stop it (`on_request_info: pause`) until the answer, in all for as long as the stage's deadline at
  most. Then it goes on by itself.
- A deadline that passes may end the stage (`deny`, `cancel`, `offer_alternative`), or give it one more deadline: once
  (`escalate`), again and again (`remind`), or when somebody releases it (`hold`). So does opening again. What came once
  in a stage does not come again.
- A grace is an instant at which the stage ends, instead of its deadline.
- A reminder waits until `remind_hours` are open. Of several that wait for the same instant one is left.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from policy.approval.escalation import MAX_REMINDERS, Due, Planned, plan, whom
from policy.rules.chains import ExpiryVerb, Stage
from policy.rules.hours import Hours, ends, next_open, passed

_NOTHING = timedelta(0)
_TICK = timedelta(microseconds=1)
_ENDING = (ExpiryVerb.deny, ExpiryVerb.cancel, ExpiryVerb.offer_alternative)


class Clock:
    """One stage's clock. Every instant is passed in; none may be before the one of the call before it."""

    def __init__(self, stage: Stage, number: int, opened_at: datetime, absolute: datetime) -> None:
        self._stage, self._number, self._absolute = stage, number, absolute
        self._hours = stage.hours if isinstance(stage.hours, Hours) else None
        self._planned = list(plan(stage))
        self._since, self._elapsed = opened_at, _NOTHING
        self._limit = stage.deadline
        self._until: datetime | None = None
        self._rounds = 0
        self._pause_left = stage.deadline
        self._goes_on: datetime | None = opened_at
        self._due: tuple[Due, ...] | None = None

    # -- what comes -------------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> datetime:
        """The instant after which no decision counts in this stage, as far as is known now."""
        if self._goes_on is None or self._rounds >= MAX_REMINDERS:
            return self._absolute
        if self._until is not None:
            return min(self._until, self._absolute)
        return self._instant(self._limit)

    def due(self) -> tuple[Due, ...]:
        """Everything that is to come, in order of time; the deadline is always last."""
        if self._due is None:
            end = self.deadline
            found: dict[tuple[datetime, str, int], Due] = {}
            for at, item in self._coming(end):
                key = (at, item.kind, 0 if item.kind == "reminder" else item.number)
                found.setdefault(key, self._say(item, at))
            final = Due(at=end, kind="deadline", index=self._rounds, stage=self._number, text=self._verb(end))
            self._due = (*(found[key] for key in sorted(found)), final)
        return self._due

    def _coming(self, end: datetime) -> Iterator[tuple[datetime, Planned]]:
        """What is planned before an instant, each with its own; counted on from one to the next."""
        at, counted = self._goes_on, self._elapsed
        for item in self._planned if at is not None else ():
            assert at is not None
            at = ends(self._hours, at, item.after - counted, end)
            counted = max(counted, item.after)
            if at >= end:
                return
            when = self._when_reminded(at) if item.kind == "reminder" else at
            if when < end:
                yield when, item

    def ends_case(self, at: datetime) -> bool:
        """Whether the deadline that passes at an instant ends the stage."""
        verb = self._stage.on_expiry
        return at >= self._absolute or verb in _ENDING or (verb is ExpiryVerb.escalate and self._rounds > 0)

    # -- what happens to it -----------------------------------------------------------------------------------------

    def happened(self, due: Due) -> None:
        """What is due first, a reminder or an escalation, came; a reminder for all that waited for the same instant."""
        rest = self.due()[1:]
        came = [item for _, item in self._coming(due.at + _TICK) if item.kind == due.kind]
        if due.kind == "escalation":
            came = [item for item in came if item.number == due.index]
        self._planned = [item for item in self._planned if item not in came]
        self._due = rest

    def escalated(self, number: int | None) -> None:
        """A step came by an event: it does not come again by time."""
        self._planned = [item for item in self._planned if (item.kind, item.number) != ("escalation", number)]
        self._due = None

    def quiet(self) -> None:
        """Somebody looks: no more reminders."""
        self._planned = [item for item in self._planned if item.kind != "reminder"]
        self._due = None

    def anew(self, at: datetime) -> None:
        """The stage has its deadline again from an instant on, whatever stopped its clock."""
        self._stand(at)
        self._limit, self._until, self._goes_on = self._elapsed + self._stage.deadline, None, at

    def another_round(self, at: datetime) -> None:
        """The deadline passed without ending the stage."""
        self.anew(at)
        self._rounds += 1

    def stop(self, at: datetime) -> None:
        """Stand still until somebody says otherwise."""
        self._stand(at)
        self._goes_on = None

    def hold(self, at: datetime) -> None:
        """The deadline passed, and the stage is held."""
        self.stop(at)
        self._rounds += 1

    def extend(self, until: datetime) -> None:
        """The stage ends at this instant, unless the request ends before."""
        self._until = until
        self._due = None

    def pause(self, at: datetime) -> None:
        """Stand still until an answer, as long as that may be."""
        self._stand(at)
        if self._goes_on is not None:
            self._goes_on = ends(self._hours, at, self._pause_left, self._absolute)

    def go_on(self, at: datetime) -> None:
        """There is an answer."""
        self._stand(at)
        if self._goes_on is not None:
            self._goes_on = at

    def paused_until(self, at: datetime) -> datetime | None:
        """When a clock that a question stopped goes on at the latest; None where it does not wait for an answer."""
        return self._goes_on if self._goes_on is not None and self._goes_on > at else None

    # ---------------------------------------------------------------------------------------------------------------

    def _stand(self, at: datetime) -> None:
        """Account for the time up to an instant: what ran, and what was waited for an answer."""
        goes_on = self._goes_on
        if goes_on is not None:
            self._pause_left -= min(self._pause_left, passed(self._hours, self._since, min(at, goes_on)))
            self._elapsed += passed(self._hours, goes_on, at)
            self._goes_on = max(goes_on, at)
        self._since, self._due = at, None

    def _instant(self, after: timedelta) -> datetime:
        """When so much time of the stage has passed, if the clock goes on as is known now."""
        assert self._goes_on is not None
        return ends(self._hours, self._goes_on, after - self._elapsed, self._absolute)

    def _when_reminded(self, at: datetime) -> datetime:
        quiet = self._stage.remind_hours
        return next_open(quiet, at) if isinstance(quiet, Hours) else at

    def _say(self, item: Planned, at: datetime) -> Due:
        return Due(at=at, kind=item.kind, index=item.number, stage=self._number, text=item.text)

    def _verb(self, end: datetime) -> str:
        """What the deadline means, in words."""
        stage = self._stage
        verb = f"deadline of stage {stage.name}: {stage.on_expiry}"
        if stage.on_expiry in _ENDING:
            offer = " (the case ends, the safer alternative is offered)"
            return verb + (offer if stage.on_expiry is ExpiryVerb.offer_alternative else "")
        if self.ends_case(end):
            return f"deadline of stage {stage.name}: the case ends, after {stage.on_expiry}"
        if stage.expiry_escalation is not None:
            step = stage.expiry_escalation
            return f"{verb} to {whom(step)} for one more deadline: {step.reason}"
        return f"{verb} {'until somebody releases it' if stage.on_expiry is ExpiryVerb.hold else 'and go on'}"
