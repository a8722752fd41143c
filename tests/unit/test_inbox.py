"""The inbox: in what order messages are taken, whatever comes between them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload

from policy.decision import DecisionReceipt, DecisionSubmission, Refusal
from workflows.converter import DECISION_BYTES, Received
from workflows.inbox import BATCH_BYTES, FLOODED, SIFTED_BYTES, Inbox, Message

DIGEST = "sha256:" + "0" * 64
FITS, OTHER, JUNK = "fits", "other", "junk"


def said(kind: str, identity: str = "eve", **other: Any) -> Any:
    """A message that could count, one about another revision, or none at all."""
    if kind == JUNK:
        return {"vote": "maybe"}
    return {
        "decision_id": "one",
        "proposal_id": "p-1",
        "revision": 1 if kind == FITS else 2,
        "stage": 1,
        **{f"{name}_digest": DIGEST for name in ("action", "assessment", "policy", "presented")},
        "vote": "approve",
        "issued_at": "2030-01-01T09:00:00Z",
        "expires_at": "2030-01-01T10:00:00Z",
        "proof": {"kind": "claimed", "identity": identity},
        **other,
    }


def could_count(decision: DecisionSubmission) -> bool:
    return decision.revision == 1


def received(value: Any) -> Received:
    return Received(Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode()))


def filled(*kinds: str) -> Inbox:
    inbox = Inbox()
    for kind in kinds:
        inbox.arrive((said(kind),), "signal")
    return inbox


def emptied(inbox: Inbox, most: int) -> list[list[Message]]:
    """The batches until nothing waits."""
    found = []
    while len(inbox):
        found.append(inbox.take_batch(most, could_count))
    return found


@given(st.lists(st.sampled_from((FITS, OTHER, JUNK)), max_size=200), st.integers(1, 40))
def test_nothing_overtakes_what_could_count(kinds: list[str], most: int) -> None:
    """Each message is taken once; those that could count in order of arrival, and so the others."""
    batches = emptied(filled(*kinds), most)
    taken = [message.number for batch in batches for message in batch]
    assert sorted(taken) == list(range(1, len(kinds) + 1))
    assert all(0 < len(batch) <= most for batch in batches)
    for fits in (True, False):
        lane = [number for number in taken if (kinds[number - 1] == FITS) is fits]
        assert lane == sorted(lane)


@given(st.lists(st.sampled_from((FITS, JUNK)), max_size=300), st.integers(8, 40))
def test_no_lane_starves_the_other(kinds: list[str], most: int) -> None:
    """What could count fills all but an eighth of each batch while there is any, and the others have that eighth."""
    batches = emptied(filled(*kinds), most)
    fits, junk = kinds.count(FITS), kinds.count(JUNK)
    for batch in batches:
        mine = sum(kinds[message.number - 1] == FITS for message in batch)
        assert mine == min(fits, most - most // 8)
        assert len(batch) - mine == min(junk, most - mine)
        fits, junk = fits - mine, junk - (len(batch) - mine)


def test_a_few_are_taken_as_they_came() -> None:
    """One by one the oldest is taken, whatever it is and whether it was sorted already."""
    inbox = filled(JUNK, FITS, OTHER, FITS)
    assert [message.number for message in inbox.take_batch(1, could_count)] == [2]
    inbox.arrive((said(FITS),), "update")
    assert [inbox.take().number for _ in range(4)] == [1, 3, 4, 5]
    assert not inbox.holds_update


def test_a_name_that_nobody_has_goes_behind_after_so_many_answers() -> None:
    """Who is answered again and again that nobody has that name waits for the others; a refused person does not."""
    inbox = Inbox()
    for name, code in (("zed", Refusal.unknown_person), ("bob", Refusal.not_eligible)):
        answer = DecisionReceipt(decision_id="one", counted=False, code=code)
        for number in range(FLOODED):
            inbox.note_answer(Message(number, "signal", (said(FITS, name),)), answer)
    for name in ("zed", "bob", "eve"):
        inbox.arrive((said(FITS, name),), "signal")
    assert [message.number for message in inbox.take_batch(8, could_count)] == [2, 3, 1]


def test_a_batch_carries_so_many_bytes() -> None:
    """What a call carries stays below what a payload may have, however large the messages are."""
    inbox = Inbox()
    for _ in range(40):
        inbox.arrive((received({"text": "x" * 30_000}),), "signal")
    sizes = [sum(message.size for message in batch) for batch in emptied(inbox, 128)]
    assert len(sizes) > 1
    assert max(sizes) <= BATCH_BYTES


@pytest.mark.parametrize("size", [DECISION_BYTES, 40 * DECISION_BYTES])
def test_so_much_is_read_at_a_time(size: int) -> None:
    """A flood of large messages is sorted over several tasks; a message that is too large is not read at all."""
    inbox = Inbox()
    for _ in range(60):
        inbox.arrive((received({"text": "x" * size}),), "signal")
    inbox.take_batch(1, could_count)
    unread = len(inbox._unread)
    assert 60 - unread == SIFTED_BYTES // DECISION_BYTES + 1
