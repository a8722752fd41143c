"""The search attributes of an action, cut to what a server takes.

- The workflow sets all of them itself; what the starter set is overwritten and never read.
- A value longer than 200 characters is cut and ends in eight digits of its digest, so that it stays recognisable and
  never reaches the 2,048 bytes at which the server terminates a workflow.
- They are for finding, never for deciding: visibility lags behind.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from policy.base import instant_text
from policy.canonical import digest

LIMIT = 200
STATE = "CountersignState"
TIER = "CountersignTier"
TARGET = "CountersignTarget"
ENVIRONMENT = "CountersignEnvironment"
PROPOSER = "CountersignProposer"
WAITING_GROUPS = "CountersignWaitingGroups"
NEXT_DEADLINE = "CountersignNextDeadline"

TYPES = {
    STATE: "Keyword",
    TIER: "Keyword",
    TARGET: "Keyword",
    ENVIRONMENT: "Keyword",
    PROPOSER: "Keyword",
    WAITING_GROUPS: "KeywordList",
    NEXT_DEADLINE: "Datetime",
}


def cut(value: str) -> str:
    """A value that fits; equal values stay equal and different values stay different."""
    if len(value) <= LIMIT and value.isprintable():
        return value
    clean = "".join(char if char.isprintable() else "?" for char in value[: LIMIT - 10])
    return f"{clean}#{digest(value.encode('utf-8', 'replace'))[7:15]}"


def attributes(
    *,
    state: str,
    tier: str | None,
    target: str,
    environment: str,
    proposer: str,
    waiting_groups: Sequence[str] = (),
    next_deadline: datetime | None = None,
) -> dict[str, Any]:
    """All search attributes of an action at one instant, by name, as JSON values. None unsets."""
    return {
        STATE: cut(state),
        TIER: tier,
        TARGET: cut(target),
        ENVIRONMENT: cut(environment),
        PROPOSER: cut(proposer),
        WAITING_GROUPS: [cut(group) for group in waiting_groups[:20]],
        NEXT_DEADLINE: instant_text(next_deadline) if next_deadline else None,
    }
