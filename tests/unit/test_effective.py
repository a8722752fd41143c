"""What of a policy is in effect at an instant."""

from datetime import UTC, datetime

import pytest

from policy.checks.effective import effective
from policy.document import read_policy

POLICY = read_policy(b"""
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: house, version: "1"}
limits:
  - {id: wall, match: {operations: [pg.drop]}, reason: never}
calendars:
  - {id: nights, kind: window, zone: UTC, start: 2030-01-01T22:00, duration: 4h, rrule: FREQ=DAILY}
  - {id: winter, kind: freeze, match: {targets: [orders]}, zone: UTC, start: 2030-12-24, duration: 3d, reason: holidays}
  - {id: day, kind: peak, zone: UTC, start: 2030-01-01T08:00, duration: 10h, rrule: FREQ=DAILY}
rules:
  - {id: set, match: {operations: [pg.set]}, verdict: require_approval, chain: one, windows: [nights], outside: deny}
  - id: new
    match: {targets: [orders]}
    when: risk.score > 60
    verdict: deny
    enforcement: warn
    enforce_from: 2030-06-01
exceptions:
  - id: week
    match: {operations: [pg.set]}
    lifts: [set]
    approved_by: [ann]
    reason: agreed
    granted_at: 2030-01-10T00:00:00Z
    expires_at: 2030-02-01T00:00:00Z
break_glass:
  - {id: fire, match: {operations: [pg.set, pg.drop]}, chain: one, review_within: 1d}
chains:
  one: {stages: [{name: ops, requirements: [{groups: [ops]}], deadline: 1h}]}
""")
SET = "rule set: require_approval by one inside of nights, deny outside"
NEW = "new: deny if `risk.score > 60`"
FIRE = "break_glass fire: asks one in an emergency"

CASES: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "in the afternoon": (
        "2030-01-05T15:00:00",
        {},
        ["limit wall: never", SET, f"warning {NEW}, enforced from 2030-06-01", FIRE],
    ),
    "at night, while an exception lasts": (
        "2030-01-15T23:00:00",
        {"operation": "pg.set", "target": "shop"},
        [
            "window nights: no reason given until 2030-01-16T02:00:00",
            SET,
            "exception week: lifts set: agreed until 2030-02-01T00:00:00",
            FIRE,
        ],
    ),
    "in a freeze, when the switch is over": (
        "2030-12-25T12:00:00",
        {"target": "component:default/orders", "operation": "pg.drop"},
        ["limit wall: never", "freeze winter: holidays until 2030-12-27T00:00:00", f"rule {NEW}", FIRE],
    ),
    "of what nothing names": ("2030-01-05T15:00:00", {"operation": "x.y", "target": "shop"}, []),
}


@pytest.mark.parametrize(("at", "asked", "expected"), CASES.values(), ids=CASES)
def test_what_is_in_effect(at: str, asked: dict[str, str], expected: list[str]) -> None:
    """Limits, open windows and freezes, rules and their enforcement, exceptions and break-glass, as of the instant."""
    found = effective(POLICY, datetime.fromisoformat(at).replace(tzinfo=UTC), **asked)

    said = [
        f"{item.what} {item.id}: {item.says}" + (f" until {item.until:%Y-%m-%dT%H:%M:%S}" if item.until else "")
        for item in found
    ]
    assert said == expected
    assert {item.document for item in found} <= {"house"}
