"""What a `kubectl` line does, as an operation of the shipped registries.

- One object, named: its own operation. A selector, `--all`, `--force`, all namespaces or several names are more than
  one object: a deletion becomes `delete_many`, a restart `restart_all`, and anything else is not read at all.
- What comes from a file cannot be seen, so that it is not read; nor is a line that acts as somebody else.
- A dry run is read as if it were none.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence

from pydantic import JsonValue

from policy.importing.arguments import Line, ProposedOperation, read_line
from policy.importing.kinds import ObjectKind, object_kind
from policy.importing.lexicon import words

_VALUED = words("""
-n --namespace --context --kubeconfig --cluster --request-timeout -l --selector -v --v --field-selector -o --output -c
--container --since --since-time --tail --replicas --current-replicas --resource-version --timeout --type --patch
--to-revision --revision --grace-period --sort-by -L --label-columns --template --image --port --target-port --min
--max --cpu-percent --cascade --field-manager --limits --requests --for --name -k --kustomize --filename --patch-file
--chunk-size --subresource --pod-selector --types --max-log-requests --limit-bytes --restart --api-group
--serviceaccount --skip-wait-for-delete-timeout
""")
_PLAIN = words("""
-A --all-namespaces -w --watch --show-labels --no-headers --ignore-not-found -R --recursive --overwrite --force --all
--wait --now --dry-run --server-side --prune --previous --follow -i -t -it -ti --tty --stdin --rm --local
--ignore-daemonsets --command --delete-emptydir-data --delete-local-data --disable-eviction --list --show-kind
--containers --timestamps --all-containers --prefix --client --short -q --quiet --watch-only --raw
--show-managed-fields --minify --show-events --record --save-config --resource-versions
""")
_MANY = ("-l", "--selector", "--field-selector", "--all", "-A", "--all-namespaces")
_FROM_FILE = ("-f", "--filename", "-k", "--kustomize", "--patch-file")
_OBJECT = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")
_READS = {
    **dict.fromkeys(("version", "cluster-info", "api-resources", "api-versions", "explain"), "kubernetes.cluster.info"),
    "events": "kubernetes.event.list",
    "diff": "kubernetes.manifest.diff",
}
_CONFIG_READS = ("view", "get-contexts", "current-context", "get-clusters", "get-users")
_SAID_BY_NAME = {
    **dict.fromkeys(("configmap", "secret", "volume_claim", "pod"), ("kind",)),
    "namespace": ("kind", "namespace"),
    "cluster_object": ("namespace",),
}
_WORKLOADS = ("deployment", "statefulset", "daemonset")
_SCALED = ("deployment", "statefulset", "replicaset")


def read_kubectl(arguments: Sequence[str]) -> ProposedOperation | None:
    """What the words after `kubectl` do, or None where nobody can tell: the worst."""
    short = {"logs": (frozenset(), {"-f", "-p"}), "patch": ({"-f", "-p"}, frozenset())}
    verb = next((word for word in arguments if word in _VERBS or word in _READS), "")
    valued, plain = short.get(verb, ({"-f"}, frozenset()))
    line = read_line(arguments, valued=_VALUED | valued, plain=_PLAIN | plain)
    if line is None or line.words[:1] != (verb,):
        return None
    if verb in _READS:
        return _say(_READS[verb], "cluster", {}, verb)
    return _VERBS[verb](line)


def _say(operation: str, kind: str, parameters: Mapping[str, JsonValue], why: str) -> ProposedOperation:
    return ProposedOperation(operation, kind, dict(parameters), f"kubectl {why}")


def _namespace(line: Line) -> dict[str, JsonValue]:
    given = line.option("-n", "--namespace")
    return {} if given is None else {"namespace": given}


def _objects(said: Sequence[str]) -> tuple[ObjectKind, tuple[str, ...]] | None:
    """The kind and the names in `KIND NAME...` or `KIND/NAME...`; None where there are several kinds, or none."""
    if not said:
        return None
    if "/" in said[0]:
        pairs = [word.split("/", 1) for word in said]
        if any(len(pair) != 2 for pair in pairs) or len({pair[0] for pair in pairs}) != 1:  # noqa: PLR2004 - a pair
            return None
        kind, names = object_kind(pairs[0][0]), tuple(pair[1] for pair in pairs)
    else:
        kind, names = object_kind(said[0]), tuple(said[1:])
    return None if kind is None else (kind, names)


def _one(line: Line, said: Sequence[str]) -> tuple[ObjectKind, dict[str, JsonValue]] | None:
    """The one object that a line names; None where it may be more than one, or is not to be seen."""
    found = _objects(said)
    if found is None or line.has(*_MANY, *_FROM_FILE, "--force"):
        return None
    kind, names = found
    if len(names) != 1 or not _OBJECT.fullmatch(names[0]) or kind.name == "all":
        return None
    return kind, {"kind": kind.name, **_namespace(line), "name": names[0]}


def _without_kind(operation: str, parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The parameters of an operation without what its name says."""
    left_out = _SAID_BY_NAME.get(operation.split(".")[1], ())
    return {name: value for name, value in parameters.items() if name not in left_out}


