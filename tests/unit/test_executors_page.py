"""What `docs/executors.md` shows of entries and answers is what is read; the example's operations are registered."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from activities.executors.base import Order, TargetCredentials
from activities.executors.kinds import KINDS, make_executors
from activities.executors.temporal import TemporalExecutor, order_input
from activities.executors.temporal_answers import WorkerAnswer, WorkerTargets, WorkerValue
from activities.executors.temporal_settings import OperationWork, ProbeWork, TemporalSettings
from policy.operations import read_operations
from tests.unit.permitted import permit

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "executors.md").read_text()
TEMPORAL = PAGE.split("\n## Temporal\n")[1].split("\n## ")[0]


def _blocks(kind: str, text: str = TEMPORAL) -> list[Any]:
    return [json.loads(block) for block in re.findall(rf"^```json {kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)]


def test_every_kind_is_on_the_page() -> None:
    assert set(KINDS) <= set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))


@pytest.mark.parametrize("model", [WorkerAnswer, WorkerValue, WorkerTargets])
def test_the_answers_of_the_page_are_read(model: type[BaseModel]) -> None:
    """With every field that there is, so that nobody has to look for another."""
    [shown] = _blocks(model.__name__)

    assert set(model.model_validate_json(json.dumps(shown), strict=True).model_fields_set) == set(model.model_fields)


def test_the_order_of_the_page_is_what_a_worker_gets() -> None:
    [shown] = _blocks("order")
    sent = order_input(Order.under(permit().model_copy(update={"signed": "a.b.c"})))

    assert (set(shown), set(shown["order"])) == (set(sent), set(sent["order"]))


def test_every_setting_of_a_temporal_entry_is_on_the_page() -> None:
    rows = {
        name
        for row in re.findall(r"^\| ((?:… )?`[^|]*) \|", TEMPORAL, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    named = {*rows, *re.findall(r"`(\w+)`", TEMPORAL)}

    assert set(TemporalSettings.model_fields) <= rows
    assert {*OperationWork.model_fields, *ProbeWork.model_fields} <= named


def test_the_entry_of_the_page_does_what_the_registry_registers() -> None:
    """The operations and probes of the example are those of `operations/temporal.yaml`, and of the example's worker."""
    [entry] = _blocks("entry")
    made = make_executors(entry, TargetCredentials({}))["site"]
    registry = read_operations((ROOT / "operations" / "temporal.yaml").read_bytes())
    ours = [item for item in registry.operations if item.executor == "site"]
    source = (ROOT / "examples" / "executor-typescript" / "src" / "activities.ts").read_text()

    assert isinstance(made, TemporalExecutor)
    assert {item.name for item in ours} == made.supports.operations
    assert {item.name for item in registry.probes if item.executor == "site"} == made.supports.probes
    assert all(f"'{item.name}'" in source for item in ours)
