"""The words of a notice: a subject line, a few lines, and how to look and answer; the same for every medium.

- What is not ours is in a piece that says so (`policy/screens/screen_pieces.py`), so that no name, reason or rationale
  has an effect where it is shown.
- What asks carries the notice of the screen: ten lines of what, how bad and how to undo (`screen_notice`).
- Every notice ends by how to look, and by saying that an answer to it is no decision.
- A digest has one line for each notice that it stands for, the earliest deadline first.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from policy.notices.notice import Item, Notice, NoticeKind, Subject
from policy.screen import Screen
from policy.screens.screen_markdown import markdown_line
from policy.screens.screen_pieces import Line, Named, Noted, Piece, Said, minute_text
from policy.screens.screen_plain import chat_line, notice_lines

SHOWN_ITEMS = 30
NO_VOTE = "This message decides nothing, and neither does an answer to it."
_FAR = datetime.max.replace(tzinfo=UTC)
_SENTENCE = 400
_OVERDUE = (NoticeKind.review_overdue, NoticeKind.unresolved_overdue)
_ENDED = (NoticeKind.lease_lapsed,)
_HALTS = {
    NoticeKind.halted: "is halted",
    NoticeKind.halt_released: "is not halted any more",
    NoticeKind.target_held: "is held",
    NoticeKind.target_released: "is not held any more",
}
_OF_TARGETS = (NoticeKind.target_held, NoticeKind.target_released)
_RESOLVE: Line = ("say what you found: countersign unresolved",)

_ITEMS: dict[NoticeKind, str] = {
    NoticeKind.stage_opened: "waits for you",
    NoticeKind.stage_reopened: "waits for you again",
    NoticeKind.reminder: "still waits for you",
    NoticeKind.escalated: "was escalated to you",
    NoticeKind.held: "is held until you release it",
    NoticeKind.info_requested: "has a question for you",
    NoticeKind.answered: "has an answer to your question",
    NoticeKind.vote_dropped: "does not count your vote any more",
    NoticeKind.superseded: "changed, your vote is void",
    NoticeKind.resolved: "was resolved",
    NoticeKind.outcome: "needs a person",
    NoticeKind.judging: "waits for somebody to accept or revoke it",
    NoticeKind.judging_ends: "still waits for somebody to accept or revoke it, and its time is nearly over",
    NoticeKind.denied_again: "is proposed again although you denied it",
    NoticeKind.break_glass: "went around its approval",
    NoticeKind.review_overdue: "was not reviewed in time",
    NoticeKind.unresolved_overdue: "is unresolved, and nobody said what they found",
    NoticeKind.amended: "ended otherwise than was recorded",
    NoticeKind.lease_lapsed: "has no result, and its lease ended: nobody is at work on it",
    NoticeKind.violation: "was changed without a permit",
}


def title(notice: Notice) -> str:
    """The subject of a mail; plain text in which nothing has an effect."""
    return chat_line(_head(notice))


def plain(notice: Notice, screen: Screen | None = None, *, link: str | None = None) -> str:
    """A notice as plain text.

    Args:
        notice: what is told.
        screen: what approvers are shown, where it asks and is known.
        link: the page of the action in the Temporal UI, where one is known.
    """
    return "\n".join(chat_line(line) for line in _lines(notice, screen, link))


def markdown(notice: Notice, screen: Screen | None = None, *, link: str | None = None) -> str:
    """A notice as markdown: the head line in bold, the others as a list. Parameters as for `plain`."""
    first, *others = _lines(notice, screen, link)
    return "\n".join([f"**{markdown_line(first)}**", "", *("- " + markdown_line(line) for line in others)])


def _lines(notice: Notice, screen: Screen | None, link: str | None) -> tuple[Line, ...]:
    asks = notice.kind.asks and screen is not None
    shown = notice_lines(screen)[1:] if asks and screen is not None else _look(notice)
    return (
        _head(notice),
        *_WRITERS.get(notice.kind, _nothing)(notice),
        *_deadline(notice),
        *shown,
        *(((f"temporal ui: {link}",),) if link else ()),
        (NO_VOTE,),
        (f"notice {notice.notice_id}",),
    )


def _head(notice: Notice) -> Line:
    where: Line
    if notice.kind is NoticeKind.digest:
        return (f"countersign: {len(notice.items) + notice.more} things wait to be read",)
    if notice.kind is NoticeKind.undelivered:
        return ("countersign: notices are not delivered by ", *_names(notice.by))
    if notice.kind in _HALTS:
        thing = "target " if notice.kind in _OF_TARGETS else "environment "
        where = (thing, Named(notice.word)) if notice.word else ("everything",)
        return ("countersign: ", *where, f" {_HALTS[notice.kind]}")
    if notice.kind is NoticeKind.violation:
        return ("countersign: changed without a permit that allows it: ", Named(notice.word))
    word = notice.word.replace("_", " ")
    what = {NoticeKind.resolved: word, NoticeKind.outcome: f"a person is needed, {word}"}.get(notice.kind)
    subject: Line = (": ", *_subject(notice.subject)) if notice.subject else ()
    return (f"countersign: {what or _ITEMS[notice.kind]}", *subject)


def _subject(subject: Subject) -> Line:
    dry = "dry run of " if subject.dry_run else ""
    bad = f", {subject.risk_tier}, {subject.risk_score} of 100"
    return (dry, Named(subject.operation), " on ", Named(subject.target), " in ", Named(subject.environment), bad)


def _nothing(_: Notice) -> tuple[Line, ...]:
    return ()


def _stage(notice: Notice) -> tuple[Line, ...]:
    reason: tuple[Line, ...] = (("because: ", Noted(notice.text, _SENTENCE)),) if notice.text else ()
    missing = "; ".join(notice.missing)
    still: Line = (", still missing: ", Noted(missing, _SENTENCE)) if missing else ()
    return ((f"stage {notice.stage}, ", Named(notice.stage_name), *still), *reason)


def _said(notice: Notice) -> tuple[Line, ...]:
    what = "asks" if notice.kind is NoticeKind.info_requested else "answers"
    return ((*_names(notice.by), f" {what}: ", Said(notice.text, _SENTENCE)),)


def _reason(notice: Notice) -> tuple[Line, ...]:
    return (("because: ", Noted(notice.text, _SENTENCE)),) if notice.text else ()


def _changed(notice: Notice) -> tuple[Line, ...]:
    revision = notice.subject.revision if notice.subject else 0
    return (("what changed: ", Noted(notice.text, _SENTENCE)), (f"revision {revision} is what is asked about now",))


def _resolution(notice: Notice) -> tuple[Line, ...]:
    by: tuple[Line, ...] = (("voted: ", *_names(notice.by)),) if notice.by else ()
    return (*_reason(notice), *by)


def _earlier(notice: Notice) -> tuple[Line, ...]:
    return (("denied as ", *_names(notice.by)),)


def _glass(notice: Notice) -> tuple[Line, ...]:
    return ((*_names(notice.by), " broke the glass: ", Said(notice.text, _SENTENCE)),)


def _review(notice: Notice) -> tuple[Line, ...]:
    return (("nobody has reviewed yet what ", *_names(notice.by), " did"),)


def _unresolved(notice: Notice) -> tuple[Line, ...]:
    return ((f"its outcome is {notice.word.replace('_', ' ')}, and its target is under hold",), _RESOLVE)


def _amended(notice: Notice) -> tuple[Line, ...]:
    by: tuple[Line, ...] = (("said by ", *_names(notice.by)),) if notice.by else ()
    return ((f"known now: {notice.word.replace('_', ' ')}",), *_reason(notice), *by)


def _halt(notice: Notice) -> tuple[Line, ...]:
    by: Line = ("by ", *_names(notice.by)) if notice.by else ("nobody has proved by whom; it halts all the same",)
    look = "countersign holds" if notice.kind in _OF_TARGETS else "countersign halt list"
    return (by, *_reason(notice), (f"look: {look}",))


def _lapsed(_: Notice) -> tuple[Line, ...]:
    return (("what it had is free for others; its workflow is gone or stuck, or nobody claimed its permit",),)


def _violation(notice: Notice) -> tuple[Line, ...]:
    by: tuple[Line, ...] = (("done by ", *_names(notice.by)),) if notice.by else ()
    look: Line = ("look: countersign detect --target ", Named(notice.word))
    return (("its own trail says: ", Noted(notice.text, _SENTENCE)), *by, look)


def _channel(notice: Notice) -> tuple[Line, ...]:
    return (("the last failure: ", Noted(notice.text, _SENTENCE)), ("look: countersign notices --undelivered",))


def _digest(notice: Notice) -> tuple[Line, ...]:
    ordered = sorted(notice.items, key=lambda item: item.deadline or _FAR)
    lines = tuple(_item(item) for item in ordered[:SHOWN_ITEMS])
    more = len(ordered) - len(lines) + notice.more
    return (*lines, *(((f"and {more} more: countersign list",),) if more else ()))


def _item(item: Item) -> Line:
    until = f" (until {minute_text(item.deadline)})" if item.deadline else ""
    if item.subject is None:
        return (f"{item.kind.replace('_', ' ')}{until}",)
    return (Named(item.subject.proposal_id), f" {_ITEMS[item.kind]}{until}: ", *_subject(item.subject))


def _deadline(notice: Notice) -> tuple[Line, ...]:
    if notice.deadline is None:
        return ()
    word = "was due" if notice.kind in _OVERDUE else "ended at" if notice.kind in _ENDED else "answers count until"
    return ((f"{word} {minute_text(notice.deadline)}",),)


def _look(notice: Notice) -> tuple[Line, ...]:
    if notice.subject is None:
        return ()
    answer = "look and answer" if notice.kind.asks or notice.kind is NoticeKind.info_requested else "look"
    return ((f"{answer}: countersign show ", Named(notice.subject.proposal_id)),)


def _names(names: tuple[str, ...]) -> Line:
    pieces: list[str | Piece] = []
    for name in names[:10]:
        pieces += [", ", Named(name)] if pieces else [Named(name)]
    return (*pieces, f" and {len(names) - 10} more") if len(names) > 10 else tuple(pieces)  # noqa: PLR2004


_WRITERS: dict[NoticeKind, Callable[[Notice], tuple[Line, ...]]] = {
    **{kind: _stage for kind in NoticeKind if kind.asks},
    NoticeKind.info_requested: _said,
    NoticeKind.answered: _said,
    NoticeKind.vote_dropped: _reason,
    NoticeKind.superseded: _changed,
    NoticeKind.resolved: _resolution,
    NoticeKind.outcome: _reason,
    NoticeKind.judging: _reason,
    NoticeKind.judging_ends: _reason,
    NoticeKind.denied_again: _earlier,
    NoticeKind.break_glass: _glass,
    NoticeKind.review_overdue: _review,
    NoticeKind.unresolved_overdue: _unresolved,
    NoticeKind.amended: _amended,
    **dict.fromkeys(_HALTS, _halt),
    NoticeKind.lease_lapsed: _lapsed,
    NoticeKind.violation: _violation,
    NoticeKind.undelivered: _channel,
    NoticeKind.digest: _digest,
}
