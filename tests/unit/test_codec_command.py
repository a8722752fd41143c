"""`countersign codec`: making and rotating keys, letting people read, and who is refused."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from activities.encryption.keys import KeysError, read_keys
from activities.encryption.readers import NotAReaderError, Readers, ReadersError, new_token
from policy.errors import CountersignError
from starter import parser

NOW = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)


async def run(*arguments: str) -> None:
    args = parser("codec").parse_args(["codec", *arguments])
    assert await args.run(args) == 0


async def test_a_key_is_made_given_to_all_and_then_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two steps: the first file only reads, the second writes, and is demanded later than now."""
    path = tmp_path / "keys.json"
    await run("add-key", str(path), "k1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (read_keys(path).active, read_keys(path).since) == (None, None)

    await run("activate", str(path), "k1")

    found = read_keys(path)
    assert found.active == "k1"
    assert found.since is not None
    assert found.since > datetime.now(UTC) + timedelta(minutes=30)
    assert json.loads(path.read_text())["keys"]["k1"] not in capsys.readouterr().out


async def test_rotation_leaves_since_alone(tmp_path: Path) -> None:
    """The next key takes over, the old one still reads, and what has to be encrypted since when does not change."""
    path = tmp_path / "keys.json"
    await run("add-key", str(path), "k1")
    await run("activate", str(path), "k1", "--since", "2026-12-01T00:00:00Z")
    await run("add-key", str(path), "k2")
    assert read_keys(path).active == "k1"

    await run("activate", str(path), "k2")

    found = read_keys(path)
    assert found.active == "k2"
    assert found.ids == {"k1", "k2"}
    assert found.since == datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add-key", "FILE", "k1"], "a key is never replaced"),
        (["add-key", "FILE", "k 1"], "keys"),
        (["activate", "FILE", "k9"], "none of the keys"),
        (["activate", "FILE", "k1", "--since", "2026-12-01T00:00:00Z"], "does not change"),
        (["activate", "NONE", "k1"], "cannot be read"),
    ],
)
async def test_what_would_lose_keys_is_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    """The file stays as it was."""
    path = tmp_path / "keys.json"
    await run("add-key", str(path), "k1")
    await run("activate", str(path), "k1")
    before = path.read_text()
    places = {"FILE": str(path), "NONE": str(tmp_path / "none.json")}
    with pytest.raises(KeysError, match=said):
        await run(*(places.get(item, item) for item in arguments))
    assert path.read_text() == before


async def test_turned_on_again_since_begins_anew(tmp_path: Path) -> None:
    """Runs of the time in which it was off keep what they were told in the clear."""
    path = tmp_path / "keys.json"
    await run("add-key", str(path), "k1")
    await run("activate", str(path), "k1", "--since", "2026-01-01T00:00:00Z")
    path.write_text(json.dumps({**json.loads(path.read_text()), "active": None}))

    await run("activate", str(path), "k1", "--since", "2026-06-01T00:00:00Z")

    assert read_keys(path).since == datetime(2026, 6, 1, tzinfo=UTC)


async def test_a_reader_gets_a_token_that_the_file_does_not_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The token is printed once; the file has its digest, and knows whose it is."""
    path = tmp_path / "readers.json"
    await run("add-reader", str(path), "ana")
    token = capsys.readouterr().out.strip()
    assert token not in path.read_text()
    assert Readers(path).name_of(f"Bearer {token}", NOW) == "ana"
    with pytest.raises(ReadersError):
        await run("add-reader", str(path), "ana")


async def test_the_server_listens_on_this_machine_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another address, and a server without keys or readers, are refused."""
    readers = tmp_path / "readers.json"
    await run("add-reader", str(readers), "ana")
    with pytest.raises(CountersignError, match="COUNTERSIGN_CODEC_KEYS_FILE is not set"):
        await run("serve", "--readers", str(readers))
    keys = tmp_path / "keys.json"
    await run("add-key", str(keys), "k1")
    monkeypatch.setenv("COUNTERSIGN_CODEC_KEYS_FILE", str(keys))
    with pytest.raises(CountersignError, match="not this machine"):
        await run("serve", "--readers", str(readers), "--host", "0.0.0.0")
    with pytest.raises(ReadersError):
        await run("serve", "--readers", str(tmp_path / "none.json"))


