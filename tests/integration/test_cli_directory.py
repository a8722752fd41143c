"""Who is who from the command line: imported, published, and asked about at the time at which something else was so."""

from datetime import UTC, datetime
from pathlib import Path

from cli import exits
from tests.integration.terminal import DOCUMENTS, House


def test_who_held_what_at_a_time_is_in_the_record(idle: House, tmp_path: Path) -> None:
    """Each instant is answered by the directory that was in force then, whatever was published since."""
    before = idle.run("directory", "show", "ana", "--at", "2001-01-01")
    assert before.code == exits.FAILED
    assert "no directory was in force at 2001-01-01T00:00:00Z" in before.err

    then = datetime.now(UTC).isoformat()
    part = tmp_path / "directory.yaml"
    part.write_text(
        DOCUMENTS["directory"].replace("{id: ana, groups: [dba],", "{id: ana, groups: [], aliases: [a.lind],")
    )
    published = idle.publish(part)
    assert published.code == exits.OK, published.err

    assert "groups: dba since nobody says when" in idle.run("directory", "show", "ana", "--at", then).out
    now = idle.run("directory", "show", "a.lind").out
    assert "groups: none" in now
    assert "by cli 1, published by " in now
    assert "group dba: 2 people" in idle.run("directory", "show", "--group", "dba", "--at", then).out
    assert "group dba: 1 people" in idle.run("directory", "show", "--group", "dba").out

    restored = tmp_path / "restored.yaml"
    restored.write_text(DOCUMENTS["directory"])
    assert idle.publish(restored).code == exits.OK
