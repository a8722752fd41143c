"""What the directory says of one person at one instant: what a requirement asks about, kept with the vote it served."""

from policy.base import Instant, RecordModel


class PersonFacts(RecordModel):
    """A person at an instant.

    Attributes:
        person_id: the one id of the person.
        groups: those that the person is in at that instant.
        roles: those that the person holds at that instant.
        qualifications: those that the person has and that have not lapsed.
        satisfies: the conditions of requirements (their texts) that hold for the person.
        managers: person ids of whom the person reports to, the nearest first.
        team: the person's team; empty where the directory says none.
        since: since when (UTC) the person is there (key ``person``), or holds something (``group NAME``,
            ``role NAME``); a key that is missing is not known, and counts as new.
    """

    person_id: str
    groups: tuple[str, ...]
    roles: tuple[str, ...] = ()
    qualifications: tuple[str, ...] = ()
    satisfies: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    team: str = ""
    since: dict[str, Instant] = {}
