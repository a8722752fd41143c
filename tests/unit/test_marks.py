"""The keys and marks of a permit that acts on several targets: each tells them apart, and names the permit."""

import json
import re
from datetime import UTC, datetime

import pytest

from activities.executors.http_hosts import Host
from activities.executors.http_requests import effect
from activities.executors.http_settings import HttpOperation
from activities.executors.kubernetes_objects import PERMIT
from activities.executors.places import places_of
from activities.executors.postgres_session import ACTS, application_name
from activities.executors.values import own_of, values_of
from activities.stepping import orders_of
from activities.trails import kubernetes
from policy.permit import Direction
from policy.targets import ResolvedTarget
from tests.unit.permitted import permit

NAMES = ("public.orders_by_customer_idx", "public.orders_by_state_and_customer_name_idx")
KEPT_BYTES = 63


def test_sessions_bear_the_name_of_the_permit_and_the_server_keeps_all_of_it() -> None:
    targets = tuple(ResolvedTarget(id=name, resource="postgres/orders") for name in NAMES)
    one = permit(Direction.do, one_by_one=True, targets=targets, resolved=("postgres/orders",))

    names = {application_name(order.permit_id) for order in orders_of(one).values()}

    assert names == {f"{ACTS}{one.permit_id}"}
    assert all(len(name.encode()) <= KEPT_BYTES for name in names)
    assert {order.of_permit for order in orders_of(one).values()} == {one.permit_id}


def test_the_mark_of_an_object_is_read_as_that_of_its_permit() -> None:
    event = {
        "objectRef": {"resource": "deployments", "namespace": "shop", "name": "web", "apiGroup": "apps"},
        "requestReceivedTimestamp": "2026-11-27T12:00:00Z",
        "verb": "patch",
        "user": {"username": "countersign"},
    }

    for mark in ("p-1", "p-1.2", "p-1/deployments/shop/web"):
        event["requestObject"] = {"metadata": {"annotations": {PERMIT: mark}}}
        effect = kubernetes._effect(json.loads(json.dumps(event)), "kubernetes/shop")
        assert effect.permit_id == "p-1"


HOSTILE = ('a"1', 'a"2', "a/b", "a,b", "ü", "a\r\nx-admin: 1", "../up", "", "x" * 300)


def test_the_keys_of_targets_hold_nothing_of_their_names() -> None:
    """A name could end the header, the path or the list in which a key stands, so that two targets have one key."""
    targets = tuple(ResolvedTarget(id=name, resource="r") for name in HOSTILE)
    both = [permit(which, one_by_one=True, resolved=("r",), targets=targets) for which in Direction]

    do, undo = (list(orders_of(each).values()) for each in both)

    keys = [order.permit_id for order in (*do, *undo)]
    assert len(set(keys)) == 2 * len(HOSTILE)
    assert all(re.fullmatch(r"[0-9a-f-]{36}\.[1-9][0-9]*", key) for key in keys)
    assert [order.undoes for order in undo] == [order.permit_id for order in do]
    assert {order.of_permit for order in do} == {both[0].permit_id}


@pytest.mark.parametrize("one_by_one", [False, True])
def test_an_endpoint_tells_the_keys_of_targets_apart(one_by_one: bool) -> None:
    """By what a structured header's string is (RFC 8941), also in a path; all at once they have the same keys."""
    call = {"call": {"path": "/x/{order.permit_id}", "body": {}}, "resolve": {"path": "/y", "listing": {"id": "/id"}}}
    operation = HttpOperation.model_validate({**call, "permit": "none"})
    targets = tuple(ResolvedTarget(id=name, resource="r") for name in ('a"1', 'a"2'))
    given = permit(one_by_one=one_by_one, resolved=("r",), targets=targets, parameters={})

    host, sent = Host.model_validate({"headers": {"x": "y"}}), []
    for order in orders_of(given).values():
        for place in places_of(order, resolves=True):
            values = values_of({}, {}, {}, own_of(order, place))
            sent.append(effect(operation, order, place, values, "https://h.example", host, datetime.now(UTC)))

    keys = [f"{given.permit_id}.{number}" for number in (1, 2)]
    assert [request.headers["idempotency-key"] for request in sent] == [f'"{key}"' for key in keys]
    assert [request.url for request in sent] == [f"https://h.example/x/{key}" for key in keys]
