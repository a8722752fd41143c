"""What happened to a case, as notices: stages that open, time that passes, the resolution, the outcome.

- A stage that opens tells whom it asks; whoever is on call first. A stage that opens again says so.
- A reminder tells those who are asked and have neither voted nor said that they are looking. An escalation tells those
  whom it adds.
- A resolution tells those who voted, whoever asks, and the platforms. An outcome that needs a person is urgent.
- Who asks is never told to answer: they cannot.
- An allowed action asks nobody, so that none of this is ever made of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from policy.approval.escalation import Due
from policy.approval.standing import StageStanding, Standing
from policy.base import Reason, instant_text
from policy.judging import barred
from policy.notices.notice import Asked, Audience, Notice, NoticeKind, Subject, Urgency
from policy.outcome import Outcome
from policy.proposal import ActionProposal
from policy.revision import Revision
from policy.rules.chains import ApprovalChain, ExpiryVerb, Requirement, Stage
from policy.undecided import WORDS, Judging

# From here on somebody is asked by every channel at once.
_LOUD_TIERS = ("critical",)


@dataclass(frozen=True)
class About:
    """The case that is told of.

    Attributes:
        chain: the question; None where nobody is asked.
        requesters: person ids of who asks.
        barred: person ids of who may not approve.
        owner: of the target, as the catalog names it.

    """

    subject: Subject
    chain: ApprovalChain | None
    requesters: tuple[str, ...]
    barred: tuple[str, ...]
    owner: str | None

    def key(self, kind: NoticeKind, *parts: object) -> str:
        """The deduplication key of something that happens once."""
        return "/".join([str(kind), self.subject.proposal_id, str(self.subject.revision), *map(str, parts)])


def about(proposal: ActionProposal, revision: Revision) -> About:
    """What is told of a revision."""
    subject = Subject(
        proposal_id=proposal.proposal_id,
        revision=revision.revision,
        operation=proposal.operation,
        target=proposal.target,
        environment=proposal.environment,
        risk_tier=str(revision.assessment.risk_tier),
        risk_score=revision.assessment.risk_score,
        dry_run=proposal.dry_run,
    )
    facts, evaluation = revision.facts, revision.evaluation
    return About(subject, evaluation.chain, facts.requesters, barred(facts, evaluation), facts.target_owner)


def notices_of(case: About, before: Standing | None, after: Standing | None, at: datetime) -> tuple[Notice, ...]:
    """What the difference of two standings has to tell about stages; a resolution is told by `resolved`.

    Args:
        case: what is told of.
        before: how it stood; None where it was not there yet.
        after: how it stands; None where nobody is asked.
        at: the instant (UTC) of what happened.
    """
    if after is None or after.resolution != "pending" or case.chain is None:
        return ()
    now, then = after.current, before.current if before is not None else None
    if then is not None and (then.number, then.opened_at) == (now.number, now.opened_at):
        return ()
    again = then is not None and now.number <= then.number
    kind = NoticeKind.stage_reopened if again else NoticeKind.stage_opened
    audience = Audience(asked=_asked(case.chain, now), without=case.barred, on_call_first=True)
    return (_asking(case, kind, now, audience, at, now.opened_at or at),)


def due(case: About, standing: Standing, passed: Sequence[Due], at: datetime) -> tuple[Notice, ...]:
    """What reminders and escalations have to tell that became due.

    Args:
        case: what is told of.
        standing: how it stands now.
        passed: those that are due, told before or not.
        at: the instant (UTC).
    """
    if case.chain is None or standing.resolution != "pending":
        return ()
    found = []
    for item in passed:
        if item.stage != standing.current.number:
            continue
        stage = case.chain.stages[item.stage - 1]
        if item.kind == "deadline" and stage.on_expiry is ExpiryVerb.hold:
            found.append(_held(case, stage, standing, item, at))
            continue
        step = stage.expiry_escalation if item.kind == "deadline" else None
        step = stage.escalations[item.index] if item.kind == "escalation" else step
        if step is None:
            found.append(_reminder(case, case.chain, standing, item, at))
            continue
        # Whom `to` finds is known to whoever looked it up, and told with `escalated`.
        if step.add_groups:
            found.append(escalated(case, standing.current, step.add_groups, (), step.reason, item.at, at))
    return tuple(found)


def escalated(
    case: About,
    stage: StageStanding,
    groups: tuple[str, ...],
    people: tuple[str, ...],
    reason: str,
    since: datetime,
    at: datetime,
) -> Notice:
    """Those whom an escalation adds are told, with its reason; `since` is when it became due."""
    audience = Audience(
        asked=(Asked(groups=groups, people=people),) if groups or people else (),
        without=case.barred,
        on_call_first=True,
    )
    notice = _asking(case, NoticeKind.escalated, stage, audience, at, since, *groups, *people)
    return notice.model_copy(update={"text": reason})


def resolved(
    case: About, standing: Standing, resolution: str, reasons: tuple[Reason, ...], at: datetime
) -> tuple[Notice, ...]:
    """Those who voted, whoever asks and the platforms are told how a case was resolved.

    Args:
        case: what is told of.
        standing: how it stood when it was resolved; that says who voted.
        resolution: in one word.
        reasons: of the resolution.
        at: the instant (UTC).
    """
    if resolution == "pending":
        return ()
    voters = tuple(person for stage in standing.stages for person in (*stage.approvals, *stage.denials))
    people = tuple(dict.fromkeys((*voters, *case.requesters)))
    return (
        Notice(
            key=case.key(NoticeKind.resolved),
            kind=NoticeKind.resolved,
            urgency=Urgency.routine,
            audience=Audience(people=people, platform=True),
            at=at,
            not_before=at,
            subject=case.subject,
            by=voters,
            word=resolution,
            text=_text(reasons),
        ),
    )


def outcome(case: About, ended: Outcome, reasons: tuple[Reason, ...], at: datetime) -> tuple[Notice, ...]:
    """An outcome that needs a person is told to the target's owner, whoever asks, the operators and the platforms."""
    if not ended.needs_hold:
        return ()
    return (
        Notice(
            key=case.key(NoticeKind.outcome),
            kind=NoticeKind.outcome,
            urgency=Urgency.urgent,
            audience=Audience(groups=owner_groups(case.owner), people=case.requesters, operators=True, platform=True),
            at=at,
            not_before=at,
            subject=case.subject,
            word=str(ended),
            text=_text(reasons),
        ),
    )


