"""What a workflow asks of the activities, and what they answer.

- Requests name things (proposal id, revision, step). What the activity acts on, it reads from the record: nothing in a
  request or in another activity's result is evidence.
- `now` is the workflow's clock. An activity whose own clock differs by more than a minute answers `stale`, and the
  workflow asks again with a fresh one.
- Results only ever gain fields, with defaults that mean what was so before.
"""

import operator
from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, NonNegativeInt, PositiveInt, PrivateAttr

from policy.approval.standing import Standing
from policy.base import Instant, Reason, RecordModel
from policy.decision import DecisionReceipt
from policy.ledger import EntryRef
from policy.proposal import StopVerb
from policy.result import ActionResult
from policy.screen import Screen
from policy.undecided import Judging

Attributes: TypeAlias = dict[str, str | list[str] | None]
_RESOLUTIONS = (None, "approved", "denied", "expired", "withdrawn")
MAX_UNLISTED = 2**53 - 1
# Whoever stops an action by a bare cancel: nobody proved who.
UNVERIFIED = "unverified"


class Passed(RecordModel):
    """What goes between a workflow and an activity, and has to be encrypted where payloads are."""

    _clear_since: datetime | None = PrivateAttr(default=None)

    @property
    def clear_since(self) -> datetime | None:
        """Where it came in the clear though payloads are encrypted: since when they are (`workflows/marks.py`)."""
        return self._clear_since

    def note_clear(self, since: datetime | None) -> None:
        """Note that it came in the clear though payloads are encrypted since then; None where it did not."""
        self._clear_since = since


class Request(Passed):
    """What an activity is asked."""


class Answer(Passed):
    """What an activity answers. Whoever can write to the namespace can complete one with anything: what cannot be read
    or does not hold together is asked for again, so that it neither wedges the workflow nor ends it.
    """

    @classmethod
    def unreadable(cls) -> Self:
        """What stands for an answer that could not be read."""
        raise NotImplementedError


class RecordAnswer(Answer):
    """An answer from the record; `stale` asks for the same again, with a fresh instant."""

    stale: bool = False

    @classmethod
    def unreadable(cls) -> Self:
        return cls(stale=True)

    @property
    def whole(self) -> bool:
        """Whether it says what such an answer always says."""
        return True


class StartFacts(RecordModel):
    """How the workflow was started: what a platform may not choose is refused."""

    workflow_id: str
    run_id: str
    execution_timeout: bool = False
    run_timeout: bool = False
    cron: bool = False
    retry_policy: bool = False
    parent: bool = False


class AssessRequest(Request):
    """A proposal as received (any JSON value), and how it was started. `unresolved`: the executors were asked what it
    would touch, and it is to be assessed whether they answered or not.
    """

    proposal: Any
    start: StartFacts
    now: Instant
    unresolved: Annotated[bool, Field(exclude_if=operator.not_)] = False


class StepPlan(RecordModel):
    """What the workflow needs to wait for a step: names and timeouts. `number` starts at 1."""

    number: int
    name: str
    timeout_seconds: PositiveInt
    undo_timeout_seconds: PositiveInt | None = None
    observe_seconds: NonNegativeInt = 0


class Pace(RecordModel):
    """How much one run takes before it continues as a new one, and how many decisions one call takes.

    `batch` 0 takes one at a time, and 0 of the others never continues: so does a plan of a release that had neither.
    A run continues when it has answered so many updates, taken so many signals or has so many events. The server holds
    at most 2,000, 10,000 and 51,200 of them, and refuses what is more or ends the run.
    """

    batch: NonNegativeInt = 0
    updates: NonNegativeInt = 0
    signals: NonNegativeInt = 0
    events: NonNegativeInt = 0

    @property
    def ends(self) -> bool:
        """Whether a run of it ever continues as a new one."""
        return bool(self.updates or self.signals or self.events)


# Of a batch the record takes as many as it has time for; what cannot count costs it nearly nothing.
PACE = Pace(batch=128, updates=1_500, signals=5_000, events=10_000)


