"""What else is told: what one person says to another through a case, and what the record did to a vote.

- A question goes to whom it asks, its answer to who asked.
- A vote that counts no longer, and a revision that takes the place of another, are told to those who voted.
- A hold is told to those who may release it. Who may be told that a denied effect comes again is who denied it.
- Break-glass is urgent, and told to those who will review it as soon as it is approved. An overdue review is urgent,
  too. Neither is told to whoever stands behind it.
- What is unresolved and overdue is urgent each time that it is told. How an action ended after all is told to whoever
  asked for it, and to the owner of its target.
- A halt, its end, and a lease that ended though its action did not are urgent, and told to the operators.
- What a target's own trail says that nobody authorized is told to the operators: once for each look at a trail that
  found something new, urgently.
- A channel that gave up is told to the operators, once an hour for each channel.
- A digest stands for several notices to one person or group; the same ones make the same digest.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from policy.approval.ballot import Ballot
from policy.approval.standing import StageStanding
from policy.canonical import digest_of
from policy.findings import Finding
from policy.halting import HaltFact
from policy.items import Item as AboutItem
from policy.notices.notice import Asked, Audience, Item, Notice, NoticeKind, Urgency
from policy.notices.occasions import About, asked_by, owner_groups
from policy.rules.chains import ApprovalChain

_LISTED = 100
_SIGNS = 10
_URGENT = (
    NoticeKind.break_glass,
    NoticeKind.review_overdue,
    NoticeKind.unresolved_overdue,
    NoticeKind.halted,
    NoticeKind.halt_released,
    NoticeKind.target_held,
    NoticeKind.target_released,
    NoticeKind.lease_lapsed,
)


def said(case: About, ballot: Ballot, ballots: tuple[Ballot, ...], stage: StageStanding) -> tuple[Notice, ...]:
    """What a decision says to one person: a question or an answer.

    Args:
        case: what is told of.
        ballot: the decision that was counted.
        ballots: those before it.
        stage: the one that is open.
    """
    if ballot.vote == "request_info":
        people = (ballot.asked,) if ballot.asked else case.requesters
        found = _told(case, NoticeKind.info_requested, people, ballot.received_at, ballot.decision_id)
    elif ballot.vote == "answer":
        askers = tuple(item.person_id for item in ballots if item.decision_id == ballot.answers)
        if not askers:
            return ()
        found = _told(case, NoticeKind.answered, askers, ballot.received_at, ballot.decision_id)
    else:
        return ()
    passed_on = {"by": (ballot.person_id,), "text": ballot.justification}
    where = {"stage": stage.number, "stage_name": stage.name, "deadline": stage.deadline}
    return (found.model_copy(update={**passed_on, **where}),)


def vote_dropped(case: About, person: str, decision_id: str, reason: str, at: datetime) -> Notice:
    """Whose vote counts no longer is told why."""
    return _told(case, NoticeKind.vote_dropped, (person,), at, decision_id).model_copy(update={"text": reason})


def superseded(case: About, voters: tuple[str, ...], changes: str, at: datetime) -> Notice:
    """Those who voted are told what changed, and that the revision of `case` is what is asked about now."""
    return _told(case, NoticeKind.superseded, voters, at).model_copy(update={"text": changes})


def held(case: About, who: Asked, stage: StageStanding, reason: str, at: datetime) -> Notice:
    """Those who may release what is held are told that it waits for them."""
    told = _told(case, NoticeKind.held, (), at, stage.number)
    audience = Audience(asked=(who,), without=case.barred, on_call_first=True)
    where = {"stage": stage.number, "stage_name": stage.name}
    return told.model_copy(update={"audience": audience, "text": reason, **where})


def denied_again(case: About, deniers: tuple[str, ...], earlier: tuple[str, ...], at: datetime) -> Notice:
    """Those who denied the same effect as `earlier` proposals are told that it is proposed again."""
    return _told(case, NoticeKind.denied_again, deniers, at).model_copy(update={"by": earlier})


def break_glass(case: About, reviewers: ApprovalChain, reason: str, at: datetime) -> Notice:
    """Those who will review what ran by a broken glass are told who broke it, and why they say they did."""
    told = _told(case, NoticeKind.break_glass, (), at)
    audience = Audience(asked=_anybody(reviewers), without=case.requesters, operators=True, platform=True)
    return told.model_copy(update={"audience": audience, "by": case.requesters, "text": reason})


def review_overdue(case: About, reviewers: ApprovalChain, deadline: datetime, at: datetime) -> Notice:
    """Those who should have reviewed what the people of a case did, and the operators, are told that nobody has."""
    told = _told(case, NoticeKind.review_overdue, (), at)
    audience = Audience(asked=_anybody(reviewers), without=case.requesters, operators=True)
    return told.model_copy(update={"audience": audience, "by": case.requesters, "deadline": deadline})


def unresolved_overdue(case: About, item: AboutItem, page: int, at: datetime) -> Notice:
    """The target's owner, those who may say what they found, and the operators are told that nobody has; every `page`
    is a notice of its own.
    """
    told = _told(case, NoticeKind.unresolved_overdue, (), at, page)
    audience = Audience(
        asked=_anybody(item.chain), groups=owner_groups(item.owner), without=item.people, operators=True
    )
    return told.model_copy(update={"audience": audience, "word": str(item.outcome), "deadline": item.due_at})


def amended(case: About, item: AboutItem, finding: Finding, by: tuple[str, ...], at: datetime) -> Notice:
    """Whoever asks, the target's owner, the operators and the platforms are told how an action ended after all."""
    told = _told(case, NoticeKind.amended, case.requesters, at, item.item_id)
    audience = told.audience.model_copy(
        update={"groups": owner_groups(item.owner), "operators": True, "platform": True}
    )
    said = [f"it was {item.outcome}"]
    said += [f"repaired by {finding.repaired_by}"] if finding.repaired_by else []
    said += [f"incident {finding.incident}"] if finding.incident else []
    more = {"audience": audience, "by": by, "word": str(finding.outcome), "text": "; ".join(said)}
    return told.model_copy(update=more)


