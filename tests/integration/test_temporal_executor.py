"""The Temporal executor before a platform's workers, where they do what the contract suite does not ask for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    TargetCredentials,
    TargetUnreachableError,
)
from activities.executors.temporal import TemporalExecutor, make, order_input
from activities.executors.temporal_runs import run_of
from activities.executors.temporal_settings import TemporalSettings
from deploy.dev import Stack
from policy.permit import Direction, part_key
from policy.targets import ResolvedTarget
from signing.keys import generate
from tests.integration.executors.platform import EXECUTOR, KEY, RESOURCE, Platform, permitted, platform_workers
from tests.world import until


@pytest.fixture(name="workflow", params=[False, True], ids=["activity", "workflow"])
def _workflow(request: pytest.FixtureRequest) -> bool:
    """Whether the platform refunds by a workflow, or by an activity that is started alone."""
    return bool(request.param)


@pytest.fixture(name="platform")
async def _platform(stack: Stack, tmp_path: Path) -> AsyncIterator[Platform]:
    async with platform_workers(stack.temporal_address, tmp_path) as platform:
        yield platform


def executor(stack: Stack, platform: Platform, **more: Any) -> TemporalExecutor:
    """Ours, before this platform."""
    return make(EXECUTOR, platform.entry(stack.temporal_address, **more), TargetCredentials({}))


def order(direction: Direction = Direction.do, **changes: Any) -> Order:
    """An order under a permit of its own."""
    return Order.under(permitted(str(uuid4()), direction, **changes))


async def wrong(acting: TemporalExecutor, given: Order) -> ExecutorError:
    """What an order fails with."""
    with pytest.raises(ExecutorError) as error:
        await acting.execute(given)
    return error.value


async def test_many_at_once_have_one_effect(stack: Stack, platform: Platform, workflow: bool) -> None:
    """Whoever asks for the same permit gets the outcome of its one run."""
    one, given = executor(stack, platform, workflow=workflow), order()
    other = executor(stack, platform, workflow=workflow)

    await asyncio.gather(*(acting.execute(given) for acting in (one, other) * 3))

    assert platform.till.booked == 1
    assert await other.observe(given) == "done"


ANSWERS = {
    "a text": ("refunded", EffectUnknownError),
    "another shape": ({"status": "done", "sudo": True}, EffectUnknownError),
    "a giant": ({"status": "done", "message": "x" * 200_000}, EffectUnknownError),
    "touched another's": ({"status": "done", "touched": ["order-8"]}, ExecutorError),
    "went wrong": ({"status": "failed", "message": "half-way"}, ExecutorError),
    "cannot tell": ({"status": "unknown"}, EffectUnknownError),
}


@pytest.mark.parametrize(("answer", "kind"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_that_does_not_say_done_is_no_success(
    stack: Stack, platform: Platform, answer: Any, kind: type[ExecutorError]
) -> None:
    acting, given = executor(stack, platform), order()
    platform.answer = answer

    assert type(await wrong(acting, given)) is kind

    assert await acting.observe(given) == "unknown"
    assert platform.till.booked == 1


async def test_a_worker_that_breaks_leaves_an_unknown_effect(stack: Stack, platform: Platform, workflow: bool) -> None:
    """It is tried once: nobody knows what it did before it broke."""
    acting, given = executor(stack, platform, workflow=workflow), order()
    platform.raises = ApplicationError("broke half-way")

    assert type(await wrong(acting, given)) is EffectUnknownError
    platform.raises = None
    assert type(await wrong(acting, given)) is EffectUnknownError

    assert platform.till.booked == 0


FORGED: dict[str, dict[str, Any]] = {
    "signed by another key": {"key": generate("permit-2")},
    "signed by another key of that id": {"key": generate(KEY.id)},
    "expired": {"expires_at": datetime.now(UTC) - timedelta(minutes=1)},
    "of another permit": {"claims": {"jti": str(uuid4())}},
    "for another executor": {"claims": {"aud": "countersign/prod/payroll"}},
    "for another operation": {"claims": {"operation": "orders.delete"}},
    "of a dry run": {"claims": {"dry_run": True}},
}


@pytest.mark.parametrize("changes", FORGED.values(), ids=FORGED)
async def test_the_worker_refuses_a_permit_that_is_none(
    stack: Stack, platform: Platform, workflow: bool, changes: dict[str, Any]
) -> None:
    """What is handed on is verified where it is carried out."""
    acting, given = executor(stack, platform, workflow=workflow), order(**changes)

    assert "refused the permit" in str(await wrong(acting, given))

    assert platform.till.booked == 0


async def test_a_good_permit_counts_in_the_run_of_its_id_only(stack: Stack, platform: Platform) -> None:
    """Whoever can write to the namespace and has seen a permit cannot use it under another id."""
    given = order()
    started = await platform.client.start_activity(
        "orders.refund",
        {"permit": given.signed},
        id=f"permit/{uuid4()}",
        task_queue=platform.queue,
        start_to_close_timeout=timedelta(seconds=10),
        retry_policy=RetryPolicy(maximum_attempts=1),
    )
    with pytest.raises(Exception, match="failed") as error:
        await started.result()

    assert "wrong_id" in repr(error.value.__cause__)
    assert platform.till.booked == 0


async def test_one_target_at_a_time_has_a_run_of_its_own(stack: Stack, platform: Platform, workflow: bool) -> None:
    """Each under the permit and its name, with that target alone; the permit is used once for each."""
    acting = executor(stack, platform, workflow=workflow)
    found = tuple(ResolvedTarget(id=f"order-{number}", resource=RESOURCE, version="1") for number in (7, 8))
    whole = order(targets=found, claims={"one_by_one": True})
    parts = [
        replace(whole, permit_id=part_key(whole.permit_id, number), targets=(each,))
        for number, each in enumerate(found, start=1)
    ]

    await acting.execute(parts[0])

    assert platform.till.booked == 1
    assert [await acting.observe(part) for part in parts] == ["done", "none"]
    for stranger in (whole, replace(whole, permit_id=part_key(whole.permit_id, 3))):
        assert "wrong_id" in str(await wrong(acting, stranger))
    # The worker is called with what its run is for: order-7 in its answer is not what this one permits.
    assert "order-7, which is not permitted" in str(await wrong(acting, parts[1]))


async def test_what_nobody_takes_is_withdrawn(stack: Stack, tmp_path: Path, workflow: bool) -> None:
    """It was not done, and whoever comes later finds nothing to do."""
    async with platform_workers(stack.temporal_address, tmp_path, running=False) as platform:
        acting, given = executor(stack, platform, workflow=workflow, starts_within=0.5), order()

        error = await wrong(acting, given)

        assert type(error) is TargetUnreachableError
        assert "no worker" in str(error)
        assert await acting.observe(given) == "none"
        if workflow:
            found = await platform.client.get_workflow_handle(f"permit/{given.permit_id}").describe()
            assert found.status is WorkflowExecutionStatus.TERMINATED


async def test_an_undo_that_nobody_took_is_started_again(stack: Stack, tmp_path: Path, workflow: bool) -> None:
    """Compensation goes on under the same permit, as often as it is asked for, until it is done."""
    async with platform_workers(stack.temporal_address, tmp_path, running=False) as platform:
        acting, given = executor(stack, platform, workflow=workflow, starts_within=0.5), order(Direction.undo)
        await wrong(acting, given)
    async with platform_workers(stack.temporal_address, tmp_path) as there:
        acting, other = executor(stack, there, workflow=workflow), order(Direction.undo)
        there.till.book("7", 12)
        await acting.execute(given)
        assert there.till.refunded == {}

        there.till.book("7", 12)
        there.raises = ApplicationError("not now", type="Refused", non_retryable=True)
        assert "not now" in str(await wrong(acting, other))
        assert await acting.observe(other) == "none"
        there.raises = None
        await acting.execute(other)
        assert await acting.observe(other) == "done"


async def test_a_run_of_somebody_else_under_the_id_is_not_ours(stack: Stack, platform: Platform) -> None:
    """It can keep ours from being started, and never pass for it; where it has the permit it may have used it."""
    acting = executor(stack, platform, workflow=True)
    for held, kind in ((False, PreconditionFailedError), (True, EffectUnknownError)):
        given = order()
        value = {"permit": given.signed if held else "mine", "order": {"operation": "orders.refund"}}
        await platform.client.start_workflow(
            "RefundOrder", value, id=f"permit/{given.permit_id}", task_queue=f"{platform.queue}-nobody"
        )

        error = await wrong(acting, given)

        assert type(error) is kind
        assert "another run has the id" in str(error)
        assert await acting.observe(given) == "unknown"
    assert platform.till.booked == 0


async def test_a_stop_ends_a_run_in_the_middle(stack: Stack, platform: Platform, workflow: bool) -> None:
    """The worker says what it did; then that is what counts."""
    acting = executor(stack, platform, workflow=workflow)
    given = order(parameters={"order": "7", "amount": 12, "slow": True}, timeout_seconds=30)
    running = asyncio.create_task(acting.execute(given))
    async with asyncio.timeout(10):
        await platform.begun.wait()
    assert await acting.observe(given) == "unknown"

    given.stop.set()

    async with asyncio.timeout(5):
        with pytest.raises(PreconditionFailedError, match="told to stop before it booked anything"):
            await running
    assert await acting.observe(given) == "none"
    assert platform.till.booked == 0


async def test_a_run_that_takes_too_long_is_told_to_end_in_time(stack: Stack, platform: Platform) -> None:
    """Before the order's time is over, so that the worker can still say what it did."""
    acting = executor(stack, platform)
    given = order(parameters={"order": "7", "amount": 12, "slow": True}, timeout_seconds=4)

    async with asyncio.timeout(4):
        error = await wrong(acting, given)

    assert "told to stop before it booked anything" in str(error)


