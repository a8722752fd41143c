"""The composition root: settings become objects, objects become workers.

- `control` runs the workflows and the case activities, `permit` issues, `executor` acts. Each role has its own queue
  and its own database role, so that no process both decides and acts. `all` is one process with all three.
- Nothing is decided here.
- Pollers are the SDK's default, a fixed number. With its autoscaling, side by side on a machine at its limit, more of
  the tasks that the server started never arrived (11 against 2 of 1,350), and each costs an action ten seconds.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.anchor import Anchor, FileAnchor
from activities.anchored import Anchored
from activities.attributes import RegisteredAttributes
from activities.channels.lanes import make_lanes
from activities.claiming import ClaimActivities
from activities.clock import Clock, SystemClock
from activities.connection import connect
from activities.control import ControlActivities
from activities.database import Database
from activities.delivered import DeliveredRunner
from activities.delivering import NoticeActivities
from activities.detecting import DetectActivities
from activities.dispatch import PermitActivities
from activities.documents import Documents
from activities.execute import ExecutorActivities
from activities.executors.base import Executor, TargetCredentials
from activities.executors.documents import DocumentsExecutor
from activities.executors.kinds import make_executors
from activities.executors.postgres import PostgresExecutor
from activities.halting import HaltActivities
from activities.house import HouseActivities
from activities.issuer_keys import KeyActivities, PublishedKeys, RecordedKeys
from activities.items import ItemActivities
from activities.permit_signing import PermitSigner
from activities.permit_trust import ClaimedTargets, PermitTrust
from activities.prometheus import Prometheus
from activities.proving import Prover
from activities.resolving import ResolvingActivities
from activities.settings import ANCHOR_FILE, DATABASE_URL, PERMIT_KEY_FILE, Role, Settings, SettingsError, read_settings
from activities.slo_states import SloActivities
from activities.telemetry import Meter
from activities.telemetry_client import stop_tracing
from activities.telemetry_export import start_telemetry
from activities.telemetry_logs import configure_logging
from activities.telemetry_pending import watch_pending
from activities.watching import WatchActivities
from policy.errors import CountersignError
from signing.permits import PermitKeys
from workflows.authorize import AuthorizeAction
from workflows.halting import Halt
from workflows.housekeeping import Archive, Deliver, Detect, RefreshIssuerKeys, RefreshSloStates, Sweep, Watch
from workflows.interface import EXECUTOR_QUEUE, PERMIT_QUEUE, TASK_QUEUE
from workflows.items import ResolveItem
from workflows.messages import PACE, Pace

log = logging.getLogger("countersign.worker")

# Everything that workflow code may load: our own pure packages and what they stand on. Passing them through saves the
# sandbox from importing them again for every workflow, and is safe because policy/ is pure (tests/test_layering.py).
PASSED_THROUGH = ("policy", "workflows", "pydantic", "pydantic_core", "rfc8785", "yaml", "annotated_types")
GRACE = timedelta(seconds=5)
HEARTBEAT_THROTTLE = timedelta(seconds=3)
ISSUE = (Role.permit, Role.all)
WORKFLOWS = (
    AuthorizeAction,
    ResolveItem,
    Halt,
    Sweep,
    Archive,
    RefreshSloStates,
    Deliver,
    RefreshIssuerKeys,
    Watch,
    Detect,
)


def workflow_runner() -> SandboxedWorkflowRunner:
    """The sandbox in which workflows run and are replayed."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))


