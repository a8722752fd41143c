"""OpenSLO v1 documents: which objectives somebody declared for a service.

- Of `kind: SLO` the service and the objectives' targets are read, as `target` (0 to 1) or `targetPercent`; other kinds
  of OpenSLO and other versions are skipped, and that is said.
- `spec.service` is a reference to an entity (kind component, namespace default unless given).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from policy.base import RecordModel
from policy.catalogs.entities import mapping, reference, text_of
from policy.errors import DocumentError

_DIGITS = 12


class SloObjective(RecordModel):
    """An objective of an SLO that the catalog names: `objective` is 0..1, for example 0.999."""

    name: str
    objective: float


class ServiceObjectives(NamedTuple):
    """The objectives that one SLO declares for an entity."""

    service: str
    name: str
    objectives: tuple[SloObjective, ...]


def read_slo(where: str, value: Mapping[str, Any]) -> ServiceObjectives:
    """Read a document of kind SLO.

    Raises:
        DocumentError: names the field and the fix.
    """
    spec = mapping(where, value, "spec")
    name = text_of(where, mapping(where, value, "metadata"), "name")
    service, given = text_of(where, spec, "service"), spec.get("objectives")
    if name is None or service is None:
        raise DocumentError(f"{where}: {'metadata.name' if name is None else 'spec.service'} is missing")
    if not isinstance(given, list) or not given or not all(isinstance(item, dict) for item in given):
        raise DocumentError(f"{where}: spec.objectives is not a list of objectives, give one with a target")
    found = [_objective(where, name, number, item) for number, item in enumerate(given, start=1)]
    if len(found) == 1:
        found = [SloObjective(name=name, objective=found[0].objective)]
    return ServiceObjectives(reference(where, service, "component"), name, tuple(found))


def _objective(where: str, name: str, number: int, value: Mapping[str, Any]) -> SloObjective:
    told = [round(_number(where, value, field) / unit, _DIGITS) for field, unit in _UNITS.items() if field in value]
    if not told:
        raise DocumentError(f"{where}: objective {number} has no target, give it one between 0 and 1")
    if len(set(told)) > 1 or not 0 <= told[0] <= 1:
        raise DocumentError(f"{where}: objective {number} has target {told[0]}, give it one between 0 and 1")
    return SloObjective(name=f"{name}/{text_of(where, value, 'displayName') or number}", objective=told[0])


_UNITS = {"target": 1, "targetPercent": 100}


def _number(where: str, value: Mapping[str, Any], field: str) -> float:
    found = value[field]
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise DocumentError(f"{where}: {field} = {repr(found)[:60]} is not a number")
    return float(found)
