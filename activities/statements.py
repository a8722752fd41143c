"""Reading a statement that is about something else than an open case: who makes it, and whether it is about this.

The order of the questions is that of a decision (`activities/deciding.py`): does it name what it is about, is it valid
at this instant, does its proof show who it is, and is that somebody whom the directory knows.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from activities.deciding import SaidBy, Why
from policy.decision import DecisionSubmission, Refusal, valid_at
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.proofs import Principal


def who_says(
    named: Mapping[str, Any],
    submission: DecisionSubmission,
    said_by: SaidBy,
    directory: Directory,
    conditions: Sequence[str],
    now: datetime,
    *,
    what: str,
) -> tuple[PersonFacts | None, Why | None]:
    """The person who makes a statement, and why it does not count whoever that is; pure.

    Args:
        named: what it must name, by field.
        submission: the statement.
        said_by: whoever made it, or why its proof does not show it.
        directory: who is who at that instant.
        conditions: what is asked of people besides groups.
        now: the instant (UTC).
        what: the thing that it is about, in a word.
    """
    person = directory.facts(said_by.identity, now, tuple(conditions)) if isinstance(said_by, Principal) else None
    for field, real in named.items():
        if (given := getattr(submission, field)) != real:
            return person, (Refusal.unknown_request, f"{field} is {given}, this {what}'s is {real}")
    if why_not := valid_at(submission, now):
        return person, why_not
    if not isinstance(said_by, Principal):
        return None, said_by
    if person is None:
        return None, (Refusal.unknown_person, f"identity {said_by.identity} is nobody in the directory")
    return person, None
