"""Hours that a policy names: put into the chain that it answers with, and what a stage may not say of time."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from policy.checks.policy_diff import diff
from policy.document import PolicySet, read_policy
from policy.errors import DocumentError
from policy.evaluation import Evaluation
from policy.rules.hours import Hours
from tests.unit.asking import ask

HOURS = 'hours:\n  office: {zone: Europe/Berlin, days: {mon: ["09:00-17:00"]}}\n'
OFFICE = Hours.model_validate({"zone": "Europe/Berlin", "days": {"mon": ["09:00-17:00"]}})
TEXT = """apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: NAME, version: "1"}
rules:
  - {id: ID, match: {operations: [pg.set, pg.reset]}, verdict: require_approval, chain: one}
chains:
  one: {stages: [STAGE]}
"""
STAGE = "{name: ops, requirements: [{groups: [ops]}], deadline: 8h, MORE}"


def _text(more: str, *, hours: str = HOURS, name: str = "house") -> str:
    text = TEXT.replace("STAGE", STAGE).replace("MORE", more).replace("NAME", name).replace("ID", f"rule-{name}")
    return text + hours


def _read(*texts: str) -> PolicySet:
    return read_policy("---\n".join(texts).encode())


def _asked(*texts: str) -> Evaluation:
    return ask(_read(*texts))


def test_a_chain_holds_the_hours_that_it_names() -> None:
    """What people are asked by says all of what it means, whatever the document says later."""
    chain = _asked(_text("hours: office, remind_hours: office")).chain
    assert chain is not None
    assert (chain.stages[0].hours, chain.stages[0].remind_hours) == (OFFICE, OFFICE)
    assert json.loads(chain.model_dump_json())["stages"][0]["hours"]["zone"] == "Europe/Berlin"


def test_two_documents_mean_their_own_hours() -> None:
    """The same chain with other hours is another chain: both are asked."""
    other = HOURS.replace("Berlin", "Lisbon")
    evaluation = _asked(_text("hours: office"), _text("hours: office", hours=other, name="home"))
    assert evaluation.chain is not None
    zones = [stage.hours.zone for stage in evaluation.chain.stages if isinstance(stage.hours, Hours)]
    assert zones == ["Europe/Berlin", "Europe/Lisbon"]


REFUSED: dict[str, tuple[str, str]] = {
    "hours that are not there": ("hours: night", "hours night is named by stage ops and not defined"),
    "hours to be reminded in that are not there": ("remind_hours: night", "hours night is named by stage ops"),
    "an escalation at the deadline that comes later": (
        "on_expiry: escalate, expiry_escalation: {after: 1h, add_groups: [sre], reason: r}",
        "expiry_escalation comes at the deadline",
    ),
    "an escalation at a deadline that denies": (
        "expiry_escalation: {after: 0s, add_groups: [sre], reason: r}",
        "expiry_escalation belongs to on_expiry: escalate",
    ),
    "a grace of what does not end": ("on_expiry: hold, grace: 1h", "a grace belongs to a deadline that ends"),
    "a grace of what reminds": ("on_expiry: remind, grace: 1h", "a grace belongs to a deadline that ends"),
    "a release of what is not held": ("release: {groups: [sre]}", "release belongs to on_expiry: hold"),
    "an escalation of nobody": ("escalations: [{after: 1h, reason: r}]", "it asks nobody"),
}


@pytest.mark.parametrize(("more", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_a_stage_may_not_say(more: str, problem: str) -> None:
    """What cannot be meant is refused when the document is read, with the stage and the fix."""
    with pytest.raises(DocumentError, match=problem):
        _read(_text(more))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("", "hours: office", "counted in mon 09:00-17:00 Europe/Berlin"),
        ("", "remind_every: 1h, remind_hours: office", "reminded every 1h; reminded in mon 09:00-17:00 Europe/Berlin"),
        ("", "grace: 1h, on_request_info: pause", "with a grace of 1h; waiting for answers"),
        (
            "",
            "on_expiry: escalate, expiry_escalation: {after: 0s, add_groups: [sre], reason: r}",
            "within 8h, then escalate; denied by 1; sre added at the deadline",
        ),
        (
            "",
            "escalations: [{after: 1h, to: [next_on_call], replace: true, reason: r}]",
            "next on call instead after 1h",
        ),
    ],
)
def test_what_changes_of_time_is_said(before: str, after: str, said: str) -> None:
    """Two policies that differ in what time does to a stage differ in meaning."""
    now: dict[str, Any] = {"now": datetime(2030, 1, 1, tzinfo=UTC)}
    (change,) = diff(_read(_text(before)), _read(_text(after)), **now).changes
    assert said in change.after


def test_hours_that_change_change_what_is_meant() -> None:
    """The name stays and the hours are others: that is a change."""
    other = HOURS.replace("17:00", "18:00")
    now = datetime(2030, 1, 1, tzinfo=UTC)
    (change,) = diff(_read(_text("hours: office")), _read(_text("hours: office", hours=other)), now=now).changes
    assert "18:00" in change.after