async def test_where_an_operation_does_not_stop_a_stop_changes_nothing(stack: Stack, platform: Platform) -> None:
    acting, given = executor(stack, platform, stops=False), order()
    given.stop.set()

    await acting.execute(given)

    assert acting.supports.stops == "between"
    assert platform.till.booked == 1


async def test_a_namespace_that_is_not_there_is_unreachable(stack: Stack, platform: Platform, workflow: bool) -> None:
    """And nothing can be said of what happened in it."""
    entry = {**platform.entry(stack.temporal_address, workflow=workflow), "namespace": f"none-{uuid4().hex}"}
    acting, given = make(EXECUTOR, entry, TargetCredentials({})), order()

    assert type(await wrong(acting, given)) is TargetUnreachableError
    assert await acting.observe(given) == "unknown"
    with pytest.raises(ProbeError, match="not found"):
        await acting.measure(ProbeOrder("orders.refunded", {"order": "7"}, RESOURCE))


async def test_where_no_server_answers_nothing_was_done(platform: Platform) -> None:
    acting, given = make(EXECUTOR, platform.entry("127.0.0.1:1"), TargetCredentials({})), order()

    assert type(await wrong(acting, given)) is TargetUnreachableError
    assert await acting.observe(given) == "unknown"


@pytest.mark.parametrize(
    "changes", [{"signed": None}, {"operation": "orders.delete"}], ids=["not signed", "not in the entry"]
)
async def test_what_no_worker_could_verify_is_not_sent(stack: Stack, platform: Platform, changes: Any) -> None:
    acting, given = executor(stack, platform), replace(order(), **changes)

    assert type(await wrong(acting, given)) is PreconditionFailedError
    assert await acting.observe(given) != "done"


