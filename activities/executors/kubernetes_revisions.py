"""Earlier revisions of a workload, and which of them a rollout goes back to; as `kubectl rollout undo` finds them.

- A Deployment keeps them as ReplicaSets, a StatefulSet and a DaemonSet as ControllerRevisions. Only what the workload
  itself controls counts, by uid: labels are written by anybody.
- Without a number it goes back to the one before the newest. An undo goes back to what the step found, whose number the
  step wrote down: the controller numbers what comes back anew.
- While the controller has not seen the newest spec, its numbers say nothing.
- Only the pod template goes back. kubectl also takes over the annotations of a Deployment's old ReplicaSet; here they
  stay as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from activities.executors.base import PreconditionFailedError, TargetUnreachableError
from activities.executors.kubernetes_api import Cluster, Json, path_of
from activities.executors.kubernetes_objects import DEPLOYMENT, REVISION, Ref, at, count_at, text_at

_MOST = 500
_HASH = "pod-template-hash"
_EXPRESSIONS = {"In": "{} in ({})", "NotIn": "{} notin ({})", "Exists": "{}", "DoesNotExist": "!{}"}


@dataclass(frozen=True)
class Revision:
    """One revision that is kept: its number, and the pod template that it had."""

    number: int
    template: Json


async def revisions_of(cluster: Cluster, ref: Ref, found: Json) -> list[Revision]:
    """The revisions that are kept of a workload, the newest first.

    Raises:
        TargetUnreachableError: they cannot be read, or its controller has not seen its newest spec.
        PreconditionFailedError: they cannot be told.
    """
    seen, newest = count_at(found, "status", "observedGeneration"), count_at(found, "metadata", "generation")
    if seen is None or newest is None or seen < newest:
        raise TargetUnreachableError(f"{ref}: its controller has not seen its newest spec yet")
    plural = "replicasets" if ref.kind == DEPLOYMENT else "controllerrevisions"
    path = "/apis/apps/v1" + path_of("namespaces", ref.namespace or "", plural)
    kept = await listed(cluster, path, selector_of(ref, found))
    read = _replica_sets if ref.kind == DEPLOYMENT else _controller_revisions
    mine = [each for each in kept if _is_controlled(each, text_at(found, "metadata", "uid"))]
    return sorted(read(mine), key=lambda revision: revision.number, reverse=True)


def chosen(ref: Ref, kept: list[Revision], number: int | None) -> Revision:
    """The revision of a number, or the one before the newest.

    Raises:
        PreconditionFailedError: there is none.
    """
    if number is None:
        if len(kept) < 2:  # noqa: PLR2004 - the newest and one before it
            raise PreconditionFailedError(f"{ref} has no revision before the newest")
        return kept[1]
    for revision in kept:
        if revision.number == number:
            return revision
    raise PreconditionFailedError(f"{ref}: revision {number} is not kept, only {[each.number for each in kept]}")


async def listed(cluster: Cluster, path: str, selector: str | None) -> list[Json]:
    """The objects of a list; all of them, or none.

    Raises:
        TargetUnreachableError: they cannot be read.
        PreconditionFailedError: they are refused, or too many.
    """
    query = {"limit": str(_MOST)} | ({"labelSelector": selector} if selector is not None else {})
    answer = await cluster.get(path, query)
    items = answer.body.get("items") if answer is not None else []
    if not isinstance(items, list) or not all(isinstance(each, dict) for each in items):
        raise TargetUnreachableError(f"reading {path}: the answer is no list")
    if len(items) > _MOST or (answer is not None and at(answer.body, "metadata", "continue")):
        raise PreconditionFailedError(f"{path} holds more than {_MOST} objects")
    return items


def selector_of(ref: Ref, found: Json) -> str:
    """The label selector of a workload, as a query.

    Raises:
        PreconditionFailedError: it has none, or one that selects everything.
    """
    selector = at(found, "spec", "selector")
    said = list(_labels(selector if isinstance(selector, dict) else {}))
    if not said:
        raise PreconditionFailedError(f"{ref} selects its pods by nothing")
    return ",".join(said)


def _labels(selector: Json) -> Iterator[str]:
    yield from (f"{name}={value}" for name, value in (selector.get("matchLabels") or {}).items())
    for each in selector.get("matchExpressions") or []:
        yield _EXPRESSIONS[each["operator"]].format(each["key"], ",".join(each.get("values") or []))


def _is_controlled(each: Json, uid: str) -> bool:
    owners = at(each, "metadata", "ownerReferences")
    return any(at(one, "uid") == uid and at(one, "controller") is True for one in owners or [])


def _replica_sets(mine: list[Json]) -> Iterator[Revision]:
    for each in mine:
        number, template = at(each, "metadata", "annotations", REVISION), at(each, "spec", "template")
        if isinstance(number, str) and number.isdecimal() and isinstance(template, dict):
            yield Revision(int(number), _without_hash(template))


def _without_hash(template: Json) -> Json:
    """A ReplicaSet's template as its Deployment had it."""
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {name: value for name, value in (metadata.get("labels") or {}).items() if name != _HASH}
    return {**template, "metadata": metadata}


def _controller_revisions(mine: list[Json]) -> Iterator[Revision]:
    for each in mine:
        number, template = count_at(each, "revision"), at(each, "data", "spec", "template")
        if number is not None and isinstance(template, dict):
            yield Revision(number, {name: value for name, value in template.items() if name != "$patch"})
