"""Writing one object: read it, check that it is what was permitted, write; again where only a status came between."""

import asyncio
from dataclasses import dataclass, field, replace

from activities.executors.base import ExecutorError, Order, PreconditionFailedError, TargetChangedError
from activities.executors.kubernetes_api import Cluster, ConflictError, Json
from activities.executors.kubernetes_changes import Change, change_of, check_untouched, left_of
from activities.executors.kubernetes_objects import Marks, Ref, at, ref_of, version_of
from policy.permit import Direction
from policy.targets import ResolvedTarget

TRIES = 3
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Task:
    """One object of an order. `change` is what is to be written, by what was `found`; None where it is done already."""

    order: Order
    target: ResolvedTarget
    ref: Ref
    uid: str
    found: Json = field(default_factory=dict, repr=False)
    change: Change | None = field(default=None, repr=False)

    @classmethod
    def of(cls, order: Order, target: ResolvedTarget) -> "Task":
        """The task of a target, by its id.

        Raises:
            PreconditionFailedError: the id is none of ours.
        """
        return cls(order, target, *ref_of(target.id))


@dataclass(frozen=True)
class Writer:
    """Reads by one credential, writes by the other."""

    reading: Cluster
    acting: Cluster

    async def checked(self, task: Task) -> Task:
        """The task with what was found, and the change that it needs.

        Raises:
            TargetChangedError: it is not what was resolved, or an undo would overwrite somebody.
            PreconditionFailedError: it does not fit.
        """
        order, answer = task.order, await self.reading.get(task.ref.path)
        if answer is None or at(answer.body, "metadata", "uid") != task.uid:
            raise TargetChangedError(f"{task.ref} is not there any more, or another one of the same name is")
        found, undoes = dict(answer.body), order.direction is Direction.undo
        if not order.dry_run:
            marks = Marks.of(found)
            if order.permit_id in marks.permits:
                return replace(task, found=found, change=None)
            if undoes and (fence := _fence(task, found, marks)) is not None:
                return replace(task, found=found, change=fence)
        if not undoes:
            _check_version(task, found)
        change = await change_of(
            *(self.reading, order.operation, task.ref, found, task.target, order.parameters),
            permit_id=order.permit_id,
            undoes=undoes,
        )
        return replace(task, found=found, change=change)

    async def write(self, task: Task, *, dry_run: bool = False) -> str:
        """Write what was checked; what it did, as a phrase.

        Raises:
            ExecutorError: as `Cluster.patch`, `checked`, or because what the server kept is something else.
        """
        for left in reversed(range(TRIES)):
            if task.change is None:
                return f"leave {task.ref} as it is"
            change = task.change
            patch = change.patch(task.found, task.order.permit_id, task.order.operation)
            try:
                kept = (await self.acting.patch(task.ref.path, patch, dry_run=dry_run)).body
            except ConflictError as error:
                if not left:
                    raise TargetChangedError(f"{task.ref} changes all the time: {error}") from error
                await asyncio.sleep(_PAUSE_SECONDS)
                task = await self.checked(task)
            else:
                _check_kept(task, change, kept)
                return change.says
        raise AssertionError("unreachable")


def _check_version(task: Task, found: Json) -> None:
    if task.target.version is None:
        raise PreconditionFailedError(f"target {task.target.id} has no version: it is not known what was looked at")
    if version_of(found) != task.target.version:
        raise TargetChangedError(f"the spec of {task.ref} is not the one that was resolved")


def _fence(task: Task, found: Json, marks: Marks) -> Change | None:
    """Before an undo: the marks alone, where the step did not reach the object; None where there is something to undo.

    Raises:
        TargetChangedError: it cannot be told, or somebody came after the step.
    """
    step = task.order.undoes
    if step is None:
        raise PreconditionFailedError(f"{task.ref}: the order does not say what it undoes")
    if step not in marks.permits:
        if not marks.whole:
            raise TargetChangedError(f"{task.ref}: whether permit {step} reached it cannot be told any more")
        return Change(f"leave {task.ref} as it is, the step did not reach it")
    if marks.last != step:
        raise TargetChangedError(f"{task.ref}: permit {marks.last} wrote it after permit {step}")
    check_untouched(task.ref, found, marks)
    return None


def _check_kept(task: Task, change: Change, kept: Json) -> None:
    """Whether the server kept what was written.

    Raises:
        ExecutorError: the write was done, and is not what it was to be.
    """
    if Marks.of(kept).last != task.order.permit_id:
        raise ExecutorError(f"{task.ref} was written, and the server did not keep the permit's mark")
    if change.place and isinstance(change.value, bool | int):
        now = at(kept, *change.place.strip("/").split("/"))
        if left_of(now) != left_of(change.value):
            raise ExecutorError(f"{task.ref} was written, and the server kept {change.place} = {now!r:.40}")