def violation(resource: str, found: Sequence[Mapping[str, Any]], at: datetime) -> Notice | None:
    """The operators are told what one look at a trail found that nobody authorized; None where it found nothing.

    Args:
        resource: whose trail it is.
        found: what the new entries say (`policy/trails.py`).
        at: the instant (UTC) of the look.
    """
    if not found:
        return None
    trails = [content["trail"] for content in found]
    counted = Counter(str(trail["sign"]) for trail in trails)
    names = dict.fromkeys(str(trail["actor"]) for trail in trails if trail.get("actor"))
    signs = "; ".join(f"{number} {sign.replace('_', ' ')}" for sign, number in sorted(counted.items()))
    key = f"{resource}/{digest_of(trails)}"
    return _to_operators(NoticeKind.violation, key, at, by=tuple(names)[:_SIGNS], word=resource, text=signs)


def _anybody(chain: ApprovalChain) -> tuple[Asked, ...]:
    """Whomever any stage of a chain asks."""
    return tuple(dict.fromkeys(asked_by(item) for stage in chain.stages for item in stage.requirements))


def halted(halt: HaltFact, by: str | None, at: datetime) -> Notice:
    """The operators are told what is halted, or which target is held; `by` who proved that, None where nobody."""
    kind = NoticeKind.target_held if halt.target is not None else NoticeKind.halted
    return _of_halt(kind, halt, (by,) if by else (), halt.reason, at)


def halt_released(halt: HaltFact, by: tuple[str, ...], at: datetime) -> Notice:
    """The operators are told that a halt ended, and by whom."""
    kind = NoticeKind.target_released if halt.target is not None else NoticeKind.halt_released
    return _of_halt(kind, halt, by, f"it was placed for: {halt.reason}", at)


def lease_lapsed(case: About, until: datetime, at: datetime) -> Notice:
    """The operators are told that a lease ended though its action has no result: nobody is at work on it."""
    told = _told(case, NoticeKind.lease_lapsed, (), at, until.isoformat())
    return told.model_copy(update={"audience": Audience(operators=True), "deadline": until})


def _of_halt(kind: NoticeKind, halt: HaltFact, by: tuple[str, ...], text: str, at: datetime) -> Notice:
    return _to_operators(kind, halt.halt_id, at, by=by, word=halt.target or halt.environment or "", text=text)


def _to_operators(kind: NoticeKind, key: str, at: datetime, **says: Any) -> Notice:
    """A notice to the operators, to be sent at once; `key` is what it is about, of all notices of its kind."""
    return Notice(
        key=f"{kind}/{key}",
        kind=kind,
        urgency=Urgency.urgent,
        audience=Audience(operators=True),
        at=at,
        not_before=at,
        **says,
    )


def undelivered(channel: str, notice: Notice, reason: str, at: datetime) -> Notice | None:
    """The operators are told that a channel gave up; None where that itself is what could not be told."""
    if notice.kind is NoticeKind.undelivered:
        return None
    return _to_operators(NoticeKind.undelivered, f"{channel}/{at:%Y-%m-%dT%H}", at, by=(channel,), text=reason)


def digest_notice(name: tuple[str, str], members: Sequence[Notice], now: datetime) -> Notice:
    """The one notice that stands for several.

    Args:
        name: kind and name of the one person or group that all of them are for.
        members: what it stands for.
        now: the instant (UTC).
    """
    ids = sorted(member.notice_id for member in members)
    shown = members[:_LISTED]
    return Notice(
        key=f"digest/{name[0]}/{name[1]}/{digest_of(ids)}",
        kind=NoticeKind.digest,
        urgency=Urgency.normal,
        audience=Audience(people=(name[1],)),
        at=now,
        not_before=now,
        items=tuple(
            Item(kind=one.kind, subject=one.subject, stage_name=one.stage_name, deadline=one.deadline) for one in shown
        ),
        more=len(members) - len(shown),
    )


def _told(case: About, kind: NoticeKind, people: tuple[str, ...], at: datetime, *parts: object) -> Notice:
    return Notice(
        key=case.key(kind, *parts),
        kind=kind,
        urgency=Urgency.urgent if kind in _URGENT else Urgency.normal,
        audience=Audience(people=tuple(dict.fromkeys(people))),
        at=at,
        not_before=at,
        subject=case.subject,
    )
