r"""From an entry and an order to a request. Whatever the values are, host, scheme and segments of the path stay.

1. A value in a path is of letters, digits and `-._~@:+=,` and does not begin with a dot: what some server might decode
   twice, or take for a segment (`/`, `\`, `%2f`, `..;`), is refused and not encoded.
2. A value in a query is percent-encoded in full.
3. What acts has an idempotency key (draft-ietf-httpapi-idempotency-key-header: a quoted string), which is the permit's
   id, and where a version was resolved an `If-Match`, but for an undo: its step changed the version. Where the host has
   a secret it is signed under the same id.
4. The permit goes along as the permit role signed it, so that the other side can verify it (`docs/spec/permit.md`).
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import JsonValue, SecretStr

from activities.executors.base import Order, PreconditionFailedError
from activities.executors.http_client import Request
from activities.executors.http_hosts import Host
from activities.executors.http_settings import SIGNED, Call, HttpOperation, Query, placed
from activities.executors.places import Place
from activities.executors.values import Values
from activities.standard_webhooks import signed
from policy.permit import Direction

PERMIT_HEADER = "countersign-permit"
_IN_PATH = re.compile(r"[A-Za-z0-9_~@:+=,-][A-Za-z0-9._~@:+=,-]*")
_MAX_HEADER = 7000
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
_IN_ETAG = re.compile(r"[\x21\x23-\x7e]+")
_ABSENT = object()


def address(base: str, path: str, query: Query, values: Values) -> str:
    """A whole address, encoded.

    Args:
        base: of the resource, as the operator wrote it.
        path: with places, from where the base ends.
        query: by name, with places.
        values: what goes into them; an empty one is refused, since it may select everything.

    Raises:
        PreconditionFailedError: a value cannot stand there.
    """
    parts = urlsplit(base)
    if parts.query or parts.fragment or not parts.netloc:
        raise PreconditionFailedError("the address of the resource has a query or a fragment, or no host: remove it")
    asked = "&".join(f"{quote(name, safe='')}={values.fill(text, _in_query)}" for name, text in query.items())
    where = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}{values.fill(path, _in_path)}"
    return f"{where}?{asked}" if asked else where


def effect(
    operation: HttpOperation, order: Order, place: Place, values: Values, base: str, host: Host, at: datetime
) -> Request:
    """The request that acts.

    Args:
        operation: the entry.
        order: what is permitted.
        place: where this request acts.
        values: of the order.
        base: the address of the resource.
        host: of that address.
        at: the instant (UTC) that is signed.

    Raises:
        PreconditionFailedError: it cannot be made; nothing was done.
    """
    body = _body(operation.call, order, place, values)
    headers = dict(_shown(operation.call.headers))
    headers["idempotency-key"] = f'"{place.key}"'
    headers |= _precondition(operation, order, place)
    headers |= _permit(operation, order)
    return _made(operation.call, headers, body, values, base, host, place.key, at)


def rehearsal(
    operation: HttpOperation, order: Order, place: Place, values: Values, base: str, host: Host, at: datetime
) -> Request:
    """The request that rehearses. It has no idempotency key: its answer must not be kept for the effect's.

    An endpoint of its own is logged in to read; where something is added to the request that acts, to act.

    Raises:
        PreconditionFailedError: it cannot be made.
    """
    assert operation.dry_run is not None
    call = operation.dry_run.call or operation.call
    call = call.model_copy(update={"query": {**call.query, **operation.dry_run.query}})
    headers = {**_shown(call.headers), **_shown(operation.dry_run.headers)}
    headers |= _precondition(operation, order, place)
    body = _body(call, order, place, values)
    reads = operation.dry_run.call is not None
    return _made(call, headers, body, values, base, host, f"dry-run.{place.key}", at, reads=reads)


def reading(method: str, url: str, host: Host, body: JsonValue = None) -> Request:
    """A request that only reads, logged in to read."""
    headers = _shown(host.reading_headers or host.headers)
    if method == "GET":
        return Request(method, url, headers)
    headers["content-type"] = "application/json"
    return Request(method, url, headers, _bytes(body))


def selecting(body: JsonValue, values: Values) -> Any:
    """The body of a question, with each value in its place.

    Raises:
        PreconditionFailedError: a value is missing or empty: to some servers that selects everything.
    """
    for name, _ in placed(body):
        if not values.has(name) or _empty(values.plain(name)):
            raise PreconditionFailedError(f"parameter {name} is empty: what is not selected is not touched")
    return _filled(body, values)


def _empty(value: JsonValue) -> bool:
    if isinstance(value, list):
        return not value or any(_empty(item) for item in value)
    return value is None or value in ("", {})


def _made(
    call: Call,
    headers: dict[str, str],
    body: bytes | None,
    values: Values,
    base: str,
    host: Host,
    key: str,
    at: datetime,
    *,
    reads: bool = False,
) -> Request:
    if body is not None:
        headers["content-type"] = "application/json"
    headers |= _shown((reads and host.reading_headers) or host.headers)
    if host.secret is not None:
        headers |= signed(host.secret, key, at, body or b"")
    return Request(call.method, address(base, call.path, call.query, values), headers, body)


def _body(call: Call, order: Order, place: Place, values: Values) -> bytes | None:
    if call.method in ("GET", "DELETE"):
        return None
    if not call.has_own_body:
        return _bytes(_as_permitted(order, place, values))
    within = Values(values.parameters, {**values.own, SIGNED: order.signed or ""}, values.secrets)
    return _bytes(_filled(call.body, within))


def _as_permitted(order: Order, place: Place, values: Values) -> dict[str, JsonValue]:
    """The order, for an endpoint that was made for it."""
    found: dict[str, JsonValue] = {
        "permit_id": place.key,
        "operation": order.operation,
        "direction": str(order.direction),
        "resource": place.resource,
        "parameters": {name: values.plain(name) for name in values.parameters},
        "dry_run": order.dry_run,
        "permit": order.signed,
    }
    if place.target is not None:
        found["target"] = {"id": place.target.id, "version": place.target.version}
    return found


def _permit(operation: HttpOperation, order: Order) -> dict[str, str]:
    how = operation.permit or ("header" if operation.call.has_own_body else "body")
    if how != "header" or order.signed is None:
        return {}
    if len(order.signed) > _MAX_HEADER:
        raise PreconditionFailedError(
            f"the signed permit has {len(order.signed)} characters, a header takes {_MAX_HEADER}: "
            f"put ${SIGNED} into the body of {order.operation}, or set permit: none"
        )
    return {PERMIT_HEADER: order.signed}


def _filled(value: JsonValue, values: Values) -> Any:
    match value:
        case str() if value.startswith("$$"):
            return value[1:]
        case str() if value.startswith("$"):
            name = value[1:]
            if name == SIGNED:
                return values.own.get(SIGNED) or None
            return values.plain(name) if values.has(name) else _ABSENT
        case dict():
            found = {name: _filled(item, values) for name, item in value.items()}
            return {name: item for name, item in found.items() if item is not _ABSENT}
        case list():
            return [_filled(item, values) for item in value]
    return value


def _bytes(value: Any) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        raise PreconditionFailedError("a value of the body is nothing that json can say") from None


def _shown(headers: Mapping[str, SecretStr]) -> dict[str, str]:
    return {name.lower(): value.get_secret_value() for name, value in headers.items()}


def _in_path(text: str) -> str:
    if not _IN_PATH.fullmatch(text):
        raise PreconditionFailedError(
            f"value {text[:100]!r} cannot stand in a path: letters, digits and -._~@:+=, only, and no dot first"
        )
    return text


def _in_query(text: str) -> str:
    return quote(text, safe="")


def _precondition(operation: HttpOperation, order: Order, place: Place) -> dict[str, str]:
    # The version that an undo was permitted with is the one before the step that it undoes.
    undoes = order.direction is Direction.undo
    if operation.resolve is None or not operation.if_match or place.version is None or undoes:
        return {}
    return {"if-match": _etag(place.version)}


def _etag(version: str) -> str:
    if _ETAG.fullmatch(version):
        return version
    if not _IN_ETAG.fullmatch(version):
        raise PreconditionFailedError("the resolved version cannot stand in an If-Match: nothing is done without it")
    return f'"{version}"'
