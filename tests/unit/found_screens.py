"""Scenes about what executors found: a few things by name and many by count, and what a system may call its things."""

from typing import Any

from policy.observed import Observed
from policy.screen import Screen
from policy.targets import ResolvedStep, ResolvedTarget, TargetResolution, in_order
from tests.unit.screens import DATABASE, DIGEST, NOW, RESET, SET, proposal_of, revision_of, screen_of

RESOLVED = {
    **DATABASE,
    "operations": {item.name: item.model_copy(update={"resolves": True}) for item in (SET, RESET)},
}


def observed(*targets: ResolvedTarget, problem: str = "") -> Observed:
    """What was observed, with what was found of the first step."""
    step = ResolvedStep(
        step=1,
        operation="postgres.parameter.set",
        executor="postgres",
        targets=in_order(targets),
        problem=problem,
    )
    found = TargetResolution(action_digest=DIGEST, at=NOW, resolved_by="executor@1", steps=(step,))
    return Observed(at=NOW, resolution=found)


def resolved() -> Screen:
    """Twelve databases behind one name: five by name, how many there are, and what two of them say of themselves."""
    targets = [
        ResolvedTarget(
            id=f"orders_{number:02}",
            resource="postgres/orders",
            environment="production",
            version="1",
            units=1,
            state={"work_mem": "4MB"} if number < 2 else {},
        )
        for number in range(12)
    ]
    value = proposal_of()
    return screen_of(value, revision_of(value, RESOLVED, observed(*targets)))


def hostile_found(text: str) -> dict[str, Any]:
    """What was observed where a target's system calls everything by a text."""
    hostile = ResolvedTarget(
        id=text or "x", resource="postgres/orders", environment=text or None, state={text[:50]: text}
    )
    return {"resolution": observed(hostile, ResolvedTarget(id="b", resource="postgres/orders")).resolution}


SCENES = {"resolved": resolved}
