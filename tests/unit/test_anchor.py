"""The copy outside the record: one contract for a file and for memory, and when a record is behind it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from activities.anchor import ACKNOWLEDGEMENT, USED, Anchor, FileAnchor, beside
from policy.anchoring import REMEMBERED, AnchorCopy, AnchorError, Behind, Known, compare, read_copy, refusal_of
from policy.canonical import digest
from tests.anchors import MemoryAnchor

NOW = datetime(2030, 1, 1, tzinfo=UTC)
Make = Callable[[Path], Anchor]
ANCHORS: dict[str, Make] = {
    "file": lambda folder: FileAnchor(folder / "anchor.json"),
    "memory": lambda _: MemoryAnchor(),
}


def known(seq: int, proposal_id: str = "p-1") -> Known:
    return Known(seq=seq, digest=digest(f"{seq}".encode()), proposal_id=proposal_id, at=NOW)


def copy(*numbers: int, lost: tuple[str, ...] = ()) -> AnchorCopy:
    return AnchorCopy(entries=tuple(known(number) for number in numbers), lost=lost)


async def hand_in(anchor: Anchor, folder: Path, body: bytes) -> None:
    """What a person does."""
    if isinstance(anchor, MemoryAnchor):
        anchor.handed_in = body
    else:
        beside(folder / "anchor.json", ACKNOWLEDGEMENT).write_bytes(body)


@pytest.fixture(name="anchor", params=list(ANCHORS))
def _anchor(request: pytest.FixtureRequest, tmp_path: Path) -> Anchor:
    return ANCHORS[request.param](tmp_path)


async def test_nothing_is_kept_at_first(anchor: Anchor) -> None:
    """There is no copy, which is another thing than an empty one."""
    assert (await anchor.read(), await anchor.acknowledgement()) == (None, None)


async def test_a_change_is_kept(anchor: Anchor) -> None:
    """What a change makes of what is there is there afterwards; one that makes nothing leaves it."""
    await anchor.change(lambda body: b"one" if body is None else b"wrong")
    await anchor.change(lambda body: None)
    await anchor.change(lambda body: (body or b"") + b", two")
    assert await anchor.read() == b"one, two"


async def test_a_change_that_fails_leaves_it(anchor: Anchor) -> None:
    """What a change raises comes out, and what was there is there."""
    await anchor.change(lambda _: b"one")

    def fails(_: bytes | None) -> bytes:
        raise AnchorError("no")

    with pytest.raises(AnchorError, match="no"):
        await anchor.change(fails)
    assert await anchor.read() == b"one"


async def test_no_change_is_lost_to_another(anchor: Anchor) -> None:
    """Changes at one moment come one after the other."""
    await asyncio.gather(*(anchor.change(lambda body: (body or b"") + b"x") for _ in range(50)))
    assert await anchor.read() == b"x" * 50


async def test_what_was_handed_in_is_put_aside_once_it_counted(anchor: Anchor, tmp_path: Path) -> None:
    """It is not handed in any more."""
    await hand_in(anchor, tmp_path, b"[]")
    assert await anchor.acknowledgement() == b"[]"
    await anchor.put_aside()
    assert await anchor.acknowledgement() is None


async def test_two_processes_may_share_a_file(tmp_path: Path) -> None:
    """Two adapters of one file lose no change of each other."""
    one, other = FileAnchor(tmp_path / "anchor.json"), FileAnchor(tmp_path / "anchor.json")
    await asyncio.gather(*(item.change(lambda body: (body or b"") + b"x") for item in (one, other) for _ in range(25)))
    assert await one.read() == b"x" * 50


async def test_what_counted_is_still_there_to_be_looked_at(tmp_path: Path) -> None:
    """A file that was put aside has another name, and its bytes."""
    anchor = FileAnchor(tmp_path / "anchor.json")
    await hand_in(anchor, tmp_path, b"[1]")
    await anchor.put_aside()
    assert beside(tmp_path / "anchor.json", USED).read_bytes() == b"[1]"


async def test_a_file_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    """The copy is only worth what its file's permissions are."""
    path = tmp_path / "anchor.json"
    path.write_bytes(copy(1).body)
    path.chmod(0o666)
    with pytest.raises(AnchorError, match="can be written by others"):
        await FileAnchor(path).read()


async def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """It names the file and why."""
    with pytest.raises(AnchorError, match=r"anchor.json cannot be used: No such file or directory"):
        await FileAnchor(tmp_path / "gone" / "anchor.json").change(lambda _: b"x")


def test_a_copy_is_its_bytes() -> None:
    """A copy is read from its own bytes."""
    assert read_copy(copy(1, 2, lost=("p-9",)).body) == copy(1, 2, lost=("p-9",))


def test_the_oldest_is_forgotten() -> None:
    """There are so many at most, the newest, and none twice."""
    found = AnchorCopy()
    for number in range(1, REMEMBERED + 3):
        found = found.with_entry(known(number)).with_entry(known(number))
    assert [item.seq for item in found.entries] == list(range(3, REMEMBERED + 3))


MALFORMED = {
    "no json": b"{",
    "a key twice": b'{"entries":[],"entries":[],"lost":[],"v":1}',
    "an unknown field": b'{"entries":[],"lost":[],"more":1,"v":1}',
    "another version": b'{"entries":[],"lost":[],"v":2}',
    "a number as text": copy(1).body.replace(b'"seq":1', b'"seq":"1"'),
    "a digest that is none": copy(1).body.replace(b"sha256:", b"md5:"),
    "cut": copy(1).body[:-10],
    "nothing": b"",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_copy_that_cannot_be_read_is_not_an_empty_one(body: bytes) -> None:
    """Whatever is wrong with it, the record is behind, with permits or without."""
    assert compare(body, {}, permitted=False) == Behind(kind="copy_unreadable")


HAS = {1: known(1).digest, 2: known(2).digest}
OTHER = {1: known(1).digest, 2: known(3).digest}
CASES: dict[str, tuple[bytes | None, dict[int, str], bool, str | None]] = {
    "all is there": (copy(1, 2).body, HAS, True, None),
    "the newest is missing": (copy(1, 2).body, {1: HAS[1]}, True, "entry_missing"),
    "an older one is missing": (copy(2, 1).body, {1: HAS[1]}, True, "entry_missing"),
    "another has its number": (copy(1, 2).body, OTHER, True, "entry_missing"),
    "an empty copy": (copy().body, {}, True, None),
    "no copy, and no permit": (None, {}, False, None),
    "no copy, and a permit": (None, {}, True, "copy_lost"),
}


@pytest.mark.parametrize(("body", "has", "permitted", "kind"), CASES.values(), ids=CASES)
def test_a_record_is_behind(body: bytes | None, has: dict[int, str], permitted: bool, kind: str | None) -> None:
    """Every entry that is remembered is there, by number and digest, or the record is behind."""
    found = compare(body, has, permitted=permitted)
    assert (found and found.kind) == kind
    assert found is None or found.reason.code == "record_behind"


def test_what_the_record_forgot_stays_refused() -> None:
    """A record that is in order again issues for others, and not for what it forgot."""
    body = copy(1, lost=("p-9",)).body
    refused = refusal_of(body, None, "p-9")
    assert refused is not None
    assert refused.kind == "permitted_before"
    assert refusal_of(body, None, "p-1") is None
