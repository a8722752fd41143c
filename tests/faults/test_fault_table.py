"""Whatever goes wrong with a write: nothing runs twice, nothing runs unapproved, and nothing is left unsaid."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.dev import Stack
from tests.faults import afterwards, scheduled, telling
from tests.faults.fault_table import PARTS, QUICK, WRITES, End, Fault, Never, Write, page, path_of
from tests.faults.kill_points import PATHS
from tests.faults.ordeal import Books, Ordeal
from tests.faults.places import PLACES, placed

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
AT_ONCE = 4
TRIES = 3


@dataclass(frozen=True)
class Play:
    """Rows that are played together on one stack."""

    stack: Stack
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    preparing: asyncio.Lock = field(default_factory=asyncio.Lock)
    # kmock's emulators put themselves into aiohttp, one before the other.
    emulating: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def all(self, wanted: list[tuple[Write, Fault]]) -> list[str]:
        """Play these, a few at a time; what is not as the table says."""
        return [problem for problem in await asyncio.gather(*(self._one(*each) for each in wanted)) if problem]

    async def _one(self, write: Write, fault: Fault) -> str:
        async with self.emulating if write.play.startswith("kubernetes") else contextlib.nullcontext(), self.gate:
            try:
                books = await self._reached(write, fault)
            except Exception as error:  # noqa: BLE001 - named: what cannot be played to its end is wrong, too
                return f"{write.what} to {write.where}, {fault}: {error!r}"
        return _problem(write, fault, books)

    async def _reached(self, write: Write, fault: Fault) -> Books:
        """Play it, and again where a busy machine let it end as undone before its fault had its turn."""
        for _ in range(TRIES - 1):
            books = await self._played(write, fault)
            if books.crashed or (books.result["outcome"], books.effects, books.undos) != ("not_executed", 0, 0):
                return books
        return await self._played(write, fault)

    async def _played(self, write: Write, fault: Fault) -> Books:
        point = write.points(fault)
        if (name := path_of(write)) is not None:
            path = PATHS[name]
            ordeal = Ordeal(self.stack, point, target=path.target, fails=path.fails, conduct=path.conduct)
            return await self._run(ordeal)
        if write.play in afterwards.PLAYS:
            then, documents = afterwards.PLAYS[write.play], afterwards.DOCUMENTS
            return await self._run(Ordeal(self.stack, point, then=then, documents=documents))
        if write.play in telling.CHANNELS:
            return await self._told(write, fault, point)
        if write.play in scheduled.PLAYS:
            async with scheduled.PLAYS[write.play]() as play:
                ordeal = Ordeal(self.stack, point, then=play.then, documents=play.documents, config=play.config)
                return await self._run(ordeal)
        name, _, undone = write.play.partition(", ")
        async with placed(name, self.stack) as place:
            wired = str(fault) in place.wired and write.point in ("effect", "undo")
            ordeal = Ordeal(self.stack, "" if wired else point, place=place, fails=bool(undone))
            ordeal.wired = f"{fault}:{write.point}" if wired else ""
            return await self._run(ordeal)

    async def _told(self, write: Write, fault: Fault, point: str) -> Books:
        async with telling.CHANNELS[write.play]() as channel:
            ordeal = Ordeal(self.stack, point, target="resource:open", channel=channel, documents=telling.DOCUMENTS)
            ordeal.then = telling.tell
            ordeal.wired = "" if point else f"{fault}:{write.point}"
            return await self._run(ordeal)

    async def _run(self, ordeal: Ordeal) -> Books:
        async with self.preparing:
            await ordeal.prepare()
        return await ordeal.run()


def _problem(write: Write, fault: Fault, books: Books) -> str:
    """What is not as the table says; empty where nothing is."""
    end = write.ends[fault]
    assert isinstance(end, End)
    found = {"holds": books.holds, **books.more}
    expected = {**dict.fromkeys(found, 0), **end.more}
    expected.setdefault("files", 0)
    least, most = end.undos
    right = (
        books.crashed
        and (books.result["outcome"], books.effects) == (end.outcome, end.effects)
        and least <= books.undos <= most
        and found == expected
        and books.claims >= books.effects
    )
    what = f"{write.what} to {write.where}, {fault}"
    differing = {name: found[name] for name in found if found[name] != expected[name]}
    reasons = [reason["message"] for reason in books.result["reasons"]]
    said = f"{books.result['outcome']}, {books.effects} effects, {books.undos} undos, {differing}, {reasons}"
    return "" if right else f"{what}: {'' if books.crashed else 'never reached, '}{said}; expected {end}"


async def test_a_few_telling_rows_hold(stack: Stack) -> None:
    """Answers that are lost and commits that fail, at the record and at every target: done once, and said."""
    wanted = [(write, fault) for write in WRITES for fault in QUICK.get(write.what, ())]
    assert "\n".join(await Play(stack).all(wanted)) == ""


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("fault", Fault)
async def test_every_row_holds(stack: Stack, fault: Fault, part: str) -> None:
    """Every write of this part with this fault ends as its row says, by the target's own count."""
    wanted = [(write, fault) for write in PARTS[part] if isinstance(write.ends[fault], End)]
    assert "\n".join(await Play(stack).all(wanted)) == ""


def test_every_write_has_every_fault_or_says_why_not() -> None:
    """A fault that cannot be had has its reason, and there are no more of these than are known."""
    assert all(set(write.ends) == set(Fault) for write in WRITES)
    never = [(write.what, str(fault)) for write in WRITES for fault in Fault if isinstance(write.ends[fault], Never)]
    assert never == [
        ("the report", "twice"),
        ("the claim of an undo", "twice"),
        ("the report of an undo", "twice"),
        ("that a message begins", "twice"),
        ("that a message was taken", "twice"),
        ("how far the watcher came", "twice"),
        ("how far the detector came", "twice"),
    ]


def test_every_executor_that_can_run_here_has_its_rows() -> None:
    """Effect and undo through each place that there is."""
    for name in PLACES:
        assert {write.point for write in WRITES if write.play in (name, f"{name}, undone")} >= {"effect", "undo"}


def test_the_page_is_made_from_the_table() -> None:
    """docs/faults.md is what the table generates."""
    again = "python -c 'from tests.faults.fault_table import page; print(page(), end=\"\")' > docs/faults.md"
    assert PAGE.read_text() == page(), f"write it again: {again}"
