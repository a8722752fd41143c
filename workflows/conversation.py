"""The conversation of a run: messages are answered in order of arrival, and time passes beside them.

- One consumer takes every message of the run, several in one call where many wait (`workflows/inbox.py`). Messages that
  have arrived are read before what is due at the same instant, and a message that the record does not answer holds back
  neither time nor a stop.
- A run that has taken as much as its plan's pace says continues as a new one (`workflows/rollover.py`). From then on an
  update is answered `busy`; signals, which nobody would tell to send again, are taken to the last. Once nothing waits
  and nobody waits for an answer, the run ends and the next one begins. Where a message alone has made it due, the
  record is asked once more before: a stop that came with that message is read after it, and would end with the run.
- Only while people are asked. A run whose effect is under way waits for an activity that a new run could not wait for,
  and needs few events more.
- The signal `recheck` only asks that the action is measured again, once in each slot of the plan's interval however
  many of them come.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from policy.approval.standing import Standing
    from policy.decision import DecisionReceipt, DecisionSubmission, Refusal
    from policy.ledger import EntryRef
    from policy.lifecycle import Event, State
    from workflows import interface
    from workflows.alarm import Alarm
    from workflows.calling import ask
    from workflows.case import Case
    from workflows.converter import DECISION_BYTES, one_object
    from workflows.inbox import HANDFUL, Inbox, Message
    from workflows.messages import (
        MAX_UNLISTED,
        UNVERIFIED,
        AdvanceRequest,
        CaseAnswer,
        CaseResult,
        DecisionMessage,
        DecisionRequest,
        DecisionsRequest,
        DecisionsResult,
        Plan,
        Unlisted,
    )
    from workflows.ports import CasePort
    from workflows.rechecks import Rechecks
    from workflows.resolving import resolve
    from workflows.rollover import RECEIPTS_CARRIED, Carried, Odometer

_CODES = frozenset(str(code) for code in Refusal)
# An answer that somebody else gave in the record's place may have no receipt.
_LOST = DecisionReceipt(decision_id="", counted=False, code=Refusal.busy, message="unanswered: send it again as it is")
_AGAIN = "this run of the action ends and the next one begins: send it again as it is"
_RESOLVED = {
    "approved": Event.approved,
    "denied": Event.denied,
    "expired": Event.expired,
    "withdrawn": Event.withdrawn,
}


class Conversation:
    """What is said and what becomes due while a case is open, and what is still said afterwards."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.inbox = Inbox()
        self._alarm = Alarm()
        self._rechecks = Rechecks()
        self._measure = False
        self._heard = False
        self._consuming = self._slow = False
        self._resolution: str | None = None
        self.odometer = Odometer()
        self._unlisted: Counter[str] = Counter()
        self._newest: EntryRef | None = None

    def take_over(self, carried: Carried) -> None:
        """Go on where the run before stopped: numbers and what is shown, nothing that decides."""
        self.inbox.arrived += carried.arrived
        self._unlisted.update(carried.unlisted)
        self._newest = carried.entry
        self._case.stop = self._case.stop or carried.stop
        self._measure = carried.recheck
        self._case.view.take_over(
            carried.receipts, refused=carried.refused, revision=carried.revision, due_at=carried.next_due
        )

    def carry(self) -> Carried:
        """What the next run goes on with."""
        case = self._case
        return Carried(
            arrived=self.inbox.arrived,
            revision=case.plan.revision,
            receipts=case.view.newest_receipts(RECEIPTS_CARRIED),
            refused=case.view.refused,
            unlisted=dict(self._unlisted),
            next_due=case.view.due_at,
            entry=self._newest,
            stop=case.stop and not case.stop_noted,
            recheck=self._rechecks.next_at is not None,
        )

    @property
    def rolling(self) -> bool:
        """Whether this run is about to continue as a new one, and takes no more updates."""
        case = self._case
        return case.state is State.pending and self._resolution is None and self.odometer.is_due(case.plan.pace)

    @property
    def busy(self) -> bool:
        """Whether a message waits or is being taken."""
        return bool(self.inbox) or self._consuming

    def busy_receipt(self, args: Sequence[Any]) -> DecisionReceipt:
        """The answer to an update that comes while this run ends."""
        self._heard = True
        value, _ = one_object(args, DECISION_BYTES)
        decision_id = str((value or {}).get("decision_id", ""))[:100]
        return DecisionReceipt(decision_id=decision_id, counted=False, code=Refusal.busy, message=_AGAIN)

    async def wait_for_people(self) -> Event | None:
        """Let time pass and stops come, until the record says how it ended; decisions are taken beside.

        None where this run has taken enough and the next one goes on.
        """
        self._rechecks.begin(self._case.plan)
        if self._measure:
            self._rechecks.ask()
            self._measure = False
        self._set_alarm(self._case.plan.standing)
        self._heard = False
        while self._resolution is None:
            await workflow.wait_condition(
                lambda: self._resolution is not None or self._stop_waits() or self._due() or self._may_continue()
            )
            if self._resolution is None:
                self._alarm.cancel()
                if not self._heard and not self._stop_waits() and self._may_continue():
                    return None
                await self._advance()
        self._alarm.cancel()
        return _RESOLVED[self._resolution]

    async def take_decisions(self) -> None:
        """The one consumer: every decision of the run in order of arrival. Those after the end change nothing."""
        while True:
            await workflow.wait_condition(lambda: bool(self.inbox))
            self._consuming = True
            try:
                if self._case.plan.pace.batch and len(self.inbox) > HANDFUL:
                    await self._take_batch()
                else:
                    await self._take(self.inbox.take())
            finally:
                self._consuming = self._slow = False

    async def note_stop(self) -> None:
        """Put a stop on record, unless it is."""
        if not self._case.stop_noted:
            await self._advance()

    async def judge(self) -> CaseResult:
        """Ask the record how it stands with what nobody can tell; people are told once."""
        plan = self._case.plan
        answer: CaseResult = await ask(
            CasePort.advance,
            lambda now: AdvanceRequest(proposal_id=plan.proposal_id, revision=plan.revision, judging=True, now=now),
            queue=interface.TASK_QUEUE,
            priority=self._case.priority,
        )
        if answer.unregistered:
            raise unregistered(plan)
        if answer.stopped:
            self._case.revoke()
        return answer

    def _stop_waits(self) -> bool:
        return self._case.stop and not self._case.stop_noted

    def ask_to_measure(self) -> None:
        """Somebody says that the world changed."""
        self._heard = True
        if self._case.state is State.pending and self._rechecks.ask():
            self._set_alarm(self._case.view.stand(None))

    def ask_to_look(self) -> None:
        """Somebody says that the record knows more."""
        self._heard = self._case.woken = True
        if self._case.state is State.pending and self._rechecks.ask_to_look(workflow.now()):
            self._set_alarm(self._case.view.stand(None))

    async def return_to_people(self, revision: int) -> bool:
        """The gate closed on a revision for what people can cure: whether they are asked again, about another one."""
        if self._case.plan.revision == revision:
            await self._advance(returning=True)
        return self._case.plan.revision != revision

    def _due(self) -> bool:
        return self._alarm.rang and (self._slow or not self.busy)

    def _may_continue(self) -> bool:
        """Whether nothing of this run would be cut off by its end."""
        return self.rolling and not self.busy and workflow.all_handlers_finished()

    def _note_slow(self) -> None:
        self._slow = True

    async def _take(self, message: Message) -> None:
        plan, unlisted = self._case.plan, self._told_unlisted()
        said = _said(message)
        # With updates behind this one the queue is faster: while a local activity runs, nothing of this workflow task
        # is durable, and the server drops all of it when more updates come than it holds (10): all would start again.
        answer: CaseResult = await ask(
            CasePort.take_decision,
            lambda now: DecisionRequest(
                proposal_id=plan.proposal_id,
                revision=plan.revision,
                submission=said.submission,
                problem=said.problem,
                channel=said.channel,
                arrival=said.arrival,
                now=now,
                unlisted=unlisted,
            ),
            queue=interface.TASK_QUEUE,
            local=not self.inbox.holds_update,
            queued=self._note_slow,
            priority=self._case.priority,
        )
        self._answered(message, answer.receipt)
        self._moved(answer, plan.revision)

    async def _take_batch(self) -> None:
        """Take the next messages together; what the record had no time for is asked again before any other."""
        left = self.inbox.take_batch(self._case.plan.pace.batch, self._could_count)
        while left:
            revision = self._case.plan.revision
            answer = await self._ask_together(left)
            taken, left = left[: len(answer.receipts)], left[len(answer.receipts) :]
            for message, receipt in zip(taken, answer.receipts, strict=False):
                self._answered(message, receipt)
            self._moved(answer, revision)

    async def _ask_together(self, batch: list[Message]) -> DecisionsResult:
        plan, unlisted = self._case.plan, self._told_unlisted()
        updates = any(message.channel == "update" for message in batch)
        said = tuple(map(_said, batch))
        answer: DecisionsResult = await ask(
            CasePort.take_decisions,
            lambda now: DecisionsRequest(
                proposal_id=plan.proposal_id, revision=plan.revision, messages=said, now=now, unlisted=unlisted
            ),
            queue=interface.TASK_QUEUE,
            local=not updates and not self.inbox.holds_update,
            queued=self._note_slow,
            priority=self._case.priority,
        )
        return answer

    def _answered(self, message: Message, receipt: DecisionReceipt | None) -> None:
        given = message.answer(receipt or _LOST)
        self.inbox.note_answer(message, given)
        self._case.view.answered(given)

    def _could_count(self, said: DecisionSubmission) -> bool:
        """Whether a decision names what waits, and is valid still: what does not cannot count, whatever comes first."""
        plan = self._case.plan
        return (
            said.proposal_id == plan.proposal_id
            and said.revision == plan.revision
            and said.action_digest == plan.action_digest
            and said.assessment_digest == plan.assessment_digest
            and said.policy_digest == plan.policy_digest
            and said.presented_digest == plan.presented_digest
            and said.expires_at >= workflow.now()
        )

    def _told_unlisted(self) -> Unlisted:
        return {code: min(count, MAX_UNLISTED) for code, count in self._unlisted.items()}

    async def _advance(self, *, returning: bool = False) -> None:
        """Tell the record that time has passed, and that a stop came if one did; ask what the case needs besides."""
        case, plan = self._case, self._case.plan
        actor = UNVERIFIED if case.stop and not case.stop_noted else None
        pending = case.state is State.pending
        recheck = pending and self._rechecks.wanted(case.view.stand(None), workflow.now())
        if plan.resolves and (recheck or returning):
            await resolve(proposal_id=plan.proposal_id, priority=case.priority)
        answer: CaseResult = await ask(
            CasePort.advance,
            lambda now: AdvanceRequest(
                proposal_id=plan.proposal_id,
                revision=plan.revision,
                stop_actor=actor,
                recheck=recheck,
                returning=returning,
                now=now,
            ),
            queue=interface.TASK_QUEUE,
            priority=case.priority,
        )
        if answer.unregistered:
            raise unregistered(plan)
        case.stop_noted = case.stop_noted or actor is not None
        if recheck:
            self._rechecks.measured(workflow.now())
        self._rechecks.looked(workflow.now())
        self._moved(answer, plan.revision)

    def _moved(self, answer: CaseAnswer, asked_about: int) -> None:
        """The case as the record has it now, and the next instant at which something is due."""
        self._heard = False
        self._unlisted.update({code: count for code, count in answer.unlisted.items() if code in _CODES})
        self._newest = answer.entry or self._newest
        case, standing = self._case, answer.standing
        if answer.stopped:
            case.revoke()
        case.accepted = case.accepted or answer.judged == "accepted"
        if answer.plan is not None and answer.plan.revision != case.plan.revision:
            self._resolution = answer.resolution
            case.begin(answer.plan)
            self._rechecks.begin(answer.plan)
        elif (answer.plan.revision if answer.plan else asked_about) == case.plan.revision:
            self._resolution = self._resolution or answer.resolution
        else:
            # What was asked about a revision that is superseded by now says nothing of the open one.
            standing = None
        if case.state is State.pending:
            known = case.view.stand(standing, answer.unblock, answer.halted)
            # A timer that is set and dropped in one task would leave no event. The next run sets its own.
            if not self.rolling:
                self._set_alarm(known)
        case.show(answer.attributes)

    def _set_alarm(self, standing: Standing | None) -> None:
        """Ring at what is due next. What rang stays to be noted: no message puts it off."""
        if not self._alarm.rang:
            due = standing.due[0] if standing is not None and standing.due else None
            at, text = (due.at, due.text) if due else (workflow.now(), "now")
            asked = self._rechecks.next_at
            if asked is not None and asked < at:
                at, text = asked, "what it would do is measured again, as somebody asked"
            look = self._rechecks.look_at
            if look is not None and look < at:
                at, text = look, "the record is read again, as somebody asked"
            self._alarm.set(at, text)


def _said(message: Message) -> DecisionMessage:
    value, problem = message.read()
    channel: Any = message.channel
    return DecisionMessage(submission=value, problem=problem or None, channel=channel, arrival=message.number)


def unregistered(plan: Plan) -> ApplicationError:
    """The plan was not made by our own `assess`: waiting or trying again would go on for ever."""
    text = f"the record does not know proposal {plan.proposal_id}: somebody else answered for the assessment"
    return ApplicationError(text, type="Unregistered", non_retryable=True)


def receipt_after(value: Any, resolution: str) -> DecisionReceipt:
    """The answer to a message of a start that ended at once."""
    return DecisionReceipt(
        decision_id=str((value or {}).get("decision_id", ""))[:100],
        counted=False,
        code=Refusal.not_pending,
        message=f"this start ended as {resolution}, nothing is pending",
        resolution=resolution,
    )
