"""What executors found, for the tests of the rules: a registry with an operation that is resolved, and its facts."""

from datetime import datetime
from functools import cache
from typing import Any

from policy.facts import Facts, collect
from policy.observed import Observed
from policy.operations import OperationsRegistry, read_operations
from policy.proposal import ActionProposal
from policy.targets import Capability, Declared, ResolvedStep, ResolvedTarget, TargetResolution, in_order
from tests.unit.builders import OPERATIONS, T0, a_catalog, a_directory

DIGEST = f"sha256:{'0' * 64}"
SHOP = "pg-orders"


@cache
def registry(*more: str) -> OperationsRegistry:
    """The small registry, in which setting and resetting is resolved; with these fields of setting besides."""
    fields = "".join(f"    {line}\n" for line in ("resolves: true", *more))
    text = OPERATIONS.replace(b"name: pg.set\n", b"name: pg.set\n" + fields.encode())
    return read_operations(text.replace(b"{name: pg.reset, ", b"{name: pg.reset, resolves: true, "))


def target(name: str = "a", **more: Any) -> ResolvedTarget:
    """One thing in the database of the orders."""
    return ResolvedTarget(**{"id": name, "resource": SHOP, **more})


def step(*targets: ResolvedTarget, number: int = 1, problem: str = "", operation: str = "pg.set") -> ResolvedStep:
    """What was found of a step."""
    return ResolvedStep(
        step=number, operation=operation, executor="postgres", targets=in_order(targets), problem=problem
    )


def found(*steps: ResolvedStep, at: datetime = T0, **more: Any) -> TargetResolution:
    """What executors found."""
    return TargetResolution(**{"action_digest": DIGEST, "at": at, "resolved_by": "worker-1", "steps": steps, **more})


def declared(*capabilities: Capability, executor: str = "postgres") -> Declared:
    """What an executor says of itself."""
    return Declared(executor=executor, capabilities=capabilities)


def facts_with(
    proposal: ActionProposal,
    resolution: TargetResolution | None,
    *,
    known: OperationsRegistry | None = None,
    **observed: Any,
) -> Facts:
    """What the small world knows of a proposal, with what was found."""
    seen = Observed(**{"at": T0, "resolution": resolution, **observed})
    return collect(proposal, catalog=a_catalog(), directory=a_directory(), registry=known or registry(), observed=seen)
