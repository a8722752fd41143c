"""Every effect that a workflow needs, as an abstract activity, with its timeouts and its retry policy.

- Case activities run as local activities with a budget of three seconds, then as the same activity on the queue.
- Idempotency: the proposal id, revision and decision id or step. The first writer wins and everybody gets what it
  stored.
- What they are asked and what they answer is in `workflows/messages.py`.
"""

from abc import ABC, abstractmethod
from datetime import timedelta

from temporalio import activity
from temporalio.common import RetryPolicy

from workflows.messages import (
    AdvanceRequest,
    AssessRequest,
    AssessResult,
    CaseResult,
    ClaimRequest,
    ClaimResult,
    DecisionRequest,
    DecisionsRequest,
    DecisionsResult,
    DispatchRequest,
    DispatchResult,
    ExecuteRequest,
    ExecuteResult,
    RecordRequest,
    RecordResult,
)
from workflows.messages_halts import HaltRequest, HaltResult
from workflows.messages_items import ItemAnswerRequest, ItemRequest, ItemResult
from workflows.messages_targets import ResolveRequest, ResolveResult

LOCAL_BUDGET = timedelta(seconds=3)
LOCAL_RETRY = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=2)
QUEUE_TIMEOUT = timedelta(seconds=20)
QUEUE_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(seconds=30)
)
EFFECT_RETRY = RetryPolicy(maximum_attempts=1)
UNDO_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30), maximum_attempts=20
)
# It only reads. Twice within the minute that is waited for it, where the first attempt took all of its time.
RESOLVE_TIMEOUT = timedelta(seconds=30)
RESOLVE_WITHIN = timedelta(seconds=60)
# How often the executors are asked before the record is asked without.
RESOLVE_TIMES = 2
RESOLVE_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=5))
HOUSE_RETRY = RetryPolicy(maximum_attempts=3)
# The next run by schedule comes in a minute, and measures everything anew.
ONCE_RETRY = RetryPolicy(maximum_attempts=1)
HEARTBEAT = timedelta(seconds=10)


class CasePort(ABC):
    """The control role: assesses, takes decisions, lets time pass, records the end."""

    @activity.defn(name="assess")
    @abstractmethod
    async def assess(self, request: AssessRequest) -> AssessResult:
        """Register and assess a proposal; a finished one gives back its stored result."""

    @activity.defn(name="take_decision")
    @abstractmethod
    async def take_decision(self, request: DecisionRequest) -> CaseResult:
        """Verify, check, store and evaluate one decision, counted or refused."""

    @activity.defn(name="take_decisions")
    @abstractmethod
    async def take_decisions(self, request: DecisionsRequest) -> DecisionsResult:
        """The same for decisions that waited together, in one transaction and in order, as far as there is time."""

    @activity.defn(name="advance")
    @abstractmethod
    async def advance(self, request: AdvanceRequest) -> CaseResult:
        """Store what became due, or a stop, measure again where that is asked for, and evaluate."""

    @activity.defn(name="record")
    @abstractmethod
    async def record(self, request: RecordRequest) -> RecordResult:
        """Void what was not used, conclude the outcome from the record, and store the result."""


class PermitPort(ABC):
    """The permit role: the only one that can issue."""

    @activity.defn(name="dispatch")
    @abstractmethod
    async def dispatch(self, request: DispatchRequest) -> DispatchResult:
        """Ask the gate again and issue the permits of one step, both directions in one transaction."""


class ExecutorPort(ABC):
    """The executor role: the only one that holds a target's credentials."""

    @activity.defn(name="execute")
    @abstractmethod
    async def execute(self, request: ExecuteRequest) -> ExecuteResult:
        """Claim a permit, act once, measure, and report."""

    @activity.defn(name="observe")
    @abstractmethod
    async def observe(self, request: ExecuteRequest) -> ExecuteResult:
        """After an effect that nobody answered for: look, without acting, and report what can be known."""


class ResolvePort(ABC):
    """The executor role, before anything is permitted."""

    @activity.defn(name="resolve")
    @abstractmethod
    async def resolve(self, request: ResolveRequest) -> ResolveResult:
        """Ask the executors of an action what it would touch, by reading, and put that on record."""


class ClaimPort(ABC):
    """The executor role, for executors of the platform's own."""

    @activity.defn(name="claim")
    @abstractmethod
    async def claim(self, request: ClaimRequest) -> ClaimResult:
        """Verify a signed permit and claim it for an attempt, once; the same attempt gets the same answer again."""


class ItemPort(ABC):
    """What people have to look at afterwards, with the control role."""

    @activity.defn(name="look_at_item")
    @abstractmethod
    async def look_at_item(self, request: ItemRequest) -> ItemResult:
        """How an item stands; notes once that it is overdue."""

    @activity.defn(name="answer_item")
    @abstractmethod
    async def answer_item(self, request: ItemAnswerRequest) -> ItemResult:
        """Verify, check, store and evaluate one answer to an item; closes it where that settles it."""


class HaltPort(ABC):
    """Halts, with the control role."""

    @activity.defn(name="place_halt")
    @abstractmethod
    async def place_halt(self, request: HaltRequest) -> HaltResult:
        """Verify and store a halt, unless it is there; put it on the ledger, with who proved it."""

    @activity.defn(name="release_halt")
    @abstractmethod
    async def release_halt(self, request: HaltRequest) -> HaltResult:
        """Verify and store one person's release; end the halt where that is what it lacked."""


class HousePort(ABC):
    """Housekeeping by schedule."""

    @activity.defn(name="sweep")
    @abstractmethod
    async def sweep(self) -> int:
        """Turn claimed permits without a report into outcome_unknown with a hold; the number of them."""

    @activity.defn(name="archive")
    @abstractmethod
    async def archive(self) -> int:
        """Export closed histories that are not archived yet; the number of them."""


class WatchPort(ABC):
    """Looking after the runs of our workflow type, by schedule."""

    @activity.defn(name="watch")
    @abstractmethod
    async def watch(self) -> int:
        """Write runs that were terminated, reset, deleted or are foreign to the ledger; the number of new entries."""


class DetectPort(ABC):
    """Holding what targets' own trails say against the permits, by schedule."""

    @activity.defn(name="detect")
    @abstractmethod
    async def detect(self) -> int:
        """Write what was done to targets without a permit that allows it to the ledger; the number of new entries."""


class SloPort(ABC):
    """Measured SLO states, by schedule."""

    @activity.defn(name="refresh_slo_states")
    @abstractmethod
    async def refresh_slo_states(self) -> int:
        """Measure every objective of the catalog in force; the number of those that were measured."""


class NoticePort(ABC):
    """Telling people what the outbox holds, by schedule."""

    @activity.defn(name="deliver")
    @abstractmethod
    async def deliver(self) -> int:
        """Try every notice that is due by its channels; the number of attempts that succeeded."""


class KeyPort(ABC):
    """The keys of identity providers, by schedule, with the permit role."""

    @activity.defn(name="refresh_issuer_keys")
    @abstractmethod
    async def refresh_issuer_keys(self) -> int:
        """Fetch and store what every issuer of the directory in force publishes; the number of issuers."""
