"""The Kubernetes executor before an emulated cluster: what it touches, what it leaves alone, what it says of answers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    TargetChangedError,
    TargetUnreachableError,
)
from activities.executors.kubernetes import KubernetesExecutor
from policy.permit import Direction
from policy.targets import ResolvedTarget
from tests.integration.executors.kubernetes_emulator import (
    EmulatedCluster,
    emulated,
    executor_of,
    going_wrong,
    workload,
)

RESOURCE = "k8s/prod"
WEB = {"kind": "deployment", "namespace": "shop", "name": "web"}
SCALE, RESTART, RESTART_ALL = (
    f"kubernetes.{name}" for name in ("workload.scale", "rollout.restart", "rollout.restart_all")
)
UNDO, PAUSE, RESUME = (f"kubernetes.rollout.{name}" for name in ("undo", "pause", "resume"))
CORDON, UNCORDON = "kubernetes.node.cordon", "kubernetes.node.uncordon"


@dataclass
class Place:
    """An emulated cluster with one Deployment, one StatefulSet, one DaemonSet and one node, and an executor before it."""

    cluster: EmulatedCluster
    executor: KubernetesExecutor
    elsewhere: KubernetesExecutor

    async def order(self, operation: str, resources: tuple[str, ...] = (RESOURCE,), **parameters: Any) -> Order:
        """An order that would be carried out now."""
        targets = await self.executor.resolve(Inquiry(operation, parameters, resources, "production"))
        timeout = timedelta(seconds=30)
        return Order(str(uuid4()), Direction.do, operation, parameters, resources, timeout, targets=targets)

    def spec(self, kind: str = "deployment", name: str = "web", namespace: str | None = "shop") -> Any:
        return self.cluster.raw(kind, namespace, name)["spec"]

    def image(self, kind: str = "deployment", name: str = "web") -> str:
        return str(self.spec(kind, name)["template"]["spec"]["containers"][0]["image"])


def undoing(order: Order, operation: str, **parameters: Any) -> Order:
    """The order to undo another."""
    targets = tuple(target.model_copy(update={"version": None}) for target in order.targets)
    return replace(
        order,
        permit_id=str(uuid4()),
        direction=Direction.undo,
        operation=operation,
        parameters=parameters,
        targets=targets,
        undoes=order.permit_id,
    )


@pytest.fixture(name="place")
async def _place(tmp_path: Path) -> AsyncIterator[Place]:
    async with emulated(tmp_path) as (cluster, server):
        for kind, name in (("deployment", "web"), ("statefulset", "db"), ("daemonset", "logs")):
            cluster.add(kind, "shop", name, labels={"app": name}, spec=workload(app=name))
        cluster.add("node", None, "n1", labels={"environment": "production"}, spec={})
        yield Place(
            cluster, executor_of(server, tmp_path), executor_of(server, tmp_path, namespaces=["lab"], nodes=False)
        )


# What is resolved.


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


# What is changed.


@pytest.mark.parametrize(
    ("operation", "parameters", "place_of", "value"),
    [
        (SCALE, {**WEB, "replicas": 5}, "replicas", 5),
        (SCALE, {**WEB, "kind": "statefulset", "name": "db", "replicas": 1}, "replicas", 1),
        ("kubernetes.workload.scale_to_zero", WEB, "replicas", 0),
        (PAUSE, WEB, "paused", True),
    ],
    ids=["a deployment", "a statefulset", "to zero", "pause"],
)
async def test_one_field_is_written_and_no_other(
    place: Place, operation: str, parameters: dict[str, Any], place_of: str, value: object
) -> None:
    order = await place.order(operation, **parameters)
    before = place.spec(parameters["kind"], parameters["name"])

    await place.executor.execute(order)

    assert place.spec(parameters["kind"], parameters["name"]) == {**before, place_of: value}
    assert len(place.cluster.effects) == 1


async def test_a_node_is_cordoned_and_the_undo_takes_that_back(place: Place) -> None:
    order = await place.order(CORDON, node="n1")
    await place.executor.execute(order)
    assert place.spec("node", "n1", None) == {"unschedulable": True}

    await place.executor.execute(undoing(order, UNCORDON, node="n1"))

    assert place.spec("node", "n1", None) == {"unschedulable": False}


@pytest.mark.parametrize(("kind", "name"), [("deployment", "web"), ("statefulset", "db"), ("daemonset", "logs")])
async def test_a_restart_changes_the_template_once_for_a_permit(place: Place, kind: str, name: str) -> None:
    order = await place.order(RESTART, kind=kind, namespace="shop", name=name)
    before = place.spec(kind, name)

    await place.executor.execute(order)
    await place.executor.execute(order)

    after = place.spec(kind, name)
    assert after["template"]["metadata"].pop("annotations") == {"countersign/restarted-under": order.permit_id}
    assert after == before
    assert len(place.cluster.effects) == 1


@pytest.mark.parametrize(("kind", "name"), [("deployment", "web"), ("statefulset", "db"), ("daemonset", "logs")])
async def test_a_rollout_goes_back_and_its_undo_comes_back(place: Place, kind: str, name: str) -> None:
    """The controller numbers anew what came back; the undo finds what the step had found all the same, and once."""
    for image in ("shop:2", "shop:3"):
        template = place.spec(kind, name)["template"]
        place.cluster.change(
            kind, "shop", name, template={**template, "spec": {"containers": [{"name": "main", "image": image}]}}
        )
    order = await place.order(UNDO, kind=kind, namespace="shop", name=name)
    assert order.targets[0].state["goes_back_to"] == {"revision": 2, "images": ["shop:2"]}

    await place.executor.execute(order)
    assert place.image(kind, name) == "shop:2"

    undo = undoing(order, UNDO, kind=kind, namespace="shop", name=name)
    await place.executor.execute(undo)
    await place.executor.execute(undo)
    assert place.image(kind, name) == "shop:3"
    assert len(place.cluster.effects) == 2


async def test_a_rollout_goes_back_to_the_revision_that_was_named(place: Place) -> None:
    for image in ("shop:2", "shop:3"):
        place.cluster.change("deployment", "shop", "web", template=workload(image=image)["template"])
    order = await place.order(UNDO, **WEB, to_revision=1)

    await place.executor.execute(order)

    assert place.image() == "shop:1"
    with pytest.raises(PreconditionFailedError, match="revision 9 is not kept"):
        await place.order(UNDO, **WEB, to_revision=9)


async def test_revisions_of_a_controller_that_is_behind_are_not_believed(place: Place) -> None:
    place.cluster.stalled = True
    place.cluster.change("deployment", "shop", "web", template=workload(image="shop:2")["template"])

    with pytest.raises(TargetUnreachableError, match="has not seen its newest spec"):
        await place.order(UNDO, **WEB)


async def test_a_replicaset_of_a_deployment_is_not_scaled(place: Place) -> None:
    with pytest.raises(PreconditionFailedError, match="scale that"):
        await place.executor.execute(
            await place.order(SCALE, kind="replicaset", namespace="shop", name="web-1", replicas=9)
        )


async def test_what_is_paused_is_neither_restarted_nor_rolled_back(place: Place) -> None:
    place.cluster.change("deployment", "shop", "web", paused=True)

    with pytest.raises(PreconditionFailedError, match="paused"):
        await place.executor.execute(await place.order(RESTART, **WEB))


async def test_what_is_so_already_is_no_effect(place: Place) -> None:
    with pytest.raises(PreconditionFailedError, match="nothing to change"):
        await place.executor.execute(await place.order(SCALE, **WEB, replicas=2))


# What is left alone.


async def test_an_object_that_was_made_anew_is_another_one(place: Place) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)
    place.cluster.remove("deployment", "shop", "web")
    place.cluster.add("deployment", "shop", "web", labels={"app": "web"}, spec=workload())

    for each in (order, undoing(order, SCALE, **WEB, replicas=2)):
        with pytest.raises(TargetChangedError, match="another one"):
            await place.executor.execute(each)

    assert place.cluster.effects == []


async def test_a_status_that_came_between_is_no_change(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first write is refused, because a controller wrote after it was read; the second one goes through."""
    order = await place.order(SCALE, **WEB, replicas=5)
    between = iter([True, True])
    patched = EmulatedCluster._patched

    async def late(cluster: EmulatedCluster, request: Any) -> Any:
        if next(between, False):
            cluster.touch("deployment", "shop", "web")
        return await patched(cluster, request)

    monkeypatch.setattr(EmulatedCluster, "_patched", late)
    await place.executor.execute(order)

    assert place.spec()["replicas"] == 5
    assert len(place.cluster.effects) == 1


