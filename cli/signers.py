"""The ways in which somebody at the command line says who they are: a key, an SSH key, a login, or only a name.

- What a way can show is known before anybody signs (`lacks`, by the table in `policy/proofs.py`), and so is whether the
  directory in force knows it (`check`): nobody is asked to confirm what cannot count.
- A signature is held against the directory before it is sent. A key that has the right id and is another one is found
  here, and not by a refusal.
- OpenSSH signs by itself: agents, security keys, and their prompts for a touch or a PIN, which go to the terminal.
- What is signed is made here of the statement, and never given.
"""

import asyncio
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from cli.oidc_login import show_address, sign_in
from policy.decision import Wanted
from policy.errors import CountersignError
from policy.people.abilities import KEY, NAME, Ability, of_issuer, of_ssh
from policy.people.directory import Directory
from policy.people.keys import Issuer, RegisteredKey
from policy.proofs import Domain, Proof, nonce_of, signed_bytes
from policy.rules.stepping_up import said_of
from signing.jws import key_proof
from signing.keys import SigningKey
from signing.proving import Trust, UnprovenError, prove

# What a provider has to be asked for besides `sub`, by the claim that people are known by.
_SCOPES = {"email": ("email",), "preferred_username": ("profile",)}
_PROOF: TypeAdapter[Proof] = TypeAdapter(Proof)


class SigningError(CountersignError):
    """Nothing can be signed like this; the message says why, and what to do."""


class Signer(ABC):
    """One way to say who somebody is. What is verified needs the directory in force, which says whose it is."""

    @property
    @abstractmethod
    def says(self) -> str:
        """What it is, in words."""

    @abstractmethod
    def check(self, directory: Directory, at: datetime) -> str:
        """Whose it is by the directory, at an instant (UTC).

        Raises:
            SigningError: the directory does not know it.
        """

    @abstractmethod
    def shows(self, directory: Directory) -> Ability:
        """What it can show at best."""

    @abstractmethod
    async def prove(self, value: Mapping[str, Any], domain: Domain, directory: Directory, wanted: Wanted | None) -> Any:
        """The proof of a statement, as JSON.

        Raises:
            SigningError: nothing was signed.
        """

    def lacks(self, wanted: Wanted | None, directory: Directory) -> str:
        """Why it cannot show what is wanted, or nothing."""
        if wanted is None:
            return ""
        able = self.shows(directory)
        if able.meets(wanted):
            return ""
        low = able.assurance.rank < wanted.assurance.rank
        return f"{self.says} shows {f'{able.assurance} at most' if low else 'no time of authentication'}"


@dataclass(frozen=True)
class Claim(Signer):
    """Only a name."""

    identity: str

    @property
    def says(self) -> str:
        return f"the name {self.identity}, which nobody proves,"

    def check(self, directory: Directory, at: datetime) -> str:
        del directory, at
        return self.identity

    def shows(self, directory: Directory) -> Ability:
        del directory
        return NAME

    async def prove(self, value: Mapping[str, Any], domain: Domain, directory: Directory, wanted: Wanted | None) -> Any:
        del value, domain, directory, wanted
        return self.proof

    @property
    def proof(self) -> dict[str, str]:
        """The proof, which is none."""
        return {"kind": "claimed", "identity": self.identity}


@dataclass(frozen=True)
class KeySigner(Signer):
    """A private key from a file."""

    key: SigningKey

    @property
    def says(self) -> str:
        return f"key {self.key.id}"

    def check(self, directory: Directory, at: datetime) -> str:
        found = directory.key_of_person(self.key.id)
        if found is None or found[1].jwk is None:
            raise SigningError(f"key {self.key.id} is nobody's in the directory in force: {self._known_as(directory)}")
        person, registered = found
        assert registered.jwk is not None
        if registered.jwk.value != self.key.public:
            raise SigningError(f"key {self.key.id} of {person.id} in the directory is another key than this file has")
        _check_time(registered, at)
        return person.id

    def _known_as(self, directory: Directory) -> str:
        """What to do where the directory has no key of this id: it may have the key by another one."""
        for person in directory.people:
            for key in person.keys:
                if key.jwk is not None and key.jwk.value == self.key.public:
                    return f"there it is {key.id} of {person.id}, so add --key-id {key.id}"
        return "give its id with --key-id, or have it added (`countersign keys add`)"

    def shows(self, directory: Directory) -> Ability:
        del directory
        return KEY

    async def prove(self, value: Mapping[str, Any], domain: Domain, directory: Directory, wanted: Wanted | None) -> Any:
        del wanted
        return _held_against(value, key_proof(value, self.key, domain), domain, directory)


@dataclass(frozen=True)
class SshSigner(Signer):
    """An SSH key: its file, or the public half of one that an agent has."""

    path: Path
    line: str

    @property
    def says(self) -> str:
        return f"ssh key {self.path}"

    @property
    def material(self) -> str:
        """Type and base64 of the key."""
        return " ".join(self.line.split(" ")[:2])

    def check(self, directory: Directory, at: datetime) -> str:
        found = directory.ssh_key(self.material)
        if found is None:
            raise SigningError(
                f"ssh key {self.path} is nobody's in the directory in force: have it added (`countersign keys add`)"
            )
        _check_time(found[1], at)
        return found[0].id

    def shows(self, directory: Directory) -> Ability:
        del directory
        return of_ssh(self.line)

    async def prove(self, value: Mapping[str, Any], domain: Domain, directory: Directory, wanted: Wanted | None) -> Any:
        del wanted
        signed = signed_bytes(domain, value)
        words = ("-Y", "sign", "-f", str(self.path), "-n", domain.ssh_namespace)
        signature = await _ssh_keygen(words, signed, f"{self.says} signed nothing: ssh-keygen says why above")
        return _held_against(value, {"kind": "ssh", "signature": signature}, domain, directory)


