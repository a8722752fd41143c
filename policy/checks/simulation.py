"""What a candidate policy would have said of actions: nothing is proposed, stored, asked or run.

- A past action is judged by the facts that were recorded when it was assessed. Where the candidate answers otherwise,
  the policy is the only cause: the answer of then is computed again under today's code, by the policy of then.
- A proposal that was never made is judged by the documents that are given, with nothing observed: no history, no holds,
  nothing in flight. So what depends on those looks better or worse than it would be, and the report says so.
- Approvals are counted as seats of the chain: what would have been asked if nobody denied.
- An action that would have been stopped is shown with how it really ended. Stopping what succeeded is the price of a
  rule, stopping what failed is its use; the report names both and weighs neither.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from policy.audit import AuditFile, GovernedDocuments, read_entries
from policy.canonical import parse_json
from policy.checks.satisfiability import satisfiability
from policy.document import PolicySet
from policy.errors import AuditError
from policy.evaluation import Evaluation
from policy.facts import Facts
from policy.judging import judge
from policy.ledger import EntryKind
from policy.people.age import stale_directory
from policy.people.directory import Directory
from policy.proposal import ActionProposal, receive
from policy.revision import Revision
from policy.rules.chains import ApprovalChain, Verdict


@dataclass(frozen=True)
class PastAction:
    """An action to be judged again.

    Attributes:
        name: its proposal id.
        at: when it was assessed (UTC).
        proposal: what was asked for.
        facts: what was known then.
        before: the policy that judged it then.
        directory: the people of then, or of today.
        outcome: how it really ended; empty where it never ran or has not ended.
    """

    name: str
    at: datetime
    proposal: ActionProposal
    facts: Facts
    before: PolicySet
    directory: Directory
    outcome: str = ""


@dataclass(frozen=True)
class Simulated:
    """One action under both policies.

    `stuck` says why nobody could approve it, `stale` why its directory was too old to issue a permit by; empty where
    neither is so.
    """

    name: str
    at: datetime
    before: Evaluation
    after: Evaluation
    outcome: str = ""
    stuck: str = ""
    stale: str = ""

    @property
    def changed(self) -> bool:
        """Whether the answer is another: the verdict, or who is asked."""
        return (self.before.verdict, self.before.chain) != (self.after.verdict, self.after.chain)

    @property
    def stricter(self) -> bool:
        """Whether the verdict is stricter."""
        return self.after.verdict.strictness > self.before.verdict.strictness

    @property
    def stopped(self) -> bool:
        """Whether it would have been denied, and was not."""
        return self.after.verdict is Verdict.deny and self.before.verdict is not Verdict.deny


@dataclass(frozen=True)
class Simulation:
    """What a candidate would have changed, over all actions.

    Attributes:
        actions: each, in the order given.
        verdicts: how many went from which verdict to which.
        extra: approvals that are asked for besides those of before (less where negative), by group and day (UTC).
        skipped: what could not be judged, and why.
    """

    actions: tuple[Simulated, ...]
    verdicts: Mapping[tuple[Verdict, Verdict], int]
    extra: Mapping[tuple[str, str], int]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def changed(self) -> tuple[Simulated, ...]:
        return tuple(item for item in self.actions if item.changed)

    @property
    def stopped(self) -> tuple[Simulated, ...]:
        return tuple(item for item in self.actions if item.stopped)

    @property
    def stuck(self) -> tuple[Simulated, ...]:
        return tuple(item for item in self.actions if item.stuck)


def _seats(chain: ApprovalChain | None, day: str) -> Counter[tuple[str, str]]:
    """How many approvals a chain asks for, by group and day."""
    found: Counter[tuple[str, str]] = Counter()
    for stage in chain.stages if chain is not None else ():
        for requirement in stage.requirements:
            found[requirement.wanted, day] += requirement.count
    return found


def simulate(
    candidate: PolicySet, actions: Iterable[PastAction], skipped: Sequence[tuple[str, str]] = ()
) -> Simulation:
    """Judge actions under a candidate policy; pure.

    Args:
        candidate: the policy as it would be in force.
        actions: each with the policy that it is compared with.
        skipped: what could not be read, by name, and why; handed on.
    """
    found = tuple(_simulated(candidate, action) for action in actions)
    extra: Counter[tuple[str, str]] = Counter()
    for item in found:
        day = item.at.date().isoformat()
        extra.update(_seats(item.after.chain, day))
        extra.subtract(_seats(item.before.chain, day))
    return Simulation(
        actions=found,
        verdicts=dict(Counter((item.before.verdict, item.after.verdict) for item in found)),
        extra={key: count for key, count in sorted(extra.items()) if count},
        skipped=tuple(skipped),
    )


def _simulated(candidate: PolicySet, action: PastAction) -> Simulated:
    before = judge(action.before, action.proposal, action.facts).evaluation
    after = judge(candidate, action.proposal, action.facts).evaluation
    return Simulated(
        name=action.name,
        at=action.at,
        before=before,
        after=after,
        outcome=action.outcome,
        stuck=_stuck(after, action),
        stale=_stale(candidate, after, action),
    )


def _stale(candidate: PolicySet, evaluation: Evaluation, action: PastAction) -> str:
    """Why no permit would be issued by the directory that was in force; empty where one would be, or it is denied."""
    stale = stale_directory(action.facts.observed.directory_at, candidate.max_directory_age, action.at)
    return stale.message if stale is not None and evaluation.verdict is not Verdict.deny else ""


def _stuck(evaluation: Evaluation, action: PastAction) -> str:
    """Why nobody of the directory could approve what is asked; empty where somebody could."""
    if evaluation.chain is None:
        return ""
    behind = {*action.facts.requesters, *(name for item in evaluation.excluded for name in item.people)}
    found = satisfiability(evaluation.chain, action.directory, action.at, sorted(behind))
    return f"nobody is left for {', '.join(found.missing)}" if found.missing else ""


def past_action(file: AuditFile) -> PastAction:
    """The action of an audit file, as it was first assessed.

    Raises:
        AuditError: the file does not say what is needed, and what is missing.
    """
    entries, findings = read_entries(file)
    if findings:
        raise AuditError(f"its ledger does not hold together: {findings[0]}")
    assessed = next((entry for entry in entries if entry.kind is EntryKind.assessed), None)
    if assessed is None or file.proposal is None:
        raise AuditError("it was never assessed")
    revision = Revision.model_validate(assessed.content["revision"])
    documents = GovernedDocuments(file.documents)
    result = parse_json(file.result.encode()) if file.result is not None else {}
    return PastAction(
        name=file.proposal_id,
        at=revision.assessed_at,
        proposal=receive(parse_json(file.proposal.encode())).proposal,
        facts=revision.facts,
        before=documents.policy(revision.documents.policy),
        directory=documents.directory(revision.documents.directory),
        outcome=str(result.get("outcome", "")),
    )
