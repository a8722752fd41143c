"""Which channel is tried when, from what was tried before.

- A notice goes by the first of somebody's channels; by the next where one gave up. What is urgent goes by all.
- An attempt is on record before it is made, and its end after: two that drain at once do not both make it, and one that
  was interrupted is made again, with the same key, after its lease.
- After a failure the next attempt waits, twice as long each time (exponential backoff; AWS Architecture Blog, Brooker
  2015, without jitter: one process drains). After so many the channel gives up.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from policy.base import Instant, RecordModel
from policy.notices.notice import Urgency
from policy.notices.pacing import Pacing

# Longer than an attempt can take: what has not ended by then was interrupted.
LEASE = timedelta(minutes=2)


class DeliveryStatus(StrEnum):
    """What became of a notice in a channel, or (`*`, every channel) of the notice itself."""

    begun = "begun"
    sent = "sent"
    failed = "failed"
    given_up = "given_up"
    digested = "digested"
    suppressed = "suppressed"
    addressed = "addressed"


class Try(RecordModel):
    """One row of what was tried."""

    channel: str
    attempt: int
    status: DeliveryStatus
    at: Instant


class ChannelState(RecordModel):
    """A channel at an instant: `due` for this `attempt`, waiting, done, or out of attempts with nobody told of it."""

    state: Literal["due", "waits", "sent", "given_up", "exhausted"]
    attempt: int = 1


def state_of(tries: Sequence[Try], rules: Pacing, now: datetime) -> ChannelState:
    """How one notice stands in one channel, from everything that was tried in it."""
    statuses = {item.status for item in tries}
    if DeliveryStatus.sent in statuses:
        return ChannelState(state="sent")
    if DeliveryStatus.given_up in statuses:
        return ChannelState(state="given_up")
    if not tries:
        return ChannelState(state="due")
    last = max(tries, key=lambda item: (item.attempt, item.status is DeliveryStatus.failed))
    if last.status is DeliveryStatus.begun and now < last.at + LEASE:
        return ChannelState(state="waits", attempt=last.attempt)
    if last.attempt >= rules.attempts:
        return ChannelState(state="exhausted", attempt=last.attempt)
    ready = now >= last.at + backoff(last.attempt, rules)
    return ChannelState(state="due" if ready else "waits", attempt=last.attempt + 1)


def backoff(failures: int, rules: Pacing) -> timedelta:
    """How long the next attempt waits after so many failures."""
    doublings: int = 2 ** min(failures - 1, 30)
    return min(rules.first_retry * doublings, rules.longest_retry)


def route(channels: Sequence[str], urgency: Urgency, states: Mapping[str, ChannelState]) -> tuple[str, ...]:
    """The channels that a notice is in now: all of them where it is urgent, else the first that has not given up.

    Args:
        channels: somebody's, in order of preference.
        urgency: of the notice.
        states: of those that were tried.
    """
    open_ones = tuple(name for name in channels if name not in states or states[name].state != "given_up")
    if urgency is Urgency.urgent:
        return open_ones
    if any(state.state == "sent" for state in states.values()):
        return tuple(name for name in channels if name in states and states[name].state == "sent")[:1]
    return open_ones[:1]
