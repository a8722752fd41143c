"""A notice: what people are told, whom it is for, and the key that makes it the only one.

- A notice says something of an action, and decides nothing: no answer to it is a vote.
- It is for an audience, in the words of the policy (groups, roles, people), which becomes people when it is sent, by
  the directory of that moment. Then there is one notice for each of them, with a key of its own.
- The same happening gives the same key, and the key the id: telling twice is telling once.
- `urgent` is heard at once and by every channel, `normal` and `routine` keep to the pace of whoever is told.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from policy.base import Instant, RecordModel
from policy.canonical import canonical

_NAMESPACE = UUID("0b0a7d3e-52f0-5c7e-9d1c-3f4f2f6a5b8e")


class NoticeKind(StrEnum):
    stage_opened = "stage_opened"
    stage_reopened = "stage_reopened"
    reminder = "reminder"
    escalated = "escalated"
    held = "held"
    info_requested = "info_requested"
    answered = "answered"
    vote_dropped = "vote_dropped"
    superseded = "superseded"
    resolved = "resolved"
    outcome = "outcome"
    judging = "judging"
    judging_ends = "judging_ends"
    denied_again = "denied_again"
    break_glass = "break_glass"
    review_overdue = "review_overdue"
    unresolved_overdue = "unresolved_overdue"
    amended = "amended"
    halted = "halted"
    halt_released = "halt_released"
    target_held = "target_held"
    target_released = "target_released"
    lease_lapsed = "lease_lapsed"
    violation = "violation"
    undelivered = "undelivered"
    digest = "digest"

    @property
    def asks(self) -> bool:
        """Whether it speaks of a stage that waits for whoever is told."""
        return self in _ASKS

    @property
    def wants_answer(self) -> bool:
        """Whether something waits for whoever is told; once it has ended there is nothing to tell."""
        return self.asks or self is NoticeKind.info_requested


_ASKS = (
    NoticeKind.stage_opened,
    NoticeKind.stage_reopened,
    NoticeKind.reminder,
    NoticeKind.escalated,
    NoticeKind.held,
)


class Urgency(StrEnum):
    routine = "routine"
    normal = "normal"
    urgent = "urgent"


class Asked(RecordModel):
    """So many people out of these groups, roles and people, who have all of these qualifications."""

    groups: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    qualifications: tuple[str, ...] = ()
    count: int = 1


class Audience(RecordModel):
    """Whom a notice is for.

    Attributes:
        asked: whoever fits one of these.
        people: person ids, besides.
        groups: names of groups, besides.
        without: person ids that are not told, because they cannot answer or have done so.
        on_call_first: whether whoever is on call is told before the others.
        operators: whether the group that runs Countersign is told.
        platform: whether the endpoints of platforms are told.
    """

    asked: tuple[Asked, ...] = ()
    people: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    on_call_first: bool = False
    operators: bool = False
    platform: bool = False


class Subject(RecordModel):
    """The action that a notice speaks of."""

    proposal_id: str
    revision: int
    operation: str
    target: str
    environment: str
    risk_tier: str
    risk_score: int
    dry_run: bool = False


class Item(RecordModel):
    """One of the notices that a digest stands for."""

    kind: NoticeKind
    subject: Subject | None = None
    stage_name: str = ""
    deadline: Instant | None = None


class Notice(RecordModel):
    """What is told once. Texts are untrusted; whoever writes them for a medium neutralises them.

    Attributes:
        key: what makes it the only one.
        stage: the stage that it speaks of, from 1.
        deadline: until when an answer counts, where it asks.
        missing: what the stage still needs, in words.
        by: names of the people, groups or channels that it speaks of.
        word: the one word that matters: a resolution, an outcome, a reason code.
        text: the sentence of a person or of the record that it passes on.
        items: what a digest stands for; `more` of them are not listed.
    """

    key: str
    kind: NoticeKind
    urgency: Urgency
    audience: Audience
    at: Instant
    not_before: Instant
    subject: Subject | None = None
    stage: int | None = None
    stage_name: str = ""
    deadline: Instant | None = None
    missing: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    word: str = ""
    text: str = ""
    items: tuple[Item, ...] = ()
    more: int = 0

    @property
    def notice_id(self) -> str:
        """The one id that it can have."""
        return notice_id(self.key)

    @property
    def body(self) -> bytes:
        """Its canonical bytes."""
        return canonical(self.model_dump(mode="json"))

    @property
    def collapses(self) -> str:
        """What only the newest of several waiting notices says; its own key where it stands alone."""
        if not self.kind.asks or self.subject is None:
            return self.key
        return f"asks/{self.subject.proposal_id}/{self.subject.revision}/{self.stage}"

    def addressed(self, kind: str, name: str, not_before: datetime) -> "Notice":
        """It for one person, group or the platforms."""
        key = f"{self.key}/for/{kind}/{name}"
        return self.model_copy(update={"key": key, "not_before": max(self.not_before, not_before)})


def notice_id(key: str) -> str:
    """The id of a deduplication key (RFC 9562, version 5)."""
    return str(uuid5(_NAMESPACE, key))
