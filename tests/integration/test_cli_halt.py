"""Halting from a terminal, against a real stack: what it would do, that it does, who sees it, and how it ends."""

from pathlib import Path

import pytest

from cli import exits
from tests.integration.terminal import DOCUMENTS, House

POLICY = DOCUMENTS["policy"] + "halt: {who: {groups: [dba]}}\n"


@pytest.fixture(name="documents", scope="module")
def _documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The governed documents, with a policy that says who halts."""
    folder = tmp_path_factory.mktemp("documents")
    for name, text in {**DOCUMENTS, "policy": POLICY}.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_a_halt_is_rehearsed_placed_seen_and_released(house: House) -> None:
    """Each command says what is so and what it does; one person alone releases nothing."""
    house.pending("halted-1")
    rehearsed = house.run("halt", "--dry-run")
    assert rehearsed.code == exits.OK, rehearsed.err
    assert "a halt of everything: nothing begins until two people release it" in rehearsed.out
    assert "1 asked: people may go on answering" in rehearsed.out
    assert "halted-1" in rehearsed.out
    assert house.run("halt", "list").out.strip() == "nothing is halted"
    placed = house.run("halt", "--because", "INC-4711", "--key", house.key("ana"), "--yes")
    assert (placed.code, "everything is halted: halt-" in placed.out) == (exits.OK, True), placed.err
    (halt,) = house.run("halt", "list", "--json").json
    assert (halt["placed_by"], halt["reason"]) == ("ana", "INC-4711")
    _seen(house, halt["halt_id"])
    for name in ("ben", "eva"):
        assert house.decide("approve", "halted-1", name).code == exits.OK
    waits = house.until("halted-1", lambda status: "waits_for" in status)
    assert waits["waits_for"].startswith("everything is halted by ana since 20")
    release = ("halt", "release", halt["halt_id"], "--because", "cured", "--yes", "--key")
    one = house.run(*release, house.key("ana"))
    assert one.out.endswith("signed by ana: 1 more of 2 people must sign the release\n"), one.err
    assert "1 approved actions wait" in one.out
    assert house.run("halt", "list").out.startswith(halt["halt_id"])
    two = house.run(*release, house.key("ben"))
    assert (two.code, "released: released by ana and ben" in two.out) == (exits.OK, True), two.err
    assert house.run("halt", "list").out.strip() == "nothing is halted"
    assert "HALTED" not in house.run("list").out
    gone = house.run(*release, house.key("ben"))
    assert (gone.code, "no halt" in gone.err) == (exits.FAILED, True)


def _seen(house: House, halt_id: str) -> None:
    """Wherever somebody looks at what waits, it says that nothing begins, since when and by whom."""
    said = "HALTED: everything is halted by ana since 20"
    for command in (("show", "halted-1"), ("explain", "halted-1"), ("list",)):
        assert said in house.run(*command).out, command
    assert house.run("status", "halted-1").json["halted"].startswith("everything is halted by ana since 20")
    (row,) = [one for one in house.run("list", "--json").json if one["id"] == "halted-1"]
    assert row["halted"].startswith("everything is halted by ana")
    again = house.run("halt", "--dry-run")
    assert "already in force: everything is halted by ana" in again.out
    assert halt_id in house.run("halt", "list").out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ((), "nobody says why: give --because TEXT"),
        (("--because", "x"), "nobody signs it: give --key FILE or --ssh FILE"),
    ],
    ids=["no reason", "no key"],
)
def test_a_halt_that_lacks_something_says_what(house: House, more: tuple[str, ...], says: str) -> None:
    """Nothing is halted by it."""
    ran = house.run("halt", *more, "--yes")
    assert (ran.code, says in ran.err) == (exits.FAILED, True), ran.err
    assert house.run("halt", "list").out.strip() == "nothing is halted"


def test_nobody_halts_unattended_without_saying_so(house: House) -> None:
    """Where nobody can be asked, `--yes` has to say it before."""
    ran = house.run("halt", "--because", "x", "--key", house.key("ana"))
    assert (ran.code, "add --yes" in ran.err) == (exits.FAILED, True), ran.err
