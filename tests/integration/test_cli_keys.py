"""`keys` from the command line, against a real stack: from a new key to one that signs, ends, and is revoked."""

import json
import stat
from pathlib import Path

from cli import exits
from tests.integration.terminal import House
from tests.unit.signed import ssh_key


def test_a_new_key_signs_once_the_directory_has_it(house: House, tmp_path: Path) -> None:
    """Made, added, published, signed with, and revoked: then it signs no more, and what is pending counts no longer."""
    key, changed = tmp_path / "new.jwk", tmp_path / "directory.yaml"
    made = house.run("keys", "new", "--for", "ben", "--id", "ben-2", "--out", str(key))
    secret = json.loads(key.read_text())["d"]
    assert (made.code, stat.S_IMODE(key.stat().st_mode), secret in made.out) == (exits.OK, 0o600, False)
    assert f"countersign keys add {key} --for ben" in made.out
    assert "is there already" in house.run("keys", "new", "--for", "ben", "--out", str(key)).err
    assert json.loads(key.read_text())["d"] == secret

    house.pending("new-key")
    assert "key ben-2 is nobody's" in house.run("approve", "new-key", "--key", str(key), "--yes").err
    added = house.run("keys", "add", str(key), "--for", "ben", "--out", str(changed))
    assert (added.code, "policy propose" in added.out, secret in changed.read_text()) == (exits.OK, True, False)
    assert house.publish(changed).code == exits.OK
    assert house.run("approve", "new-key", "--key", str(key), "--yes").code == exits.OK

    revoked = house.run("keys", "revoke", "ben-2", "--out", str(changed))
    assert revoked.code == exits.OK, revoked.err
    assert house.publish(changed).code == exits.OK
    assert "never, revoked at" in house.run("keys", "list").out
    assert "key ben-2 was revoked at" in house.run("acknowledge", "new-key", "--key", str(key), "--yes").err


def test_keys_are_listed_and_shown_by_their_fingerprint(house: House, tmp_path: Path) -> None:
    """The fingerprint of a file is the one that the list has; of an SSH key it is OpenSSH's own."""
    public, changed = f"{ssh_key('eva')[0]}.pub", tmp_path / "directory.yaml"
    assert "says no id: choose one with --id" in house.run("keys", "add", public, "--for", "eva").err
    times = ("--since", "2029-01-01", "--until", "2031-01-01T00:00:00Z")
    added = house.run("keys", "add", public, "--for", "eva", "--id", "eva-ssh", *times, "--out", str(changed))
    assert added.code == exits.OK, added.err
    (row,) = [
        item for item in house.run("keys", "list", "--file", str(changed), "--json").json if item["holder"] == "eva"
    ]
    shown = house.run("keys", "show", public).out
    assert "adds --key-id" not in added.out
    assert row["fingerprint"].startswith("SHA256:")
    assert f"fingerprint  {row['fingerprint']}" in shown
    ended = house.run("keys", "end", "eva-ssh", "--at", "2030-01-01", "--file", str(changed), "--out", str(changed))
    assert ended.code == exits.OK, ended.err
    (row,) = [
        item for item in house.run("keys", "list", "--file", str(changed), "--json").json if item["holder"] == "eva"
    ]
    assert (row["since"], row["until"]) == ("2029-01-01T00:00:00Z", "2030-01-01T00:00:00Z")


def test_a_platforms_key_and_one_for_permits(house: House, tmp_path: Path) -> None:
    """An agent's key goes to the agent; one for permits is no business of the directory."""
    key = tmp_path / "platform.jwk"
    made = house.run("keys", "new", "--agent", "tuning-agent", "--kind", "p256", "--out", str(key))
    assert ("agents:\n  - id: tuning-agent" in made.out, f"keys add {key} --agent tuning-agent" in made.out) == (
        True,
        True,
    )
    changed = tmp_path / "directory.yaml"
    assert house.run("keys", "add", str(key), "--agent", "tuning-agent", "--out", str(changed)).code == exits.OK
    assert "agent tuning-agent" in house.run("keys", "list", "--file", str(changed)).out
    renamed = house.run("keys", "add", str(key), "--agent", "tuning-agent", "--id", "tuner-1", "--out", str(changed))
    assert "whoever signs with that file adds --key-id tuner-1" in renamed.out
    permit = house.run("keys", "new", "--permit", "--id", "permits-1", "--out", str(tmp_path / "permits.jwk"))
    assert '{"kid": "permits-1", "kty": "OKP"' in permit.out
