"""The probes of Kubernetes: what a cluster says of an object now, read by the credential that can change nothing.

- What a controller says counts only of the newest spec: where it has not seen that yet, a workload is not available,
  and a count or a condition is an error, never the old one.
- A status that is not there is an error. A count that the API leaves out of a status is 0.
- A workload of no replicas is not available: there is nothing that could be.
- What counts as lately is by the server's own clock.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import JsonValue

from activities.executors.base import PreconditionFailedError, ProbeError
from activities.executors.kubernetes_api import Cluster, Json, path_of
from activities.executors.kubernetes_objects import (
    DAEMONSET,
    DEPLOYMENT,
    NODE,
    REPLICASET,
    STATEFULSET,
    Ref,
    at,
    count_at,
    path_of_kind,
)
from activities.executors.kubernetes_revisions import listed, selector_of
from activities.executors.kubernetes_settings import is_name

_LATELY = timedelta(minutes=5)
_WORKLOADS = (DEPLOYMENT, STATEFULSET, DAEMONSET, REPLICASET)
# Further kinds that can be looked at: where they are served, and whether in a namespace. Never a Secret.
_SEEN: Mapping[str, tuple[str, str, bool]] = {
    "pod": ("/api/v1", "pods", True),
    "service": ("/api/v1", "services", True),
    "configmap": ("/api/v1", "configmaps", True),
    "persistentvolumeclaim": ("/api/v1", "persistentvolumeclaims", True),
    "serviceaccount": ("/api/v1", "serviceaccounts", True),
    "namespace": ("/api/v1", "namespaces", False),
    "job": ("/apis/batch/v1", "jobs", True),
    "cronjob": ("/apis/batch/v1", "cronjobs", True),
    "ingress": ("/apis/networking.k8s.io/v1", "ingresses", True),
    "networkpolicy": ("/apis/networking.k8s.io/v1", "networkpolicies", True),
    "poddisruptionbudget": ("/apis/policy/v1", "poddisruptionbudgets", True),
    "horizontalpodautoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers", True),
}


@dataclass(frozen=True)
class Reading:
    """One look: at which cluster, with which parameters, and what it may look at."""

    cluster: Cluster
    parameters: Mapping[str, JsonValue]
    check: Callable[[Ref], None]

    def name(self, name: str) -> str:
        """A parameter that must be the name of an object.

        Raises:
            PreconditionFailedError: it is something else.
        """
        if not is_name(value := self.parameters.get(name)):
            raise PreconditionFailedError(f"parameter {name} = {value!r:.60} is no name of an object")
        return str(value)

    def text(self, name: str) -> str:
        """A parameter that must be a text, not empty.

        Raises:
            PreconditionFailedError: it is something else.
        """
        value = self.parameters.get(name)
        if not isinstance(value, str) or not value:
            raise PreconditionFailedError(f"parameter {name} = {value!r:.60} is not a text: write a string")
        return value

    def ref(self, kinds: tuple[str, ...]) -> Ref:
        """The object that kind, namespace and name say, which may be looked at.

        Raises:
            PreconditionFailedError: it is of another kind, or may not be.
        """
        kind = self.text("kind")
        if kind not in kinds:
            raise PreconditionFailedError(f"kind {kind} is none of {', '.join(kinds)}")
        free = kind == NODE or (kind in _SEEN and not _SEEN[kind][2])
        ref = Ref(kind, None if free else self.text("namespace"), self.name("name"))
        # A namespace is looked at as what is in it.
        self.check(Ref(kind, ref.name, ref.name) if kind == "namespace" else ref)
        return ref

    async def read(self, ref: Ref) -> Json:
        """An object.

        Raises:
            ProbeError: there is none.
        """
        answer = await self.cluster.get(_path(ref))
        if answer is None:
            raise ProbeError(f"{ref} does not exist")
        return dict(answer.body)

    async def fresh(self, ref: Ref) -> Json:
        """An object whose controller has seen its newest spec.

        Raises:
            ProbeError: it has not, or there is none.
        """
        found = await self.read(ref)
        if not _is_seen(ref, found):
            raise ProbeError(f"{ref}: its controller has not seen its newest spec yet")
        return found


async def _available(reading: Reading) -> bool:
    ref = reading.ref(_WORKLOADS)
    found = await reading.read(ref)
    if not _is_seen(ref, found):
        return False
    if ref.kind == DAEMONSET:
        wanted = _counted(found, "desiredNumberScheduled")
        have = [_counted(found, name) for name in ("updatedNumberScheduled", "numberAvailable", "numberReady")]
    else:
        wanted = _wanted(ref, found)
        have = [_counted(found, name) for name in _counts(ref, found)]
    return wanted > 0 and all(count == wanted for count in have)


async def _replicas(reading: Reading) -> int:
    ref = reading.ref(_WORKLOADS)
    return _counted(await reading.fresh(ref), "numberReady" if ref.kind == DAEMONSET else "readyReplicas")


async def _schedulable(reading: Reading) -> bool:
    ref = Ref(NODE, None, reading.name("node"))
    reading.check(ref)
    spec = at(await reading.read(ref), "spec")
    if not isinstance(spec, dict):
        raise ProbeError(f"{ref} has no spec")
    return spec.get("unschedulable") is not True


async def _present(reading: Reading) -> bool:
    ref = reading.ref((*_WORKLOADS, NODE, *_SEEN))
    return await reading.cluster.get(_path(ref)) is not None


async def _condition(reading: Reading) -> str:
    """What a condition of an object says: True, False or Unknown, in the words of the API."""
    ref, kind = reading.ref((*_WORKLOADS, NODE, *_SEEN)), reading.text("type")
    found = await (reading.fresh(ref) if ref.kind in _WORKLOADS else reading.read(ref))
    conditions = at(found, "status", "conditions")
    for each in conditions if isinstance(conditions, list) else []:
        if at(each, "type") == kind:
            _check_current(ref, found, each)
            if (value := at(each, "status")) in ("True", "False", "Unknown"):
                return str(value)
    raise ProbeError(f"{ref} has no condition {kind}")


async def _crashing(reading: Reading) -> int:
    ref = reading.ref(_WORKLOADS)
    selector = selector_of(ref, await reading.read(ref))
    path = "/api/v1" + path_of("namespaces", ref.namespace or "", "pods")
    # The list has no instant of its own: the server's clock is asked with it.
    now = await _now(reading.cluster)
    pods = await listed(reading.cluster, path, selector)
    if not any(_statuses(pod) for pod in pods):
        # Nobody who is not there crashes, and nothing would be good because of it.
        raise ProbeError(f"{ref} has {len(pods)} pods, and no container of any of them says how it is")
    return sum(_is_crashing(pod, now) for pod in pods)


async def _version(reading: Reading) -> str:
    answer = await reading.cluster.get("/version")
    version = answer.body.get("gitVersion") if answer is not None else None
    if not isinstance(version, str):
        raise ProbeError("the server does not say its version")
    return version


PROBES: Mapping[str, Callable[[Reading], Awaitable[Any]]] = {
    "kubernetes.workload.available": _available,
    "kubernetes.workload.replicas": _replicas,
    "kubernetes.node.schedulable": _schedulable,
    "kubernetes.object.present": _present,
    "kubernetes.object.condition": _condition,
    "kubernetes.pods.crashing": _crashing,
    "kubernetes.cluster.version": _version,
}


def _path(ref: Ref) -> str:
    if ref.kind not in _SEEN:
        return ref.path if ref.kind == NODE else path_of_kind(ref.kind, ref.namespace) + path_of(ref.name)
    prefix, plural, _ = _SEEN[ref.kind]
    return prefix + path_of(*(("namespaces", ref.namespace) if ref.namespace else ()), plural, ref.name)


def _is_seen(ref: Ref, found: Json) -> bool:
    """Whether its controller has seen its newest spec.

    Raises:
        ProbeError: it does not say.
    """
    seen, newest = count_at(found, "status", "observedGeneration"), count_at(found, "metadata", "generation")
    if seen is None or newest is None:
        raise ProbeError(f"{ref} does not say which spec its status is of")
    return seen >= newest


def _check_current(ref: Ref, found: Json, condition: Json) -> None:
    """Refuse a condition that is of an older spec, where it or the status says of which it is."""
    newest = count_at(found, "metadata", "generation")
    for seen in (count_at(condition, "observedGeneration"), count_at(found, "status", "observedGeneration")):
        if seen is not None and newest is not None and seen < newest:
            raise ProbeError(f"{ref}: condition {at(condition, 'type')} is of an older spec")


def _wanted(ref: Ref, found: Json) -> int:
    wanted = count_at(found, "spec", "replicas")
    if wanted is None:
        raise ProbeError(f"{ref} does not say how many replicas it has")
    return wanted


def _counts(ref: Ref, found: Json) -> tuple[str, ...]:
    if ref.kind == REPLICASET:
        return ("replicas", "readyReplicas", "availableReplicas")
    # Servers before 1.22 do not count the available ones of a StatefulSet.
    available = (
        () if ref.kind == STATEFULSET and at(found, "status", "availableReplicas") is None else ("availableReplicas",)
    )
    return ("replicas", "updatedReplicas", "readyReplicas", *available)


def _counted(found: Json, name: str) -> int:
    """A count of a status; left out, it is 0.

    Raises:
        ProbeError: it is no count.
    """
    value = at(found, "status", name)
    count = 0 if value is None else count_at(found, "status", name)
    if count is None:
        raise ProbeError(f"status.{name} = {value!r:.40} is no count")
    return count


async def _now(cluster: Cluster) -> datetime:
    answer = await cluster.get("/version")
    if answer is None or answer.at is None:
        raise ProbeError("the server does not say what time it is")
    return answer.at


def _is_crashing(pod: Json, now: datetime) -> bool:
    return any(_restarted_lately(each, now) for each in _statuses(pod))


def _statuses(pod: Json) -> list[Json]:
    return [*(at(pod, "status", "containerStatuses") or []), *(at(pod, "status", "initContainerStatuses") or [])]


def _restarted_lately(container: Json, now: datetime) -> bool:
    if at(container, "state", "waiting", "reason") == "CrashLoopBackOff":
        return True
    ended = at(container, "lastState", "terminated")
    if not isinstance(ended, dict):
        return False
    try:
        finished = datetime.fromisoformat(str(ended.get("finishedAt")))
        return now - finished <= _LATELY
    except (ValueError, TypeError):
        raise ProbeError(f"container {at(container, 'name')} ended, and it does not say when") from None