async def build_workers(
    client: Client,
    database: Database,
    settings: Settings,
    *,
    clock: Clock | None = None,
    attributes: RegisteredAttributes | None = None,
    executors: Mapping[str, Executor] | None = None,
    max_cached_workflows: int = 1000,
    pace: Pace = PACE,
    anchored: Anchored | None = None,
) -> list[Worker]:
    """The workers of a role, ready to run.

    Args:
        client: connected with the project's data converter.
        database: the record, as the role's own database role.
        settings: the role, the targets and the archive.
        clock: another clock than this machine's, for tests under a time-skipping server.
        attributes: which search attributes may be set; asked of the server once where it is not given.
        executors: a platform's own adapters by name, besides ours.
        max_cached_workflows: how many runs are kept in memory; the others are replayed when they are needed.
        pace: how much a run takes before it continues as a new one.
        anchored: the copy outside the record, as `anchored_by` makes it; given where the role issues.
    """
    time = clock or SystemClock()
    documents = Documents()
    await documents.warm(database)
    role = settings.role
    published, prover, proved_again = _provers(database, settings, time)
    dispatching = _dispatching(database, documents, time, proved_again, settings, anchored) if role in ISSUE else []
    workers = []
    if role in (Role.control, Role.all):
        known, local = attributes or await _asked_once(client), role is Role.all
        control = ControlActivities(
            database, documents, time, prover, local_dispatch=local, attributes=known, pace=pace
        )
        activities = [*_of_the_case(control), *_housekeeping(client, database, documents, settings, time, prover)]
        workers.append(
            Worker(
                client,
                task_queue=TASK_QUEUE,
                workflows=WORKFLOWS,
                activities=[*activities, *dispatching],
                workflow_runner=DeliveredRunner(workflow_runner()),
                max_cached_workflows=max_cached_workflows,
                graceful_shutdown_timeout=GRACE,
            )
        )
    if role in ISSUE:
        keys = KeyActivities(database, documents, published)
        workers.append(_activity_worker(client, PERMIT_QUEUE, [*dispatching, keys.refresh_issuer_keys]))
    if role in (Role.executor, Role.all):
        every = {**_executors(database, settings, time), **(executors or {})}
        trust = PermitTrust(_believed(settings), documents, proved_again, _claimed_targets(settings))
        resolving = ResolvingActivities(database, documents, time, every, client.identity)
        await resolving.declare()
        acting = [*_acting(database, time, every, client.identity, trust), resolving.resolve]
        workers.append(_activity_worker(client, EXECUTOR_QUEUE, acting))
    return workers


def _provers(database: Database, settings: Settings, clock: Clock) -> tuple[PublishedKeys, Prover, Prover]:
    """The keys of issuers, what verifies a statement that is new, and what verifies again one that was taken before.

    The control role writes no key down: who issues believes only what it saw itself. The executor role asks no issuer.
    """
    stores = settings.role in (Role.permit, Role.all)
    published = PublishedKeys(clock, store=database if stores else None)
    recorded = RecordedKeys(database, published if stores else None)
    claimed = settings.unsafe_claimed_identities
    return (
        published,
        Prover(accepts_claimed=claimed, issuer_keys=published),
        Prover(accepts_claimed=claimed, issuer_keys=recorded),
    )


def _housekeeping(
    client: Client, database: Database, documents: Documents, settings: Settings, clock: Clock, prover: Prover
) -> list[Callable[..., Any]]:
    """What runs by schedule, and what asks about a thing that is left open."""
    house = HouseActivities(database, client, documents, clock, settings.archive_dir)
    slos = SloActivities(database, documents, clock, _prometheus(settings))
    notices = NoticeActivities(database, documents, clock, settings.channels, make_lanes(settings.channels))
    items = ItemActivities(database, documents, clock, prover)
    watcher = WatchActivities(database, client, clock)
    detector = DetectActivities(database, clock, settings.trails)
    scheduled = [house.sweep, house.archive, watcher.watch, detector.detect, slos.refresh_slo_states, notices.deliver]
    halts = HaltActivities(database, documents, clock)
    return [*scheduled, items.look_at_item, items.answer_item, halts.place_halt, halts.release_halt]


def _dispatching(
    database: Database,
    documents: Documents,
    clock: Clock,
    prover: Prover,
    settings: Settings,
    anchored: Anchored | None,
) -> list[Callable[..., Any]]:
    if settings.permit_key is None:
        raise SettingsError(f"{PERMIT_KEY_FILE} is not set: role {settings.role} signs permits")
    if anchored is None:
        raise SettingsError(f"{ANCHOR_FILE} is not set: who issues needs a file outside of the database")
    signer = PermitSigner(settings.permit_key)
    return [PermitActivities(database, documents, clock, prover, signer, anchored).dispatch]


def _acting(
    database: Database, clock: Clock, executors: Mapping[str, Executor], worker: str, trust: PermitTrust
) -> list[Callable[..., Any]]:
    executor = ExecutorActivities(database, clock, executors, worker, trust)
    claiming = ClaimActivities(database, clock, trust, frozenset(executors), worker)
    return [executor.execute, executor.observe, claiming.claim]


def _believed(settings: Settings) -> PermitKeys:
    """One process that does everything believes what it signs itself, too."""
    own = settings.permit_key
    return settings.permit_keys if own is None else settings.permit_keys.believing(own)


def _claimed_targets(settings: Settings) -> ClaimedTargets:
    return ClaimedTargets(
        accepted=settings.unsafe_claimed_identities,
        others=settings.not_production,
        in_production=settings.unsafe_claimed_production,
    )


