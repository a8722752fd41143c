"""Everything that an operator can set, read once from the environment. Nothing else reads it.

- A value that cannot be used is refused with the variable, the value and the fix; a misspelt variable of ours, too.
- What would silently weaken the protection is refused where a worker starts (`check_worker`): a worker that could
  change the record; a process that decides and also holds a target's credentials, unless one process is all there is; a
  database over the network without a word about TLS; a worker that issues and remembers nothing outside of the record.
- Names that nobody proves count only where that is said on purpose.
- Addresses can carry passwords, so no error and no `repr` shows one in full.

Temporal's own settings (TEMPORAL_ADDRESS, profiles, TLS, API key) belong to `activities/connection.py`.
"""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs, urlsplit

from activities import settings_signing
from activities.channels.file import Channels, read_channels
from activities.encryption.keys import Keys
from activities.prometheus import is_plain
from activities.settings_keys import (
    CODEC_KEYS_FILE,
    EXECUTORS_FILE,
    PERMIT_KEY,
    PERMIT_KEY_FILE,
    PERMIT_KEYS_FILE,
    TARGETS_FILE,
    TRAILS_FILE,
    SettingsError,
    executors,
    permit_key,
    permit_keys,
    read_codec_keys,
    read_setting,
    targets,
    trails,
)
from activities.settings_signing import SignsWith, read_signs_with
from activities.trails.kinds import TrailSource
from signing.keys import SigningKey
from signing.permits import PermitKeys

__all__ = ["PERMIT_KEY", "PERMIT_KEYS_FILE", "PERMIT_KEY_FILE", "Role", "Settings", "SettingsError", "read_settings"]

DATABASE_URL = "COUNTERSIGN_DATABASE_URL"
ADMIN_DATABASE_URL = "COUNTERSIGN_ADMIN_DATABASE_URL"
AUTHOR_DATABASE_URL = "COUNTERSIGN_AUTHOR_DATABASE_URL"
HALT_DATABASE_URL = "COUNTERSIGN_HALT_DATABASE_URL"
ARCHIVE_DIR = "COUNTERSIGN_ARCHIVE_DIR"
METRICS_ADDRESS = "COUNTERSIGN_METRICS_ADDRESS"
UNSAFE_CLAIMED_IDENTITIES = "COUNTERSIGN_UNSAFE_CLAIMED_IDENTITIES"
ROLE = "COUNTERSIGN_ROLE"
IDENTITY = "COUNTERSIGN_IDENTITY"
PROMETHEUS_URL = "COUNTERSIGN_PROMETHEUS_URL"
SLO_QUERY = "COUNTERSIGN_SLO_QUERY"
CHANNELS_FILE = "COUNTERSIGN_CHANNELS_FILE"
ANCHOR_FILE = "COUNTERSIGN_ANCHOR_FILE"
OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

_OURS = (
    *(
        DATABASE_URL,
        ADMIN_DATABASE_URL,
        AUTHOR_DATABASE_URL,
        HALT_DATABASE_URL,
        TARGETS_FILE,
        EXECUTORS_FILE,
        ARCHIVE_DIR,
        METRICS_ADDRESS,
    ),
    *(UNSAFE_CLAIMED_IDENTITIES, ROLE, IDENTITY, PROMETHEUS_URL, SLO_QUERY, CHANNELS_FILE, ANCHOR_FILE, TRAILS_FILE),
    *(PERMIT_KEY_FILE, PERMIT_KEY, PERMIT_KEYS_FILE, CODEC_KEYS_FILE),
    *settings_signing.NAMES,
)
# Any of these says which Temporal is meant; the local development stack is then not looked for.
TEMPORAL_CONFIG_FILE = "TEMPORAL_CONFIG_FILE"
TEMPORAL_ADDRESS = "TEMPORAL_ADDRESS"
TEMPORAL_CHOICES = (TEMPORAL_ADDRESS, "TEMPORAL_PROFILE", TEMPORAL_CONFIG_FILE)
_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "": False, "0": False, "false": False, "no": False}
_TRUTH["off"] = False
_IN_SLO_QUERY = frozenset({"name", "target", "objective"})
_SOCKET_OR_LOOPBACK = ("", "localhost", "127.0.0.1", "::1")
_CAN_CHANGE_THE_RECORD = ("postgres", "countersign_owner")


class Role(StrEnum):
    """What a worker process does: one part of the work, or all of it (the local default)."""

    control = "control"
    permit = "permit"
    executor = "executor"
    all = "all"


