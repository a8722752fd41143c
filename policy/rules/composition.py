"""What one document answers about one operation, and what several documents answer together.

One document:

- It speaks of an operation where one of its rules matches; a rule that observes or warns does not count, and is noted.
- A rule whose condition fails denies. A rule outside of all its windows answers what `outside` says. A rule that asks
  people and has no chain for them denies.
- An exception takes the rules that it lifts out of the answer. The strictest of those that are left answers, the first
  among equals; where none would be left, the mildest of them stands: an exception alone allows nothing.
- A freeze denies, whatever the rules say, unless an exception or break-glass lifts it, or the action remedies a hold.
- Break-glass puts its own chain in place of the one that the rule asks; where it lifts a freeze, its chain is asked
  even if the rule would have allowed. It makes no verdict milder otherwise.
- A verified rollback (`policy/rollback.py`) does the same with the chain of `revocation.after`, and no freeze stops it.

Several documents:

- Each one that speaks can only make the answer stricter: the strictest answer counts, and where people are asked, those
  of every document are asked, in the order of the documents and of their rules.
- So can what is said of a part of the target (`policy/catalogs/parts.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from policy.base import Reason
from policy.breaking import broken
from policy.catalogs.parts import views_of_parts
from policy.document import PolicyDocument, PolicySet, Rule
from policy.errors import ConditionError
from policy.proposal import ChangeType
from policy.rules.chains import ApprovalChain, Verdict
from policy.rules.environment import Case, Question
from policy.rules.exceptions import BreakGlass, PolicyException

_SHOWN = 120


@dataclass(frozen=True)
class Answer:
    """What one rule or freeze says of one operation. `until` is when the window closes by which it says so."""

    document: str
    decided_by: str
    verdict: Verdict
    reason: Reason
    chain_name: str | None = None
    chain: ApprovalChain | None = None
    rule: Rule | None = None
    controls: tuple[str, ...] = ()
    until: datetime | None = None
    break_glass: BreakGlass | None = None
    rolls_back: bool = False


@dataclass(frozen=True)
class Instead:
    """A chain that is asked in place of the rule's: of a glass, or of a rollback, which no freeze stops."""

    chain: str
    glass: BreakGlass | None = None

    def lifts(self, freezes: set[str]) -> bool:
        """Whether these freezes do not stop what asks it."""
        return self.glass is None or freezes <= set(self.glass.lifts_freezes)


@dataclass(frozen=True)
class Speech:
    """All that one document says of one operation: its answer, and what led to it.

    `noted` are the answers of rules that observe or warn, `exceptions` those that took something out of the answer.
    `of_part`: it was asked about a part of the target, so that it allows nothing of the whole.
    """

    document: PolicyDocument
    operation: str
    answer: Answer | None = None
    matched: frozenset[str] = frozenset()
    noted: tuple[Answer, ...] = ()
    exceptions: tuple[PolicyException, ...] = ()
    failed: tuple[Reason, ...] = ()
    of_part: bool = False


def speeches(policy: PolicySet, case: Case) -> list[Speech]:
    """What each document says of each operation of an action, in the order of the documents, then of parts; pure."""
    found = _speeches(policy, case)
    for view in views_of_parts(policy, case.facts):
        found += [replace(item, of_part=True) for item in _speeches(policy, replace(case, facts=view))]
    return found


def _speeches(policy: PolicySet, case: Case) -> list[Speech]:
    questions = list(case.questions())
    return [
        _speech(document, question)
        for document in policy.documents
        for question in questions
        if document.speaks_of(question.operation, case.facts)
    ]


def _speech(document: PolicyDocument, question: Question) -> Speech:
    at = question.case.facts.at
    rules = document.rules_about(question.operation.name)
    answers = [answer for rule in rules if (answer := _of_rule(document, rule, question)) is not None]
    counted = [item for item in answers if item.rule is None or item.rule.enforced(at)]
    noted = tuple(item for item in answers if item.rule is not None and not item.rule.enforced(at))
    frozen = list(_frozen(document, question))
    instead, noted_of_glass = _instead(document, question)
    applied, failed = _exceptions(document, question, counted, frozen)
    lifted = {name for item in applied for name in item.lifts}
    answer = _strictest(counted, lifted)
    stopped = [item for item in frozen if item.decided_by not in lifted]
    opened = instead is not None and bool(stopped) and instead.lifts({item.decided_by for item in stopped})
    if stopped and not opened:
        answer = stopped[0]
    elif answer is not None and instead is not None and (answer.verdict.asks or opened):
        answer = _asked_instead(answer, instead, document)
    matched = frozenset(item.decided_by for item in (*counted, *frozen))
    gone = matched - {answer.decided_by if answer else None}
    applied = tuple(item for item in applied if gone.intersection(item.lifts))
    return Speech(document, question.operation.name, answer, matched, noted, applied, (*failed, *noted_of_glass))


