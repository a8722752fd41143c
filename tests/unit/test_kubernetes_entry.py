"""What an operator writes of clusters: what is taken, what is refused, and where a resource id leads."""

from typing import Any

import pytest

from activities.executors.base import PreconditionFailedError, TargetCredentials
from activities.executors.kinds import ExecutorSettingsError, make_executors
from activities.executors.kubernetes_objects import Ref
from activities.executors.kubernetes_settings import ClusterSettings, KubernetesSettings, place_of

WHOLE: dict[str, Any] = {
    "server": "https://10.0.0.1:6443",
    "ca_file": "/etc/countersign/ca.crt",
    "token_file": "/etc/countersign/acts",
    "read_token_file": "/etc/countersign/reads",
    "namespaces": ["shop"],
    "environment_label": "example.com/environment",
}


def made(**changes: Any) -> Any:
    entry = {"kind": "kubernetes", "clusters": {"k8s/prod": {**WHOLE, **changes}}}
    return make_executors({"k8s": entry}, TargetCredentials({}))["k8s"]


def test_an_entry_makes_an_executor_and_connects_to_nothing() -> None:
    assert made(ca_file=None).name == "k8s"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"server": "http://10.0.0.1:6443"}, "https only"),
        ({"server": "http://localhost.example.com"}, "https only"),
        ({"server": "https://me:secret@10.0.0.1"}, "carries no credentials"),
        ({"server": "https://10.0.0.1/k8s/clusters/c-1?x=1"}, "nothing after it"),
        ({"server": "10.0.0.1:6443"}, "nothing after it"),
        ({"token_file": "acts"}, "absolute path"),
        ({"token_file": None}, "token_file"),
        ({"read_token_file": ""}, "absolute path"),
        ({"namespaces": ["*"]}, "namespaces"),
        ({"namespaces": "shop"}, "namespaces"),
        ({"environment_label": "a b"}, "environment_label"),
        ({"verify": False}, "verify"),
        ({"nodes": "yes"}, "nodes"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ExecutorSettingsError, match=why) as error:
        made(**changes)

    assert "secret" not in str(error.value)


def test_two_credentials_that_are_one_are_refused() -> None:
    """What resolves and measures must not be able to change anything."""
    with pytest.raises(ExecutorSettingsError, match="read_token_file"):
        made(read_token_file=WHOLE["token_file"])


def test_no_cluster_at_all_is_refused() -> None:
    with pytest.raises(ExecutorSettingsError, match="clusters"):
        make_executors({"k8s": {"kind": "kubernetes", "clusters": {}}}, TargetCredentials({}))


@pytest.mark.parametrize(
    ("resource", "ref", "holds"),
    [
        ("k8s/prod", Ref("deployment", "shop", "web"), True),
        ("k8s/prod", Ref("node", None, "n1"), True),
        ("k8s/prod/shop", Ref("deployment", "shop", "web"), True),
        ("k8s/prod/shop", Ref("deployment", "lab", "web"), False),
        ("k8s/prod/shop", Ref("node", None, "shop"), False),
        ("k8s/prod/shop/web", Ref("statefulset", "shop", "web"), True),
        ("k8s/prod/shop/web", Ref("deployment", "shop", "web2"), False),
        ("k8s/prod/shop/deployment/web", Ref("deployment", "shop", "web"), True),
        ("k8s/prod/shop/deployment/web", Ref("statefulset", "shop", "web"), False),
        ("k8s/prod/node/n1", Ref("node", None, "n1"), True),
        ("k8s/prod/node/n1", Ref("node", None, "n2"), False),
        ("k8s/prod/node/n1", Ref("deployment", "node", "n1"), False),
        ("k8s/prod/node", Ref("node", None, "n1"), False),
        ("k8s/prod/shop/deployment/web/pod", Ref("deployment", "shop", "web"), False),
        ("k8s/prod//web", Ref("deployment", "shop", "web"), False),
    ],
)
def test_a_resource_id_holds_what_it_names_and_no_more(resource: str, ref: Ref, holds: bool) -> None:
    clusters = KubernetesSettings.model_validate({"clusters": {"k8s/prod": WHOLE}}).clusters

    assert place_of(resource, clusters).holds(ref) is holds


def test_the_longest_prefix_leads() -> None:
    clusters = {name: ClusterSettings.model_validate(WHOLE) for name in ("k8s", "k8s/prod", "k8s/prod/shop")}

    assert place_of("k8s/prod/shop/web", clusters).prefix == "k8s/prod/shop"
    assert place_of("k8s/prod/shop2", clusters).prefix == "k8s/prod"
    with pytest.raises(PreconditionFailedError, match="in none of the clusters"):
        place_of("k8sx/prod", clusters)
