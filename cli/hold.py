"""`hold TARGET`: nothing is done on one target. `holds`: what is held, and why. `holds release`: one of two signatures.

1. Before it asks for confirmation `hold` says what it does to each action on the target; `--dry-run` ends there.
2. A hold is signed as a halt is, and goes to its workflow: without Temporal there is `halt`.
3. `holds` lists also what the record has as released and nothing shows that it was: the gate and the claims hold it all
   the same. It is asked here as they ask it, by the keys of issuers that the record has.
"""

import argparse
import json
import sys
from uuid import uuid4

from temporalio.service import RPCError

from activities.connection import TemporalUnavailableError
from activities.database import Database
from activities.documents import Documents
from activities.holding import OpenHold, read_open_holds
from activities.in_flight import states_on
from activities.issuer_keys import RecordedKeys
from activities.proving import Prover
from activities.releases import Releases, Standing
from cli import exits
from cli.arguments import Commands
from cli.confirming import confirms, refuse_unattended
from cli.halting import add_statement, begin, refusal, release, sign, state_lines, terms
from cli.item import listed, recorded
from cli.place import find_place
from cli.unresolved import who_may
from policy.base import instant_text
from policy.errors import DocumentError
from policy.screens.neutral import visible


def register(commands: Commands) -> None:
    parser = commands.add_parser("hold", help="put a target on hold; two people release it")
    parser.set_defaults(run=_hold)
    parser.add_argument("target", metavar="TARGET", help="which one, as the catalog names it")
    add_statement(parser, "why nothing is to be done there")
    parser.add_argument("--dry-run", action="store_true", help="say what it would do to what is open, and end")
    holds = commands.add_parser("holds", help="which targets are held, why, and who may release them")
    holds.set_defaults(run=_holds)
    holds.add_argument("--limit", type=int, default=100, help="at most so many (default: 100)")
    holds.add_argument("--json", action="store_true", help="print JSON")
    ends = holds.add_subparsers(metavar="ACTION").add_parser("release", help="sign that what a person held is free")
    ends.set_defaults(run=_release)
    ends.add_argument("halt_id", metavar="HOLD", help="which one, as `holds` shows it")
    add_statement(ends, "why it is free again")


async def _hold(args: argparse.Namespace) -> int:
    place = find_place()
    async with recorded(place, "targets") as database, database.snapshot() as connection:
        in_force = await Documents().in_force(connection)
        entity = in_force.catalog.entity(args.target)
        if entity is None:
            raise DocumentError(f"{args.target} is not in the catalog: `countersign catalog` shows what is")
        found = await states_on(connection, entity.ref)
    says = f"a hold on {entity.ref}: nothing is done there until two people release it, not even what repairs it"
    print("\n".join([says, *state_lines(found)]))
    if args.dry_run:
        return exits.OK
    refuse_unattended("countersign hold --dry-run", confirmed=args.yes)
    halt_id = f"hold-{uuid4().hex}"
    value = {**terms(args, in_force.directory), "verb": "halt", "halt_id": halt_id, "target": entity.ref}
    statement, person = await sign(args, value, in_force.directory)
    if not args.yes and not confirms(f"hold {entity.ref} as {person}?", "hold"):
        return exits.FAILED
    try:
        answer = await begin(await place.client(), halt_id, statement)
    except (TemporalUnavailableError, RPCError) as error:
        raise TemporalUnavailableError(
            f"nothing is held: temporal does not answer ({error}); `countersign halt` can halt without it"
        ) from error
    except TimeoutError:
        print(f"unknown: nobody answered yet, does a worker run? It is {halt_id}, look with `countersign holds`")
        return exits.UNKNOWN
    print(f"{entity.ref} is held: {halt_id}" if answer["placed"] else refusal(answer))
    return exits.OK if answer["placed"] else exits.REFUSED


async def _release(args: argparse.Namespace) -> int:
    place = find_place()
    async with recorded(place, "holds") as database, database.snapshot() as connection:
        directory = (await Documents().in_force(connection)).directory
        held = [one for one in await read_open_holds(connection, args.limit) if one.halt_id == args.halt_id]
    for one in held:
        print(visible(f"{one.target} is held since {instant_text(one.placed_at)} by {one.reason}"))
    refuse_unattended("countersign holds", confirmed=args.yes)
    return await release(args, place, args.halt_id, directory)


async def _holds(args: argparse.Namespace) -> int:
    place = find_place()
    async with recorded(place, "holds") as database:
        async with database.snapshot() as connection:
            holds = await read_open_holds(connection, args.limit)
        unshown, more = await _unshown(database, args.limit, claimed=True)
        proved, _ = await _unshown(database, args.limit, claimed=False)
    rows = [_row(hold) for hold in holds] + [_believed_by_nobody(one) for one in unshown]
    print(json.dumps(rows, indent=2) if args.json else listed(rows, "no target is under hold", wide=visible))
    if more:
        print(f"only the newest {args.limit} that were released were asked about: --limit says more", file=sys.stderr)
    doubted = {one.hold.hold_id for one in unshown}
    by_name = [one.hold.target for one in proved if one.hold.hold_id not in doubted]
    if by_name and not (place.settings.unsafe_claimed_identities or place.development):
        says = f"released by names alone, which is believed only where workers take them: {', '.join(by_name)}"
        print(visible(says), file=sys.stderr)
    return exits.OK


async def _unshown(database: Database, most: int, *, claimed: bool) -> tuple[tuple[Standing, ...], bool]:
    """What the record has as released and nothing shows that it was, and whether there is more to ask about.

    Args:
        database: the record.
        most: how many holds are asked about.
        claimed: whether names alone count, as they do where workers take them.
    """
    prover = Prover(accepts_claimed=claimed, issuer_keys=RecordedKeys(database))
    releases = Releases(Documents(), prover)

    async def ask() -> tuple[tuple[Standing, ...], bool]:
        async with database.snapshot() as connection:
            return await releases.unshown(connection, most)

    return await prover.with_keys(ask)


def _row(hold: OpenHold) -> dict[str, str]:
    return {
        "target": hold.target,
        "since": instant_text(hold.placed_at),
        "owner": hold.owner,
        "why": hold.reason,
        "left by": hold.proposal_id or "",
        "hold": hold.halt_id or "",
        "released by": _released_by(hold),
    }


def _believed_by_nobody(one: Standing) -> dict[str, str]:
    still = f": two people sign it with `countersign holds release {one.halt_id}`" if one.halt_id is not None else ""
    return {
        "target": one.hold.target,
        "since": instant_text(one.placed_at),
        "why": one.hold.reason,
        "left by": one.hold.proposal_id or "",
        "hold": one.halt_id or "",
        "released by": f"nobody believes its release on record{' just now' if one.passing else ''}{still}",
    }


def _released_by(hold: OpenHold) -> str:
    if hold.halt_id is not None:
        return f"two people who may, each with `countersign holds release {hold.halt_id}`"
    if hold.proposal_id is None:
        return "nobody: no action and no person left it"
    repair = f"an approved action that names remedies: {hold.proposal_id}, once it has succeeded"
    if hold.item is None:
        return repair
    return f"{who_may(hold.item)}, with `countersign resolve {hold.proposal_id}`; or {repair}"
