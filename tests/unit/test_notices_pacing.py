"""How often one person is told something, which channel is tried when, and when hours begin."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.notices.delivery import LEASE, ChannelState, DeliveryStatus, Try, backoff, route, state_of
from policy.notices.notice import NoticeKind, Urgency
from policy.notices.pacing import Pacing, Waiting, pace
from policy.rules.hours import Hours, next_open

NOW = datetime(2030, 1, 7, 12, tzinfo=UTC)
RULES = Pacing(per_hour=3, digest_from=3, digest_every=timedelta(minutes=10), attempts=3)
OFFICE = Hours(zone="UTC", days={"mon": ("13:00-17:00",), "tue": ("09:00-17:00",)})


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def a(notice_id: str, kind: NoticeKind = NoticeKind.answered, **more: object) -> Waiting:
    """A notice that waits; alone of its kind unless told otherwise."""
    fields = {"urgency": Urgency.normal, "collapses": notice_id, "created_at": NOW, **more}
    return Waiting.model_validate({"notice_id": notice_id, "kind": kind, **fields})


ASKS = NoticeKind.stage_opened
SOON = NOW + timedelta(minutes=30)
LATER = NOW + timedelta(hours=30)

# What waits, when something was told, whose hours, and what comes of it: alone, digest, suppressed.
CASES: dict[str, tuple[list[Waiting], list[datetime], Hours | None, tuple[set[str], set[str], set[str]]]] = {
    "one is told at once": ([a("1")], [], None, ({"1"}, set(), set())),
    "two are told one by one": ([a("1"), a("2")], [], None, ({"1", "2"}, set(), set())),
    "three that come together are a digest": ([a("1"), a("2"), a("3")], [], None, (set(), {"1", "2", "3"}, set())),
    "urgent ones stay out of a digest": (
        [a("1"), a("2"), a("3"), a("4", urgency=Urgency.urgent)],
        [],
        None,
        ({"4"}, {"1", "2", "3"}, set()),
    ),
    "beyond the limit it waits": ([a("1"), a("2")], [ago(5), ago(20), ago(30)], None, (set(), set(), set())),
    "beyond the limit a digest comes so often": (
        [a("1"), a("2")],
        [ago(11), ago(20), ago(30)],
        None,
        (set(), {"1", "2"}, set()),
    ),
    "a digest of one is no digest": ([a("1")], [ago(11), ago(20), ago(30)], None, ({"1"}, set(), set())),
    "what is longer ago than an hour does not count": (
        [a("1")],
        [ago(61), ago(62), ago(63)],
        None,
        ({"1"}, set(), set()),
    ),
    "more than fits within the limit is a digest": (
        [a("1"), a("2")],
        [ago(5), ago(6)],
        None,
        (set(), {"1", "2"}, set()),
    ),
    "urgent ones wait for no limit": (
        [a("1", urgency=Urgency.urgent)],
        [ago(1), ago(2), ago(3), ago(4)],
        None,
        ({"1"}, set(), set()),
    ),
    "outside of hours it waits": ([a("1"), a("2")], [], OFFICE, (set(), set(), set())),
    "urgent ones wait for no hours": ([a("1", urgency=Urgency.urgent)], [], OFFICE, ({"1"}, set(), set())),
    "what asks and ends before the hours begin does not wait": (
        [a("1", ASKS, deadline=SOON), a("2", ASKS, deadline=LATER)],
        [],
        OFFICE,
        ({"1"}, set(), set()),
    ),
    "what asks nobody any more is not told": ([a("1", ASKS, over=True)], [], None, (set(), set(), {"1"})),
    "an answer is told even when the case is over": ([a("1", over=True)], [], None, ({"1"}, set(), set())),
    "the newest of what asks the same is told": (
        [
            a("1", ASKS, collapses="s", created_at=ago(9)),
            a("2", NoticeKind.reminder, collapses="s", created_at=ago(3)),
        ],
        [],
        None,
        ({"2"}, set(), {"1"}),
    ),
    "none that can wait is told in place of an urgent one": (
        [
            a("1", ASKS, collapses="s", created_at=ago(9), urgency=Urgency.urgent),
            a("2", NoticeKind.reminder, collapses="s", created_at=ago(3)),
        ],
        [],
        OFFICE,
        ({"1"}, set(), {"2"}),
    ),
    "nothing waits": ([], [], None, (set(), set(), set())),
}


@pytest.mark.parametrize(("waiting", "told", "hours", "expected"), CASES.values(), ids=CASES)
def test_what_a_person_is_told_now(
    waiting: list[Waiting], told: list[datetime], hours: Hours | None, expected: tuple[set[str], set[str], set[str]]
) -> None:
    """Each rule of the pace, by its case."""
    found = pace(waiting, told_at=told, hours=hours, rules=RULES, now=NOW)

    assert (set(found.alone), set(found.digest), set(found.suppressed)) == expected


@given(
    count=st.integers(0, 30),
    urgent=st.sets(st.integers(0, 29)),
    told=st.lists(st.integers(0, 120), max_size=20),
    limit=st.integers(1, 5),
)
def test_nobody_is_told_more_than_the_limit_and_one_digest(
    count: int, urgent: set[int], told: list[int], limit: int
) -> None:
    """Whatever waits, urgent things aside: no more messages than there is room for, or one; nothing twice or lost."""
    waiting = [
        a(str(number), urgency=Urgency.urgent if number in urgent else Urgency.normal) for number in range(count)
    ]
    rules = Pacing(per_hour=limit)
    recent = [ago(minutes) for minutes in told]

    found = pace(waiting, told_at=recent, hours=None, rules=rules, now=NOW)

    loud = {str(number) for number in urgent if number < count}
    messages = len(set(found.alone) - loud) + bool(found.digest)
    assert messages <= max(1, limit - sum(at > NOW - timedelta(hours=1) for at in recent))
    assert loud <= set(found.alone)
    assert len({*found.alone, *found.digest}) == len(found.alone) + len(found.digest)


def tried(*rows: tuple[int, str, float]) -> list[Try]:
    """Attempt, status and how many minutes ago."""
    return [
        Try(channel="mail", attempt=number, status=DeliveryStatus(status), at=ago(age)) for number, status, age in rows
    ]


STATES: dict[str, tuple[Sequence[Try], tuple[str, int]]] = {
    "never tried": (tried(), ("due", 1)),
    "under way": (tried((1, "begun", 1)), ("waits", 1)),
    "interrupted": (tried((1, "begun", 3)), ("due", 2)),
    "failed just now": (tried((1, "begun", 0.2), (1, "failed", 0.1)), ("waits", 2)),
    "failed a while ago": (tried((1, "begun", 2), (1, "failed", 1)), ("due", 2)),
    "the second pause is longer": (tried((2, "begun", 1), (2, "failed", 0.9)), ("waits", 3)),
    "interrupted in the last attempt": (tried((3, "begun", 9)), ("exhausted", 3)),
    "given up": (tried((3, "begun", 9), (3, "failed", 9), (3, "given_up", 9)), ("given_up", 1)),
    "sent": (tried((1, "begun", 9), (1, "sent", 9)), ("sent", 1)),
    "sent by whoever was slow": (tried((1, "begun", 9), (2, "begun", 1), (1, "sent", 0)), ("sent", 1)),
}


@pytest.mark.parametrize(("tries", "expected"), STATES.values(), ids=STATES)
def test_where_a_channel_stands(tries: Sequence[Try], expected: tuple[str, int]) -> None:
    """Each state of a notice in a channel, by what was tried."""
    found = state_of(tries, RULES, NOW)

    assert (found.state, found.attempt) == expected


def test_pauses_double_up_to_the_longest() -> None:
    """Thirty seconds, a minute, two; never longer than half an hour."""
    pauses = [backoff(failures, Pacing()).total_seconds() for failures in (1, 2, 3, 7, 8, 10_000)]

    assert pauses == [30, 60, 120, 1800, 1800, 1800]
    assert timedelta(0) < LEASE


ROUTES: dict[str, tuple[Urgency, dict[str, str], tuple[str, ...]]] = {
    "by the first": (Urgency.normal, {}, ("mail",)),
    "by the next where the first gave up": (Urgency.normal, {"mail": "given_up"}, ("chat",)),
    "still by the first where it waits": (Urgency.normal, {"mail": "waits"}, ("mail",)),
    "by none where all gave up": (Urgency.normal, {"mail": "given_up", "chat": "given_up"}, ()),
    "by the one that has sent": (Urgency.normal, {"mail": "given_up", "chat": "sent"}, ("chat",)),
    "urgent ones by all": (Urgency.urgent, {"mail": "sent"}, ("mail", "chat")),
    "urgent ones by all that have not given up": (Urgency.urgent, {"mail": "given_up"}, ("chat",)),
}


@pytest.mark.parametrize(("urgency", "states", "expected"), ROUTES.values(), ids=ROUTES)
def test_which_channels_a_notice_takes(urgency: Urgency, states: dict[str, str], expected: tuple[str, ...]) -> None:
    """Each route, by what its channels have come to."""
    known = {name: ChannelState.model_validate({"state": state}) for name, state in states.items()}

    assert route(("mail", "chat"), urgency, known) == expected


HOURS: dict[str, tuple[str, str]] = {
    "inside they are open now": ("2030-01-07T14:00:00+00:00", "2030-01-07T14:00:00+00:00"),
    "before they begin later": ("2030-01-07T12:00:00+00:00", "2030-01-07T13:00:00+00:00"),
    "at the end the next day": ("2030-01-07T17:00:00+00:00", "2030-01-08T09:00:00+00:00"),
    "over closed days the next week": ("2030-01-08T18:00:00+00:00", "2030-01-14T13:00:00+00:00"),
}


@pytest.mark.parametrize(("at", "opens"), HOURS.values(), ids=HOURS)
def test_when_hours_begin(at: str, opens: str) -> None:
    """The first open instant from an instant on."""
    assert next_open(OFFICE, datetime.fromisoformat(at)) == datetime.fromisoformat(opens)


def test_hours_are_local() -> None:
    """Nine o'clock in Berlin is eight o'clock UTC in winter and seven in summer."""
    berlin = Hours(zone="Europe/Berlin", days={"mon": ("09:00-17:00",)})

    winter = next_open(berlin, datetime(2030, 1, 7, 1, tzinfo=UTC))
    summer = next_open(berlin, datetime(2030, 7, 1, 1, tzinfo=UTC))

    assert (winter.hour, summer.hour) == (8, 7)
