"""`countersign directory`: what the page shows is what is printed, and what cannot be done is said."""

import re
import shlex
from pathlib import Path

import pytest

import starter
from cli import exits
from policy.people.directory import read_directory

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/directory.md").read_text()
SHOWN = re.findall(r"```console\n\$ countersign (.*?)\n```\n\n```text\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(capsys: pytest.CaptureFixture[str], command: str) -> tuple[int, str]:
    """Run a command; its code and all that it said."""
    code = starter.run(["directory", *shlex.split(command)])
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("command", "expected"), SHOWN, ids=[command for command, _ in SHOWN])
def test_the_page_shows_what_is_printed(command: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of the page, run in a checkout, prints what stands below it."""
    assert starter.run(shlex.split(command)) == exits.OK
    assert capsys.readouterr().out == expected


def test_what_was_imported_can_be_imported_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The directory that was written is the base of the next import, which changes nothing without news."""
    command = shlex.split(next(command for command, _ in SHOWN if "scim" in command))
    assert starter.run(command) == exits.OK
    first = (folder / "directory.yaml").read_bytes()
    assert starter.run([word.replace("examples/directory.yaml", "directory.yaml") for word in command]) == exits.OK
    assert (folder / "directory.yaml").read_bytes() == first
    assert len(read_directory(first).people) == 10
    assert "read: 3 people who are known\nread: 5 users" in capsys.readouterr().out.partition("publish it")[2]


FAILS: dict[str, tuple[str, str]] = {
    "an instant to come": (
        "import --from scim examples/people/users.json --output o --as-of 9000-01-01",
        "--as-of 9000-01-01T00:00:00Z is to come",
    ),
    "an instant before the base": (
        "import --from scim examples/people/users.json --base d --output o --as-of 2020-01-01",
        "give newer files",
    ),
    "a file that is not there": ("import --from scim nothing --output o", "file nothing cannot be read: no such file"),
    "another format": (
        "import --from oidc-groups examples/people/users.json --output o",
        "holds no array of claim sets",
    ),
    "an output that cannot be written": (
        "import --from oidc-groups examples/people/claims.json --output no/o",
        "file no/o cannot be written",
    ),
    "nobody asked for": ("show --file d", "give an identity, --group or --role"),
    "two at once": ("show ann --group ops --file d", "give an identity, --group or --role"),
    "nobody of that name": ("show eve --file d", "eve is nobody in this directory"),
}
_SMALL = (
    'apiVersion: countersign/v1\nkind: Directory\nmetadata: {name: d, version: "1"}\nas_of: 2021-01-01T00:00:00Z\n'
    'people:\n- {id: ann, name: "\\e[31mAnn", since: 2030-01-01T00:00:00Z, until: 2031-01-01T00:00:00Z}\n'
    "service_accounts: [{id: ci, owner: ann}]\n"
)


@pytest.mark.parametrize(("command", "message"), FAILS.values(), ids=FAILS)
def test_what_cannot_be_done_is_said(
    folder: Path, command: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names what is wrong, and nothing is written."""
    (folder / "d").write_text(_SMALL)
    code, said = _run(capsys, command)
    assert code == exits.FAILED
    assert message in said
    assert not (folder / "o").exists()


SHOWS = {
    "a person who has not come yet": (
        "show ann --file d --at 2029-01-01",
        "was not there before 2030-01-01T00:00:00Z and from 2031-01-01T00:00:00Z, and was nobody then",
    ),
    "a person": ("show ann --file d --at 2030-01-01", "there since 2030-01-01T00:00:00Z"),
    "an account": ("show ci --file d", "ci is a service account: it never decides\nowner: ann"),
    "a role of nobody": ("show --role boss --file d", "role boss: 0 people"),
}


@pytest.mark.parametrize(("command", "expected"), SHOWS.values(), ids=SHOWS)
def test_shown(folder: Path, command: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Who somebody is at a time is said in lines, none of which controls the terminal."""
    (folder / "d").write_text(_SMALL)
    code, said = _run(capsys, command)
    assert code == exits.OK
    assert expected in said
    assert "\x1b" not in said


def test_without_an_instant_files_are_as_old_as_the_oldest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The directory is true as of the last change of the oldest file."""
    code, said = _run(capsys, "import --from oidc-groups examples/people/claims.json --output o")
    assert code == exits.OK, said
    as_of = read_directory((folder / "o").read_bytes()).as_of
    assert as_of is not None
    assert int((ROOT / "examples/people/claims.json").stat().st_mtime) == as_of.timestamp()
