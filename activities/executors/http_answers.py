"""What an answer says of an effect, and no more than it says.

| answer | what it says |
| --- | --- |
| 200, 201, 204, other 2xx | done |
| 202 | accepted: it is followed where the entry says how, and unknown otherwise |
| 301, 307, 308 | refused: nothing was done, and nobody goes where it points |
| other 3xx | unknown: many answer so when they have acted |
| 409, 412 | the target is not what was resolved any more; nothing was done |
| 429 | not now; nothing was done, and it may be sent again |
| 408, 499 | unknown: a gateway may say so while somebody behind it acts |
| other 4xx | refused, nothing was done |
| 503 with Retry-After | not now, where the entry says that the endpoint is idempotent; unknown otherwise |
| everything else | unknown |

After a 503 that was sent again a refusal says nothing of what the first one did: it is unknown.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    PreconditionFailedError,
    Seen,
    TargetChangedError,
    TargetUnreachableError,
)
from activities.executors.http_client import Answer, UnusableAnswerError
from activities.executors.http_settings import States
from activities.executors.pointer import PointerError, find
from policy.canonical import canonical
from policy.errors import CanonicalError

Says = Literal["done", "accepted", "changed", "refused", "later", "perhaps_later", "unknown"]
State = Literal["done", "running", "failed", "refused", "unknown"]

OK, ACCEPTED, MISSING, TOO_MANY, UNAVAILABLE = 200, 202, 404, 429, 503
_NOT_HERE = (301, 307, 308)
_CHANGED = (409, 412)
_PERHAPS = (408, 499)


def says(answer: Answer, *, idempotent: bool) -> Says:
    """What an answer to a request that acts says."""
    status = answer.status
    if status == ACCEPTED:
        return "accepted"
    if 200 <= status < 300:  # noqa: PLR2004 - a class of statuses
        return "done"
    if status in _CHANGED:
        return "changed"
    if status == TOO_MANY:
        return "later"
    if status in _NOT_HERE or (400 <= status < 500 and status not in _PERHAPS):  # noqa: PLR2004
        return "refused"
    if status == UNAVAILABLE and idempotent and "retry-after" in answer.headers:
        return "perhaps_later"
    return "unknown"


def refusal(what: Says, status: int, *, perhaps: bool) -> ExecutorError:
    """The error that an answer is.

    Args:
        what: it says; neither done nor accepted.
        status: of the answer.
        perhaps: an earlier answer left open whether it acted.
    """
    message = f"the endpoint answered with status {status}"
    if perhaps or what in ("unknown", "perhaps_later"):
        return EffectUnknownError(f"{message}{' after a 503' if perhaps else ''}")
    if what == "changed":
        return TargetChangedError(f"{message}: the target is not what was resolved any more")
    if what == "later":
        return TargetUnreachableError(f"{message}: too many requests")
    return PreconditionFailedError(f"{message}: refused")


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that an answer asks to wait (RFC 9110, 10.2.3); None where it asks for none, or is none."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:  # noqa: PLR2004 - a century will do
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())


def state_of(answer: Answer, states: States | None) -> State:
    """How far an effect is, by what a status address answers."""
    if answer.status not in (OK, ACCEPTED):
        return "unknown"
    if states is None:
        return "done" if answer.status == OK else "running"
    try:
        found = _written(find(answer.json(), states.pointer))
    except (UnusableAnswerError, PointerError):
        return "unknown"
    listed: dict[State, tuple[Any, ...]] = {
        "done": states.done,
        "running": states.running,
        "failed": states.failed,
        "refused": states.refused,
    }
    return next((state for state, values in listed.items() if found in map(_written, values)), "unknown")


def seen(answer: Answer, states: States | None) -> Seen:
    """What an answer shows of whether an order was carried out."""
    if answer.status == MISSING:
        return "none"
    state = state_of(answer, states)
    return "done" if state == "done" else "none" if state == "refused" else "unknown"


def _written(value: Any) -> bytes:
    """1 and true are different values."""
    try:
        return canonical(value)
    except CanonicalError:
        return b""