@dataclass(frozen=True)
class Settings:
    """What was set.

    Attributes:
        database_url: the record, as the application role of this process; None where nothing was set.
        admin_database_url: the record, as superuser or owner: for set-up and publishing only.
        author_database_url: the record, as `countersign_author`: for storing drafts of documents only.
        halt_database_url: the record, as `countersign_halter`: for halting everything where Temporal does not answer.
        targets: the address of each resource id that the executor may act on.
        target_readers: the address by which such a resource can only be read, where there is one.
        executors: the executors of the operator, by name.
        not_production: those of them that are said to be no production.
        archive_dir: where closed histories are archived; None archives nothing.
        metrics_address: host and port of the Prometheus endpoint; None opens none.
        otlp_endpoint: `http(s)://` address that traces and metrics are sent to; None sends nothing.
        unsafe_claimed_identities: whether decisions of merely claimed identities may count.
        unsafe_claimed_production: whether they may at production targets; no variable sets it, only a local stack does.
        permit_key: the private key that the permit role signs with.
        permit_keys: the public keys that the executor role believes; that of `permit_key` is among them.
        role: which part of the work this process does.
        identity: who the command line's user claims to be; None asks the operating system.
        signs_with: what that user signs with.
        prometheus_url: `http(s)://` address of a Prometheus server that SLO states are asked of; None asks nobody.
        slo_query: the query that gives the share of an error budget that is left (`activities/prometheus.py`).
        trails: where the trail of a resource is, of those that the detector looks at.
        channels: by which channels people are told, and how often; None tells nobody.
        anchor_file: where a worker that issues keeps its copy outside the record.
        codec_keys: what encrypts the payloads in Temporal, and decrypts them; None encrypts nothing.
        temporal_chosen: whether the environment names a Temporal server or profile.

    """

    database_url: str | None = field(default=None, repr=False)
    admin_database_url: str | None = field(default=None, repr=False)
    author_database_url: str | None = field(default=None, repr=False)
    halt_database_url: str | None = field(default=None, repr=False)
    targets: Mapping[str, str] = field(default_factory=dict, repr=False)
    target_readers: Mapping[str, str] = field(default_factory=dict, repr=False)
    executors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    not_production: frozenset[str] = frozenset()
    archive_dir: Path | None = None
    metrics_address: str | None = None
    otlp_endpoint: str | None = None
    unsafe_claimed_identities: bool = False
    unsafe_claimed_production: bool = False
    permit_key: SigningKey | None = None
    permit_keys: PermitKeys = field(default_factory=PermitKeys)
    role: Role = Role.all
    identity: str | None = None
    signs_with: SignsWith = field(default_factory=SignsWith)
    prometheus_url: str | None = field(default=None, repr=False)
    slo_query: str | None = None
    trails: Mapping[str, TrailSource] = field(default_factory=dict)
    channels: Channels | None = field(default=None, repr=False)
    anchor_file: Path | None = None
    codec_keys: Keys | None = field(default=None, repr=False)
    temporal_chosen: bool = False

    @property
    def database_role(self) -> str:
        """The database role that a worker of this role connects as."""
        return "countersign_app" if self.role is Role.all else f"countersign_{self.role}"

    def check_worker(self) -> str:
        """The database address of a worker that may start.

        Raises:
            SettingsError: something is missing, or would make the protection void.

        """
        if self.database_url is None:
            raise SettingsError(f"{DATABASE_URL} is not set: write postgresql://countersign_app@host/countersign")
        _check_worker_database(self.database_url, self.role, self.database_role)
        if self.admin_database_url is not None:
            raise SettingsError(
                f"{ADMIN_DATABASE_URL} is set: a worker must not be able to change the record, unset it here"
            )
        if self.targets and self.role in (Role.control, Role.permit):
            raise SettingsError(f"{TARGETS_FILE} is set: role {self.role} must not reach targets, unset it here")
        if self.executors and self.role in (Role.control, Role.permit):
            raise SettingsError(f"{EXECUTORS_FILE} is set: role {self.role} must not reach targets, unset it here")
        if not (self.targets or self.executors) and self.role is Role.executor:
            raise SettingsError(f"{TARGETS_FILE} is not set: role executor needs a json file of resource id to address")
        if self.channels is not None and self.role in (Role.permit, Role.executor):
            raise SettingsError(f"{CHANNELS_FILE} is set: role {self.role} tells nobody anything, unset it here")
        if self.trails and self.role in (Role.permit, Role.executor):
            raise SettingsError(f"{TRAILS_FILE} is set: role {self.role} looks at no trail, unset it here")
        self._check_keys()
        if (self.anchor_file is None) != (self.role in (Role.control, Role.executor)):
            fix = "name a file outside of the database" if self.anchor_file is None else "unset it here"
            state = "is not" if self.anchor_file is None else "is"
            raise SettingsError(f"{ANCHOR_FILE} {state} set: only roles permit and all issue, {fix}")
        return self.database_url

    def _check_keys(self) -> None:
        """Refuse a worker that could not sign or verify permits, or that could sign and must not."""
        signs, verifies = self.role in (Role.permit, Role.all), self.role in (Role.executor, Role.all)
        if signs and self.permit_key is None:
            raise SettingsError(
                f"{PERMIT_KEY_FILE} is not set: role {self.role} signs permits, name the file of a private key"
            )
        if not signs and self.permit_key is not None:
            raise SettingsError(
                f"{PERMIT_KEY_FILE} or {PERMIT_KEY} is set: role {self.role} must not sign permits, unset it here"
            )
        if self.role is Role.executor and not self.permit_keys.keys:
            raise SettingsError(
                f"{PERMIT_KEYS_FILE} is not set: role executor needs the permit role's public keys as a jwk set"
            )
        if not verifies and self.permit_keys.keys:
            raise SettingsError(f"{PERMIT_KEYS_FILE} is set: role {self.role} verifies no permit, unset it here")


