"""The executor for Kubernetes: scale, restart, roll back, pause, cordon; one object after the other.

**Not yet run on a cluster in use.** It ran before an emulated API server and before a real kube-apiserver 1.20.2 with
no nodes (`make kubernetes`); before no newer one.

1. It acts on objects by name and uid, and only on those that the order names. What an order says of kind, namespace and
   name must be what its targets are.
2. Everything is read and checked before the first write. A target whose spec is not the resolved one any more is left
   alone, and so are all others. Each write names the resourceVersion that was checked; where only a status came
   between, it is read, checked and written again, a few times.
3. The permit's id is written with the effect (`kubernetes_objects.py`), so that the same permit does nothing twice, and
   looking tells what was done.
4. An undo undoes its own step: it leaves alone what somebody changed since, and says so. An object that the step did
   not reach gets the undo's mark and nothing else: what was sent and may still arrive is refused by its
   resourceVersion.
5. It stops between objects, and says which ones were touched.
6. It reads by the reading credential, and only writes by the other one. A dry run is the server's own (`dryRun=All`),
   by the acting credential, so that admission and its rights are asked, too.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    Reached,
    Seen,
    Supports,
    TargetChangedError,
    TargetCredentials,
    TargetUnreachableError,
)
from activities.executors.kubernetes_api import ANSWER_SECONDS, CONNECT_SECONDS, Cluster
from activities.executors.kubernetes_changes import TAKES
from activities.executors.kubernetes_objects import Marks, at
from activities.executors.kubernetes_probes import PROBES, Reading
from activities.executors.kubernetes_resolving import Resolver, names_of
from activities.executors.kubernetes_settings import KubernetesSettings, check_allowed, place_of
from activities.executors.kubernetes_writing import TRIES, Task, Writer
from policy.permit import Direction
from policy.targets import ResolvedTarget


class KubernetesExecutor:
    """Acts on clusters.

    Args:
        settings: the clusters.
        name: under which permits call it.
    """

    def __init__(self, settings: KubernetesSettings, name: str = "kubernetes") -> None:
        self.name = name
        self._settings = settings.clusters
        self._acting = {
            prefix: Cluster(each.server, each.ca_file, each.token_file) for prefix, each in settings.clusters.items()
        }
        self._reading = {
            prefix: Cluster(each.server, each.ca_file, each.read_token_file)
            for prefix, each in settings.clusters.items()
        }
        self.supports = Supports(
            operations=frozenset(TAKES),
            probes=frozenset(PROBES),
            stops_within=timedelta(seconds=2 * TRIES * (CONNECT_SECONDS + ANSWER_SECONDS)),
            observes="by_key",
            dry_runs=frozenset(TAKES),
            stops="between",
            resolves=frozenset(TAKES),
        )

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """The objects that kind, namespace and name say; see `Executor.resolve`."""
        if inquiry.operation not in TAKES:
            raise PreconditionFailedError(f"operation {inquiry.operation} is none of {', '.join(TAKES)}")
        return await Resolver(self._settings, self._reading).resolve(inquiry)

    async def execute(self, order: Order) -> None:
        """Carry an order out; see `Executor.execute`."""
        order.check_real()
        tasks = self._tasks(order)
        if order.direction is Direction.undo:
            await self._undo(tasks[::-1])
        else:
            await self._do(order, tasks)

    async def dry_run(self, order: Order) -> str:
        """What the API server says that it would do; see `Executor.dry_run`."""
        said = []
        for task in self._tasks(order):
            writer = self._writer(task)
            try:
                said.append(await writer.write(await writer.checked(task), dry_run=True))
            except EffectUnknownError as error:
                # Nothing is kept of a dry run, whatever became of it.
                raise TargetUnreachableError(str(error)) from error
        return (
            f"would {'; '.join(said)}: the API server took it as a dry run. Nothing says that new pods would be ready"
        )

    async def observe(self, order: Order) -> Seen:
        """Whether the objects carry the permit's mark; see `Executor.observe`."""
        try:
            seen = {await self._seen(task) for task in self._tasks(order)}
        except (PreconditionFailedError, TargetChangedError):
            return "unknown"
        return seen.pop() if len(seen) == 1 else "unknown"

    async def measure(self, order: ProbeOrder) -> Any:
        """Read a probe's value; see `Executor.measure`."""
        read = PROBES.get(order.probe)
        if read is None:
            raise ProbeError(f"probe {order.probe} is none of {', '.join(PROBES)}")
        try:
            prefix = place_of(order.resource, self._settings).prefix
            settings = self._settings[prefix]
            reading = Reading(self._reading[prefix], order.parameters, lambda ref: check_allowed(ref, settings))
            return await read(reading)
        except PreconditionFailedError as error:
            raise ProbeError(f"probe {order.probe} on {order.resource}: {error}") from error

    async def _do(self, order: Order, tasks: list[Task]) -> None:
        """Check all, then write one after the other."""
        ready = [await self._writer(task).checked(task) for task in tasks]
        touched: list[Task] = []
        for task in ready:
            if order.stop.is_set():
                raise _stopped(touched)
            try:
                await self._writer(task).write(task)
            except EffectUnknownError as error:
                raise EffectUnknownError(f"{error}{_and(touched)}", touched=_reached(*touched, task)) from error
            except PreconditionFailedError as error:
                if not touched:
                    raise
                raise ExecutorError(f"{error}{_and(touched)}", touched=_reached(*touched)) from error
            except ExecutorError as error:
                raise ExecutorError(f"{error}{_and(touched)}", touched=_reached(*touched, task)) from error
            touched.append(task)

    async def _undo(self, tasks: list[Task]) -> None:
        """Undo each that can be, whatever becomes of the others."""
        failed: list[ExecutorError] = []
        for task in tasks:
            writer = self._writer(task)
            try:
                await writer.write(await writer.checked(task))
            except ExecutorError as error:
                failed.append(error)
        if not failed:
            return
        if len(tasks) == 1:
            raise failed[0]
        said = "; ".join(str(error) for error in failed)
        unknown = any(isinstance(error, EffectUnknownError) for error in failed)
        raise (EffectUnknownError if unknown else ExecutorError)(f"{len(failed)} of {len(tasks)} not undone: {said}")

    def _tasks(self, order: Order) -> list[Task]:
        """What is to be done to each target; nothing was read yet.

        Raises:
            PreconditionFailedError: the order does not fit.
        """
        if order.operation not in TAKES:
            raise PreconditionFailedError(f"operation {order.operation} is none of {', '.join(TAKES)}")
        if not order.targets:
            raise PreconditionFailedError(
                f"{order.operation} acts on what was resolved, and the permit names no target"
            )
        return [self._task(order, target) for target in order.targets]

    def _task(self, order: Order, target: ResolvedTarget) -> Task:
        task = Task.of(order, target)
        if target.resource not in order.resolved:
            raise PreconditionFailedError(f"target {target.id} is of {target.resource}, which the permit does not name")
        place = place_of(target.resource, self._settings)
        if not place.holds(task.ref):
            raise PreconditionFailedError(f"target {target.id} is not within {target.resource}")
        check_allowed(task.ref, self._settings[place.prefix])
        names_of(order.operation, order.parameters).check(task.ref)
        return task

    def _writer(self, task: Task) -> Writer:
        prefix = place_of(task.target.resource, self._settings).prefix
        return Writer(self._reading[prefix], self._acting[prefix])

    async def _seen(self, task: Task) -> Seen:
        answer = await self._writer(task).reading.get(task.ref.path)
        if answer is None or at(answer.body, "metadata", "uid") != task.uid:
            return "unknown"
        marks = Marks.of(answer.body)
        if task.order.permit_id in marks.permits:
            return "done"
        return "none" if marks.whole else "unknown"


def make(name: str, given: Mapping[str, Any], targets: TargetCredentials) -> KubernetesExecutor:
    """The executor of an operator's entry; its clusters are in the entry, not among the addresses of the targets."""
    del targets
    return KubernetesExecutor(KubernetesSettings.model_validate(dict(given)), name)


def _stopped(touched: list[Task]) -> ExecutorError:
    if not touched:
        return PreconditionFailedError("stopped before anything was touched")
    return ExecutorError(f"stopped{_and(touched)}", touched=_reached(*touched))


def _and(touched: list[Task]) -> str:
    return f"; touched before it: {', '.join(str(task.ref) for task in touched)}" if touched else ""


def _reached(*tasks: Task) -> tuple[Reached, ...]:
    return tuple((task.target.resource, task.target.id) for task in tasks)
