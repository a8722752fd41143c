"""The search attributes of an action, cut to what a server takes.

- The workflow sets all of them itself; what the starter set is overwritten and never read.
- A value longer than 200 characters is cut and ends in eight digits of its digest, so that it stays recognisable and
  never reaches the 2,048 bytes at which the server terminates a workflow.
- They are for finding, never for deciding: visibility lags behind.
"""

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
