"""Which local dates a recurrence rule falls on: the part of RFC 5545 (section 3.3.10) that calendars of a policy need.

- `FREQ` is DAILY, WEEKLY, MONTHLY or YEARLY, so that there is at most one occurrence a day. `INTERVAL`, `COUNT`,
  `UNTIL`, `BYMONTH`, `BYMONTHDAY`, `BYDAY` (with an ordinal under MONTHLY and YEARLY), `BYSETPOS` and `WKST` are read.
  Everything else is refused by name.
- Whole periods are enumerated, from the one that a question falls into, and never more than it needs: a rule that never
  occurs costs what any other does. (dateutil looks for its next occurrence until the year 9999: 7.4 seconds for
  `FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30`. The tests hold this file to dateutil's answers.)
- The first occurrence is the start where the rule falls on it, and not otherwise, as in dateutil.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice

MAX_COUNT = 1000
MAX_INTERVAL = 400
# Within so many years of its start a rule must have occurred, and one with a count must be through.
MAX_YEARS = 30
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_READ = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS", "WKST")
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Recurrence:
    """A recurrence rule. `days` are pairs of an ordinal (0: every one) and a weekday (0: Monday).

    `until` is the last local date, `until_instant` the last instant (UTC); one of the two, or none.
    """

    frequency: str
    interval: int = 1
    count: int | None = None
    until: date | None = None
    until_instant: datetime | None = None
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    days: tuple[tuple[int, int], ...] = ()
    positions: tuple[int, ...] = ()
    week_start: int = 0

    def dates(self, start: date, first: date, last: date) -> list[date]:
        """The dates from `first` to `last`, both included, on which the rule that begins at `start` falls."""
        return list(self.walk(start, first, last))

    def walk(self, start: date, first: date, last: date) -> Iterator[date]:
        """The same one by one, for who needs only the first."""
        stop = min(last, self.until or last)
        if self.count is None:
            return self._from(start, max(first, start), stop)
        return (day for day in islice(self._from(start, start, stop), self.count) if day >= first)

    def _from(self, start: date, first: date, last: date) -> Iterator[date]:
        """Every date from `first` to `last`, whatever the count."""
        for period in self._periods(start, first, last):
            days = [day for day in period if self._falls_on(day, start)]
            if self.positions:
                chosen = {position - 1 if position > 0 else len(days) + position for position in self.positions}
                days = [day for index, day in enumerate(days) if index in chosen]
            yield from (day for day in days if max(first, start) <= day <= last)

    def _periods(self, start: date, first: date, last: date) -> Iterator[list[date]]:
        """The days of each period that the interval selects and that may have a day from `first` to `last`."""
        if self.frequency in ("DAILY", "WEEKLY"):
            length = 1 if self.frequency == "DAILY" else 7
            begin = start if length == 1 else start - _DAY * ((start.weekday() - self.week_start) % 7)
            stride = length * self.interval
            at = begin + _DAY * (max(0, (first - begin).days) // stride * stride)
            while at <= last:
                yield [at + _DAY * number for number in range(length)]
                at += _DAY * stride
            return
        length = 1 if self.frequency == "MONTHLY" else 12
        origin = start.year * 12 + (start.month - 1 if length == 1 else 0)
        stride = length * self.interval
        month = origin + max(0, first.year * 12 + first.month - 1 - origin) // stride * stride
        while (at := date(month // 12, month % 12 + 1, 1)) <= last:
            yield _days_of(at, length)
            month += stride

    def _falls_on(self, day: date, start: date) -> bool:
        if self.months and day.month not in self.months:
            return False
        if self.month_days and not {day.day, day.day - _days_in_month(day) - 1}.intersection(self.month_days):
            return False
        if self.days:
            return any(weekday == day.weekday() and self._is_nth(day, nth) for nth, weekday in self.days)
        return bool(self.month_days) or self._like_start(day, start)

    def _like_start(self, day: date, start: date) -> bool:
        """What a rule that names no day means: the day of the start."""
        match self.frequency:
            case "WEEKLY":
                return day.weekday() == start.weekday()
            case "MONTHLY":
                return day.day == start.day
            case "YEARLY":
                return day.day == start.day and (bool(self.months) or day.month == start.month)
        return True

    def _is_nth(self, day: date, nth: int) -> bool:
        """Whether a day is the nth of its weekday, in its month or, under YEARLY without months, in its year."""
        if nth == 0:
            return True
        whole_year = self.frequency == "YEARLY" and not self.months
        before = day.timetuple().tm_yday - 1 if whole_year else day.day - 1
        length = (date(day.year, 12, 31).timetuple().tm_yday) if whole_year else _days_in_month(day)
        return nth == before // 7 + 1 if nth > 0 else nth == -((length - 1 - before) // 7 + 1)


def read_recurrence(text: str) -> Recurrence:
    """Read a recurrence rule.

    Raises:
        ValueError: names the part, and what is read instead.
    """
    parts: dict[str, str] = {}
    for item in text.split(";"):
        name, _, value = item.partition("=")
        if name not in _READ or not value:
            raise ValueError(f"rrule part {item[:40]!r} is not read, use {', '.join(_READ)}")
        if name in parts:
            raise ValueError(f"rrule part {name} occurs twice")
        parts[name] = value
    frequency = parts.get("FREQ", "")
    if frequency not in _FREQUENCIES:
        raise ValueError(f"rrule FREQ is {frequency or 'missing'}, use one of {', '.join(_FREQUENCIES)}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError("rrule has COUNT and UNTIL, use one of them")
    until, until_instant = _until(parts["UNTIL"]) if "UNTIL" in parts else (None, None)
    return Recurrence(
        frequency=frequency,
        interval=_number("INTERVAL", parts.get("INTERVAL", "1"), 1, MAX_INTERVAL),
        count=_number("COUNT", parts["COUNT"], 1, MAX_COUNT) if "COUNT" in parts else None,
        until=until,
        until_instant=until_instant,
        months=_numbers("BYMONTH", parts, 12, negative=False),
        month_days=_month_days(parts, frequency),
        days=_weekdays(parts, frequency),
        positions=_positions(parts),
        week_start=_weekday("WKST", parts.get("WKST", "MO")),
    )


def _number(name: str, text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", text) or not least <= int(text) <= most or int(text) == 0:
        raise ValueError(f"rrule {name} is {text[:20]}, use {least} to {most}")
    return int(text)


def _numbers(name: str, parts: dict[str, str], most: int, *, negative: bool = True) -> tuple[int, ...]:
    least = -most if negative else 1
    return tuple(_number(name, item, least, most) for item in parts[name].split(",")) if name in parts else ()


def _month_days(parts: dict[str, str], frequency: str) -> tuple[int, ...]:
    if "BYMONTHDAY" in parts and frequency == "WEEKLY":
        raise ValueError("rrule BYMONTHDAY does not go with FREQ=WEEKLY, use BYDAY")
    return _numbers("BYMONTHDAY", parts, 31)


def _positions(parts: dict[str, str]) -> tuple[int, ...]:
    if "BYSETPOS" in parts and not {"BYDAY", "BYMONTHDAY", "BYMONTH"} & set(parts):
        raise ValueError("rrule BYSETPOS needs BYDAY, BYMONTHDAY or BYMONTH to choose from")
    return _numbers("BYSETPOS", parts, 366)


def _weekday(name: str, text: str) -> int:
    if text not in _WEEKDAYS:
        raise ValueError(f"rrule {name} is {text[:20]}, use {', '.join(_WEEKDAYS)}")
    return _WEEKDAYS.index(text)


def _weekdays(parts: dict[str, str], frequency: str) -> tuple[tuple[int, int], ...]:
    found = []
    for item in parts["BYDAY"].split(",") if "BYDAY" in parts else ():
        ordinal, weekday = item[:-2], _weekday("BYDAY", item[-2:])
        if ordinal and frequency not in ("MONTHLY", "YEARLY"):
            raise ValueError(f"rrule BYDAY {item} has an ordinal, which only FREQ=MONTHLY and YEARLY have")
        most = 53 if frequency == "YEARLY" and "BYMONTH" not in parts else 5
        found.append((_number("BYDAY", ordinal.removeprefix("+"), -most, most) if ordinal else 0, weekday))
    return tuple(found)


def _until(text: str) -> tuple[date | None, datetime | None]:
    try:
        if re.fullmatch(r"[0-9]{8}", text):
            return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date(), None
        return None, datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"rrule UNTIL is {text[:20]}, write 20261231 or 20261231T235959Z") from None


def _days_in_month(day: date) -> int:
    following = day.replace(day=28) + _DAY * 4
    return (following - _DAY * following.day).day


def _days_of(first: date, months: int) -> list[date]:
    """Every day of so many months."""
    found = []
    month = first.year * 12 + first.month - 1
    for number in range(month, month + months):
        begin = date(number // 12, number % 12 + 1, 1)
        found += [begin + _DAY * day for day in range(_days_in_month(begin))]
    return found
