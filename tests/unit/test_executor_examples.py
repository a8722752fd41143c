"""The example of an operator's file: entries that can be used, for what the registries that ship declare."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from activities.executors.command_settings import CommandSettings
from activities.executors.http_settings import HttpSettings
from activities.executors.kinds import KINDS
from activities.executors.values import Choice
from activities.settings_keys import executors
from policy.operations import Probe, RegisteredOperation, read_operations
from policy.parameter_types import Parameter

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "executors.json"
GIVEN = json.loads(EXAMPLE.read_text())
MODELS: Mapping[str, Any] = {"http": HttpSettings, "command": CommandSettings}
REGISTRY = read_operations(b"---\n".join(path.read_bytes() for path in sorted((ROOT / "operations").glob("*.yaml"))))


BLOCK = re.compile(r"^```json entry\n(.*?)^```", re.DOTALL | re.MULTILINE)
SECRET = f"whsec_{base64.b64encode(bytes(32)).decode()}"


def _read(name: str) -> Any:
    return MODELS[name].model_validate_json(json.dumps({k: v for k, v in GIVEN[name].items() if k != "kind"}))


def _entries(table: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Parameter]]]:
    """Each entry with all of its parameters, that by which it is chosen among them."""
    for name, entry in table.items():
        if not isinstance(entry, Choice):
            yield name, entry.parameters
            continue
        for one in entry.among.values():
            yield name, {**one.parameters, entry.choose: Parameter(type="string")}


def test_the_file_can_be_read_as_an_operator_would_have_it_read() -> None:
    assert set(executors(str(EXAMPLE))) == set(MODELS)
    assert {entry["kind"] for entry in GIVEN.values()} <= set(KINDS)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_an_entry_takes_what_the_registry_declares(name: str) -> None:
    """Each operation and probe is in a registry that ships, for this executor, and has the same parameters."""
    settings = _read(name)
    declared: dict[str, RegisteredOperation | Probe] = {item.name: item for item in REGISTRY.operations}
    declared |= {item.name: item for item in REGISTRY.probes}
    found = [*_entries(settings.operations), *_entries(settings.probes)]

    assert len(found) > 5
    for operation, parameters in found:
        item = declared[operation]
        assert item.executor == name
        assert {key: (one.type, one.secret) for key, one in parameters.items()} == {
            key: (one.type, one.secret) for key, one in item.parameters.items() if key in parameters
        }
        missing = {key for key, one in item.parameters.items() if one.required} - set(parameters)
        assert not missing


def test_the_entries_of_the_page_can_be_used() -> None:
    """What `docs/executors.md` shows of these kinds is no sketch."""
    page = (ROOT / "docs" / "executors.md").read_text().replace("whsec_…", SECRET).replace("Bearer …", "Bearer x")
    blocks = [json.loads(block) for block in BLOCK.findall(page)]
    entries = [entry for block in blocks for entry in block.values() if isinstance(entry, dict)]
    shown = [entry for entry in entries if entry.get("kind") in MODELS]

    assert {entry["kind"] for entry in shown} == set(MODELS)
    for entry in shown:
        MODELS[entry.pop("kind")].model_validate_json(json.dumps(entry))


def test_every_probe_that_ships_for_these_executors_has_an_example() -> None:
    for name in MODELS:
        wanted = {probe.name for probe in REGISTRY.probes if probe.executor == name}
        assert wanted == set(_read(name).probes)
