"""Who is told of what happened, and who an audience is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from policy.approval.standing import due_until
from policy.notices.addressing import Addressee, addressees
from policy.notices.notice import Asked, Audience, Notice, NoticeKind, Urgency
from policy.notices.occasions import due, notices_of, outcome, resolved
from policy.outcome import Outcome
from policy.people.directory import Directory, read_directory
from tests.unit.builders import a_ballot, a_case, at
from tests.unit.notices import CASE, CHAIN, one_of_each, passed, standing

YES = a_ballot("sam", "approve", 5, "sre")
DIRECTORY = read_directory(
    b"""
apiVersion: countersign/v1
kind: Directory
metadata: {name: people, version: "1"}
people:
  - {id: ann, groups: [sre]}
  - {id: bob, groups: [sre], qualifications: [dba]}
  - {id: cleo, groups: [{name: sre, until: 2029-01-01T00:00:00Z}], roles: [lead]}
  - {id: dan, groups: [sre], since: 2031-01-01T00:00:00Z}
  - {id: eve, groups: [ops], roles: [lead]}
  - {id: kim, groups: [ops, crew]}
rotations:
  - {group: sre, order: [ann, bob], start: 2030-01-01T00:00:00Z, every: 1d}
"""
)


def test_a_stage_that_opens_tells_whom_it_asks() -> None:
    """The first stage at the start, the second when the first is approved, and nothing in between."""
    opened = notices_of(CASE, None, standing(1), at(1))
    nothing = notices_of(CASE, standing(1), standing(4), at(4))
    second = notices_of(CASE, standing(4), standing(6, YES), at(6))

    assert [(one.kind, one.stage, one.audience.asked) for one in (*opened, *second)] == [
        (NoticeKind.stage_opened, 1, (Asked(groups=("sre",)),)),
        (NoticeKind.stage_opened, 2, (Asked(groups=("dba",)),)),
    ]
    assert nothing == ()
    assert opened[0].audience.without == ("ann", "pia"), "who asks cannot answer"


def test_a_stage_that_opens_again_has_a_key_of_its_own() -> None:
    """An earlier stage that opens again, or the same one anew, is told again."""
    opened = notices_of(CASE, None, standing(1), at(1))[0]
    back = notices_of(CASE, standing(6, YES), standing(1), at(7))[0]
    anew = one_of_each()[NoticeKind.stage_reopened]

    assert back.kind is anew.kind is NoticeKind.stage_reopened
    assert len({opened.key, back.key, anew.key}) == 3


def test_an_allowed_action_tells_nobody() -> None:
    """Without a question there is nothing to tell, and no outcome that went well is told."""
    allowed = replace(CASE, chain=None)

    assert notices_of(allowed, None, None, at(1)) == ()
    assert notices_of(allowed, None, standing(1), at(1)) == ()
    assert outcome(allowed, Outcome.succeeded, (), at(1)) == ()


def test_a_reminder_spares_whoever_voted() -> None:
    """Whoever voted or stepped out is not reminded; the others are."""
    (reminder,) = passed(15, "reminder", a_ballot("tim", "recuse", 6, "sre"))

    assert reminder.audience.without == ("ann", "pia", "tim")


def test_nobody_is_reminded_while_somebody_looks() -> None:
    """Whoever acknowledges ends the reminders of the stage, for everybody."""
    assert passed(15, "reminder", a_ballot("lea", "acknowledge", 5, "sre")) == ()


def test_an_escalation_tells_those_whom_it_adds() -> None:
    """With the reason; those who were asked before are not told again."""
    (added,) = passed(25, "escalation")

    assert (added.kind, added.audience.asked, added.text) == (
        NoticeKind.escalated,
        (Asked(groups=("leads",)),),
        "nobody answered",
    )


def test_telling_the_same_again_gives_the_same_keys() -> None:
    """Whoever asks later what became due gets the notices of before under their ids."""
    case = a_case(*CHAIN.stages)
    first = due(CASE, standing(15), due_until(case, at(15)), at(15))
    later = due(CASE, standing(25), due_until(case, at(25)), at(25))

    assert [one.notice_id for one in first] == [one.notice_id for one in later[:1]]
    assert len(later) == 2


def test_a_resolution_is_told_to_voters_requesters_and_platforms() -> None:
    """Each once, routinely; a case that is pending is not resolved."""
    (told,) = resolved(CASE, standing(30, YES), "denied", (), at(30))

    assert (told.audience.people, told.audience.platform, told.urgency) == (("sam", "ann"), True, Urgency.routine)
    assert resolved(CASE, standing(1), "pending", (), at(1)) == ()


@pytest.mark.parametrize("ended", [item for item in Outcome if item.needs_hold])
def test_an_outcome_that_needs_a_person_is_urgent(ended: Outcome) -> None:
    """The owner of the target, the operators, whoever asks and the platforms are told."""
    (told,) = outcome(CASE, ended, (), at(1))

    assert told.urgency is Urgency.urgent
    assert told.audience == Audience(groups=("orders-team",), people=("ann",), operators=True, platform=True)


def test_every_notice_has_a_key_of_its_own() -> None:
    """Nothing that is told hides anything else that is told."""
    keys = [one.key for one in one_of_each().values()]

    assert len(set(keys)) == len(keys)


def told(audience: Audience, kind: NoticeKind = NoticeKind.stage_opened, **more: object) -> dict[str, float]:
    """Minutes from now by the names that an audience becomes."""
    notice = one_of_each()[kind].model_copy(update={"audience": audience, **more})
    return {one.name: (one.not_before - at(0)) / timedelta(minutes=1) for one in found(notice)}


def found(notice: Notice, directory: Directory = DIRECTORY) -> tuple[Addressee, ...]:
    return addressees(
        notice,
        directory,
        with_channel={"crew"},
        operators="ops",
        head_start=timedelta(minutes=15),
        at=at(0),
    )


SRE = Asked(groups=("sre",))
AUDIENCES: dict[str, tuple[Audience, dict[str, float]]] = {
    "the people of a group, but not who left it or has not come": (Audience(asked=(SRE,)), {"ann": 0, "bob": 0}),
    "who cannot answer is left out": (Audience(asked=(SRE,), without=("ann",)), {"bob": 0}),
    "on call first": (Audience(asked=(SRE,), on_call_first=True), {"ann": 0, "bob": 15}),
    "all at once where who is on call cannot answer": (
        Audience(asked=(SRE,), on_call_first=True, without=("ann",)),
        {"bob": 0},
    ),
    "all at once where two are needed": (
        Audience(asked=(SRE.model_copy(update={"count": 2}),), on_call_first=True),
        {"ann": 0, "bob": 0},
    ),
    "groups or roles or people": (
        Audience(asked=(Asked(groups=("sre",), roles=("lead",), people=("kim",)),)),
        {"ann": 0, "bob": 0, "cleo": 0, "eve": 0, "kim": 0},
    ),
    "with all qualifications": (Audience(asked=(SRE.model_copy(update={"qualifications": ("dba",)}),)), {"bob": 0}),
    "qualifications alone": (Audience(asked=(Asked(qualifications=("dba",)),)), {"bob": 0}),
    "a group with a channel of its own": (Audience(asked=(Asked(groups=("crew",)),)), {"crew": 0}),
    "what reaches nobody reaches the operators": (Audience(asked=(Asked(groups=("none",)),)), {"eve": 0, "kim": 0}),
    "operators and platforms": (Audience(operators=True, platform=True), {"eve": 0, "kim": 0, "platform": 0}),
    "named people and groups": (Audience(people=("ann",), groups=("ops",)), {"ann": 0, "eve": 0, "kim": 0}),
}


@pytest.mark.parametrize(("audience", "expected"), AUDIENCES.values(), ids=AUDIENCES)
def test_who_an_audience_is(audience: Audience, expected: dict[str, float]) -> None:
    """Each rule of addressing, by its case."""
    assert told(audience) == expected


def test_a_head_start_never_passes_the_deadline() -> None:
    """What ends before the head start is over is told to all at once."""
    audience = Audience(asked=(SRE,), on_call_first=True)

    assert told(audience, deadline=at(10)) == {"ann": 0, "bob": 0}


def test_what_nobody_has_to_answer_may_reach_nobody() -> None:
    """A resolution of which nobody is told does not become the operators' mail."""
    assert told(Audience(), NoticeKind.resolved) == {}


