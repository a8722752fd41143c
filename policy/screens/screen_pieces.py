"""What the lines of a screen are made of: pieces that say who wrote them, and how figures are written.

- A plain `str` is ours. `Named` is a name, an id or a value, shown exactly; `Noted` a sentence from the record, from a
  document or from people; `Said` the proposer's. Who writes a line for a medium neutralises every piece but ours.
- Parameters are written as ASCII JSON. Long values are cut one by one, in their middle, so that none hides another.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from policy.proposal import Parameters
from policy.screens.neutral import WORDS_LIMIT

_NAME, _SENTENCE, _PARAMETERS = 100, 200, 400
_SHORTEST, _END = 24, 8
_LONG_IN_SECONDS, _LONG_IN_MINUTES = 120, 120


@dataclass(frozen=True)
class Named:
    text: str
    limit: int = _NAME


@dataclass(frozen=True)
class Noted:
    text: str
    limit: int = _SENTENCE


@dataclass(frozen=True)
class Said:
    text: str
    limit: int = WORDS_LIMIT


Piece = Named | Noted | Said
Line = tuple[str | Piece, ...]


@dataclass(frozen=True)
class Section:
    """A title of ours and lines. Those of a `quoted` section are the proposer's."""

    title: str
    lines: tuple[Line, ...] = ()
    quoted: bool = False


def names_of(items: Sequence[str], count: int) -> Line:
    """These names, and how many more there are in all."""
    pieces: list[str | Piece] = []
    for item in items:
        pieces += [", ", Named(item)] if pieces else [Named(item)]
    return (*pieces, f" and {count - len(items)} more") if count > len(items) else tuple(pieces)


def parameters_of(parameters: Parameters) -> Named:
    """The parameters as JSON."""
    values = {name: _json(parameters[name]) for name in sorted(parameters)}
    room = max(_SHORTEST, (_PARAMETERS - sum(len(name) + 6 for name in values)) // max(1, len(values)))
    if sum(map(len, values.values())) > room * len(values):
        values = {name: _middle_cut(value, room) for name, value in values.items()}
    return Named("{" + ", ".join(f"{_json(name)}: {value}" for name, value in values.items()) + "}", _PARAMETERS)


def _middle_cut(value: str, room: int) -> str:
    if len(value) <= room:
        return value
    size = f" ({len(value)} characters)"
    return f"{value[: max(_END, room - len(size) - _END - 1)]}…{value[-_END:]}{size}"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


def duration_text(seconds: float) -> str:
    """A time in seconds, minutes or hours, whichever reads best."""
    if seconds < _LONG_IN_SECONDS:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < _LONG_IN_MINUTES else f"{minutes / 60:.0f} h"


def day_text(at: datetime) -> str:
    """The day of an instant in UTC."""
    return f"{at:%Y-%m-%d}"


def minute_text(at: datetime) -> str:
    """An instant to the minute, so that a deadline is never shown later than it is."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
