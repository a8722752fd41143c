"""Kubernetes audit events (audit.k8s.io/v1, one JSON object a line): what of them changed something, and by whom.

1. An effect is a request that changes an object and was answered, or that may have changed one: a 5xx, or a panic. A
   refusal is none, and neither is a dry run.
2. A request whose answer the trail does not have is no effect and not nothing: it is counted, by its audit id.
3. What controllers, nodes and the scheduler do for objects that somebody else changed is left out, by who they say they
   are (`own`), and so are status, leases, events and the like. Whoever can act as one of them is not seen here.
4. A line from outside proves nothing. It is read strictly and to a size, what cannot be read is counted, and what it
   says of permits is what a mark claims. With a policy at level Metadata there is no body, so no mark.
5. Which operation it was is told from what it wrote. A mark's own word for it is taken only where it can be that one.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from activities.executors.kubernetes_changes import (
    CORDON,
    PAUSE,
    PAUSED,
    REPLICAS,
    RESTART,
    RESTART_ALL,
    RESUME,
    SCALE,
    SCALE_TO_ZERO,
    TAKES,
    TEMPLATE,
    UNCORDON,
    UNDO,
    UNSCHEDULABLE,
)
from activities.executors.kubernetes_objects import PERMIT, WROTE
from policy.canonical import parse_json
from policy.errors import CanonicalError
from policy.importing.kinds import object_kind
from policy.permit import permit_of
from policy.trails import TrailEffect

MAX_LINE_BYTES = 2 * 1024 * 1024
OWN = (
    "system:apiserver",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:node:",
    "system:serviceaccount:kube-system:",
)
_VERBS = ("create", "update", "patch", "delete", "deletecollection")
_QUIET = ("events", "leases", "endpoints", "endpointslices", "tokenreviews", "subjectaccessreviews")
_QUIET_PARTS = ("status", "binding", "finalize")
_INSIDE = ("exec", "attach", "portforward", "proxy")
_EVIDENCE, _TEXT = 2000, 300
_CHANGE = "kubernetes.workload.change"
# What a write to one place can be. The first is what it is taken for.
_SHAPES: Mapping[str, tuple[str, ...]] = {
    TEMPLATE: (_CHANGE, UNDO, RESTART, RESTART_ALL),
    PAUSED: (PAUSE, RESUME),
    UNSCHEDULABLE: (CORDON, UNCORDON),
}


@dataclass(frozen=True)
class Trail:
    """What was read: effects in the order of the lines, how many lines say nothing, which requests have no answer."""

    effects: tuple[TrailEffect, ...]
    unreadable: int
    unanswered: tuple[str, ...]


def read_audit_events(lines: Iterable[bytes | str], resource: str, own: tuple[str, ...] = OWN) -> Trail:
    """The effects in audit events.

    Args:
        lines: of a log, or of what a webhook received, one event each; empty ones are passed over.
        resource: the resource id of the catalog that stands for the cluster.
        own: how the names of users begin that are the cluster's own.
    """
    effects: list[TrailEffect] = []
    unreadable, open_requests = 0, dict[str, None]()
    for line in lines:
        if not line.strip():
            continue
        try:
            event = _event(line)
            if _is_effect(event, own):
                _follow(event, open_requests)
                if _may_have_changed(event):
                    effects.append(_effect(event, resource))
        except (CanonicalError, ValueError, _UnreadableError):  # an address or an instant that is none
            unreadable += 1
    return Trail(tuple(effects), unreadable, tuple(open_requests))


class _UnreadableError(Exception):
    """A line that is no event."""


def _event(line: bytes | str) -> Mapping[str, Any]:
    event = parse_json(line.strip(), MAX_LINE_BYTES)
    if not isinstance(event, dict) or event.get("apiVersion") != "audit.k8s.io/v1" or event.get("kind") != "Event":
        raise _UnreadableError
    if not all(isinstance(event.get(name), str) for name in ("auditID", "stage", "verb", "requestURI")):
        raise _UnreadableError
    return event


def _is_effect(event: Mapping[str, Any], own: tuple[str, ...]) -> bool:
    """Whether the request would change something that counts, whatever became of it."""
    where = event.get("objectRef")
    if not isinstance(where, dict) or _user(event).startswith(own):
        return False
    part = where.get("subresource")
    if part in _INSIDE:
        return event["verb"] in ("create", "get")
    if event["verb"] not in _VERBS or where.get("resource") in _QUIET or part in _QUIET_PARTS:
        return False
    return not any(parse_qs(urlsplit(event["requestURI"]).query).get("dryRun", []))


def _follow(event: Mapping[str, Any], open_requests: dict[str, None]) -> None:
    if event["stage"] in ("ResponseComplete", "Panic"):
        open_requests.pop(event["auditID"], None)
    else:
        open_requests[event["auditID"][:_TEXT]] = None


def _may_have_changed(event: Mapping[str, Any]) -> bool:
    if event["stage"] == "Panic":
        return True
    status = event.get("responseStatus")
    code = status.get("code") if isinstance(status, dict) else None
    # Whoever is connected to a container is answered by another protocol.
    return event["stage"] == "ResponseComplete" and not (isinstance(code, int) and 300 <= code < 500)  # noqa: PLR2004


def _effect(event: Mapping[str, Any], resource: str) -> TrailEffect:
    where, annotations = event["objectRef"], dict(_annotations(event.get("requestObject")))
    permit = annotations.get(PERMIT)
    return TrailEffect(
        at=event.get("requestReceivedTimestamp"),
        target=_target(where),
        resource=resource,
        operation=_operation(event, where, annotations),
        actor=_actor(event),
        # Of a permit that acts on one target after the other, the mark names the target besides.
        permit_id=permit_of(permit)[:_TEXT] if isinstance(permit, str) and permit else None,
        evidence=_evidence(event),
    )


def _target(where: Mapping[str, Any]) -> str:
    """`kind/namespace/name`, with `@uid` where the event has it; `*` for the objects of a whole collection."""
    kind = object_kind(str(where.get("resource")))
    named = kind.name if kind is not None else str(where.get("resource"))
    parts = (named, str(where.get("namespace") or ""), str(where.get("name") or "*"))
    name = "/".join(filter(None, parts))
    return (f"{name}@{where['uid']}" if where.get("uid") else name)[:_TEXT]


def _user(event: Mapping[str, Any]) -> str:
    user = event.get("user")
    return str(user.get("username")) if isinstance(user, dict) else ""


def _actor(event: Mapping[str, Any]) -> str:
    other = event.get("impersonatedUser")
    said = f"{other.get('username')} (by {_user(event)})" if isinstance(other, dict) else _user(event)
    return said[:_TEXT] or "nobody"


def _operation(event: Mapping[str, Any], where: Mapping[str, Any], annotations: Mapping[str, Any]) -> str:
    can_be = _can_be(event, where)
    claimed = _claimed(annotations)
    if claimed in TAKES and (claimed in can_be or not _places(event.get("requestObject"))):
        return claimed
    return can_be[0]


def _can_be(event: Mapping[str, Any], where: Mapping[str, Any]) -> tuple[str, ...]:
    """What the request can be, the likeliest first."""
    part, verb, kind = where.get("subresource"), event["verb"], object_kind(str(where.get("resource")))
    if part in _INSIDE:
        return ("kubernetes.pod.exec" if part in ("exec", "attach") else "kubernetes.tunnel.open",)
    if part == "eviction" or kind is None:
        return ("kubernetes.pod.delete" if part == "eviction" else "kubernetes.custom.change",)
    if verb == "deletecollection":
        return ("kubernetes.object.delete_many",)
    if verb == "delete":
        return (kind.delete,)
    written = _places(event.get("requestObject"))
    if part == "scale" or set(written) == {REPLICAS}:
        return (SCALE_TO_ZERO if written.get(REPLICAS) == 0 else SCALE,)
    if len(written) == 1 and (shape := _SHAPES.get(next(iter(written)))):
        value = next(iter(written.values()))
        return shape[::-1] if value is False else shape
    return (kind.change,)


def _places(body: Any) -> dict[str, Any]:
    """What a request writes outside of metadata, by place: of a JSON Patch, or of a body or a merging patch."""
    if isinstance(body, list):
        found = {str(each.get("path")): each.get("value") for each in body if isinstance(each, dict)}
    else:
        spec = body.get("spec") if isinstance(body, dict) else None
        found = {f"/spec/{name}": value for name, value in (spec if isinstance(spec, dict) else {}).items()}
    return {path: value for path, value in found.items() if not path.startswith("/metadata/")}


def _annotations(body: Any) -> Iterator[tuple[str, Any]]:
    """The annotations that a request writes."""
    prefix = "/metadata/annotations"
    for each in body if isinstance(body, list) else []:
        path, value = (str(each.get("path")), each.get("value")) if isinstance(each, dict) else ("", None)
        if path == prefix and isinstance(value, dict):
            yield from value.items()
        elif path.startswith(f"{prefix}/"):
            yield path[len(prefix) + 1 :].replace("~1", "/").replace("~0", "~"), value
    metadata = body.get("metadata") if isinstance(body, dict) else None
    said = metadata.get("annotations") if isinstance(metadata, dict) else None
    yield from (said if isinstance(said, dict) else {}).items()


def _claimed(annotations: Mapping[str, Any]) -> str:
    try:
        wrote = json.loads(str(annotations.get(WROTE, "")))
    except (ValueError, RecursionError):
        return ""
    return str(wrote.get("operation")) if isinstance(wrote, dict) else ""


def _evidence(event: Mapping[str, Any]) -> str:
    names = (
        "auditID",
        "verb",
        "requestURI",
        "userAgent",
        "sourceIPs",
        "responseStatus",
        "annotations",
        "requestObject",
    )
    said = {name: event[name] for name in names if name in event}
    return json.dumps(said, separators=(",", ":"))[:_EVIDENCE]