def _executors(database: Database, settings: Settings, clock: Clock) -> dict[str, Executor]:
    targets = TargetCredentials(urls=settings.targets, readers=settings.target_readers)
    return {
        "postgres": PostgresExecutor(targets),
        **make_executors(settings.executors, targets),
        "countersign": DocumentsExecutor(database, clock),
    }


def _of_the_case(control: ControlActivities) -> list[Callable[..., Any]]:
    return [control.assess, control.take_decision, control.take_decisions, control.advance, control.record]


def _prometheus(settings: Settings) -> Prometheus | None:
    if settings.prometheus_url is None or settings.slo_query is None:
        return None
    return Prometheus(settings.prometheus_url, settings.slo_query)


async def _asked_once(client: Client) -> RegisteredAttributes:
    attributes = RegisteredAttributes(client)
    await attributes.refresh()
    return attributes


def _activity_worker(client: Client, queue: str, activities: Sequence[Callable[..., Any]]) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        activities=activities,
        graceful_shutdown_timeout=GRACE,
        # A stop reaches a running step with a heartbeat: no later than one of those that the executor sends.
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
    )


@contextlib.asynccontextmanager
async def running_workers(
    client: Client,
    database: Database,
    settings: Settings,
    *,
    clock: Clock | None = None,
    executors: Mapping[str, Executor] | None = None,
    max_cached_workflows: int = 1000,
    pace: Pace = PACE,
    meter: Meter | None = None,
    anchor: Anchor | None = None,
) -> AsyncIterator[None]:
    """The workers of a role, running inside the block. With a meter, control keeps the gauges of what waits.

    `anchor` keeps the copy outside the record instead of the file of the settings.
    """
    attributes = await _asked_once(client)
    anchored = anchored_by(settings, clock or SystemClock(), anchor)
    workers = await build_workers(
        client,
        database,
        settings,
        clock=clock,
        attributes=attributes,
        executors=executors,
        max_cached_workflows=max_cached_workflows,
        pace=pace,
        anchored=anchored,
    )
    async with contextlib.AsyncExitStack() as stack:
        if anchored is not None:
            await stack.enter_async_context(anchored.watched(database, clock or SystemClock(), meter))
        await stack.enter_async_context(attributes.kept_fresh())
        for worker in workers:
            await stack.enter_async_context(worker)
        if settings.role in (Role.control, Role.all):
            told = settings.channels is not None
            await stack.enter_async_context(watch_pending(database, clock or SystemClock(), meter, notices=told))
        yield


def anchored_by(settings: Settings, clock: Clock, anchor: Anchor | None = None) -> Anchored | None:
    """The copy outside the record of a role that issues; None of another role, and where none is named."""
    kept = anchor or (FileAnchor(settings.anchor_file) if settings.anchor_file is not None else None)
    if kept is None or settings.role not in ISSUE:
        return None
    keys = PublishedKeys(clock)
    return Anchored(kept, Documents(), Prover(accepts_claimed=settings.unsafe_claimed_identities, issuer_keys=keys))


async def run_worker(settings: Settings, *, address: str | None = None, namespace: str | None = None) -> None:
    """Run the workers of a role until cancelled.

    Args:
        settings: the role, the record, the targets.
        address: host:port of Temporal instead of Temporal's own configuration.
        namespace: instead of the configured one.

    Raises:
        SettingsError: a worker must not start like this.
        TemporalUnavailableError: Temporal does not answer.
    """
    telemetry = start_telemetry(settings, service=f"countersign-{settings.role}")
    database = Database(settings.check_worker(), application=f"countersign-{settings.role}")
    try:
        if await database.can_change_record():
            raise SettingsError(
                f"{DATABASE_URL} connects as an owner or superuser, which can change the record: connect as "
                f"{settings.database_role}"
            )
        client = await connect(
            address=address,
            namespace=namespace,
            identity=f"{settings.role}@{os.getpid()}",
            keys=settings.codec_keys,
            **telemetry.connection,
        )
        async with running_workers(client, database, settings, meter=telemetry.meter):
            log.info("worker %s runs", settings.role)
            await asyncio.Event().wait()
    finally:
        await database.close()
        stop_tracing()


async def main(arguments: Sequence[str] | None = None) -> None:
    """`python worker.py [--role control|permit|executor|all]`; ends on SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="worker.py", description="Run Countersign's workers.")
    parser.add_argument("--role", choices=[str(role) for role in Role], help="what this process does (default: all)")
    role = parser.parse_args(arguments).role
    task = asyncio.create_task(run_worker(read_settings(role=role)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    configure_logging()
    try:
        asyncio.run(main())
    except CountersignError as error:
        sys.exit(f"worker: {error}")
