"""Where the commands work: a Temporal and a record from one side, and the stack of this folder where it is meant."""

import pytest

from activities.settings import DATABASE_URL, TEMPORAL_CHOICES
from cli import place
from deploy.dev import StackAddresses

STACK = StackAddresses(
    temporal_address="127.0.0.1:7234",
    namespace="default",
    ui_url="http://127.0.0.1:8234",
    socket_dir="/tmp/run",
    postgres_port=5432,
    data_dir=".dev",
    pid=1,
)
ITS_TEMPORAL = {"TEMPORAL_ADDRESS": "127.0.0.1:7234"}


@pytest.mark.parametrize(
    ("given", "is_the_stack"),
    [
        ({}, True),
        (ITS_TEMPORAL, True),
        ({**ITS_TEMPORAL, "TEMPORAL_NAMESPACE": "default"}, True),
        ({**ITS_TEMPORAL, "TEMPORAL_NAMESPACE": "other"}, False),
        ({**ITS_TEMPORAL, "TEMPORAL_PROFILE": "prod"}, False),
        ({"TEMPORAL_PROFILE": "prod"}, False),
        ({"TEMPORAL_ADDRESS": "127.0.0.1:7233"}, False),
        ({**ITS_TEMPORAL, DATABASE_URL: "postgresql://countersign_reader@/countersign"}, False),
    ],
)
def test_the_stack_of_this_folder_is_chosen_as_a_whole(
    given: dict[str, str], is_the_stack: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Naming its Temporal, as `countersign dev` prints it for other clients, does not lose its record."""
    for name in (*TEMPORAL_CHOICES, "TEMPORAL_NAMESPACE", DATABASE_URL):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(place, "running_stack", lambda _: STACK)

    found = place.find_place()

    assert found.development is is_the_stack
    assert found.temporal_address == (STACK.temporal_address if is_the_stack else None)
    if is_the_stack:
        assert found.settings.database_url == STACK.database_url(place.READER)
