"""`operations import`, `operations show`: the operations registry."""

import argparse
import sys
from pathlib import Path

import yaml

from activities.documents import Documents, NotPublishedError
from cli import exits
from cli.arguments import Commands
from cli.place import NO_RECORD, find_place
from cli.policy import read_file
from policy.errors import DocumentError
from policy.importing.aws_levels import import_levels
from policy.importing.entries import ImportedOperations, operation_name
from policy.importing.mcp import import_tools
from policy.operations import OperationsRegistry, read_operations, unknown
from policy.screens.neutral import visible

SHIPPED = Path(__file__).parents[1] / "operations"
_NAME_LIMIT = 40


def register(commands: Commands) -> None:
    parser = commands.add_parser("operations", help="import and show what operations do")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    importing = actions.add_parser("import", help="make registry entries from what others say of their tools")
    importing.set_defaults(run=_import)
    importing.add_argument("file", metavar="FILE", type=Path, help="JSON: an answer to tools/list, or access levels")
    importing.add_argument("--from", dest="source", choices=("mcp", "aws"), required=True, help="what the file is")
    importing.add_argument("--name", help="what the server is called (default: the file's name)")
    importing.add_argument("--executor", help="who carries the operations out (default: mcp or aws)")
    importing.add_argument(
        "--output", metavar="PATH", type=Path, help="where the registry goes (default: standard output)"
    )
    show = actions.add_parser("show", help="print what is known of an operation, and what of it is assumed")
    show.set_defaults(run=_show)
    show.add_argument("name", metavar="NAME", help="an operation, like postgres.parameter.set")
    show.add_argument("--file", metavar="FILE", type=Path, help="a registry (default: the one in force)")
    show.add_argument("--shipped", action="store_true", help="look in the registries that ship")


async def _import(args: argparse.Namespace) -> int:
    body = read_file(args.file)
    name = args.name or args.file.stem
    if operation_name(("x", name)) is None or len(name) > _NAME_LIMIT:
        raise DocumentError(f"name {name[:80]!r} makes no operation name: give --name with letters, digits and `_`")
    found = _read(args, body, name)
    text = found.text(f"{args.source}-{_plain(name)}")
    if found.entries:
        read_operations(text.encode())
    report = sys.stderr if args.output is None else sys.stdout
    report.writelines(f"{visible(line)}\n" for line in found.lines())
    if not found.entries:
        raise DocumentError(f"{args.file}: nothing in it could be imported")
    if args.output is None:
        print(text, end="")
    else:
        _write(args.output, text)
        print(f"{args.output}: read every entry, add what undoes it, and publish it with the registry in force")
    return exits.OK


def _read(args: argparse.Namespace, body: bytes, name: str) -> ImportedOperations:
    executor = args.executor or args.source
    try:
        return import_tools(body, name, executor) if args.source == "mcp" else import_levels(body, executor)
    except DocumentError as error:
        raise DocumentError(f"{args.file}: {error}") from None


def _plain(name: str) -> str:
    return "".join(char if char.isascii() and char.isalnum() else "-" for char in name).strip("-") or "tools"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise DocumentError(f"file {path} cannot be written: {error.strerror}") from None


async def _show(args: argparse.Namespace) -> int:
    known = (await _registry(args)).find(args.name)
    if known is None:
        print(f"# {visible(args.name)} is not registered: the worst is assumed")
    try:
        shown = (known or unknown(args.name)).model_dump(mode="json", exclude_defaults=True, by_alias=True)
    except ValueError:
        raise DocumentError(f"operation {args.name[:100]!r} is no dotted name, like postgres.parameter.set") from None
    print(yaml.safe_dump(shown, sort_keys=False, width=110, allow_unicode=False), end="")
    return exits.OK if known is not None else exits.FAILED


async def _registry(args: argparse.Namespace) -> OperationsRegistry:
    if args.shipped:
        return read_operations(b"---\n".join(read_file(path) for path in sorted(SHIPPED.glob("*.yaml"))))
    if args.file is not None:
        return read_operations(read_file(args.file))
    async with find_place().record() as database:
        if database is None:
            raise NotPublishedError(f"no registry can be read: {NO_RECORD}; or give --file or --shipped")
        async with database.snapshot() as connection:
            return (await Documents().in_force(connection)).operations
