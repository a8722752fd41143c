"""What an operator says of clusters: where each answers, by which credentials, and what in it may be touched at all.

- A cluster is named by a prefix of resource ids of the catalog, `k8s/prod`. What follows it in a resource id narrows:
  `k8s/prod/shop` is the namespace, `k8s/prod/shop/web` and `k8s/prod/shop/deployment/web` are one object of it,
  `k8s/prod/node/n1` is a node. An order about one resource never reaches an object outside of it.
- A namespace is touched only where it is listed, a node only where `nodes` says so.
- The reading credential is another one than the acting one: what is read before a permit must not be able to change
  anything. RBAC of the cluster holds both to it (`docs/executors.md`).
- Credentials are files with bearer tokens. Nothing is taken from a kubeconfig or from the pod that this runs in, unless
  the operator names these very files.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from activities.executors.base import PreconditionFailedError
from activities.executors.kinds import ExecutorSettings
from activities.executors.kubernetes_objects import NODE, Ref

_LABEL = r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_NAME = r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"
_NAMESPACE = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


def _server(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("write https://host:port and nothing after it")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("an address carries no credentials: write them into token_file")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("a token goes over https only, except to this very machine")
    return value.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _absolute(value: Path) -> Path:
    if not value.is_absolute():
        raise ValueError("write the absolute path of a file")
    return value


def _path(value: object) -> object:
    return Path(value) if isinstance(value, str) else value


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


File = Annotated[Path, BeforeValidator(_path), AfterValidator(_absolute)]
Server = Annotated[str, AfterValidator(_server)]
Namespace = Annotated[str, StringConstraints(pattern=f"^{_NAMESPACE}$")]


class ClusterSettings(ExecutorSettings):
    """One cluster.

    Attributes:
        server: `https://host:port` of its API server; `http` only on a loopback address.
        ca_file: the certificates that its own is checked against; None for those of the system.
        token_file: the bearer token that acts.
        read_token_file: the bearer token that resolves and measures, and can change nothing.
        namespaces: those in which something may be touched or read.
        nodes: whether nodes may be.
        environment_label: the label of a namespace, or of an object, that says in which environment it is.
    """

    server: Server
    ca_file: File | None = None
    token_file: File
    read_token_file: File
    namespaces: Annotated[tuple[Namespace, ...], BeforeValidator(_tuple)]
    nodes: bool = False
    environment_label: Annotated[str, StringConstraints(pattern=f"^{_LABEL}$")] | None = None

    @model_validator(mode="after")
    def _apart(self) -> "ClusterSettings":
        if self.token_file == self.read_token_file:
            raise ValueError("token_file and read_token_file are one: what reads must not be able to change anything")
        return self


class KubernetesSettings(ExecutorSettings):
    """The clusters of one executor, by the prefix of their resource ids."""

    clusters: dict[Annotated[str, StringConstraints(pattern=r"^[^\s/]+(/[^\s/]+)*$")], ClusterSettings] = Field(
        min_length=1
    )


@dataclass(frozen=True)
class Place:
    """Where a resource id of the catalog leads: to a cluster, and to how much of it."""

    resource: str
    prefix: str
    within: tuple[str, ...]

    def holds(self, ref: Ref) -> bool:
        """Whether an object is within it."""
        match self.within:
            case ():
                return True
            case (kind, name) if NODE in (kind, ref.kind):
                return (ref.kind, ref.name) == (kind, name)
            case (namespace,):
                return ref.namespace == namespace
            case (namespace, name):
                return (ref.namespace, ref.name) == (namespace, name)
            case (namespace, kind, name):
                return (ref.namespace, ref.kind, ref.name) == (namespace, kind, name)
        return False


def place_of(resource: str, clusters: Mapping[str, ClusterSettings]) -> Place:
    """Where a resource id leads, by the longest prefix.

    Raises:
        PreconditionFailedError: to none of the clusters.
    """
    known = [prefix for prefix in clusters if resource == prefix or resource.startswith(f"{prefix}/")]
    if not known:
        raise PreconditionFailedError(f"resource {resource} is in none of the clusters {', '.join(sorted(clusters))}")
    prefix = max(known, key=len)
    rest = resource[len(prefix) + 1 :]
    return Place(resource, prefix, tuple(rest.split("/")) if rest else ())


def check_allowed(ref: Ref, settings: ClusterSettings) -> None:
    """Refuse what the operator did not list.

    Raises:
        PreconditionFailedError: the namespace is not listed, or nodes are not.
    """
    if ref.kind == NODE:
        if not settings.nodes:
            raise PreconditionFailedError(f"node {ref.name}: nodes are not to be touched, set nodes in the entry")
    elif ref.namespace not in settings.namespaces:
        listed = ", ".join(settings.namespaces) or "none"
        raise PreconditionFailedError(f"namespace {ref.namespace} is not listed (listed: {listed})")


def is_namespace(value: object) -> bool:
    """Whether it can be the name of a namespace."""
    return isinstance(value, str) and re.fullmatch(_NAMESPACE, value) is not None


def is_name(value: object) -> bool:
    """Whether it can be the name of an object."""
    return isinstance(value, str) and re.fullmatch(_NAME, value) is not None
