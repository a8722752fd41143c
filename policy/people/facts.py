"""What the directory says of one person at one instant: what a requirement asks about, kept with the vote it served."""

from typing import Annotated

from pydantic import Field

from policy.base import Instant, RecordModel
from policy.proofs import Assurance


class PersonFacts(RecordModel):
    """A person at an instant.

    Attributes:
        person_id: the one id of the person; of who acts, where somebody acts for another.
        groups: those that the person is in at that instant.
        roles: those that the person holds at that instant.
        qualifications: those that the person has and that have not lapsed.
        satisfies: the conditions of requirements (their texts) that hold for the person.
        managers: person ids of whom the person reports to, the nearest first.
        teams: the person's team, and the delegator's where the person acts for somebody; empty where nobody knows one.
        since: since when (UTC) the person is there (key ``person``), or holds something (``group NAME``,
            ``role NAME``); a key that is missing is not known, and counts as new.
        delegator: for whom the person acts; groups, roles, qualifications and conditions are then the delegator's.
        groups_only: the person acts by a delegation of some groups: they fit by one of these and by nothing else, so
            also not where the delegator is named.
        delegated: how strongly the delegation is shown to be the delegator's, where that was asked for.
    """

    person_id: str
    groups: tuple[str, ...]
    roles: tuple[str, ...] = ()
    qualifications: tuple[str, ...] = ()
    satisfies: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    since: dict[str, Instant] = {}
    delegator: str | None = None
    groups_only: Annotated[bool, Field(exclude_if=lambda value: not value)] = False
    delegated: Annotated[Assurance | None, Field(exclude_if=lambda value: value is None)] = None
