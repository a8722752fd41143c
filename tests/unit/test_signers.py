"""How a user signs: what each way can show, which is taken, and what is said where none will do."""

from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest

from cli.key_files import fingerprint, read_public
from cli.signers import Claim, KeySigner, LoginSigner, Signer, SigningError, SshSigner, ssh_signer
from cli.signing import Signing
from policy.decision import Wanted, receive_decision
from policy.people.directory import Directory
from policy.proofs import Assurance, Domain
from signing.keys import KeyFileError, SigningKey, generate
from tests.unit.signed import ANN, BEN, CAROL, ISSUER, STRANGER, directory, proved, ssh_key, statement

HARDWARE = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t"
HARDWARE += "AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo="
WAYS: MappingProxyType[str, Signer] = MappingProxyType(
    {
        "a name": Claim("ann"),
        "a key": KeySigner(ANN),
        "an ssh key": SshSigner(Path("id_ed25519"), ssh_key("ann")[1]),
        "a security key": SshSigner(Path("id_ed25519_sk"), HARDWARE),
        "a login": LoginSigner(ISSUER),
        "a weaker login": LoginSigner("https://mail.example"),
    }
)
AAL1, AAL2, AAL3 = (Wanted(assurance=item) for item in (Assurance.aal1, Assurance.aal2, Assurance.aal3))
NEW = Wanted(assurance=Assurance.aal1, max_age_seconds=300)
CAN = {
    "a name": (),
    "a key": (AAL1,),
    "an ssh key": (AAL1,),
    "a security key": (AAL1, AAL2, NEW),
    "a login": (AAL1, AAL2, AAL3, NEW),
    "a weaker login": (AAL1, AAL2, NEW),
}


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("wanted", [AAL1, AAL2, AAL3, NEW])
def test_what_a_way_can_show_is_known_before(name: str, wanted: Wanted) -> None:
    """As the table of proofs says, and no more; where nothing is wanted any will do."""
    assert (WAYS[name].lacks(wanted, directory()) == "") == (wanted in CAN[name])
    assert WAYS[name].lacks(None, directory()) == ""


@pytest.mark.parametrize(
    ("ways", "wanted", "chosen"),
    [
        (("a key", "a login"), None, "a key"),
        (("a key", "a login"), AAL1, "a key"),
        (("a key", "a login"), AAL2, "a login"),
        (("a key", "an ssh key", "a login"), NEW, "a login"),
        (("a name",), None, "a name"),
    ],
)
def test_the_first_way_that_can_is_taken(ways: tuple[str, ...], wanted: Wanted | None, chosen: str) -> None:
    """An approver is asked once, for what is enough."""
    signing = Signing(tuple(WAYS[name] for name in ways), "ann", directory())
    assert signing.choose(wanted) is WAYS[chosen]


@pytest.mark.parametrize(
    ("ways", "wanted", "message"),
    [
        (("a key",), AAL3, f"needs a proof of aal3: sign with --oidc {ISSUER}; key ann-1 shows aal1 at most"),
        (("a key",), NEW, f"at most 5m old: sign with --oidc {ISSUER}, or --oidc https://mail.example, or --ssh FILE"),
        (("a name",), AAL1, "sign with --key FILE or --ssh FILE, or --oidc"),
        (("a security key",), None, "ssh key id_ed25519_sk is nobody's in the directory in force"),
    ],
)
def test_who_cannot_is_told_what_would(ways: tuple[str, ...], wanted: Wanted | None, message: str) -> None:
    """What the vote needs, which options show it here, and what the ways that there are lack."""
    with pytest.raises(SigningError) as error:
        Signing(tuple(WAYS[name] for name in ways), "ann", directory()).choose(wanted)
    assert message in str(error.value)


def test_where_no_installation_is_known_nobody_signs() -> None:
    """Neither without a record nor in a directory without an audience; a bare name can be sent, where it is enough."""
    with pytest.raises(SigningError, match="names the installation, which its directory says"):
        Signing((WAYS["a key"],), "ann", None).choose(None)
    bare = Directory.model_validate(directory().model_dump(mode="json", by_alias=True) | {"audience": None})
    with pytest.raises(SigningError, match="names no audience, so nothing signed counts here"):
        Signing((WAYS["a key"],), "ann", bare).choose(None)
    assert Signing((WAYS["a name"],), "ann", None).choose(None) is WAYS["a name"]
    with pytest.raises(SigningError, match="a name alone shows nothing"):
        Signing((WAYS["a name"],), "ann", None).choose(AAL1)


