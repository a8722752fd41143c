"""`simulate --policy FILE`: what a candidate policy would have said of proposals or of past actions. Changes nothing.

The other documents are those in force, unless files are given. Past actions bring their own, in their audit files.
"""

import argparse
import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from activities.documents import READERS, Documents, InForce, Kind, NotPublishedError
from cli import exits
from cli.arguments import Commands
from cli.documents import read_file
from cli.place import NO_RECORD, find_place
from policy.audit import MAX_FILE_BYTES, read_audit_file
from policy.canonical import parse_json
from policy.checks.simulation import PastAction, Simulated, Simulation, past_action, simulate
from policy.document import read_policy
from policy.errors import CountersignError, DocumentError
from policy.facts import collect
from policy.observed import Observed
from policy.proposal import receive
from policy.screens.neutral import visible
from policy.supposing import supposed

_SHOWN = 20


def register(commands: Commands) -> None:
    parser = commands.add_parser(
        "simulate", help="say what a candidate policy would have said, without touching anything"
    )
    parser.set_defaults(run=_simulate)
    parser.add_argument("--policy", metavar="FILE", type=Path, required=True, help="the candidate")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--actions", metavar="FILE", type=Path, nargs="+", help="proposals, as JSON or a JSON line each"
    )
    source.add_argument("--history", metavar="DIR", type=Path, help="a directory of audit files, such as the archive")
    for kind in ("operations", "catalog", "directory"):
        parser.add_argument(
            f"--{kind}", metavar="FILE", type=Path, help=f"the {kind}, with --actions (default: in force)"
        )
    parser.add_argument("--baseline", metavar="FILE", type=Path, help="the policy to compare with (default: in force)")
    parser.add_argument("--at", type=datetime.fromisoformat, help="the instant to judge proposals at (default: now)")
    parser.add_argument("--json", action="store_true", help="print JSON")


async def _simulate(args: argparse.Namespace) -> int:
    candidate = read_policy(await _bytes(args.policy))
    skipped: list[tuple[str, str]] = []
    if args.history is not None:
        actions = [action async for action in _history(args.history, skipped)]
    else:
        actions = await _proposals(args, skipped)
    found = await asyncio.to_thread(simulate, candidate, actions, skipped)
    print(
        json.dumps(_as_json(found), indent=2)
        if args.json
        else "\n".join(report(found, observed=args.history is not None))
    )
    return exits.OK


async def _history(folder: Path, skipped: list[tuple[str, str]]) -> Any:
    paths = await asyncio.to_thread(lambda: sorted(path for path in folder.rglob("*.json") if path.is_file()))
    if not paths:
        raise DocumentError(
            f"directory {folder} has no audit files (*.json): write some with `countersign audit export`"
        )
    for path in paths:
        try:
            yield past_action(read_audit_file(await _bytes(path, MAX_FILE_BYTES)))
        except (CountersignError, ValueError) as error:
            skipped.append((str(path), str(error)))


async def _proposals(args: argparse.Namespace, skipped: list[tuple[str, str]]) -> list[PastAction]:
    documents = await _documents(args)
    at = args.at or datetime.now(UTC)
    if at.tzinfo is None:
        raise DocumentError(f"--at {args.at} has no offset, write it like 2030-01-31T09:00:00+00:00")
    observed = Observed(at=at, catalog_at=at, directory_at=documents["directory"].true_at(at))
    found = []
    for path in args.actions:
        for where, value in _values(path, await _bytes(path)):
            try:
                proposal = receive(value).proposal
            except CountersignError as error:
                skipped.append((where, str(error)))
                continue
            facts = collect(
                proposal,
                catalog=documents["catalog"],
                directory=documents["directory"],
                registry=documents["operations"],
                observed=observed.model_copy(
                    update={"resolution": supposed(proposal, documents["catalog"], documents["operations"], at)}
                ),
            )
            found.append(
                PastAction(proposal.proposal_id, at, proposal, facts, documents["policy"], documents["directory"])
            )
    return found