async def test_a_probe_reads_what_the_platform_says(stack: Stack, platform: Platform) -> None:
    acting = executor(stack, platform)
    await acting.execute(order())

    assert await acting.measure(ProbeOrder("orders.refunded", {"order": "7"}, RESOURCE)) == 12
    platform.answer = {"value": 12, "and": "more"}
    with pytest.raises(ProbeError, match="answer is none"):
        await acting.measure(ProbeOrder("orders.refunded", {"order": "7"}, RESOURCE))


async def test_a_question_that_nobody_answers_has_no_answer(stack: Stack, tmp_path: Path) -> None:
    """No value, no targets, and a dry run that was not passed."""
    async with platform_workers(stack.temporal_address, tmp_path, running=False) as platform:
        entry = platform.entry(stack.temporal_address, starts_within=0.3)
        entry["operations"]["orders.refund"]["resolve"]["starts_within"] = 0.3
        entry["probes"]["orders.refunded"]["seconds"] = 0.3
        acting = make(EXECUTOR, entry, TargetCredentials({}))

        with pytest.raises(ProbeError):
            await acting.measure(ProbeOrder("orders.refunded", {"order": "7"}, RESOURCE))
        with pytest.raises(TargetUnreachableError):
            await acting.resolve(Inquiry("orders.refund", {"order": "7"}, (RESOURCE,), "production"))
        with pytest.raises(PreconditionFailedError):
            await acting.dry_run(replace(order(), dry_run=True))


