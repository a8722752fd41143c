"""The states of an action and the only ways between them.

Rule 1: everything that moves an action from state to state is in this table.
Rule 2: an event that the table does not have raises and changes nothing.
Rule 3: a final state has no way out; what comes later is a new action.

The diagram in `docs/lifecycle.md` is generated from this table.
"""

from collections.abc import Mapping
from enum import StrEnum

from policy.errors import TransitionError


class State(StrEnum):
    assessing = "assessing"
    pending = "pending"
    dispatching = "dispatching"
    executing = "executing"
    judging = "judging"
    compensating = "compensating"
    recording = "recording"
    closed = "closed"


class Event(StrEnum):
    refused = "refused"
    denied = "denied"
    allowed = "allowed"
    approval_required = "approval_required"
    approved = "approved"
    expired = "expired"
    withdrawn = "withdrawn"
    permitted = "permitted"
    dispatch_refused = "dispatch_refused"
    returned = "returned"
    step_done = "step_done"
    steps_done = "steps_done"
    step_failed = "step_failed"
    effect_unknown = "effect_unknown"
    never_started = "never_started"
    stopped = "stopped"
    left_as_is = "left_as_is"
    undecided = "undecided"
    accepted = "accepted"
    lapsed = "lapsed"
    undone = "undone"
    undo_failed = "undo_failed"
    recorded = "recorded"


TRANSITIONS: Mapping[State, Mapping[Event, State]] = {
    State.assessing: {
        Event.refused: State.closed,
        Event.denied: State.closed,
        Event.allowed: State.dispatching,
        Event.approval_required: State.pending,
        # A second start of an approved action picks it up where the record is.
        Event.approved: State.dispatching,
        Event.recorded: State.closed,
    },
    State.pending: {
        Event.approved: State.dispatching,
        Event.denied: State.recording,
        Event.expired: State.recording,
        Event.withdrawn: State.recording,
    },
    State.dispatching: {
        Event.permitted: State.executing,
        Event.dispatch_refused: State.recording,
        # What closed the gate is for people to cure: they are asked again.
        Event.returned: State.pending,
        Event.step_failed: State.compensating,
        Event.withdrawn: State.recording,
        Event.stopped: State.compensating,
        # The approved verb of a stop is to ask people: nothing is undone by itself.
        Event.left_as_is: State.recording,
    },
    State.executing: {
        Event.step_done: State.dispatching,
        Event.steps_done: State.recording,
        Event.step_failed: State.compensating,
        Event.effect_unknown: State.recording,
        Event.never_started: State.recording,
        Event.stopped: State.compensating,
        # The approved verb of a stop is to ask people: nothing is undone by itself.
        Event.left_as_is: State.recording,
        # Nobody can tell whether what was done is good: people say, or their time is over.
        Event.undecided: State.judging,
    },
    State.judging: {
        Event.accepted: State.recording,
        Event.stopped: State.compensating,
        Event.lapsed: State.compensating,
        Event.left_as_is: State.recording,
    },
    State.compensating: {
        Event.undone: State.recording,
        Event.undo_failed: State.recording,
    },
    State.recording: {Event.recorded: State.closed},
    State.closed: {},
}


def follow(state: State, event: Event) -> State:
    """The state after an event.

    Raises:
        TransitionError: the table has no such transition.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        allowed = ", ".join(TRANSITIONS[state]) or "none"
        raise TransitionError(f"event {event} is illegal in state {state} (allowed: {allowed})") from None


def page() -> str:
    """The text of `docs/lifecycle.md`."""
    return f"""# The lifecycle of an action

Generated from `policy/lifecycle.py`, which is all that moves an action from state to state. An event that a state does
not have here changes nothing.

```mermaid
{diagram()}
```
"""


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.assessing}"]
    for state, events in TRANSITIONS.items():
        ways: dict[State, list[str]] = {}
        for event, after in events.items():
            ways.setdefault(after, []).append(event)
        lines += [f"    {state} --> {after}: {', '.join(found)}" for after, found in ways.items()]
    lines += [f"    {state} --> [*]" for state, events in TRANSITIONS.items() if not events]
    return "\n".join(lines)
