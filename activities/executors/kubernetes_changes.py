"""What each operation changes: one place of one object, as a JSON Patch.

- An operation writes one value to one place, and the marks of its permit into the annotations, in one write. So either
  both are there or neither.
- That is why scaling writes `spec.replicas` of the workload and not its scale subresource: that cannot carry the mark,
  and an effect without the mark is nobody's.
- The patch names the resourceVersion in which the object was read. A server refuses it (409) once the object moved on.
- A restart writes the permit's id into the pod template, where kubectl writes the time: the same permit restarts once.
- What an operation would leave as it is, is refused, unless it is an undo.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic import JsonValue

from activities.executors.base import PreconditionFailedError, TargetChangedError
from activities.executors.kubernetes_api import Cluster, Json
from activities.executors.kubernetes_objects import (
    DAEMONSET,
    DEPLOYMENT,
    NODE,
    REPLICASET,
    STATEFULSET,
    Marks,
    Ref,
    annotations_of,
    at,
    images_of,
    text_at,
)
from activities.executors.kubernetes_revisions import Revision, chosen, revisions_of
from policy.canonical import digest_of
from policy.targets import ResolvedTarget

SCALE, SCALE_TO_ZERO = "kubernetes.workload.scale", "kubernetes.workload.scale_to_zero"
RESTART, RESTART_ALL = "kubernetes.rollout.restart", "kubernetes.rollout.restart_all"
UNDO, PAUSE, RESUME = "kubernetes.rollout.undo", "kubernetes.rollout.pause", "kubernetes.rollout.resume"
CORDON, UNCORDON = "kubernetes.node.cordon", "kubernetes.node.uncordon"
# Of which kinds each operation takes objects.
TAKES: Mapping[str, tuple[str, ...]] = {
    SCALE: (DEPLOYMENT, STATEFULSET, REPLICASET),
    SCALE_TO_ZERO: (DEPLOYMENT, STATEFULSET, REPLICASET),
    RESTART: (DEPLOYMENT, STATEFULSET, DAEMONSET),
    RESTART_ALL: (DEPLOYMENT, STATEFULSET, DAEMONSET),
    UNDO: (DEPLOYMENT, STATEFULSET, DAEMONSET),
    PAUSE: (DEPLOYMENT,),
    RESUME: (DEPLOYMENT,),
    CORDON: (NODE,),
    UNCORDON: (NODE,),
}
REPLICAS, TEMPLATE, PAUSED, UNSCHEDULABLE = "/spec/replicas", "/spec/template", "/spec/paused", "/spec/unschedulable"
_PLACES = (REPLICAS, TEMPLATE, PAUSED, UNSCHEDULABLE)
_RESTARTED = "countersign/restarted-under"

Parameters: TypeAlias = Mapping[str, JsonValue]


@dataclass(frozen=True)
class Change:
    """What is written to an object, and what to say of it; `place` None writes the marks alone."""

    says: str
    place: str | None = None
    value: Any = None
    before: Json = field(default_factory=dict)

    def patch(self, found: Json, permit_id: str, operation: str) -> list[Json]:
        """The JSON Patch that makes it of the object that was read, under the permit of an operation."""
        version = text_at(found, "metadata", "resourceVersion")
        left = {"at": self.place, "left": left_of(self.value), "before": self.before} if self.place else {}
        marks = Marks.of(found).after(permit_id, {"operation": operation, **left})
        operations: list[Json] = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}]
        if annotations_of(found):
            operations += [_add(f"/metadata/annotations/{_escaped(name)}", text) for name, text in marks.items()]
        else:
            operations.append(_add("/metadata/annotations", marks))
        return [*operations, *([_add(self.place, self.value)] if self.place else [])]


def left_of(value: Any) -> JsonValue:
    """What is written down of a value: itself where it is short, else its digest. What a server leaves out is false."""
    if value is None:
        return False
    return value if isinstance(value, bool | int) else digest_of(value)


def check_untouched(ref: Ref, found: Json, marks: Marks) -> None:
    """Refuse to undo what somebody changed after the last permit.

    Raises:
        TargetChangedError: the place holds something else than what that permit left, or it cannot be told.
    """
    place = marks.wrote.get("at")
    if place not in _PLACES:
        raise TargetChangedError(f"{ref}: what permit {marks.last} wrote cannot be told any more")
    if left_of(at(found, *place.strip("/").split("/"))) != marks.wrote.get("left"):
        raise TargetChangedError(
            f"{ref}: somebody changed {place} after permit {marks.last}, an undo would overwrite it"
        )


async def change_of(
    cluster: Cluster,
    operation: str,
    ref: Ref,
    found: Json,
    target: ResolvedTarget,
    parameters: Parameters,
    *,
    permit_id: str,
    undoes: bool,
) -> Change:
    """What an operation writes to an object that was read.

    Args:
        cluster: by the reading credential; only a rollout's undo reads more.
        operation: its name.
        ref: the object's name.
        found: the object.
        target: what it was resolved to.
        parameters: of the operation.
        permit_id: under which it is written.
        undoes: whether it is an undo.

    Raises:
        PreconditionFailedError: the object or a parameter does not fit.
    """
    if ref.kind not in TAKES[operation]:
        raise PreconditionFailedError(f"{operation} takes {', '.join(TAKES[operation])}, not {ref}")
    if operation in (SCALE, SCALE_TO_ZERO):
        change = _scaled(ref, found, _replicas(operation, parameters))
    elif operation in (RESTART, RESTART_ALL):
        change = _restarted(ref, found, permit_id)
    elif operation == UNDO:
        change = await _rolled_back(cluster, ref, found, target, parameters, undoes=undoes)
    elif operation in (PAUSE, RESUME):
        change = _switched(ref, PAUSED, on=operation == PAUSE)
    else:
        change = _switched(ref, UNSCHEDULABLE, on=operation == CORDON)
    if not undoes and change.place and left_of(at(found, *_keys(change.place))) == left_of(change.value):
        raise PreconditionFailedError(f"{ref}: {change.place} is that already, there is nothing to change")
    return change


async def goes_back_to(cluster: Cluster, ref: Ref, found: Json, parameters: Parameters) -> Json:
    """Which revision a rollout's undo goes back to, as people are shown it.

    Raises:
        PreconditionFailedError: to none.
        TargetUnreachableError: it cannot be read.
    """
    revision = chosen(ref, await revisions_of(cluster, ref, found), _to_revision(parameters))
    return {"revision": revision.number, "images": list(images_of(revision.template))}


def _scaled(ref: Ref, found: Json, replicas: int) -> Change:
    owners = at(found, "metadata", "ownerReferences") or []
    owner = next((one for one in owners if at(one, "controller") is True), None)
    if owner is not None:
        raise PreconditionFailedError(f"{ref} is run by {at(owner, 'kind')} {at(owner, 'name')}: scale that")
    now = at(found, "spec", "replicas")
    return Change(f"scale {ref} from {now} to {replicas} replicas", REPLICAS, replicas, {"replicas": now})


def _restarted(ref: Ref, found: Json, permit_id: str) -> Change:
    if at(found, "spec", "paused") is True:
        raise PreconditionFailedError(f"{ref} is paused: nothing would restart, resume it first")
    template = at(found, "spec", "template")
    if not isinstance(template, dict):
        raise PreconditionFailedError(f"{ref} has no pod template")
    metadata = dict(template.get("metadata") or {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), _RESTARTED: permit_id}
    return Change(f"restart {ref}", TEMPLATE, {**template, "metadata": metadata})


async def _rolled_back(
    cluster: Cluster, ref: Ref, found: Json, target: ResolvedTarget, parameters: Parameters, *, undoes: bool
) -> Change:
    if at(found, "spec", "paused") is True:
        raise PreconditionFailedError(f"{ref} is paused: nothing would roll back, resume it first")
    number = _to_revision(parameters)
    kept = await revisions_of(cluster, ref, found)
    if undoes and number is None:
        number = _before(ref, found)
    revision = chosen(ref, kept, number)
    expected = at(target.state, "goes_back_to", "revision")
    if not undoes and expected is not None and expected != revision.number:
        raise TargetChangedError(f"{ref} would go back to revision {revision.number}, approved was {expected}")
    return _to(ref, kept[0], revision)


def _before(ref: Ref, found: Json) -> int | None:
    """The revision that the step to undo found; None in a rehearsal, before there was one."""
    wrote = Marks.of(found).wrote
    number = at(wrote, "before", "revision")
    if wrote and not isinstance(number, int):
        raise TargetChangedError(f"{ref}: which revision it had before cannot be told any more")
    return number if isinstance(number, int) else None


def _to(ref: Ref, newest: Revision, revision: Revision) -> Change:
    images = ", ".join(images_of(revision.template))
    says = f"roll {ref} back from revision {newest.number} to {revision.number} ({images})"
    return Change(says, TEMPLATE, revision.template, {"revision": newest.number})


def _switched(ref: Ref, place: str, *, on: bool) -> Change:
    return Change(f"set {place} of {ref} to {str(on).lower()}", place, on)


def _replicas(operation: str, parameters: Parameters) -> int:
    if operation == SCALE_TO_ZERO:
        return 0
    value = parameters.get("replicas")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise PreconditionFailedError(f"parameter replicas = {value!r:.40} is not a number: write an integer from 1")
    return value


def _to_revision(parameters: Parameters) -> int | None:
    value = parameters.get("to_revision")
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise PreconditionFailedError(f"parameter to_revision = {value!r:.40} is not a number: write an integer from 1")
    return value


def _add(path: str, value: Any) -> Json:
    return {"op": "add", "path": path, "value": value}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _keys(place: str) -> list[str]:
    return place.strip("/").split("/")
