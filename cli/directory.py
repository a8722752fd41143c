"""`directory import`, `directory show`: bring in who is who from elsewhere, and ask who held what at a time.

What was in force at a time is in the record, so that an answer is as good years later as it was then.
"""

import argparse
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from activities.documents import NotPublishedError, Publication, in_force_at, stored
from cli import exits
from cli.arguments import Commands
from cli.documents import add_instant, instant, read_file
from cli.place import NO_RECORD, find_place
from policy.base import instant_text
from policy.errors import CountersignError, DocumentError
from policy.importing.directories import import_directory
from policy.people.directory import Delegation, Directory, Person, read_directory
from policy.people.entries import within
from policy.people.facts import PersonFacts
from policy.proofs import Assurance
from policy.screens.neutral import visible
from signing.delegations import read_proved_directory


class NobodyError(CountersignError):
    """The directory of that time has nobody of that name."""


def register(commands: Commands) -> None:
    parser = commands.add_parser("directory", help="import people, and show who held what at a time")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    importing = actions.add_parser("import", help="make a directory of what an identity provider says of people")
    importing.set_defaults(run=_import)
    importing.add_argument("files", metavar="FILE", type=Path, nargs="+", help="JSON: SCIM resources, or claim sets")
    importing.add_argument(
        "--from", dest="source", choices=("scim", "oidc-groups"), required=True, help="what they are"
    )
    importing.add_argument(
        "--base", metavar="FILE", type=Path, help="the directory that there is, to be kept up to date"
    )
    importing.add_argument("--output", metavar="FILE", type=Path, required=True, help="the directory to write")
    importing.add_argument(
        "--as-of", metavar="TIME", type=instant, help="when the files were true (default: when the oldest was changed)"
    )
    show = actions.add_parser("show", help="print who somebody was and what they held at a time")
    show.set_defaults(run=_show)
    show.add_argument("identity", metavar="IDENTITY", nargs="?", help="a person's id or alias, an agent, an account")
    show.add_argument("--group", metavar="NAME", help="everybody who was in this group instead")
    show.add_argument("--role", metavar="NAME", help="everybody who had this role instead")
    show.add_argument("--file", metavar="FILE", type=Path, help="this directory instead of the one that was in force")
    add_instant(show, "the instant")


