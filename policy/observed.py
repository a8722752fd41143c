"""What only the record and the world can say about a proposal: read once, dated, and kept as it was read.

- Instants are UTC. What has no date counts as old.
- Counts are of other proposals than this one. Whoever wrote a fact is said with it; nothing here was written by a
  proposer except the confidence that it stated, and that is compared with what was measured afterwards.
"""

import operator
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from policy.base import Instant, RecordModel
from policy.operations import RiskTier
from policy.signature import Signature
from policy.targets import Declared, TargetResolution


class HoldFact(RecordModel):
    """A target under hold. `proposal_id` is the action that left it so, `remedies` what that was to remedy itself."""

    hold_id: str
    target: str
    proposal_id: str | None
    reason: str
    remedies: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None


class DenialFact(RecordModel):
    """An earlier proposal of the same effect that people denied, newest first."""

    proposal_id: str
    denied_by: tuple[str, ...] = ()
    at: Instant | None = None
    tier: RiskTier | None = None
    reason: str = ""


class Tally(RecordModel):
    """How similar actions ended. Only outcomes that were measured by criteria which the proposer did not write.

    `scope` is `target` (the same operation on the same target) or `kind` (the same operation, another target of the
    same kind, environment and at least the same criticality). One row an agent: no agent alone makes a good history.
    An outcome that people amended counts as it is known now. `incidents` are those of `failed` that caused one.
    """

    scope: Literal["target", "kind"]
    operation: str
    agent: str
    succeeded: int = 0
    compensated: int = 0
    failed: int = 0
    unknown: int = 0
    incidents: Annotated[int, Field(exclude_if=operator.not_)] = 0


class Calibration(RecordModel):
    """What an agent said of its confidence, and what became of it: `n` outcomes, mean stated confidence, successes."""

    n: int
    mean_stated: float
    succeeded: int


class UndoProof(RecordModel):
    """The last time that an undo was seen to work on this target: measured by us, by the executor's dry run, or by a
    restore that somebody reported through the record.

    A dry run counts only for the very same orders: operation, parameters and ids, of every step with this operation. It
    also proves the steps themselves (`direction` do), which is no proof of an undo. How long an undo takes it does not
    tell.
    """

    operation: str
    kind: Literal["undone", "dry_run", "restore"]
    at: Instant
    seconds: float | None = None
    direction: Literal["do", "undo"] = "undo"


class SloState(RecordModel):
    """A measured SLO: `budget_left` is the share of the error budget that is left, below 0 when it is overspent."""

    name: str
    target: str
    budget_left: float | None
    at: Instant
    source: str


class LastActions(RecordModel):
    """The last similar action and how it ended, for people to read."""

    proposal_id: str
    operation: str
    outcome: str
    at: Instant


class DraftFact(RecordModel):
    """The draft that an action wants to put in force, and what it would change.

    `authors` are identities: who stored it and whom it names. `previous` is the digest in force of its kind. `changes`
    says in sentences what it changes in meaning, `problems` why it cannot be published.
    """

    kind: str
    digest: str
    authors: tuple[str, ...] = ()
    previous: str | None = None
    changes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class RecordedOrder(RecordModel):
    """What a step or its undo does, as it was approved."""

    operation: str
    parameters: dict[str, JsonValue]


class RecordedStep(RecordedOrder):
    """A step with its undo, where it has one."""

    undo: RecordedOrder | None = None


class UndoneFact(RecordModel):
    """What the record has of the action that a proposal says it undoes.

    Attributes:
        proposal_id: which one.
        outcome: how it ended; None where it has not.
        ended_at: when.
        target: the catalog's reference, as it was proposed.
        environment: of it.
        resolved: the ids that it acted on.
        steps: in order, with their undos.
        undone_by: other proposals that were approved to undo it, and did, or may still.
        asked_at: when the proposal that would undo it was first made.
    """

    proposal_id: str
    outcome: str | None = None
    ended_at: Instant | None = None
    target: str = ""
    environment: str = ""
    resolved: tuple[str, ...] = ()
    steps: tuple[RecordedStep, ...] = ()
    undone_by: tuple[str, ...] = ()
    asked_at: Instant | None = None


class GlassBreak(RecordModel):
    """That a person stood behind an action that broke a glass, when, and whether its review is overdue."""

    break_glass: str
    person: str
    proposal_id: str
    at: Instant
    due_at: Instant
    closed: bool


class Observed(RecordModel):
    """Everything observed for one assessment.

    Attributes:
        at: when it was read (UTC).
        holds: those on the target or on an id that it resolves to, and not released.
        denials: earlier ones of the same effect.
        tallies: outcomes of similar actions.
        calibration: of the proposing agent; None where it has no measured outcome.
        in_flight: other proposals that were approved and have no result yet, on the same failure domains.
        last_hour: how many effects ran in the last hour, by operation, over all targets; where a limit asks for them,
            with those whose permits are not used yet.
        undo_proofs: by the operation that undoes, or that a dry run rehearsed.
        slo_states: of the target and of what depends on it directly.
        similar: the last similar actions, newest first, five at most.
        draft: what is to be put in force; None where no document is published.
        catalog_at: when the catalog was published, or what it says of the target was true, if that is longer ago.
        directory_at: the same for the directory.
        undone: the action that this one says it undoes; None where it says nothing, or the record has none.
        glass: of an emergency: how often the people behind it broke a glass lately, and what is not reviewed yet.
        signature: whose word the proposal is; None where an earlier release did not look.
        resolution: what the executors found that it would touch; None where nobody asks them, or they did not answer
            lately.
        declared: what the executors of its operations say that they can do; none of those that said nothing.
        crowded: what was in the way of the approved revision before, in limits that let people decide anew.
    """

    at: Instant | None = None
    holds: tuple[HoldFact, ...] = ()
    denials: tuple[DenialFact, ...] = ()
    tallies: tuple[Tally, ...] = ()
    calibration: Calibration | None = None
    in_flight: tuple[str, ...] = ()
    last_hour: dict[str, int] = {}
    undo_proofs: tuple[UndoProof, ...] = ()
    slo_states: tuple[SloState, ...] = ()
    similar: tuple[LastActions, ...] = ()
    draft: DraftFact | None = None
    catalog_at: Instant | None = None
    directory_at: Instant | None = None
    undone: UndoneFact | None = None
    glass: tuple[GlassBreak, ...] = ()
    signature: Annotated[Signature | None, Field(exclude_if=lambda value: value is None)] = None
    resolution: Annotated[TargetResolution | None, Field(exclude_if=lambda value: value is None)] = None
    declared: Annotated[tuple[Declared, ...], Field(exclude_if=lambda value: not value)] = ()
    crowded: Annotated[tuple[str, ...], Field(exclude_if=lambda value: not value)] = ()
