"""The executor for HTTP: what an operator's entry says of an endpoint, and nothing that a proposal could aim elsewhere.

1. It asks hosts of its entry only, at addresses that were looked at, without following a redirect (`http_guard.py`,
   `http_client.py`). The values of a proposal stand where the entry has a place for them (`http_requests.py`).
2. What acts is sent under the permit's id as idempotency key, signed, with the permit. It is sent again only where the
   answer says that nothing was done, and after a 503 where the entry says that the endpoint is idempotent; a connection
   that did not come to stand is tried again, since nothing was sent.
3. What is not known to be done or refused is unknown (`http_answers.py`). What was accepted is followed
   (`http_following.py`).
4. Probes, resolving, dry runs of an endpoint of their own and looking afterwards are asked at the reading address of
   the resource, logged in to read. A probe reads a status, or the one value that the entry points at.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydantic import JsonValue

from activities.executors.base import (
    EffectUnknownError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    Seen,
    Supports,
    TargetCredentials,
    TargetUnreachableError,
)
from activities.executors.http_answers import MISSING, OK, TOO_MANY, refusal, retry_after, says, seen
from activities.executors.http_client import (
    Answer,
    AnswerLostError,
    HttpClient,
    HttpError,
    NotAllowedError,
    NotSentError,
    Request,
    UnusableAnswerError,
)
from activities.executors.http_following import Following
from activities.executors.http_guard import Resolve, system_resolve
from activities.executors.http_hosts import Host
from activities.executors.http_requests import address, effect, reading, rehearsal, selecting
from activities.executors.http_settings import Call, HttpOperation, HttpProbe, HttpSettings
from activities.executors.listing import read_targets
from activities.executors.places import Place, in_turn, places_of, resolved_in_each, seen_in_all
from activities.executors.pointer import PointerError, checked_pointer, checked_value, find
from activities.executors.supporting import supported
from activities.executors.values import Values, chosen, own_of, values_of
from policy.canonical import canonical
from policy.targets import ResolvedTarget

_ATTEMPTS = 4
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 30.0
_SHOWN = 200


class HttpExecutor:
    """Acts on endpoints.

    Args:
        settings: the operator's entry.
        targets: the address of each resource (`https://host/where/the/api/begins`).
        name: under which permits call it.
        resolve: the addresses of a host; the system's resolver, unless told.
    """

    def __init__(
        self, settings: HttpSettings, targets: TargetCredentials, name: str = "http", resolve: Resolve = system_resolve
    ) -> None:
        self.name = name
        self._settings = settings
        self._targets = targets
        self._client = HttpClient(settings.hosts, settings.max_bytes, resolve)
        self.supports: Supports = supported(
            settings.operations,
            probes=frozenset(settings.probes),
            stops_within=settings.stops_within,
            observes=lambda entry: "never" if not entry.observe else "by_key" if entry.observe.by_key else "by_effect",
            stops=lambda entry: "within" if entry.completion and entry.completion.stops_within else "between",
        )

    async def execute(self, order: Order) -> None:
        """Carry an order out; see `Executor.execute`."""
        order.check_real()
        deadline = _time() + order.timeout.total_seconds()
        operation, given = self._operation(order.operation, order.parameters)
        places = places_of(order, resolves=operation.resolve is not None)
        # Every request is made before the first one is sent: what cannot be asked is found out while nothing was done.
        prepared = {place.key: self._effect(operation, order, place, given) for place in places}

        async def act(place: Place) -> None:
            request, values = prepared[place.key]
            answer = await self._acted(operation, request, order, deadline)
            if answer is not None:
                await self._following(operation, order, place, values, deadline).to_the_end(request, answer)

        await in_turn(order, places, act)

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """What the endpoint says that would be touched; see `Executor.resolve`."""
        operation, given = self._operation(inquiry.operation, inquiry.parameters)
        look = partial(self._resolved, operation, given) if operation.resolve is not None else None
        return await resolved_in_each(inquiry, look)

    async def dry_run(self, order: Order) -> str:
        """What the endpoint says that it would do; see `Executor.dry_run`."""
        operation, given = self._operation(order.operation, order.parameters)
        if operation.dry_run is None:
            raise PreconditionFailedError(f"the endpoint cannot rehearse {order.operation}")
        found = []
        for place in places_of(order, resolves=operation.resolve is not None):
            values = values_of(operation.parameters, given, self._settings.secrets, own_of(order, place))
            reads = operation.dry_run.call is not None
            base = self._targets.reading_url(place.resource) if reads else self._targets.url(place.resource)
            host = self._host(base)
            request = rehearsal(operation, order, place, values, base, host, datetime.now(UTC))
            pointer = operation.dry_run.shown
            answer = await self._read(request, operation.timeout_seconds, read=pointer is not None)
            if not OK <= answer.status < OK + 100 or answer.status == OK + 2:
                raise PreconditionFailedError(f"{place}: the endpoint answered a dry run with status {answer.status}")
            found.append(f"{place}: {_said(answer, pointer)}")
        return "; ".join(found)

    async def observe(self, order: Order) -> Seen:
        """What a status address shows of an order; see `Executor.observe`."""
        try:
            operation, given = self._operation(order.operation, order.parameters)
            if operation.observe is None:
                return "unknown"
            places = places_of(order, resolves=operation.resolve is not None)
            return seen_in_all([await self._seen(operation, order, place, given) for place in places])
        except (PreconditionFailedError, HttpError):
            return "unknown"

    async def measure(self, order: ProbeOrder) -> Any:
        """Read a probe's value; see `Executor.measure`."""
        # The registry may read a probe of its own by an entry of another name, and point elsewhere in its answer.
        name, _, pointer = (order.query or order.probe).partition(" ")
        try:
            found, given = chosen(self._settings.probes, name, order.parameters)
            entry: HttpProbe = found
            wanted = checked_pointer(pointer) if pointer else entry.value
            values = values_of(entry.parameters, given, {}, {"target.resource": order.resource})
            request = self._reading(order.resource, entry.path, entry.query, values)
            answer = await self._client.send(request, entry.timeout_seconds, read=wanted is not None)
            value = answer.status if wanted is None else _value(answer, wanted)
            return checked_value(value, order.reads)
        except (PreconditionFailedError, HttpError, PointerError) as error:
            raise ProbeError(f"probe {order.probe} on {order.resource}: {error}") from error

    def _operation(
        self, name: str, parameters: Mapping[str, JsonValue]
    ) -> tuple[HttpOperation, Mapping[str, JsonValue]]:
        return chosen(self._settings.operations, name, parameters)

    def _effect(
        self, operation: HttpOperation, order: Order, place: Place, given: Mapping[str, JsonValue]
    ) -> tuple[Request, Values]:
        values = values_of(operation.parameters, given, self._settings.secrets, own_of(order, place))
        base = self._targets.url(place.resource)
        return effect(operation, order, place, values, base, self._host(base), datetime.now(UTC)), values

    async def _acted(self, operation: HttpOperation, request: Request, order: Order, deadline: float) -> Answer | None:
        """Send what acts; the answer where it was accepted and goes on, None where it is done."""
        perhaps, wait = False, _FIRST_WAIT
        for left in reversed(range(_ATTEMPTS)):
            try:
                answer = await self._client.send(
                    request, min(operation.timeout_seconds, max(0.01, deadline - _time())), read=False
                )
            except NotAllowedError as error:
                raise (EffectUnknownError if perhaps else PreconditionFailedError)(str(error)) from error
            except (AnswerLostError, UnusableAnswerError) as error:
                raise EffectUnknownError(str(error)) from error
            except NotSentError as error:
                failed: Exception = (EffectUnknownError if perhaps else TargetUnreachableError)(str(error))
                asked = None
            else:
                what = says(answer, idempotent=operation.idempotent)
                if what == "done":
                    return None
                if what == "accepted":
                    return _followed(operation, answer)
                perhaps = perhaps or what == "perhaps_later"
                failed = refusal(what, answer.status, perhaps=perhaps)
                if what not in ("later", "perhaps_later"):
                    raise failed
                asked = retry_after(answer.headers, datetime.now(UTC))
            wait = max(wait * 2, asked or 0.0)
            if not left or wait > _LONGEST_WAIT or _time() + wait >= deadline or await _told(order.stop, wait):
                raise failed
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _following(
        self, operation: HttpOperation, order: Order, place: Place, values: Values, deadline: float
    ) -> Following:
        assert operation.completion is not None
        cancel, base = operation.completion.cancel, self._targets.url(place.resource)
        host = self._host(base)

        def cancelling(status: str) -> Request:
            assert cancel is not None
            call = Call(method=cancel.method, path=cancel.path or "/")
            made = effect(
                HttpOperation.model_construct(call=call, permit="none"),
                order,
                Place(f"cancel.{place.key}", place.resource),
                values,
                base,
                host,
                datetime.now(UTC),
            )
            return made if cancel.path else Request(made.method, status, made.headers, made.body)

        return Following(
            client=self._client,
            base=base,
            completion=operation.completion,
            asked=lambda status: reading("GET", status, host),
            cancelling=cancelling if cancel else None,
            stop=order.stop,
            deadline=deadline,
            seconds=operation.timeout_seconds,
        )

    async def _seen(self, operation: HttpOperation, order: Order, place: Place, given: Mapping[str, JsonValue]) -> Seen:
        assert operation.observe is not None
        values = values_of(operation.parameters, given, {}, own_of(order, place))
        request = self._reading(place.resource, operation.observe.path, operation.observe.query, values)
        answer = await self._client.send(request, operation.timeout_seconds, read=operation.observe.states is not None)
        return seen(answer, operation.observe.states)

    async def _resolved(
        self, operation: HttpOperation, given: Mapping[str, JsonValue], resource: str
    ) -> tuple[ResolvedTarget, ...]:
        entry = operation.resolve
        assert entry is not None
        values = values_of(operation.parameters, given, {}, {"target.resource": resource})
        body = selecting(entry.body, values)
        request = self._reading(resource, entry.path, entry.query, values, entry.method, body)
        answer = await self._read(request, operation.timeout_seconds)
        if answer.status == MISSING:
            return ()
        if answer.status >= OK + 300 or answer.status == TOO_MANY:
            raise TargetUnreachableError(f"{request} answered with status {answer.status} when it was asked")
        if answer.status != OK:
            raise PreconditionFailedError(f"{request} answered with status {answer.status} when it was asked")
        try:
            found = read_targets(entry.listing, answer.json(), resource)
        except UnusableAnswerError as error:
            raise PreconditionFailedError(f"{resource} was asked what would be touched: {error}") from error
        if entry.etag and len(found) == 1:
            return (found[0].model_copy(update={"version": answer.headers.get("etag")}),)
        return found

    def _reading(
        self,
        resource: str,
        path: str,
        query: Mapping[str, str],
        values: Values,
        method: str = "GET",
        body: JsonValue = None,
    ) -> Request:
        base = self._targets.reading_url(resource)
        host = self._host(base)
        return reading(method, address(base, path, dict(query), values), host, body)

    def _host(self, base: str) -> Host:
        try:
            return self._client.host(base)
        except NotAllowedError as error:
            raise PreconditionFailedError(str(error)) from error

    async def _read(self, request: Request, seconds: float, *, read: bool = True) -> Answer:
        """The answer to a request that changes nothing; whatever goes wrong, nothing was done."""
        try:
            return await self._client.send(request, seconds, read=read)
        except (NotAllowedError, UnusableAnswerError) as error:
            raise PreconditionFailedError(str(error)) from error
        except HttpError as error:
            raise TargetUnreachableError(str(error)) from error


def make(name: str, given: Mapping[str, Any], targets: TargetCredentials) -> HttpExecutor:
    """The executor of an operator's entry."""
    return HttpExecutor(HttpSettings.model_validate_json(canonical(dict(given))), targets, name)


def _followed(operation: HttpOperation, answer: Answer) -> Answer:
    if operation.completion is None:
        raise EffectUnknownError("it was accepted with status 202, and the entry does not say how it is followed")
    return answer


def _value(answer: Answer, pointer: str) -> Any:
    if answer.status != OK:
        raise UnusableAnswerError(f"the endpoint answered with status {answer.status}")
    return find(answer.json(), pointer)


def _said(answer: Answer, pointer: str | None) -> str:
    if pointer is None:
        return f"the endpoint would do it (status {answer.status})"
    try:
        text = str(find(answer.json(), pointer))
    except (UnusableAnswerError, PointerError):
        return "the endpoint would do it, and did not say what"
    return "".join(letter for letter in text if letter.isprintable())[:_SHOWN]


async def _told(stop: asyncio.Event, seconds: float) -> bool:
    """Wait; whether it was told to stop meanwhile."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _time() -> float:
    return asyncio.get_running_loop().time()
