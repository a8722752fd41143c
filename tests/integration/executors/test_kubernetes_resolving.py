"""Which objects the Kubernetes executor says that an order would touch, before an emulated cluster."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from activities.executors.base import (
    Inquiry,
    PreconditionFailedError,
)
from policy.targets import ResolvedTarget
from tests.integration.executors.kubernetes_emulator import workload
from tests.integration.executors.kubernetes_place import (
    CORDON,
    RESOURCE,
    RESTART_ALL,
    SCALE,
    WEB,
    Place,
    placed,
)


@pytest.fixture(name="place")
async def _place(tmp_path: Path) -> AsyncIterator[Place]:
    async with placed(tmp_path) as place:
        yield place


async def test_an_object_is_named_by_uid_with_what_people_want_to_see(place: Place) -> None:
    (target,) = (await place.order(SCALE, **WEB, replicas=5)).targets

    uid = place.cluster.raw("deployment", "shop", "web")["metadata"]["uid"]
    assert target == ResolvedTarget(
        id=f"deployment/shop/web@{uid}",
        resource=RESOURCE,
        environment="production",
        version=target.version,
        units=2.0,
        state={"replicas": 2, "ready": 2, "revision": "1", "images": ["shop:1"]},
        object=f"kubernetes/{uid}",
    )


async def test_a_version_is_of_the_spec_and_of_nothing_that_moves_by_itself(place: Place) -> None:
    (before,) = (await place.order(SCALE, **WEB, replicas=5)).targets
    place.cluster.touch("deployment", "shop", "web")
    (touched,) = (await place.order(SCALE, **WEB, replicas=5)).targets
    place.cluster.change("deployment", "shop", "web", replicas=4)
    (changed,) = (await place.order(SCALE, **WEB, replicas=5)).targets

    assert touched.version == before.version
    assert changed.version != before.version


@pytest.mark.parametrize(
    ("operation", "resource", "parameters"),
    [
        (SCALE, RESOURCE, {**WEB, "name": "nobody", "replicas": 5}),
        (SCALE, RESOURCE, {**WEB, "namespace": "lab", "replicas": 5}),
        (SCALE, "k8s/prod/lab", {**WEB, "replicas": 5}),
        (SCALE, "k8s/prod/shop/other", {**WEB, "replicas": 5}),
        (SCALE, "k8s/prod/shop/statefulset/web", {**WEB, "replicas": 5}),
        (CORDON, "k8s/prod/node/n2", {"node": "n1"}),
        (CORDON, "k8s/prod/shop", {"node": "n1"}),
        (RESTART_ALL, RESOURCE, {"kind": "deployment", "namespace": "lab"}),
        (RESTART_ALL, RESOURCE, {"kind": "deployment", "namespace": "shop", "selector": "app=nobody"}),
    ],
    ids=[
        "no such object",
        "none in that namespace",
        "outside of the resource's namespace",
        "another object than the resource's",
        "another kind than the resource's",
        "another node than the resource's",
        "a node outside of a namespace",
        "an empty namespace",
        "a selector that matches nothing",
    ],
)
async def test_what_is_not_there_or_not_meant_resolves_to_nothing(
    place: Place, operation: str, resource: str, parameters: dict[str, Any]
) -> None:
    found = await place.executor.resolve(Inquiry(operation, parameters, (resource,), "production"))

    assert found == ()


@pytest.mark.parametrize(
    ("operation", "resource", "parameters", "why"),
    [
        (SCALE, "k8s/other/shop", {**WEB, "replicas": 5}, "in none of the clusters"),
        (SCALE, RESOURCE, {**WEB, "namespace": "kube-system", "replicas": 5}, "not listed"),
        (SCALE, RESOURCE, {**WEB, "namespace": "../shop", "replicas": 5}, "no name of a namespace"),
        (SCALE, RESOURCE, {**WEB, "name": "web/../../nodes/n1", "replicas": 5}, "no name of an object"),
        (SCALE, RESOURCE, {"kind": "deployment", "name": "web"}, "no name of a namespace"),
        (SCALE, RESOURCE, {**WEB, "kind": "daemonset", "replicas": 5}, "parameter kind"),
        (RESTART_ALL, RESOURCE, {"kind": "deployment", "namespace": "shop", "selector": ""}, "matches nothing here"),
        (RESTART_ALL, RESOURCE, {"kind": "deployment", "namespace": "shop", "selector": None}, "matches nothing here"),
        (
            RESTART_ALL,
            RESOURCE,
            {"kind": "deployment", "namespace": "shop", "selector": "!app"},
            "matches nothing here",
        ),
        ("kubernetes.pod.exec", RESOURCE, WEB, "is none of"),
    ],
    ids=[
        "an unknown cluster",
        "a namespace that is not listed",
        "a namespace that leads elsewhere",
        "a name that leads elsewhere",
        "no namespace",
        "a kind that cannot be scaled",
        "an emptied selector",
        "a selector of nothing",
        "a selector of another grammar",
        "an operation that it does not have",
    ],
)
async def test_what_cannot_be_meant_is_refused(
    place: Place, operation: str, resource: str, parameters: dict[str, Any], why: str
) -> None:
    with pytest.raises(PreconditionFailedError, match=why):
        await place.executor.resolve(Inquiry(operation, parameters, (resource,), "production"))

    assert place.cluster.effects == []


async def test_every_object_of_a_kind_is_named_where_no_selector_narrows_it(place: Place) -> None:
    place.cluster.add("deployment", "shop", "api", labels={"app": "api"}, spec=workload(app="api"))

    every = await place.order(RESTART_ALL, kind="deployment", namespace="shop")
    one = await place.order(RESTART_ALL, kind="deployment", namespace="shop", selector="app=api")

    assert [target.id.partition("@")[0] for target in every.targets] == ["deployment/shop/web", "deployment/shop/api"]
    assert [target.id.partition("@")[0] for target in one.targets] == ["deployment/shop/api"]


async def test_two_labels_that_name_two_environments_are_refused(place: Place) -> None:
    place.cluster.add("deployment", "shop", "odd", labels={"environment": "staging"}, spec=workload(app="odd"))

    with pytest.raises(PreconditionFailedError, match="says two environments"):
        await place.order(SCALE, **{**WEB, "name": "odd"}, replicas=5)


async def test_what_is_resolved_is_read_by_the_credential_that_cannot_change_anything(place: Place) -> None:
    await place.order(SCALE, **WEB, replicas=5)

    said = {request.headers["Authorization"] for request in place.cluster}
    assert said == {"Bearer token-that-reads"}
