"""What the Kubernetes executor reads, before an emulated cluster: fresh, or not at all."""

import copy
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.executors.base import ProbeError, ProbeOrder
from tests.integration.executors.kubernetes_emulator import workload
from tests.integration.executors.kubernetes_place import RESOURCE, WEB, Place, placed

AVAILABLE, REPLICAS = "kubernetes.workload.available", "kubernetes.workload.replicas"
CONDITION, PRESENT = "kubernetes.object.condition", "kubernetes.object.present"
CRASHING, SCHEDULABLE = "kubernetes.pods.crashing", "kubernetes.node.schedulable"


@pytest.fixture(name="place")
async def _place(tmp_path: Path) -> AsyncIterator[Place]:
    async with placed(tmp_path) as place:
        yield place


async def read(place: Place, probe: str, **parameters: Any) -> Any:
    return await place.executor.measure(ProbeOrder(probe, parameters, RESOURCE))


def rewrite(place: Place, kind: str, name: str, **status: Any) -> None:
    """A controller writes these fields of a status; None takes one away."""
    found = place.cluster.raw(kind, None if kind == "node" else "shop", name)
    said = {**found.get("status", {}), **status}
    found["status"] = {key: value for key, value in said.items() if value is not None}
    place.cluster._put(kind, None if kind == "node" else "shop", name, found)


@pytest.mark.parametrize(("kind", "name"), [("deployment", "web"), ("statefulset", "db"), ("daemonset", "logs")])
async def test_a_workload_is_available_when_all_of_it_is(place: Place, kind: str, name: str) -> None:
    at = {"kind": kind, "namespace": "shop", "name": name}
    updated = "updatedNumberScheduled" if kind == "daemonset" else "updatedReplicas"
    ready = "numberReady" if kind == "daemonset" else "readyReplicas"

    assert (await read(place, AVAILABLE, **at), await read(place, REPLICAS, **at)) == (True, 2)
    rewrite(place, kind, name, **{ready: 1})
    assert (await read(place, AVAILABLE, **at), await read(place, REPLICAS, **at)) == (False, 1)
    rewrite(place, kind, name, **{ready: None})
    assert (await read(place, AVAILABLE, **at), await read(place, REPLICAS, **at)) == (False, 0)
    rewrite(place, kind, name, **{ready: 2, updated: 1})
    assert await read(place, AVAILABLE, **at) is False


async def test_old_replicas_that_still_run_are_not_the_new_ones(place: Place) -> None:
    rewrite(place, "deployment", "web", replicas=3)

    assert await read(place, AVAILABLE, **WEB) is False


async def test_a_workload_of_no_replicas_is_not_available(place: Place) -> None:
    place.cluster.change("deployment", "shop", "web", replicas=0)

    assert (await read(place, AVAILABLE, **WEB), await read(place, REPLICAS, **WEB)) == (False, 0)


async def test_what_a_controller_said_of_an_older_spec_is_not_said_again(place: Place) -> None:
    """Two were ready, and two are wanted again: nobody has seen that yet."""
    place.cluster.stalled = True
    place.cluster.change("deployment", "shop", "web", template=workload(image="shop:2")["template"])

    assert await read(place, AVAILABLE, **WEB) is False
    with pytest.raises(ProbeError, match="has not seen its newest spec"):
        await read(place, REPLICAS, **WEB)
    with pytest.raises(ProbeError, match="has not seen its newest spec"):
        await read(place, CONDITION, **WEB, type="Available")


@pytest.mark.parametrize("probe", [AVAILABLE, REPLICAS, CONDITION])
@pytest.mark.parametrize(
    "status",
    [{"observedGeneration": None}, {"observedGeneration": "2"}, {"observedGeneration": True}],
    ids=["not there", "a text", "a truth"],
)
async def test_a_status_that_is_not_there_is_an_error_and_no_value(
    place: Place, probe: str, status: dict[str, Any]
) -> None:
    rewrite(place, "deployment", "web", **status)

    with pytest.raises(ProbeError, match="does not say"):
        await read(place, probe, **WEB, type="Available")


async def test_a_count_that_is_no_count_is_an_error(place: Place) -> None:
    rewrite(place, "deployment", "web", readyReplicas=-1)

    with pytest.raises(ProbeError, match="is no count"):
        await read(place, REPLICAS, **WEB)


async def test_a_condition_is_said_in_the_words_of_the_api(place: Place) -> None:
    rewrite(place, "node", "n1", conditions=[{"type": "Ready", "status": "Unknown"}])
    node = {"kind": "node", "name": "n1"}

    assert await read(place, CONDITION, **WEB, type="Available") == "True"
    assert await read(place, CONDITION, **node, type="Ready") == "Unknown"
    with pytest.raises(ProbeError, match="has no condition Happy"):
        await read(place, CONDITION, **node, type="Happy")
    rewrite(place, "node", "n1", conditions=[{"type": "Ready"}])
    with pytest.raises(ProbeError, match="has no condition Ready"):
        await read(place, CONDITION, **node, type="Ready")


