"""Files of people in, one directory and a report out; pure, so that the same files make the same bytes.

- A person is a line, so that a difference of two directories is one of people. Above 4 MiB the text is one JSON value.
- What was imported is read again: an import that cannot be used is refused, with the reason.
"""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from policy.base import instant_text
from policy.canonical import digest
from policy.catalogs.catalog_text import Source
from policy.errors import DocumentError
from policy.importing.claims import gather_claims
from policy.importing.joining import join
from policy.importing.report import ImportReport
from policy.importing.scim import gather_scim
from policy.people.directory import Directory, read_directory
from policy.yaml_text import MAX_DOCUMENT_BYTES

SourceKind = Literal["scim", "oidc-groups"]
_GATHER = {"scim": gather_scim, "oidc-groups": gather_claims}
_PREFIX = {"scim": "scim:", "oidc-groups": "oidc:"}
_REST = ("agents", "service_accounts", "executors", "groups", "rotations", "delegations")
_NOT_PLAIN = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


class ImportedDirectory(NamedTuple):
    """The text of the directory, the directory itself, and what became of every input."""

    text: bytes
    directory: Directory
    report: ImportReport


def import_directory(
    kind: SourceKind, files: Iterable[tuple[str, bytes]], base: Directory | None, as_of: datetime
) -> ImportedDirectory:
    """Bring together what files of one source say with a directory that there is.

    Args:
        kind: what the files are.
        files: name and bytes of each.
        base: the directory that there is, of which everything else is kept.
        as_of: when the files were true (UTC).

    Raises:
        DocumentError: a file cannot be read, nobody is in them, or what they say cannot be so.
    """
    if base is not None and base.as_of is not None and as_of < base.as_of:
        before = instant_text(base.as_of)
        raise DocumentError(f"the base was true at {before} and the files at {instant_text(as_of)}: give newer files")
    files = list(files)
    gathered = _GATHER[kind](files)
    if not gathered.people:
        raise DocumentError("files have nobody in them that can be read")
    joined = join(gathered, _PREFIX[kind], base, as_of)
    made = {person.id: _plain(person) for person in joined.people.values()}
    text = _text(_head(base, as_of), [made[name] for name in sorted(made)], _rest(base))
    report = ImportReport(
        sources=tuple(Source(name, digest(body), kind, instant_text(as_of)) for name, body in files),
        read={**gathered.read, **{what: n for what, n in joined.counts.items() if n}},
        skips=(*gathered.skips, *joined.skips),
        notes=(*gathered.notes, *joined.notes),
    )
    return ImportedDirectory(text, read_directory(text), report)


def _head(base: Directory | None, as_of: datetime) -> dict[str, Any]:
    at = instant_text(as_of)
    metadata = _plain(base.metadata) if base is not None else {"name": "people"}
    return {
        "apiVersion": "countersign/v1",
        "kind": "Directory",
        "metadata": {**metadata, "version": at},
        "as_of": at,
    }


def _rest(base: Directory | None) -> dict[str, list[Any]]:
    return {name: [_plain(item) for item in getattr(base, name)] for name in _REST if base and getattr(base, name)}


def _plain(model: BaseModel) -> dict[str, Any]:
    found: dict[str, Any] = model.model_dump(mode="json", exclude_defaults=True)
    return found


def _text(head: dict[str, Any], people: list[Any], rest: dict[str, list[Any]]) -> bytes:
    lists = {"people": people, **rest}
    text = "".join([*(f"{name}: {_json(value)}\n" for name, value in head.items()), *_lines(lists)]).encode()
    return text if len(text) <= MAX_DOCUMENT_BYTES else (_json({**head, **lists}) + "\n").encode()


def _lines(lists: dict[str, list[Any]]) -> Iterator[str]:
    for name, items in lists.items():
        yield f"{name}:\n" if items else f"{name}: []\n"
        yield from (f"- {_json(item)}\n" for item in items)


def _json(value: Any) -> str:
    """JSON that is YAML, too: what YAML does not take as it stands is escaped."""
    return _NOT_PLAIN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
