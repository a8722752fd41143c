"""`countersign record`: what the record forgot, the statements of two people, and the file that an audit checks."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from activities.anchor import ACKNOWLEDGEMENT, FileAnchor, beside
from activities.database import Database
from cli import exits
from policy.anchoring import AnchorCopy, Known
from policy.canonical import digest
from policy.restoring import receive_acknowledgement
from tests.anchors import anchored
from tests.faults.restoring import KEYS, governed
from tests.integration.terminal import House
from tests.world import publish_documents

FORGOTTEN = Known(seq=10**6, digest=digest(b"forgotten"), proposal_id="p-9", at=datetime(2030, 1, 1, tzinfo=UTC))


@pytest.fixture(name="copy")
def _copy(idle: House, tmp_path: Path) -> Path:
    """A copy that knows of an entry which the record lacks."""
    asyncio.run(publish_documents(idle.stack.database_url("postgres"), *governed()))
    path = tmp_path / "anchor.json"
    path.write_bytes(AnchorCopy(entries=(FORGOTTEN,)).body)
    return path


def _key(folder: Path, who: str) -> Path:
    path = folder / f"{who}.json"
    path.touch(mode=0o600)
    path.write_text(KEYS[who].private_json)
    return path


def _settle(house: House, copy: Path) -> bool:
    async def settle() -> bool:
        database = Database(house.stack.database_url("countersign_permit"))
        try:
            guard = anchored(FileAnchor(copy), accepts_claimed=False)
            return await guard.settle(database, datetime.now(UTC)) is None
        finally:
            await database.close()

    return asyncio.run(settle())


def test_two_people_acknowledge_what_the_record_forgot(idle: House, copy: Path, tmp_path: Path) -> None:
    """Status says what is missing; each signs with a key; the worker takes it; an audit of its ledger holds."""
    before = idle.run("record", "status", "--anchor", str(copy))
    assert before.code == exits.FAILED
    assert "forgot   p-9" in before.out
    assert "the record lacks entry 1000000" in before.out

    for who, number in (("sam", "1 statement;"), ("dora", "2 statements;")):
        key = str(_key(tmp_path, who))
        said = idle.run("record", "acknowledge", "--anchor", str(copy), "--key", key, "--because", "restored", "--yes")
        assert (said.code, number in said.out) == (exits.OK, True), said
    statements = json.loads(beside(copy, ACKNOWLEDGEMENT).read_text())
    assert [receive_acknowledgement(item).missing for item in statements] == [("p-9",), ("p-9",)]
    assert _settle(idle, copy)

    after = idle.run("record", "status", "--anchor", str(copy), "--json")
    assert (after.code, json.loads(after.out)["behind"]) == (exits.OK, None)
    file = tmp_path / "record.json"
    assert idle.run("record", "export", "-o", str(file)).code == exits.OK
    audited = idle.run("audit", "replay", str(file))
    assert audited.code == exits.OK, audited.out
    assert "restore_acknowledged" in audited.out


def test_a_changed_acknowledgement_is_found_by_an_audit(idle: House, copy: Path, tmp_path: Path) -> None:
    """Another reason under the same signature is no signature of that person."""
    for who in ("sam", "dora"):
        key = str(_key(tmp_path, who))
        idle.run("record", "acknowledge", "--anchor", str(copy), "--key", key, "--because", "looked", "--yes")
    assert _settle(idle, copy)
    file = tmp_path / "record.json"
    assert idle.run("record", "export", "-o", str(file)).code == exits.OK
    file.write_text(file.read_text().replace('\\"reason\\":\\"looked\\"', '\\"reason\\":\\"nobody\\"'))
    audited = idle.run("audit", "replay", str(file))
    assert audited.code == exits.INCONSISTENT
    assert "signature does not verify" in audited.out


def test_what_cannot_be_acknowledged_is_said(idle: House, copy: Path, tmp_path: Path) -> None:
    """Nobody to confirm, nothing to acknowledge, no copy named, and a file about another moment."""
    words = ("record", "acknowledge", "--because", "restored", "--anchor")
    assert "nobody is there to confirm" in idle.run(*words, str(copy)).err
    assert idle.run(*words, str(copy), "--as", "sam", "--yes").code == exits.OK
    copy.write_bytes(AnchorCopy(entries=(FORGOTTEN.model_copy(update={"seq": 7 * 10**6}),)).body)
    assert "about another moment" in idle.run(*words, str(copy), "--as", "dora", "--yes").err
    copy.write_bytes(AnchorCopy().body)
    assert "there is nothing to acknowledge" in idle.run(*words, str(copy), "--as", "sam", "--yes").err
    assert "COUNTERSIGN_ANCHOR_FILE is not set" in idle.run("record", "status").err
    missing = idle.run("record", "status", "--anchor", str(tmp_path / "none.json"))
    assert missing.code == exits.OK, missing