def _get(line: Line) -> ProposedOperation | None:
    if line.has("--raw", *_FROM_FILE) or len(line.words) < 2:  # noqa: PLR2004 - the verb and a kind
        return None
    said = [*line.words[1].split(","), *(word for word in line.words[2:] if "/" in word)]
    named = [object_kind(word.split("/", 1)[0]) for word in said]
    kinds = [kind for kind in named if kind is not None]
    if len(kinds) != len(named):
        return None
    verb = line.words[0]
    if any(kind.name == "secret" for kind in kinds):
        return _say("kubernetes.secret.read", "secret", _namespace(line), f"{verb} secret")
    found = _objects(line.words[1:])
    names = found[1] if found is not None else ()
    shown: dict[str, JsonValue] = {"kind": ",".join(kind.name for kind in kinds), **_namespace(line)}
    if verb == "get" and len(kinds) == len(names) == 1 and _OBJECT.fullmatch(names[0]):
        return _say("kubernetes.object.get", kinds[0].name, {**shown, "name": names[0]}, "get one")
    operation = "kubernetes.object.list" if verb == "get" else "kubernetes.object.describe"
    return _say(operation, kinds[0].name, shown, verb)


def _logs(line: Line) -> ProposedOperation | None:
    names = [word.rsplit("/", 1)[-1] for word in line.words[1:2]]
    name: dict[str, JsonValue] = {"name": names[0]} if names else {}
    return _say("kubernetes.pod.logs", "pod", {**_namespace(line), **name}, "logs")


def _top(line: Line) -> ProposedOperation | None:
    kind = object_kind(line.words[1]) if len(line.words) > 1 else None
    if kind is None or kind.name not in ("node", "pod"):
        return None
    return _say("kubernetes.metrics.top", kind.name, {"kind": kind.name, **_namespace(line)}, "top")


def _config(line: Line) -> ProposedOperation | None:
    if len(line.words) < 2 or line.words[1] not in _CONFIG_READS:  # noqa: PLR2004 - `config` and what of it
        return None
    if line.has("--raw"):
        return _say("kubernetes.secret.read", "kubeconfig", {}, "config view --raw")
    return _say("kubernetes.cluster.info", "kubeconfig", {}, f"config {line.words[1]}")


def _auth(line: Line) -> ProposedOperation | None:
    if line.words[1:2] not in (("can-i",), ("whoami",)):
        return None
    return _say("kubernetes.access.review", "cluster", _namespace(line), f"auth {line.words[1]}")


def _wait(line: Line) -> ProposedOperation | None:
    found = _objects(line.words[1:])
    if found is None or line.has(*_FROM_FILE):
        return None
    kind = found[0].name
    if kind == "secret":
        return _say("kubernetes.secret.read", kind, _namespace(line), "wait")
    return _say("kubernetes.object.list", kind, {"kind": kind, **_namespace(line)}, "wait")


def _scale(line: Line) -> ProposedOperation | None:
    one, count = _one(line, line.words[1:]), line.option("--replicas")
    if one is None or count is None or not re.fullmatch(r"[0-9]{1,4}", count):
        return None
    kind, parameters = one
    if kind.name not in _SCALED:
        return _say(kind.change, kind.name, parameters, "scale") if kind.change.endswith("custom.change") else None
    if int(count) == 0:
        return _say("kubernetes.workload.scale_to_zero", kind.name, parameters, "scale to zero")
    return _say("kubernetes.workload.scale", kind.name, {**parameters, "replicas": int(count)}, "scale")


def _rollout(line: Line) -> ProposedOperation | None:
    verb = line.words[1] if len(line.words) > 1 else ""
    found = _objects(line.words[2:])
    if found is None or line.has(*_FROM_FILE) or found[0].name not in _WORKLOADS:
        return None
    kind, names = found
    if verb in ("status", "history"):
        return _say("kubernetes.rollout.status", kind.name, {"kind": kind.name, **_namespace(line)}, f"rollout {verb}")
    one = _one(line, line.words[2:])
    if one is None:
        wide = verb == "restart" and (len(names) != 1 or line.has(*_MANY)) and not line.has("-A", "--all-namespaces")
        whole: dict[str, JsonValue] = {"kind": kind.name, **_namespace(line)}
        return _say("kubernetes.rollout.restart_all", kind.name, whole, "rollout restart of all") if wide else None
    revision = line.option("--to-revision")
    to = {"to_revision": int(revision)} if revision and re.fullmatch(r"[1-9][0-9]{0,8}", revision) else {}
    if verb not in ("restart", "undo", "pause", "resume") or (revision not in (None, "0") and not to):
        return None
    return _say(
        f"kubernetes.rollout.{verb}", kind.name, {**one[1], **(to if verb == "undo" else {})}, f"rollout {verb}"
    )


