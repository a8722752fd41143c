"""`policy check` as a command: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest

import starter
from tests.unit.builders import CATALOG, DIRECTORY, OPERATIONS, POLICY

SOUND = POLICY.replace(b'version: "1"}', b'version: "1", controls: [cm-3]}', 1)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one document of each kind, in which the command runs."""
    texts = {"policy": SOUND, "operations": OPERATIONS, "catalog": CATALOG, "directory": DIRECTORY}
    for name, body in texts.items():
        (tmp_path / f"{name}.yaml").write_bytes(body)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_every_kind_is_checked_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Several files are checked one after the other, each with its digest and a summary."""
    assert starter.run(["policy", "check", "policy.yaml", "operations.yaml", "directory.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("policy.yaml: a policy that can be used, sha256:")
    assert lines[1] == "1 limits, 2 rules, 1 chains"
    assert lines[2].startswith("operations.yaml: an operations registry that can be used, sha256:")
    assert lines[-1] == "4 people, 1 agents"


def test_it_ends_with_how_bad_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 with warnings, 1 with warnings under --strict, 2 with errors; the findings go where compilers show theirs."""
    (folder / "policy.yaml").write_bytes(SOUND.replace(b"[pg.end_session]", b"[pg.end_sesion]"))
    asked = ["policy", "check", "policy.yaml", "--operations", "operations.yaml"]
    assert starter.run(asked) == 0
    assert "policy.yaml:8:41: warning unknown_operation: operation pg.end_sesion" in capsys.readouterr().out
    assert starter.run([*asked, "--strict"]) == 1
    (folder / "policy.yaml").write_bytes(SOUND.replace(b"verdict: allow", b"verdict: permit"))
    capsys.readouterr()
    assert starter.run(asked) == 2
    said = capsys.readouterr().out
    assert "policy.yaml:8:68: error schema: rules.0.verdict: input should be 'allow'" in said
    assert "can be used" not in said


def test_findings_are_json_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By file, each with severity, code, line, column, message and document."""
    (folder / "policy.yaml").write_bytes(SOUND.replace(b"chain: pair", b"chain: trio"))
    assert starter.run(["policy", "check", "policy.yaml", "directory.yaml", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["directory.yaml"] == []
    (item,) = found["policy.yaml"]
    assert item.pop("message").startswith("chain trio is named by a rule and not defined")
    assert item == {"severity": "error", "code": "schema", "line": 9, "column": 95, "document": "house"}


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "no kind": (b"services: {}\n", "x.yaml:1:1: error unreadable: document is of no governed kind"),
    "not utf-8": (b"kind: P\nname: \xff\n", "x.yaml:2:7: error unreadable: document is not utf-8 at byte 14"),
    "a bomb": (b"a: &a [x]\nb: *a\n", "x.yaml:1:4: error unreadable: anchors and aliases are not read"),
    "control characters": (b"kind: \x1b[2J\n", "x.yaml:1:7: error unreadable: document is malformed: unacceptable"),
}


@pytest.mark.parametrize(("body", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_has_a_place_too(
    folder: Path, body: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is no governed document is a finding like any other."""
    (folder / "x.yaml").write_bytes(body)
    assert starter.run(["policy", "check", "x.yaml"]) == 2
    assert said in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("arguments", [["nothing.yaml"], ["policy.yaml", "--catalog", "nothing.yaml"]])
def test_a_file_that_is_not_there_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file ends the command with an error that names it."""
    assert starter.run(["policy", "check", *arguments]) == 1
    assert "file nothing.yaml cannot be read" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_an_instant_is_written_like_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A day is its beginning in UTC; anything else that is no instant is refused with the way to write it."""
    assert starter.run(["policy", "check", "policy.yaml", "--at", "2030-01-01"]) == 0
    with pytest.raises(SystemExit):
        starter.run(["policy", "check", "policy.yaml", "--at", "tomorrow"])
    assert "`tomorrow` is no instant, write it like 2030-01-31T09:00:00Z" in capsys.readouterr().err
