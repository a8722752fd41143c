"""What lifts what: freezes, exceptions and emergencies, whom they exclude, and until when they let through."""

from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from policy.document import Verdict
from policy.errors import DocumentError
from policy.evaluation import Evaluation
from policy.observed import HoldFact
from tests.unit.asking import ask, policy_with
from tests.unit.builders import T0

_ALL = "match: {environments: [production]}"
_HOLD = HoldFact(hold_id="h", target="component:default/orders", proposal_id="p-0", reason="unknown outcome")
_FREEZE = b"  - {id: year-end, kind: freeze, zone: UTC, start: '2030-01-01', duration: 1d, reason: the books close}\n"


def _exception(**changes: str) -> str:
    given = {
        "id": "migration",
        "match": "{targets: [orders]}",
        "lifts": "[year-end]",
        "approved_by": "[dora]",
        "reason": "the cluster is switched off",
        "granted_at": "2029-12-20T00:00:00Z",
        "expires_at": "2030-01-01T10:00:00Z",
        **changes,
    }
    return f"exceptions: [{{{', '.join(f'{name}: {value}' for name, value in given.items())}}}]\n"


def _glass(**changes: str) -> str:
    given = {"id": "outage", "match": "{environments: [production]}", "chain": "one", "review_within": "2d", **changes}
    return f"break_glass: [{{{', '.join(f'{name}: {value}' for name, value in given.items())}}}]\n"


_DENY = f"- {{id: never, {_ALL}, verdict: deny}}"
_EMERGENCY: dict[str, Any] = {"change_type": "emergency"}


class Lifted(NamedTuple):
    """A question, and what becomes of it; unless told otherwise `pair` is asked as ever."""

    rules: str = ""
    more: str = ""
    frozen: bool = False
    changes: dict[str, Any] = {}
    verdict: Verdict = Verdict.require_approval
    by: str = "settings"
    exceptions: tuple[str, ...] = ()
    glass: str | None = None

    @property
    def denied_by_the_freeze(self) -> "Lifted":
        return self._replace(frozen=True, verdict=Verdict.deny, by="year-end")


_NOR_THEN = "\n  - {id: nor-then, when: 'true', verdict: deny}"
LIFTED: dict[str, Lifted] = {
    "a freeze": Lifted().denied_by_the_freeze,
    "an exception lifts a freeze": Lifted(more=_exception(), frozen=True, exceptions=("migration",)),
    "an exception for another target": Lifted(more=_exception(match="{targets: [shop]}")).denied_by_the_freeze,
    "an exception that is over": Lifted(more=_exception(expires_at="2030-01-01T09:00:00Z")).denied_by_the_freeze,
    "an exception that is not granted yet": Lifted(
        more=_exception(granted_at="2030-01-01T09:00:01Z")
    ).denied_by_the_freeze,
    "an exception whose condition does not hold": Lifted(more=_exception(when="risk.score > 100")).denied_by_the_freeze,
    "an exception whose condition has no answer": Lifted(
        more=_exception(when="parameters.nothing == 1")
    ).denied_by_the_freeze,
    "an exception lifts a rule": Lifted(_DENY, _exception(lifts="[never]"), exceptions=("migration",)),
    "an exception lifts one of two rules": Lifted(
        _DENY + _NOR_THEN, _exception(lifts="[never]"), verdict=Verdict.deny, by="nor-then"
    ),
    "an exception that would leave nothing": Lifted(more=_exception(lifts="[settings]")),
    "an exception lifts all rules, and the mildest stands": Lifted(
        _DENY, _exception(lifts="[settings, never]"), exceptions=("migration",)
    ),
    "what remedies a hold is not frozen": Lifted(frozen=True, changes={"remedies": "p-0"}),
    "an emergency asks another chain": Lifted(more=_glass(), changes=_EMERGENCY, glass="outage"),
    "an emergency is frozen, too": Lifted(more=_glass(), changes=_EMERGENCY).denied_by_the_freeze,
    "an emergency lifts a freeze": Lifted(
        more=_glass(lifts_freezes="[year-end]"), frozen=True, changes=_EMERGENCY, glass="outage"
    ),
    "an emergency is denied by a rule": Lifted(_DENY, _glass(), changes=_EMERGENCY, verdict=Verdict.deny, by="never"),
    "an emergency without a reason": Lifted(more=_glass(), changes={**_EMERGENCY, "rationale": " \n"}),
    "an emergency that needs none": Lifted(
        more=_glass(reason_required="false"), changes={**_EMERGENCY, "rationale": ""}, glass="outage"
    ),
    "no emergency": Lifted(more=_glass()),
    "an emergency somewhere else": Lifted(more=_glass(match="{environments: [staging]}"), changes=_EMERGENCY),
}


@pytest.mark.parametrize("case", LIFTED.values(), ids=LIFTED)
def test_what_lifts_what(case: Lifted) -> None:
    """A freeze denies; exceptions and break-glass lift what they name, for whom they name, while they last."""
    facts = {"holds": (_HOLD,)} if "remedies" in case.changes else {}
    policy = policy_with(case.rules, more=case.more, calendars=_FREEZE if case.frozen else b"")
    found = ask(policy, facts=facts, **case.changes)

    assert (found.verdict, found.decided_by, found.break_glass) == (case.verdict, case.by, case.glass), found.reasons
    assert found.exceptions == case.exceptions
    assert tuple(item.id for item in found.applied) == case.exceptions
    assert all(item.approved_by and item.reason for item in found.applied)
    if case.glass:
        assert (found.chain_name, found.review_seconds) == ("one", 2 * 86400)


