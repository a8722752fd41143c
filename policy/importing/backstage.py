"""Files of documents: Backstage entities, and OpenSLO objectives and service edges beside them, as YAML or JSON.

A catalog that this wrote can be imported again, with more: its facts keep the sources that they had.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from policy.catalogs.catalog_text import MAX_EDGES, MAX_ENTITIES, Source, why_skipped
from policy.catalogs.entities import TARGET_KINDS
from policy.catalogs.json_stream import read_stream
from policy.errors import DocumentError
from policy.importing.gathering import Gathering

_NAMES = {
    "serviceedges": "documents of service edges",
    "slo": "slos",
    "catalogsources": "lists of sources",
}
_SHOWN = 120


def gather_documents(gathering: Gathering, source: Source, body: bytes) -> None:
    """Take every document of a file that can be read.

    Raises:
        DocumentError: the file is no YAML and no JSON, or the catalog is full.
    """
    mine = gathering.add_source(source)
    number = 0
    for value in read_stream(body):
        for item in value if isinstance(value, list) else (value,):
            number += 1
            if item is not None:
                _gather(gathering, source.file, mine, f"document {number}", item)


def _gather(gathering: Gathering, file: str, mine: int, where: str, value: Any) -> None:
    content = gathering.content
    if len(content.entities) >= MAX_ENTITIES or len(content.edges) >= MAX_EDGES:
        raise DocumentError(f"{where}: a catalog holds at most {MAX_ENTITIES} entities and {MAX_EDGES} edges")
    named = _named(where, value)
    try:
        kind = content.add(where, value)
    except DocumentError as error:
        gathering.skip(file, named, str(error).removeprefix(f"{where}: "))
        return
    if not kind:
        gathering.skip(file, named, why_skipped(str(value.get("apiVersion", "")), value["kind"]), harmless=True)
        return
    gathering.read[_NAMES.get(kind, f"of kind {kind}")] += 1
    if kind == "serviceedges":
        listed = [_known(gathering, mine, (edge.get("source"),)) for edge in value["edges"]]
        gathering.origins += [(sources[0], False) for sources in listed]
        gathering.read["service edges"] += len(listed)
    else:
        gathering.origins += [(mine, True)] * (len(content.edges) - len(gathering.origins))
    if kind in TARGET_KINDS:
        entity = next(reversed(content.entities.values()))
        content.entities[entity.ref] = replace(entity, sources=_known(gathering, mine, entity.sources))


def _known(gathering: Gathering, mine: int, told: tuple[Any, ...]) -> tuple[int, ...]:
    """Numbers of sources as the file's own list, which was read after `mine`, has them; `mine` where it lists none."""
    listed = len(gathering.content.sources) - mine - 1
    if told and all(isinstance(number, int) and 0 <= number < listed for number in told):
        return tuple(mine + 1 + number for number in told)
    return (mine,)


def _named(where: str, value: Any) -> str:
    """What to call a document in the report: its kind and name, as far as it has them."""
    metadata = value.get("metadata") if isinstance(value, Mapping) else None
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return where if not isinstance(name, str) else f"{where} ({str(value.get('kind'))[:_SHOWN]} {name[:_SHOWN]})"
