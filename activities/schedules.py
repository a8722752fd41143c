"""The schedules of a namespace: housekeeping that Temporal starts by itself.

They are made where they are missing and brought to today's form where they exist; one that an operator paused stays
paused. The sweep and the watcher run every minute, the archive every ten: the shortest retention that Temporal takes is
a day. The keys of identity providers are looked at every five minutes: a provider publishes one for longer than that.
Notices are delivered every quarter of a minute where an operator named channels; a run that waits for a slow channel
does not keep the next one from the others. Trails of targets are looked at every five minutes, where some are named.
"""

from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from workflows.interface import (
    ARCHIVE_WORKFLOW,
    DELIVER_WORKFLOW,
    DETECT_WORKFLOW,
    KEYS_WORKFLOW,
    SLO_WORKFLOW,
    SWEEP_WORKFLOW,
    TASK_QUEUE,
    WATCH_WORKFLOW,
)

SWEEP_SCHEDULE = "countersign-sweep"
ARCHIVE_SCHEDULE = "countersign-archive"
KEYS_SCHEDULE = "countersign-issuer-keys"
WATCH_SCHEDULE = "countersign-watch"
SLO_SCHEDULE = "countersign-slo-states"
DELIVER_SCHEDULE = "countersign-deliver"
DETECT_SCHEDULE = "countersign-detect"
# A run that was missed is not made up for: the next one finds everything.
_CATCHUP = timedelta(minutes=1)
# Runs that may overlap end by themselves where no worker takes them up, or they would pile up until one does.
_OVERLAPPING_FOR = timedelta(seconds=90)


@dataclass(frozen=True)
class _Wanted:
    schedule_id: str
    workflow: str
    every: timedelta
    overlap: ScheduleOverlapPolicy = ScheduleOverlapPolicy.SKIP


_WANTED = (
    _Wanted(SWEEP_SCHEDULE, SWEEP_WORKFLOW, timedelta(minutes=1)),
    _Wanted(ARCHIVE_SCHEDULE, ARCHIVE_WORKFLOW, timedelta(minutes=10)),
    _Wanted(KEYS_SCHEDULE, KEYS_WORKFLOW, timedelta(minutes=5)),
    _Wanted(WATCH_SCHEDULE, WATCH_WORKFLOW, timedelta(minutes=1)),
)
_SLO_STATES = _Wanted(SLO_SCHEDULE, SLO_WORKFLOW, timedelta(minutes=1))
_DETECT = _Wanted(DETECT_SCHEDULE, DETECT_WORKFLOW, timedelta(minutes=5))
_DELIVER = _Wanted(DELIVER_SCHEDULE, DELIVER_WORKFLOW, timedelta(seconds=15), ScheduleOverlapPolicy.ALLOW_ALL)


async def ensure_schedules(
    client: Client, *, slo_states: bool = False, notices: bool = False, trails: bool = False
) -> list[str]:
    """Make the schedules of a namespace, or bring them to today's form; safe to run again and by several at once.

    Args:
        client: connected to the namespace.
        slo_states: whether SLOs are measured, because an operator named a server; a schedule that was made stays.
        notices: whether people are told, because an operator named channels.
        trails: whether targets' own trails are looked at, because an operator named some.

    Returns:
        The ids of those that were made by this call.

    Raises:
        RPCError: we may not, or the server has no schedules (Temporal's time-skipping test server).

    """
    made = []
    asked = {_SLO_STATES: slo_states, _DELIVER: notices, _DETECT: trails}
    for wanted in (*_WANTED, *(item for item, is_asked in asked.items() if is_asked)):
        try:
            await client.create_schedule(wanted.schedule_id, _schedule(wanted))
            made.append(wanted.schedule_id)
        except ScheduleAlreadyRunningError:
            await client.get_schedule_handle(wanted.schedule_id).update(_Updater(wanted))
    return made


class _Updater:
    """Brings one schedule to today's form, if it has another."""

    def __init__(self, wanted: _Wanted) -> None:
        self._wanted = wanted

    def __call__(self, current: ScheduleUpdateInput) -> ScheduleUpdate | None:
        found, new = current.description.schedule, _schedule(self._wanted)
        same = (
            isinstance(found.action, ScheduleActionStartWorkflow)
            and found.action.workflow == self._wanted.workflow
            and found.action.task_queue == TASK_QUEUE
            and found.spec.intervals == new.spec.intervals
            and found.policy == new.policy
        )
        if same:
            return None
        new.state = found.state
        return ScheduleUpdate(new)


def _schedule(wanted: _Wanted) -> Schedule:
    overlaps = wanted.overlap is not ScheduleOverlapPolicy.SKIP
    return Schedule(
        action=ScheduleActionStartWorkflow(
            wanted.workflow,
            id=wanted.schedule_id,
            task_queue=TASK_QUEUE,
            execution_timeout=_OVERLAPPING_FOR if overlaps else None,
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=wanted.every)]),
        policy=SchedulePolicy(overlap=wanted.overlap, catchup_window=_CATCHUP),
    )
