"""The trails that an operator names: what is refused, and how their files are read."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from activities.settings import SettingsError, read_settings
from activities.trails.kinds import KINDS, TrailError, TrailSource, look, read_sources

ORDERS = "postgres/orders"


def _line(second: int, name: str) -> str:
    return (
        f'{{"timestamp":"2026-11-27 20:00:{second:02d}.000 UTC","user":"a","session_id":"s","error_severity":"LOG",'
        f'"message":"statement: ALTER SYSTEM RESET {name}","backend_type":"client backend"}}\n'
    )


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([], "no json object"),
        ({ORDERS: "/var/log"}, f"trail of {ORDERS}: "),
        ({ORDERS: {"kind": "oracle", "path": "/x"}}, "kind 'oracle' is none of kubernetes, postgres"),
        ({ORDERS: {"kind": "postgres"}}, "path"),
        ({ORDERS: {"kind": "postgres", "path": ""}}, "path"),
        ({ORDERS: {"kind": "postgres", "path": "/x", "own": "me"}}, "own"),
        ({ORDERS: {"kind": "postgres", "path": "/x", "folder": "/y"}}, "folder"),
    ],
)
def test_what_is_written_wrongly_is_refused(value: Any, why: str) -> None:
    """With the resource and the field."""
    with pytest.raises(TrailError, match=why):
        read_sources(value)


def test_a_file_that_is_no_json_names_its_variable(tmp_path: Path) -> None:
    """As every file that a variable names."""
    file = tmp_path / "trails.json"
    file.write_text("{")

    with pytest.raises(SettingsError, match="COUNTERSIGN_TRAILS_FILE"):
        read_settings({"COUNTERSIGN_TRAILS_FILE": str(file)})


def test_a_folder_is_read_in_the_order_in_which_its_files_were_written(tmp_path: Path) -> None:
    """Only those that fit the pattern, and not those that ended before; a line counts once it has ended."""
    begun = datetime(2026, 11, 27, 20, tzinfo=UTC).timestamp()
    for place, (name, text) in enumerate(
        {
            "c.json": _line(0, "a"),
            "b.json": _line(1, "b") + _line(2, "c"),
            "a.json": _line(3, "d") + _line(4, "e")[:-1],
            "other.txt": "not read\n",
        }.items()
    ):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (begun + place, begun + place))
    source = TrailSource(kind="postgres", path=str(tmp_path), pattern="*.json")

    whole = look(source, ORDERS)
    later = look(source, ORDERS, datetime(2026, 11, 27, 20, 0, 2, tzinfo=UTC))

    assert [item.target for item in whole.effects] == ["a", "b", "c", "d"]
    assert [item.target for item in later.effects] == ["d"]
    assert (whole.unreadable, whole.covers) == (0, (whole.effects[0].at, whole.effects[3].at))
    assert look(TrailSource(kind="postgres", path=str(tmp_path / "b.json")), ORDERS).effects == whole.effects[1:3]


def test_a_line_without_an_end_is_bounded(tmp_path: Path) -> None:
    """Of a giant one so much is kept that it is seen to be too long; what follows it is read."""
    (tmp_path / "a.json").write_bytes(_line(0, "a").encode() + b"x" * (9 << 20) + b"\n" + _line(1, "b").encode())

    found = look(TrailSource(kind="postgres", path=str(tmp_path)), ORDERS)

    assert ([item.target for item in found.effects], found.unreadable) == (["a", "b"], 1)


def test_a_trail_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Never an empty trail."""
    with pytest.raises(TrailError, match="cannot be read: No such file"):
        look(TrailSource(kind="postgres", path=str(tmp_path / "none")), ORDERS)


def test_what_a_trail_shows_is_said_by_its_kind_and_its_operator() -> None:
    """Sessions and rebuilds only where all statements are logged."""
    assert set(KINDS) >= {"postgres"}
    plain = TrailSource(kind="postgres", path="/x")
    every = TrailSource(kind="postgres", path="/x", all_statements=True, shows=["my.own"])

    assert "postgres.parameter.set" in plain.shown
    assert every.shown - plain.shown == {"postgres.session.terminate", "postgres.index.reindex", "my.own"}