def _change(line: Line) -> ProposedOperation | None:
    """`edit` and `patch` of one object. What `edit` will change is not in the line."""
    one = _one(line, line.words[1:])
    if one is None:
        return None
    kind, parameters = one
    written = line.option("-p", "--patch")
    if written is not None:
        try:
            patch = json.loads(written)
        except (ValueError, RecursionError):
            return None
        # A list is a JSON patch: it says what changes, and is no object that the operation takes.
        if isinstance(patch, dict):
            parameters["patch"] = patch
    return _say(kind.change, kind.name, _without_kind(kind.change, parameters), f"{line.words[0]} {kind.name}")


def _set(line: Line) -> ProposedOperation | None:
    objects = [word for word in line.words[2:] if "=" not in word and not word.endswith("-")]
    one = _one(line, objects)
    if one is None or line.words[1] not in ("image", "env", "resources") or one[0].name not in _WORKLOADS:
        return None
    return _say(one[0].change, one[0].name, one[1], f"set {line.words[1]}")


def _autoscale(line: Line) -> ProposedOperation | None:
    one = _one(line, line.words[1:])
    if one is None or one[0].name not in _SCALED:
        return None
    parameters = {**one[1], "kind": "horizontalpodautoscaler"}
    return _say("kubernetes.autoscaler.change", "horizontalpodautoscaler", parameters, "autoscale")


def _mark(line: Line) -> ProposedOperation | None:
    """`annotate` and `label` of one object."""
    marks = [word for word in line.words[1:] if "=" in word or word.endswith("-")]
    one = _one(line, [word for word in line.words[1:] if word not in marks])
    if one is None or not marks:
        return None
    kind, parameters = one
    verb = line.words[0]
    if verb == "label" and kind.change in ("kubernetes.namespace.change", "kubernetes.cluster_object.change"):
        return _say(kind.change, kind.name, _without_kind(kind.change, parameters), f"label {kind.name}")
    if len(marks) == 1:
        key, is_set, value = marks[0].partition("=")
        parameters |= {"key": key, "value": value} if is_set else {"key": key.removesuffix("-")}
    return _say(f"kubernetes.object.{verb}", kind.name, parameters, f"{verb} {kind.name}")


def _node(line: Line) -> ProposedOperation | None:
    verb, names = line.words[0], line.words[1:]
    names = names[1:] if verb == "taint" else names
    names = tuple(name.removeprefix("node/") for name in names)
    if line.has(*_MANY, "--force", "--disable-eviction", "--pod-selector") or not names:
        return None
    if not _OBJECT.fullmatch(names[0]) or (len(names) != 1 and verb != "taint"):
        return None
    if verb == "taint" and any("=" not in word and not word.endswith("-") for word in names[1:]):
        return None
    return _say(f"kubernetes.node.{verb}", "node", {"node": names[0]}, verb)


def _delete(line: Line) -> ProposedOperation | None:
    found = _objects(line.words[1:])
    if found is None or line.has(*_FROM_FILE, "--raw"):
        return None
    kind = found[0]
    one = _one(line, line.words[1:])
    if one is None or line.has("--now") or line.option("--grace-period") in ("0", "1") or line.has("--cascade"):
        shown: dict[str, JsonValue] = {"kind": kind.name, **_namespace(line)}
        return _say("kubernetes.object.delete_many", kind.name, shown, "delete of more than one, or by force")
    return _say(kind.delete, kind.name, _without_kind(kind.delete, one[1]), f"delete {kind.name}")


def _inside(line: Line) -> ProposedOperation | None:
    """`exec`, `cp`, `attach`, `debug`: anything can be done inside a container."""
    is_named = len(line.words) > 1 and line.words[0] != "cp"
    name: dict[str, JsonValue] = {"name": line.words[1].rsplit("/", 1)[-1]} if is_named else {}
    command: dict[str, JsonValue] = {"command": list(line.rest)} if line.rest else {}
    return _say("kubernetes.pod.exec", "pod", {**_namespace(line), **name, **command}, line.words[0])


def _run(line: Line) -> ProposedOperation | None:
    image = line.option("--image")
    if len(line.words) != 2 or line.rest or line.has("-i", "-t", "-it", "-ti", "--stdin", "--command"):  # noqa: PLR2004
        return _inside(line)
    shown: dict[str, JsonValue] = {} if image is None else {"image": image}
    return _say("kubernetes.pod.run", "pod", {**_namespace(line), "name": line.words[1], **shown}, "run")


def _tunnel(line: Line) -> ProposedOperation | None:
    return _say("kubernetes.tunnel.open", "pod", _namespace(line), line.words[0])


_VERBS: dict[str, Callable[[Line], ProposedOperation | None]] = {
    **dict.fromkeys(("get", "describe"), _get),
    "logs": _logs,
    "top": _top,
    "config": _config,
    "auth": _auth,
    "wait": _wait,
    "scale": _scale,
    "rollout": _rollout,
    **dict.fromkeys(("edit", "patch"), _change),
    "set": _set,
    "autoscale": _autoscale,
    **dict.fromkeys(("annotate", "label"), _mark),
    **dict.fromkeys(("cordon", "uncordon", "drain", "taint"), _node),
    "delete": _delete,
    **dict.fromkeys(("exec", "cp", "attach", "debug"), _inside),
    "run": _run,
    **dict.fromkeys(("port-forward", "proxy"), _tunnel),
}
