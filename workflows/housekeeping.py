"""Housekeeping by schedule: each of these workflows asks one activity and ends."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows import interface, ports

_BUDGET = timedelta(minutes=5)


@workflow.defn(name=interface.SWEEP_WORKFLOW)
class Sweep:
    """Finds claimed permits that nobody will report on any more."""

    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            ports.HousePort.sweep,
            task_queue=interface.TASK_QUEUE,
            start_to_close_timeout=_BUDGET,
            retry_policy=ports.HOUSE_RETRY,
        )


@workflow.defn(name=interface.ARCHIVE_WORKFLOW)
class Archive:
    """Exports the histories of closed actions before retention deletes them."""

    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            ports.HousePort.archive,
            task_queue=interface.TASK_QUEUE,
            start_to_close_timeout=_BUDGET,
            retry_policy=ports.HOUSE_RETRY,
        )


@workflow.defn(name=interface.WATCH_WORKFLOW)
class Watch:
    """Finds what was done to runs of our workflow type from outside."""

    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            ports.WatchPort.watch,
            task_queue=interface.TASK_QUEUE,
            start_to_close_timeout=_BUDGET,
            retry_policy=ports.HOUSE_RETRY,
        )


@workflow.defn(name=interface.DETECT_WORKFLOW)
class Detect:
    """Finds what was done to targets without a permit that allows it."""

    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            ports.DetectPort.detect,
            task_queue=interface.TASK_QUEUE,
            start_to_close_timeout=_BUDGET,
            retry_policy=ports.ONCE_RETRY,
        )


@workflow.defn(name=interface.SLO_WORKFLOW)
class RefreshSloStates:
    """Measures the SLOs of the catalog; what could not be measured stays as old as it is."""

    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            ports.SloPort.refresh_slo_states,
            task_queue=interface.TASK_QUEUE,
            start_to_close_timeout=_BUDGET,
            retry_policy=ports.ONCE_RETRY,
        )


@workflow.defn(name=interface.DELIVER_WORKFLOW)
class Deliver:
    """Tells people what waits in the outbox; what could not be told waits for the next run."""

    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            ports.NoticePort.deliver,
            task_queue=interface.TASK_QUEUE,
            start_to_close_timeout=_BUDGET,
            retry_policy=ports.ONCE_RETRY,
        )


@workflow.defn(name=interface.KEYS_WORKFLOW)
class RefreshIssuerKeys:
    """Has the permit role keep what identity providers publish, before they publish something else."""

    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            ports.KeyPort.refresh_issuer_keys,
            task_queue=interface.PERMIT_QUEUE,
            start_to_close_timeout=_BUDGET,
            retry_policy=ports.ONCE_RETRY,
        )
