"""SSH keys of every kind, security keys included: OpenSSH verifies, and the flags say what somebody did."""

import base64
import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policy.decision import Refusal
from policy.people.directory import read_directory
from policy.proofs import Assurance, Domain, Principal, signed_bytes, too_old
from signing.proving import Trust, UnprovenError
from tests.unit.signed import NOW, directory, proved, statement
from tests.unit.ssh_wire import PRESENT, VERIFIED, SshKey, armored

SK_ED25519, SK_ECDSA = "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"
KEYS = {kind: SshKey.new(kind) for kind in (SK_ED25519, SK_ECDSA, "ecdsa-sha2-nistp256", "ssh-ed25519")}
NAMESPACE = Domain.decision.ssh_namespace
VALUE = statement()
SIGNED = signed_bytes(Domain.decision, VALUE)


def trust(*keys: SshKey) -> Trust:
    """A directory in which these keys are ann's."""
    found = [{"id": f"ann-{number}", "ssh": f"{key.line} ann@laptop"} for number, key in enumerate(keys)]
    people = {
        "apiVersion": "countersign/v1",
        "kind": "Directory",
        "metadata": {"name": "people", "version": "1"},
        "people": [{"id": "ann", "keys": found}],
    }
    return Trust(
        directory().model_copy(update={"people": read_directory(json.dumps(people).encode()).people}),
    )


TRUST = trust(*KEYS.values())


def by(signature: str) -> dict[str, Any]:
    """A statement with an SSH signature."""
    return {**VALUE, "proof": {"kind": "ssh", "signature": signature}}


# Flags: presence is 1, verification is 4 (CTAP 2, as in authenticator data); 0x40 and 0x80 are of no meaning here.
SHOWN = {
    "touched": (PRESENT, Assurance.aal1, True),
    "touched, with a pin": (PRESENT | VERIFIED, Assurance.aal2, True),
    "not touched (no-touch-required)": (0, Assurance.aal1, False),
    "a pin and no touch": (VERIFIED, Assurance.aal1, False),
    "touched, with bits that say nothing here": (PRESENT | 0xC0, Assurance.aal1, True),
}


@pytest.mark.parametrize("kind", [SK_ED25519, SK_ECDSA])
@pytest.mark.parametrize("case", SHOWN)
def test_what_a_security_key_shows(case: str, kind: str) -> None:
    """A touch is a gesture for this statement; with a PIN or a finger it is two factors; without a touch, no more."""
    flags, assurance, gesture = SHOWN[case]
    shown = proved(by(KEYS[kind].sign(SIGNED, NAMESPACE, flags)), TRUST)
    number = list(KEYS).index(kind)
    assert shown == Principal(identity="ann", kind="ssh", assurance=assurance, key_id=f"ann-{number}", gesture=gesture)
    assert too_old(shown, timedelta(minutes=1), NOW) is not gesture


@pytest.mark.parametrize("kind", ["ecdsa-sha2-nistp256", "ssh-ed25519"])
def test_what_a_key_in_a_file_shows(kind: str) -> None:
    """One factor, and nobody's gesture."""
    shown = proved(by(KEYS[kind].sign(SIGNED, NAMESPACE)), TRUST)
    assert (shown.identity, shown.assurance, shown.gesture) == ("ann", Assurance.aal1, False)


def test_an_ecdsa_key_of_openssh_itself(tmp_path: Path) -> None:
    """Made and used by `ssh-keygen`; what is built here byte by byte is what it writes."""
    path, text = tmp_path / "key", tmp_path / "statement"
    subprocess.run(("ssh-keygen", "-q", "-t", "ecdsa", "-b", "256", "-N", "", "-f", str(path)), check=True)
    text.write_bytes(SIGNED)
    command = ("ssh-keygen", "-Y", "sign", "-q", "-f", str(path), "-n", NAMESPACE, str(text))
    subprocess.run(command, check=True, capture_output=True)
    line = path.with_suffix(".pub").read_text().strip()
    value = by((tmp_path / "statement.sig").read_text())
    people = {"people": [{"id": "eva", "keys": [{"id": "eva-ssh", "ssh": line}]}]}
    document = {
        "apiVersion": "countersign/v1",
        "kind": "Directory",
        "metadata": {"name": "p", "version": "1"},
        **people,
    }
    found = read_directory(json.dumps(document).encode()).people
    assert proved(value, Trust(directory().model_copy(update={"people": found}))).identity == "eva"


def _blob(signature: str) -> bytes:
    return base64.b64decode("".join(signature.strip().split("\n")[1:-1]))


def _with(change: Callable[[bytes], bytes], flags: int = 0) -> Callable[[SshKey], str]:
    return lambda key: armored(change(_blob(key.sign(SIGNED, NAMESPACE, flags))))


def _longer(blob: bytes) -> bytes:
    """A byte behind the counter, with the length of the signature as it then is."""
    start = blob.rindex(b"\0\0\0\x06sha512") + 10
    length = int.from_bytes(blob[start : start + 4], "big")
    return blob[:start] + (length + 1).to_bytes(4, "big") + blob[start + 4 :] + b"\0"


