"""Command lines, read as operations of the shipped registries or not at all."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.importing.arguments import split_command
from policy.importing.commands import classify_command
from policy.importing.kinds import object_kind
from policy.operations import OperationsRegistry, read_operations

FOLDER = Path(__file__).parents[2] / "operations"
REGISTRY: OperationsRegistry = read_operations(
    b"---\n".join(path.read_bytes() for path in sorted(FOLDER.glob("*.yaml")))
)
SHOP = {"namespace": "shop"}
WEB: dict[str, Any] = {"kind": "deployment", **SHOP, "name": "web"}
K = "kubernetes."

COMMANDS: dict[str, tuple[str, dict[str, Any]]] = {
    "kubectl -n shop get pods": (K + "object.list", {"kind": "pod", **SHOP}),
    "kubectl get po,svc -A -o wide": (K + "object.list", {"kind": "pod,service"}),
    "/usr/bin/kubectl get deploy/web -n shop": (K + "object.get", WEB),
    "kubectl get widgets.example.org one": (K + "object.get", {"kind": "widgets.example.org", "name": "one"}),
    "kubectl describe node n1": (K + "object.describe", {"kind": "node"}),
    "kubectl get secret db -o yaml": (K + "secret.read", {}),
    "kubectl get pods,secrets": (K + "secret.read", {}),
    "kubectl get deploy/web secret/db": (K + "secret.read", {}),
    "kubectl logs -f -p web-1 -c app --tail=100": (K + "pod.logs", {"name": "web-1"}),
    "kubectl logs -l app=web -nshop": (K + "pod.logs", SHOP),
    "kubectl top pods -n shop": (K + "metrics.top", {"kind": "pod", **SHOP}),
    "kubectl rollout status deploy/web -n shop": (K + "rollout.status", {"kind": "deployment", **SHOP}),
    "kubectl auth can-i delete pods": (K + "access.review", {}),
    "kubectl version": (K + "cluster.info", {}),
    "kubectl config view": (K + "cluster.info", {}),
    "kubectl config view --raw": (K + "secret.read", {}),
    "kubectl scale --replicas=3 deployment/web -n shop": (K + "workload.scale", {**WEB, "replicas": 3}),
    "kubectl scale deployment web --replicas 0 -n shop": (K + "workload.scale_to_zero", WEB),
    "kubectl rollout restart deployment web -n shop": (K + "rollout.restart", WEB),
    "kubectl rollout restart deployment -n shop": (K + "rollout.restart_all", {"kind": "deployment", **SHOP}),
    "kubectl rollout undo deployment/web --to-revision=4 -n shop": (K + "rollout.undo", {**WEB, "to_revision": 4}),
    "kubectl rollout pause deployments/web -n shop": (K + "rollout.pause", WEB),
    "kubectl edit deployment web -n shop": (K + "workload.change", WEB),
    "kubectl set image deployment/web app=web:2 -n shop": (K + "workload.change", WEB),
    """kubectl patch deployment.apps web -n shop -p '{"spec": {"paused": true}}'""": (
        K + "workload.change",
        {**WEB, "patch": {"spec": {"paused": True}}},
    ),
    """kubectl patch deploy web -n shop --type=json -p '[{"op": "remove"}]'""": (K + "workload.change", WEB),
    "kubectl rollout restart deployment a b -n shop": (K + "rollout.restart_all", {"kind": "deployment", **SHOP}),
    "kubectl autoscale deployment web --max=9 -n shop": (
        K + "autoscaler.change",
        {"kind": "horizontalpodautoscaler", **SHOP, "name": "web"},
    ),
    "kubectl edit cm flags -n shop": (K + "configmap.change", {**SHOP, "name": "flags"}),
    "kubectl edit netpol deny -n shop": (
        K + "network_policy.change",
        {"kind": "networkpolicy", **SHOP, "name": "deny"},
    ),
    "kubectl edit ns shop": (K + "namespace.change", {"name": "shop"}),
    "kubectl edit clusterrole all": (K + "access.change", {"kind": "clusterrole", "name": "all"}),
    "kubectl edit widget one": (K + "custom.change", {"kind": "widget", "name": "one"}),
    "kubectl annotate widget one paused='true' -n shop": (
        K + "object.annotate",
        {"kind": "widget", **SHOP, "name": "one", "key": "paused", "value": "true"},
    ),
    "kubectl label pod web-1 app- -n shop": (
        K + "object.label",
        {"kind": "pod", **SHOP, "name": "web-1", "key": "app"},
    ),
    "kubectl label node n1 zone=a": (K + "cluster_object.change", {"kind": "node", "name": "n1"}),
    "kubectl cordon n1": (K + "node.cordon", {"node": "n1"}),
    "kubectl drain n1 --ignore-daemonsets --timeout=5m": (K + "node.drain", {"node": "n1"}),
    "kubectl delete pod web-1 -n shop": (K + "pod.delete", {**SHOP, "name": "web-1"}),
    "kubectl delete deploy web -n shop": (K + "workload.delete", WEB),
    "kubectl delete pvc data -n shop": (
        K + "storage.delete",
        {"kind": "persistentvolumeclaim", **SHOP, "name": "data"},
    ),
    "kubectl delete ns shop": (K + "namespace.delete", {"name": "shop"}),
    "kubectl delete pods --all -n shop": (K + "object.delete_many", {"kind": "pod", **SHOP}),
    "kubectl delete pods -l app=web -n shop": (K + "object.delete_many", {"kind": "pod", **SHOP}),
    "kubectl delete pod a b": (K + "object.delete_many", {"kind": "pod"}),
    "kubectl delete pod a --force --grace-period=0": (K + "object.delete_many", {"kind": "pod"}),
    "kubectl exec -it web-1 -- sh": (K + "pod.exec", {"name": "web-1", "command": ["sh"]}),
    "kubectl cp web-1:/etc/passwd here": (K + "pod.exec", {}),
    "kubectl run probe --image=busybox -n shop": (K + "pod.run", {**SHOP, "name": "probe", "image": "busybox"}),
    "kubectl run probe --image=busybox -- rm x": (K + "pod.exec", {"name": "probe", "command": ["rm", "x"]}),
    "kubectl port-forward web-1 8080": (K + "tunnel.open", {}),
    "helm list -A": (K + "helm.status", {}),
    "helm get values web -n shop": (K + "helm.values", {**SHOP, "release": "web"}),
    "helm upgrade web repo/web --version 1.2 -n shop --atomic": (
        K + "helm.upgrade",
        {**SHOP, "release": "web", "chart": "repo/web", "version": "1.2"},
    ),
    "helm rollback web 3 -n shop": (K + "helm.rollback", {**SHOP, "release": "web", "revision": 3}),
    "helm uninstall web -n shop": (K + "helm.uninstall", {**SHOP, "release": "web"}),
    "systemctl status nginx.service": ("host.service.read", {"unit": "nginx.service"}),
    "systemctl restart nginx": ("host.service.restart", {"unit": "nginx"}),
    "systemctl reboot": ("host.machine.reboot", {}),
    "reboot": ("host.machine.reboot", {}),
    'psql -d shop -c "SHOW work_mem"': ("postgres.parameter.read", {"name": "work_mem"}),
    'psql -c "select pid, state from pg_stat_activity"': ("postgres.catalog.read", {}),
    'psql -c "SELECT name FROM customers LIMIT 5;"': (
        "postgres.table.read",
        {"statement": "SELECT name FROM customers LIMIT 5"},
    ),
    'psql -c "select pg_cancel_backend(42)"': ("postgres.session.cancel", {"pid": 42}),
    """psql -c "ALTER SYSTEM SET work_mem = '64MB'" """: (
        "postgres.parameter.set",
        {"name": "work_mem", "value": "64MB"},
    ),
    'psql -c "vacuum analyze orders"': ("postgres.table.vacuum", {"table": "orders"}),
    'psql -c "VACUUM FULL orders"': ("postgres.table.vacuum_full", {"table": "orders"}),
    'psql -c "create index concurrently by_day on orders (day, id)"': (
        "postgres.index.create",
        {"index": "by_day", "table": "orders", "columns": ["day", "id"]},
    ),
    'psql -c "TRUNCATE orders"': ("postgres.table.truncate", {"table": "orders"}),
    'psql -c "DROP DATABASE shop"': ("postgres.database.drop", {"database": "shop"}),
}


@pytest.mark.parametrize(("line", "expected"), COMMANDS.items(), ids=COMMANDS)
def test_what_a_command_does(line: str, expected: tuple[str, dict[str, Any]]) -> None:
    """A command is one registered operation, with parameters that the operation takes."""
    words = split_command(line)
    assert words is not None
    found = classify_command(words)
    assert found is not None
    assert (found.operation, dict(found.parameters)) == expected
    known = REGISTRY.find(found.operation)
    assert known is not None
    for name, value in found.parameters.items():
        assert known.parameters[name].refusal(value) is None


UNREAD = [
    "",
    "rm -rf /var",
    "/tmp/kubectl get pods",
    "kubectl",
    "kubectl frobnicate pods",
    "kubectl --unheard-of get pods",
    "kubectl get pods --as=admin",
    "kubectl get pods --token x",
    "kubectl get --raw /api",
    "kubectl get pods --namespace a --namespace b",
    "kubectl apply -f all.yaml",
    "kubectl create -f all.yaml",
    "kubectl replace --force -f all.yaml",
    "kubectl delete -f all.yaml",
    "kubectl edit deployment",
    "kubectl edit deployment a b",
    "kubectl edit deployment --all",
    "kubectl annotate pods --all a=b",
    "kubectl label pods -l x=y a=b",
    "kubectl scale deployment --all --replicas=3",
    "kubectl scale deployment web",
    "kubectl scale deployment web --replicas=many",
    "kubectl rollout undo deployment",
    "kubectl rollout restart deployment -A",
    "kubectl rollout undo deployment/web --to-revision=x",
    "kubectl drain n1 --force",
    "kubectl drain n1 n2",
    "kubectl patch deployment web -p 'spec'",
    "kubectl -n get delete pod web",
    "helm upgrade web chart --post-renderer ./x",
    "helm upgrade web chart -f values.yaml",
    "helm repo add x y",
    "systemctl stop a b",
    "systemctl --user restart a",
    "systemctl -H other restart a",
    "systemctl mask a",
    "psql",
    "psql -f all.sql",
    'psql -c "select 1" -c "drop table x"',
    'psql -c "select 1; drop table x"',
    'psql -c "select lo_import(1)"',
    'psql -c "select * into y from x"',
    'psql -c "explain analyze delete from x"',
    'psql -c "delete from x"',
    'psql -c "alter system reset all"',
]


@pytest.mark.parametrize("line", UNREAD)
def test_what_is_not_read_is_the_worst(line: str) -> None:
    """Another program, an unknown option, several objects, a file, somebody else's identity: nobody can tell."""
    words = split_command(line)
    assert words is not None
    assert classify_command(words) is None


