"""What an operator says of an HTTP executor: which hosts it may ask, and what each operation and probe is there.

1. The address of a resource is in COUNTERSIGN_TARGETS_FILE; its host must be one of `hosts`. A path here begins where
   that address ends. A proposal brings parameters and nothing of an address.
2. In a path a value is a part of one segment; in a query it is the value, or a part of it, of a name that is written
   here. In a body a text `$name` stands for the value, whatever its type, and `$$` for a `$` at the beginning.
3. What an endpoint cannot do is left out of its entry, and the executor says so of the operation: no `observe`, nobody
   can tell afterwards; no `dry_run`, it is not rehearsed; no `resolve`, what is touched is what the catalog says.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, SecretStr, model_validator

from activities.executors.http_hosts import Headers, Host, HostName
from activities.executors.kinds import ExecutorSettings
from activities.executors.listing import Listing
from activities.executors.pointer import Pointer
from activities.executors.values import (
    ONLY_RESOLVED,
    OWN,
    Choice,
    Declared,
    TextWithPlaces,
    check_all_used,
    check_places,
    parts,
)
from policy.base import Operation

SIGNED = "order.permit"
_SEGMENT = re.compile(r"[A-Za-z0-9._~!$'()*+,;=:@-]*")
_ASKING = ("target.resource",)


def _path(text: str) -> str:
    literal = "".join(part if isinstance(part, str) else "0" for part in parts(text))
    segments = literal.split("/")[1:]
    if not literal.startswith("/") or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError("a path begins with / and has no ?, #, %, \\, space or empty place: a query goes into query")
    if any(segment in ("", ".", "..") for segment in segments[:-1]) or segments[-1] in (".", ".."):
        raise ValueError("a path has no empty segment, and none that is . or ..")
    return text


Path = Annotated[TextWithPlaces, AfterValidator(_path)]
Query = dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9._~\[\]-]{1,100}$")], TextWithPlaces]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Call(ExecutorSettings):
    """One request that acts. Without a body of its own the order is sent as it is permitted (`docs/executors.md`)."""

    method: Literal["POST", "PUT", "PATCH", "DELETE", "GET"] = "POST"
    path: Path
    query: Query = {}
    headers: Headers = {}
    body: JsonValue = None

    @property
    def has_own_body(self) -> bool:
        """Whether the operator wrote what is sent."""
        return "body" in self.model_fields_set or self.method in ("GET", "DELETE")


class Reading(ExecutorSettings):
    """One request that only reads."""

    path: Path
    query: Query = {}


class States(ExecutorSettings):
    """Where an answer says how far it is, and which values mean what. A value that is in none of them says nothing.

    Attributes:
        pointer: where the value stands.
        done: it was done.
        running: it goes on.
        failed: it was done, in whole or in part, and went wrong.
        refused: nothing was done, and nothing will be.
    """

    pointer: Pointer
    done: Annotated[tuple[JsonValue, ...], Field(min_length=1)]
    running: tuple[JsonValue, ...] = ()
    failed: tuple[JsonValue, ...] = ()
    refused: tuple[JsonValue, ...] = ()

    @model_validator(mode="after")
    def _apart(self) -> "States":
        listed = [repr(value) for value in (*self.done, *self.running, *self.failed, *self.refused)]
        if len(set(listed)) != len(listed):
            raise ValueError("a value means one thing: it is in two lists, or twice in one")
        return self


class Cancel(ExecutorSettings):
    """The request that ends what was accepted; at the status address where it has no path of its own."""

    method: Literal["DELETE", "POST", "PUT"] = "DELETE"
    path: Path | None = None


class Completion(ExecutorSettings):
    """How an endpoint that answers 202 is followed.

    Attributes:
        states: what the status address answers; without them 202 means that it goes on, and 200 that it is done.
        every_seconds: how often it is asked where it does not say when.
        longest_wait_seconds: the most that a `Retry-After` is waited for.
        cancel: what ends it when it is told to stop.
        on_stop: without a cancel: to go on to its end, or to leave it and say that nobody knows.
        stop_seconds: how long it is asked after a cancel.
    """

    states: States | None = None
    every_seconds: Seconds = 2
    longest_wait_seconds: Seconds = 30
    cancel: Cancel | None = None
    on_stop: Literal["go_on", "leave"] = "go_on"
    stop_seconds: Annotated[float, Field(gt=0, le=60)] = 10

    @property
    def stops_within(self) -> bool:
        """Whether a stop ends it in the middle."""
        return self.cancel is not None or self.on_stop == "leave"


class Observation(Reading):
    """Where one can see whether an order was carried out: 200, or what the states say; 404 means that it was not."""

    states: States | None = None

    @property
    def by_key(self) -> bool:
        """Whether it asks for this very effect, and not for what the target looks like."""
        return any("{order.permit_id}" in text for text in (self.path, *self.query.values()))


class Resolution(Reading):
    """What answers with the ids of what would be touched; 404 means that there is nothing."""

    method: Literal["GET", "POST"] = "GET"
    body: JsonValue = None
    listing: Listing
    etag: bool = False

    @model_validator(mode="after")
    def _one_version(self) -> "Resolution":
        if self.etag and self.listing.version is not None:
            raise ValueError("the version is the etag or stands in the answer, not both")
        return self


class Rehearsal(ExecutorSettings):
    """How an order is rehearsed: by an endpoint of its own, or by what is added to the request that acts."""

    call: Call | None = None
    headers: Headers = {}
    query: Query = {}
    shown: Pointer | None = None

    @model_validator(mode="after")
    def _differs(self) -> "Rehearsal":
        if (self.call is None) == (not self.headers and not self.query):
            raise ValueError("dry_run needs either a call of its own, or headers or query that make it one")
        return self


class HttpOperation(ExecutorSettings):
    """One operation of an endpoint.

    Attributes:
        parameters: what each of them must look like.
        call: the request that acts.
        permit: how the signed permit goes along: in the order that is the body, as a header, or not at all.
        idempotent: the endpoint keeps the answer by the `Idempotency-Key`, so that 503 may be sent again.
        if_match: a resolved version is sent as a precondition.
        timeout_seconds: for one answer, in all.
    """

    parameters: Declared = {}
    call: Call
    permit: Literal["body", "header", "none"] | None = None
    idempotent: bool = False
    completion: Completion | None = None
    observe: Observation | None = None
    resolve: Resolution | None = None
    if_match: bool = True
    dry_run: Rehearsal | None = None
    timeout_seconds: Seconds = 10

    @model_validator(mode="after")
    def _filled(self) -> "HttpOperation":
        acting = OWN if self.resolve else tuple(name for name in OWN if name not in ONLY_RESOLVED)
        used = check_call(self.parameters, self.call, acting)
        if not self.call.has_own_body:
            used |= set(self.parameters)
        check_all_used(self.parameters, used)
        if self.permit == "body" and self.call.has_own_body and SIGNED not in dict(placed(self.call.body)):
            raise ValueError(f"permit is to be in the body, which has no ${SIGNED}")
        if self.dry_run:
            check_places(self.parameters, _texts("dry_run.query", self.dry_run.query), acting)
            if self.dry_run.call:
                check_call(self.parameters, self.dry_run.call, acting)
        for where, reading, allowed in (("observe", self.observe, acting), ("resolve", self.resolve, _ASKING)):
            if reading is not None:
                check_places(self.parameters, _texts(where, {"path": reading.path, **reading.query}), allowed)
        if self.resolve:
            check_body(self.parameters, self.resolve.body, _ASKING)
        if self.completion and self.completion.cancel and self.completion.cancel.path:
            check_places(self.parameters, {"cancel.path": self.completion.cancel.path}, acting)
        return self


class HttpProbe(Reading):
    """One value that can be read: the status of the answer, or what stands at a place in it that is named here."""

    parameters: Declared = {}
    value: Pointer | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10

    @model_validator(mode="after")
    def _filled(self) -> "HttpProbe":
        used = check_places(self.parameters, _texts("probe", {"path": self.path, **self.query}), _ASKING)
        check_all_used(self.parameters, used)
        return self


class HttpSettings(ExecutorSettings):
    """The whole entry."""

    hosts: Annotated[dict[HostName, Host], Field(min_length=1)]
    operations: dict[Operation, HttpOperation | Choice[HttpOperation]]
    probes: dict[Operation, HttpProbe | Choice[HttpProbe]] = {}
    secrets: dict[str, SecretStr] = {}
    max_bytes: Annotated[int, Field(ge=1, le=8 * 2**20)] = 256 * 1024

    @property
    def stops_within(self) -> timedelta:
        """How long it goes on after it was told to stop, at most: one answer, and what a cancel may take."""
        return timedelta(seconds=max((_stopping(item) for item in self.every_operation()), default=0.0) + 5)

    def every_operation(self) -> Iterator[HttpOperation]:
        """Each operation, each of several that one name chooses among."""
        for entry in self.operations.values():
            yield from entry.among.values() if isinstance(entry, Choice) else (entry,)


def placed(body: JsonValue, where: str = "body") -> Iterator[tuple[str, str]]:
    """The names that a body has places for, and where.

    Raises:
        ValueError: an item of a list is one of them: what may be missing would shift the others.
    """
    match body:
        case str() if body.startswith("$") and not body.startswith("$$"):
            yield body[1:], where
        case dict():
            for name, item in body.items():
                yield from placed(item, f"{where}.{name}")
        case list():
            for number, item in enumerate(body):
                yield from placed(item, f"{where}.{number}")


def check_call(declared: Mapping[str, Any], call: Call, allowed: tuple[str, ...]) -> set[str]:
    """The parameters that a request uses.

    Raises:
        ValueError: it has a place for what there is not.
    """
    if call.method in ("GET", "DELETE") and "body" in call.model_fields_set:
        raise ValueError(f"{call.method} has no body")
    used = check_places(declared, _texts("call", {"path": call.path, **call.query}), allowed)
    return used | check_body(declared, call.body, (*allowed, SIGNED))


def check_body(declared: Mapping[str, Any], body: JsonValue, allowed: tuple[str, ...]) -> set[str]:
    """The parameters that a body uses.

    Raises:
        ValueError: it has a place for what there is not, or a place that may stay empty in a list.
    """
    used = set()
    for name, where in placed(body):
        if name in allowed:
            continue
        if name not in declared:
            raise ValueError(f"{where}: there is no {name} here: declare it in parameters, or write $${name}")
        if not declared[name].required and where.rpartition(".")[2].isdigit():
            raise ValueError(f"{where}: {name} may be missing, and an item of a list may not")
        used.add(name)
    return used


def _texts(where: str, texts: Mapping[str, str]) -> dict[str, str]:
    return {f"{where}.{name}": text for name, text in texts.items()}


def _stopping(operation: HttpOperation) -> float:
    following = operation.completion.stop_seconds if operation.completion else 0.0
    return operation.timeout_seconds + following
