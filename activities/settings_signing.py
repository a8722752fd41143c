"""The settings of whoever signs at the command line: a key, an SSH key, or an identity provider."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from activities.settings_keys import SettingsError

SIGNING_KEY_FILE = "COUNTERSIGN_SIGNING_KEY_FILE"
SIGNING_KEY_ID = "COUNTERSIGN_SIGNING_KEY_ID"
SSH_KEY_FILE = "COUNTERSIGN_SSH_KEY_FILE"
OIDC_ISSUER = "COUNTERSIGN_OIDC_ISSUER"
OIDC_CLIENT_ID = "COUNTERSIGN_OIDC_CLIENT_ID"
NAMES = (SIGNING_KEY_FILE, SIGNING_KEY_ID, SSH_KEY_FILE, OIDC_ISSUER, OIDC_CLIENT_ID)


@dataclass(frozen=True)
class SignsWith:
    """What the command line's user signs with.

    Attributes:
        key_file: a private key (JWK or PEM).
        key_id: its id in the directory, where the file does not say it.
        ssh_key_file: an SSH key, or the public half of one that an agent has.
        oidc_issuer: where the user signs in.
        oidc_client_id: as which client; None takes the only one that the directory names.
    """

    key_file: Path | None = None
    key_id: str | None = None
    ssh_key_file: Path | None = None
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None


def read_signs_with(given: Mapping[str, str]) -> SignsWith:
    """What the environment says of signing.

    Raises:
        SettingsError: a variable says more about another one that is not set.
    """
    files = {name: Path(value).expanduser() for name in (SIGNING_KEY_FILE, SSH_KEY_FILE) if (value := given.get(name))}
    for needs, what in ((SIGNING_KEY_ID, SIGNING_KEY_FILE), (OIDC_CLIENT_ID, OIDC_ISSUER)):
        if given.get(needs) and not given.get(what):
            raise SettingsError(f"{needs} is set and {what} is not: it says more about what is not there, set both")
    return SignsWith(
        key_file=files.get(SIGNING_KEY_FILE),
        key_id=given.get(SIGNING_KEY_ID) or None,
        ssh_key_file=files.get(SSH_KEY_FILE),
        oidc_issuer=given.get(OIDC_ISSUER) or None,
        oidc_client_id=given.get(OIDC_CLIENT_ID) or None,
    )
