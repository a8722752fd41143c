"""An operator's entries become executors, or a sentence that says what is wrong with which of them."""

from typing import Any

import pytest

from activities.executors.base import PreconditionFailedError, TargetCredentials
from activities.executors.kinds import KINDS, ExecutorSettingsError, make_executors

TARGETS = TargetCredentials(urls={"one": "postgresql://acts@host/db"}, readers={"two": "postgresql://reads@host/db"})

REFUSED = {
    "no kind": ({}, "kind None is none of"),
    "unknown kind": ({"kind": "telnet"}, "kind 'telnet' is none of"),
    "kind is a list": ({"kind": ["postgres"]}, "is none of"),
    "unknown setting": ({"kind": "postgres", "password": "hunter2"}, "password: Extra inputs are not permitted"),
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
