"""The evaluation: policy, proposal, facts, assessment and timing in; verdict, chain and reasons out.

- What is certainly wrong denies before any rule is read: an unknown target, a declared environment or declared targets
  that are not the catalog's, an operation that nobody registered, an agent that nobody answers for, wrong parameters, a
  hold that the action does not remedy, something that an operation requires and the proposal does not have, a signature
  that is missing (`policy/rules/unsigned.py`) or has lapsed.
- A limit of any document, or a cap of the operations registry, that any operation of the action exceeds denies. No rule
  lifts it, no approval, no exception and no break-glass. A condition of a limit that fails denies, too. So does what
  alone is more than an aggregate limit lets all actions together take.
- Then each operation, the undos too, is asked about as if it were proposed alone, of every document that speaks of it
  (`policy/rules/composition.py`). An operation of which no rule speaks denies. A mild step in the same proposal makes
  no other step milder.
- The strictest of those answers is the verdict. Where operations or documents need different chains, all of them are
  asked, one after the other in the order of the documents and their rules.
- A chain is part of the answer: what is asked of whom is fixed here, and kept, with the hours that its stages name. So
  is who may not answer: the authors of the documents that ask, and whoever granted an exception that applies.
- Where a document that speaks of the action lets newcomers wait in its tier, every stage does, for the longest of those
  waits and its own. What they ask of the proofs of its votes goes into every stage in the same way
  (`policy/rules/stepping_up.py`).
- `permit_until` is the end of the window or the exception by which it is let through, or the beginning of the next
  freeze, whichever comes first.

Example: `restart` needs one of ops, `drop_index` one of ops and then one of dba. Proposed together, they need one of
ops, one of ops again (another person: `policy/duties.py`), and one of dba.
"""

import operator
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from pydantic import Field

from policy.base import Instant, Reason, RecordModel
from policy.catalogs.parts import views_of_parts
from policy.document import Enforcement, PolicySet
from policy.errors import ConditionError
from policy.facts import Facts
from policy.impact import ImpactAssessment
from policy.proposal import ActionProposal
from policy.rollback import NOT_VERIFIED, Rollback, checked
from policy.rules.aggregate import AggregateLimit, alone
from policy.rules.calendars import timing_of
from policy.rules.chains import MAX_STAGES, ApprovalChain, Stage, Verdict
from policy.rules.composition import Answer, Speech, shortened, speeches
from policy.rules.ending import judging, revocations, stops_at_failed_undo
from policy.rules.environment import Case, Question
from policy.rules.exceptions import BreakGlass, PolicyException
from policy.rules.impossible import why_impossible
from policy.rules.limits import Limit, exceeded, registered_bounds
from policy.rules.revocation import Revocation
from policy.rules.stepping_up import ProofDemand, ProofRule, with_proofs
from policy.rules.timing import Timing
from policy.rules.unsigned import asked_unsigned, unsigned_refusals
from policy.undecided import Judging

REGISTRY = "operations registry"


class ObservedAnswer(RecordModel):
    """What a rule would have said that observes or warns only."""

    rule: str
    document: str
    enforcement: Enforcement
    verdict: Verdict
    chain_name: str | None = None
    message: str = ""


class Excluded(RecordModel):
    """People who do not approve this action, and why."""

    people: tuple[str, ...]
    reason: str


class AppliedException(RecordModel):
    """An exception that took something out of the answer: who let it through, until when, and why."""

    id: str
    approved_by: tuple[str, ...]
    expires_at: Instant
    reason: str = ""


