"""The settings of permits: who signs, who believes which keys, and what is production."""

import json
from pathlib import Path

import pytest

from activities.settings import Role, Settings, SettingsError, read_settings
from signing.keys import KeyFileError, SigningKey, generate, kept_signing_key
from tests.permit_keys import JWK, JWKS, KEY

OLD = generate("permit-old", "p256")


def file(folder: Path, text: str | bytes, mode: int = 0o600) -> str:
    """A file with that text."""
    path = folder / "file"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return str(path)


def worker(role: str, **more: str) -> Settings:
    """A worker of a role, set well but for its keys."""
    user = "countersign_app" if role == "all" else f"countersign_{role}"
    given = {
        "COUNTERSIGN_DATABASE_URL": f"postgresql://{user}@localhost/countersign",
        "COUNTERSIGN_UNSAFE_CLAIMED_IDENTITIES": "1",
    }
    if role in ("permit", "all"):
        given["COUNTERSIGN_ANCHOR_FILE"] = "anchor.json"
    return read_settings({**given, **more}, role=role)


def jwk(key: SigningKey, **more: object) -> dict[str, object]:
    """A public key as a set has it."""
    return {**key.public, "kid": key.id, **more}


@pytest.mark.parametrize("role", ["permit", "all"])
def test_who_signs_has_a_key_and_nobody_else(tmp_path: Path, role: str) -> None:
    """The permit role, or the one process, does not start without a private key, from a file or a variable."""
    with pytest.raises(SettingsError, match="COUNTERSIGN_PERMIT_KEY_FILE is not set"):
        worker(role).check_worker()
    for given in ({"COUNTERSIGN_PERMIT_KEY": JWK}, {"COUNTERSIGN_PERMIT_KEY_FILE": file(tmp_path, JWK)}):
        settings = worker(role, **given)
        assert settings.check_worker()
        assert settings.permit_key is not None
        assert settings.permit_key.id == KEY.id


@pytest.mark.parametrize("role", ["control", "executor"])
def test_who_must_not_sign_does_not_start_with_the_key(tmp_path: Path, role: str) -> None:
    """A control or an executor worker that could mint permits is refused."""
    keys = {"COUNTERSIGN_PERMIT_KEYS_FILE": file(tmp_path, JWKS)} if role == "executor" else {}
    targets = tmp_path / "targets.json"
    targets.write_text('{"a": "b"}')
    keys |= {"COUNTERSIGN_TARGETS_FILE": str(targets)} if role == "executor" else {}
    assert worker(role, **keys).check_worker()

    with pytest.raises(SettingsError, match=f"role {role} must not sign permits"):
        worker(role, COUNTERSIGN_PERMIT_KEY=JWK, **keys).check_worker()


def test_an_executor_is_given_keys_to_believe(tmp_path: Path) -> None:
    """The executor role does not start without public keys; a role that verifies nothing does not start with them."""
    targets = tmp_path / "targets.json"
    targets.write_text('{"a": "b"}')
    with pytest.raises(SettingsError, match="COUNTERSIGN_PERMIT_KEYS_FILE is not set"):
        worker("executor", COUNTERSIGN_TARGETS_FILE=str(targets)).check_worker()
    with pytest.raises(SettingsError, match="role control verifies no permit"):
        worker("control", COUNTERSIGN_PERMIT_KEYS_FILE=file(tmp_path, JWKS)).check_worker()


def test_keys_overlap_while_one_takes_over(tmp_path: Path) -> None:
    """A set has several keys, each with the time in which it signs, and whether it was revoked."""
    keys = [jwk(KEY, since="2030-01-01T00:00:00Z"), jwk(OLD, until="2030-02-01T00:00:00Z", use="sig", alg="ES256")]
    found = worker("executor", COUNTERSIGN_PERMIT_KEYS_FILE=file(tmp_path, json.dumps({"keys": keys}))).permit_keys

    assert sorted(found.keys) == ["permit-old", "permit-tests-1"]
    assert found.keys["permit-old"].until is not None
    assert found.believing(KEY) == found
    assert sorted(found.believing(generate("new")).keys) == ["new", "permit-old", "permit-tests-1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("[]", "key set has no keys"),
        ('{"keys": []}', "key set has no keys"),
        ('{"keys": [], "keys": []}', "is no strict json"),
        (json.dumps({"keys": [1]}), "where a jwk must be"),
        (json.dumps({"keys": [json.loads(JWK)]}), "is private: replace it"),
        (json.dumps({"keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}]}), "is private: replace it"),
        (json.dumps({"keys": [KEY.public]}), "cannot be used"),
        (json.dumps({"keys": [jwk(KEY), jwk(KEY)]}), "has kid permit-tests-1 twice"),
        (json.dumps({"keys": [jwk(KEY), {**jwk(KEY), "kid": "again"}]}), "as permit-tests-1 and as again"),
        (json.dumps({"keys": [jwk(KEY, use="enc")]}), "cannot be used"),
        (json.dumps({"keys": [jwk(KEY, since="yesterday")]}), "cannot be used"),
        (json.dumps({"keys": [{**jwk(OLD), "y": jwk(OLD)["x"]}]}), "cannot be used"),
    ],
)
def test_a_set_of_keys_that_cannot_be_used_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    """The error names the variable, and shows nothing that is private."""
    name = str(tmp_path / "none") if text is None else file(tmp_path, text)

    with pytest.raises(SettingsError, match=message) as refused:
        read_settings({"COUNTERSIGN_PERMIT_KEYS_FILE": name})

    assert "COUNTERSIGN_PERMIT_KEYS_FILE" in str(refused.value)
    assert json.loads(JWK)["d"] not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        (JWK, 0o640, "can be read by others: chmod 600"),
        ("{}", 0o600, "says no id"),
        ("nonsense", 0o600, "says no id"),
        (JWKS, 0o600, "says no id"),
        (json.dumps(jwk(KEY)), 0o600, "is no private key"),
    ],
)
def test_a_private_key_that_cannot_be_used_is_refused(tmp_path: Path, text: str, mode: int, message: str) -> None:
    """A file that others can read, and whatever is no private key with an id, is refused and not shown."""
    with pytest.raises(SettingsError, match=message) as refused:
        read_settings({"COUNTERSIGN_PERMIT_KEY_FILE": file(tmp_path, text, mode)})

    assert "COUNTERSIGN_PERMIT_KEY_FILE" in str(refused.value)
    assert json.loads(JWK)["d"] not in str(refused.value)


