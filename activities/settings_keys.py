"""The settings of permits: the key that signs them, the keys that executors believe, and which targets are production.

And the keys of payloads (`activities/encryption`).

- The private key is with the permit role alone, in a file that only its owner can read or in a variable. No error and
  no `repr` shows any of it.
- Executors are given public keys as a JWK Set, several of them while one takes over from another.
- Every target is production unless its entry in COUNTERSIGN_TARGETS_FILE says `"production": false`.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from activities.encryption.keys import Keys, KeysError, read_keys
from activities.trails.kinds import TrailSource, read_sources
from policy.canonical import parse_json
from policy.errors import CountersignError
from signing.keys import KeyFileError, SigningKey, parse_signing_key, read_signing_key
from signing.permits import PermitKeys

Read = TypeVar("Read")
TARGETS_FILE = "COUNTERSIGN_TARGETS_FILE"
TRAILS_FILE = "COUNTERSIGN_TRAILS_FILE"
EXECUTORS_FILE = "COUNTERSIGN_EXECUTORS_FILE"
PERMIT_KEY_FILE = "COUNTERSIGN_PERMIT_KEY_FILE"
PERMIT_KEY = "COUNTERSIGN_PERMIT_KEY"
PERMIT_KEYS_FILE = "COUNTERSIGN_PERMIT_KEYS_FILE"
CODEC_KEYS_FILE = "COUNTERSIGN_CODEC_KEYS_FILE"


class SettingsError(CountersignError):
    """An operator's setting is missing, unusable, or contradicts another."""


@dataclass(frozen=True)
class Targets:
    """Where the executor acts: the address of each resource id, the address by which it can only be read, where there
    is one, and which of them are not production.
    """

    urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    readers: Mapping[str, str] = field(default_factory=dict, repr=False)
    not_production: frozenset[str] = frozenset()


def permit_key(given: Mapping[str, str]) -> SigningKey | None:
    """The private key of the permit role; None where none was set.

    Raises:
        SettingsError: it cannot be used, or two were set.
    """
    file, text = given.get(PERMIT_KEY_FILE), given.get(PERMIT_KEY)
    if file and text:
        raise SettingsError(f"{PERMIT_KEY_FILE} and {PERMIT_KEY} are both set: leave one of them out")
    try:
        if file:
            return read_signing_key(Path(file))
        return parse_signing_key(text.encode(), PERMIT_KEY) if text else None
    except KeyFileError as error:
        raise SettingsError(f"{PERMIT_KEY_FILE if file else PERMIT_KEY}: {error}") from None


def read_setting(variable: str, name: str, read: Callable[[bytes], Read]) -> Read:
    """What a file holds that a variable names.

    Raises:
        SettingsError: it cannot be read, or not as what it has to be.
    """
    try:
        return read(Path(name).read_bytes())
    except OSError as error:
        raise SettingsError(f"{variable} = {name} cannot be read: {error.strerror}") from None
    except CountersignError as error:
        raise SettingsError(f"{variable} = {name}: {error}") from None


def permit_keys(name: str | None) -> PermitKeys:
    """The public keys that an executor believes; none where no file was named.

    Raises:
        SettingsError: the file cannot be used.
    """
    return read_setting(PERMIT_KEYS_FILE, name, PermitKeys.read) if name else PermitKeys()


def read_codec_keys(environ: Mapping[str, str] | None = None) -> Keys | None:
    """The keys of the payloads alone, for what needs no other setting; None where none are set.

    Raises:
        SettingsError: the key file cannot be used.
    """
    name = (os.environ if environ is None else environ).get(CODEC_KEYS_FILE)
    try:
        return read_keys(Path(name)) if name else None
    except KeysError as error:
        raise SettingsError(f"{CODEC_KEYS_FILE}: {error}") from None


def targets(name: str | None) -> Targets:
    """The targets of an executor; none where no file was named.

    Raises:
        SettingsError: the file cannot be used.
    """
    if not name:
        return Targets()
    value = read_setting(TARGETS_FILE, name, parse_json)
    if not isinstance(value, dict) or not value:
        raise SettingsError(f'{TARGETS_FILE} = {name} is not a json object of resource id to address: {{"id": "url"}}')
    read = {resource: _target(name, resource, item) for resource, item in value.items()}
    return Targets(
        urls={resource: item.url for resource, item in read.items()},
        readers={resource: item.read_url for resource, item in read.items() if item.read_url is not None},
        not_production=frozenset(resource for resource, item in read.items() if not item.production),
    )


class _Target(NamedTuple):
    """What is said of one target."""

    url: str
    read_url: str | None = None
    production: bool = True


def _target(name: str, resource: str, item: Any) -> _Target:
    if isinstance(item, str):
        return _Target(item)
    kinds = {"url": str, "read_url": str, "production": bool}
    if isinstance(item, dict) and "url" in item and all(isinstance(item[key], kinds.get(key, ())) for key in item):
        return _Target(**item)
    raise SettingsError(
        f"{TARGETS_FILE} = {name}: {resource} is neither an address nor "
        f'{{"url": "…", "read_url": "…", "production": false}}: it is one json object of resource id to address'
    )


def trails(name: str | None) -> Mapping[str, TrailSource]:
    """The trails of targets that are looked at; none where no file was named.

    Raises:
        SettingsError: the file cannot be used.
    """
    return read_setting(TRAILS_FILE, name, lambda body: read_sources(parse_json(body))) if name else {}


def executors(name: str | None) -> Mapping[str, Mapping[str, Any]]:
    """The executors of an operator by name, each a kind and what it takes (`activities/executors/kinds.py`).

    Raises:
        SettingsError: the file cannot be used.
    """
    value = read_setting(EXECUTORS_FILE, name, parse_json) if name else {}
    if isinstance(value, dict) and all(
        isinstance(item, dict) and isinstance(item.get("kind"), str) for item in value.values()
    ):
        return value
    fix = 'write {"name": {"kind": "http", …}}'
    raise SettingsError(f"{EXECUTORS_FILE} = {name} is not a json object of executor name to its entry: {fix}")
