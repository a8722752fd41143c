"""A Kubernetes API server that is emulated: kmock's, and on top of it what kmock does not do and the executor rests on.

kmock keeps objects and answers get and list. By us, after the API's documentation, are:

- who may do what: two bearer tokens, of which one may only read (401, 403);
- JSON Patch, with `dryRun=All`; kmock merges any patch, and writes dry runs;
- uid, resourceVersion (every write has a new one) and generation (a new one where the spec changes; of a Deployment
  also where its annotations do); a patch that names another resourceVersion is a conflict (409), another uid is (409);
- namespaces as objects, and label selectors of equality; `Status` bodies with the reason NotFound;
- the controllers: they take a spec up at once, make ReplicaSets and ControllerRevisions, number them, and fill in the
  status; or they do not, where a test stalls them;
- what goes wrong: an answer that is lost after the write, a refusal, a redirect, an answer that is too large or no
  JSON.

`make kubernetes` asks a real API server the same (`tests/real_kubernetes`).
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp.web
import attrs
import jsonpatch
from kmock import KubernetesEmulator, Request, ResourceInfo, Server, action, resource

from activities.executors.base import TargetCredentials
from activities.executors.kubernetes import KubernetesExecutor, make

ACTS, READS = "token-that-acts", "token-that-reads"
RESOURCES = {
    "deployment": resource("apps", "v1", "deployments"),
    "statefulset": resource("apps", "v1", "statefulsets"),
    "daemonset": resource("apps", "v1", "daemonsets"),
    "replicaset": resource("apps", "v1", "replicasets"),
    "controllerrevision": resource("apps", "v1", "controllerrevisions"),
    "node": resource("", "v1", "nodes"),
    "namespace": resource("", "v1", "namespaces"),
    "pod": resource("", "v1", "pods"),
    "configmap": resource("", "v1", "configmaps"),
}
_KIND = {each: kind for kind, each in RESOURCES.items()}
_REVISION = "deployment.kubernetes.io/revision"
_LIMIT = 9 * 1024 * 1024


@attrs.define(kw_only=True)
class EmulatedCluster(KubernetesEmulator):
    """What a test may set: `stalled` controllers, a `fault` of the next write or of reads, objects.

    `effects` are the specs that were written: path and resourceVersion. Each of `faults` is what the next write meets:
    it is not done (`fail`), its answer is lost (`lose`), it comes late (`slow`), or nothing (empty).
    """

    stalled: bool = False
    unready: bool = False
    fault: str | None = None
    effects: list[tuple[str, str]] = attrs.field(factory=list)
    faults: list[str] = attrs.field(factory=list)
    slow_seconds: float = 3.5
    _version: int = 100

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        for each in RESOURCES.values():
            self.resources[each] = ResourceInfo()
        self.add("namespace", None, "shop", labels={"environment": "production"})
        self.add("namespace", None, "lab", labels={"environment": "staging"})

    def add(self, kind: str, namespace: str | None, name: str, **more: Any) -> dict[str, Any]:
        """An object as somebody creates it; its controller sees it."""
        apart = ("labels", "owner", "revision")
        body = copy.deepcopy({name: value for name, value in more.items() if name not in apart})
        body["metadata"] = {"name": name, "uid": str(uuid4()), "labels": dict(more.get("labels", {}))}
        body["metadata"] |= {"namespace": namespace} if namespace else {}
        if "owner" in more:
            owner = more["owner"]["metadata"]
            body["metadata"]["ownerReferences"] = [
                {"uid": owner["uid"], "name": owner["name"], "kind": "Owner", "controller": True}
            ]
        if "revision" in more:
            body["revision"] = more["revision"]
        if kind in ("deployment", "statefulset", "daemonset", "replicaset"):
            body["metadata"]["generation"] = 1
        self._put(kind, namespace, name, body)
        self._reconcile(kind, namespace, name)
        return self.raw(kind, namespace, name)

    def raw(self, kind: str, namespace: str | None, name: str) -> dict[str, Any]:
        """An object as it is."""
        return copy.deepcopy(self.objects[RESOURCES[kind], namespace, name].raw)

    def change(self, kind: str, namespace: str | None, name: str, **spec: Any) -> None:
        """Somebody else changes fields of a spec, as `kubectl` does: no mark, a new generation."""
        found = self.raw(kind, namespace, name)
        self._stored(kind, namespace, name, found, {**found, "spec": {**found["spec"], **spec}})

    def touch(self, kind: str, namespace: str | None, name: str) -> None:
        """A controller writes a status: a new resourceVersion, and nothing else that counts."""
        self._put(kind, namespace, name, self.raw(kind, namespace, name))

    def remove(self, kind: str, namespace: str | None, name: str) -> None:
        """Somebody deletes an object."""
        self.objects[RESOURCES[kind], namespace, name].delete()

    def of(self, kind: str) -> Iterator[tuple[str | None, str, dict[str, Any]]]:
        """The objects of a kind."""
        for (each, namespace, name), found in list(self.objects.items()):
            if each == RESOURCES[kind] and not found.deleted:
                yield namespace, str(name), found.raw

    async def _handle(self, request: Request) -> aiohttp.web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        if request.method == "GET":
            return await self._read(request)
        return await self._patched(request)

    def _refused(self, request: Request) -> aiohttp.web.StreamResponse | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in (ACTS, READS):
            return _status(401, "Unauthorized", "Unauthorized")
        if token == READS and request.method != "GET":
            return _status(403, "Forbidden", "the reader cannot patch")
        return None

    async def _read(self, request: Request) -> aiohttp.web.StreamResponse:
        if self.fault == "giant":
            return aiohttp.web.Response(body=b"{" + b" " * _LIMIT + b"}", content_type="application/json")
        if self.fault == "text":
            return aiohttp.web.Response(text="welcome")
        if self.fault == "moved":
            return aiohttp.web.Response(status=302, headers={"Location": str(request.url.with_path("/elsewhere"))})
        if self.fault == "busy":
            return _status(503, "ServiceUnavailable", "busy")
        if request.resource is None:
            return await super()._handle(request)
        # kmock takes the name of a namespace for that of what is in it.
        if request.action == action.LIST and request.resource.plural is not None:
            return self._listed(request)
        found = self._at(request)
        return (
            _status(404, "NotFound", "not found", name=request.name or request.namespace)
            if found is None
            else _json(found)
        )

    def _listed(self, request: Request) -> aiohttp.web.StreamResponse:
        wanted = dict(pair.split("=") for pair in request.params.get("labelSelector", "").split(",") if pair)
        kind = _kind(request)
        items = [
            found
            for namespace, _, found in self.of(kind)
            if request.namespace in (None, namespace) and wanted.items() <= found["metadata"]["labels"].items()
        ]
        return _json({"kind": "List", "metadata": {"resourceVersion": str(self._version)}, "items": items})

    async def _patched(self, request: Request) -> aiohttp.web.StreamResponse:
        if self.fault in ("401", "404", "422", "429", "500"):
            return _status(int(self.fault), "Refused", "refused on purpose")
        if self.fault == "redirect":
            return aiohttp.web.Response(status=307, headers={"Location": str(request.url)})
        found = self._at(request)
        if found is None or request.headers.get("Content-Type") != "application/json-patch+json":
            return _status(404 if found is None else 415, "NotFound", "not found, or no json patch")
        new = jsonpatch.apply_patch(copy.deepcopy(found), request.data)
        if any(new["metadata"][name] != found["metadata"][name] for name in ("resourceVersion", "uid")):
            return _status(409, "Conflict", "the object has been modified")
        if request.params.get("dryRun") == "All":
            return _json(new)
        return await self._written(request, found, new)

    async def _written(self, request: Request, found: Any, new: Any) -> aiohttp.web.StreamResponse:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "fail":
            return _status(429, "TooManyRequests", "refused on purpose")
        if fault == "slow":
            await asyncio.sleep(self.slow_seconds)
        kind = _kind(request)
        if _spec(new) != _spec(found):
            self.effects.append((request.url.path, found["metadata"]["resourceVersion"]))
        self._stored(kind, request.namespace, str(request.name), found, new)
        if self.fault == "lost" or fault == "lose":
            return _lose(request)
        if self.fault == "slow":
            await asyncio.sleep(3600)
        return _json(self.raw(kind, request.namespace, str(request.name)))

    def _at(self, request: Request) -> dict[str, Any] | None:
        assert request.resource is not None
        key = (request.resource, request.namespace, str(request.name))
        if request.resource.plural is None:
            key = (RESOURCES["namespace"], None, str(request.namespace))
        if key not in self.objects or self.objects[key].deleted:
            return None
        return copy.deepcopy(self.objects[key].raw)

    def _stored(self, kind: str, namespace: str | None, name: str, old: dict[str, Any], new: dict[str, Any]) -> None:
        annotated = kind == "deployment" and old["metadata"].get("annotations") != new["metadata"].get("annotations")
        if "generation" in new["metadata"] and (annotated or _spec(old) != _spec(new)):
            new["metadata"]["generation"] += 1
        self._put(kind, namespace, name, new)
        self._reconcile(kind, namespace, name)

    def _put(self, kind: str, namespace: str | None, name: str, body: dict[str, Any]) -> None:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        key = (RESOURCES[kind], namespace, name)
        if key in self.objects:
            self.objects[key].delete()
            self.objects[key].create(body)
        else:
            self.objects[key] = body

    def _reconcile(self, kind: str, namespace: str | None, name: str) -> None:
        if self.stalled or kind not in ("deployment", "statefulset", "daemonset", "replicaset"):
            return
        found = self.raw(kind, namespace, name)
        if kind != "replicaset":
            self._number(kind, namespace, name, found)
        count = found["spec"].get("replicas", 2)
        ready = 0 if self.unready else count
        names = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady")
        if kind != "daemonset":
            names = ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")
        counts = dict(zip(names, (count, count, ready, ready), strict=True))
        found["status"] = {
            **found.get("status", {}),
            "observedGeneration": found["metadata"]["generation"],
            "conditions": [{"type": "Available", "status": str(ready == count)}],
            **{each: number for each, number in counts.items() if number},
        }
        for each, number in counts.items():
            if not number:
                found["status"].pop(each, None)
        self._put(kind, namespace, name, found)

    def _number(self, kind: str, namespace: str | None, name: str, found: dict[str, Any]) -> None:
        """The template's revision is the newest: one that there is is numbered anew, else there is a new one."""
        kept = "replicaset" if kind == "deployment" else "controllerrevision"
        mine = [
            (each, body)
            for home, each, body in self.of(kept)
            if home == namespace and body["metadata"]["ownerReferences"][0]["uid"] == found["metadata"]["uid"]
        ]
        numbers = {each: _revision(body) for each, body in mine}
        same = next((each for each, body in mine if _kept_template(body) == found["spec"]["template"]), None)
        newest = max(numbers.values(), default=0)
        if same is None or numbers[same] != newest:
            newest += 1
            self._keep(kept, namespace, same or f"{name}-{newest}", found, newest)
        if kind == "deployment":
            found["metadata"].setdefault("annotations", {})[_REVISION] = str(newest)
        else:
            found.setdefault("status", {})["updateRevision"] = f"{name}-{newest}"

    def _keep(self, kept: str, namespace: str | None, name: str, found: dict[str, Any], number: int) -> None:
        labels = {**found["spec"]["template"]["metadata"]["labels"]}
        if kept == "controllerrevision":
            template = {**copy.deepcopy(found["spec"]["template"]), "$patch": "replace"}
            data = {"spec": {"template": template}}
            self.add(kept, namespace, name, labels=labels, owner=found, data=data, revision=number)
            return
        template = copy.deepcopy(found["spec"]["template"])
        template["metadata"]["labels"]["pod-template-hash"] = name
        spec = {"replicas": found["spec"]["replicas"], "template": template}
        self.add(kept, namespace, name, labels=labels, owner=found, spec=spec)
        body = self.raw(kept, namespace, name)
        body["metadata"]["annotations"] = {_REVISION: str(number)}
        self._put(kept, namespace, name, body)


