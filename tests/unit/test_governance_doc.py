"""`docs/governance.md` says of every setting what it could weaken."""

from pathlib import Path

from activities import settings

PAGE = (Path(__file__).parents[2] / "docs/governance.md").read_text()


def test_every_setting_is_in_the_table() -> None:
    """A variable that somebody adds without saying who can change it is found here."""
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    known = settings._OURS
    assert [name for name in known if not any(f"`{name}`" in row for row in rows)] == []
