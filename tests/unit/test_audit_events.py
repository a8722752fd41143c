"""What the record noted of a case is concluded again from the case before it and the directory it names."""

from datetime import timedelta
from typing import Any

import pytest

from policy.approval.following import follows, who_unblocks
from policy.approval.standing import ApprovalCase
from policy.approval.today import Today
from policy.audit_events import check_event
from tests.unit.builders import a_ballot, a_case, a_directory, at, escalation, stage

TODAY = Today(a_directory())
# In the directory of the small world dan is the only one of sre, and bob and cleo are the dba.
LEFT = a_case(stage("sre"), ballots=(a_ballot("dan", "recuse", 5, "sre"),))
HASTENED = a_case(
    stage("sre", escalations=(escalation(30, "dba"),), on_infeasible="escalate"),
    ballots=(a_ballot("dan", "recuse", 5, "sre"),),
)


@pytest.mark.parametrize(("case", "kind"), [(LEFT, "unreachable"), (HASTENED, "escalated")])
def test_what_followed_is_found_again(case: ApprovalCase, kind: str) -> None:
    """An event that follows from who is left is consistent; changed, moved or without a cause it is not."""
    (event,) = follows(case, TODAY, at(6))
    content: dict[str, Any] = {"event": event.model_dump(mode="json"), "cause": "feasibility"}
    assert event.kind == kind
    assert check_event(case, event, content, TODAY) == []
    changed = event.model_copy(update={"reason": "somebody wished it"})
    assert check_event(case, changed, {**content, "event": changed.model_dump(mode="json")}, TODAY)
    early = event.model_copy(update={"at": at(5) - timedelta(seconds=1)})
    assert "not after what happened before" in check_event(case, early, content, TODAY)[0]
    before = case.model_copy(update={"ballots": ()})
    assert check_event(before, event, content, TODAY) == ["people were left, so nothing followed"]
    assert check_event(None, event, content, TODAY)


def test_what_followed_once_does_not_follow_again() -> None:
    """The same case with the event in it has nothing more to note."""
    for case in (LEFT, HASTENED):
        (event,) = follows(case, TODAY, at(6))
        assert follows(case.model_copy(update={"events": (event,)}), TODAY, at(7)) == ()


def test_who_asks_by_now_is_not_left() -> None:
    """Who became the agent's owner meanwhile cannot approve: where nobody else could, the case ends at once."""
    case = a_case(stage("sre"))
    assert follows(case, TODAY, at(6)) == ()
    assert who_unblocks(case, TODAY, at(6)) == (("dan",),)
    by_now = TODAY._replace(requesters=("dan",))
    (event,) = follows(case, by_now, at(6))
    assert (event.kind, event.reason) == ("unreachable", "nobody eligible is left for stage 1 (review): dan asks")
    assert who_unblocks(case, by_now, at(6)) == ()
    assert check_event(case, event, {"event": event.model_dump(mode="json"), "cause": "feasibility"}, by_now) == []
