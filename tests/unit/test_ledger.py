"""The ledger's chain: whatever is done to an entry, verifying says where."""

from collections.abc import Callable
from typing import Any

import pytest

from policy.canonical import canonical, digest
from policy.errors import AuditError
from policy.ledger import EntryKind, EntryRef, make_entry, read_entry, verify_chain
from tests.unit.builders import at

Listed = list[tuple[bytes, str]]


def _chain(count: int = 4, proposal_id: str = "p-1", content: Any = None) -> Listed:
    entries: Listed = []
    for position in range(1, count + 1):
        entry = make_entry(
            entry_id=f"e-{position}",
            proposal_id=proposal_id,
            position=position,
            previous=entries[-1][1] if entries else None,
            kind=EntryKind.assessed,
            at=at(position),
            content=content or {"n": position},
        )
        entries.append((entry.body, entry.digest))
    return entries


def _changed(body: bytes, **changes: Any) -> tuple[bytes, str]:
    """An entry that was edited by somebody who knows how to make a digest."""
    edited = canonical({**read_entry(body), **changes})
    return edited, digest(edited)


def _edit(entries: Listed) -> Listed:
    return [*entries[:1], (entries[1][0].replace(b'"n":2', b'"n":9'), entries[1][1]), *entries[2:]]


TAMPERED: dict[str, tuple[Callable[[Listed], Listed], str]] = {
    "an edited entry": (_edit, "ledger entry 2: its bytes have digest"),
    "an edited entry with a new digest": (
        lambda e: [e[0], _changed(e[1][0], content={"n": 9}), *e[2:]],
        r"ledger entry 3 \(assessed\): it follows sha256",
    ),
    "the first one deleted": (lambda e: e[1:], r"ledger entry 1 \(assessed\): it says position 2"),
    "one deleted": (lambda e: [e[0], *e[2:]], r"ledger entry 2 \(assessed\): it says position 3"),
    "one deleted and the rest renumbered": (
        lambda e: [e[0], _changed(e[2][0], position=2)],
        r"ledger entry 2 \(assessed\): it follows sha256",
    ),
    "two swapped": (lambda e: [e[0], e[2], e[1], e[3]], r"ledger entry 2 \(assessed\): it says position 3"),
    "one twice": (lambda e: [e[0], e[0], *e[1:]], r"ledger entry 2 \(assessed\): it says position 1"),
    "one inserted": (
        lambda e: [e[0], _changed(e[1][0], content="new"), *e[1:]],
        r"ledger entry 3 \(assessed\): it says position 2",
    ),
    "a first entry with a past": (
        lambda e: [_changed(e[0][0], previous="sha256:00")],
        r"ledger entry 1 \(assessed\): it follows sha256:00",
    ),
    "another action's": (
        lambda _: _chain(proposal_id="p-2"),
        r"ledger entry 1 \(assessed\): it belongs to proposal p-2",
    ),
    "another digest": (lambda e: [(e[0][0], e[1][1])], "ledger entry 1: its bytes have digest"),
    "not canonical": (
        lambda e: [(e[0][0].replace(b":", b": ", 1), digest(e[0][0].replace(b":", b": ", 1)))],
        "not in canonical form",
    ),
    "not json": (lambda _: [(b"{", digest(b"{"))], "ledger entry is malformed: json text is malformed"),
    "not an entry": (lambda _: [(b"[]", digest(b"[]"))], "not a version 1 entry"),
    "another version": (lambda e: [_changed(e[0][0], v=2)], "not a version 1 entry"),
    "a version that is true": (lambda e: [_changed(e[0][0], v=True)], "not a version 1 entry"),
    "a position that is true": (lambda e: [_changed(e[0][0], position=True)], "malformed: position is True"),
    "a kind that is missing": (
        lambda e: [(body := canonical({k: v for k, v in read_entry(e[0][0]).items() if k != "kind"}), digest(body))],
        "malformed: kind is None",
    ),
}


@pytest.mark.parametrize(("tamper", "message"), TAMPERED.values(), ids=TAMPERED)
def test_tampering_is_detected(tamper: Callable[[Listed], Listed], message: str) -> None:
    """An edited, deleted, swapped, inserted or foreign entry is found and named."""
    with pytest.raises(AuditError, match=message):
        verify_chain("p-1", tamper(_chain()))


def test_a_whole_chain_holds() -> None:
    """A chain that nobody touched gives its entries back."""
    values = verify_chain("p-1", _chain())
    assert [value["content"]["n"] for value in values] == [1, 2, 3, 4]
    assert values[0]["at"] == "2030-01-01T09:01:00Z"
    assert values[0]["late"] is False


def test_a_cut_tail_needs_somebody_who_remembers() -> None:
    """A cut tail holds together; whoever remembers a later entry sees that it is gone."""
    entries = _chain()
    head = EntryRef(position=4, digest=entries[3][1])
    assert len(verify_chain("p-1", entries[:2])) == 2
    assert len(verify_chain("p-1", entries, head)) == 4
    for cut in (entries[:3], []):
        with pytest.raises(AuditError, match=r"entry 4 with digest sha256:.* is known and not among these"):
            verify_chain("p-1", cut, head)


def test_an_entry_may_be_larger_than_what_is_received() -> None:
    """An entry that quotes a large proposal and its facts can be read again."""
    assert len(verify_chain("p-1", _chain(1, content=["x" * 200_000, "y" * 200_000]))) == 1


def test_an_entry_keeps_what_it_is_about() -> None:
    """The fields of an entry are those of its bytes."""
    entry = make_entry(
        entry_id="e",
        proposal_id="p-1",
        position=1,
        previous=None,
        kind=EntryKind.reported,
        at=at(0),
        content=1,
        late=True,
    )
    value = read_entry(entry.body)
    assert (value["kind"], value["late"], value["content"]) == ("reported", True, 1)
    assert (entry.kind, entry.late, entry.digest) == (EntryKind.reported, True, digest(entry.body))