ISSUER = "https://id.example.com"
KEY = OKPKey.generate_key("Ed25519", {"kid": "one"})
OTHER = OKPKey.generate_key("Ed25519", {"kid": "one"})


def token(signed_by: OKPKey = KEY, **changes: Any) -> str:
    claims = {
        "iss": ISSUER,
        "aud": "temporal-ui",
        "sub": "ana",
        "groups": ["ops"],
        "iat": int(NOW.timestamp()) - 10,
        "exp": int(NOW.timestamp()) + 300,
        **changes,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": "Ed25519", "kid": "one"}, kept, signed_by, algorithms=["Ed25519"])


def readers(tmp_path: Path, **changes: Any) -> Readers:
    issuer = {
        "issuer": ISSUER,
        "audience": ["temporal-ui"],
        "groups": ["ops"],
        "keys": [KEY.as_dict(private=False)],
        **changes,
    }
    path = tmp_path / "readers.json"
    path.write_text(json.dumps({"issuers": [issuer]}))
    return Readers(path)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, {}),
        ({"groups": None}, {"groups": [], "subjects": ["ana"]}),
        ({"aud": ["temporal-ui", "another"], "azp": "temporal-ui"}, {}),
    ],
    ids=["group", "subject", "several audiences"],
)
def test_a_token_of_an_issuer_reads(tmp_path: Path, given: Any, named: Any) -> None:
    """What the UI passes on of somebody who is named, by group or by subject."""
    assert readers(tmp_path, **named).name_of(f"Bearer {token(**given)}", NOW) == "ana"


@pytest.mark.parametrize(
    "wrong",
    [
        {"signed_by": OTHER},
        {"iss": "https://other.example.com"},
        {"aud": "another"},
        {"exp": int(NOW.timestamp()) - 3600},
        {"iat": int(NOW.timestamp()) + 3600},
        {"groups": ["dev"]},
        {"groups": "ops"},
        {"groups": None},
        {"sub": None},
    ],
    ids=" ".join,
)
def test_a_token_of_an_issuer_that_does_not_read(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """Another key, issuer, audience, time or group: nobody."""
    with pytest.raises(NotAReaderError) as told:
        readers(tmp_path).name_of(f"Bearer {token(**wrong)}", NOW)
    assert "example.com" not in str(told.value)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer a.b.c", "Bearer é", "x" * 20_000])
def test_what_is_no_token_does_not_read(tmp_path: Path, header: str) -> None:
    """A header of any shape is answered alike."""
    with pytest.raises(NotAReaderError):
        readers(tmp_path).name_of(header, NOW)


def test_a_readers_file_names_somebody_and_shows_no_token(tmp_path: Path) -> None:
    """An issuer without people is refused, and so is a token in place of its digest, which is not repeated."""
    with pytest.raises(ReadersError, match="name who may read"):
        readers(tmp_path, groups=[]).name_of("Bearer x", NOW)
    secret, _ = new_token()
    path = tmp_path / "readers.json"
    path.write_text(json.dumps({"tokens": {"ana": secret}}))
    with pytest.raises(ReadersError) as told:
        Readers(path).name_of("Bearer x", NOW)
    assert secret not in str(told.value)


def test_who_is_taken_out_is_out(tmp_path: Path) -> None:
    """The file is read for each request."""
    path = tmp_path / "readers.json"
    secret, known = new_token()
    path.write_text(json.dumps({"tokens": {"ana": known}}))
    found = Readers(path)
    assert found.name_of(f"bearer {secret}", NOW) == "ana"
    path.write_text(json.dumps({"tokens": {}}))
    with pytest.raises(NotAReaderError):
        found.name_of(f"Bearer {secret}", NOW)
