"""The how-to about the life of a policy shows what the commands print."""

import re
import shlex
from pathlib import Path

import pytest

import starter

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/policy-life.md").read_text()
SHOWN = re.findall(r"```console\n\$ countersign (.*?)\n```\n\n```text\n(.*?)```", TEXT, re.DOTALL)
# Findings depend on the day: the page was written on this one.
DAY = ["--at", "2030-01-15"]


@pytest.mark.parametrize(("command", "expected"), SHOWN, ids=[command.split()[1] for command, _ in SHOWN])
def test_the_page_shows_what_is_printed(
    command: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command of the page, run in a checkout, prints what stands below it."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    dated = words[1] in {"check", "diff"}

    assert starter.run([*words, *(DAY if dated else [])]) == 0
    assert re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", capsys.readouterr().out) == expected


def test_every_code_of_a_finding_is_on_the_page() -> None:
    """No finding is without its line in the table."""
    sources = "".join(path.read_text() for path in (ROOT / "policy").rglob("checking*.py"))
    codes = set(re.findall(r"Severity\.\w+,\s*\"([a-z_]+)\"", sources))
    assert len(codes) > 20
    assert sorted(code for code in codes if f"`{code}`" not in TEXT) == []