async def _import(args: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    as_of = args.as_of or min(datetime.fromtimestamp(int(path.stat().st_mtime), UTC) for path in _there(args.files))
    if as_of > now:
        raise DocumentError(f"--as-of {instant_text(as_of)} is to come: people are as they were when somebody looked")
    base = read_directory(read_file(args.base)) if args.base else None
    found = import_directory(args.source, [(path.as_posix(), read_file(path)) for path in args.files], base, as_of)
    try:
        args.output.write_bytes(found.text)
    except OSError as error:
        raise DocumentError(f"file {args.output} cannot be written: {error.strerror}") from None
    print("\n".join(visible(line) for line in found.report.lines()))
    print(f"{args.output}: {len(found.directory.people)} people as of {instant_text(as_of)}; read it, then publish it")
    return exits.OK


def _there(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_file():
            raise DocumentError(f"file {path} cannot be read: no such file")
        yield path


async def _show(args: argparse.Namespace) -> int:
    chosen = [name for name in (args.identity, args.group, args.role) if name is not None]
    if len(chosen) != 1:
        raise DocumentError("give an identity, --group or --role, and one of them only")
    directory, where = await _then(args)
    if args.identity is not None:
        lines = identity_lines(directory, args.identity, args.at)
    else:
        lines = holder_lines(directory, args.at, group=args.group, role=args.role)
    print("\n".join(visible(line) for line in (f"at {instant_text(args.at)}, by {where}", *lines)))
    return exits.OK


async def _then(args: argparse.Namespace) -> tuple[Directory, str]:
    """The directory that counted at an instant, and what it is.

    Raises:
        NotPublishedError: none was in force.
        DocumentError: a file cannot be read.

    """
    if args.file:
        return read_proved_directory(read_file(args.file)), f"the file {args.file}"
    async with find_place().record() as database:
        if database is None:
            raise NotPublishedError(f"who was in force cannot be read: {NO_RECORD}; or give --file")
        async with database.snapshot() as connection:
            published = (await in_force_at(connection, args.at)).get("directory")
            if published is None:
                raise NotPublishedError(f"no directory was in force at {instant_text(args.at)}: the first came later")
            body = await stored(connection, "directory", published.digest)
    return read_proved_directory(body), _named(published)


def _named(item: Publication) -> str:
    said = f"published by {item.published_by} at {instant_text(item.published_at)}"
    return f"{item.name} {item.version}, {said}, {item.digest}"


def holder_lines(directory: Directory, at: datetime, *, group: str | None, role: str | None) -> Iterator[str]:
    """Everybody who had a group or a role at an instant, and since when."""
    people = directory.population(at, groups=(group,) if group else (), roles=(role,) if role else ())
    what = f"group {group}" if group else f"role {role}"
    holders = [person for person in people if (group in person.groups if group else role in person.roles)]
    yield f"{what}: {len(holders)} people"
    yield from (f"  {person.person_id}{_since(person, what)}" for person in holders)
    if group and (on_call := directory.on_call(group, at)):
        yield f"on call: {on_call}, next {directory.next_on_call(group, at) or 'nobody'}"


def identity_lines(directory: Directory, identity: str, at: datetime) -> Iterator[str]:
    """Who an identity was at an instant, and what they held.

    Raises:
        NobodyError: it is nobody's.
    """
    agent = directory.agent(identity)
    if agent is not None:
        yield f"{agent.id} is an agent: it never decides"
        yield f"owner: {agent.owner}"
        yield f"runs by the schedule of: {', '.join(agent.scheduled_by) or 'nobody'}"
        return
    person_id = directory.behind(identity)
    if person_id is None:
        raise NobodyError(f"{identity} is nobody in this directory")
    if directory.resolve(identity) is None:
        yield f"{identity} is a service account: it never decides"
        yield f"owner: {person_id}"
        return
    person = next(item for item in directory.people if item.id == person_id)
    yield f"{person.id}{f' ({person.name})' if person.name else ''}"
    yield f"identities: {', '.join((person.id, *person.aliases))}"
    facts = directory.facts(identity, at)
    if facts is None:
        yield f"was not there{_bounds(person)}, and was nobody then"
        return
    yield f"there{_since(facts, 'person')}"
    yield from _held(facts)
    yield f"team: {person.team or 'not given'}"
    yield f"reports to: {', '.join(facts.managers) or 'nobody'}"
    on_call = [item.group for item in directory.rotations if directory.on_call(item.group, at) == person.id]
    yield f"on call for: {', '.join(on_call) or 'nobody'}"
    for item in directory.delegations:
        if person.id in (item.delegate, item.delegator) and within(item.since, item.until, at):
            yield _delegation(item, directory.shown(item))


def _held(facts: PersonFacts) -> Iterator[str]:
    groups = [f"{name}{_since(facts, f'group {name}')}" for name in facts.groups]
    roles = [f"{name}{_since(facts, f'role {name}')}" for name in facts.roles]
    yield f"groups: {', '.join(groups) or 'none'}"
    yield f"roles: {', '.join(roles) or 'none'}"
    yield f"qualifications: {', '.join(facts.qualifications) or 'none'}"


def _since(facts: PersonFacts, what: str) -> str:
    since = facts.since.get(what)
    return f" since {instant_text(since)}" if since is not None else " since nobody says when"


def _bounds(person: Person) -> str:
    ends = [(" before ", person.since), (" from ", person.until)]
    return " and".join(f"{word}{instant_text(at)}" for word, at in ends if at is not None)


def _delegation(item: Delegation, shown: Assurance | str) -> str:
    lists = (("groups", item.groups), ("environments", item.environments), ("tiers", item.tiers))
    scope = "; ".join(f"{what} {', '.join(names)}" for what, names in lists if names is not None)
    said = f"{item.delegate} decides for {item.delegator} until {instant_text(item.until)}"
    proof = f"signed, {shown}" if isinstance(shown, Assurance) else f"for claimed votes only: {shown}"
    return f"{said}{f', within {scope}' if scope else ''}: {item.reason} ({proof})"