class Plan(RecordModel):
    """An action that goes on: what was asked for, how it stands, and how to run it. `unblock` are the smallest sets of
    people who could finish the open stage, to be shown. `min_interval_seconds` is how long a slot is in which one
    measurement counts; 0 where nobody may ask for one. `accepts_claimed` (whether a name that nobody proves counts) and
    `audience` (what a signature must name) are shown to whoever decides. `resolves`: executors say what it would touch,
    and are asked before each permit. `stops_at_failed_undo`: nothing more is undone once an undo has failed.
    `judging`: people are asked about a step of which nobody can tell whether it is good. `halted` says by whom it is
    halted, to be shown.
    """

    proposal_id: str
    revision: int
    action_digest: str
    assessment_digest: str
    policy_digest: str
    verdict: str
    risk_tier: str
    risk_score: int
    steps: tuple[StepPlan, ...]
    on_stop: StopVerb
    permit_seconds: PositiveInt
    local_dispatch: bool
    resolution: str | None = None
    standing: Standing | None = None
    screen: Screen | None = None
    presented_digest: str | None = None
    stopped: bool = False
    dry_run: bool = False
    pace: Pace = Pace()
    unblock: tuple[tuple[str, ...], ...] = ()
    min_interval_seconds: NonNegativeInt = 0
    revoked: bool = False
    priority: int | None = None
    fairness_key: str | None = None
    accepts_claimed: bool = True
    audience: str | None = None
    resolves: bool = False
    stops_at_failed_undo: bool = False
    judging: Judging | None = None
    halted: str = ""


class AssessResult(RecordAnswer):
    """Exactly one of `malformed`, `result`, `plan` and `resolve` is given. `resolve`: nothing was registered yet, the
    executors are to say first what it would touch.
    """

    malformed: str | None = None
    result: ActionResult | None = None
    plan: Plan | None = None
    attributes: Attributes = {}
    entry: EntryRef | None = None
    resolve: bool = False

    @property
    def whole(self) -> bool:
        return sum(item is not None for item in (self.malformed, self.result, self.plan)) + self.resolve == 1


# How many refusals got no entry and no row of their own, by their code; a release that listed all of them says nothing.
Unlisted: TypeAlias = Annotated[
    dict[str, Annotated[int, Field(ge=0, le=MAX_UNLISTED)]], Field(exclude_if=lambda value: not value)
]


class DecisionRequest(Request):
    """A decision as received (any JSON value). `arrival` numbers the messages of an action in order of arrival.

    `unlisted` is how many refusals before it were not listed, as the workflow counts them.
    """

    proposal_id: str
    revision: int
    submission: Any
    problem: str | None = None
    channel: Literal["update", "signal"]
    arrival: int
    now: Instant
    unlisted: Unlisted = {}


class DecisionMessage(RecordModel):
    """One of several decisions, as received."""

    submission: Any
    problem: str | None = None
    channel: Literal["update", "signal"]
    arrival: int


class DecisionsRequest(Request):
    """Decisions that waited together, in order of arrival; `unlisted` as above."""

    proposal_id: str
    revision: int
    messages: Annotated[tuple[DecisionMessage, ...], Field(min_length=1, max_length=1000)]
    now: Instant
    unlisted: Unlisted = {}


class AdvanceRequest(Request):
    """Time has passed, or somebody stopped the action: `stop_actor` is given. Who it was is not believed.

    `recheck` asks that it is measured again, `returning` that people are asked again because the gate closed,
    `judging` how it stands with what measuring cannot tell. What is not asked for is left out, so that a request is the
    same as those of releases that did not know it.
    """

    proposal_id: str
    revision: int
    stop_actor: str | None = None
    recheck: Annotated[bool, Field(exclude_if=operator.not_)] = False
    returning: Annotated[bool, Field(exclude_if=operator.not_)] = False
    judging: Annotated[bool, Field(exclude_if=operator.not_)] = False
    now: Instant


Judged = Literal["", "people", "accepted", "lapsed"]