async def test_a_spec_that_came_between_is_left_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)
    between = iter([True])
    patched = EmulatedCluster._patched

    async def late(cluster: EmulatedCluster, request: Any) -> Any:
        if next(between, False):
            cluster.change("deployment", "shop", "web", replicas=7)
        return await patched(cluster, request)

    monkeypatch.setattr(EmulatedCluster, "_patched", late)
    with pytest.raises(TargetChangedError):
        await place.executor.execute(order)

    assert (place.spec()["replicas"], place.cluster.effects) == (7, [])


async def test_nothing_is_touched_where_one_of_several_moved_on(place: Place) -> None:
    place.cluster.add("deployment", "shop", "api", labels={"app": "api"}, spec=workload(app="api"))
    order = await place.order(RESTART_ALL, kind="deployment", namespace="shop")
    place.cluster.change("deployment", "shop", "api", replicas=4)

    with pytest.raises(TargetChangedError):
        await place.executor.execute(order)

    assert place.cluster.effects == []


@pytest.mark.parametrize(
    "changes",
    [
        {"resolved": ("k8s/prod/lab",)},
        {"parameters": {**WEB, "name": "other", "replicas": 5}},
        {"parameters": {**WEB, "kind": "statefulset", "replicas": 5}},
        {"parameters": {**WEB, "replicas": 0}},
        {"parameters": {**WEB, "replicas": True}},
        {"operation": CORDON, "parameters": {"node": "n1"}},
    ],
    ids=[
        "another resource",
        "another name",
        "another kind",
        "no replicas",
        "a truth for a number",
        "another operation",
    ],
)
async def test_an_order_that_says_something_else_than_its_targets_is_refused(
    place: Place, changes: dict[str, Any]
) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)

    with pytest.raises(PreconditionFailedError):
        await place.executor.execute(replace(order, **changes))

    assert place.cluster.effects == []