async def test_a_condition_of_an_older_spec_is_an_error(place: Place) -> None:
    """Even where the rest of the status is new."""
    place.cluster.change("deployment", "shop", "web", replicas=3)
    rewrite(place, "deployment", "web", conditions=[{"type": "Done", "status": "True", "observedGeneration": 1}])

    with pytest.raises(ProbeError, match="of an older spec"):
        await read(place, CONDITION, **WEB, type="Done")


async def test_an_object_is_there_or_not(place: Place) -> None:
    assert await read(place, PRESENT, **WEB) is True
    assert await read(place, PRESENT, **{**WEB, "name": "nobody"}) is False
    assert await read(place, PRESENT, kind="namespace", name="shop") is True
    assert await read(place, SCHEDULABLE, node="n1") is True
    assert await read(place, "kubernetes.cluster.version") == "v1.26.4+k3s1"


@pytest.mark.parametrize(
    "parameters",
    [
        {"kind": "secret", "namespace": "shop", "name": "key"},
        {"kind": "configmap", "namespace": "kube-system", "name": "x"},
        {"kind": "configmap", "name": "x"},
        {"kind": "namespace", "name": "kube-system"},
        {"kind": "deployment", "namespace": "shop", "name": ""},
        {"kind": "deployment", "namespace": "shop", "name": "../../lab/deployments/x"},
        {"kind": "deployment", "namespace": "shop", "name": "x?watch=true"},
    ],
    ids=[
        *("a secret", "a namespace that is not listed", "no namespace", "another namespace itself", "no name"),
        *("a name that leads elsewhere", "a name with a question"),
    ],
)
async def test_what_may_not_be_looked_at_is_an_error(place: Place, parameters: dict[str, Any]) -> None:
    before = len(place.cluster)
    with pytest.raises(ProbeError):
        await read(place, PRESENT, **parameters)

    assert len(place.cluster) == before


async def test_a_node_without_a_spec_says_nothing(place: Place) -> None:
    place.cluster.add("node", None, "n2", labels={})

    with pytest.raises(ProbeError, match="no spec"):
        await read(place, SCHEDULABLE, node="n2")


def crashed(ago: timedelta) -> dict[str, Any]:
    """A container that ended some time ago and runs again."""
    ended = (datetime.now(UTC) - ago).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"name": "main", "state": {"running": {}}, "lastState": {"terminated": {"finishedAt": ended}}}


@pytest.mark.parametrize(
    ("container", "crashing"),
    [
        ({"name": "main", "state": {"running": {}}, "lastState": {}}, 0),
        (timedelta(minutes=1), 1),
        (timedelta(minutes=30), 0),
        ({"name": "main", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}, 1),
        ({"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff"}}}, 0),
    ],
    ids=["never", "a minute ago", "long ago", "waits before it tries again", "waits for its image"],
)
async def test_pods_that_crashed_lately_are_counted(
    place: Place, container: dict[str, Any] | timedelta, crashing: int
) -> None:
    """Those of the workload, and of no other."""
    # How long ago is from now on, not from when the tests were collected.
    container = crashed(container) if isinstance(container, timedelta) else container
    for name, app in (("web-1", "web"), ("other-1", "other")):
        status = {"containerStatuses": [copy.deepcopy(container)]}
        place.cluster.add("pod", "shop", name, labels={"app": app}, status=status)

    assert await read(place, CRASHING, **WEB) == crashing


@pytest.mark.parametrize("there", [False, True], ids=["no pod", "a pod that nobody has started"])
async def test_where_nothing_runs_nobody_says_that_nothing_crashes(place: Place, there: bool) -> None:
    """A criterion that no pod crashes is not met by there being none."""
    if there:
        place.cluster.add("pod", "shop", "web-1", labels={"app": "web"}, status={"phase": "Pending"})

    with pytest.raises(ProbeError, match="no container of any of them says how it is"):
        await read(place, CRASHING, **WEB)


async def test_a_crash_without_an_instant_is_an_error(place: Place) -> None:
    status = {"containerStatuses": [{"name": "main", "lastState": {"terminated": {}}}]}
    place.cluster.add("pod", "shop", "web-1", labels={"app": "web"}, status=status)

    with pytest.raises(ProbeError, match="does not say when"):
        await read(place, CRASHING, **WEB)


async def test_a_workload_that_selects_everything_says_nothing_of_its_pods(place: Place) -> None:
    place.cluster.change("deployment", "shop", "web", selector={})

    with pytest.raises(ProbeError, match="selects its pods by nothing"):
        await read(place, CRASHING, **WEB)


async def test_what_is_read_is_read_by_the_credential_that_cannot_change_anything(place: Place) -> None:
    await read(place, AVAILABLE, **WEB)

    assert {request.headers["Authorization"] for request in place.cluster} == {"Bearer token-that-reads"}
