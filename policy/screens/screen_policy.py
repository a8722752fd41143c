"""What the policy says: a section of the screen in words (`policy/screens/screen_text.py`).

- That it is held; the reasons; which rule decided; what lets it through that would else be stopped, by whom, until
  when; what rules would have said that are not enforced yet; who asks, by whose signature, and who may not answer.
"""

from collections.abc import Iterator, Sequence

from policy.evaluation import AppliedException
from policy.rules.chains import Verdict
from policy.screen import Screen
from policy.screens.screen_pieces import Line, Named, Noted, duration_text, minute_text, names_of

SHOWN_NOTES, SHOWN_EXCEPTIONS, SHOWN_PEOPLE = 3, 3, 6


def answered(screen: Screen) -> tuple[Line, ...]:
    """The answer of the policy, and everybody whom it names."""
    behind: Line = ("asked by ", *_people(screen.requesters), " through ", Named(screen.agent))
    return (
        *_held(screen),
        *((Noted(item),) for item in screen.policy),
        *_decided(screen),
        *_let_through(screen),
        *_noted(screen),
        (*behind, f"; ends at {minute_text(screen.absolute_deadline)} at the latest"),
        *([("the proposal is ", Noted(screen.signature))] if screen.signature else ()),
        *((*_people(item.people), " may not answer: ", Noted(item.reason)) for item in screen.excluded),
    )


def _people(names: Sequence[str]) -> Line:
    return names_of(names[:SHOWN_PEOPLE], len(names))


def _held(screen: Screen) -> Iterator[Line]:
    """That it is held, and not only asked about."""
    if screen.verdict is Verdict.hold:
        yield ("HELD by the policy: nothing runs until the people who are asked release it",)


def _decided(screen: Screen) -> Iterator[Line]:
    """Which rule of which document decided."""
    if screen.decided_by:
        where: Line = (" of ", Named(screen.decided_in)) if screen.decided_in else ()
        yield ("decided by ", Named(screen.decided_by), *where)


def _let_through(screen: Screen) -> Iterator[Line]:
    """What lets it through that would else be stopped, and until when."""
    if screen.break_glass:
        review = "" if screen.review_seconds is None else f", reviewed within {duration_text(screen.review_seconds)}"
        yield ("BREAK-GLASS ", Named(screen.break_glass), f": the chain is that of an emergency{review}")
    if screen.undoes:
        yield ("ROLLBACK of ", Named(screen.undoes), ": exactly the undo that was approved with it, by a faster chain")
    applied = {item.id: item for item in screen.applied}
    yield from (_exception(name, applied.get(name)) for name in screen.exceptions[:SHOWN_EXCEPTIONS])
    if (more := len(screen.exceptions) - SHOWN_EXCEPTIONS) > 0:
        yield (f"and by {more} more exceptions",)
    if screen.permit_until:
        ends = "a window closes, an exception ends or a freeze begins"
        yield (f"nothing starts after {minute_text(screen.permit_until)}: {ends}",)


def _exception(name: str, known: AppliedException | None) -> Line:
    """An exception, who granted it, until when, and why."""
    if known is None:
        return ("only by exception ", Named(name))
    by = _people(known.approved_by)
    why: Line = (": ", Noted(known.reason, 120)) if known.reason else ()
    return ("only by exception ", Named(name), ", granted by ", *by, f" until {minute_text(known.expires_at)}", *why)


def _noted(screen: Screen) -> Iterator[Line]:
    """What rules would have said that are not enforced yet."""
    for item in screen.noted[:SHOWN_NOTES]:
        said = f" would have said {str(item.verdict).replace('_', ' ')} ({item.enforcement} only): "
        yield (Named(item.rule), " of ", Named(item.document), said, Noted(item.message, 120))
    if (more := screen.noted_count - len(screen.noted[:SHOWN_NOTES])) > 0:
        yield (f"and {more} more rules that are not enforced",)