@dataclass(frozen=True)
class LoginSigner(Signer):
    """A login at an OpenID provider, for one statement."""

    issuer: str
    client_id: str | None = None

    @property
    def says(self) -> str:
        return f"a login at {self.issuer}"

    def check(self, directory: Directory, at: datetime) -> str:
        del at
        self._client(self._believed(directory))
        return f"whoever signs in at {self.issuer}"

    def shows(self, directory: Directory) -> Ability:
        return of_issuer(self._believed(directory))

    async def prove(self, value: Mapping[str, Any], domain: Domain, directory: Directory, wanted: Wanted | None) -> Any:
        known = self._believed(directory)
        token = await sign_in(
            known.issuer,
            self._client(known),
            nonce_of(signed_bytes(domain, value)),
            # It is some time before the worker sees it.
            max_age=wanted.max_age_seconds // 2 if wanted is not None and wanted.max_age_seconds is not None else None,
            acr_values=_classes(known, wanted),
            scopes=("openid", *_SCOPES.get(known.identity, ())),
            tell=show_address,
        )
        return {"kind": "oidc", "id_token": token}

    def _believed(self, directory: Directory) -> Issuer:
        found = directory.issuer(self.issuer)
        if found is None:
            names = ", ".join(item.issuer for item in directory.issuers) or "none"
            raise SigningError(f"issuer {self.issuer} is not believed by the directory in force, which names {names}")
        return found

    def _client(self, issuer: Issuer) -> str:
        if self.client_id is None and len(issuer.client_ids) == 1:
            return issuer.client_ids[0]
        if self.client_id not in issuer.client_ids:
            names = ", ".join(issuer.client_ids)
            raise SigningError(
                f"client {self.client_id or 'none'} is not one that the directory believes {self.issuer} for: give one "
                f"of {names} with --client-id"
            )
        return self.client_id


async def ssh_signer(path: Path) -> SshSigner:
    """An SSH key by its file or by its `.pub` file, then of an agent.

    Raises:
        SigningError: its public half cannot be read.
    """
    text = _public_line(path)
    if text is None:
        text = await _ssh_keygen(("-y", "-f", str(path)), b"", f"ssh key {path} has no public half that can be read")
    return SshSigner(path, text.strip().split("\n")[0])


def _public_line(path: Path) -> str | None:
    """The text of the `.pub` file of a key; None where there is none."""
    public = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    if not path.exists():
        raise SigningError(f"ssh key {path} cannot be read: no such file")
    return public.read_text("utf-8", "replace") if public.exists() else None


async def _ssh_keygen(words: tuple[str, ...], given: bytes, problem: str) -> str:
    """What `ssh-keygen` writes; what it asks, it asks at the terminal."""
    program = shutil.which("ssh-keygen")
    if program is None:
        raise SigningError("ssh-keygen is not on this machine: install openssh-client, or sign with --key")
    process = await asyncio.create_subprocess_exec(
        program, *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    written, _ = await process.communicate(given)
    if process.returncode != 0:
        raise SigningError(problem)
    return written.decode("utf-8", "replace")


def _check_time(key: RegisteredKey, at: datetime) -> None:
    if key.revoked_at is not None:
        raise SigningError(f"key {key.id} was revoked at {key.revoked_at.isoformat()}: sign with another")
    if not key.signs(at):
        raise SigningError(
            f"key {key.id} does not sign now, by its since and until in the directory: sign with another"
        )


def _held_against(
    value: Mapping[str, Any], proof: dict[str, Any], domain: Domain, directory: Directory
) -> dict[str, Any]:
    """A proof that verifies as the worker will verify it."""
    try:
        prove({**value, "proof": proof}, _PROOF.validate_python(proof), domain, Trust(directory), datetime.now(UTC))
    except UnprovenError as error:
        raise SigningError(f"the signature would not count ({error.code}): {error}") from None
    return proof


def _classes(issuer: Issuer, wanted: Wanted | None) -> tuple[str, ...]:
    """The authentication contexts that show what is wanted, the weakest of them first."""
    if wanted is None:
        return ()
    enough = [(level.rank, name) for name, level in issuer.acr.items() if level.rank >= wanted.assurance.rank]
    return tuple(name for _, name in sorted(enough))


def remedies(wanted: Wanted, directory: Directory) -> str:
    """What would show what is wanted here, in words."""
    ways = [f"--oidc {item.issuer}" for item in directory.issuers if of_issuer(item).meets(wanted)]
    if KEY.meets(wanted):
        ways.insert(0, "--key FILE or --ssh FILE")
    elif of_ssh("sk-").meets(wanted):
        ways.append("--ssh FILE with a security key (`ssh-keygen -t ed25519-sk -O verify-required`)")
    named = ", or ".join(ways) or "what the directory does not name yet"
    return f"this vote needs {said_of(wanted)}: sign with {named}"
