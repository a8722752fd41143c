"""`countersign catalog import` and `show`, as typed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import starter
from cli import exits
from policy.catalog import read_catalog

DATA = Path(__file__).parents[1] / "data"
EXAMPLES = Path(__file__).parents[2] / "examples"
CALL = ["catalog", "import", str(DATA / "service_edges.csv"), str(DATA / "service_criticality.csv")]


def test_import_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two tables become a catalog; the report says what was read, and the catalog shows a target."""
    output = tmp_path / "catalog.yaml"
    options = [
        "--graph",
        "otel-demo",
        "--declare",
        "--soft-to",
        "otel-collector",
        "--as-of",
        "2020-01-01T01:00:00+01:00",
    ]
    assert starter.run([*CALL, *options, "--output", str(output)]) == exits.OK
    report = capsys.readouterr().out
    assert "as of 2020-01-01T00:00:00Z" in report
    assert "read: 31 bare entities, named by tables only\nread: 22 criticalities\nread: 61 service edges\n" in report
    assert "service_criticality.csv, row 5: astronomy-db has no criticality, the worst is assumed" in report
    assert len(read_catalog(output.read_bytes()).sources) == 2
    assert starter.run(["catalog", "show", "--file", str(output), "Checkout"]) == exits.OK
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "component:default/checkout"
    assert shown[1] == "resolves to: nothing, component:default/checkout has no countersign/resource-id"
    assert "  component:default/frontend: critical, hard, 1 away" in shown


def test_what_cannot_be_imported_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table of several graphs, an instant that is none, a missing file: one line each, and nothing is written."""
    output = tmp_path / "catalog.yaml"
    missing = ["catalog", "import", str(tmp_path / "none.yaml"), "--output", str(output)]
    for arguments, message in (
        ([*CALL, "--output", str(output)], "choose one with --graph"),
        ([*CALL, "--graph", "otel-demo", "--output", str(output), "--as-of", "soon"], "--as-of: as_of is no instant"),
        ([*CALL, "--output", str(output), "--as-of", "9000-01-01T00:00:00Z"], "is to come"),
        (missing, "none.yaml cannot be read: No such file"),
    ):
        assert starter.run(arguments) == exits.FAILED
        assert message in capsys.readouterr().err
    assert not output.exists()


def test_show_what_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown target is an error, not an empty page."""
    assert starter.run(["catalog", "show", "--file", str(EXAMPLES / "catalog.yaml"), "nobody"]) == exits.FAILED
    assert (
        "component:default/nobody is not in the catalog: an unknown target is the worst case" in capsys.readouterr().err
    )


def test_a_file_cannot_write_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What an entity file says of itself is shown without its control characters."""
    source = tmp_path / "a.yaml"
    source.write_text(
        'kind: Component\nmetadata: {name: a, annotations: {countersign/resource-id: "x\\e[31m"}}\n'
        'spec: {owner: "\\e]0;x\\a"}\n'
        '---\nkind: "\\e[2J"\nmetadata: {name: "\\e[2J"}\n'
    )
    output = tmp_path / "catalog.yaml"
    assert starter.run(["catalog", "import", str(source), "--output", str(output)]) == exits.OK
    assert starter.run(["catalog", "show", "--file", str(output), "a"]) == exits.OK
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(("unbuffered", "code"), [("", exits.OK), ("1", exits.UNREAD)])
def test_a_reader_that_goes_away_is_no_error(unbuffered: str, code: int) -> None:
    """Piped into a command that reads no further it says nothing, whether the print or the last flush notices."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, str(EXAMPLES.parent / "starter.py"), "catalog", "show", "resource:orders-db"]
    ran = subprocess.run(
        [*command, "--file", str(EXAMPLES / "catalog.yaml")],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)

    assert (ran.returncode, ran.stderr) == (code, b"")