def test_an_emergency_is_never_let_through_by_nobody() -> None:
    """Where break-glass lifts a freeze from what would be allowed, its chain is asked."""
    rules = f"- {{id: free, {_ALL}, verdict: allow}}"
    policy = policy_with(rules, more=_glass(lifts_freezes="[year-end]"), calendars=_FREEZE, settings=False)

    assert ask(policy, **_EMERGENCY).chain_name == "one"
    thawed = policy_with(rules, more=_glass(lifts_freezes="[year-end]"), settings=False, calendars=_other_day())
    assert ask(thawed, **_EMERGENCY).verdict is Verdict.allow


def _other_day() -> bytes:
    return _FREEZE.replace(b"2030-01-01", b"2030-02-01")


def test_an_exception_that_could_not_be_asked_is_shown() -> None:
    """People who are asked learn that an exception was meant and failed."""
    found = ask(
        policy_with(
            _DENY.replace("deny", "hold, chain: one"), more=_exception(lifts="[never]", when="parameters.x == 1")
        )
    )

    assert [reason.code for reason in found.reasons] == ["rule_hold", "exception_failed"]


def test_who_wrote_the_policy_or_granted_an_exception_does_not_approve() -> None:
    """The authors of a document that asks, and who approved an exception that applies, are excluded by name."""
    found = ask(policy_with(_DENY, more=_exception(lifts="[never]"), metadata="authors: [sam, ann]"))

    assert [(item.people, item.reason) for item in found.excluded] == [
        (("sam", "ann"), "wrote the policy house"),
        (("dora",), "approved the exception migration"),
    ]


# name: rules, more of the document, calendars; when the permit ends at the latest (minutes after T0)
UNTIL: dict[str, tuple[str, str, bytes, float | None]] = {
    "no window": ("", "", b"", None),
    "the window of the rule": (
        f"- {{id: wait, {_ALL}, verdict: hold, chain: one, windows: [mornings], outside: deny}}",
        "",
        b"",
        60,
    ),
    "the last of its windows": (
        f"- {{id: wait, {_ALL}, verdict: hold, chain: one, windows: [mornings, days], outside: deny}}",
        "",
        b"  - {id: days, kind: window, zone: UTC, start: '2030-01-01', duration: 1d}\n",
        15 * 60,
    ),
    "a window that the rule does not name": (f"- {{id: wait, {_ALL}, verdict: hold, chain: one}}", "", b"", None),
    "a freeze to come": (
        "",
        "",
        b"  - {id: soon, kind: freeze, zone: UTC, start: '2030-01-01T09:20', duration: 1h}\n",
        20,
    ),
    "a freeze to come, of other actions": (
        "",
        "",
        _FREEZE.replace(b"2030-01-01", b"2030-01-01T09:20").replace(b"zone:", b"match: {environments: [x]}, zone:"),
        None,
    ),
    "the end of the exception": (_DENY, _exception(lifts="[never]", expires_at="2030-01-01T09:05:00Z"), b"", 5),
}


@pytest.mark.parametrize(("rules", "more", "calendars", "minutes"), UNTIL.values(), ids=UNTIL)
def test_until_when_a_permit_may_wait(rules: str, more: str, calendars: bytes, minutes: float | None) -> None:
    """No permit outlives the window, the exception or the peace by which its action is let through."""
    found = ask(policy_with(rules, more=more, calendars=calendars))

    assert found.permit_until == (None if minutes is None else T0 + timedelta(minutes=minutes))


def test_the_same_question_has_the_same_answer() -> None:
    """What is evaluated twice, after whatever else, is the same to the byte."""
    policy = policy_with(_DENY, more=_exception(lifts="[never]"), calendars=_FREEZE)
    first = ask(policy).model_dump_json()
    for minute in range(5):
        ask(policy, at=T0 + timedelta(minutes=minute))

    assert ask(policy).model_dump_json() == first
    assert Evaluation.model_validate_json(first).model_dump_json() == first


REFUSED = {
    "an exception from a limit": (_exception(lifts="[no-drop]"), "rule or freeze no-drop is named by exception"),
    "an exception from nothing": (_exception(lifts="[]"), "lifts: .*at least 1 item"),
    "an exception that nobody approved": (
        _exception(lifts="[settings]", approved_by="[]"),
        "approved_by: .*at least 1",
    ),
    "an exception without a reason": (_exception(lifts="[settings]", reason="''"), "reason: .*at least 1 char"),
    "an exception for everything": (
        _exception().replace("match: {targets: [orders]}, ", ""),
        "give it match or when",
    ),
    "an exception without an end": (
        _exception(lifts="[settings]").replace(", expires_at: 2030-01-01T10:00:00Z", ""),
        "expires_at: field required",
    ),
    "an exception for too long": (
        _exception(lifts="[settings]", expires_at="2030-03-20T00:00:01Z"),
        "it lasts more than 90d",
    ),
    "an exception that ends before it begins": (
        _exception(lifts="[settings]", granted_at="2030-01-01T10:00:00Z"),
        "expires before it is granted",
    ),
    "an emergency that asks nobody": (_glass(chain="nobody"), "chain nobody is named by break_glass outage"),
    "an emergency of everything": (_glass(match="{}"), "match is empty"),
    "an emergency that nobody reviews": (_glass(review_within="0s"), "review_within: .*greater than"),
    "an emergency that lifts a window": (_glass(lifts_freezes="[mornings]"), "freeze mornings is named by break_glass"),
}


@pytest.mark.parametrize(("more", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(more: str, message: str) -> None:
    """What would lift more than it says, or for ever, is refused when the document is read."""
    with pytest.raises(DocumentError, match=message):
        policy_with(more=more)
