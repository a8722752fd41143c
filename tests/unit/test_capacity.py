"""How much of a target an action takes, by whoever would like to take more than that."""

from typing import Any

import pytest

from policy.canonical import canonical
from policy.catalog import read_catalog
from policy.errors import DocumentError
from policy.facts import Facts, collect
from policy.observed import Observed
from policy.operations import read_operations
from tests.unit.builders import T0, a_directory, a_proposal

_REGISTRY = b"""
apiVersion: countersign/v1
kind: OperationsRegistry
metadata: {name: operations, version: "1"}
operations:
  - name: x.scale
    executor: x
    severity: 10
    inverse: [x.scale, x.wake]
    counts: {parameter: count}
    parameters: {count: {type: integer}}
  - {name: x.wake, executor: x, severity: 10}
"""
_TARGET = """
kind: Component
metadata: {name: orders, annotations: {countersign/resource-id: one, countersign/units: "%s"}}
spec: {system: shop}
---
kind: System
metadata: {name: shop}
spec: {}
"""


def _facts(*steps: tuple[int, str, int | None], units: str = "10", target: str = "orders") -> Facts:
    """What is known of steps that scale, each with its number and its undo's operation and number."""
    listed: list[dict[str, Any]] = [
        {
            "name": f"step-{number}",
            "operation": "x.scale",
            "parameters": {"count": count},
            "undo": {"operation": undo, "parameters": {} if back is None else {"count": back}},
        }
        for number, (count, undo, back) in enumerate(steps, start=1)
    ]
    return collect(
        a_proposal(operation="x.scale", steps=listed, target=target),
        catalog=read_catalog((_TARGET % units).encode()),
        directory=a_directory(),
        registry=read_operations(_REGISTRY),
        observed=Observed(at=T0),
    )


@pytest.mark.parametrize(
    ("steps", "share"),
    [
        ([(2, "x.scale", 1)], 0.2),
        ([(1, "x.scale", 9)], 0.9),
        ([(1, "x.scale", 3), (1, "x.scale", 4)], 0.7),
        ([(1, "x.wake", None)], 0.1),
        ([(1, "x.scale", None)], None),
    ],
    ids=["the steps take more", "the undo takes more", "the undos together", "an undo that counts nothing", "unsaid"],
)
def test_an_undo_takes_as_much_as_if_it_were_proposed_itself(
    steps: list[tuple[int, str, int | None]], share: float | None
) -> None:
    """A cap on the share holds for what comes by way of the undo, too."""
    assert _facts(*steps).share == share


@pytest.mark.parametrize("target", ["orders", "system:shop"])
def test_what_is_taken_can_always_be_written_down(target: str) -> None:
    """Numbers that are valid alone add up to none that the record refuses, which would wedge the assessment."""
    most = 2**53 - 1
    facts = _facts((most, "x.scale", most), (most, "x.scale", most), units="1e9", target=target)
    assert facts.share == 1.0
    assert canonical(facts.model_dump(mode="json"))


@pytest.mark.parametrize("units", ["1e300", "inf", "nan", "-1", "0", "1e10"])
def test_a_capacity_that_no_target_has_is_refused(units: str) -> None:
    """Whoever owns a target makes no share small, and no record unwritable, by how large it says it is."""
    with pytest.raises(DocumentError, match="countersign/units"):
        read_catalog((_TARGET % units).encode())
