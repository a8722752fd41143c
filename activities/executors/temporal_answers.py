"""What a platform's worker may answer, and what follows from how its run ended. Nothing here waits or connects.

1. Whoever can write to that namespace can answer in the worker's place: an answer is read in one closed shape, within
   bounds, and its texts are only ever shown.
2. Only a worker that says so was done with it: `done`, or a failure of a type that says what became of it. Whatever
   else comes after a worker had begun is unknown.
3. What no worker began was not done. That is known only of a run that is over, because a run that is not may begin yet.
4. A worker that touched what the permit does not name went wrong, whatever else it says.
5. A workflow's failure counts only where the workflow itself raised it: that the last of its activities did nothing
   says nothing about the ones before.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import Field, JsonValue, ValidationError

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    PreconditionFailedError,
    Reached,
    TargetChangedError,
    TargetUnreachableError,
)
from policy.base import EdgeModel
from policy.canonical import parse_json
from policy.errors import CanonicalError
from policy.targets import MAX_TARGETS, ResolvedTarget

# What a worker may name as touched: resource ids and ids of targets, and what that is.
Permitted: TypeAlias = Mapping[str, tuple[Reached, ...]]

MAX_ANSWER_BYTES = 64 * 1024
_MESSAGE = 400
FAILURES: Mapping[str, type[ExecutorError]] = {
    "Refused": PreconditionFailedError,
    "TargetChanged": TargetChangedError,
    "Failed": ExecutorError,
    "Unknown": EffectUnknownError,
}
# With these a verifier of permits refuses before anything is done (`examples/executor/countersign_permit.py`).
# `reused` is none of them: whoever used the permit may have done it.
REFUSED_PERMITS = frozenset(
    {
        *(
            "no_permit",
            "malformed",
            "unknown_key",
            "bad_signature",
            "wrong_audience",
            "wrong_action",
            "wrong_operation",
        ),
        *("wrong_id", "nothing_permitted", "not_yet", "expired", "assurance_not_accepted", "not_approved", "dry_run"),
    }
)
Shape = TypeVar("Shape", bound=EdgeModel)
Closed = Literal["completed", "failed", "cancelled", "terminated", "timed out"]


class WorkerAnswer(EdgeModel):
    """What a worker says of an order.

    Attributes:
        status: `done`; `refused`, nothing was done; `failed`, it was done and went wrong; `unknown`, it cannot tell.
        message: why, or what a dry run would do; for people.
        touched: the ids that it acted on, of those that the order names.
    """

    status: Literal["done", "refused", "failed", "unknown"]
    message: str = ""
    touched: tuple[str, ...] = Field(default=(), max_length=MAX_TARGETS)


class WorkerValue(EdgeModel):
    """What a worker says that a probe reads."""

    value: JsonValue


class WorkerTarget(EdgeModel):
    """A target as a worker found it (`policy/targets.py`)."""

    id: str = Field(min_length=1, max_length=500)
    resource: str
    environment: str | None = None
    version: str | None = None
    units: float | None = Field(default=None, ge=0)
    state: dict[str, JsonValue] = {}
    object: str | None = Field(default=None, min_length=1, max_length=500)


class WorkerTargets(EdgeModel):
    """What a worker says that an operation would touch."""

    targets: tuple[WorkerTarget, ...] = Field(max_length=MAX_TARGETS)


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        status: as Temporal has it.
        began: whether a worker had taken it.
        body: the JSON text that it answered; None where it answered none.
        failure: the type and the message of the failure that it raised itself.
    """

    status: Closed
    began: bool
    body: bytes | None = None
    failure: tuple[str, str] | None = None


