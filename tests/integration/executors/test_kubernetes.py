"""What the Kubernetes executor changes and what it leaves alone, before an emulated cluster."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from activities.executors.base import (
    ExecutorError,
    PreconditionFailedError,
    TargetChangedError,
    TargetUnreachableError,
)
from tests.integration.executors.kubernetes_emulator import EmulatedCluster, workload
from tests.integration.executors.kubernetes_place import (
    CORDON,
    PAUSE,
    RESTART,
    RESTART_ALL,
    SCALE,
    UNCORDON,
    UNDO,
    WEB,
    Place,
    placed,
    undoing,
)


@pytest.fixture(name="place")
async def _place(tmp_path: Path) -> AsyncIterator[Place]:
    async with placed(tmp_path) as place:
        yield place


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


async def test_a_target_outside_of_its_resource_is_not_touched_whatever_was_permitted(place: Place) -> None:
    order = await place.order(SCALE, **WEB, replicas=5)
    narrow = "k8s/prod/shop/deployment/api"
    targets = tuple(target.model_copy(update={"resource": narrow}) for target in order.targets)

    with pytest.raises(PreconditionFailedError, match="is not within"):
        await place.executor.execute(replace(order, resolved=(narrow,), targets=targets))

    assert place.cluster.effects == []


async def test_what_the_server_kept_is_looked_at(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Admission may change what was written: it was done, and it is not what it was to be."""
    stored = EmulatedCluster._stored

    def capped(cluster: EmulatedCluster, kind: str, namespace: str, name: str, old: Any, new: Any) -> None:
        new["spec"]["replicas"] = min(new["spec"]["replicas"], 3)
        stored(cluster, kind, namespace, name, old, new)

    monkeypatch.setattr(EmulatedCluster, "_stored", capped)
    with pytest.raises(ExecutorError, match="kept /spec/replicas = 3") as error:
        await place.executor.execute(await place.order(SCALE, **WEB, replicas=5))

    assert not isinstance(error.value, PreconditionFailedError)


async def test_a_rollout_that_would_go_elsewhere_by_now_is_refused(place: Place) -> None:
    """People were shown revision 2; it was deleted since, and the one before it would be taken."""
    for image in ("shop:2", "shop:3"):
        place.cluster.change("deployment", "shop", "web", template=workload(image=image)["template"])
    order = await place.order(UNDO, **WEB)
    place.cluster.remove("replicaset", "shop", "web-2")

    with pytest.raises(TargetChangedError, match="would go back to revision 1, approved was 2"):
        await place.executor.execute(order)


async def test_a_replicaset_with_the_labels_and_not_of_the_deployment_is_no_revision(place: Place) -> None:
    place.cluster.change("deployment", "shop", "web", template=workload(image="shop:2")["template"])
    stranger = place.cluster.add("deployment", "shop", "other", labels={"app": "other"}, spec=workload(app="other"))
    place.cluster._keep("replicaset", "shop", "evil", {**stranger, "spec": workload(image="evil:1")}, 99)

    order = await place.order(UNDO, **WEB)

    assert order.targets[0].state["goes_back_to"] == {"revision": 1, "images": ["shop:1"]}


async def test_what_the_entry_does_not_list_is_not_touched_whatever_was_permitted(place: Place) -> None:
    scale, cordon = await place.order(SCALE, **WEB, replicas=5), await place.order(CORDON, node="n1")

    for order in (scale, cordon):
        with pytest.raises(PreconditionFailedError, match=r"not listed|not to be touched"):
            await place.elsewhere.execute(order)

    assert place.cluster.effects == []


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