async def test_what_the_entry_does_not_list_is_not_touched_whatever_was_permitted(place: Place) -> None:
    scale, cordon = await place.order(SCALE, **WEB, replicas=5), await place.order(CORDON, node="n1")

    for order in (scale, cordon):
        with pytest.raises(PreconditionFailedError, match="not listed|not to be touched"):
            await place.elsewhere.execute(order)

    assert place.cluster.effects == []


# Several, one after the other.


async def test_several_are_restarted_one_after_the_other(place: Place) -> None:
    place.cluster.add("deployment", "shop", "api", labels={"app": "api"}, spec=workload(app="api"))
    order = await place.order(RESTART_ALL, kind="deployment", namespace="shop")

    await place.executor.execute(order)

    assert [path.rpartition("/")[2] for path, _ in place.cluster.effects] == ["web", "api"]
    assert await place.executor.observe(order) == "done"


async def test_a_stop_between_two_says_what_was_touched(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.cluster.add("deployment", "shop", "api", labels={"app": "api"}, spec=workload(app="api"))
    order = await place.order(RESTART_ALL, kind="deployment", namespace="shop")
    stored = EmulatedCluster._stored

    def stop(cluster: EmulatedCluster, *given: Any) -> None:
        order.stop.set()
        stored(cluster, *given)

    monkeypatch.setattr(EmulatedCluster, "_stored", stop)
    with pytest.raises(ExecutorError, match="stopped; touched before it: deployment/shop/web") as error:
        await place.executor.execute(order)

    assert not isinstance(error.value, PreconditionFailedError)
    assert len(place.cluster.effects) == 1
    assert await place.executor.observe(order) == "unknown"


async def test_a_stop_before_the_first_touches_nothing(place: Place) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)
    order.stop.set()

    with pytest.raises(PreconditionFailedError, match="stopped before"):
        await place.executor.execute(order)

    assert place.cluster.effects == []


