"""Where an ordeal acts: real targets, each with an executor of ours before it, and what the target itself has counted.

A place runs in the process of the test and outlives every worker. What goes wrong between a worker and the target is
made there where the target is (`arrange`), as far as it can be; the rest is made at the adapter (`disturbing.py`).
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from tests.faults.governed import DIRECTORY, catalog, document, resource

POLICY = document(
    "PolicyDocument",
    "places",
    """
unsigned: [{}]
rules: [{id: all, match: {environments: [production]}, verdict: allow}]
""",
)
ENVIRONMENT = "production"
# Permit id -> whether it is of an undo.
Permits = Mapping[str, bool]


class Place(ABC):
    """One target. `wired` are the faults that `arrange` makes at the target, of the effect and of the undo."""

    name: str
    resource: str
    operation: str
    undo: str
    probe: str
    registry: str
    wired: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.key = f"k{uuid4().hex[:10]}"

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """What an operator writes for the executor: `executors`, and `urls` and `readers` of the targets."""

    @abstractmethod
    def parameters(self, *, undo: bool = False) -> dict[str, Any]:
        """Of the step, or of what undoes it."""

    @abstractmethod
    def criterion(self, *, fails: bool) -> dict[str, Any]:
        """What is measured afterwards."""

    @abstractmethod
    async def counted(self, permits: Permits) -> tuple[int, int]:
        """How many effects and how many undos the target has seen, by its own count."""

    def log(self) -> Counter[str]:
        """What the target's own log has, by permit; where the target knows the permit."""
        raise AssertionError(f"{self.name} does not count by permit")

    async def another(self, number: int) -> "Place":
        """One more target at the same server, so that nobody who acts on one waits for another; where there can be."""
        raise AssertionError(f"{self.name} has one target, and was asked for number {number}")

    def arrange(self, fault: str, *, undo: bool) -> None:
        """Let the next effect, or the next undo, meet a fault of `wired`."""
        raise AssertionError(f"{fault} cannot be had at {self.name}: make it at the adapter (undo: {undo})")

    def met(self) -> bool:
        """Whether what was arranged has happened."""
        return True

    @property
    def documents(self) -> tuple[bytes, ...]:
        """The governed documents."""
        operations = document("OperationsRegistry", "places", self.registry)
        return POLICY, operations, DIRECTORY, catalog(resource("place", self.resource, environment=ENVIRONMENT))

    def proposal(self, proposal_id: str, *, fails: bool) -> dict[str, Any]:
        """To do it once, and undo it where it fails."""
        step = {
            "name": "step",
            "operation": self.operation,
            "parameters": self.parameters(),
            "timeout_seconds": 8,
            "undo": {"operation": self.undo, "parameters": self.parameters(undo=True), "timeout_seconds": 8},
        }
        return {
            "api_version": "countersign/v1",
            "proposal_id": proposal_id,
            "operation": self.operation,
            "target": "resource:place",
            "environment": ENVIRONMENT,
            "agent": {"id": "agent:bot", "confidence": 0.9},
            "on_behalf_of": "person:anna",
            "rationale": "to see whether it happens once",
            "steps": [step],
            "success_criteria": [{**self.criterion(fails=fails), "within_seconds": 1}],
        }