def read_settings(environ: Mapping[str, str] | None = None, *, role: str | None = None) -> Settings:
    """Read the environment.

    Args:
        environ: what to read instead of the process's environment.
        role: what a command line asked for; must not contradict COUNTERSIGN_ROLE.

    Raises:
        SettingsError: names the variable, the value and the fix.

    """
    given = os.environ if environ is None else environ
    _refuse_unknown(given)
    _refuse_absent_profiles(given.get(TEMPORAL_CONFIG_FILE))
    known = targets(given.get(TARGETS_FILE))
    prometheus_url, slo_query = _prometheus(given.get(PROMETHEUS_URL), given.get(SLO_QUERY))
    return Settings(
        database_url=_database_url(given, DATABASE_URL),
        admin_database_url=_database_url(given, ADMIN_DATABASE_URL),
        author_database_url=_database_url(given, AUTHOR_DATABASE_URL),
        halt_database_url=_database_url(given, HALT_DATABASE_URL),
        targets=known.urls,
        target_readers=known.readers,
        executors=executors(given.get(EXECUTORS_FILE)),
        not_production=known.not_production,
        archive_dir=_archive_dir(given.get(ARCHIVE_DIR)),
        metrics_address=_metrics_address(given.get(METRICS_ADDRESS)),
        otlp_endpoint=_otlp_endpoint(given.get(OTLP_ENDPOINT)),
        unsafe_claimed_identities=_truth(given, UNSAFE_CLAIMED_IDENTITIES),
        permit_key=permit_key(given),
        permit_keys=permit_keys(given.get(PERMIT_KEYS_FILE)),
        role=_role(given.get(ROLE), role),
        identity=given.get(IDENTITY) or None,
        signs_with=read_signs_with(given),
        prometheus_url=prometheus_url,
        slo_query=slo_query,
        trails=trails(given.get(TRAILS_FILE)),
        channels=_channels(given.get(CHANNELS_FILE)),
        anchor_file=_anchor_file(given.get(ANCHOR_FILE)),
        codec_keys=read_codec_keys(given),
        temporal_chosen=any(given.get(name) for name in TEMPORAL_CHOICES),
    )


def _refuse_unknown(given: Mapping[str, str]) -> None:
    for name in sorted(given):
        if name.startswith("COUNTERSIGN_") and name not in _OURS:
            near = difflib.get_close_matches(name, _OURS, n=1)
            fix = f"did you mean {near[0]}?" if near else f"the variables are {', '.join(_OURS)}"
            raise SettingsError(f"{name} is no setting of countersign: {fix}")


def _refuse_absent_profiles(name: str | None) -> None:
    # The SDK takes an absent file for an empty one, and would go to localhost instead.
    if name and not Path(name).is_file():
        raise SettingsError(f"{TEMPORAL_CONFIG_FILE} = {name} is no file: correct the path or unset it")


