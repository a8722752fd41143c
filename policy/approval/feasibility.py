"""Feasibility: are people left who could satisfy what a case still asks for?

- All seats of the open stage and of those that wait are filled together, by different people, with the votes that were
  given: nobody approves in two stages. Of a stage that asks for any of its requirements, each is tried.
- Left is whom the stage asks and whom nothing bars: not who asks, or does by now, nor who stepped out, nor who has
  approved another stage. A denial, or a vote that was taken back, can still become an approval.
- A newcomer is left if they will be old enough before the stage ends. Of a stage that waits, nobody knows when that is:
  the absolute deadline counts.
- A delegate adds nobody: a delegator's eligibility is used once, and what bars the delegator bars the delegate.
- An escalation that names groups counts as coming, and is named where the stage needs it. Whom one finds in the
  directory (`to`) is known when it comes; until then it counts as nobody.
- What is found lacking is said of the first stage that, with those before it, cannot be filled.
- Then the stage's `on_infeasible` says what comes: `deny` waits for an escalation that is needed, and ends the case
  where none helps. `escalate` brings it forward: the first that is needed, or where none that names groups helps, the
  next that looks somebody up, until none is left.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from policy.approval.ballot import ApprovalCase, CaseEvent
from policy.approval.candidates import Candidates, Step, all_steps, asked_by, steps_of
from policy.approval.reading import Reading, read
from policy.approval.seating import Budget, Rules, Seat, Seating
from policy.base import RecordModel
from policy.people.facts import PersonFacts
from policy.rules.chains import Mode, Requirement


class Needed(RecordModel):
    """An escalation step that a stage needs to come: `index` of stage `stage`."""

    stage: int
    index: int


class Feasibility(RecordModel):
    """Whether what is open can still be satisfied. `stage` and `reason` say what cannot; `needs` names the escalations
    without which it could not.
    """

    feasible: bool
    stage: int | None = None
    reason: str = ""
    needs: tuple[Needed, ...] = ()


def feasible(
    case: ApprovalCase, population: Sequence[PersonFacts], at: datetime, asking_now: Collection[str] = ()
) -> Feasibility:
    """Whether a case can still be satisfied; pure. One that is resolved asks for nothing.

    Args:
        case: as it stands, the newest vote included.
        population: everybody whom its chain could ask, as of `at`.
        at: the instant (UTC).
        asking_now: who stands behind the proposal by the directory of now, besides those of the case.
    """
    reading = read(case)
    reading.asking_now = asking_now
    reading.let_pass(at, deadline_counts_as_passed=False)
    if reading.resolution != "pending":
        return Feasibility(feasible=True)
    question = _Question(reading, Candidates(reading, population))
    last, steps = len(case.chain.stages), steps_of(reading)
    if question.fills(last, ()):
        return Feasibility(feasible=True)
    if question.fills(last, steps):
        return Feasibility(feasible=True, needs=question.needed(steps))
    number = next(number for number in range(reading.number, last + 1) if not question.fills(number, steps))
    return Feasibility(feasible=False, stage=number, reason=question.why(number, steps))


def next_step(case: ApprovalCase, found: Feasibility, at: datetime) -> CaseEvent | None:
    """What follows from what was found, as the event to be noted; None where nothing does; pure.

    Args:
        case: what was asked about.
        found: its feasibility.
        at: the instant (UTC) of the event, later than everything that happened.
    """
    reading = read(case)
    reading.let_pass(at, deadline_counts_as_passed=False)
    if reading.resolution != "pending" or (found.feasible and not found.needs):
        return None
    lacks = found.needs[0].stage if found.feasible else found.stage
    assert lacks is not None
    escalates = case.chain.stages[lacks - 1].on_infeasible == "escalate"
    if escalates and (coming := _coming(case, found, reading, lacks)) is not None:
        return _brought_forward(coming, found, at) if lacks == reading.number else None
    return None if found.feasible else CaseEvent(kind="unreachable", at=at, stage=lacks, reason=found.reason)


def _coming(case: ApprovalCase, found: Feasibility, reading: Reading, lacks: int) -> Step | None:
    """The escalation of a stage that is brought forward: one that is needed, else the next that looks somebody up."""
    steps = [item for item in all_steps(reading) if item.stage == lacks]
    if found.feasible:
        return next(item for item in steps if item.place == found.needs[0].index)
    come = {item.index for item in case.events if (item.kind, item.stage) == ("escalated", lacks)}
    return next((item for item in steps if item.step.to and item.place not in come), None)


def _brought_forward(item: Step, found: Feasibility, at: datetime) -> CaseEvent:
    why = found.reason or "without it nobody is left for this stage"
    return CaseEvent(
        kind="escalated",
        at=at,
        stage=item.stage,
        index=item.place,
        groups=item.step.add_groups,
        replace=item.step.replace,
        reason=f"{item.step.reason}; at once, because {why}",
    )


class _Question:
    """The seats of one case, filled in different ways."""

    def __init__(self, reading: Reading, candidates: Candidates) -> None:
        self._reading, self._candidates = reading, candidates
        self._alone: dict[tuple[int, tuple[Step, ...]], bool] = {}

    def fills(self, last: int, steps: Sequence[Step]) -> bool:
        """Whether the unresolved stages up to a number can be filled, if these escalations come."""
        numbers = range(self._reading.number, last + 1)
        return all(self._fills_alone(number, steps) for number in numbers) and self._fills(numbers, (), steps, Budget())

    def _fills_alone(self, number: int, steps: Sequence[Step]) -> bool:
        """Whether a stage can be filled as if it were the only one: else no way to fill the others helps."""
        key = (number, tuple(step for step in steps if step.stage == number))
        if key not in self._alone:
            self._alone[key] = any(self._seated(seats, Budget()) for seats in self._alternatives(number, steps))
        return self._alone[key]

    def needed(self, steps: Sequence[Step]) -> tuple[Needed, ...]:
        """The escalations that cannot be left out; later ones are left out first."""
        kept, last = list(steps), len(self._reading.case.chain.stages)
        for step in reversed(steps):
            fewer = [item for item in kept if item is not step]
            if self.fills(last, fewer):
                kept = fewer
        return tuple(Needed(stage=step.stage, index=step.place) for step in kept)

    def why(self, number: int, steps: Sequence[Step]) -> str:
        """Why a stage cannot be filled, in words."""
        stage = self._reading.case.chain.stages[number - 1]
        wanted = "nobody eligible is" if stage.seats == 1 else f"no {stage.seats} distinct eligible people are"
        rules = [f"{stage.outside_team} from outside the team of who asks"] if stage.outside_team else []
        rules += ["nobody above or below another"] if stage.separate_lines else []
        barred = self._candidates.barred_from(number, asked_by(self._reading, number, steps))
        names = f"stage {number} ({stage.name})" + (f", with {' and '.join(rules)}" if rules else "")
        return f"{wanted} left for {names}" + (f": {', '.join(barred)}" if barred else "")

    def _fills(self, numbers: Sequence[int], seats: Sequence[Seat], steps: Sequence[Step], budget: Budget) -> bool:
        if not numbers:
            return self._seated(seats, budget)
        first, *rest = numbers
        alternatives = self._alternatives(first, steps)
        for more in alternatives:
            chosen = (*seats, *more)
            # Of several alternatives one that already fails is not pursued.
            if (len(alternatives) == 1 or self._seated(chosen, budget)) and self._fills(rest, chosen, steps, budget):
                return True
        return False

    def _alternatives(self, number: int, steps: Sequence[Step]) -> list[list[Seat]]:
        asked = asked_by(self._reading, number, steps)
        seats = [self._seats(number, at, requirement) for at, requirement in enumerate(asked)]
        if self._reading.case.chain.stages[number - 1].mode is Mode.any_of:
            return seats
        return [[seat for each in seats for seat in each]]

    def _seats(self, number: int, at: int, requirement: Requirement) -> list[Seat]:
        may = self._candidates.may_sit(number, at, requirement)
        return [Seat(number, 100 * number + at, place, may) for place in range(requirement.count)]

    def _seated(self, seats: Sequence[Seat], budget: Budget) -> bool:
        if budget.left <= 0:
            return False
        stages = {number: self._reading.case.chain.stages[number - 1] for number in {seat.stage for seat in seats}}
        rules = Rules(
            outside={number: stage.outside_team for number, stage in stages.items() if stage.outside_team},
            lines=frozenset(number for number, stage in stages.items() if stage.separate_lines),
            insiders=self._candidates.insiders,
        )
        return Seating(self._candidates.people, seats, rules).solve(budget) is not None
