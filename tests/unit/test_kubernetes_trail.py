"""Kubernetes audit events as a trail: what of them is an effect, what each claims, and what proves nothing.

`tests/data/kubernetes-audit.jsonl` was written by kube-apiserver 1.20.2 in a run of `make kubernetes`: an administrator
makes a node and a Deployment, permits pause and cordon them, undo both, scale, rehearse; then the administrator changes
the Deployment.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.trails.kubernetes import MAX_LINE_BYTES, read_audit_events

SAMPLE = (Path(__file__).parents[1] / "data" / "kubernetes-audit.jsonl").read_text().splitlines()
PERMIT = "0f0e0d0c-0000-5000-8000-000000000001"
MARKED = {"countersign/permit": PERMIT, "countersign/wrote": json.dumps({"operation": "kubernetes.rollout.undo"})}
RESTARTED = {"countersign/permit": PERMIT, "countersign/wrote": json.dumps({"operation": "kubernetes.rollout.restart"})}


def event(**changes: Any) -> dict[str, Any]:
    """An answered patch of a Deployment by somebody."""
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Request",
        "auditID": "a-1",
        "stage": "ResponseComplete",
        "requestURI": "/apis/apps/v1/namespaces/shop/deployments/web",
        "verb": "patch",
        "user": {"username": "mallory"},
        "objectRef": {"resource": "deployments", "namespace": "shop", "name": "web", "apiGroup": "apps"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-11-27T20:00:00.000001Z",
        **changes,
    }


def read(*events: Any) -> Any:
    return read_audit_events([json.dumps(each) for each in events], "k8s/prod")


def ref(resource: str, **more: str) -> dict[str, Any]:
    return {"objectRef": {"resource": resource, "name": "x", **more}}


def test_what_a_real_server_wrote_is_read_whole() -> None:
    """Each effect once, under the permit that its mark claims; no dry run, no answer twice."""
    trail = read_audit_events(SAMPLE, "k8s/prod")

    said = [
        (effect.operation, effect.target.split("/")[0], effect.actor.rpartition(":")[2], effect.permit_id is not None)
        for effect in trail.effects
    ]
    assert said == [
        ("kubernetes.cluster_object.change", "node", "administrator", False),
        ("kubernetes.workload.change", "deployment", "administrator", False),
        ("kubernetes.rollout.pause", "deployment", "countersign-acts", True),
        ("kubernetes.node.cordon", "node", "countersign-acts", True),
        ("kubernetes.rollout.resume", "deployment", "countersign-acts", True),
        ("kubernetes.node.uncordon", "node", "countersign-acts", True),
        ("kubernetes.workload.change", "deployment", "administrator", False),
    ]
    assert (trail.unreadable, trail.unanswered) == (0, ())
    assert len({effect.permit_id for effect in trail.effects} - {None}) == 4


def test_an_effect_carries_when_what_and_by_whom() -> None:
    (effect,) = read(event(requestObject={"spec": {"replicas": 3}})).effects

    assert (effect.at, effect.target, effect.resource, effect.operation, effect.actor, effect.permit_id) == (
        datetime(2026, 11, 27, 20, 0, 0, 1, UTC),
        "deployment/shop/web",
        "k8s/prod",
        "kubernetes.workload.scale",
        "mallory",
        None,
    )
    assert '"replicas":3' in effect.evidence


@pytest.mark.parametrize(
    "changes",
    [
        {"verb": "get"},
        {"verb": "watch"},
        {"responseStatus": {"code": 409}},
        {"responseStatus": {"code": 403}},
        {"requestURI": "/apis/apps/v1/namespaces/shop/deployments/web?dryRun=All&fieldManager=me"},
        {"user": {"username": "system:kube-controller-manager"}},
        {"user": {"username": "system:serviceaccount:kube-system:deployment-controller"}},
        {"user": {"username": "system:node:n1"}},
        {"objectRef": {"resource": "deployments", "name": "web", "subresource": "status"}},
        {"objectRef": {"resource": "events", "name": "web.17"}},
        {"objectRef": {"resource": "leases", "name": "n1"}},
    ],
    ids=[
        *("a read", "a watch", "a conflict", "a refusal", "a dry run", "a controller", "a controller's account"),
        *("a kubelet", "a status", "an event", "a lease"),
    ],
)
def test_what_changed_nothing_that_counts_is_no_effect(changes: dict[str, Any]) -> None:
    trail = read(event(**changes))

    assert (trail.effects, trail.unreadable, trail.unanswered) == ((), 0, ())


@pytest.mark.parametrize(
    "changes",
    [{"responseStatus": {"code": 500}}, {"responseStatus": {"code": 504}}, {"stage": "Panic"}, {"responseStatus": {}}],
    ids=["an error of the server", "a time-out", "a panic", "no status"],
)
def test_what_may_have_changed_something_is_an_effect(changes: dict[str, Any]) -> None:
    assert len(read(event(**changes)).effects) == 1


def test_a_request_is_one_effect_and_one_without_an_answer_is_named() -> None:
    began = {"stage": "RequestReceived", "responseStatus": {}}
    trail = read(event(**began), event(), event(**began, auditID="a-2"))

    assert len(trail.effects) == 1
    assert trail.unanswered == ("a-2",)


@pytest.mark.parametrize(
    ("changes", "operation"),
    [
        ({"requestObject": [{"op": "add", "path": "/spec/replicas", "value": 0}]}, "kubernetes.workload.scale_to_zero"),
        ({"requestObject": {"spec": {"replicas": 9}}}, "kubernetes.workload.scale"),
        (
            ref("deployments", subresource="scale") | {"requestObject": {"spec": {"replicas": 9}}},
            "kubernetes.workload.scale",
        ),
        ({"requestObject": {"spec": {"paused": True}}}, "kubernetes.rollout.pause"),
        ({"requestObject": {"spec": {"paused": False}}}, "kubernetes.rollout.resume"),
        (ref("nodes") | {"requestObject": {"spec": {"unschedulable": True}}}, "kubernetes.node.cordon"),
        (ref("nodes") | {"requestObject": {"spec": {"unschedulable": False}}}, "kubernetes.node.uncordon"),
        ({"requestObject": {"spec": {"template": {}}}}, "kubernetes.workload.change"),
        ({"requestObject": {"spec": {"template": {}, "replicas": 1}}}, "kubernetes.workload.change"),
        ({"verb": "delete"}, "kubernetes.workload.delete"),
        ({"verb": "deletecollection"}, "kubernetes.object.delete_many"),
        (ref("pods", subresource="eviction") | {"verb": "create"}, "kubernetes.pod.delete"),
        (ref("pods", subresource="exec") | {"verb": "get", "responseStatus": {"code": 101}}, "kubernetes.pod.exec"),
        (ref("secrets") | {"verb": "create"}, "kubernetes.secret.change"),
        (ref("rolebindings") | {"verb": "create"}, "kubernetes.access.change"),
        (ref("widgets") | {"verb": "update"}, "kubernetes.custom.change"),
    ],
)
def test_an_operation_is_told_from_what_was_written(changes: dict[str, Any], operation: str) -> None:
    assert [effect.operation for effect in read(event(**changes)).effects] == [operation]


@pytest.mark.parametrize(
    ("body", "operation"),
    [
        ({"metadata": {"annotations": MARKED}, "spec": {"template": {}}}, "kubernetes.rollout.undo"),
        ({"metadata": {"annotations": RESTARTED}, "spec": {"template": {}}}, "kubernetes.rollout.restart"),
        ({"metadata": {"annotations": MARKED}, "spec": {"replicas": 0}}, "kubernetes.workload.scale_to_zero"),
        ({"metadata": {"annotations": MARKED}, "spec": {"template": {}, "paused": True}}, "kubernetes.workload.change"),
        ({"metadata": {"annotations": MARKED}}, "kubernetes.rollout.undo"),
        ([{"op": "add", "path": "/metadata/annotations", "value": MARKED}], "kubernetes.rollout.undo"),
        (
            [
                {"op": "add", "path": "/metadata/annotations/countersign~1permit", "value": PERMIT},
                {"op": "add", "path": "/spec/replicas", "value": 4},
            ],
            "kubernetes.workload.scale",
        ),
    ],
    ids=[
        *("it can be that", "it can be that, too", "it says another", "it says less than was done"),
        *("the marks alone", "the marks alone, as a json patch", "one mark"),
    ],
)
def test_a_mark_claims_a_permit_and_an_operation_only_where_it_can_be(body: Any, operation: str) -> None:
    (effect,) = read(event(requestObject=body)).effects

    assert (effect.permit_id, effect.operation) == (PERMIT, operation)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        '{"kind":"Event"}',
        json.dumps(event(apiVersion="audit.k8s.io/v1beta1")),
        json.dumps(event(requestReceivedTimestamp="yesterday")),
        '{"kind":"Event","kind":"Event"}',
        json.dumps(event(requestObject="x" * MAX_LINE_BYTES)),
        json.dumps(event(auditID=7)),
    ],
    ids=[
        *("nothing", "no json", "no object", "no event", "another version", "no instant", "said twice", "too long"),
        "no id",
    ],
)
def test_a_line_that_cannot_be_read_is_counted_and_the_others_are_read(line: str) -> None:
    trail = read_audit_events([json.dumps(event()), line, json.dumps(event())], "k8s/prod")

    assert (len(trail.effects), trail.unreadable) == (2, int(bool(line)))


def test_whoever_acts_for_somebody_else_is_named_too() -> None:
    (effect,) = read(event(impersonatedUser={"username": "ann"})).effects

    assert effect.actor == "ann (by mallory)"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


_WITHIN = ("resource", "namespace", "name", "subresource", "uid", "username", "code", "spec", "metadata", "annotations")


@given(
    st.dictionaries(
        st.sampled_from(sorted(event())), _JSON | st.dictionaries(st.sampled_from(_WITHIN), _JSON) | st.just("http://[")
    ),
    _JSON | st.dictionaries(st.sampled_from(_WITHIN), _JSON),
)
def test_nothing_that_stands_in_an_event_breaks_the_reading(changes: dict[str, Any], body: Any) -> None:
    """Whatever the fields hold, a line is an effect, none, or counted; and an effect is cut to size."""
    trail = read(event(**{**changes, "requestObject": body}))

    assert len(trail.effects) + trail.unreadable <= 1
    assert all(len(effect.evidence) <= 2000 and len(effect.target) <= 400 for effect in trail.effects)
