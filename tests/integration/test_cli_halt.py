"""Halting, and holding a target, from a terminal on a real stack: what it would do, that it does, and how it ends."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from activities.held_targets import hold_id_of
from cli import exits
from policy.canonical import canonical, digest
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


def test_a_target_is_held_seen_and_released(house: House) -> None:
    """Each command says what is so; one person releases nothing, and nobody believes a release that nobody signed."""
    house.pending("held-1")
    rehearsed = house.run("hold", "resource:orders-db", "--dry-run")
    assert "a hold on resource:default/orders-db: nothing is done there" in rehearsed.out
    assert "1 asked: people may go on answering; once it is approved it is refused" in rehearsed.out
    assert "held-1" in rehearsed.out
    assert house.run("holds").out.strip() == "no target is under hold"
    terms = ("--because", "INC-4712", "--yes", "--key")
    unknown = house.run("hold", "orders-dv", *terms, house.key("ana"))
    assert (unknown.code, "is not in the catalog" in unknown.err) == (exits.FAILED, True)
    placed = house.run("hold", "resource:orders-db", *terms, house.key("ana"))
    assert (placed.code, "orders-db is held: hold-" in placed.out) == (exits.OK, True), placed.err
    (held,) = house.run("holds", "--json").json
    assert (held["target"], held["owner"], held["why"]) == ("resource:default/orders-db", "ana", "ana: INC-4712")
    for name in ("ben", "eva"):
        assert house.decide("approve", "held-1", name).code == exits.OK
    done = house.until("held-1", lambda status: status["result"] is not None)
    assert done["result"]["outcome"] == "not_executed"
    assert "is under hold: ana: INC-4712" in house.run("show", "held-1").out
    release = ("holds", "release", held["hold"], "--because", "cured", "--yes", "--key")
    one = house.run(*release, house.key("ana"))
    assert one.out.endswith("signed by ana: 1 more of 2 people must sign the release\n"), one.err
    asyncio.run(_forge_release(house, held["hold"]))
    (doubted,) = house.run("holds", "--json").json
    assert "its release is not shown: nothing proves that two people" in doubted["why"]
    assert f"countersign holds release {held['hold']}" in doubted["released by"]
    two = house.run(*release, house.key("ben"))
    assert (two.code, "released: released by ana and ben" in two.out) == (exits.OK, True), two.err
    assert house.run("holds").out.strip() == "no target is under hold"
    gone = house.run("holds", "release", "hold-of-nobody", *terms, house.key("ben"))
    assert (gone.code, "hold-of-nobody does not answer" in gone.err) == (exits.FAILED, True)


async def _forge_release(house: House, halt_id: str) -> None:
    """The row that says that a hold ended, as whoever has the control role's credentials may write it."""
    body = canonical({"halt_id": halt_id, "released_by": "people"})
    connection = await asyncpg.connect(house.stack.database_url("countersign_control"))
    await connection.execute(
        "INSERT INTO countersign.hold_release (hold_id, released_by, released_at, body, digest)"
        " VALUES ($1, 'people', now(), $2, $3)",
        *(hold_id_of(halt_id), body, digest(body)),
    )
    await connection.close()
