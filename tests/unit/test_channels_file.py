"""The channels file: what is refused, and that no secret is shown."""

import json
from typing import Any

import pytest

from activities.channels.file import ChannelsError, read_channels
from activities.channels.lanes import make_lanes
from tests.integration.inbox import SECRET

MAIL = {"kind": "apprise", "url": "mailtos://me:hunter2@smtp.example.org?from=me@example.org&to={address}"}
HOOK = {"kind": "webhook", "url": "https://platform.example.org/hook", "secret": SECRET}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no channel": ({"channels": {}}, "channels: Dictionary should have at least 1 item"),
    "an unknown kind": ({"channels": {"x": {"kind": "pigeon"}}}, "does not match any of the expected tags"),
    "a misspelt field": ({"channels": {"mail": {**MAIL, "formt": "text"}}}, "Extra inputs are not permitted"),
    "an address in the host": (
        {"channels": {"mail": {**MAIL, "url": "json://{address}/x"}}},
        "url may hold {address} once its host has ended",
    ),
    "another placeholder": ({"channels": {"mail": {**MAIL, "url": "json://h/{token}"}}}, "no other placeholder"),
    "a webhook without TLS": ({"channels": {"h": {**HOOK, "url": "http://platform.example.org/"}}}, "https address"),
    "a webhook with a user": (
        {"channels": {"h": {**HOOK, "url": "https://hunter2@p.example.org/"}}},
        "https address",
    ),
    "a short secret": ({"channels": {"h": {**HOOK, "secret": "whsec_aHVudGVyMg=="}}}, "24 to 64 random bytes"),
    "a secret that is none": ({"channels": {"h": {**HOOK, "secret": "hunter2"}}}, "24 to 64 random bytes"),
    "a group without such a channel": (
        {"channels": {"h": HOOK}, "groups": {"sre": {"h": "x"}}},
        "group sre is told by h, which is no channel to people",
    ),
    "a limit of nothing": ({"channels": {"mail": MAIL}, "pacing": {"per_hour": 0}}, "pacing.per_hour"),
    "a kind that is none": ({"channels": {"h": {**HOOK, "kinds": ["gossip"]}}}, "kinds"),
}


@pytest.mark.parametrize(("value", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_used_is_refused_without_its_secrets(value: dict[str, Any], message: str) -> None:
    """The error names the field and what is wrong, and shows no value."""
    with pytest.raises(ChannelsError) as refused:
        read_channels(json.dumps(value).encode())

    assert message in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_the_order_of_the_file_is_that_of_preference() -> None:
    """Channels to people and to platforms are told apart, and stay in order."""
    found = read_channels(json.dumps({"channels": {"z": MAIL, "hook": HOOK, "a": MAIL}}).encode())

    assert (list(found.to_people), list(found.to_platforms)) == (["z", "a"], ["hook"])
    assert "hunter2" not in repr(found)


def test_a_service_that_nobody_knows_is_refused_where_a_worker_starts() -> None:
    """An address that apprise does not understand tells nobody, so no worker starts with it."""
    channels = read_channels(json.dumps({"channels": {"chat": {"kind": "apprise", "url": "pigeon://loft"}}}).encode())

    with pytest.raises(ChannelsError, match="channel chat: apprise does not understand its url"):
        make_lanes(channels)
