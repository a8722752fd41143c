"""`countersign operations`: importing and showing, as a person sees it."""

import json
from pathlib import Path

import pytest

from cli import exits
from policy.operations import read_operations
from starter import run

TOOLS = {"tools": [{"name": "list_x"}, {"name": "drop_x", "annotations": {"readOnlyHint": True}}, {"name": "\x1b[;"}]}
LEVELS = [{"action": "s3:GetObject", "access_level": "Read"}, {"action": "s3:DeleteObject", "access_level": "Write"}]


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "tools.json"
    path.write_text(json.dumps(TOOLS))
    return path


def test_import_tools(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The registry goes to a file, the report says the class of each and why, and controls no terminal."""
    output = file.with_suffix(".yaml")

    assert (
        run(["operations", "import", "--from", "mcp", str(file), "--name", "house", "--output", str(output)])
        == exits.OK
    )

    said = capsys.readouterr().out
    assert "mcp.house.drop_x  floor high  (name: drop)" in said
    assert "1 read, 0 mutate, 1 destructive, 1 skipped" in said
    assert "\x1b" not in said
    assert read_operations(output.read_bytes()).find("mcp.house.list_x") is not None


def test_import_levels(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an output the registry is all that stands on standard output."""
    file.write_text(json.dumps(LEVELS))

    assert run(["operations", "import", "--from", "aws", str(file)]) == exits.OK

    said = capsys.readouterr()
    assert read_operations(said.out.encode()).find("aws.s3.delete_object") is not None
    assert "1 read, 0 mutate, 1 destructive, 0 skipped" in said.err


@pytest.mark.parametrize("text", ["", "{}", '{"tools": [{}]}'])
def test_nothing_to_import(file: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with nothing in it is an error that names the file."""
    file.write_text(text)
    assert run(["operations", "import", "--from", "mcp", str(file)]) == exits.FAILED
    assert str(file) in capsys.readouterr().err


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    """An operation is shown as it is registered."""
    assert run(["operations", "show", "--shipped", "postgres.table.truncate"]) == exits.OK
    assert "destructive: true" in capsys.readouterr().out


def test_show_what_nobody_registered(capsys: pytest.CaptureFixture[str]) -> None:
    """Of what is not registered it shows what is assumed, and says so by its exit code."""
    assert run(["operations", "show", "--shipped", "any.thing"]) == exits.FAILED
    assert "the worst is assumed" in capsys.readouterr().out
    assert run(["operations", "show", "--shipped", "no name"]) == exits.FAILED