@pytest.mark.parametrize(
    ("way", "message"),
    [
        (KeySigner(STRANGER), "key ann-1 of ann in the directory is another key than this file has"),
        (KeySigner(generate("new-1")), "key new-1 is nobody's in the directory in force"),
        (KeySigner(SigningKey("mine", BEN.key)), "there it is ben-1 of ben, so add --key-id ben-1"),
        (KeySigner(CAROL), "key carol-old was revoked at 2029-12-01T00:00:00"),
        (KeySigner(generate("carol-late")), "is another key"),
        (LoginSigner(ISSUER, "other"), "give one of countersign-cli with --client-id"),
        (LoginSigner("https://else.example"), "which names https://login.example, https://mail.example"),
    ],
)
def test_what_the_directory_does_not_know_is_found_before(way: Signer, message: str) -> None:
    """By its name and with the fix."""
    with pytest.raises(SigningError) as error:
        way.check(directory(), datetime(2030, 1, 1, tzinfo=UTC))
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["a key", "an ssh key"])
async def test_what_is_signed_verifies_as_the_worker_does(name: str, tmp_path: Path) -> None:
    """The statement with its proof is a decision, and its author is whose key it is."""
    way = await ssh_signer(ssh_key("ann")[0]) if name == "an ssh key" else WAYS[name]
    signing = Signing((way,), "ann", directory())
    value = await signing.sign(signing.addressed(statement(audience="elsewhere"), way), way, None)
    assert proved(value).identity == "ann"
    assert receive_decision(value).audience == "countersign/prod"
    with pytest.raises(SigningError, match="cannot be read: no such file"):
        await ssh_signer(tmp_path / "nowhere")


async def test_a_signature_that_would_not_count_is_not_sent() -> None:
    """A key of the right id that is another one, or an installation that is not ours: said here, with the code."""
    with pytest.raises(SigningError, match=r"would not count \(bad_proof\)"):
        await KeySigner(STRANGER).prove(statement(), Domain.decision, directory(), None)
    with pytest.raises(SigningError, match=r"would not count \(wrong_audience\)"):
        await KeySigner(ANN).prove(statement(audience="elsewhere"), Domain.decision, directory(), None)


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
@pytest.mark.parametrize("form", ["jwk", "pem", "public jwk", "public pem"])
def test_the_public_half_is_read_from_any_file(kind: str, form: str, tmp_path: Path) -> None:
    """The same half and fingerprint, whichever file has the key; an id only where the file says one."""
    key = generate("k-1", kind)
    public = key.key.as_pem(private=False) if form == "public pem" else b""
    texts = {"jwk": key.private_json.encode(), "pem": key.key.as_pem(private=True), "public pem": public}
    path = tmp_path / "key"
    path.write_bytes(texts.get(form, str({**key.public, "kid": "k-1"}).replace("'", '"').encode()))
    found = read_public(path)
    assert (found.jwk, found.kind, found.key_id) == (key.public, kind, "k-1" if "jwk" in form else None)
    assert fingerprint(found) == key.key.thumbprint()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no jwk: it is not strict json"),
        ('{"kty": "oct", "k": "AAAA"}', "no jwk of ed25519 or p256"),
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ== x", "a kind of ssh key that is not taken"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "private ssh key: give"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key of ed25519 or p256"),
        ("hello", "no private key of ed25519 or p-256"),
    ],
)
def test_what_is_no_key_is_said_to_be_none(text: str, message: str, tmp_path: Path) -> None:
    """With the file, and what to do."""
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(KeyFileError, match=message):
        read_public(path)


def test_no_secret_is_in_a_repr() -> None:
    """A signer may be shown anywhere."""
    assert str(BEN.key.as_dict(private=True)["d"]) not in repr(KeySigner(BEN))