def test_a_private_key_is_given_once_and_never_shown(tmp_path: Path) -> None:
    """Two sources contradict each other; no repr has any of the key."""
    with pytest.raises(SettingsError, match="are both set: leave one of them out"):
        read_settings({"COUNTERSIGN_PERMIT_KEY": JWK, "COUNTERSIGN_PERMIT_KEY_FILE": file(tmp_path, JWK)})

    assert json.loads(JWK)["d"] not in repr(read_settings({"COUNTERSIGN_PERMIT_KEY": JWK}))


def test_every_target_is_production_unless_it_says_otherwise(tmp_path: Path) -> None:
    """An address alone is production, and only the word false makes it none."""
    text = json.dumps({"a": "url-a", "b": {"url": "url-b"}, "c": {"url": "url-c", "production": False}})
    found = read_settings({"COUNTERSIGN_TARGETS_FILE": file(tmp_path, text)})

    assert found.targets == {"a": "url-a", "b": "url-b", "c": "url-c"}
    assert found.not_production == {"c"}


@pytest.mark.parametrize("item", [{}, {"url": 1}, {"url": "x", "production": "no"}, {"url": "x", "prod": False}, [], 1])
def test_a_target_that_says_something_else_is_refused(tmp_path: Path, item: object) -> None:
    """A misspelt mark is no mark: the worker does not start."""
    with pytest.raises(SettingsError, match="COUNTERSIGN_TARGETS_FILE"):
        read_settings({"COUNTERSIGN_TARGETS_FILE": file(tmp_path, json.dumps({"a": item}))})


def test_no_variable_lets_claimed_identities_act_in_production() -> None:
    """Only a local stack sets it; an operator's worker has no way to."""
    assert not read_settings({"COUNTERSIGN_UNSAFE_CLAIMED_IDENTITIES": "1"}).unsafe_claimed_production
    with pytest.raises(SettingsError, match="is no setting of countersign"):
        read_settings({"COUNTERSIGN_UNSAFE_CLAIMED_PRODUCTION": "1"})


@pytest.mark.parametrize("role", [Role.permit, Role.executor])
def test_who_takes_no_decision_needs_no_claimed_identities(tmp_path: Path, role: Role) -> None:
    """The permit and the executor role start without the unsafe option."""
    keys = {"COUNTERSIGN_PERMIT_KEY": JWK}
    if role is Role.executor:
        targets = tmp_path / "targets.json"
        targets.write_text('{"a": "b"}')
        keys = {"COUNTERSIGN_PERMIT_KEYS_FILE": file(tmp_path, JWKS), "COUNTERSIGN_TARGETS_FILE": str(targets)}

    assert worker(role, COUNTERSIGN_UNSAFE_CLAIMED_IDENTITIES="", **keys).check_worker()


def test_the_key_of_a_local_stack_is_kept(tmp_path: Path) -> None:
    """It is made once, for its owner only, and is the same after a restart; another place has another."""
    path = tmp_path / "permit-key.json"
    made = kept_signing_key(path, "permit")

    assert kept_signing_key(path, "permit").public == made.public
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["permit-key.json"]
    assert made.id.startswith("permit-")
    other = tmp_path / "other"
    other.mkdir()
    assert kept_signing_key(other / "permit-key.json", "permit").id != made.id


def test_a_key_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    """Without a place for it there is no key: nothing is signed by one that is gone after a restart."""
    with pytest.raises(KeyFileError, match="cannot be written"):
        kept_signing_key(tmp_path / "nowhere" / "key.json", "permit")
