"""What the watcher calls a violation of Temporal's runs, and what an entry about one says.

1. Nothing that happens to a run is authority, so nothing here decides anything. It is evidence that somebody who can
   write to the namespace did what no platform, approver or operator of ours needs to do.
2. A run is foreign where it has another workflow id than an action has, waits in another queue than ours, was started
   by another workflow, or begins later than it was started (a cron schedule, a delay).
3. A run that completed as an action which the record never heard of was told its answers by somebody else.
4. An action that is open on record and has no run any more is one whose workflow was deleted.
5. A sign of a run is written once, in the ledger of its action; of what is no action of the record, in a ledger of its
   own. Of more than `LISTED` the others are counted.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from policy.base import instant_text
from policy.screens.neutral import visible

# The ledger of runs that are no action of the record. No proposal can have this id.
RUNS_LEDGER = "@runs"
# How many entries one look adds to one ledger, and how many the ledger of one action takes in all.
LISTED = 50
_PROPOSAL = re.compile(r"[A-Za-z0-9._-]{1,100}")
_SHOWN = 200
# A start that was not delayed begins at once.
_AT_ONCE = timedelta(seconds=1)


class Sign(StrEnum):
    terminated = "terminated"
    reset = "reset"
    missing = "missing"
    other_id = "other_id"
    other_queue = "other_queue"
    child = "child"
    delayed = "delayed"
    unknown = "unknown"
    more = "more"


_WHAT: Mapping[Sign, str] = {
    Sign.terminated: "its run was terminated",
    Sign.reset: "its run was reset",
    Sign.missing: "it is open on record, and its workflow is gone",
    Sign.other_id: "a run of our workflow type has an id that no action has",
    Sign.other_queue: "a run of our workflow type waits in another queue than ours",
    Sign.child: "a run of our workflow type was started by another workflow",
    Sign.delayed: "a run of our workflow type was started by a schedule of its own, or delayed",
    Sign.unknown: "a run of our workflow type completed, and the record never heard of its action",
    Sign.more: "more violations than are listed",
}


class SeenRun(NamedTuple):
    """A run as Temporal lists it. `reset_at` is when it was made by a reset."""

    workflow: str
    run_id: str
    queue: str
    started_at: datetime
    begins_at: datetime
    parent: str | None = None
    reset_at: datetime | None = None

    @property
    def proposal_id(self) -> str | None:
        """The action that its id is for; None where no action has such an id."""
        name = self.workflow.removeprefix("action/")
        return name if name != self.workflow and _PROPOSAL.fullmatch(name) else None


def signs_of(run: SeenRun, queue: str) -> tuple[Sign, ...]:
    """What is wrong with a run that was started; `queue` is ours."""
    found = {
        Sign.other_id: run.proposal_id is None,
        Sign.other_queue: run.queue != queue,
        Sign.child: run.parent is not None,
        Sign.delayed: run.begins_at - run.started_at > _AT_ONCE,
        Sign.reset: run.reset_at is not None,
    }
    return tuple(sign for sign, holds in found.items() if holds)


def content_of(sign: Sign, workflow: str, run_id: str, at: datetime, **more: object) -> dict[str, Any]:
    """What the entry about a run says.

    Args:
        sign: what is wrong.
        workflow: its id, whatever somebody chose.
        run_id: of the run; of an action without one, its proposal id.
        at: when it happened (UTC).
        more: what else is known, each a text that may be anybody's.
    """
    said = {name: visible(str(item))[:_SHOWN] for name, item in more.items() if item is not None}
    about = {"sign": str(sign), "workflow_id": visible(workflow)[:_SHOWN], "run_id": run_id, "at": instant_text(at)}
    return {"what": _WHAT[sign], "watched": {**about, **said}}


def more_of(left_out: Iterable[Sign], since: datetime) -> dict[str, Any]:
    """What the entry says that stands for all that one look left out; `since` is where it began, so that the same look
    again says it once.
    """
    count: dict[str, int] = {}
    for sign in left_out:
        count[str(sign)] = count.get(str(sign), 0) + 1
    about = {"sign": str(Sign.more), "run_id": instant_text(since), "count": dict(sorted(count.items()))}
    return {"what": _WHAT[Sign.more], "watched": about}


def watched_key(watched: Mapping[str, Any]) -> tuple[object, ...]:
    """What makes such an entry the only one about its run and its sign."""
    return "watched", watched["sign"], watched["run_id"]


def check_watched(content: Mapping[str, Any]) -> list[str]:
    """Whether an entry says of its sign what is said of it."""
    sign = Sign(content["watched"]["sign"])
    return [] if content["what"] == _WHAT[sign] else [f"it says {content['what']!r:.100} of sign {sign}"]