class Evaluation(RecordModel):
    """The answer of a policy. `matched` names every limit, rule and freeze that spoke, `decided_by` the first that
    decided, `decided_in` its document.

    Attributes:
        chain_name: the name of the chain in the document, or of several, joined by `+`.
        chain: what is asked of whom.
        permit_seconds: how long a permit may wait.
        directory_seconds: how old the directory may be when a permit is issued; None for any age.
        permit_until: when the window closes, an exception ends or a freeze begins, which no permit outlives.
        observed: what rules would have said that observe or warn.
        exceptions: ids of those that took something out of the answer.
        applied: the same, with who approved them.
        break_glass: the id, where the chain is that of an emergency.
        review_seconds: within how long such an action is reviewed, and `review` by whom.
        rollback: what became of the label that it undoes another action; None without one.
        revocations: who may revoke it, by the documents that speak of it.
        revoke_proofs: what the proof of a revocation must show.
        stops_at_failed_undo: whether nothing more is undone once an undo has failed.
        judging: how people judge a step of which nobody can tell whether it is good; None where nobody is asked.
        excluded: who does not approve it, besides the people who ask.
        controls: of the rules and limits that decided, and of their documents.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    matched: tuple[str, ...] = ()
    decided_by: str | None = None
    decided_in: str | None = None
    chain_name: str | None = None
    chain: ApprovalChain | None = None
    permit_seconds: int = 300
    directory_seconds: int | None = None
    permit_until: Instant | None = None
    observed: tuple[ObservedAnswer, ...] = ()
    exceptions: tuple[str, ...] = ()
    applied: tuple[AppliedException, ...] = ()
    break_glass: str | None = None
    review_seconds: int | None = None
    excluded: tuple[Excluded, ...] = ()
    controls: tuple[str, ...] = ()
    review: ApprovalChain | None = None
    rollback: Rollback | None = None
    revocations: tuple[Revocation, ...] = ()
    revoke_proofs: Annotated[tuple[ProofDemand, ...], Field(exclude_if=lambda value: not value)] = ()
    stops_at_failed_undo: Annotated[bool, Field(exclude_if=operator.not_)] = False
    judging: Annotated[Judging | None, Field(exclude_if=operator.not_)] = None


def evaluate(
    policy: PolicySet,
    proposal: ActionProposal,
    facts: Facts,
    assessment: ImpactAssessment,
    timing: Timing | None = None,
) -> Evaluation:
    """Ask a policy about an action; pure.

    Args:
        policy: the documents in force together.
        proposal: what is asked for.
        facts: what is known of it.
        assessment: what it could do.
        timing: what the calendars say of the instant of the facts; None asks them.
    """
    rollback = _rollback(policy, proposal, facts)
    unsigned = unsigned_refusals(policy, asked_unsigned(policy, proposal, facts, assessment.risk_tier))
    if impossible := (*unsigned, *why_impossible(proposal, facts)):
        return _labelled(Evaluation(verdict=Verdict.deny, reasons=impossible), rollback)
    case = Case(proposal, facts, assessment, timing or timing_of(policy, facts))
    said = speeches(policy, case)
    limits = list(_limits(policy, case))
    spoke = sorted({name for item in said for name in item.matched}, key=policy.order.__getitem__)
    matched = (*(item.decided_by for item in limits), *spoke)
    decided = _denied(policy, limits) if limits else _decide(policy, case, said)
    more = {
        "matched": tuple(dict.fromkeys(matched)),
        "observed": _observed(said),
        "revocations": revocations(said),
        "revoke_proofs": tuple(item.demand for item in _proofs(said, case) if "revoke" in item.votes),
        "stops_at_failed_undo": stops_at_failed_undo(said),
        "judging": judging(said),
    }
    return _labelled(decided.model_copy(update=more), rollback)


def _rollback(policy: PolicySet, proposal: ActionProposal, facts: Facts) -> Rollback | None:
    rules = (document.revocation.after for document in policy.documents if document.revocation is not None)
    windows = [after.window for after in rules if after is not None]
    return checked(proposal, facts.observed.undone, facts.resolved, windows)


def _labelled(found: Evaluation, rollback: Rollback | None) -> Evaluation:
    """With what became of the label that it undoes another action, and why where it is not believed."""
    if rollback is None:
        return found
    reasons = found.reasons
    if not rollback.verified:
        reasons = (*reasons, Reason(code=NOT_VERIFIED, message=f"not the undo of {rollback.undoes}: {rollback.why}"))
    return found.model_copy(update={"reasons": reasons, "rollback": rollback})


def _decide(policy: PolicySet, case: Case, said: list[Speech]) -> Evaluation:
    """The answer of the rules and freezes, where no limit denies."""
    covered = {item.operation for item in said if item.answer is not None and not item.of_part}
    if uncovered := [name for name in case.proposal.operations if name not in covered]:
        where = f"on {case.proposal.target} in {case.proposal.environment}"
        reasons = tuple(Reason(code="no_rule", message=f"no rule covers {name} {where}") for name in uncovered)
        return Evaluation(verdict=Verdict.deny, reasons=reasons)
    answers = _in_order(policy, said)
    first = max(answers, key=lambda item: item.verdict.strictness)
    if first.verdict is Verdict.deny:
        return _denied(policy, [item for item in answers if item.verdict is Verdict.deny])
    if first.verdict is Verdict.allow and case.facts.holds:
        message = (
            f"{first.decided_by} allows, but the target is under hold: an action that remedies a hold needs approval"
        )
        return _denied(policy, [replace(first, reason=Reason(code="on_hold", message=message))])
    asking = _asking(answers)
    if len(stages := tuple(_stages(asking, said, case))) > MAX_STAGES:
        names = ", ".join(item.chain_name or "" for item in asking)
        message = f"chains {names} have {len(stages)} stages: propose the steps apart"
        return _denied(policy, [replace(first, reason=Reason(code="too_many_stages", message=message))])
    applied = {item.id: item for one in said for item in one.exceptions}
    glass = next((item.break_glass for item in answers if item.break_glass), None)
    decisive = [item for item in answers if item.verdict is first.verdict]
    failed = dict.fromkeys(reason for one in said for reason in one.failed)
    return Evaluation(
        verdict=first.verdict,
        reasons=(*(_reason(policy, item) for item in decisive), *failed),
        decided_by=first.decided_by,
        decided_in=first.document,
        chain_name="+".join(item.chain_name or "" for item in asking) or None,
        chain=ApprovalChain(stages=stages) if stages else None,
        permit_seconds=int(policy.permit_ttl.total_seconds()),
        directory_seconds=policy.directory_seconds,
        permit_until=_until(answers, case.timing, applied.values()),
        exceptions=tuple(applied),
        applied=tuple(_applied(item) for item in applied.values()),
        break_glass=glass.id if glass else None,
        review_seconds=int(glass.review_within.total_seconds()) if glass else None,
        review=_review(policy, glass) if glass else None,
        excluded=_excluded(policy, asking, applied.values(), case.facts) if asking else (),
        controls=_controls(policy, decisive),
    )


def _review(policy: PolicySet, glass: BreakGlass) -> ApprovalChain:
    """The chain that reviews what ran by a glass: of the document that has it."""
    document = next(item for item in policy.documents if any(one.id == glass.id for one in item.break_glass))
    return document.chain(glass.review or glass.chain)


def _in_order(policy: PolicySet, said: list[Speech]) -> list[Answer]:
    """The answers that differ, in the order of the documents and their rules."""
    found = {
        (item.answer.decided_by, item.answer.verdict, item.answer.chain_name): item.answer
        for item in reversed(said)
        if item.answer
    }
    return sorted(found.values(), key=lambda item: policy.order[item.decided_by])


def _asking(answers: list[Answer]) -> list[Answer]:
    """The answers whose chains are asked: each chain once, though two documents write the same one."""
    chains: list[tuple[str | None, ApprovalChain | None]] = []
    found = []
    for item in answers:
        if item.verdict.asks and (item.chain_name, item.chain) not in chains:
            chains.append((item.chain_name, item.chain))
            found.append(item)
    return found


def _stages(asking: list[Answer], said: list[Speech], case: Case) -> Iterator[Stage]:
    """The stages of all chains that are asked, with how long newcomers wait and what proofs must show."""
    rules = [item.document.newcomers for item in said if item.document.newcomers is not None]
    waits = [rule.wait for rule in rules if case.tier in rule.tiers]
    proofs = _proofs(said, case)
    for stage in (stage for item in asking if item.chain for stage in item.chain.stages):
        own = [stage.newcomer_wait] if stage.newcomer_wait is not None else []
        waiting = stage.model_copy(update={"newcomer_wait": max(waits + own)}) if waits else stage
        yield with_proofs(waiting, proofs)


def _proofs(said: list[Speech], case: Case) -> tuple[ProofRule, ...]:
    """What the documents that speak of an action ask of the proofs of its votes."""
    documents = {item.document.metadata.name: item.document for item in said}
    rules = (rule for document in documents.values() for rule in document.proofs)
    return tuple(rule for rule in rules if rule.speaks_of(case.tier, case.facts.target_environment))


def _denied(policy: PolicySet, answers: list[Answer]) -> Evaluation:
    first = answers[0]
    return Evaluation(
        verdict=Verdict.deny,
        reasons=tuple(_reason(policy, item) for item in answers),
        decided_by=first.decided_by,
        decided_in=first.document,
        controls=_controls(policy, answers),
    )


def _limits(policy: PolicySet, case: Case) -> Iterator[Answer]:
    """Every limit that is crossed, those of the registry last."""
    cases = (case, *(replace(case, facts=view) for view in views_of_parts(policy, case.facts)))
    asked = [question for each in cases for question in each.questions()]
    for document in policy.documents:
        mine = [item for item in asked if document.speaks_of(item.operation, item.case.facts)]
        for limit in document.limits:
            where = document.metadata.name
            for code, message in _crossed(limit, case, mine):
                reason = Reason(code=code, message=f"{limit.id}: {message}")
                yield Answer(where, limit.id, Verdict.deny, reason, controls=limit.controls)
        for together in document.aggregate if not case.proposal.dry_run else ():
            for code, message in _alone(together, case, mine):
                reason = Reason(code=code, message=f"{together.id}: {message}")
                yield Answer(document.metadata.name, together.id, Verdict.deny, reason)
    for name in case.proposal.operations:
        for message in exceeded(registered_bounds(case.facts.operation(name)), case.proposal, case.facts, {name}):
            yield Answer(REGISTRY, name, Verdict.deny, Reason(code="limit", message=f"{name}: {message}"))


def _crossed(limit: Limit, case: Case, questions: list[Question]) -> Iterator[tuple[str, str]]:
    """How an action crosses a limit: a code and a sentence each."""
    meant = set()
    for question in questions:
        try:
            if question.meant(limit):
                meant.add(question.operation.name)
        except ConditionError as error:
            yield "evaluation_error", f"`{shortened(limit.when)}` has no answer: {error}"
            return
    if not meant:
        return
    if not limit.capped:
        yield "limit", limit.reason
    for message in exceeded(limit, case.proposal, case.facts, meant):
        yield "limit", f"{message}; {limit.reason}"


def _alone(limit: AggregateLimit, case: Case, questions: list[Question]) -> Iterator[tuple[str, str]]:
    """How an action alone is more than a limit on all together: a code and a sentence each."""
    try:
        meant = any(question.meant(limit) for question in questions)
    except ConditionError as error:
        yield "evaluation_error", f"`{shortened(limit.when)}` has no answer: {error}"
        return
    for message in alone(limit, case.facts) if meant else ():
        yield "limit", f"{message}; {limit.reason}" if limit.reason else message


def _observed(said: list[Speech]) -> tuple[ObservedAnswer, ...]:
    """What observing and warning rules would have said, each once."""
    found = {
        (item.decided_by, item.verdict): ObservedAnswer(
            rule=item.decided_by,
            document=item.document,
            enforcement=item.rule.enforcement,
            verdict=item.verdict,
            chain_name=item.chain_name,
            message=item.reason.message,
        )
        for one in said
        for item in one.noted
        if item.rule is not None
    }
    return tuple(found.values())


def _until(answers: list[Answer], timing: Timing, applied: Iterable[PolicyException]) -> datetime | None:
    ends = [*(item.until for item in answers if item.until is not None), *(item.expires_at for item in applied)]
    return min((*ends, *([timing.next_freeze] if timing.next_freeze else [])), default=None)


def _applied(item: PolicyException) -> AppliedException:
    return AppliedException(
        id=item.id, approved_by=item.approved_by, expires_at=item.expires_at, reason=shortened(item.reason)
    )


def _excluded(
    policy: PolicySet, asking: list[Answer], applied: Iterable[PolicyException], facts: Facts
) -> tuple[Excluded, ...]:
    """Who wrote what asks, who let through what would have stopped it, and who runs what acts, does not approve it."""
    documents = {item.document for item in asking}
    wrote = [item.metadata for item in policy.documents if item.metadata.name in documents and item.metadata.authors]
    return (
        *(Excluded(people=item.authors, reason=f"wrote the policy {item.name}") for item in wrote),
        *(Excluded(people=item.approved_by, reason=f"approved the exception {item.id}") for item in applied),
        *((Excluded(people=facts.operators, reason="runs the executor that acts"),) if facts.operators else ()),
    )


def _controls(policy: PolicySet, answers: list[Answer]) -> tuple[str, ...]:
    documents = {item.metadata.name: item.metadata.controls for item in policy.documents}
    found = [name for item in answers for name in (*item.controls, *documents.get(item.document, ()))]
    return tuple(dict.fromkeys(found))


def _reason(policy: PolicySet, answer: Answer) -> Reason:
    """Why, and where there are several documents, which of them says so."""
    if len(policy.documents) == 1 or answer.document == REGISTRY:
        return answer.reason
    return answer.reason.model_copy(update={"message": f"{answer.document}: {answer.reason.message}"})