# Undoing.


async def test_an_undo_of_what_somebody_changed_since_is_refused_and_changes_nothing(place: Place) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)
    await place.executor.execute(order)
    place.cluster.change("deployment", "shop", "web", replicas=9)

    with pytest.raises(TargetChangedError, match="an undo would overwrite it"):
        await place.executor.execute(undoing(order, SCALE, **WEB, replicas=2))

    assert place.spec()["replicas"] == 9


async def test_an_undo_overwrites_no_other_field_that_somebody_changed_since(place: Place) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)
    await place.executor.execute(order)
    place.cluster.change("deployment", "shop", "web", template=workload(image="shop:2")["template"])

    await place.executor.execute(undoing(order, SCALE, **WEB, replicas=2))

    assert (place.spec()["replicas"], place.image()) == (2, "shop:2")


async def test_an_undo_after_a_later_permit_is_refused(place: Place) -> None:
    first = await place.order(SCALE, **WEB, replicas=5)
    await place.executor.execute(first)
    await place.executor.execute(await place.order(RESTART, **WEB))

    with pytest.raises(TargetChangedError, match="after permit"):
        await place.executor.execute(undoing(first, SCALE, **WEB, replicas=2))

    assert place.spec()["replicas"] == 5


async def test_an_undo_of_what_was_never_reached_keeps_what_may_still_arrive_from_counting(place: Place) -> None:
    """A write that was sent before and comes after it is refused by its resourceVersion."""
    order = await place.order(SCALE, **WEB, replicas=5)
    before = place.cluster.raw("deployment", "shop", "web")["metadata"]["resourceVersion"]

    await place.executor.execute(undoing(order, SCALE, **WEB, replicas=2))

    assert place.cluster.effects == []
    assert place.spec()["replicas"] == 2
    assert place.cluster.raw("deployment", "shop", "web")["metadata"]["resourceVersion"] != before


async def test_an_undo_of_several_undoes_what_it_can_and_names_the_rest(place: Place) -> None:
    place.cluster.add("node", None, "n2", labels={}, spec={})
    one, two = await place.order(CORDON, node="n1"), await place.order(CORDON, node="n2")
    both = replace(one, targets=(*one.targets, *two.targets))
    undo = undoing(both, UNCORDON, node="n1")

    with pytest.raises(PreconditionFailedError, match="not what the parameters name"):
        await place.executor.execute(undo)

    assert place.cluster.effects == []


async def test_an_undo_that_does_not_say_what_it_undoes_is_refused(place: Place) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)
    await place.executor.execute(order)

    with pytest.raises(PreconditionFailedError, match="does not say what it undoes"):
        await place.executor.execute(replace(undoing(order, SCALE, **WEB, replicas=2), undoes=None))

    assert place.spec()["replicas"] == 5


async def test_marks_that_somebody_spoilt_make_an_undo_a_matter_of_people(place: Place) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)
    await place.executor.execute(order)
    found = place.cluster.raw("deployment", "shop", "web")
    found["metadata"]["annotations"]["countersign/wrote"] = "{"
    place.cluster._stored("deployment", "shop", "web", found, found)

    with pytest.raises(TargetChangedError, match="cannot be told any more"):
        await place.executor.execute(undoing(order, SCALE, **WEB, replicas=2))


async def test_of_more_permits_than_are_kept_nobody_is_said_to_have_done_nothing(place: Place) -> None:
    first = await place.order(SCALE, **WEB, replicas=3)
    await place.executor.execute(first)
    for replicas in range(4, 13):
        await place.executor.execute(await place.order(SCALE, **WEB, replicas=replicas))

    assert await place.executor.observe(first) == "unknown"
    with pytest.raises(TargetChangedError, match="cannot be told any more"):
        await place.executor.execute(undoing(first, SCALE, **WEB, replicas=2))


