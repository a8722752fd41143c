"""What this process did, for as long as the record cannot say it.

Compensation never waits: if the record is away when an undo is asked for, the process that did the step knows the undo
permit, which it read from the record when it claimed, and why it is needed. It knows only its own steps; a cause that
it did not see itself (a stop, a closed gate) has to be on record. Nothing is forgotten before it is stored.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from activities.attempt import Attempt
from policy.gate import may_undo
from policy.outcome import EffectReport, StepRecord
from policy.permit import Direction, Permit, permit_id

_KEPT = 10_000


@dataclass(frozen=True)
class Unstored:
    """A report that the record does not have yet, and whose it is."""

    permit: Permit
    report: EffectReport
    attempt: Attempt


class EffectMemory:
    """The newest claims of this process, with their undo permits and reports.

    Args:
        kept: how many permits to remember.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._permits: OrderedDict[str, Permit] = OrderedDict()
        self._reports: dict[str, EffectReport] = {}
        self._unstored: dict[str, Unstored] = {}
        self._acting: set[str] = set()
        self._over: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def acting(self, token: str) -> Iterator[None]:
        """The attempt with this token acts inside the block, and is over after it."""
        self._acting.add(token)
        try:
            yield
        finally:
            self._acting.discard(token)
            self._over[token] = None
            while len(self._over) > self._kept:
                self._over.popitem(last=False)

    def acts(self, token: str) -> bool:
        """Whether this attempt acts now, in this process."""
        return token in self._acting

    def over(self, token: str) -> bool:
        """Whether this attempt acted in this process and does not act any more."""
        return token in self._over and token not in self._acting

    def note_claim(self, permit: Permit, undo: Permit | None) -> None:
        """Remember a claim, and the permit that undoes it."""
        for item in (permit, undo):
            if item is not None:
                self._permits[item.permit_id] = item
                self._permits.move_to_end(item.permit_id)
        while len(self._permits) > self._kept:
            oldest, _ = self._permits.popitem(last=False)
            self._reports.pop(oldest, None)

    def note_report(self, permit: Permit, report: EffectReport, attempt: Attempt) -> None:
        """Remember a report that is about to be stored."""
        self._reports[permit.permit_id] = report
        self._unstored[permit.permit_id] = Unstored(permit, report, attempt)

    def note_stored(self, permit: Permit, counts: EffectReport) -> None:
        """The record has a report of this permit now."""
        self._reports[permit.permit_id] = counts
        self._unstored.pop(permit.permit_id, None)

    def note_late(self, permit: Permit) -> None:
        """The report of this permit could not be stored in time."""
        if waiting := self._unstored.get(permit.permit_id):
            late = waiting.report.model_copy(update={"late": True})
            self._unstored[permit.permit_id] = replace(waiting, report=late)

    def unstored(self, proposal_id: str) -> tuple[Unstored, ...]:
        """The reports of a proposal that the record does not have yet, in the order in which they were made."""
        return tuple(item for item in self._unstored.values() if item.permit.proposal_id == proposal_id)

    def permit(self, wanted: str) -> Permit | None:
        """A permit that this process claimed, or that undoes one."""
        return self._permits.get(wanted)

    def report(self, wanted: str) -> EffectReport | None:
        """What this process did under a permit."""
        return self._reports.get(wanted)

    def touched(self, undo: Permit) -> tuple[str, ...]:
        """The targets that the step of an undo touched, as this process saw it; none where that was all of them."""
        forward = permit_id(undo.proposal_id, undo.revision, undo.step, Direction.do)
        report = self._reports.get(forward)
        return report.touched if report is not None else ()

    def undo_is_due(self, permit: Permit) -> bool:
        """Whether what this process saw of a step, or of those before it, is a cause to undo one of them now."""
        return permit.direction is Direction.do and any(
            item.direction is Direction.undo and _same_action(item, permit) and self.may_undo(item)
            for item in self._permits.values()
        )

    def may_undo(self, undo: Permit) -> bool:
        """Whether what this process saw is enough to undo a step without asking the record."""
        seen = tuple(
            StepRecord(
                step=item.step,
                direction=item.direction.value,
                use="claimed" if item.direction is Direction.do else "unused",
                report=self._reports.get(item.permit_id),
            )
            for item in self._permits.values()
            if _same_action(item, undo)
        )
        return not may_undo(undo.step, seen, stopped=False, dispatch_refused=False)


def _same_action(one: Permit, other: Permit) -> bool:
    return (one.proposal_id, one.revision) == (other.proposal_id, other.revision)
