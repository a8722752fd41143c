"""Where an endpoint that accepted an order may say how far it is: below the resource's own address and nowhere else."""

import pytest

from activities.executors.base import EffectUnknownError
from activities.executors.http_client import Answer
from activities.executors.http_following import status_address

BASE = "https://gateway.example/team-a"
SENT = f"{BASE}/jobs"

BELOW = {
    "relative": ("jobs/7", f"{BASE}/jobs/7"),
    "from the root": ("/team-a/status/7?full=1", f"{BASE}/status/7?full=1"),
    "whole": (f"{BASE}/jobs/7", f"{BASE}/jobs/7"),
    "the resource itself": ("/team-a", BASE),
}
ELSEWHERE = {
    "another team's": "/team-b/databases/prod",
    "one that begins alike": "/team-a-secrets/7",
    "up and over": "../team-b/databases/prod",
    "encoded dots": "/team-a/%2e%2e/team-b/databases/prod",
    "dots encoded twice": "/team-a/%252e%252e/team-b",
    "a backslash": "/team-a/..%5cteam-b",
    "another host": "https://elsewhere.example/team-a/jobs/7",
    "another port": "https://gateway.example:8443/team-a/jobs/7",
    "a user before the host": "https://me@gateway.example/team-a/jobs/7",
    "another scheme": "http://gateway.example/team-a/jobs/7",
}


@pytest.mark.parametrize(("given", "found"), BELOW.values(), ids=BELOW)
def test_an_address_below_the_resource_is_followed(given: str, found: str) -> None:
    assert status_address(SENT, Answer(202, {"location": given}), BASE) == found


@pytest.mark.parametrize("given", ELSEWHERE.values(), ids=ELSEWHERE)
def test_an_address_elsewhere_is_not_asked(given: str) -> None:
    with pytest.raises(EffectUnknownError, match="it was accepted"):
        status_address(SENT, Answer(202, {"location": given}), BASE)
