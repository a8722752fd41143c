"""`list`: the actions that wait, as Temporal's visibility knows them. It lags; nothing is decided by it."""

import argparse
import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from temporalio.client import WorkflowExecution
from temporalio.service import RPCError

from activities.connection import TemporalUnavailableError
from activities.documents import Documents
from activities.halt_proofs import Releases
from activities.halts import open_halts
from cli import exits, render
from cli.arguments import Commands
from cli.page import page_width
from cli.place import Place, find_place
from policy import search_attributes
from policy.base import instant_text
from policy.errors import CountersignError
from policy.halting import HaltFact, halts_on, said_of
from policy.lifecycle import State
from workflows import interface

_QUOTABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}")


class QueryError(CountersignError):
    """A value cannot be part of a visibility query."""


def register(commands: Commands) -> None:
    parser = commands.add_parser("list", help="the actions that wait for people")
    parser.set_defaults(run=_list)
    parser.add_argument("--group", help="only those that this group could answer")
    parser.add_argument("--denied-by", help="only those whose effect this person denied before")
    parser.add_argument("--all", action="store_true", help="closed ones, too")
    parser.add_argument("--limit", type=int, default=100, help="at most so many (default: 100)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def query(group: str | None, *, everything: bool, denied_by: str | None = None) -> str:
    """The visibility query.

    Raises:
        QueryError: the group or the person cannot be a name.

    """
    parts = [f"WorkflowType = '{interface.WORKFLOW_TYPE}'"]
    if not everything:
        parts += [
            "ExecutionStatus = 'Running'",
            f"{search_attributes.STATE} IN ('{State.pending}', '{search_attributes.QUEUED}')",
        ]
    named = ("group", group, search_attributes.WAITING_GROUPS), ("person", denied_by, search_attributes.DENIED_BY)
    for what, name, attribute in named:
        if name is None:
            continue
        if not _QUOTABLE.fullmatch(name):
            raise QueryError(f"{what} `{name[:100]}` is no name: letters, digits and . _ : / @ -")
        parts.append(f"{attribute} = '{name}'")
    return " AND ".join(parts)


async def _list(args: argparse.Namespace) -> int:
    place = find_place()
    client, halts = await place.client(), await _halts(place)
    wanted = query(args.group, everything=args.all, denied_by=args.denied_by)
    try:
        rows = [row(found) async for found in client.list_workflows(wanted, limit=args.limit)]
    except (RPCError, ValueError) as error:
        raise TemporalUnavailableError(
            f"temporal cannot list ({error}): run `countersign setup` to register the search attributes, "
            f"and unpause paused workflows"
        ) from error
    rows = [{**one, **_halted(halts_on(halts, one["environment"] or None))} for one in rows]
    shown = [line for halt in halts for line in render.halted(_halted((halt,)))]
    print(json.dumps(rows, indent=2) if args.json else "\n".join([*shown, render.pending(rows, page_width())]))
    return exits.OK


def _halted(halts: Sequence[HaltFact]) -> dict[str, str]:
    said = said_of(halts)
    return {"halted": said} if said else {}


async def _halts(place: Place) -> tuple[HaltFact, ...]:
    """The halts in force, where there is a record to ask."""
    async with place.record() as database:
        if database is None:
            return ()
        async with database.snapshot() as connection:
            return await open_halts(connection, Releases(Documents()))


def row(found: WorkflowExecution) -> dict[str, str]:
    """The search attributes of one action as texts."""
    attributes = found.search_attributes
    names = {
        "state": search_attributes.STATE,
        "tier": search_attributes.TIER,
        "target": search_attributes.TARGET,
        "environment": search_attributes.ENVIRONMENT,
        "waits for": search_attributes.WAITING_GROUPS,
        "next deadline": search_attributes.NEXT_DEADLINE,
        render.DENIED_BEFORE: search_attributes.DENIED_BY,
    }
    texts = {label: ", ".join(_text(item) for item in attributes.get(name, ())) for label, name in names.items()}
    return {"id": found.id.removeprefix(interface.workflow_id("")), **texts}


def _text(value: Any) -> str:
    return instant_text(value) if isinstance(value, datetime) else str(value)
