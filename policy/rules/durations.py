"""Durations as documents write them: `90s`, `15m`, `4h`, `7d`."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", value) if isinstance(value, str) else None
    if not found:
        raise ValueError("duration must be written like 90s, 15m, 4h or 7d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def written(value: timedelta) -> str:
    """A duration in the largest unit that says it exactly, so that what could be read can be read again."""
    seconds = int(value.total_seconds())
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


Duration = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(written, return_type=str)]
PositiveDuration = Annotated[Duration, Field(gt=timedelta(0))]
