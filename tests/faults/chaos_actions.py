"""The many actions of the chaos run: kinds, what is proposed of each, and how each may end.

Each has a target of its own, so that a hold on one stops no other, except those of the kind `crowd`, which share a few
and wait for each other there. What is measured at the target decides whether an action fails.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.faults.afterwards import PEOPLE as KEYED
from tests.faults.governed import catalog, document, resource
from tests.faults.place import ENVIRONMENT, Place

# What was never claimed never ran; what nobody can know is on hold; what a halt or a kill ended while it ran or was
# measured is undone.
_NOBODY_KNOWS = ("approved/outcome_unknown", "approved/not_executed")
_CUT_SHORT = ("approved/compensated (stopped)", "approved/compensated (unclear)")
RAN = ("approved/succeeded", *_CUT_SHORT, *_NOBODY_KNOWS)
UNDONE = ("approved/compensated", *_CUT_SHORT, *_NOBODY_KNOWS)
_WITHDRAWN = "withdrawn/not_executed"
# kind -> how much of it there is, and how such an action may end.
KINDS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "allowed": (4, RAN),
    "asked": (4, RAN),
    "failing": (4, UNDONE),
    "barred": (1, ("denied/not_executed",)),
    "disliked": (2, ("denied/not_executed",)),
    "ignored": (2, ("expired/not_executed",)),
    "withdrawn": (2, (_WITHDRAWN,)),
    "revoked": (1, (_WITHDRAWN,)),
    # Stopped while it runs; whoever comes too late stops nothing.
    "stopped": (2, (*RAN, "approved/compensated", _WITHDRAWN)),
    # Nobody can tell whether it is good: people accept it, or say nothing in time.
    "accepted": (2, ("approved/inconclusive", *UNDONE)),
    "lapsed": (2, UNDONE),
    # Three objects, one after the other, measured in between.
    "staged": (3, RAN),
    "crowd": (3, (*RAN, "expired/not_executed")),
    # Through real executors.
    "http": (3, RAN),
    "command": (3, RAN),
    "postgres": (3, RAN),
    "temporal": (3, RAN),
}
PLACED = ("http", "command", "postgres", "temporal")
VOTES = {"asked": ("approve", "approve"), "disliked": ("approve", "deny")}
_CROWDED = 4
_FAILS_EACH = 3
POLICY = document(
    "PolicyDocument",
    "chaos",
    """
unsigned: [{}]
permit_ttl: 90s
inconclusive: {within: 12s, on_expiry: compensate}
unresolved: {chain: one}
halt: {who: {groups: [oncall]}, release: {groups: [oncall, dba]}}
limits:
  - {id: barred, match: {environments: [barred]}, reason: nothing happens here}
rules:
  - id: allowed
    match: {environments: [allowed, failing, stopped, accepted, lapsed, staged, crowd, production]}
    verdict: allow
  - {id: asked, match: {environments: [asked, disliked, withdrawn, revoked]}, verdict: require_approval, chain: two}
  - {id: ignored, match: {environments: [ignored]}, verdict: require_approval, chain: brief}
chains:
  two:
    stages:
      - {name: first, requirements: [{groups: [oncall]}], deadline: 1h, reminders: [2s]}
      - {name: second, requirements: [{groups: [dba]}], deadline: 1h}
  one: {stages: [{name: only, requirements: [{groups: [oncall]}], deadline: 1h}]}
  brief: {stages: [{name: only, requirements: [{groups: [dba]}], deadline: 5s, reminders: [2s]}]}
""",
)
OPERATIONS = document(
    "OperationsRegistry",
    "counting",
    """
operations:
  - {name: count.row.add, executor: counting, severity: 10, inverse: [count.row.remove]}
  - {name: count.row.remove, executor: counting, severity: 10, needs_no_undo: true}
  - {name: count.rows.add, executor: counting, severity: 10, resolves: true, inverse: [count.rows.remove]}
  - {name: count.rows.remove, executor: counting, severity: 10, resolves: true, needs_no_undo: true}
""",
)


@dataclass(frozen=True)
class Action:
    """One of the many."""

    kind: str
    number: int
    place: Place | None = None

    @property
    def proposal_id(self) -> str:
        return f"{self.kind}-{self.number}"

    @property
    def target(self) -> str:
        """The name of its target in the catalog."""
        return f"crowd-{self.number % _CROWDED}" if self.kind == "crowd" else self.proposal_id

    @property
    def resource(self) -> str:
        """The id of its target."""
        return self.place.resource if self.place is not None else f"target/{self.target}"

    @property
    def fails(self) -> bool:
        """Whether what is measured afterwards says that it failed."""
        return self.kind == "failing" or (self.place is not None and self.number % _FAILS_EACH == 0)

    @property
    def ends(self) -> tuple[str, ...]:
        """How it may end, as resolution/outcome."""
        return UNDONE if self.fails else KINDS[self.kind][1]

    def proposal(self) -> dict[str, Any]:
        """What is proposed."""
        if self.place is not None:
            body = self.place.proposal(self.proposal_id, fails=self.fails)
            return {**body, "target": f"resource:{self.target}"}
        rows = "rows" if self.kind == "staged" else "row"
        step = {
            "name": "add",
            "operation": f"count.{rows}.add",
            "timeout_seconds": 10,
            "undo": {"operation": f"count.{rows}.remove", "timeout_seconds": 10},
        }
        return {
            "api_version": "countersign/v1",
            "proposal_id": self.proposal_id,
            "operation": f"count.{rows}.add",
            "target": f"resource:{self.target}",
            "environment": self.kind,
            "agent": {"id": "agent:bot", "confidence": 0.9},
            "on_behalf_of": "person:anna",
            "rationale": "to see what is left of it",
            "steps": [{**step, "one_by_one": True} if self.kind == "staged" else step],
            "success_criteria": [self._criterion()],
        }

    def _criterion(self) -> dict[str, Any]:
        read = {"probe": "count.row.present", "within_seconds": 1}
        if self.kind in ("accepted", "lapsed"):
            # What is read is neither.
            return {**read, "equals": False, "failure": {"equals": "gone"}}
        return {**read, "equals": not self.fails}

    def entity(self) -> str:
        """Its target in the catalog."""
        return resource(self.target, self.resource, environment=ENVIRONMENT if self.place is not None else self.kind)


async def actions(count: int, source: random.Random, places: Mapping[str, Place]) -> list[Action]:
    """So many actions of all kinds, those that run something more often; real executors at these places."""
    weights = {kind: weight for kind, (weight, _) in KINDS.items() if kind not in PLACED or kind in places}
    kinds = source.choices(list(weights), weights=list(weights.values()), k=count)
    return [
        Action(kind, number, await places[kind].another(number) if kind in places else None)
        for number, kind in enumerate(kinds)
    ]


def documents(several: Iterable[Action]) -> tuple[bytes, ...]:
    """The governed documents for these actions."""
    every = list(several)
    registries = {action.place.name: action.place.registry for action in every if action.place is not None}
    operations = b"---\n".join(
        [OPERATIONS, *(document("OperationsRegistry", name, body) for name, body in registries.items())]
    )
    return POLICY, operations, KEYED.encode(), catalog(*dict.fromkeys(action.entity() for action in every))
