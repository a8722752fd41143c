"""Policies of the small world with rules of one's own, and what they answer."""

from datetime import datetime
from typing import Any

from policy.document import PolicySet
from policy.evaluation import Evaluation, evaluate
from policy.impact import assess
from policy.rules.calendars import timing_of
from tests.unit.builders import POLICY, T0, a_policy, a_proposal, facts_of

# T0 is 09:00 UTC.
_CALENDARS = b"""calendars:
  - {id: mornings, kind: window, zone: UTC, start: '2030-01-01T08:00', duration: 2h, rrule: FREQ=DAILY}
  - {id: evenings, kind: window, zone: UTC, start: '2030-01-01T18:00', duration: 2h, rrule: FREQ=DAILY}
"""
_ONE = b"chains:\n  one: {stages: [{name: one, requirements: [{groups: [sre]}], deadline: 1h}]}\n"
_SETTINGS = b"  - {id: settings, match: {operations: [pg.set, pg.reset]}, verdict: require_approval, chain: pair}\n"
_NOTHING = b"  - {id: nothing, match: {operations: [pg.nothing]}, verdict: require_approval, chain: pair}\n"


def policy_text(
    rules: str = "", *, more: str = "", calendars: bytes = b"", settings: bool = True, metadata: str = ""
) -> bytes:
    """The policy of the small world with these rules first; without `settings` it says nothing of what sets one."""
    text = POLICY.replace(b"limits:", _CALENDARS + calendars + more.encode() + b"limits:", 1)
    text = text.replace(b"rules:\n", b"rules:\n" + (b"  " + rules.encode() + b"\n" if rules else b""), 1)
    text = text.replace(b"chains:\n", _ONE, 1).replace(b'version: "1"}', f'version: "1", {metadata}}}'.encode(), 1)
    return text if settings else text.replace(_SETTINGS, _NOTHING)


def policy_with(rules: str = "", **more: Any) -> PolicySet:
    """The same, read."""
    return a_policy(policy_text(rules, **more))


def ask(
    policy: PolicySet, *, facts: dict[str, Any] | None = None, at: datetime | None = T0, **changes: Any
) -> Evaluation:
    """What a policy says of the proposal of the small world, with these changes, at an instant."""
    proposal = a_proposal(**changes)
    known = facts_of(proposal, **(facts or {}))
    known = known.model_copy(update={"observed": known.observed.model_copy(update={"at": at})})
    timing = timing_of(policy, known)
    return evaluate(policy, proposal, known, assess(proposal, known, timing), timing)