async def test_targets_outside_of_what_was_asked_about_are_no_answer(stack: Stack, platform: Platform) -> None:
    acting = executor(stack, platform)
    platform.answer = {"targets": [{"id": "everything", "resource": "payroll"}]}

    with pytest.raises(TargetUnreachableError, match="payroll"):
        await acting.resolve(Inquiry("orders.refund", {"order": "7"}, (RESOURCE,), "production"))


async def test_a_dry_run_says_what_would_happen(stack: Stack, platform: Platform, workflow: bool) -> None:
    acting = executor(stack, platform, workflow=workflow)

    said = await acting.dry_run(Order.under(permitted(str(uuid4()), dry_run=True)))

    assert said == "would refund 12 of order 7"
    assert platform.till.booked == 0


@asynccontextmanager
async def _answers_late(platform: Platform) -> AsyncIterator[asyncio.Event]:
    go_on = asyncio.Event()

    async def wait() -> None:
        await go_on.wait()

    platform.after = wait
    yield go_on
    platform.after = None


async def test_an_executor_that_died_is_followed_by_one_that_sees_what_was_done(
    stack: Stack, platform: Platform, workflow: bool
) -> None:
    """The run goes on without who started it, and is found by the permit's id."""
    given = order()
    async with _answers_late(platform) as go_on:
        dying = asyncio.create_task(executor(stack, platform, workflow=workflow).execute(given))

        async def booked() -> int:
            return platform.till.booked

        await until(booked)
        dying.cancel()
        after = executor(stack, platform, workflow=workflow)
        assert await after.observe(given) == "unknown"
        go_on.set()
        await until(lambda: after.observe(given), lambda seen: seen == "done")

    assert platform.till.booked == 1


async def test_an_id_whose_run_is_over_is_not_given_to_another(
    stack: Stack, platform: Platform, workflow: bool
) -> None:
    """Also where somebody looked before it was there; unless the same is asked for once more on purpose."""
    given = order(Direction.undo)
    entry = platform.entry(stack.temporal_address, workflow=workflow)
    work = TemporalSettings.model_validate(entry).operations["orders.take_back" if not workflow else "orders.refund"]
    run = run_of(platform.client, work, f"permit/{given.permit_id}")

    assert await run.start(order_input(given), given.timeout, again=False)
    await run.ended()
    assert not await run.start(order_input(given), given.timeout, again=False)
    assert await run.start(order_input(given), given.timeout, again=True)