def test_each_has_a_notice_with_a_key_of_its_own() -> None:
    """The same notice for two people is two notices."""
    notice = one_of_each()[NoticeKind.stage_opened].model_copy(update={"audience": Audience(asked=(SRE,))})
    ids = {notice.addressed(one.kind, one.name, one.not_before).notice_id for one in found(notice)}

    assert len(ids) == len(found(notice)) == 2


def _turns(*order: str) -> Directory:
    rotation = DIRECTORY.rotations[0].model_copy(update={"order": order})
    return DIRECTORY.model_copy(update={"rotations": (rotation,)})


def test_whoever_stands_in_is_told_first() -> None:
    """Who of the rotation is not there is passed over, as where an escalation asks who is on call."""
    notice = one_of_each()[NoticeKind.stage_opened]
    audience = Audience(asked=(SRE,), on_call_first=True)
    told_of = found(notice.model_copy(update={"audience": audience}), _turns("dan", "bob"))
    assert {(item.name, item.not_before) for item in told_of} == {("ann", at(15)), ("bob", at(0))}


def test_who_is_on_call_and_not_asked_delays_nobody() -> None:
    """Somebody of the rotation who left the group cannot answer, so that the others are told at once."""
    notice = one_of_each()[NoticeKind.stage_opened]
    audience = Audience(asked=(SRE,), on_call_first=True)
    told_of = found(notice.model_copy(update={"audience": audience}), _turns("cleo"))
    assert {(item.name, item.not_before) for item in told_of} == {("ann", at(0)), ("bob", at(0))}
