"""What the Kubernetes executor makes of what a server answers, before an emulated cluster."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Inquiry,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    TargetUnreachableError,
)
from tests.integration.executors.kubernetes_emulator import executor_of, going_wrong
from tests.integration.executors.kubernetes_place import (
    RESOURCE,
    SCALE,
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
            await place.executor.measure(ProbeOrder("kubernetes.workload.replicas", WEB, RESOURCE))

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