class CaseAnswer(RecordAnswer):
    """How the case stands after something moved it. `plan` is given where another revision is open by now than the one
    that the request names. `unblock` and `halted` are as in `Plan`. `stopped`: it is revoked, and the stop is noted.
    `judged`: who says what becomes of an inconclusive step: people until then, somebody did, or time.
    """

    standing: Standing | None = None
    resolution: str | None = None
    plan: Plan | None = None
    stopped: bool = False
    attributes: Attributes = {}
    entry: EntryRef | None = None
    unlisted: Unlisted = {}
    unblock: tuple[tuple[str, ...], ...] = ()
    judged: Judged = ""
    judged_until: Instant | None = None
    halted: str = ""


class CaseResult(CaseAnswer):
    """How the case stands after a decision or after time passed."""

    unregistered: bool = False
    receipt: DecisionReceipt | None = None

    @property
    def whole(self) -> bool:
        said = self.unregistered or self.receipt or self.standing or self.resolution
        return bool(said) and self.resolution in _RESOLUTIONS


class DecisionsResult(CaseAnswer):
    """How the case stands after the first of some decisions, with a receipt for each of those that were taken.

    How many there was time for is the record's to say, one at least; `unlisted` counts among them.
    """

    receipts: tuple[DecisionReceipt, ...] = ()

    @property
    def whole(self) -> bool:
        return bool(self.receipts) and self.resolution in _RESOLUTIONS


class DispatchRequest(Request):
    """Which step is to be permitted; `unresolved` as in `AssessRequest`."""

    proposal_id: str
    revision: int
    step: int
    now: Instant
    unresolved: Annotated[bool, Field(exclude_if=operator.not_)] = False


class DispatchResult(RecordAnswer):
    """The ids of the permits that were issued, or the reasons why none was; `curable`: people may be asked again.

    `resolve`: neither, the executors are to say first what the step would touch. `retry_at`: it waits until then, in
    words for `waits_for`. `halted`: it has begun, and the verb for a stop applies.
    """

    permit_id: str | None = None
    undo_permit_id: str | None = None
    reasons: tuple[Reason, ...] = ()
    curable: bool = False
    entry: EntryRef | None = None
    resolve: bool = False
    retry_at: Instant | None = None
    waits_for: str = ""
    halted: bool = False


class ExecuteRequest(Request):
    """Only an id: the executor acts on the permit that it reads from the record."""

    permit_id: str


class ExecuteResult(Answer):
    """What the executor reported. The workflow waits by it; the record holds the report that counts.

    `claimed` is False only where `observe` found that nobody had claimed the permit. `halted`: others ended or refused
    it, by a halt, a hold, a stop or a take-over on record, and the verb for a stop applies to what was done.
    `inconclusive`: it was done, and nobody can tell whether it is good.
    """

    permit_id: str
    status: str
    effect: str
    message: str = ""
    claimed: bool = True
    halted: Annotated[bool, Field(exclude_if=operator.not_)] = False
    inconclusive: Annotated[bool, Field(exclude_if=operator.not_)] = False

    @classmethod
    def unreadable(cls) -> Self:
        return cls(permit_id="", status="unknown", effect="unknown", message="the answer could not be read")


class ClaimRequest(RecordModel):
    """A signed permit, as an executor of the platform's own was handed it, and a name for the attempt that uses it.

    It may come in the clear where payloads are encrypted: the permit's signature is what counts.
    """

    permit: str
    attempt_token: str


class ClaimResult(RecordModel):
    """Whether that attempt may act. `code` says why not; `claimed_at` is since when it may."""

    status: Literal["claimed", "refused"]
    permit_id: str | None = None
    claimed_at: Instant | None = None
    code: str | None = None
    message: str = ""


class RecordRequest(Request):
    proposal_id: str
    revision: int
    told: Annotated[tuple[ExecuteResult, ...], Field(max_length=100)] = ()
    now: Instant


class RecordResult(RecordAnswer):
    unregistered: bool = False
    result: ActionResult | None = None
    attributes: Attributes = {}
    entry: EntryRef | None = None
    # Who waits for what this one had, those first whose turn comes first.
    waiting: Annotated[tuple[str, ...], Field(max_length=20)] = ()
    # The items of what this one has remedied, which can be closed now.
    remedied: Annotated[tuple[str, ...], Field(max_length=20)] = ()

    @property
    def whole(self) -> bool:
        return self.unregistered or self.result is not None
