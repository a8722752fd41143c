"""What one run remembers of its case, and what it shows: state, plan, stops, and everything that a client may read.

Nothing here decides: the state moves by `policy/lifecycle.py`, all else is what an activity said last.
"""

from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import Priority

with workflow.unsafe.imports_passed_through():
    from policy import search_attributes
    from policy.base import instant_text
    from policy.lifecycle import Event, State, follow
    from policy.undecided import WORDS
    from workflows import view
    from workflows.attributes import update_of
    from workflows.messages import ExecuteResult, Plan


class Case:
    """The memory of a run."""

    def __init__(self) -> None:
        self.state = State.assessing
        self.view = view.View()
        self.stop = False
        self.stop_noted = False
        self.revoked = False
        self.accepted = False
        self.told: list[ExecuteResult] = []
        self.woken = False
        self._plan: Plan | None = None
        self._attributes: dict[str, Any] = {}

    @property
    def plan(self) -> Plan:
        """How the action goes on; there is one once it was assessed and is not over."""
        assert self._plan is not None
        return self._plan

    @property
    def planned(self) -> bool:
        """Whether the action goes on."""
        return self._plan is not None

    @property
    def priority(self) -> Priority:
        """Which activities this one's overtake; the server's default where the plan says nothing."""
        plan = self._plan
        if plan is None or plan.priority is None:
            return Priority.default
        return Priority(priority_key=plan.priority, fairness_key=plan.fairness_key)

    def begin(self, plan: Plan) -> None:
        """The action goes on, by this plan."""
        self._plan = plan
        if plan.stopped:
            self.stop = self.stop_noted = True
        self.revoked = plan.revoked
        self.view.begin(plan)

    def revoke(self) -> None:
        """Somebody revoked the action, and the record has it: what runs ends, and what was done is undone."""
        self.stop = self.stop_noted = self.revoked = True

    def judged_until(self, until: datetime) -> None:
        """Show that people are asked what becomes of what nobody can tell, and until when."""
        assert self.plan.judging is not None
        then = WORDS[self.plan.judging.on_expiry]
        self.view.judged = f"somebody who accepts or revokes it until {instant_text(until)}; then {then}"
        self.view.judged_until = until
        if search_attributes.STATE in self._attributes:
            self.show(
                {search_attributes.STATE: str(State.judging), search_attributes.NEXT_DEADLINE: instant_text(until)}
            )
        else:
            self.details()

    def follow(self, event: Event) -> None:
        """Move to the next state."""
        self.state = follow(self.state, event)
        self.details()

    def wait_for(self, what: str) -> None:
        """Show what it waits for before it may run; nothing where it does not wait any more."""
        if what == self.view.waits_for:
            return
        self.view.waits_for = what
        if search_attributes.STATE in self._attributes:
            self.show({search_attributes.STATE: search_attributes.QUEUED if what else str(State.executing)})
        else:
            self.details()

    def show(self, attributes: dict[str, Any]) -> None:
        """Set what changed of the search attributes that an activity computed, cut to size and known to the server."""
        known = {name: value for name, value in attributes.items() if name in search_attributes.TYPES}
        updates = [update_of(*item) for item in known.items() if item not in self._attributes.items()]
        self._attributes |= known
        if updates:
            workflow.upsert_search_attributes(updates)
        self.details()

    def details(self) -> None:
        """Render the details that the Temporal UI shows."""
        workflow.set_current_details(self.view.markdown(self.state))
