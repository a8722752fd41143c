"""The proposal: what an automation asks for. Immutable, and identified by digest.

- `action_digest` covers the JSON as received. Two proposals with one digest are one proposal, and the model is a view
  of the bytes that were digested, so that 1.0 cannot be approved and something else than 1 be done.
- `effect_digest` covers environment, target and the steps' operations and parameters only: the same effect asked for
  again under another id, another story or another spelling of the target has the same effect digest.
- The undo of each step and the success criteria are part of the action and of its digest.
- Nothing here is believed: agent, confidence, rationale and evidence are the proposer's words.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationError, model_validator

from policy.base import EdgeModel, Instant, Name, Operation, ProposalId, RecordModel, Text
from policy.canonical import MAX_TEXT_BYTES, canonical, check_value, digest, digest_of
from policy.catalog import normalize
from policy.errors import CanonicalError, ProposalError, explain
from policy.measured import Measured, check_success
from policy.signature import Signed

Parameters = dict[str, JsonValue]
MAX_STEPS = 20


class StopVerb(StrEnum):
    """What an unverified stop does once a step has run."""

    compensate = "compensate"
    ask = "ask"


class ChangeType(StrEnum):
    """ITIL's type of a change, as the proposer sees it. It is no tier; `emergency` lifts nothing by itself."""

    standard = "standard"
    normal = "normal"
    emergency = "emergency"


class Agent(EdgeModel):
    """The automation that proposes, in its own words. `confidence` is 0..1."""

    id: Name
    model: Text | None = None
    version: Text | None = None
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None


class Evidence(EdgeModel):
    """Something the proposer points to. Shown to approvers as the proposer's words, never followed."""

    kind: Name
    text: Text
    url: Text | None = None


class Undo(EdgeModel):
    """The inverse of a step, approved together with it."""

    operation: Operation
    parameters: Parameters = {}
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60


class Step(EdgeModel):
    """One operation on the proposal's target, with its own permit and its own undo.

    With `one_by_one` it acts on one target after the other, each for `timeout_seconds` at most, and goes on only where
    the success criteria of the last one were measured and met.
    """

    name: Name
    operation: Operation
    parameters: Parameters = {}
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    one_by_one: bool = False
    undo: Undo | None = None


class Criterion(Measured):
    """A named probe and what it must read after the last step: the value `equals`, or what `success` says.

    `policy/measured.py` says how it is looked at.
    """

    probe: Operation
    parameters: Parameters = {}
    equals: JsonValue = None

    @model_validator(mode="after")
    def _says_what_succeeds(self) -> "Criterion":
        check_success(self.probe, self.success, self.equals, said="equals" in self.model_fields_set)
        return self

    @property
    def wanted(self) -> str:
        """What it must read, as people read it."""
        return canonical(self.equals).decode() if self.success is None else self.success.words


class Alternative(EdgeModel):
    """A safer way, as the proposer sees it. With `steps` and criteria it can be offered as an action of its own."""

    operation: Operation
    summary: Text
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_STEPS)] | None = None
    success_criteria: Annotated[tuple[Criterion, ...], Field(min_length=1, max_length=20)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Alternative":
        if (self.steps is None) != (self.success_criteria is None):
            raise ValueError(f"alternative {self.operation}: steps and success_criteria belong together")
        if self.steps is not None and self.operation not in {step.operation for step in self.steps}:
            raise ValueError(f"alternative {self.operation}: it is not the operation of any of its steps")
        return self


class ActionProposal(EdgeModel):
    """A request to change one target. `docs/spec/contract.md` describes each field.

    `expected_targets` are the ids that the proposer believes the target resolves to; if they differ from what it does
    resolve to, the action is denied. `produced_at` is when the plan was made.
    `takes_over` names an action whose reservation this one takes, once people approved exactly that.
    """

    api_version: Literal["countersign/v1"]
    proposal_id: ProposalId
    operation: Operation
    target: Name
    environment: Name
    agent: Agent
    on_behalf_of: Name
    rationale: Text
    evidence: tuple[Evidence, ...] = ()
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_STEPS)]
    success_criteria: Annotated[tuple[Criterion, ...], Field(min_length=1, max_length=20)]
    alternatives: tuple[Alternative, ...] = ()
    on_stop: StopVerb = StopVerb.compensate
    remedies: ProposalId | None = None
    undoes: ProposalId | None = None
    takes_over: ProposalId | None = None
    alternative_to: ProposalId | None = None
    expected_targets: Annotated[tuple[Name, ...], Field(min_length=1, max_length=1000)] | None = None
    produced_at: Instant | None = None
    change_type: ChangeType = ChangeType.normal
    dry_run: bool = False

    @property
    def target_ref(self) -> str:
        """The target as the catalog writes it. Compare this, never `target`: it can be spelled in many ways."""
        return normalize(self.target)

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations of all steps and all undos, sorted: each is assessed as if it were proposed alone."""
        undos = {step.undo.operation for step in self.steps if step.undo is not None}
        return tuple(sorted({step.operation for step in self.steps} | undos))

    @model_validator(mode="after")
    def _headline_is_a_step(self) -> "ActionProposal":
        if self.operation not in {step.operation for step in self.steps}:
            raise ValueError(f"operation {self.operation} is not the operation of any step")
        if len({step.name for step in self.steps}) != len(self.steps):
            raise ValueError("two steps have the same name")
        return self


class ReceivedProposal(RecordModel):
    """A proposal with the canonical bytes it came in, its two digests, and its platform's statement that verified."""

    proposal: ActionProposal
    body: bytes
    action_digest: str
    effect_digest: str
    signed: Signed | None = None


def receive(value: Any) -> ReceivedProposal:
    """Read a JSON value as a proposal.

    Raises:
        ProposalError: names the field, the value and what was expected.
    """
    try:
        check_value(value)
        body = canonical(value)
    except CanonicalError as error:
        raise ProposalError(f"malformed proposal: {error}") from None
    if len(body) > MAX_TEXT_BYTES:
        raise ProposalError(f"malformed proposal: it has {len(body)} bytes, at most {MAX_TEXT_BYTES} are read")
    try:
        proposal = ActionProposal.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise ProposalError(f"malformed proposal: {explain(error)}") from None
    return ReceivedProposal(
        proposal=proposal, body=body, action_digest=digest(body), effect_digest=effect_digest(proposal)
    )


def effect_digest(proposal: ActionProposal) -> str:
    """The digest of what would happen, whoever asks for it and why."""
    return digest_of(
        {
            "environment": proposal.environment,
            "target": proposal.target_ref,
            "steps": [{"operation": step.operation, "parameters": step.parameters} for step in proposal.steps],
        }
    )
