"""Every write to somewhere else, and what must be so after each thing that can go wrong with it. The table is the test.

A write meets six faults, each on a real server:

- **fail**: it is not done, and that is known (the commit never reaches PostgreSQL, the target refuses or is away);
- **lose**: it is done, and the answer never comes;
- **slow**: it takes longer than a local activity may, and shorter than a lease;
- **twice**: it is asked for again by whoever did not hear that it was done;
- **before** and **after**: the worker is killed (SIGKILL) just before, or just after it.

An end is the outcome, how often the target itself counts the effect, and how often its undo. `DONE` and the like are
ends that many rows share. What else must be in the record stands in `more`, and everywhere: an effect has a permit that
was consumed, a permit that was consumed has a report or an item with a hold, and nothing stays reserved.
A fault that cannot be had is a `Never` with its reason; `test_fault_table.py` counts them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tests.faults.kill_points import PATHS


class Fault(StrEnum):
    """What goes wrong."""

    fail = "fail"
    lose = "lose"
    slow = "slow"
    twice = "twice"
    before = "before"
    after = "after"


@dataclass(frozen=True)
class End:
    """How it ends: the outcome, the effects and the undos that the target counts, and rows of the record.

    Where a range is given, both bounds may be: an undo may be carried out twice.
    """

    outcome: str
    effects: int
    undos: tuple[int, int] = (0, 0)
    more: Mapping[str, int] = field(default_factory=dict)
    said: str = ""


@dataclass(frozen=True)
class Never:
    """A fault that cannot be had, and why."""

    why: str


_LEFT = {"holds": 1, "items": 1}
DONE = End("succeeded", 1, said="the report and the result")
UNDONE = End("compensated", 1, (1, 1), said="both reports and the result")
# Until one is reported: an undo may be carried out again.
AGAIN = End("compensated", 1, (1, 3), said="both reports and the result; an undo may be carried out again")
UNKNOWN = End("outcome_unknown", 0, more=_LEFT, said="the result, a hold, an item, a page")
UNSEEN = End("outcome_unknown", 1, more=_LEFT, said="the result, a hold, an item, a page")
NOTHING = End("not_executed", 0, said="the report that nothing was done, and the result")


# A drain plans, and for each message commits that it begins and that it was taken.
_AROUND_TELLING: Mapping[Fault, str] = {
    **dict.fromkeys((Fault.fail, Fault.lose, Fault.slow), ""),
    Fault.twice: "twice:deliver:1",
    Fault.before: "after:deliver:2",
    Fault.after: "before:deliver:3",
}


@dataclass(frozen=True)
class Write:
    """One write.

    Attributes:
        what: is written.
        where: to.
        play: the path of `kill_points.py`, the place of `places.py`, what people do afterwards (`afterwards.py`), or by
            which channel they are told (`telling.py`).
        point: at which it happens, as `crashing.py` counts; after a `+` what has to happen first.
        ends: by fault.
    """

    what: str
    where: str
    play: str
    point: str
    ends: Mapping[Fault, End | Never]

    def points(self, fault: Fault) -> str:
        """The point of a fault, as `crashing.py` reads it."""
        *first, last = self.point.split("+")
        if last == "tell":
            return _AROUND_TELLING[fault]
        # An effect is asked for again by asking the executor role again, with the same permit.
        if fault is Fault.twice:
            last = {"effect": "execute:1", "undo": "execute:2"}.get(last, last)
        return "+".join([*first, f"{fault}:{last}"])


def _all(end: End, **others: End | Never) -> dict[Fault, End | Never]:
    return {fault: others.get(str(fault), end) for fault in Fault}


_ONE_ACTIVITY = Never("the activity is repeated as a whole: the row of its first commit")
RECORD, ANCHOR = "PostgreSQL, the record", "the copy outside the record"

_CASE = (
    Write("registration and assessment", RECORD, "allowed", "assess:1", _all(DONE)),
    Write("what executors resolved", RECORD, "http", "resolve:1", _all(DONE)),
    Write("a vote", RECORD, "asked", "take_decision:1", _all(DONE)),
    Write("votes that waited together", RECORD, "flooded", "take_decisions:1", _all(DONE)),
    Write("the permits of a step", RECORD, "allowed", "dispatch:1", _all(DONE)),
    Write("the newest entry", ANCHOR, "allowed", "anchor", _all(DONE)),
    # Nobody knows whether who died with a claim had begun.
    Write("the claim", RECORD, "allowed", "execute:1", _all(DONE, after=UNKNOWN)),
    Write("the report", RECORD, "allowed", "execute:2", _all(DONE, twice=_ONE_ACTIVITY)),
    Write("the claim of an undo", RECORD, "undone", "execute:3", _all(UNDONE, twice=_ONE_ACTIVITY)),
    Write("the report of an undo", RECORD, "undone", "execute:4", _all(AGAIN, twice=_ONE_ACTIVITY)),
    Write("the result, which ends the reservation", RECORD, "allowed", "record:1", _all(DONE)),
    Write("the result with its hold and its item", RECORD, "allowed", "after:execute:1+record:1", _all(UNKNOWN)),
)
# The program answers that it will not: an undo that is refused is not asked for again.
REFUSED = End("compensation_failed", 1, more=_LEFT, said="both reports, the result, a hold, an item, a page")


def _at(place: str, effect: Mapping[str, End | Never], undo: Mapping[str, End | Never]) -> tuple[Write, Write]:
    """The effect and the undo at a place, and where it differs from the others."""
    usual: dict[str, End | Never] = {"before": UNKNOWN, "fail": NOTHING}
    return (
        Write("an effect", f"the target of {place}", place, "effect", _all(DONE, **{**usual, **effect})),
        Write("an undo", f"the target of {place}", f"{place}, undone", "undo", _all(AGAIN, **undo)),
    )


_EFFECTS = (
    # A 503 is an answer that nothing was done: what is idempotent is asked again by the adapter itself.
    *_at("http", {"fail": DONE}, {}),
    *_at("command", {}, {"fail": REFUSED}),
    # It knows an index by its definition, which anybody can have made.
    *_at("postgres", {"lose": UNSEEN, "after": UNSEEN}, {}),
    *_at("temporal", {}, {}),
    *_at("kubernetes", {}, {}),
)
SETTLED = End(
    "outcome_unknown",
    0,
    more={"items": 1, "items closed": 1, "holds": 1, "amendments": 1},
    said="the item is closed, once, and what was not known is amended, once",
)
_AFTERWARDS = (
    Write(
        "an answer to an item",
        RECORD,
        "an item is answered",
        "after:execute:1+answer_item:1",
        _all(SETTLED),
    ),
    Write(
        "an amendment",
        RECORD,
        "an outcome is amended",
        "answer_item:1",
        _all(End("succeeded", 1, more={"amendments": 1}, said="the amendment, once, in the ledger")),
    ),
    Write(
        "a halt",
        RECORD,
        "everything is halted",
        "place_halt:1",
        _all(End("succeeded", 1, more={"halts": 1, "halts released": 1}, said="the halt, once; its release, once")),
    ),
    Write(
        "the release of a halt",
        RECORD,
        "everything is halted",
        "release_halt:2",
        _all(End("succeeded", 1, more={"halts": 1, "halts released": 1}, said="the halt, once; its release, once")),
    ),
    Write(
        "an audit file and its row",
        "the archive, and the record",
        "it is archived",
        "archive:1",
        _all(End("succeeded", 1, more={"archived": 1, "files": 1}, said="one row, one whole file")),
    ),
)
TOLD = End("succeeded", 1, more={"told": 1}, said="the notice, and that it was told")
TOLD_AGAIN = End(
    "succeeded", 1, more={"told": 1, "told again": 1}, said="the notice, twice under one key, and that it was told"
)
_TOLD = (
    Write("what a drain is to do", RECORD, "told by chat", "deliver:1", _all(TOLD)),
    Write("that a message begins", RECORD, "told by chat", "deliver:2", _all(TOLD, twice=_ONE_ACTIVITY)),
    # What was sent and is not known to be: it is sent again, as what was lost.
    Write(
        "that a message was taken",
        RECORD,
        "told by chat",
        "deliver:3",
        _all(TOLD, fail=TOLD_AGAIN, before=TOLD_AGAIN, twice=_ONE_ACTIVITY),
    ),
    *(
        Write("a notice", each, f"told by {each}", "tell", _all(TOLD, lose=TOLD_AGAIN, after=TOLD_AGAIN))
        for each in ("mail", "chat", "signed events")
    ),
)
SEEN = End("succeeded", 1, more={"violations": 1}, said="the violation, once")
# It waited where no worker of ours is, and somebody terminated it.
TWO_SEEN = End("succeeded", 1, more={"violations": 2}, said="both violations, once")
_SCHEDULED = (
    Write("what the watcher saw", RECORD, "a run is terminated", "watch:1", _all(TWO_SEEN)),
    Write("how far the watcher came", RECORD, "a run is terminated", "watch:2", _all(TWO_SEEN, twice=_ONE_ACTIVITY)),
    Write("what the detector found", RECORD, "a cluster is changed by hand", "detect:1", _all(SEEN)),
    Write(
        "how far the detector came",
        RECORD,
        "a cluster is changed by hand",
        "detect:2",
        _all(SEEN, twice=_ONE_ACTIVITY),
    ),
    Write(
        "a measured SLO",
        RECORD,
        "an objective is measured",
        "refresh_slo_states:1",
        _all(End("succeeded", 1, more={"slo states": 1}, said="the state, once for its instant")),
    ),
    Write(
        "the keys of an issuer",
        RECORD,
        "an issuer publishes keys",
        "refresh_issuer_keys:1",
        _all(End("succeeded", 1, more={"issuer keys": 2}, said="both keys, once")),
    ),
)
# What is played together.
PARTS: Mapping[str, tuple[Write, ...]] = {
    "the case": _CASE,
    "effects": _EFFECTS,
    "afterwards": _AFTERWARDS,
    "notices": _TOLD,
    "schedules": _SCHEDULED,
}
WRITES: tuple[Write, ...] = tuple(write for part in PARTS.values() for write in part)
# What the quick half plays, in `make test`; `make chaos` plays all of it.
QUICK: Mapping[str, tuple[Fault, ...]] = {
    "the permits of a step": (Fault.lose,),
    "the claim": (Fault.lose,),
    "the report": (Fault.fail,),
    "an effect": (Fault.lose,),
}


def path_of(write: Write) -> str | None:
    """The path of `kill_points.py` that a write is on, if it is."""
    return write.play if write.play in PATHS else None


_MADE = """Made from `tests/faults/fault_table.py`, which `make chaos` plays on real servers, and `make test` a few rows
of it. PostgreSQL and Temporal are real, and so are the targets; Kubernetes is an emulated API server. A worker that is
killed is a process of its own. Beside an outcome stands how often the target itself counted the effect and its undo.

