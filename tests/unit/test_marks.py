"""The mark that a target keeps of a permit which acts on one target after the other names that permit."""

import json

from activities.executors.kubernetes_objects import PERMIT
from activities.executors.postgres_session import ACTS, application_name
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
        "requestObject": {"metadata": {"annotations": {PERMIT: "p-1/deployments/shop/web"}}},
    }

    effect = kubernetes._effect(json.loads(json.dumps(event)), "kubernetes/shop")

    assert effect.permit_id == "p-1"
