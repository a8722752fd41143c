"""What the activities told a workflow, held against the ledger: the answers are not evidence, the entries are.

Each answer must be what the activity gives by the case as the ledger had it at the entry that the answer names. An
executor may be told otherwise by nobody: where it was, the record has a violation.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from activities.advancing import standing_of
from activities.calls import Call
from activities.cases import REVOKED, CaseFile
from activities.dispatch import refusal_key
from activities.planning import make_plan
from activities.recomputing import Recomputation
from activities.starting import refused_result, start_refusals
from activities.taking import read_submission
from policy.admission import CODES
from policy.approval.standing import Standing
from policy.audit import ReadEntry
from policy.audit_evaluations import compare
from policy.base import Reason, RecordModel
from policy.decision import DecisionReceipt, Refusal, receive_decision
from policy.envelope import REFUSED, receive_start
from policy.errors import ProposalError
from policy.ledger import EntryKind
from policy.permit import Direction
from policy.proposal import ReceivedProposal
from policy.result import ActionResult
from policy.rules.unsigned import UNSIGNED
from workflows.messages import (
    AdvanceRequest,
    AssessRequest,
    AssessResult,
    CaseResult,
    DecisionMessage,
    DecisionRequest,
    DecisionsRequest,
    DecisionsResult,
    DispatchRequest,
    DispatchResult,
    ExecuteResult,
    Plan,
    RecordResult,
)

# Of a start that was refused because nobody is seen to propose; the ledger says why.
UNSHOWN = frozenset({REFUSED, UNSIGNED})


def check_answer(call: Call, books: Recomputation) -> list[str]:
    """What is wrong with an answer; nothing where there was none, or where it was stale."""
    check = _CHECKS.get(call.name)
    if check is None:
        return [f"activity {call.name} is none of AuthorizeAction's"]
    if call.told is None or call.told.get("stale"):
        return []
    return [*_check_reference(call, books), *check(call, books)]


def _check_reference(call: Call, books: Recomputation) -> list[str]:
    reference = (call.told or {}).get("entry")
    if reference is None:
        return []
    position, digest = reference["position"], reference["digest"]
    found = next((entry for entry in books.entries if entry.position == position), None)
    if found is None:
        return [f"it names ledger entry {position}, which does not exist"]
    return [] if found.digest == digest else [f"it names {found.where} as {digest}, the ledger has {found.digest}"]


def _case(call: Call, books: Recomputation) -> tuple[CaseFile | None, tuple[datetime, ...]]:
    """The case as of the entry that an answer names, and the instants at which the activity can have read it.

    An activity that ran again after its worker died answers with the entry that it wrote the first time.
    """
    reference = (call.told or {}).get("entry")
    now = datetime.fromisoformat(call.asked["now"])
    if reference is None:
        return books.case, (now,)
    written = [entry.at for entry in books.entries if entry.position == reference["position"] and call.ran_at(entry.at)]
    return books.cases.get(reference["position"]), tuple(dict.fromkeys((now, *written)))


def _compare_at(
    what: str, recorded: Any, instants: Sequence[datetime], compute: Callable[[datetime], RecordModel | None]
) -> list[str]:
    """Compare with what is computed at any of some instants; the differences at the last where all differ."""
    found: list[str] = []
    for instant in instants:
        found = compare(what, recorded, compute(instant))
        if not found:
            break
    return found


def _assess(call: Call, books: Recomputation) -> list[str]:
    answer, request = call.answer(AssessResult), AssessRequest.model_validate(call.asked)
    try:
        received = receive_start(request.proposal).received
    except ProposalError as error:
        same = answer.malformed == str(error)
        return [] if same else [f"it was told {answer.malformed!r:.120}, the proposal is malformed: {error}"]
    if answer.malformed is not None:
        return [f"it was told {answer.malformed!r:.120}, the proposal is well-formed"]
    return _asked_first(request) if answer.resolve else _assessed(call, answer, request, received, books)


def _assessed(
    call: Call, answer: AssessResult, request: AssessRequest, received: ReceivedProposal, books: Recomputation
) -> list[str]:
    if reasons := _start_reasons(request, received, books):
        return _refused_start(answer, request, received, reasons, books)
    if answer.result is not None and answer.result.resolution == "refused" and UNSHOWN.intersection(_codes(answer)):
        return _refused_start(answer, request, received, answer.result.reasons, books)
    if answer.result is not None and CODES.intersection(reason.code for reason in answer.result.reasons):
        return _turned_away(answer.result, request, received, books)
    case, instants = _case(call, books)
    if case is None:
        return ["no ledger entry says that this proposal was assessed"]
    if answer.result is not None:
        return compare("result", _raw(call, "result"), case.result)
    if answer.plan is None:
        return ["it has neither plan nor result"]
    told, known = answer.plan, case

    def plan(now: datetime) -> RecordModel:
        # Who could finish the open stage is shown, and nothing is decided by it.
        standing, ranked = standing_of(known, now, time_itself=True), told.priority is not None
        return _as_told(known, standing, told, ranked=ranked)

    return _compare_at("plan", _raw(call, "plan"), instants, plan)


def _codes(answer: AssessResult) -> set[str]:
    return {reason.code for reason in answer.result.reasons} if answer.result is not None else set()


def _start_reasons(request: AssessRequest, received: ReceivedProposal, books: Recomputation) -> tuple[Reason, ...]:
    if reasons := start_refusals(request.start, received.proposal.proposal_id):
        return reasons
    registered = books.received.action_digest if books.received is not None else None
    if registered in (None, received.action_digest):
        return ()
    message = f"proposal {received.proposal.proposal_id} is registered with digest {registered}"
    return (Reason(code="digest_conflict", message=message),)


def _refused_start(
    answer: AssessResult,
    request: AssessRequest,
    received: ReceivedProposal,
    reasons: tuple[Reason, ...],
    books: Recomputation,
) -> list[str]:
    if answer.result is None:
        return [f"event 1 (WORKFLOW_EXECUTION_STARTED) is refused: {reasons[0].message}; and it was told to go on"]
    refused = refused_result(received, reasons, answer.result.timings.finished_at)
    found = compare("result", answer.result.model_dump(mode="json"), refused)
    start = request.start
    entry = books.entry(EntryKind.start_refused, start.workflow_id, start.run_id)
    # Under another workflow id the attempt is in the ledger of the proposal that was meant.
    if entry is None and received.proposal.proposal_id == books.proposal_id:
        found.append("no ledger entry says that this start was refused")
    elif entry is not None and entry.content["action_digest"] != received.action_digest:
        found.append(f"{entry.where} is about another proposal")
    elif entry is not None and entry.content["reasons"] != [reason.model_dump(mode="json") for reason in reasons]:
        found.append(f"{entry.where} has other reasons")
    return found


def _turned_away(
    result: ActionResult, request: AssessRequest, received: ReceivedProposal, books: Recomputation
) -> list[str]:
    """What is wrong with a start that was not admitted. When very many were, most of them have no entry."""
    computed = refused_result(received, result.reasons, result.timings.finished_at, result.see)
    found = compare("result", result.model_dump(mode="json"), computed)
    entry = books.entry(EntryKind.admission_refused, request.start.workflow_id, request.start.run_id)
    if entry is not None:
        recorded = [reason.model_dump(mode="json") for reason in result.reasons]
        if recorded != entry.content["reasons"] or result.see != entry.content["see"]:
            found.append(f"{entry.where} has other reasons")
    return found


def _take_decision(call: Call, books: Recomputation) -> list[str]:
    answer, request = call.answer(CaseResult), DecisionRequest.model_validate(call.asked)
    found = _decided(call, request, answer.receipt, books, left_out=bool(answer.unlisted))
    return found + _stands(call, answer, request.revision, books)


def _take_decisions(call: Call, books: Recomputation) -> list[str]:
    answer, request = call.answer(DecisionsResult), DecisionsRequest.model_validate(call.asked)
    if not 0 < len(answer.receipts) <= len(request.messages):
        return [f"it was told {len(answer.receipts)} receipts for {len(request.messages)} decisions"]
    found, left = [], dict(answer.unlisted)
    for message, receipt in zip(request.messages, answer.receipts, strict=False):
        left_out = left.get(receipt.code or "", 0) > 0
        problems = _decided(call, message, receipt, books, left_out=left_out)
        if left_out and _entry_of(message, books) is None:
            left[receipt.code or ""] -= 1
        found += [f"message {message.arrival}: {problem}" for problem in problems]
    return found + _stands(call, answer, request.revision, books)


def _entry_of(message: DecisionMessage | DecisionRequest, books: Recomputation) -> ReadEntry | None:
    submission, problem = read_submission(message)
    key = (submission.decision_id,) if submission else (message.channel, message.arrival, problem)
    kinds = (EntryKind.decision_counted, EntryKind.decision_refused)
    return next((one for kind in kinds if (one := books.entry(kind, *key)) is not None), None)


def _decided(
    call: Call,
    message: DecisionMessage | DecisionRequest,
    receipt: DecisionReceipt | None,
    books: Recomputation,
    *,
    left_out: bool,
) -> list[str]:
    """What is wrong with the receipt of one message; `left_out`: refusals of the call need not be listed."""
    entry, submission = _entry_of(message, books), read_submission(message)[0]
    if receipt is None:
        return ["it was told no receipt"]
    if entry is None or (left_out and not call.ran_at(entry.at) and entry.content["receipt"] != _plain(receipt)):
        listed = receipt.counted or not left_out
        return [f"no ledger entry has the decision {receipt.decision_id} that was answered"] if listed else []
    stored = receive_decision(entry.content["submission"]) if submission else None
    if submission != stored:
        again = receipt.code == Refusal.decision_id_reused
        return [] if again else [f"it was answered {receipt.code}, {entry.where} has another decision"]
    found = compare("receipt", entry.content["receipt"], receipt)
    first = call.ran_at(entry.at) and (entry.content["channel"], entry.content["arrival"])
    if first and first != (message.channel, message.arrival):
        found.append(f"it came as number {message.arrival} by {message.channel}, {entry.where} says {first}")
    return found


def _plain(receipt: DecisionReceipt) -> dict[str, Any]:
    return receipt.model_dump(mode="json")


def _stands(call: Call, answer: CaseResult | DecisionsResult, revision: int, books: Recomputation) -> list[str]:
    case, instants = _case(call, books)
    if case is None:
        return []
    known = case
    found = _compare_at("standing", _raw(call, "standing"), instants, lambda now: standing_of(known, now))
    if answer.stopped != (case.stop == REVOKED):
        found.append(f"stopped is {answer.stopped}, by the ledger it is {case.stop or 'not stopped'}")
    return found + _resolution(answer.resolution, case) + _plan(call, answer, revision, case)


def _advance(call: Call, books: Recomputation) -> list[str]:
    answer, request = call.answer(CaseResult), AdvanceRequest.model_validate(call.asked)
    case, instants = _case(call, books)
    if case is None:
        return []
    known = case
    found = _compare_at(
        "standing", _raw(call, "standing"), instants, lambda now: standing_of(known, now, time_itself=True)
    )
    if request.stop_actor is not None:
        entry = books.entry(EntryKind.stopped, "stop")
        if entry is None and case.result is None:
            found.append("no ledger entry says that the action was stopped")
    return found + _resolution(answer.resolution, case) + _plan(call, answer, request.revision, case)


def _resolution(told: str | None, case: CaseFile) -> list[str]:
    return [] if told == case.resolution else [f"resolution is {told}, by the ledger it is {case.resolution}"]


def _dispatch(call: Call, books: Recomputation) -> list[str]:
    answer, request = call.answer(DispatchResult), DispatchRequest.model_validate(call.asked)
    issued = {
        permit.direction: permit.permit_id
        for permit in books.permits.values()
        if (permit.revision, permit.step) == (request.revision, request.step)
    }
    told = (answer.permit_id, answer.undo_permit_id)
    if answer.permit_id is not None:
        real = (issued.get(Direction.do), issued.get(Direction.undo))
        return [] if told == real else [f"it was told permits {told}, the ledger has {real}"]
    if answer.resolve:
        return _asked_first(request)
    waits, refused = answer.retry_at is not None, refusal_key(request, answer.reasons)
    kind, key = (EntryKind.queued, refused[:1]) if waits else (EntryKind.dispatch_refused, refused)
    if (entry := books.entry(kind, *key)) is None:
        return [] if _is_older(request.revision, books) else ["no ledger entry says that it waits or was refused"]
    if waits:
        return []
    same = [reason.model_dump(mode="json") for reason in answer.reasons] == entry.content["reasons"]
    # A gate that was asked again may be closed for another reason; the entry keeps the first.
    return [] if same or not call.ran_at(entry.at) else [f"it was told other reasons than {entry.where} has"]


def _asked_first(request: AssessRequest | DispatchRequest) -> list[str]:
    """What is wrong with an answer that wants the executors asked first: they were, and it goes on without them."""
    return ["it was told to ask the executors once more"] if request.unresolved else []


def _is_older(revision: int, books: Recomputation) -> bool:
    """Whether a later revision was opened than the one that a call is about."""
    newest = books.case.revision if books.case is not None else None
    return newest is not None and newest.revision > revision


def _plan(call: Call, answer: CaseResult | DecisionsResult, revision: int, case: CaseFile) -> list[str]:
    """What is wrong with the plan of an answer; it has one where another revision is open than it was asked about."""
    newer = case.revision is not None and case.revision.revision != revision
    if newer != (answer.plan is not None):
        return [
            f"it {'has no plan' if newer else 'has a plan'}, and {'another' if newer else 'no other'} revision is open"
        ]
    if answer.plan is None:
        return []
    return compare("plan", _raw(call, "plan"), _as_told(case, answer.standing, answer.plan))


def _as_told(case: CaseFile, standing: Standing | None, told: Plan, *, ranked: bool = True) -> Plan:
    """The plan of a case, where what a worker was set to, and what is only shown, is as it said."""
    return make_plan(
        case,
        standing,
        local_dispatch=told.local_dispatch,
        pace=told.pace,
        unblock=told.unblock,
        ranked=ranked,
        accepts_claimed=told.accepts_claimed,
        audience=told.audience,
    )


def _record(call: Call, books: Recomputation) -> list[str]:
    answer = call.answer(RecordResult)
    recorded = books.case.result if books.case is not None else None
    return compare("result", _raw(call, "result"), recorded) if answer.result is not None else []


def _execute(call: Call, books: Recomputation) -> list[str]:
    answer = call.answer(ExecuteResult)
    if answer.permit_id != call.asked["permit_id"]:
        return [f"it is about permit {answer.permit_id}, asked was {call.asked['permit_id']}"]
    report = books.reports.get(answer.permit_id)
    accounted = any(_accounts(entry, answer) for entry in books.entries)
    if report is None:
        wrong = answer.effect == "done" or answer.status == "succeeded"
        message = f"it was told {answer.status}, {answer.effect}, and the ledger has no report"
    else:
        # Who looked before somebody claimed told the truth.
        early = not answer.claimed and answer.effect == "none" and call.began < report.started_at
        told = (answer.status, answer.effect, answer.message)
        wrong = not early and told != (report.status, report.effect, report.message)
        message = f"it was told {answer.status}, {answer.effect}, the ledger has {report.status}, {report.effect}"
    return [message] if wrong and not accounted else []


def _accounts(entry: ReadEntry, answer: ExecuteResult) -> bool:
    """Whether an entry says why an executor answered something else than the report: a lie, or a refused claim."""
    if entry.kind is EntryKind.violation:
        return bool(entry.content.get("told", {}).get("permit_id") == answer.permit_id)
    if entry.kind is not EntryKind.claim_refused or entry.content["permit_id"] != answer.permit_id:
        return False
    return f"{entry.content['code']}: {entry.content['message']}" == answer.message and answer.effect != "done"


def _raw(call: Call, name: str) -> Any:
    assert call.told is not None
    return call.told.get(name)


_CHECKS: dict[str, Callable[[Call, Recomputation], list[str]]] = {
    "assess": _assess,
    "take_decision": _take_decision,
    "take_decisions": _take_decisions,
    "advance": _advance,
    "dispatch": _dispatch,
    "record": _record,
    # What executors found is in the entries that rest on it; the answer says nothing of it.
    "resolve": lambda _call, _books: [],
    "execute": _execute,
    "observe": _execute,
}
