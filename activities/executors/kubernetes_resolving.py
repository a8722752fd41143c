"""Which objects an order would touch: by kind, namespace and name, or every one of a kind in a namespace that matches.

- A selector that is given and empty matches nothing and is refused: to the API an empty one means everything. Left out,
  it narrows nothing, where the operation takes every object of a kind.
- What is not there is not touched: no object, no target.
- The environment is what the namespace's label says, or the object's own; where both say one, they must agree.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from activities.executors.base import Inquiry, PreconditionFailedError
from activities.executors.kubernetes_api import Cluster, Json, path_of
from activities.executors.kubernetes_changes import CORDON, RESTART_ALL, TAKES, UNCORDON, UNDO, goes_back_to
from activities.executors.kubernetes_objects import (
    NODE,
    Ref,
    environment_of,
    id_of,
    path_of_kind,
    state_of,
    text_at,
    units_of,
    version_of,
)
from activities.executors.kubernetes_revisions import listed
from activities.executors.kubernetes_settings import (
    ClusterSettings,
    Place,
    check_allowed,
    is_name,
    is_namespace,
    place_of,
)
from policy.targets import ResolvedTarget

_LABEL = r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
# Equality alone: what more the API understands is not needed, and easily read in another way.
_SELECTOR = re.compile(f"{_LABEL}={_LABEL}(?:,{_LABEL}={_LABEL}){{0,9}}")


@dataclass(frozen=True)
class Names:
    """What the parameters of an operation name; `name` None for every object of the kind."""

    kind: str
    namespace: str | None
    name: str | None
    selector: str | None = None

    def check(self, ref: Ref) -> None:
        """Refuse an object that they do not name.

        Raises:
            PreconditionFailedError: it is another one.
        """
        if (self.kind, self.namespace, self.name or ref.name) != (ref.kind, ref.namespace, ref.name):
            raise PreconditionFailedError(f"target {ref} is not what the parameters name")


def names_of(operation: str, parameters: Mapping[str, JsonValue]) -> Names:
    """What the parameters of an operation name.

    Raises:
        PreconditionFailedError: a parameter is missing, or cannot be a name.
    """
    if operation in (CORDON, UNCORDON):
        return Names(NODE, None, _name(parameters, "node"))
    kind, namespace = parameters.get("kind"), parameters.get("namespace")
    if kind not in TAKES[operation]:
        raise PreconditionFailedError(f"parameter kind = {kind!r:.60} is none of {', '.join(TAKES[operation])}")
    if not is_namespace(namespace):
        raise PreconditionFailedError(f"parameter namespace = {namespace!r:.80} is no name of a namespace")
    if operation != RESTART_ALL:
        return Names(str(kind), str(namespace), _name(parameters, "name"))
    return Names(str(kind), str(namespace), None, _selector(parameters))


class Resolver:
    """Finds objects in clusters, by the reading credentials."""

    def __init__(self, settings: Mapping[str, ClusterSettings], reading: Mapping[str, Cluster]) -> None:
        self._settings = settings
        self._reading = reading

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """The objects that an inquiry is about; see `Executor.resolve`."""
        names = names_of(inquiry.operation, inquiry.parameters)
        places = [place_of(resource, self._settings) for resource in inquiry.resources]
        if len({place.prefix for place in places}) != 1:
            raise PreconditionFailedError(
                f"{len(inquiry.resources)} resources are not of one cluster, which it must be"
            )
        settings, cluster = self._settings[places[0].prefix], self._reading[places[0].prefix]
        check_allowed(Ref(names.kind, names.namespace, names.name or ""), settings)
        home = await _read(cluster, f"/api/v1{path_of('namespaces', names.namespace)}") if names.namespace else {}
        if home is None:
            return ()
        found = [
            (place, ref, each)
            for ref, each in await self._objects(cluster, names)
            if (place := _holding(places, ref)) is not None
        ]
        return tuple([await self._target(cluster, settings, inquiry, *each, home) for each in found])

    async def _objects(self, cluster: Cluster, names: Names) -> list[tuple[Ref, Json]]:
        if names.name is not None:
            ref = Ref(names.kind, names.namespace, names.name)
            one = await _read(cluster, ref.path)
            return [] if one is None else [(ref, one)]
        every = await listed(cluster, path_of_kind(names.kind, names.namespace), names.selector)
        return [(Ref(names.kind, names.namespace, text_at(each, "metadata", "name")), each) for each in every]

    async def _target(
        self,
        cluster: Cluster,
        settings: ClusterSettings,
        inquiry: Inquiry,
        place: Place,
        ref: Ref,
        found: Json,
        home: Json,
    ) -> ResolvedTarget:
        state = state_of(ref, found)
        if inquiry.operation == UNDO:
            state["goes_back_to"] = await goes_back_to(cluster, ref, found, inquiry.parameters)
        return ResolvedTarget(
            id=id_of(ref, found),
            resource=place.resource,
            environment=environment_of(settings.environment_label, home, found),
            version=version_of(found),
            units=units_of(ref, found),
            state=state,
            object=f"kubernetes/{text_at(found, 'metadata', 'uid')}",
        )


async def _read(cluster: Cluster, path: str) -> Json | None:
    answer = await cluster.get(path)
    return None if answer is None else dict(answer.body)


def _holding(places: list[Place], ref: Ref) -> Place | None:
    """The narrowest place that an object is in."""
    holding = [place for place in places if place.holds(ref)]
    return max(holding, key=lambda place: len(place.within), default=None)


def _name(parameters: Mapping[str, JsonValue], name: str) -> str:
    value = parameters.get(name)
    if not is_name(value):
        raise PreconditionFailedError(f"parameter {name} = {value!r:.80} is no name of an object")
    return str(value)


def _selector(parameters: Mapping[str, JsonValue]) -> str | None:
    if "selector" not in parameters:
        return None
    value = parameters["selector"]
    if not isinstance(value, str) or _SELECTOR.fullmatch(value) is None:
        said = f"parameter selector = {value!r:.80} is no label=value,…"
        raise PreconditionFailedError(f"{said}: an empty one would mean every object, and matches nothing here")
    return value
