"""What is read of an object: its name, whether it is the same one, what must not change, what people are shown.

- An object is named `kind/namespace/name@uid`; a node `node/name@uid`. The uid tells it from one that was deleted and
  made again under the same name.
- Its version is a digest of its spec. The resourceVersion changes with every heartbeat of a controller, and a
  generation with an annotation; the spec is what was looked at when somebody said yes. A write names the
  resourceVersion in which that spec was read, so nothing comes between.
- Who wrote last under a permit stands in annotations of the object, written in the same write as the effect:
  `countersign/permit` is the id of the last one, `countersign/permits-before` the ids of the seven before it, newest
  first, and `countersign/wrote` which operation that was, what it left where, and what was there before.
- What cannot be read is an error. A count that the API leaves out is 0; a status that is not there is no count.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from activities.executors.base import PreconditionFailedError
from activities.executors.kubernetes_api import Json, path_of
from policy.canonical import digest_of
from policy.errors import CanonicalError

NODE = "node"
DEPLOYMENT, STATEFULSET, DAEMONSET, REPLICASET = "deployment", "statefulset", "daemonset", "replicaset"
_APPS, _CORE = "/apis/apps/v1", "/api/v1"
# Kinds that can be acted on, by the word of the operations registry: where they are served, and in the plural.
_SERVED: Mapping[str, tuple[str, str]] = {
    DEPLOYMENT: (_APPS, "deployments"),
    STATEFULSET: (_APPS, "statefulsets"),
    DAEMONSET: (_APPS, "daemonsets"),
    REPLICASET: (_APPS, "replicasets"),
    NODE: (_CORE, "nodes"),
}
PERMIT, BEFORE, WROTE = "countersign/permit", "countersign/permits-before", "countersign/wrote"
_REMEMBERED = 7
REVISION = "deployment.kubernetes.io/revision"
_IMAGES = 10


@dataclass(frozen=True)
class Ref:
    """The name of an object; a node has no namespace."""

    kind: str
    namespace: str | None
    name: str

    @property
    def path(self) -> str:
        """Where the API serves it."""
        return path_of_kind(self.kind, self.namespace) + path_of(self.name)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.kind, self.namespace, self.name)))


def path_of_kind(kind: str, namespace: str | None) -> str:
    """Where the API serves the objects of a kind in a namespace.

    Raises:
        PreconditionFailedError: the kind is none that can be acted on.
    """
    if kind not in _SERVED:
        raise PreconditionFailedError(f"kind {kind!r:.60} is none of {', '.join(_SERVED)}")
    prefix, plural = _SERVED[kind]
    return prefix + path_of(*(("namespaces", namespace) if namespace is not None else ()), plural)


def id_of(ref: Ref, found: Json) -> str:
    """The id of an object that was read."""
    return f"{ref}@{text_at(found, 'metadata', 'uid')}"


def ref_of(target_id: str) -> tuple[Ref, str]:
    """The name and the uid in an id.

    Raises:
        PreconditionFailedError: it is none of ours.
    """
    name, _, uid = target_id.rpartition("@")
    parts = name.split("/")
    if uid and all(parts) and parts[0] in _SERVED:
        if parts[0] == NODE and len(parts) == 2:  # noqa: PLR2004 - kind and name
            return Ref(NODE, None, parts[1]), uid
        if parts[0] != NODE and len(parts) == 3:  # noqa: PLR2004 - kind, namespace and name
            return Ref(*parts), uid
    raise PreconditionFailedError(f"target {target_id!r:.120} is no kind/namespace/name@uid")


def version_of(found: Json) -> str:
    """What must not change until the effect: its spec, as a digest."""
    return digest_at(found, "spec")


def digest_at(found: Json, *keys: str) -> str:
    """The digest of a part of an object.

    Raises:
        PreconditionFailedError: the object has no such part.
    """
    part = at(found, *keys)
    if part is None:
        raise PreconditionFailedError(f"the object has no {'.'.join(keys)}")
    try:
        return digest_of(part)
    except CanonicalError as error:
        raise PreconditionFailedError(f"{'.'.join(keys)} cannot be read: {error}") from None


def at(found: Any, *keys: str) -> Any:
    """A part of an object; None where it has none."""
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def text_at(found: Json, *keys: str) -> str:
    """A text of an object.

    Raises:
        PreconditionFailedError: it has none there.
    """
    value = at(found, *keys)
    if not isinstance(value, str) or not value:
        raise PreconditionFailedError(f"the object has no {'.'.join(keys)}")
    return value


def count_at(found: Json, *keys: str) -> int | None:
    """A count of an object; None where it has none, or something else."""
    value = at(found, *keys)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def annotations_of(found: Json) -> Mapping[str, str]:
    """The annotations of an object."""
    value = at(found, "metadata", "annotations")
    return value if isinstance(value, dict) else {}


def environment_of(label: str | None, *found: Json) -> str | None:
    """The environment that the objects say by a label, which must not be two; None where none says one.

    Raises:
        PreconditionFailedError: they say two.
    """
    said = {value for each in found if label and isinstance(value := at(each, "metadata", "labels", label), str)}
    if len(said) > 1:
        raise PreconditionFailedError(f"label {label} says two environments: {', '.join(sorted(said))}")
    return next(iter(said), None)


def units_of(ref: Ref, found: Json) -> float | None:
    """How many replicas it has."""
    where = ("status", "desiredNumberScheduled") if ref.kind == DAEMONSET else ("spec", "replicas")
    count = count_at(found, *where) if ref.kind != NODE else None
    return None if count is None else float(count)


def state_of(ref: Ref, found: Json) -> dict[str, JsonValue]:
    """What people are shown of it."""
    if ref.kind == NODE:
        return {"schedulable": at(found, "spec", "unschedulable") is not True}
    shown: dict[str, JsonValue] = {
        "replicas": count_at(found, "spec", "replicas"),
        "ready": count_at(found, "status", "numberReady" if ref.kind == DAEMONSET else "readyReplicas"),
        "revision": annotations_of(found).get(REVISION) or at(found, "status", "updateRevision"),
        "paused": at(found, "spec", "paused") or None,
        "images": list(images_of(at(found, "spec", "template"))),
    }
    return {name: value for name, value in shown.items() if value is not None}


def images_of(template: Any) -> Iterator[str]:
    """The images of a pod template, the first ten."""
    containers = at(template, "spec", "containers")
    for each in (containers if isinstance(containers, list) else [])[:_IMAGES]:
        if isinstance(image := at(each, "image"), str):
            yield image[:200]


@dataclass(frozen=True)
class Marks:
    """What an object says of the permits under which it was written: newest first, and what the newest one left.

    `whole` is whether it names every one there was.
    """

    permits: tuple[str, ...]
    wrote: Json
    whole: bool

    @classmethod
    def of(cls, found: Json) -> "Marks":
        """The marks of an object; what somebody spoilt says nothing."""
        said = annotations_of(found)
        before = [item for item in str(said.get(BEFORE, "")).split(",") if item]
        permits = [item for item in (said.get(PERMIT),) if isinstance(item, str) and item] + before
        try:
            wrote = json.loads(said.get(WROTE, ""))
        except (TypeError, ValueError, RecursionError):
            wrote = None
        return cls(tuple(permits), wrote if isinstance(wrote, dict) else {}, len(before) < _REMEMBERED)

    @property
    def last(self) -> str | None:
        """The permit under which it was written last."""
        return self.permits[0] if self.permits else None

    def after(self, permit_id: str, wrote: Json) -> dict[str, str]:
        """The annotations of a write under a permit."""
        before = [item for item in self.permits if item != permit_id][:_REMEMBERED]
        return {PERMIT: permit_id, BEFORE: ",".join(before), WROTE: json.dumps(wrote, sort_keys=True)}