def _values(path: Path, body: bytes) -> Iterator[tuple[str, Any]]:
    """The proposals of a file: one JSON value, a list of them, or one a line."""
    lines = [line for line in body.splitlines() if line.strip()]
    if path.suffix == ".jsonl":
        yield from ((f"{path}:{number}", parse_json(line)) for number, line in enumerate(lines, start=1))
        return
    value = parse_json(body, MAX_FILE_BYTES)
    items = value if isinstance(value, list) else [value]
    yield from ((f"{path} [{number}]" if len(items) > 1 else str(path), item) for number, item in enumerate(items))


async def _documents(args: argparse.Namespace) -> dict[str, Any]:
    given: dict[Kind, Path | None] = {
        "policy": args.baseline,
        "operations": args.operations,
        "catalog": args.catalog,
        "directory": args.directory,
    }
    found: dict[str, Any] = {kind: READERS[kind](await _bytes(path)) for kind, path in given.items() if path}
    if len(found) < len(given):
        in_force = await _in_force()
        found = {kind: found.get(kind, getattr(in_force, kind)) for kind in given}
    return found


async def _in_force() -> InForce:
    async with find_place().record() as database:
        if database is None:
            raise NotPublishedError(f"the documents in force cannot be read: {NO_RECORD}; give each as a file")
        async with database.snapshot() as connection:
            return await Documents().in_force(connection)


async def _bytes(path: Path, limit: int = 64 * 1024 * 1024) -> bytes:
    body = await asyncio.to_thread(read_file, path)
    if len(body) > limit:
        raise DocumentError(f"file {path} has {len(body)} bytes, at most {limit} are read")
    return body


def report(found: Simulation, *, observed: bool) -> list[str]:
    """A simulation for people. `observed` says whether the facts are those of past actions."""
    total, changed, stuck = len(found.actions), len(found.changed), len(found.stuck)
    lines = [f"{total} actions, {changed} with another answer, {stuck} that nobody could approve"]
    if not observed:
        lines.append("judged by the documents alone: no history, no holds, nothing in flight")
    for (before, after), count in sorted(found.verdicts.items()):
        lines.append(f"  {count:>5}  {before} -> {after}" if before != after else f"  {count:>5}  {before}")
    lines += _section(
        "approvals more (or less) than before, by group and day",
        [f"{count:>+5}  {visible(group)}  {day}" for (group, day), count in found.extra.items()],
    )
    lines += _section(
        "would have been stopped",
        [f"{visible(item.name)}: ended as {item.outcome or 'not run'}; {_why(item)}" for item in found.stopped],
    )
    lines += _section("nobody could approve", [f"{visible(item.name)}: {visible(item.stuck)}" for item in found.stuck])
    stale = [f"{visible(item.name)}: {visible(item.stale)}" for item in found.actions if item.stale]
    lines += _section("would get no permit", stale)
    lines += _section(
        "another answer",
        [
            f"{visible(item.name)}: {_said(item, after=False)} -> {_said(item, after=True)}; {_why(item)}"
            for item in found.changed
        ],
    )
    return lines + _section("not judged", [f"{visible(name)}: {visible(why)}" for name, why in found.skipped])


def _section(title: str, lines: list[str]) -> list[str]:
    if not lines:
        return []
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return ["", f"{title}:", *(f"  {line}" for line in lines[:_SHOWN]), *more]


def _said(item: Simulated, *, after: bool) -> str:
    found = item.after if after else item.before
    return f"{found.verdict} ({visible(found.chain_name)})" if found.chain_name else str(found.verdict)


def _why(item: Simulated) -> str:
    return visible(item.after.reasons[0].message) if item.after.reasons else "no reason"


def _as_json(found: Simulation) -> dict[str, Any]:
    return {
        "actions": [
            {
                "proposal_id": item.name,
                "at": item.at.isoformat(),
                "before": item.before.model_dump(mode="json"),
                "after": item.after.model_dump(mode="json"),
                "changed": item.changed,
                "stopped": item.stopped,
                "outcome": item.outcome or None,
                "stuck": item.stuck or None,
                "stale": item.stale or None,
            }
            for item in found.actions
        ],
        "verdicts": [{"before": a, "after": b, "count": count} for (a, b), count in sorted(found.verdicts.items())],
        "extra_approvals": [
            {"group": group, "day": day, "count": count} for (group, day), count in found.extra.items()
        ],
        "skipped": [{"what": name, "why": why} for name, why in found.skipped],
    }
