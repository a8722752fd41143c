"""`catalog import`, `catalog show`: bring in what a company knows of its services, and see what is known of one."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from activities.documents import Documents, NotPublishedError, stored
from cli import exits
from cli.arguments import Commands
from cli.place import NO_RECORD, find_place
from cli.policy import read_file
from policy.base import instant_text
from policy.catalog import Catalog, Entity, normalize, read_catalog
from policy.catalogs.catalog_text import read_instant
from policy.errors import DocumentError
from policy.importing.catalogs import InputFile, import_catalog
from policy.importing.gathering import ImportOptions
from policy.screens.neutral import visible


def register(commands: Commands) -> None:
    parser = commands.add_parser("catalog", help="import and show what is known of targets")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    importing = actions.add_parser("import", help="make one catalog of Backstage, OpenSLO and CSV files")
    importing.set_defaults(run=_import)
    importing.add_argument("files", metavar="FILE", type=Path, nargs="+", help="YAML, JSON or CSV; the first wins")
    importing.add_argument("--output", metavar="FILE", type=Path, required=True, help="the catalog to write")
    importing.add_argument(
        "--as-of", metavar="INSTANT", help="when the files were true (default: when each was changed)"
    )
    importing.add_argument("--graph", metavar="NAME", help="the rows to take of tables that hold several graphs")
    importing.add_argument(
        "--soft-to", metavar="NAME", action="append", default=[], help="what nobody breaks without, a collector for one"
    )
    importing.add_argument(
        "--declare", action="store_true", help="make a bare entity of each name that only tables have"
    )
    show = actions.add_parser("show", help="print what is known of a target")
    show.set_defaults(run=_show)
    show.add_argument("ref", metavar="REF", help="[kind:][namespace/]name")
    show.add_argument("--file", metavar="FILE", type=Path, help="a catalog's file (default: the catalog in force)")


async def _import(args: argparse.Namespace) -> int:
    as_of = read_instant("--as-of", args.as_of)
    if as_of is not None and datetime.fromisoformat(as_of) > datetime.now(UTC):
        raise DocumentError(f"--as-of {as_of} is to come: facts are as old as when somebody looked")
    files = (InputFile(path.as_posix(), read_file(path), as_of or _changed(path)) for path in args.files)
    soft = frozenset(normalize(name) for name in args.soft_to)
    found = import_catalog(files, ImportOptions(graph=args.graph, soft_to=soft, declare=args.declare))
    try:
        args.output.write_bytes(found.text)
    except OSError as error:
        raise DocumentError(f"file {args.output} cannot be written: {error.strerror}") from None
    print("\n".join(visible(line) for line in found.report.lines()))
    print(f"{args.output}: {len(found.catalog.entities)} entities, {len(found.text)} bytes")
    return exits.OK


def _changed(path: Path) -> str:
    changed = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    return instant_text(min(changed, datetime.now(UTC).replace(microsecond=0)))


async def _show(args: argparse.Namespace) -> int:
    catalog = read_catalog(read_file(args.file)) if args.file else await _in_force()
    entity = catalog.entity(args.ref)
    if entity is None:
        raise DocumentError(f"{normalize(args.ref)} is not in the catalog: an unknown target is the worst case")
    print("\n".join(visible(line) for line in entity_lines(catalog, entity)))
    return exits.OK


async def _in_force() -> Catalog:
    async with find_place().record() as database:
        if database is None:
            raise NotPublishedError(f"the catalog cannot be read: {NO_RECORD}")
        async with database.snapshot() as connection:
            digests = await Documents().digests_in_force(connection)
            if "catalog" not in digests:
                raise NotPublishedError("no catalog is in force: publish one with `countersign policy publish FILE`")
            body = await stored(connection, "catalog", digests["catalog"])
    return read_catalog(body)


def entity_lines(catalog: Catalog, entity: Entity) -> Iterator[str]:
    """What is known of an entity, what it resolves to, and what depends on it."""
    resolution, reach = catalog.resolution(entity.ref), catalog.reach(entity.ref)
    yield entity.ref
    yield f"resolves to: {', '.join(resolution.ids) or f'nothing, {resolution.reason}'}"
    yield f"environment: {entity.environment or 'not given'}"
    yield f"criticality: {entity.criticality or 'not given, the worst is assumed'}"
    yield f"units: {'not given' if entity.units is None else f'{entity.units:g}'}"
    yield f"failure domains: {', '.join(catalog.failure_domains_of(entity.ref)) or 'not given'}"
    yield f"part of: {', '.join(entity.part_of) or 'nothing'}"
    yield f"owner, who decides nothing: {_owner(catalog, entity)}"
    yield f"needs: {', '.join(catalog.graph.needs(entity.ref)) or 'nothing'}"
    yield "objectives: " + (", ".join(f"{i.name} {i.objective:g}" for i in catalog.objectives_of(entity.ref)) or "none")
    yield f"dependents: {reach.total}, {reach.hard} break with it, weight {reach.weight:g}, {reach.dangling} unknown"
    for item in reach.nearest:
        level = item.criticality or "criticality not given"
        yield f"  {item.ref}: {level}, {item.strength}, {item.distance} away"
    for number in entity.sources:
        source = catalog.sources[number]
        yield f"source: {source.file}, as of {source.as_of or 'an unknown instant'}, {source.digest}"


def _owner(catalog: Catalog, entity: Entity) -> str:
    if entity.owner is None:
        return "not given"
    party = catalog.parties.get(normalize(entity.owner, "group"))
    if party is None:
        return entity.owner
    members = {*party.members, *(item.ref for item in catalog.parties.values() if party.ref in item.groups)}
    return f"{party.name} ({party.ref}, {len(members)} members)"