def _database_url(given: Mapping[str, str], name: str) -> str | None:
    url = given.get(name)
    if not url:
        return None
    scheme = url.partition(":")[0]
    if scheme not in ("postgresql", "postgres"):
        raise SettingsError(f"{name} has scheme `{scheme[:20]}`: write postgresql://role@host/database")
    try:
        parts = urlsplit(url)
        hosts, user = _hosts(url), parts.username
        modes = parse_qs(parts.query).get("sslmode", [])
    except ValueError as error:
        raise SettingsError(f"{name} is no address ({error}): write postgresql://role@host/database") from None
    if not user and "user" not in parse_qs(parts.query):
        raise SettingsError(f"{name} names no role: write postgresql://countersign_app@host/database")
    remote = [host for host in hosts if host not in _SOCKET_OR_LOOPBACK and not host.startswith("/")]
    if remote and (not modes or modes[-1] in ("allow", "prefer")):
        raise SettingsError(
            f"{name} goes to {remote[0]} and leaves TLS open: add ?sslmode=verify-full, "
            f"or ?sslmode=disable where the network itself is trusted"
        )
    return url


def _hosts(url: str) -> list[str]:
    """Every host of an address: libpq allows several, and one in the query, which wins."""
    parts = urlsplit(url)
    listed = parse_qs(parts.query).get("host")
    text = listed[-1] if listed else parts.netloc.rpartition("@")[2]
    if listed:
        return text.split(",")
    return [_host(item) for item in text.split(",")]


def _host(item: str) -> str:
    return item[1:].partition("]")[0] if item.startswith("[") else item.partition(":")[0]


def _check_worker_database(url: str, role: Role, wanted: str) -> None:
    parts = urlsplit(url)
    user = parts.username or parse_qs(parts.query).get("user", [""])[-1]
    if user in _CAN_CHANGE_THE_RECORD:
        raise SettingsError(f"{DATABASE_URL} connects as {user}, which can change the record: connect as {wanted}")
    if user.startswith("countersign_") and user != wanted:
        raise SettingsError(f"{DATABASE_URL} connects as {user}, role {role} wants {wanted}")


def _channels(name: str | None) -> Channels | None:
    return read_setting(CHANNELS_FILE, name, read_channels) if name else None


def _archive_dir(name: str | None) -> Path | None:
    if not name:
        return None
    path = Path(name)
    if path.exists() and not path.is_dir():
        raise SettingsError(f"{ARCHIVE_DIR} = {name} is a file: name a folder")
    return path


def _anchor_file(name: str | None) -> Path | None:
    if not name:
        return None
    path = Path(name)
    if path.is_dir() or not path.parent.is_dir():
        raise SettingsError(
            f"{ANCHOR_FILE} = {name} is no file in a folder that exists: create the folder, name a file"
        )
    return path


def _metrics_address(address: str | None) -> str | None:
    if not address:
        return None
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) >= 1 << 16:
        raise SettingsError(f"{METRICS_ADDRESS} = {address} is not host:port: write 127.0.0.1:9464")
    return address


def _otlp_endpoint(endpoint: str | None) -> str | None:
    if not endpoint:
        return None
    if not endpoint.startswith(("http://", "https://")):
        raise SettingsError(f"{OTLP_ENDPOINT} = {endpoint} is no http address: write http://127.0.0.1:4318")
    return endpoint


def _prometheus(url: str | None, query: str | None) -> tuple[str | None, str | None]:
    """Server and query, both or none."""
    if not url and not query:
        return None, None
    if not url or not query:
        missing = SLO_QUERY if url else PROMETHEUS_URL
        raise SettingsError(f"{missing} is not set: SLO states need both {PROMETHEUS_URL} and {SLO_QUERY}")
    if not is_plain(url):
        raise SettingsError(f"{PROMETHEUS_URL} is no plain http address: write http://127.0.0.1:9090")
    template = Template(query)
    if not template.is_valid() or not set(template.get_identifiers()) <= _IN_SLO_QUERY:
        names = ", ".join(f"${name}" for name in sorted(_IN_SLO_QUERY))
        raise SettingsError(f"{SLO_QUERY} has another $ than {names}: write $$ for one that is part of the query")
    if "name" not in template.get_identifiers():
        raise SettingsError(f"{SLO_QUERY} asks for no objective: name it as $name")
    return url, query


def _truth(given: Mapping[str, str], name: str) -> bool:
    value = given.get(name, "")
    if value.lower() not in _TRUTH:
        raise SettingsError(f"{name} = {value} is neither yes nor no: write 1 or 0")
    return _TRUTH[value.lower()]


def _role(variable: str | None, asked: str | None) -> Role:
    if variable and asked and variable != asked:
        raise SettingsError(f"{ROLE} = {variable} contradicts --role {asked}: leave one of them out")
    name = asked or variable or Role.all
    if name not in list(Role):
        raise SettingsError(f"{ROLE} = {name} is no role: write one of {', '.join(Role)}")
    return Role(name)
