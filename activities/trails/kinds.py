"""The trails that an operator named, by kind, and the reading of their files.

A kind is a reader: `read(lines, resource, own)` gives what was read. A file that was rotated away between two looks is
not read any more: whoever rotates keeps files for longer than a look goes back.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activities.trails import postgres
from policy.errors import CountersignError, explain
from policy.trails import TrailEffect

# By kind: the module and its function. A module is loaded where an entry asks for it.
KINDS: Mapping[str, str] = {
    "postgres": "activities.trails.postgres:read_server_log",
    "kubernetes": "activities.trails.kubernetes:read_audit_events",
}
_SHOWN: Mapping[str, frozenset[str]] = {"postgres": postgres.SHOWN}
_SHOWN_BY_ALL: Mapping[str, frozenset[str]] = {"postgres": postgres.SHOWN_BY_ALL}
_MOST_FILES = 200
_CHUNK = 1 << 20
_LONGEST = 4 << 20


class TrailError(CountersignError):
    """A trail cannot be read, or what an operator wrote of it cannot be used."""


class TrailSource(BaseModel):
    """Where the trail of a resource is, and what it shows.

    Attributes:
        kind: postgres (jsonlog) or kubernetes (audit events).
        path: a file, or a folder whose files of one look are read (`pattern`).
        pattern: which files of a folder.
        own: names whose changes are somebody else's to judge; none, unless an operator says so.
        all_statements: whether every statement of every role that could end a session or rebuild an index is logged.
        shows: operations besides those of its kind of which the trail shows every effect.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: str
    path: str = Field(min_length=1)
    pattern: str = "*"
    own: list[str] = []
    all_statements: bool = False
    shows: list[str] = []

    @property
    def shown(self) -> frozenset[str]:
        """The operations of which the trail shows every effect."""
        by_all = _SHOWN_BY_ALL.get(self.kind, frozenset()) if self.all_statements else frozenset()
        return _SHOWN.get(self.kind, frozenset()) | by_all | frozenset(self.shows)


class ReadTrail(Protocol):
    """What a reader gives; `unanswered` are requests whose answers the trail has not."""

    @property
    def effects(self) -> tuple[TrailEffect, ...]: ...
    @property
    def unreadable(self) -> int: ...
    @property
    def unanswered(self) -> tuple[str, ...]: ...


class Looked(NamedTuple):
    """What one look at a trail found; `covers` is from when to when it goes (UTC), None where it is empty."""

    effects: tuple[TrailEffect, ...]
    unreadable: int
    unanswered: int
    covers: tuple[datetime, datetime] | None


def read_sources(value: Any) -> dict[str, TrailSource]:
    """The trails of an operator's file: an object of resource id to source.

    Raises:
        TrailError: names the entry, what is wrong with it and the fix.
    """
    if not isinstance(value, dict):
        raise TrailError(
            'it is no json object of resource id to trail: write {"id": {"kind": "postgres", "path": "…"}}'
        )
    found = {}
    for resource, item in value.items():
        try:
            found[resource] = source = TrailSource.model_validate(item)
        except ValidationError as error:
            raise TrailError(f"trail of {resource}: {explain(error)}") from None
        if source.kind not in KINDS:
            raise TrailError(f"trail of {resource}: kind {source.kind!r:.60} is none of {', '.join(sorted(KINDS))}")
    return found


def look(source: TrailSource, resource: str, since: datetime | None = None) -> Looked:
    """Read a trail.

    Args:
        source: where it is.
        resource: whose it is.
        since: what is older (UTC) need not be read.

    Raises:
        TrailError: a file cannot be read.
    """
    paths, read = _files(source, since), _reader(source.kind)
    more = {"since": since} if source.kind == "postgres" else {}
    trail = read(_lines(paths), resource, tuple(source.own) or _own(read), **more)
    effects = tuple(item for item in trail.effects if since is None or item.at >= since)
    instants = sorted(item.at for item in effects)
    covers = getattr(trail, "covers", None) or ((instants[0], instants[-1]) if instants else None)
    return Looked(effects, trail.unreadable, len(trail.unanswered), covers)


def _reader(kind: str) -> Callable[..., ReadTrail]:
    module, _, name = KINDS[kind].partition(":")
    try:
        found: Callable[..., ReadTrail] = getattr(import_module(module), name)
    except ImportError as error:
        raise TrailError(f"trails of kind {kind} cannot be read here: {error}") from None
    return found


def _own(read: Callable[..., ReadTrail]) -> tuple[str, ...]:
    """Who is passed over where an operator names nobody: what the reader itself passes over."""
    defaults = read.__defaults__ or ()
    return next((item for item in defaults if isinstance(item, tuple)), ())


def _files(source: TrailSource, since: datetime | None) -> Sequence[Path]:
    """The files of a trail, the oldest first, without those that were last written before."""
    path = Path(source.path)
    try:
        if not path.is_dir():
            path.stat()
            return [path]
        stamped = sorted((entry.stat().st_mtime, entry) for entry in path.glob(source.pattern) if entry.is_file())
    except OSError as error:
        raise TrailError(f"trail {source.path} cannot be read: {error.strerror}") from None
    wanted = [entry for at, entry in stamped if since is None or at >= since.timestamp()]
    if len(wanted) > _MOST_FILES:
        raise TrailError(
            f"trail {source.path} has {len(wanted)} files since then: name a pattern of at most {_MOST_FILES}"
        )
    return wanted


def _lines(paths: Iterable[Path]) -> Iterator[bytes]:
    """Every line of some files. Of one that is longer than any reader takes the rest is passed over, not kept; the last
    one of a file counts once it has ended.
    """
    for path in paths:
        try:
            with path.open("rb") as file:
                yield from _of_file(file.fileno())
        except OSError as error:
            raise TrailError(f"trail {path} cannot be read: {error.strerror}") from None


def _of_file(descriptor: int) -> Iterator[bytes]:
    kept = b""
    while chunk := os.read(descriptor, _CHUNK):
        *whole, rest = (kept + chunk).split(b"\n")
        yield from whole
        kept = rest[: _LONGEST + 1]
