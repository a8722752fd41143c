"""How an answer names what an operation would touch. The operator says where in it the ids and the versions stand.

An answer that names nothing is no target; one that names something without an id, twice, or more than a permit carries
is no answer.
"""

from typing import Any

from pydantic import ValidationError

from activities.executors.base import PreconditionFailedError
from activities.executors.kinds import ExecutorSettings
from activities.executors.pointer import Pointer, PointerError, find
from policy.targets import MAX_TARGETS, ResolvedTarget

_MAX_ID = 500


class Listing(ExecutorSettings):
    """Where the targets stand in a JSON answer. `items` names a list, or one thing; the others are within each of them.

    Attributes:
        items: the things.
        id: of each, its name in the target system; a text or an integer.
        version: what must not have changed when the effect comes.
        environment: what the target system says of where it runs.
        units: how much of the target's capacity it is.
        state: what people are shown of it, by name.
        object: a name that nothing else anywhere has, whichever resource is asked.
    """

    items: Pointer = ""
    id: Pointer
    version: Pointer | None = None
    environment: Pointer | None = None
    units: Pointer | None = None
    state: dict[str, Pointer] = {}
    object: Pointer | None = None


def read_targets(listing: Listing, answer: Any, resource: str) -> tuple[ResolvedTarget, ...]:
    """The targets that an answer names.

    Raises:
        PreconditionFailedError: it does not name them as the entry says.
    """
    try:
        found = find(answer, listing.items)
        targets = [_target(listing, item, resource) for item in (found if isinstance(found, list) else [found])]
    except (PointerError, ValidationError, ValueError) as error:
        reason = error if not isinstance(error, ValidationError) else "a value has another type"
        raise PreconditionFailedError(f"{resource} was asked what would be touched: {reason}") from None
    if len(targets) > MAX_TARGETS:
        raise PreconditionFailedError(f"{resource} names {len(targets)} targets, at most {MAX_TARGETS} are permitted")
    if len({target.id for target in targets}) != len(targets):
        raise PreconditionFailedError(f"{resource} names the same target twice")
    return tuple(targets)


def _target(listing: Listing, item: Any, resource: str) -> ResolvedTarget:
    return ResolvedTarget(
        id=_text(find(item, listing.id), "id"),
        resource=resource,
        environment=None if listing.environment is None else _text(find(item, listing.environment), "environment"),
        version=None if listing.version is None else _text(find(item, listing.version), "version"),
        units=None if listing.units is None else find(item, listing.units),
        state={name: find(item, pointer) for name, pointer in listing.state.items()},
        object=None if listing.object is None else _text(find(item, listing.object), "object"),
    )


def _text(value: Any, what: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"the {what} of a target is neither a text nor an integer")  # noqa: TRY004 - of an answer
    text = str(value)
    if not text or len(text) > _MAX_ID or not text.isprintable():
        raise ValueError(f"the {what} of a target is empty, longer than {_MAX_ID} or has control characters")
    return text