def workload(replicas: int = 2, image: str = "shop:1", app: str = "web", **more: Any) -> dict[str, Any]:
    """The spec of a workload."""
    template = {
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }
    return {"replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": template, **more}


@asynccontextmanager
async def emulated(folder: Path) -> AsyncIterator[tuple[EmulatedCluster, Server]]:
    """An emulated cluster on a port of its own, and its tokens in files of a folder."""
    (folder / "acts").write_text(ACTS + "\n")
    (folder / "reads").write_text(READS)
    async with EmulatedCluster() as cluster, Server(cluster) as server:
        yield cluster, server


def executor_of(at: Server, folder: Path, **more: Any) -> KubernetesExecutor:
    """The executor before an emulated cluster, from an entry."""
    cluster = {
        "server": str(at.url).rstrip("/"),
        "token_file": str(folder / "acts"),
        "read_token_file": str(folder / "reads"),
        "namespaces": ["shop", "lab"],
        "nodes": True,
        "environment_label": "environment",
        **more,
    }
    return make("kubernetes", {"clusters": {"k8s/prod": cluster}}, TargetCredentials({}))


@contextmanager
def going_wrong(cluster: EmulatedCluster, fault: str) -> Iterator[None]:
    """While it lasts, a fault."""
    cluster.fault = fault
    try:
        yield
    finally:
        cluster.fault = None


def _kind(request: Request) -> str:
    assert request.resource is not None
    return _KIND[request.resource]


def _spec(body: dict[str, Any]) -> Any:
    return body.get("spec")


def _revision(body: dict[str, Any]) -> int:
    return int(body.get("revision") or body["metadata"].get("annotations", {}).get(_REVISION, 0))


def _kept_template(body: dict[str, Any]) -> Any:
    template = copy.deepcopy(body["data"]["spec"]["template"] if "data" in body else body["spec"]["template"])
    template.pop("$patch", None)
    template["metadata"]["labels"].pop("pod-template-hash", None)
    return template


def _json(body: Any) -> aiohttp.web.Response:
    return aiohttp.web.json_response(body)


def _status(code: int, reason: str, message: str, **details: Any) -> aiohttp.web.Response:
    body: dict[str, Any] = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    body["details"] = details
    return aiohttp.web.json_response(body, status=code)


def _lose(request: Request) -> aiohttp.web.StreamResponse:
    """Break the connection in place of an answer."""
    transport = request._raw_request.transport if request._raw_request is not None else None
    assert transport is not None
    transport.abort()
    return aiohttp.web.Response()
