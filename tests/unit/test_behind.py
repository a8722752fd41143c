"""What whoever stands behind a proposal can do to its case besides asking for it: stop it, and nothing that helps."""

from collections.abc import Collection
from datetime import timedelta

import pytest

from policy.approval.standing import Ballot, refuse, stand
from policy.decision import Refusal
from policy.document import Stage
from policy.rules.chains import ExpiryVerb
from tests.unit.builders import a_ballot, a_case, at, stage

HOLD = stage("ops", on_expiry=ExpiryVerb.hold)
REMINDED = stage("ops", reminders=(timedelta(minutes=30),), on_request_info="pause")


def _for_rita(ballot: Ballot) -> Ballot:
    """The same by somebody who acts for who asks."""
    return ballot.model_copy(update={"delegator": "rita"})


# the stage, what arrives, who asks by now besides rita, whether it is refused
TRIED: dict[str, tuple[Stage, Ballot, Collection[str], bool]] = {
    "a delegate of who asks releases": (HOLD, _for_rita(a_ballot("bob", "release", 70)), (), True),
    "who asks by now releases": (HOLD, a_ballot("bob", "release", 70), ("bob",), True),
    "anybody else who is asked releases": (HOLD, a_ballot("bob", "release", 70), (), False),
    "who asks says that they look": (REMINDED, a_ballot("rita", "acknowledge", 5), (), True),
    "a delegate of who asks says so": (REMINDED, _for_rita(a_ballot("bob", "acknowledge", 5)), (), True),
    "anybody else who is asked says so": (REMINDED, a_ballot("bob", "acknowledge", 5), (), False),
    "who asks denies": (REMINDED, a_ballot("rita", "deny", 5, "none"), (), False),
    "a delegate of who asks denies": (REMINDED, _for_rita(a_ballot("bob", "deny", 5, "none")), (), False),
}


@pytest.mark.parametrize(("asked", "ballot", "asking_now", "refused"), TRIED.values(), ids=TRIED)
def test_who_asks_helps_nothing_along(asked: Stage, ballot: Ballot, asking_now: Collection[str], refused: bool) -> None:
    """Neither they nor whoever acts for them release a stage or end its reminders; denying is always allowed."""
    found = refuse(a_case(asked), ballot, asking_now=asking_now)
    assert (found[0] if found else None) is (Refusal.self_approval if refused else None)


@pytest.mark.parametrize(("person", "deadline"), [("bob", 120), ("rita", 60)])
def test_a_question_of_who_asks_stops_no_clock(person: str, deadline: float) -> None:
    """Where a question stops the clock, it does so for whoever is asked, not for who asks."""
    case = a_case(REMINDED, ballots=(a_ballot(person, "request_info", 5),))
    assert stand(case, at(6), deadline_counts_as_passed=False).current.deadline == at(deadline)