def judging(case: About, rule: Judging, until: datetime, at: datetime) -> Notice:
    """That a step is inconclusive is told to those who were asked, the target's owner and whoever asks: until when
    somebody may accept or revoke it, and what happens then.
    """
    return _judging(case, NoticeKind.judging, rule, until, at)


def judging_ends(case: About, rule: Judging, until: datetime, at: datetime) -> Notice:
    """The same people are told again that nobody has said anything, before the verb of the policy applies."""
    return _judging(case, NoticeKind.judging_ends, rule, until, at)


def _judging(case: About, kind: NoticeKind, rule: Judging, until: datetime, at: datetime) -> Notice:
    asked = [
        group
        for stage in (case.chain.stages if case.chain else ())
        for each in stage.requirements
        for group in each.groups
    ]
    text = f"nobody can tell whether it is good; if nobody says by {instant_text(until)}, {WORDS[rule.on_expiry]}"
    return Notice(
        key=case.key(kind),
        kind=kind,
        urgency=Urgency.urgent,
        audience=Audience(
            groups=tuple(dict.fromkeys((*owner_groups(case.owner), *asked))), people=case.requesters, operators=True
        ),
        at=at,
        not_before=at,
        subject=case.subject,
        deadline=until,
        text=text,
    )


def owner_groups(owner: str | None) -> tuple[str, ...]:
    """The group that owns a target, as the directory names it."""
    return (owner.rpartition("/")[2],) if owner else ()


def _held(case: About, stage: Stage, standing: Standing, item: Due, at: datetime) -> Notice:
    """Those who may release a stage are told that it waits for them."""
    release = (stage.release,) if stage.release is not None else stage.requirements
    audience = Audience(asked=tuple(map(asked_by, release)), without=case.barred, on_call_first=True)
    told = _asking(case, NoticeKind.held, standing.current, audience, at, item.at)
    return told.model_copy(update={"text": item.text})


def _reminder(case: About, chain: ApprovalChain, standing: Standing, item: Due, at: datetime) -> Notice:
    stage = standing.current
    silent = (*case.barred, *stage.acknowledged, *stage.approvals, *stage.denials, *standing.recused)
    audience = Audience(asked=_asked(chain, stage), without=tuple(dict.fromkeys(silent)))
    return _asking(case, NoticeKind.reminder, stage, audience, at, item.at)


def _asking(
    case: About,
    kind: NoticeKind,
    stage: StageStanding,
    audience: Audience,
    at: datetime,
    since: datetime,
    *parts: str,
) -> Notice:
    loud = case.subject.risk_tier in _LOUD_TIERS and kind is not NoticeKind.reminder
    return Notice(
        key=case.key(kind, stage.number, instant_text(since), *parts),
        kind=kind,
        urgency=Urgency.urgent if loud else Urgency.normal,
        audience=audience,
        at=at,
        not_before=at,
        subject=case.subject,
        stage=stage.number,
        stage_name=stage.name,
        deadline=stage.deadline,
        missing=stage.missing,
    )


def asked_by(requirement: Requirement) -> Asked:
    """Whom a requirement asks; its condition is asked of nobody who is told."""
    return Asked(
        groups=requirement.groups,
        people=requirement.people,
        roles=requirement.roles,
        qualifications=requirement.qualifications,
        count=requirement.count,
    )


def _asked(chain: ApprovalChain, stage: StageStanding) -> tuple[Asked, ...]:
    """Whom the stage asks: by the chain and with the groups that were added since, or as somebody was looked up."""
    if stage.asked:
        return tuple(asked_by(item) for item in stage.asked)
    found = [asked_by(item) for item in chain.stages[stage.number - 1].requirements]
    known = {group for item in found for group in item.groups}
    added = tuple(group for group in stage.groups if group not in known)
    return (*found, *((Asked(groups=added),) if added else ()))


def _text(reasons: tuple[Reason, ...]) -> str:
    return "; ".join(reason.message for reason in reasons)
