"""`halt`: stop everything, or one environment. `halt release`: let it go on, which takes two people. `halt list`.

1. Before it asks for confirmation it says what a halt does to each action that is open; `--dry-run` ends there.
2. The statement is signed with a key of the directory, and written to the record where `COUNTERSIGN_HALT_DATABASE_URL`
   says how: it is in force then, whether Temporal answers or not. Without that address it goes through Temporal.
3. A halt that was written is on the ledger once its workflow ran, which the sweep starts where nobody else does.
"""

import argparse
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import insert
from temporalio.service import RPCError

from activities.connection import TemporalUnavailableError
from activities.database import Database
from activities.documents import Documents
from activities.halt_proofs import Releases
from activities.halting import halt_row
from activities.halts import open_halts
from activities.in_flight import states
from activities.tables_halts import HaltRow
from cli import exits
from cli.arguments import Commands
from cli.confirming import confirms, refuse_unattended
from cli.halting import add_statement, begin, refusal, release, sign, state_lines, terms
from cli.place import NO_RECORD, Place, find_place
from policy.errors import DocumentError
from policy.halting import HaltFact, receive_halt
from policy.people.directory import Directory
from policy.screens.neutral import visible


def register(commands: Commands) -> None:
    parser = commands.add_parser("halt", help="stop everything; two people let it go on")
    parser.set_defaults(run=_halt)
    add_statement(parser, "why everything has to stop")
    parser.add_argument("--environment", metavar="NAME", help="only this environment")
    parser.add_argument("--dry-run", action="store_true", help="say what it would do to what is open, and end")
    actions = parser.add_subparsers(metavar="ACTION")
    ends = actions.add_parser("release", help="sign that a halt ends")
    ends.set_defaults(run=_release)
    ends.add_argument("halt_id", metavar="HALT", help="which one, as `halt list` shows it")
    add_statement(ends, "why it may go on")
    listed = actions.add_parser("list", help="the halts that are in force")
    listed.set_defaults(run=_list)
    listed.add_argument("--json", action="store_true", help="print JSON")


async def _halt(args: argparse.Namespace) -> int:
    place = find_place()
    halts, found, directory = await _known(place, args.environment)
    where = f"environment {args.environment}" if args.environment else "everything"
    print("\n".join(_effect_lines(where, found, halts)))
    if args.dry_run:
        return exits.OK
    refuse_unattended("countersign halt --dry-run", confirmed=args.yes)
    halt_id = f"halt-{uuid4().hex}"
    value = {**terms(args, directory), "verb": "halt", "halt_id": halt_id}
    if args.environment:
        value["environment"] = args.environment
    statement, person = await sign(args, value, directory)
    if not args.yes and not confirms(f"halt {where} as {person}?", "halt"):
        return exits.FAILED
    written = await _write(place, statement, person)
    answer = await _tell(place, halt_id, statement, written=written)
    print(f"{where} is halted: {halt_id}" if written or answer.get("placed") else refusal(answer))
    if written and not answer.get("placed"):
        print("it is in force; Temporal did not answer, so the ledger has it once the sweep runs")
    return exits.OK if written or answer.get("placed") else exits.REFUSED


async def _release(args: argparse.Namespace) -> int:
    place = find_place()
    halts, found, directory = await _known(place, None)
    halt = next((item for item in halts if item.halt_id == args.halt_id), None)
    if halt is None:
        raise DocumentError(f"no halt {args.halt_id} is in force: `countersign halt list` shows those that are")
    waits = sum(item["count"] for item in found if item["state"] == "waiting")
    print(visible(halt.says))
    print(f"{waits} approved actions wait; they are checked again and begin once it is released")
    refuse_unattended("countersign halt list", confirmed=args.yes)
    return await release(args, place, args.halt_id, directory)


async def _list(args: argparse.Namespace) -> int:
    halts, _, _ = await _known(find_place(), None)
    if args.json:
        print(json.dumps([item.model_dump(mode="json") for item in halts], indent=2))
    else:
        print("\n".join(visible(f"{item.halt_id}: {item.says}") for item in halts) or "nothing is halted")
    return exits.OK


async def _known(place: Place, environment: str | None) -> tuple[tuple[HaltFact, ...], list[dict[str, Any]], Directory]:
    """The halts in force, what is open, and the directory in force."""
    async with place.record() as database:
        if database is None:
            raise DocumentError(f"a halt is a row of the record: {NO_RECORD}")
        async with database.snapshot() as connection:
            documents = Documents()
            in_force = await documents.in_force(connection)
            return (
                await open_halts(connection, Releases(documents)),
                await states(connection, environment),
                in_force.directory,
            )


def _effect_lines(where: str, found: list[dict[str, Any]], halts: tuple[HaltFact, ...]) -> list[str]:
    says = f"a halt of {where}: nothing begins until two people release it; approvals may still be given"
    return [*(visible(f"already in force: {item.says}") for item in halts), says, *state_lines(found)]


async def _write(place: Place, statement: dict[str, Any], person: str) -> bool:
    """Write the halt to the record, where an address for that is known; whether it is there."""
    url = place.settings.halt_database_url
    if url is None:
        return False
    database = Database(url, pool_size=1, application="countersign-halt")
    try:
        async with database.transaction() as connection:
            row = halt_row(receive_halt(statement), statement, person, datetime.now(UTC))
            await connection.execute(insert(HaltRow), row)
    finally:
        await database.close()
    return True


async def _tell(place: Place, halt_id: str, statement: dict[str, Any], *, written: bool) -> dict[str, Any]:
    """Start the workflow of a halt, and what it says of it; nothing where it does not answer and the halt is there.

    Raises:
        TemporalUnavailableError: it does not answer, and nothing is halted.
    """
    try:
        return await begin(await place.client(), halt_id, statement)
    except (TemporalUnavailableError, RPCError, TimeoutError) as error:
        if written:
            return {}
        raise TemporalUnavailableError(
            f"nothing is halted: temporal does not answer ({error}); give COUNTERSIGN_HALT_DATABASE_URL to halt "
            f"without it"
        ) from error