MORE_THAN_WORDS = [
    "kubectl get pods; rm x",
    "kubectl get pods && rm x",
    "kubectl get pods | sh",
    "kubectl get pods > file",
    "kubectl get pods $(rm x)",
    "kubectl get pods `rm x`",
    'kubectl get pods "$(rm x)"',
    "kubectl get pods $X",
    "kubectl get po*",
    "kubectl get pods\nrm x",
    "kubectl get pods # no",
    "kubectl get 'pods",
    "kubectl get {{ name }}",
    "kubectl get \\pods",
    "x" * 30_000,
]


@pytest.mark.parametrize("line", MORE_THAN_WORDS)
def test_what_a_shell_would_act_on(line: str) -> None:
    """A line that is more than a program and its words is not split."""
    assert split_command(line) is None


@pytest.mark.parametrize(
    "argv", [("kubectl", "get", "pods", ";", "rm"), ("kubectl", "get", "pods", "&&"), ("kubectl\0",)]
)
def test_words_that_a_shell_would_act_on(argv: tuple[str, ...]) -> None:
    """The same holds for words that somebody split before."""
    assert classify_command(argv) is None


_WORDS = st.sampled_from(
    [
        *("get", "delete", "edit", "rollout", "restart", "undo", "scale", "annotate", "drain", "exec", "logs", "patch"),
        *("pods", "secret", "deployment/web", "web", "a=b", "-n", "shop", "-A", "--all", "-l", "--force", "--", "-f"),
        *(
            "--replicas=0",
            "-p",
            "{}",
            "rm",
            "status",
            "upgrade",
            "uninstall",
            "reboot",
            "-c",
            "drop table x",
            "select 1",
        ),
    ]
) | st.text(max_size=6)


@given(st.sampled_from(["kubectl", "helm", "systemctl", "psql"]), st.lists(_WORDS, max_size=8))
def test_any_words(program: str, words: list[str]) -> None:
    """Whatever the words are, there is an answer: a registered operation with parameters of its own, or none."""
    found = classify_command((program, *words))
    if found is not None:
        known = REGISTRY.find(found.operation)
        assert known is not None
        assert set(found.parameters) <= set(known.parameters)
        if {"delete", "drop table x"} & set(words[:1]) and not known.read_only:
            assert known.destructive


@given(st.text(max_size=60))
def test_any_line(line: str) -> None:
    """A line that is split has no character left that a shell would act on outside of quotes."""
    words = split_command(line)
    assert words is None or "".join(words).count("\n") <= line.count("\n")


@given(st.text(max_size=30))
def test_any_kind(word: str) -> None:
    """Every word is a kind with registered operations, or none."""
    kind = object_kind(word)
    assert kind is None or None not in (REGISTRY.find(kind.change), REGISTRY.find(kind.delete))
