"""The search attributes of an action, cut to what a server takes.

- The workflow sets all of them itself; what the starter set is overwritten and never read.
- A value longer than 200 characters, or not of printable ASCII, is cut and ends in eight digits of its digest, so that
  it stays recognisable and never reaches the 2,048 bytes at which the server terminates a workflow. A list is cut to
  as many values as fit, and its last one then says how many are left out.
- They are for finding, never for deciding: visibility lags behind.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from policy.base import Instant, instant_text
from policy.canonical import digest

_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
LIMIT = 200
LIST_BYTES = 1600
_LOOKS_CUT = re.compile(r"#[0-9a-f]{8}\Z")
STATE = "CountersignState"
# What an action is whose turn it is not yet.
QUEUED = "queued"
TIER = "CountersignTier"
TARGET = "CountersignTarget"
ENVIRONMENT = "CountersignEnvironment"
PROPOSER = "CountersignProposer"
WAITING_GROUPS = "CountersignWaitingGroups"
NEXT_DEADLINE = "CountersignNextDeadline"
DENIED_BY = "CountersignDeniedBy"

TYPES = {
    STATE: "Keyword",
    TIER: "Keyword",
    TARGET: "Keyword",
    ENVIRONMENT: "Keyword",
    PROPOSER: "Keyword",
    WAITING_GROUPS: "KeywordList",
    NEXT_DEADLINE: "Datetime",
    DENIED_BY: "KeywordList",
}


def cut(value: str) -> str:
    """A value that fits; equal values stay equal, and different values stay different but for a clash in 32 bits."""
    if len(value) <= LIMIT and value.isascii() and value.isprintable() and not _LOOKS_CUT.search(value):
        return value
    clean = "".join(char if char.isascii() and char.isprintable() else "?" for char in value[: LIMIT - 10])
    return f"{clean}#{digest(value.encode('utf-8', 'surrogatepass'))[7:15]}"


def cut_list(values: Sequence[str]) -> list[str]:
    """As many values as fit, each cut; the last one says how many are left out, if any are."""
    every = list(dict.fromkeys(cut(value) for value in values))
    kept: list[str] = []
    for value in every:
        if len(json.dumps([*kept, value])) > LIST_BYTES:
            return [*kept, f"{len(every) - len(kept)} more"]
        kept.append(value)
    return kept


def instant(value: Any) -> datetime | None:
    """The instant that a search attribute's JSON value says, or None."""
    try:
        return _INSTANT.validate_python(value)
    except ValidationError:
        return None


def attributes(
    *,
    state: str,
    tier: str | None,
    target: str,
    environment: str,
    proposer: str,
    waiting_groups: Sequence[str] = (),
    next_deadline: datetime | None = None,
    denied_by: Sequence[str] = (),
) -> dict[str, Any]:
    """All search attributes of an action at one instant, by name, as JSON values. None unsets."""
    return {
        STATE: cut(state),
        TIER: tier,
        TARGET: cut(target),
        ENVIRONMENT: cut(environment),
        PROPOSER: cut(proposer),
        WAITING_GROUPS: cut_list(waiting_groups),
        NEXT_DEADLINE: instant_text(next_deadline) if next_deadline else None,
        DENIED_BY: cut_list(denied_by),
    }
