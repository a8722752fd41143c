"""What people find afterwards: of an action whose end nobody knows, and of one that had ended.

- `Found` answers what became of an action that ended without a definite state: its effect is there (`done`), it never
  was (`not_done`), it is gone again (`undone`), or another action has put right what it left (`repaired`).
- `Amended` is how an action ended as people know it later. It stands beside the result and never in its place.
- What was found says how the action ended (`AMENDS`). An effect that is there counts as a success only where nothing
  had failed: whoever leaves a failed undo as it is has not made the action succeed.
"""

from enum import StrEnum

from policy.base import RecordModel
from policy.outcome import Outcome


class Found(StrEnum):
    done = "done"
    not_done = "not_done"
    undone = "undone"
    repaired = "repaired"


class Amended(StrEnum):
    """`failed`: it did not do what it promised, or left something behind. `caused_incident`: an incident was traced to
    it, whatever its criteria had said.
    """

    succeeded = "succeeded"
    compensated = "compensated"
    failed = "failed"
    not_executed = "not_executed"
    caused_incident = "caused_incident"


AMENDS: dict[tuple[Outcome, Found], Amended] = {
    (Outcome.outcome_unknown, Found.done): Amended.succeeded,
    (Outcome.outcome_unknown, Found.not_done): Amended.not_executed,
    (Outcome.outcome_unknown, Found.undone): Amended.compensated,
    (Outcome.outcome_unknown, Found.repaired): Amended.failed,
    (Outcome.inconclusive, Found.done): Amended.succeeded,
    (Outcome.inconclusive, Found.not_done): Amended.compensated,
    (Outcome.inconclusive, Found.undone): Amended.compensated,
    (Outcome.inconclusive, Found.repaired): Amended.failed,
    (Outcome.compensation_failed, Found.done): Amended.failed,
    (Outcome.compensation_failed, Found.not_done): Amended.compensated,
    (Outcome.compensation_failed, Found.undone): Amended.compensated,
    (Outcome.compensation_failed, Found.repaired): Amended.failed,
}


class Finding(RecordModel):
    """What a statement says of an action: what was found, or how it ended. Statements that say the same agree.

    Attributes:
        outcome: how the action ended, as people know it now.
        found: what was found, where nobody knew how it ended.
        repaired_by: the action that put it right; given with `repaired`.
        incident: the incident that was traced to it, by a name or address of the platform's.
    """

    outcome: Amended
    found: Found | None = None
    repaired_by: str | None = None
    incident: str | None = None