# What the server answers.


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("401", PreconditionFailedError),
        ("404", PreconditionFailedError),
        ("422", PreconditionFailedError),
        ("redirect", PreconditionFailedError),
        ("429", TargetUnreachableError),
    ],
)
async def test_a_write_that_is_refused_did_nothing(place: Place, fault: str, error: type[ExecutorError]) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)

    with going_wrong(place.cluster, fault), pytest.raises(error) as raised:
        await place.executor.execute(order)

    assert type(raised.value) is error
    assert place.cluster.effects == []
    assert len([request for request in place.cluster if request.method == "PATCH"]) == 1


@pytest.mark.parametrize("fault", ["500", "lost"])
async def test_of_a_write_without_a_clear_answer_nobody_says_what_it_did(place: Place, fault: str) -> None:
    """And it is not sent again."""
    order = await place.order(SCALE, **WEB, replicas=5)

    with going_wrong(place.cluster, fault), pytest.raises(EffectUnknownError):
        await place.executor.execute(order)

    assert len([request for request in place.cluster if request.method == "PATCH"]) == 1
    assert await place.executor.observe(order) == ("done" if fault == "lost" else "none")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("busy", TargetUnreachableError),
        ("giant", TargetUnreachableError),
        ("text", TargetUnreachableError),
        ("moved", PreconditionFailedError),
    ],
)
async def test_what_cannot_be_read_is_neither_resolved_nor_a_value(
    place: Place, fault: str, error: type[ExecutorError]
) -> None:
    """Neither an answer that is too large, nor one that is no JSON, nor one of an address that it was sent to."""
    with going_wrong(place.cluster, fault):
        with pytest.raises(error):
            await place.order(SCALE, **WEB, replicas=5)
        with pytest.raises(ProbeError):
            await place.executor.measure("kubernetes.workload.replicas", WEB, RESOURCE)

    assert "/elsewhere" not in {request.url.path for request in place.cluster}


async def test_no_proxy_of_the_environment_sees_a_token(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    executor = executor_of(place.cluster.servers[0], tmp_path)

    found = await executor.resolve(Inquiry(SCALE, {**WEB, "replicas": 5}, (RESOURCE,), "production"))

    assert len(found) == 1


async def test_a_token_that_was_renewed_is_read_anew(place: Place, tmp_path: Path) -> None:
    (tmp_path / "reads").write_text("an old one")
    with pytest.raises(PreconditionFailedError, match="401"):
        await place.order(SCALE, **WEB, replicas=5)
    (tmp_path / "reads").write_text("token-that-reads")

    assert (await place.order(SCALE, **WEB, replicas=5)).targets


# Dry runs.


async def test_a_dry_run_is_the_servers_own(place: Place) -> None:
    order = replace(await place.order(SCALE, **WEB, replicas=5), dry_run=True)

    said = await place.executor.dry_run(order)
    undo = await place.executor.dry_run(replace(undoing(order, SCALE, **WEB, replicas=2), dry_run=True))

    assert said.startswith("would scale deployment/shop/web from 2 to 5 replicas")
    assert undo.startswith("would scale deployment/shop/web from 2 to 2 replicas")
    writes = [request for request in place.cluster if request.method == "PATCH"]
    assert [request.params["dryRun"] for request in writes] == ["All", "All"]
    assert place.cluster.effects == []
    assert "annotations" not in place.cluster.raw("deployment", "shop", "web")["metadata"] or not any(
        name.startswith("countersign/")
        for name in place.cluster.raw("deployment", "shop", "web")["metadata"]["annotations"]
    )


async def test_a_dry_run_without_a_clear_answer_changed_nothing(place: Place) -> None:
    order = replace(await place.order(SCALE, **WEB, replicas=5), dry_run=True)

    with going_wrong(place.cluster, "500"), pytest.raises(TargetUnreachableError):
        await place.executor.dry_run(order)
