"""What has an end: exceptions, rules that only observe, calendars, reviews. Each is said before and after it is over.

- An exception that is over does nothing and hides what it once lifted: a warning. One that ends within `SOON` is a
  warning, too, so that nobody is surprised.
- A rule that observes or warns enforces from its day on, without anybody doing anything: a warning within `SOON`. One
  that does so for more than a year is an error: such a switch never expires.
- A review that is overdue is a warning, one that is due within `REVIEW_SOON` an info.
- A window or freeze that lies in the past altogether never opens again: a warning.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from policy.checks.findings import Finding, Severity
from policy.document import Rule
from policy.rules.calendars import Calendar
from policy.rules.exceptions import PolicyException
from policy.rules.recurrence import read_recurrence
from policy.subject import Subject, WrittenPolicy

SOON = timedelta(days=14)
REVIEW_SOON = timedelta(days=30)
_ZONES = timedelta(days=2)


def date_findings(subject: Subject) -> Iterator[Finding]:
    """Findings about ends, at the instant of the check."""
    for written in subject.policies:
        metadata = written.document.metadata
        yield from _review(written, metadata.review_by, subject.now, "the policy", "metadata", "review_by")
        for number, rule in enumerate(written.document.rules):
            yield from _review(written, rule.review_by, subject.now, f"rule {rule.id}", "rules", number, "review_by")
            yield from _switch(written, number, rule, subject.now)
        for number, exception in enumerate(written.document.exceptions):
            yield from _exception(written, number, exception, subject.now)
        for number, calendar in enumerate(written.document.calendars):
            yield from _calendar(written, number, calendar, subject.now)


def _exception(written: WrittenPolicy, number: int, exception: PolicyException, now: datetime) -> Iterator[Finding]:
    path = ("exceptions", number, "expires_at")
    when = f"{exception.expires_at:%Y-%m-%d}"
    if exception.expires_at <= now:
        message = f"exception {exception.id} expired on {when} and lifts nothing any more: remove it"
        yield written.say(Severity.warning, "exception_expired", message, *path)
    elif exception.granted_at > now:
        message = f"exception {exception.id} does not lift anything before {exception.granted_at:%Y-%m-%d}"
        yield written.say(Severity.info, "exception_not_yet", message, "exceptions", number, "granted_at")
    elif exception.expires_at - now <= SOON:
        message = f"exception {exception.id} expires on {when}: settle what it was for, or have another one approved"
        yield written.say(Severity.warning, "exception_expires_soon", message, *path)


def _switch(written: WrittenPolicy, number: int, rule: Rule, now: datetime) -> Iterator[Finding]:
    if rule.enforce_from is None:
        return
    path = ("rules", number, "enforce_from")
    doing = "observes" if rule.enforcement == "observe" else "warns"
    if rule.enforced(now):
        message = f"rule {rule.id} enforces since {rule.enforce_from}: remove enforcement and enforce_from"
        yield written.say(Severity.warning, "switch_expired", message, *path)
    elif rule.observes_too_long(now):
        message = f"rule {rule.id} only {doing} until {rule.enforce_from}: name a day within a year"
        yield written.say(Severity.error, "observes_too_long", message, *path)
    elif _midnight(rule.enforce_from) - now <= SOON:
        message = f"rule {rule.id} only {doing} until {rule.enforce_from}, then it enforces: look at what it would do"
        yield written.say(Severity.warning, "switch_expires_soon", message, *path)
    else:
        message = f"rule {rule.id} only {doing} until {rule.enforce_from}: until then it decides nothing"
        yield written.say(Severity.info, "not_enforced", message, *path)


def _review(written: WrittenPolicy, due: date | None, now: datetime, what: str, *path: str | int) -> Iterator[Finding]:
    if due is None:
        return
    if _midnight(due) + timedelta(days=1) <= now:
        message = f"the review of {what} was due on {due}: review it and set the next date"
        yield written.say(Severity.warning, "review_overdue", message, *path)
    elif _midnight(due) - now <= REVIEW_SOON:
        yield written.say(Severity.info, "review_soon", f"the review of {what} is due on {due}", *path)


def _calendar(written: WrittenPolicy, number: int, calendar: Calendar, now: datetime) -> Iterator[Finding]:
    last = _last_day(calendar)
    if last is not None and _midnight(last) + calendar.duration + _ZONES < now:
        message = f"{calendar.kind} {calendar.id} began on {last} for the last time and is over: give it a new date"
        yield written.say(Severity.warning, "calendar_over", message, "calendars", number)


def _last_day(calendar: Calendar) -> date | None:
    """The last local day on which a calendar begins; None where it goes on, or only counting would tell."""
    days = [datetime.fromisoformat(calendar.start).date(), *calendar.rdates]
    if calendar.rrule is not None:
        rule = read_recurrence(calendar.rrule)
        until = rule.until or (rule.until_instant.date() if rule.until_instant else None)
        if until is None:
            return None
        days.append(until)
    return max(days)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