def _strictest(counted: list[Answer], lifted: set[str]) -> Answer | None:
    """The first of the strictest answers that are not lifted, or the mildest where all are."""
    if left := [item for item in counted if item.decided_by not in lifted]:
        return max(left, key=lambda item: item.verdict.strictness)
    return min(counted, key=lambda item: item.verdict.strictness, default=None)


def _asked_instead(answer: Answer, instead: Instead, document: PolicyDocument) -> Answer:
    """The same answer by another chain; where it would have been allowed, that chain is asked."""
    if answer.verdict is Verdict.deny:
        return answer
    verdict = answer.verdict if answer.verdict.asks else Verdict.require_approval
    return replace(
        answer,
        verdict=verdict,
        chain_name=instead.chain,
        chain=document.chain(instead.chain),
        break_glass=instead.glass,
        rolls_back=instead.glass is None,
    )


def _of_rule(document: PolicyDocument, rule: Rule, question: Question) -> Answer | None:
    """What a rule says of an operation; None where it does not speak of it."""
    where = document.metadata.name

    def answer(verdict: Verdict, code: str, message: str, *, until: datetime | None = None) -> Answer:
        reason = Reason(code=code, message=f"{rule.id}: {message}")
        return Answer(where, rule.id, verdict, reason, rule=rule, controls=rule.controls, until=until)

    try:
        if not question.meant(rule):
            return None
    except ConditionError as error:
        return answer(Verdict.deny, "evaluation_error", f"`{shortened(rule.when)}` has no answer: {error}")
    timing = question.case.timing
    ends = [timing.ends[name] for name in rule.windows or () if name in timing.ends]
    closed = rule.windows is not None and not ends
    verdict = rule.outside if closed and rule.outside is not None else rule.verdict
    outside = f" (outside of {', '.join(rule.windows or ())})" if closed else ""
    said = answer(verdict, f"rule_{verdict}", f"{rule.reason or verdict}{outside}", until=max(ends, default=None))
    if not verdict.asks:
        return said
    fits = (item for item in rule.choices if item.fits(question.operation, question.case.facts, question.case.tier))
    if (choice := next(fits, None)) is None:
        return answer(Verdict.deny, "no_chain", f"it asks people, and none of its chains is for {_who(question)}")
    return replace(said, chain_name=choice.chain, chain=document.chain(choice.chain))


def _frozen(document: PolicyDocument, question: Question) -> Iterator[Answer]:
    """The freezes that stop an operation. What repairs something that is held is not stopped by them."""
    case = question.case
    if any(hold.proposal_id is not None and hold.proposal_id == case.proposal.remedies for hold in case.facts.holds):
        return
    for item in document.calendars:
        if item.id in case.timing.freezes and item.speaks_of(question.operation, case.facts):
            reason = Reason(code="freeze", message=f"{item.id}: {item.reason or 'changes are frozen'}")
            yield Answer(document.metadata.name, item.id, Verdict.deny, reason)


def _exceptions(
    document: PolicyDocument, question: Question, counted: list[Answer], frozen: list[Answer]
) -> tuple[tuple[PolicyException, ...], tuple[Reason, ...]]:
    """The exceptions that take something out of an answer, and those that could not be asked."""
    rules, freezes = {item.decided_by for item in counted}, {item.decided_by for item in frozen}
    applied, failed = [], []
    for item in document.exceptions:
        if not item.current(question.case.facts.at) or not (rules | freezes).intersection(item.lifts):
            continue
        try:
            if question.meant(item):
                applied.append(item)
        except ConditionError as error:
            message = f"{item.id}: `{shortened(item.when)}` has no answer, so the exception does not apply: {error}"
            failed.append(Reason(code="exception_failed", message=message))
    return tuple(applied), tuple(failed)


def _instead(document: PolicyDocument, question: Question) -> tuple[Instead | None, tuple[Reason, ...]]:
    """The chain of a verified rollback, or that of an emergency, and why it is not the usual one of an emergency."""
    after = document.revocation.after if document.revocation is not None else None
    if after is not None and question.case.rolls_back(after.window):
        return Instead(after.chain), ()
    glass = _glass(document, question)
    if glass is None:
        return None, ()
    facts = question.case.facts
    found = broken(glass, facts.behind, facts.observed.glass, facts.at)
    reasons = (found.reason,) if found.reason is not None else ()
    return Instead(found.chain, glass) if found.chain is not None else None, reasons


def _glass(document: PolicyDocument, question: Question) -> BreakGlass | None:
    """The break-glass that speaks of an emergency; one that needs a reason is not broken without."""
    proposal = question.case.proposal
    if proposal.change_type is not ChangeType.emergency:
        return None
    meant = (
        item
        for item in document.break_glass
        if item.match.matches(question.operation, question.case.facts, question.case.tier)
    )
    return next((item for item in meant if proposal.rationale.strip() or not item.reason_required), None)


def _who(question: Question) -> str:
    facts = question.case.facts
    return f"{question.operation.name}, tier {question.case.tier}, owner {facts.target_owner or 'nobody'}"


def shortened(expression: str | None) -> str:
    """An expression on one line, cut to a readable length."""
    text = " ".join((expression or "").split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