# The last five bytes of a signature by a security key are its flags and its counter.
FORGED: dict[str, Callable[[SshKey], str]] = {
    "a touch that was not": _with(lambda blob: blob[:-5] + bytes([PRESENT]) + blob[-4:]),
    "a pin that was not": _with(lambda blob: blob[:-5] + bytes([PRESENT | VERIFIED]) + blob[-4:], PRESENT),
    "a touch left out": _with(lambda blob: blob[:-5] + b"\0" + blob[-4:], PRESENT),
    "another counter": _with(lambda blob: blob[:-1] + b"\x08"),
    "no counter": _with(lambda blob: blob[:-4]),
    "no flags and no counter": _with(lambda blob: blob[:-5]),
    "a byte behind the counter": _with(_longer),
    "a byte behind the signature": _with(lambda blob: blob + b"\0"),
    "another version": _with(lambda blob: blob.replace(b"SSHSIG\0\0\0\1", b"SSHSIG\0\0\0\2", 1)),
    "another hash": _with(lambda blob: blob.replace(b"sha512", b"sha256")),
    "a hash that is none": _with(lambda blob: blob.replace(b"sha512", b"sha1\0\0")),
    "another statement": lambda key: key.sign(SIGNED + b" ", NAMESPACE, PRESENT | VERIFIED),
    "another namespace": lambda key: key.sign(SIGNED, "file", PRESENT | VERIFIED),
    "the namespace of a proposal": lambda key: key.sign(SIGNED, Domain.proposal.ssh_namespace, PRESENT | VERIFIED),
    "the namespace written over": _with(
        lambda blob: blob.replace(b"countersign/decision/v1", b"countersign/proposal/v1"), PRESENT
    ),
    "nothing in it": lambda _: armored(b""),
    "a magic and nothing more": lambda _: armored(b"SSHSIG"),
    "cut short": _with(lambda blob: blob[:60]),
}


@pytest.mark.parametrize("kind", [SK_ED25519, SK_ECDSA])
@pytest.mark.parametrize("case", FORGED)
def test_a_forged_signature_of_a_security_key_is_refused(case: str, kind: str) -> None:
    """The flags are signed: whoever changes one, or anything else, breaks the signature."""
    with pytest.raises(UnprovenError) as refused:
        proved(by(FORGED[case](KEYS[kind])), TRUST)
    assert refused.value.code is Refusal.bad_proof, str(refused.value)


def _openssh_says(signature: str, key: SshKey, folder: Path) -> bool:
    """What OpenSSH alone says of a signature over the statement."""
    allowed, given = folder / "allowed", folder / "signature"
    allowed.write_text(f"signer {key.line}\n")
    given.write_text(signature)
    words = ("-Y", "verify", "-f", str(allowed), "-I", "signer", "-n", NAMESPACE, "-s", str(given))
    return subprocess.run(("ssh-keygen", *words), input=SIGNED, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("kind", [SK_ED25519, SK_ECDSA])
def test_openssh_itself_refuses_flags_that_were_changed(kind: str, tmp_path: Path) -> None:
    """It takes signatures that are made here, whatever their flags, and none whose flags or counter were changed."""
    key = KEYS[kind]
    for flags, _, _ in SHOWN.values():
        assert _openssh_says(key.sign(SIGNED, NAMESPACE, flags), key, tmp_path)
    changed = ("a touch that was not", "a pin that was not", "a touch left out", "another counter")
    assert not any(_openssh_says(FORGED[case](key), key, tmp_path) for case in changed)


@pytest.mark.parametrize("kind", KEYS)
def test_a_forged_signature_costs_no_process(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSH is asked about what fits the key, and about nothing else: forging is cheap, and a process is not."""
    asked = []
    real = subprocess.run

    def counted(*args: Any, **more: Any) -> Any:
        asked.append(args)
        return real(*args, **more)

    monkeypatch.setattr(subprocess, "run", counted)
    with pytest.raises(UnprovenError, match="does not verify"):
        proved(by(KEYS[kind].sign(SIGNED + b" ", NAMESPACE)), TRUST)
    assert asked == []
    assert proved(by(KEYS[kind].sign(SIGNED, NAMESPACE)), TRUST).identity == "ann"
    assert len(asked) == 1


def test_what_openssh_refuses_is_refused() -> None:
    """Flags behind the signature of a key in a file are none: it fits what is computed here, and OpenSSH says no."""
    value = by(armored(_longer(_blob(KEYS["ssh-ed25519"].sign(SIGNED, NAMESPACE)))))
    with pytest.raises(UnprovenError, match=r"does not verify: (?!it is of other bytes)") as refused:
        proved(value, TRUST)
    assert refused.value.code is Refusal.bad_proof


def test_a_security_key_that_nobody_has_shows_nobody() -> None:
    """However much its flags say."""
    with pytest.raises(UnprovenError) as refused:
        proved(by(SshKey.new(SK_ED25519).sign(SIGNED, NAMESPACE, PRESENT | VERIFIED)), TRUST)
    assert refused.value.code is Refusal.unknown_key


def test_one_key_in_a_file_and_in_a_security_key_are_two() -> None:
    """The kind is part of a key: who registers a security key does not sign with a file that has the same point."""
    hardware = SshKey.new(SK_ED25519)
    file = SshKey("ssh-ed25519", hardware.private)
    assert proved(by(hardware.sign(SIGNED, NAMESPACE)), trust(hardware)).gesture
    with pytest.raises(UnprovenError) as refused:
        proved(by(file.sign(SIGNED, NAMESPACE)), trust(hardware))
    assert refused.value.code is Refusal.unknown_key
