"""The text of a directory with a key more, or with an end to one; everything else in it stays as it is written.

1. Only the place of the change is written: comments, order and layout of a directory are somebody's work.
2. What is written is JSON, which YAML reads, wherever it stands.
3. The new text is read again. Where it does not say exactly what was meant, the change is refused, and whoever asked
   writes it by hand.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import yaml

from policy.errors import DocumentError
from policy.people.directory import read_directory
from policy.yaml_text import Written, read_written

Holders = Literal["people", "agents"]
End = Literal["until", "revoked_at"]


def with_key(body: bytes, holders: Holders, holder: str, key: Mapping[str, Any]) -> bytes:
    """The directory with a key more.

    Args:
        body: the directory as it is written.
        holders: whether a person or an agent gets it.
        holder: their id.
        key: the entry, as a `RegisteredKey` is written.

    Raises:
        DocumentError: there is nobody of that id, or the text cannot be changed or used then.
    """
    written = _read(body)
    at = next((number for number, item in enumerate(_list(written.value, holders)) if item.get("id") == holder), None)
    if at is None:
        raise DocumentError(f"{holders} of the directory have no id {holder}: add them first, or correct the id")
    node = _entry(_entry(written.node, holders), at)
    keys = _entry(node, "keys")
    text = body.decode()

    def change(value: Any) -> None:
        value[holders][at].setdefault("keys", []).append(dict(key))

    if keys is None:
        return _checked(written, _with_member(text, node, "keys", [dict(key)]), change)
    return _checked(written, _with_item(text, keys, dict(key)), change)


def with_end(body: bytes, key_id: str, field: End, at: str) -> bytes:
    """The directory with a key that ends, or that was revoked.

    Args:
        body: the directory as it is written.
        key_id: of the key.
        field: `until` for the end of its time, `revoked_at` where nobody knows who had it.
        at: the instant, as documents write it.

    Raises:
        DocumentError: there is no such key, it was revoked already, or the text cannot be changed or used then.
    """
    written = _read(body)
    found = next((place for place in _keys(written.value) if place[3].get("id") == key_id), None)
    if found is None:
        raise DocumentError(f"the directory has no key {key_id}: `countersign keys list` shows those that it has")
    holders, holder, number, key = found
    if "revoked_at" in key:
        raise DocumentError(f"key {key_id} was revoked at {key['revoked_at']}: that is never taken back or moved")
    node = _entry(_entry(_entry(_entry(written.node, holders), holder), "keys"), number)
    text, given = body.decode(), _entry(node, field)

    def change(value: Any) -> None:
        value[holders][holder]["keys"][number][field] = at

    if given is not None:
        changed = text[: given.start_mark.index] + json.dumps(at) + text[given.end_mark.index :]
        return _checked(written, changed, change)
    return _checked(written, _with_member(text, node, field, at), change)


def _read(body: bytes) -> Written:
    documents = [item for item in read_written(body) if item.value is not None]
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise DocumentError("a directory is one document: give it alone")
    return documents[0]


def _keys(value: Mapping[str, Any]) -> Iterator[tuple[Holders, int, int, Mapping[str, Any]]]:
    """Every key: in which list, whose by its number there, its own number, and the entry."""
    both: tuple[Holders, ...] = ("people", "agents")
    for holders in both:
        for at, holder in enumerate(_list(value, holders)):
            yield from ((holders, at, number, key) for number, key in enumerate(holder.get("keys") or ()))


def _list(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return value.get(name) or []


def _entry(node: Any, part: str | int) -> Any:
    """A part of a node; None where it has no such part."""
    if isinstance(part, int):
        return node.value[part]
    return next((value for key, value in node.value if key.value == part), None) if node is not None else None


def _with_member(text: str, node: Any, name: str, value: Any) -> str:
    """A mapping with a member more, after its last."""
    end = _end(node.value[-1][1])
    if node.flow_style:
        return f"{text[:end]}, {json.dumps(name)}: {json.dumps(value)}{text[end:]}"
    margin = " " * node.value[0][0].start_mark.column
    if isinstance(value, list):
        lines = [f"{margin}{name}:", *(f"{margin}  - {json.dumps(item)}" for item in value)]
    else:
        lines = [f"{margin}{name}: {json.dumps(value)}"]
    return _below(text, end, lines)


def _with_item(text: str, node: Any, item: Any) -> str:
    """A list with an item more, after its last."""
    if not node.value:
        return f"{text[: node.start_mark.index]}[{json.dumps(item)}]{text[node.end_mark.index :]}"
    end = _end(node.value[-1])
    if node.flow_style:
        return f"{text[:end]}, {json.dumps(item)}{text[end:]}"
    return _below(text, end, [f"{' ' * node.start_mark.column}- {json.dumps(item)}"])


def _end(node: Any) -> int:
    """Where the text of a node ends; that of a block reaches over the space below it otherwise."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, yaml.MappingNode) else last)
    return int(node.end_mark.index)


def _below(text: str, end: int, lines: list[str]) -> str:
    """The text with lines below the one in which something ends, so that a comment behind it stays there."""
    added = "\n".join(lines) + "\n"
    if end > 0 and text[end - 1] == "\n":
        return text[:end] + added + text[end:]
    line_end = text.find("\n", end)
    if line_end < 0:
        return f"{text}\n{added}"
    return text[: line_end + 1] + added + text[line_end + 1 :]


def _checked(written: Written, text: str, change: Callable[[Any], None]) -> bytes:
    meant = copy.deepcopy(written.value)
    change(meant)
    body = text.encode()
    if _value_of(body) != meant:
        raise DocumentError("the text of this directory cannot be changed at that place: write the entry by hand")
    read_directory(body)
    return body


def _value_of(body: bytes) -> Any:
    """What a text says; None where it cannot be read."""
    try:
        return _read(body).value
    except DocumentError:
        return None
