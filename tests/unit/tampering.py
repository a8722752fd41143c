"""Edits of an audit file, as somebody would make them who has the file and an editor, or a good deal more.

Each edit changes the file in place and returns how a finding must name what was changed.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from policy.canonical import canonical, digest

HISTORIES = Path(__file__).parents[1] / "replay" / "histories"
Doc: TypeAlias = dict[str, Any]
Edit: TypeAlias = Callable[[Doc], str]


def load(name: str) -> Doc:
    """A recorded audit file as a JSON value."""
    found: Doc = json.loads((HISTORIES / f"{name}.json").read_bytes())
    return found


def event(doc: Doc, kind: str, number: int = 1) -> Doc:
    """The so-manyth event of a kind; -1 is the last."""
    found = [item for item in doc["history"]["events"] if item["eventType"] == f"EVENT_TYPE_{kind}"]
    chosen: Doc = found[number - 1 if number > 0 else number]
    return chosen


def said(item: Doc) -> Doc:
    """The attributes of an event."""
    found: Doc = next(value for name, value in item.items() if name.endswith("EventAttributes"))
    return found


def name_of(item: Doc) -> str:
    """How a finding names an event."""
    return f"event {item['eventId']} ({item['eventType'].removeprefix('EVENT_TYPE_')})"


def in_payload(holder: Doc, change: Callable[[Any], Any]) -> None:
    """Change the JSON value of a payload; `change` returns another value, or None after changing it in place."""
    payload = holder["payloads"][0]
    value = json.loads(base64.b64decode(payload["data"]))
    changed = change(value)
    value = value if changed is None else changed
    payload["data"] = base64.b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


def marker(doc: Doc, activity: str, number: int = 1) -> Doc:
    """The so-manyth answer of a local activity."""
    found = []
    for item in doc["history"]["events"]:
        if item["eventType"] == "EVENT_TYPE_MARKER_RECORDED":
            data = json.loads(base64.b64decode(said(item)["details"]["data"]["payloads"][0]["data"]))
            if data["activity_type"] == activity:
                found.append(item)
    chosen: Doc = found[number - 1]
    return chosen


def entries(doc: Doc) -> list[Doc]:
    """The ledger's entries as JSON values."""
    return [json.loads(entry["body"]) for entry in doc["entries"]]


def position(doc: Doc, kind: str, number: int = 1) -> int:
    """The index of the so-manyth entry of a kind."""
    return [at for at, entry in enumerate(entries(doc)) if entry["kind"] == kind][number - 1]


def write(doc: Doc, at: int, value: Doc) -> None:
    """Put an entry into its place, with its own digest computed again."""
    body = canonical(value)
    doc["entries"][at] = {"body": body.decode(), "digest": digest(body)}


def chain_again(doc: Doc, values: list[Doc]) -> None:
    """Write a whole ledger anew: positions, digests and chain all fit, and so does what the history says of them."""
    old = {entry["digest"]: at for at, entry in enumerate(doc["entries"])}
    doc["entries"] = [{} for _ in values]
    previous = None
    for at, value in enumerate(values):
        value["position"], value["previous"] = at + 1, previous
        write(doc, at, value)
        previous = doc["entries"][at]["digest"]
    for item in doc["history"]["events"]:
        if item["eventType"] == "EVENT_TYPE_MARKER_RECORDED" and "result" in said(item)["details"]:
            in_payload(said(item)["details"]["result"], lambda value: _refer(value, old, doc))


def _refer(value: Any, old: dict[str, int], doc: Doc) -> None:
    reference = value.get("entry")
    if reference is not None and old[reference["digest"]] < len(doc["entries"]):
        now = doc["entries"][old[reference["digest"]]]
        reference["digest"] = now["digest"]


def answer(activity: str, change: Callable[[Any], Any], number: int = 1) -> Edit:
    """Change what a local activity answered."""

    def edit(doc: Doc) -> str:
        item = marker(doc, activity, number)
        in_payload(said(item)["details"]["result"], change)
        return name_of(item)

    return edit


def of_event(kind: str, change: Callable[[Doc], None], number: int = 1) -> Edit:
    """Change the attributes of an event."""

    def edit(doc: Doc) -> str:
        item = event(doc, kind, number)
        change(said(item))
        return name_of(item)

    return edit


def at_time(kind: str, instant: str, number: int = 1) -> Edit:
    """Change when an event was; only the time of day is replaced from its end."""

    def edit(doc: Doc) -> str:
        item = event(doc, kind, number)
        item["eventTime"] = item["eventTime"][: -len(instant) - 1] + instant + "Z"
        return name_of(item)

    return edit


def of_entry(kind: str, change: Callable[[Doc], None], *, how: str, number: int = 1) -> Edit:
    """Change an entry: its `bytes` alone, its own `digest`, too, or the `chain` after it and what the history says."""

    def edit(doc: Doc) -> str:
        at, values = position(doc, kind, number), entries(doc)
        change(values[at])
        if how == "bytes":
            doc["entries"][at]["body"] = json.dumps(values[at], separators=(",", ":"), sort_keys=True)
        elif how == "digest":
            write(doc, at, values[at])
        else:
            chain_again(doc, values)
        return f"ledger entry {at + (2 if how == 'digest' else 1)}"

    return edit


def named(expected: str, edit: Edit) -> Edit:
    """The same edit, which is seen in another place than where it was made."""

    def elsewhere(doc: Doc) -> str:
        edit(doc)
        return expected

    return elsewhere


def set_to(path: str, value: Any) -> Callable[[Any], None]:
    """Replace the value at a path like `plan.risk_tier` or `steps.0.name`."""

    def change(found: Any) -> None:
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in way:
            found = found[part]
        found[last] = value

    return change


def top(name: str, value: Any, named: str) -> Edit:
    """Change a field of the file itself."""

    def edit(doc: Doc) -> str:
        doc[name] = value(doc[name]) if callable(value) else value
        return named

    return edit
