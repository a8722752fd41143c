"""What people have to say of an action after its end, and who says it: what became of it, and how it really ended.

- An action that ended without a definite state (`Outcome.needs_hold`) is an `unresolved` item: it stays open until
  people say what they found. Until then its target is under hold. Nothing else ends it but an action that names what it
  remedies and has succeeded. An `amendment` is about any action that did something: people say how it ended, as they
  know it now. It is no debt and is never overdue.
- Who says it: the chain that the policy names (`unresolved.chain`, `amendments.chain`); where several documents speak
  of the action, all of theirs, one after the other. Where none names one, one person is enough: of those whom the
  approval asked or could have, of those who may revoke it, or of the group that owns the target; and where that is
  nobody, of those who approve what is published. So nothing is beyond resolving: and if nobody of them is left in the
  directory, an approved action that remedies it ends it still.
- Nobody who could not have approved the action says how it ended: who asked for it, who wrote the policy that asked,
  who granted an exception, who runs its executor. The same where nobody was asked: who wrote what allows it would
  otherwise say that it went well, and an owner in the catalog is anybody's word. The proof is as strong as approving
  it would have needed, newcomers wait as long.
- Statements that say the same agree. An item is settled when those who agree fill every seat; whoever says something
  else later has changed their mind.
- A statement names the item in place of the proposal and its digest in place of the screen's, so that no vote and no
  statement about another item serves.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Literal

from policy.approval.standing import ApprovalCase, Ballot, Standing, stand
from policy.base import Instant, RecordModel
from policy.builtin import PUBLISH
from policy.canonical import canonical, digest
from policy.document import PolicyDocument, PolicySet
from policy.findings import Finding
from policy.judging import barred
from policy.outcome import Outcome
from policy.permit import entry_id
from policy.proposal import ActionProposal
from policy.reviewing import without_time
from policy.revision import Revision
from policy.rules.afterwards import DUE, REMIND_EVERY, Unresolved
from policy.rules.chains import MAX_STAGES, ApprovalChain, Mode, Requirement, Stage, owning
from policy.rules.stepping_up import ProofRule, with_proofs

ItemKind = Literal["unresolved", "amendment"]
_ENDLESS = timedelta(days=3650)
# Nobody: only an approved action that remedies it ends such an item.
_NOBODY = Requirement(groups=("nobody",))
_MOST_ASKED = 50


class Item(RecordModel):
    """One question about an action that has ended.

    Attributes:
        number: of an amendment, how many there are of this action with it; 1 of what is unresolved.
        people: who may not say it, by person id.
        owner: of the target, as the catalog names it.
        due_at: when an answer is due; None where none is.
        remind_seconds: how often it is paged again once it is overdue.
    """

    item_id: str
    kind: ItemKind
    number: int = 1
    proposal_id: str
    revision: int
    outcome: Outcome
    target: str
    people: tuple[str, ...]
    owner: str | None = None
    chain: ApprovalChain
    action_digest: str
    assessment_digest: str
    policy_digest: str
    opened_at: Instant
    due_at: Instant | None = None
    remind_seconds: int | None = None

    def case(self, ballots: tuple[Ballot, ...] = ()) -> ApprovalCase:
        """The question that is put to people, with the votes for one answer."""
        return ApprovalCase(
            chain=without_time(self.chain),
            opened_at=self.opened_at,
            absolute_deadline=self.opened_at + _ENDLESS,
            requesters=self.people,
            ballots=ballots,
        )

    def pages(self, at: datetime) -> int:
        """How often it should have been paged by an instant because it is overdue."""
        if self.due_at is None or at <= self.due_at:
            return 0
        every = self.remind_seconds
        return 1 if not every else 1 + int((at - self.due_at).total_seconds() // every)

    def looked_at_again(self, at: datetime) -> datetime | None:
        """When it becomes due next, after an instant; None where nothing does."""
        pages = self.pages(at)
        if self.due_at is None or not pages:
            return self.due_at
        return self.due_at + timedelta(seconds=pages * self.remind_seconds) if self.remind_seconds else None

    @property
    def body(self) -> bytes:
        """Its canonical bytes."""
        return canonical(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """What a statement names as `presented_digest`."""
        return digest(self.body)


class Said(RecordModel):
    """A statement that counts: whose, and what it says."""

    ballot: Ballot
    finding: Finding


def unresolved_item(
    proposal: ActionProposal,
    revision: Revision,
    assessment_digest: str,
    policy: PolicySet,
    *,
    outcome: Outcome,
    at: datetime,
) -> Item | None:
    """What people have to find out of an action that ended so; None where it has a definite state. Pure.

    Args:
        proposal: what was approved.
        revision: its newest assessment.
        assessment_digest: of that revision.
        policy: the one by which it was assessed.
        outcome: how it ended.
        at: the instant (UTC) of the end.
    """
    if not outcome.needs_hold:
        return None
    rules = [rule for document in _speaking(policy, revision) if (rule := document.unresolved) is not None]
    found = _item(proposal, revision, assessment_digest, policy, "unresolved", outcome, at)
    due = min((rule.due for rule in rules), default=DUE)
    every = min((rule.remind_every for rule in rules), default=REMIND_EVERY)
    return found.model_copy(update={"due_at": at + due, "remind_seconds": int(every.total_seconds())})


def amendment_item(
    proposal: ActionProposal,
    revision: Revision,
    assessment_digest: str,
    policy: PolicySet,
    *,
    outcome: Outcome,
    at: datetime,
    number: int,
) -> Item:
    """The question how an action ended as people know it now; pure. Parameters as above, but `policy` is the one in
    force, `at` the end of the action, and `number` how many amendments there are with this one.
    """
    return _item(proposal, revision, assessment_digest, policy, "amendment", outcome, at, number)


def made_of(recorded: Item, today: Item | None, revision: Revision) -> bool:
    """Whether a recorded item is what an action makes of it; pure.

    Args:
        recorded: as it was opened.
        today: what the rules make of it now.
        revision: of the action, from which it was made. Earlier releases kept nobody out but who does not approve it.
    """
    if today is None:
        return False
    before = today.model_copy(update={"people": barred(revision.facts, revision.evaluation)})
    return recorded in (today, before)


def item_id(proposal_id: str, kind: ItemKind, number: int = 1) -> str:
    """The one id that an item can have."""
    return entry_id(proposal_id, kind) if kind == "unresolved" else entry_id(proposal_id, kind, number)


def agreeing(said: Iterable[Said], finding: Finding) -> tuple[Ballot, ...]:
    """The ballots of whoever says this, by their newest statement, in order."""
    newest = {one.ballot.person_id: one for one in said}
    return tuple(one.ballot for one in newest.values() if one.finding == finding)


def standing_of(item: Item, said: tuple[Said, ...], finding: Finding | None, now: datetime) -> Standing:
    """How an item stands for one answer, at an instant (UTC); for none, as if nobody had said anything."""
    ballots = agreeing(said, finding) if finding is not None else ()
    return stand(item.case(ballots), now, deadline_counts_as_passed=False)


def settled(item: Item, said: tuple[Said, ...], now: datetime) -> Finding | None:
    """What an item came to; None while it is open."""
    if not said:
        return None
    finding = said[-1].finding
    return finding if standing_of(item, said, finding, now).resolution == "approved" else None


def _item(
    proposal: ActionProposal,
    revision: Revision,
    assessment_digest: str,
    policy: PolicySet,
    kind: ItemKind,
    outcome: Outcome,
    at: datetime,
    number: int = 1,
) -> Item:
    return Item(
        item_id=item_id(proposal.proposal_id, kind, number),
        kind=kind,
        number=number,
        proposal_id=proposal.proposal_id,
        revision=revision.revision,
        outcome=outcome,
        target=proposal.target_ref,
        people=_kept_out(revision, policy),
        owner=revision.facts.target_owner,
        chain=ApprovalChain(stages=tuple(_stages(revision, policy, kind))),
        action_digest=revision.action_digest,
        assessment_digest=assessment_digest,
        policy_digest=revision.documents.policy,
        opened_at=at,
    )


def _kept_out(revision: Revision, policy: PolicySet) -> tuple[str, ...]:
    """Who does not say how an action ended, though nobody may have been asked to approve it."""
    facts, evaluation = revision.facts, revision.evaluation
    wrote = {name for document in _speaking(policy, revision) for name in document.metadata.authors}
    granted = {name for item in evaluation.applied for name in item.approved_by}
    return tuple(sorted({*barred(facts, evaluation), *facts.operators, *wrote, *granted}))


def _speaking(policy: PolicySet, revision: Revision) -> tuple[PolicyDocument, ...]:
    """The documents that speak of an action."""
    facts = revision.facts
    return tuple(
        item for item in policy.documents if any(item.speaks_of(one, facts) for one in facts.operations.values())
    )


def _stages(revision: Revision, policy: PolicySet, kind: ItemKind) -> Iterator[Stage]:
    """Whom it is asked of, with the proofs and the waiting of newcomers that approving the action would have asked."""
    documents, facts, tier = _speaking(policy, revision), revision.facts, revision.assessment.risk_tier
    named = [document.chain(name) for document in documents if (name := _named(document, kind)) is not None]
    stages: list[Stage] = []
    for stage in (stage for chain in named for stage in chain.stages):
        stages += [stage] if stage not in stages else []
    rules: list[ProofRule] = [
        rule for document in documents for rule in document.proofs if rule.speaks_of(tier, facts.target_environment)
    ]
    waits = [item.newcomers.wait for item in documents if item.newcomers and tier in item.newcomers.tiers]
    for stage in stages[:MAX_STAGES] or (_anyone(revision, documents),):
        own = [stage.newcomer_wait] if stage.newcomer_wait is not None else []
        yield with_proofs(stage.model_copy(update={"newcomer_wait": max(waits + own, default=None)}), rules)


def _named(document: PolicyDocument, kind: ItemKind) -> str | None:
    rule = document.unresolved if kind == "unresolved" else document.amendments
    if isinstance(rule, Unresolved):
        return rule.chain
    return rule.chain if rule is not None else None


def _anyone(revision: Revision, documents: tuple[PolicyDocument, ...]) -> Stage:
    """One person of whoever has to do with the action, where the policy names nobody."""
    asked = tuple(dict.fromkeys(_asked(revision))) or tuple(dict.fromkeys(_governors(documents))) or (_NOBODY,)
    chain = revision.evaluation.chain
    proofs = tuple(dict.fromkeys(item for stage in (chain.stages if chain else ()) for item in stage.proofs))
    waits = [stage.newcomer_wait for stage in (chain.stages if chain else ()) if stage.newcomer_wait is not None]
    return Stage(
        name="afterwards",
        requirements=asked[:_MOST_ASKED],
        mode=Mode.any_of,
        deadline=_ENDLESS,
        proofs=proofs,
        newcomer_wait=max(waits, default=None),
    )


def _asked(revision: Revision) -> Iterator[Requirement]:
    """Whom the approval asked or could have, who may revoke, and who owns the target; each alone is enough."""
    chain, facts = revision.evaluation.chain, revision.facts
    for stage in chain.stages if chain is not None else ():
        yield from (requirement.model_copy(update={"count": 1}) for requirement in stage.requirements)
        steps = (*stage.escalations, *((stage.expiry_escalation,) if stage.expiry_escalation else ()))
        yield from (Requirement(groups=step.add_groups) for step in steps if step.add_groups)
    for rule in revision.evaluation.revocations:
        yield from (one for one in (rule.before, rule.during) if one is not None)
    yield from owning(facts.target_owner)


def _governors(documents: tuple[PolicyDocument, ...]) -> Iterator[Requirement]:
    """Whoever is asked when a document is published."""
    for document in documents:
        for rule in document.rules_about(PUBLISH):
            for choice in rule.choices:
                for stage in document.chain(choice.chain).stages:
                    yield from (requirement.model_copy(update={"count": 1}) for requirement in stage.requirements)
