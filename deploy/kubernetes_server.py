"""A real Kubernetes: etcd, kube-apiserver and kube-controller-manager 1.20.2, built by `make kubernetes` into `.dev/`.

There are no nodes and no kubelet: controllers work, and no pod ever runs. So what is real here is the API server (its
patches, conflicts, dry runs, generations, rights, audit events) and the controllers that number revisions.
"""

import base64
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from deploy.servers import LOOPBACK, Server, ServerError, free_ports, listens

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / ".dev" / "kubernetes-1.20.2"
ADMIN, CONTROLLERS = "token-of-the-administrator", "token-of-the-controllers"
_RBAC = ROOT / "deploy" / "kubernetes" / "rbac.yaml"
_SECONDS = 60.0
_AUDITED = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        {
            "level": "Request",
            "verbs": ["create", "update", "patch", "delete", "deletecollection"],
            "resources": [{"group": "apps"}, {"group": "", "resources": ["nodes", "pods", "pods/eviction"]}],
        },
        {"level": "None"},
    ],
}
_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Node": "/api/v1/nodes",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
}


@dataclass(frozen=True)
class RealCluster:
    """A cluster that runs, and its files: certificate, tokens, audit log."""

    url: str
    folder: Path

    @property
    def ca_file(self) -> Path:
        return self.folder / "certs" / "apiserver.crt"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """One request of the administrator."""
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": kind}
        data = json.dumps(body) if body is not None else None
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                method, self.url + path, headers=headers, data=data, verify=str(self.ca_file), timeout=30
            )
        if not answer.ok:
            raise ServerError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def create(self, body: dict[str, Any]) -> Any:
        """An object."""
        path = _PATHS[body["kind"]].format(body["metadata"].get("namespace"))
        return self.call("POST", path, body)

    def token(self, account: str) -> Path:
        """A file with a token of a service account."""
        path = f"/api/v1/namespaces/countersign/serviceaccounts/{account}/token"
        made = self.call("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
        file = self.folder / account
        file.write_text(made["status"]["token"])
        return file

    def copied(self, account: str) -> Path:
        """Another file with the same token."""
        file = self.folder / f"{account}-again"
        file.write_text(self.token(account).read_text())
        return file

    def entry(self) -> dict[str, Any]:
        """What an operator writes of it."""
        return {
            "server": self.url,
            "ca_file": str(self.ca_file),
            "token_file": str(self.token("countersign-acts")),
            "read_token_file": str(self.token("countersign-reads")),
            "namespaces": ["shop"],
            "nodes": True,
            "environment_label": "environment",
        }


class _Program(Server):
    """One of the three programs, which ends with the process that started it, however that happens."""

    _stop_signal = signal.SIGTERM

    def __init__(self, name: str, folder: Path, arguments: Callable[[int], Sequence[str]]) -> None:
        self.name = name
        super().__init__(folder, ports={"own": 0})
        self._arguments = arguments

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._ports["own"]

    def _prepare(self) -> None:
        if not (PROGRAMS / self.name).exists():
            raise ServerError(f"{PROGRAMS / self.name} is missing: `make kubernetes` builds it")

    def _command(self) -> list[str]:
        return [str(PROGRAMS / self.name), *self._arguments(self.port)]

    def _ready(self) -> bool:
        return self.name == "kube-controller-manager" or listens(self.port)


@contextmanager
def real_cluster(folder: Path) -> Iterator[RealCluster]:
    """A cluster with the namespace `shop` and the rights of `deploy/kubernetes/rbac.yaml`."""
    with ExitStack() as stack:
        store = _started(stack, _Program("etcd", folder, lambda port: _store(folder, port)))
        address = f"http://{LOOPBACK}:{store.port}"
        server = _started(stack, _Program("kube-apiserver", folder, lambda port: _api_server(folder, address, port)))
        cluster = RealCluster(f"https://{LOOPBACK}:{server.port}", folder)
        _await_ready(cluster)
        kubeconfig = _kubeconfig(cluster)
        _started(stack, _Program("kube-controller-manager", folder, lambda _: _controllers(kubeconfig)))
        shop = {"name": "shop", "labels": {"environment": "production"}}
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": shop})
        for body in yaml.safe_load_all(_RBAC.read_text()):
            cluster.create(body)
        yield cluster


def _started(stack: ExitStack, program: _Program) -> _Program:
    stack.callback(program.stop)
    program.start()
    return program


def _store(folder: Path, port: int) -> tuple[str, ...]:
    store, peer = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{free_ports({'peer': 0})['peer']}"
    return (
        *("--data-dir", str(folder / "etcd-data"), "--listen-peer-urls", peer),
        *("--listen-client-urls", store, "--advertise-client-urls", store),
    )


def _api_server(folder: Path, store: str, port: int) -> tuple[str, ...]:
    key, tokens, policy = folder / "accounts.key", folder / "tokens.csv", folder / "audit.yaml"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    controllers = f"{CONTROLLERS},system:kube-controller-manager,2,system:masters\n"
    tokens.write_text(f"{ADMIN},administrator,1,system:masters\n{controllers}")
    policy.write_text(yaml.safe_dump(_AUDITED))
    return (
        *("--etcd-servers", store, "--bind-address", LOOPBACK, "--advertise-address", LOOPBACK),
        *("--secure-port", str(port), "--cert-dir", str(folder / "certs")),
        *("--service-cluster-ip-range", "10.0.0.0/24", "--authorization-mode", "RBAC"),
        *("--service-account-issuer", "https://kubernetes.default.svc"),
        *("--service-account-key-file", str(key), "--service-account-signing-key-file", str(key)),
        # There is no controller of service accounts here, so no pod has one.
        *("--token-auth-file", str(tokens), "--disable-admission-plugins", "ServiceAccount"),
        *("--audit-policy-file", str(policy), "--audit-log-path", str(folder / "audit.log")),
    )


def _controllers(kubeconfig: Path) -> tuple[str, ...]:
    return (
        *("--kubeconfig", str(kubeconfig), "--port", "0", "--secure-port", "0", "--leader-elect=false"),
        *("--controllers", "deployment,replicaset,statefulset,daemonset"),
    )


def _kubeconfig(cluster: RealCluster) -> Path:
    ca = base64.b64encode(cluster.ca_file.read_bytes()).decode()
    file = cluster.folder / "kubeconfig"
    said = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": cluster.url, "certificate-authority-data": ca}}],
        "users": [{"name": "it", "user": {"token": CONTROLLERS}}],
    }
    file.write_text(yaml.safe_dump(said))
    return file


def _await_ready(cluster: RealCluster) -> None:
    until = time.monotonic() + _SECONDS
    while True:
        try:
            cluster.call("GET", "/api/v1/namespaces/default")
        except (OSError, ServerError):
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return