The table alone, every row and column, with three processes:

    python -m pytest -m chaos tests/faults/test_fault_table.py -n 3 --dist load --timeout 900

It took 11 min 28 s on two cores beside other work. A fault that was not met makes its cell red: a worker that did not
die, a commit to the record that was not hit, a fault that the target has still before it."""


def page() -> str:
    """docs/faults.md."""
    head = __doc__ or ""
    lines = [
        "# What can go wrong with every write",
        "",
        _MADE,
        "",
        head.partition("\n\n")[2].strip(),
        "",
        "| write | to | " + " | ".join(str(fault) for fault in Fault) + " |",
        "|---|---|" + "---|" * len(Fault),
    ]
    notes: list[str] = []
    for write in WRITES:
        cells = [_cell(write.ends[fault], notes) for fault in Fault]
        lines.append(f"| {write.what} | {write.where} | {' | '.join(cells)} |")
    lines += ["", "What is said, and where:", ""]
    said = sorted({f"- {_short(end)}: {end.said}." for w in WRITES for end in w.ends.values() if isinstance(end, End)})
    lines += [
        *said,
        "",
        "Not played, because it cannot be had:",
        "",
        *(f"{n}. {why}." for n, why in enumerate(notes, 1)),
    ]
    return "\n".join(lines) + "\n"


def _short(end: End) -> str:
    least, most = end.undos
    undos = "" if most == 0 else f", undone {least}" if least == most else f", undone {least} to {most}"
    more = "".join(f", {count} {name}" for name, count in end.more.items())
    return f"`{end.outcome}`, effect {end.effects}{undos}{more}"


def _cell(end: End | Never, notes: list[str]) -> str:
    if isinstance(end, End):
        return _short(end)
    if end.why not in notes:
        notes.append(end.why)
    return f"never ({notes.index(end.why) + 1})"