def verdict(ended: Ended, permitted: Permitted) -> ExecutorError | None:
    """What went wrong with an order; None where it was done.

    Args:
        ended: how its run ended.
        permitted: the ids that it may touch.
    """
    if ended.status == "completed":
        return _answered(ended, permitted)
    if not ended.began:
        return TargetUnreachableError(f"no worker of the platform began it: it {_was(ended)}")
    kind, message = ended.failure or ("", "")
    if kind in REFUSED_PERMITS:
        return PreconditionFailedError(f"the platform's worker refused the permit: {shown(message)}")
    if kind in FAILURES:
        return FAILURES[kind](shown(message) or f"the platform's worker raised {kind}")
    said = f": {shown(f'{kind} {message}')}" if ended.failure else ""
    return EffectUnknownError(f"the platform's worker began it and it {_was(ended)}{said}")


def rehearsed(ended: Ended) -> str:
    """What a dry run would do.

    Raises:
        PreconditionFailedError: it would not be carried out, or nobody said.
    """
    wrong = verdict(ended, {})
    if wrong is None:
        return shown(_read(WorkerAnswer, ended).message) or "the platform's worker would carry it out"
    raise wrong if isinstance(wrong, PreconditionFailedError) else PreconditionFailedError(str(wrong))


def value(ended: Ended) -> Any:
    """The value that a probe reads.

    Raises:
        ExecutorError: there is none.
    """
    _check_completed(ended)
    return _read(WorkerValue, ended).value


def targets(ended: Ended, resources: Collection[str]) -> tuple[ResolvedTarget, ...]:
    """What an operation would touch.

    Raises:
        ExecutorError: it does not say, or names what was not asked about, or one thing twice.
    """
    _check_completed(ended)
    found = _read(WorkerTargets, ended).targets
    if strange := sorted({item.resource for item in found} - set(resources)):
        raise EffectUnknownError(f"it names targets in {', '.join(strange)[:200]}, which was not asked about")
    if len({(item.resource, item.id) for item in found}) != len(found):
        raise EffectUnknownError("it names a target twice")
    return tuple(ResolvedTarget(**item.model_dump()) for item in found)


def shown(text: str) -> str:
    """A text of the platform's as it may be shown: one line, cut."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text[: 4 * _MESSAGE]).split())
    return line if len(line) <= _MESSAGE else f"{line[: _MESSAGE - 1]}…"


def _answered(ended: Ended, permitted: Permitted) -> ExecutorError | None:
    try:
        answer = _read(WorkerAnswer, ended)
    except EffectUnknownError as error:
        return error
    message = shown(answer.message)
    if strange := sorted(set(answer.touched) - set(permitted)):
        return ExecutorError(f"it touched {shown(', '.join(strange))}, which is not permitted")
    touched = tuple(dict.fromkeys(each for name in answer.touched for each in permitted[name]))
    match answer.status:
        case "done":
            return None
        case "refused" if answer.touched:
            return EffectUnknownError(f"it says refused and names what it touched: {message}")
        case "refused":
            return PreconditionFailedError(message or "the platform's worker refused it")
        case "failed":
            return ExecutorError(message or "the platform's worker says that it went wrong", touched=touched)
        case "unknown":
            return EffectUnknownError(message or "the platform's worker cannot tell", touched=touched)


def _check_completed(ended: Ended) -> None:
    if ended.status == "completed":
        return
    if not ended.began:
        raise TargetUnreachableError(f"no worker of the platform began it: it {_was(ended)}")
    kind, message = ended.failure or ("", "")
    known = FAILURES.get(kind, EffectUnknownError)
    raise known(shown(message) or f"the platform's worker began it and it {_was(ended)}")


def _read(shape: type[Shape], ended: Ended) -> Shape:
    body = ended.body
    if body is None:
        raise EffectUnknownError("it ended without an answer: return one json object")
    try:
        parse_json(body, MAX_ANSWER_BYTES)
        return shape.model_validate_json(body, strict=True)
    except CanonicalError as error:
        raise EffectUnknownError(f"its answer cannot be read: {error}") from None
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, item['loc'])) or '<root>'}: {item['msg']}" for item in error.errors()[:3]]
        raise EffectUnknownError(f"its answer is none: {shown('; '.join(wrong))}") from None


def _was(ended: Ended) -> str:
    return ended.status if ended.status in ("failed", "timed out") else f"was {ended.status}"
