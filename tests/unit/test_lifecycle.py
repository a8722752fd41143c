"""The states of an action: every event in every state."""

from pathlib import Path

import pytest

from policy.errors import TransitionError
from policy.lifecycle import TRANSITIONS, Event, State, follow, page

_PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_event_in_every_state(state: State, event: Event) -> None:
    """An event leads where the table says; one that the table does not have raises and changes nothing."""
    before = {at: dict(ways) for at, ways in TRANSITIONS.items()}
    if event in TRANSITIONS[state]:
        assert follow(state, event) is TRANSITIONS[state][event]
    else:
        with pytest.raises(TransitionError, match=f"event {event} is illegal in state {state} "):
            follow(state, event)
    assert before == TRANSITIONS


def test_every_state_and_event_is_used() -> None:
    """The table has every state, reaches each from the first, and uses every event."""
    reached = {State.assessing}
    for _ in State:
        reached |= {after for state in reached for after in TRANSITIONS[state].values()}
    assert set(TRANSITIONS) == set(State) == reached
    assert {event for ways in TRANSITIONS.values() for event in ways} == set(Event)


def test_every_state_can_end() -> None:
    """From every state there is a way to the end, and the end is final."""
    ends = {State.closed}
    for _ in State:
        ends |= {state for state, ways in TRANSITIONS.items() if ends & set(ways.values())}
    assert ends == set(State)
    assert [state for state, ways in TRANSITIONS.items() if not ways] == [State.closed]


def test_nothing_runs_without_a_permit() -> None:
    """The only way into execution is a permit, and the only way to a permit is an approval or an allowing verdict."""
    into = {
        state: {e for ways in TRANSITIONS.values() for e, after in ways.items() if after is state} for state in State
    }
    assert into[State.executing] == {Event.permitted}
    assert into[State.dispatching] == {Event.approved, Event.allowed, Event.step_done}


def test_page_is_the_table() -> None:
    """docs/lifecycle.md is what the table generates."""
    again = "python -c 'from policy.lifecycle import page; print(page(), end=\"\")' > docs/lifecycle.md"
    assert _PAGE.read_text() == page(), f"write it again: {again}"
