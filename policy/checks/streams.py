"""A governed text may hold several documents, and a team answers for one of them: this puts a part into the whole.

- A part takes the place of the document of the same kind and name; one that is new comes last. Nothing else changes, to
  the byte, so that whoever compares the two texts sees the part and nothing else.
- A part that holds every document of the text is the text: a stream of one document is its file.
- What comes out is read again before it is given back: what was composed is what was meant.
"""

from typing import Any, NamedTuple

import yaml

from policy.checks.positions import Place, Positions
from policy.errors import DocumentError
from policy.yaml_text import read_written

_SEPARATOR = "---\n"


class Part(NamedTuple):
    """One document of a stream: what it is (kind, namespace, name), its text with and without its marker, its value."""

    identity: tuple[str, str, str]
    text: str
    bare: str
    value: Any


def compose_stream(in_force: bytes, part: bytes) -> bytes:
    """The stream in force with the documents of a part in place of those of the same kind and name.

    Raises:
        DocumentError: one of the two cannot be read, or a document has no kind and name to find it by.
    """
    old, new = split_stream(in_force), split_stream(part)
    given = {item.identity: item for item in new}
    if len(given) != len(new):
        raise DocumentError("two documents of the part have the same kind and name: give each a name of its own")
    known = {item.identity for item in old}
    if known <= set(given):
        return part
    whole = [given.get(item.identity, item) for item in old]
    whole += [item for item in new if item.identity not in known]
    texts = [
        item.text if item.identity not in given else _SEPARATOR * (number > 0) + item.bare
        for number, item in enumerate(whole)
    ]
    body = "".join(text if text.endswith("\n") else text + "\n" for text in texts).encode()
    if [item.value for item in split_stream(body)] != [item.value for item in whole]:
        raise DocumentError("the documents cannot be put into one text: write each without `...` lines")
    return body


def split_stream(body: bytes) -> list[Part]:
    """The documents of a stream, in order, each with the comments before it; empty ones are left out.

    Raises:
        DocumentError: with line and column, where there is one.
    """
    written = read_written(body)
    text = body.decode()
    markers = _markers(text)
    # The first document needs no marker, and what stands before its marker is still its own.
    starts = [0, *markers[len(markers) - len(written) + 1 :]]
    found = []
    for item, begin, end in zip(written, starts, [*starts[1:], len(text)], strict=True):
        if item.value is not None:
            at = next((marker for marker in markers if begin <= marker < end), None)
            bare = text[begin:end] if at is None else text[begin:at] + text[at + 3 : end].removeprefix("\n")
            found.append(Part(_identity(item.value, Positions(item.node).of()), text[begin:end], bare, item.value))
    return found


def _markers(text: str) -> list[int]:
    """Where the lines begin that separate documents."""
    found = []
    tokens: Any = yaml.scan(text, Loader=yaml.CSafeLoader)
    for token in tokens:
        mark = token.start_mark
        if isinstance(token, yaml.DirectiveToken):
            raise DocumentError("yaml directives are not read, remove the line", mark.line + 1, mark.column + 1)
        if isinstance(token, yaml.DocumentStartToken):
            found.append(int(mark.index))
    return found


def _identity(value: Any, place: Place) -> tuple[str, str, str]:
    """What a document is found by; Backstage's references are read without regard to case."""
    metadata = value.get("metadata") if isinstance(value, dict) else None
    kind = value.get("kind") if isinstance(value, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(kind, str) or not isinstance(name, str):
        raise DocumentError("document has no kind and no metadata.name to find it by, give it both", *place)
    namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
    if not str(value.get("apiVersion", "")).startswith("backstage.io/"):
        return kind, "", name
    return kind.lower(), str(namespace or "default").lower(), name.lower()
