"""An operator's entries become executors, or a sentence that says what is wrong with which of them."""

from typing import Any

import pytest

from activities.executors.base import PreconditionFailedError, TargetCredentials
from activities.executors.kinds import KINDS, ExecutorSettingsError, make_executors

TARGETS = TargetCredentials(urls={"one": "postgresql://acts@host/db"}, readers={"two": "postgresql://reads@host/db"})

TEMPORAL: dict[str, Any] = {
    "kind": "temporal",
    "address": "temporal.example.com:7233",
    "namespace": "billing",
    "operations": {"orders.refund": {"workflow": "RefundOrder", "queue": "billing"}},
}


def _refund(**changes: Any) -> dict[str, Any]:
    return {**TEMPORAL, "operations": {"orders.refund": {"queue": "billing", **changes}}}


REFUSED = {
    "no kind": ({}, "kind None is none of"),
    "unknown kind": ({"kind": "telnet"}, "kind 'telnet' is none of"),
    "kind is a list": ({"kind": ["postgres"]}, "is none of"),
    "unknown setting": ({"kind": "postgres", "password": "hunter2"}, "password: Extra inputs are not permitted"),
    "temporal without operations": ({**TEMPORAL, "operations": {}}, "operations: Dictionary should have at least 1"),
    "temporal without a port": ({**TEMPORAL, "address": "temporal"}, "address: String should match"),
    "an api key in clear": ({**TEMPORAL, "api_key": "hunter2"}, "set tls"),
    "half a certificate": ({**TEMPORAL, "tls": {"cert_file": "a.pem"}}, "cert_file and key_file together"),
    "neither workflow nor activity": (_refund(), "name either a workflow or an activity"),
    "both": (_refund(workflow="A", activity="b"), "name either a workflow or an activity"),
    "a workflow with a heartbeat": (_refund(workflow="A", heartbeat=5), "heartbeat is for an activity"),
    "an operation that is no name": ({**TEMPORAL, "operations": {"*": {}}}, "operations.*"),
    "a second that is a text": (_refund(workflow="A", starts_within="10"), "starts_within"),
}


@pytest.mark.parametrize(("entry", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_with_an_entry_is_said_and_its_values_are_not(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ExecutorSettingsError) as error:
        make_executors({"mine": entry}, TARGETS)

    assert said in str(error.value)
    assert "executor mine" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_an_executor_is_called_as_its_entry_says() -> None:
    assert make_executors({"orders-databases": {"kind": "postgres"}}, TARGETS)["orders-databases"].name == (
        "orders-databases"
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_refuses_what_it_does_not_know(kind: str) -> None:
    with pytest.raises(ExecutorSettingsError, match="surprise"):
        make_executors({"mine": {"kind": kind, "surprise": 1}}, TARGETS)


def test_a_resource_is_read_by_its_own_address_or_by_the_one_that_acts() -> None:
    both = TargetCredentials(urls={"a": "acts"}, readers={"a": "reads"})

    assert (both.reading_url("a"), TARGETS.reading_url("one")) == ("reads", "postgresql://acts@host/db")
    with pytest.raises(PreconditionFailedError, match="no credentials for resource none"):
        both.reading_url("none")


def test_a_temporal_entry_says_what_its_workers_can() -> None:
    entry = _refund(workflow="RefundOrder", stops=True, ends_within=7, rehearses=True)
    entry |= {"api_key": "hunter2", "tls": {"server_name": "temporal.example.com"}}
    entry["operations"]["orders.refund"]["resolve"] = {"activity": "findOrders", "queue": "asks"}
    made = make_executors({"billing": entry}, TARGETS)["billing"]

    capability = made.supports.of("orders.refund")
    assert (capability.resolves, capability.dry_runs, capability.observes, capability.stops) == (
        *(True, True),
        *("by_key", "within"),
    )
    assert made.supports.stops_within.total_seconds() == 9
    assert "hunter2" not in f"{made!r} {made.__dict__} {made.__dict__['_connection'].__dict__}"


def test_one_operation_that_does_not_stop_is_enough_to_stop_between_only() -> None:
    entry = _refund(workflow="RefundOrder", stops=True)
    entry["operations"]["orders.take_back"] = {"activity": "takeBack", "queue": "billing"}

    supports = make_executors({"billing": entry}, TARGETS)["billing"].supports
    assert supports.stops == "between"
    assert [supports.of(name).stops for name in ("orders.refund", "orders.take_back")] == ["within", "between"]
