"""`outcomes`: what was predicted of actions against what became of them, from the record."""

import argparse
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from activities.outcomes import MOST, read_past
from cli import exits
from cli.arguments import Commands
from cli.item import listed, recorded
from cli.place import find_place
from policy.risk.outcomes import Past, Summary, summary
from policy.screens.neutral import visible


def register(commands: Commands) -> None:
    parser = commands.add_parser("outcomes", help="what was predicted of actions, and what became of them")
    parser.set_defaults(run=_outcomes)
    parser.add_argument(
        "--by", choices=("operation", "agent", "target"), default="operation", help="in groups of these"
    )
    parser.add_argument("--days", type=int, default=180, help="of the last days (default: 180)")
    parser.add_argument("--limit", type=int, default=MOST, help=f"the newest, at most so many (default: {MOST})")
    parser.add_argument("--json", action="store_true", help="print JSON")


async def _outcomes(args: argparse.Namespace) -> int:
    since = datetime.now(UTC) - timedelta(days=args.days)
    async with recorded(find_place(), "outcomes") as database, database.snapshot() as connection:
        past = await read_past(connection, since, args.limit)
    groups: dict[str, list[Past]] = defaultdict(list)
    for one in past:
        groups[str(getattr(one, args.by))].append(one)
    found = [summary(name, members) for name, members in groups.items()]
    found.sort(key=lambda one: (one.score if one.score is not None else 101, one.name))
    if args.json:
        print(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
    else:
        rows = [{args.by: one.name, **_shown(one)} for one in found]
        print(listed(rows, "nothing that was done has ended in this time", wide=visible))
    return exits.OK


def _shown(one: Summary) -> dict[str, str]:
    """One group in words, the score first: what went worst is read first."""
    score = "nothing was measured" if one.score is None else f"{one.score} of 100"
    rate = "" if one.failure_rate is None else f"{one.failure_rate:.0%}, predicted {one.predicted_failure:.0%}"
    return {
        "actions": f"{one.actions}, of which {one.counted} count" + (f", {one.amended} amended" if one.amended else ""),
        "change score": score,
        "failed": rate,
        "took": _against(one.took_seconds, one.predicted_seconds, "at most"),
        "undo took": _against(one.undo_seconds, one.predicted_undo_seconds, "at worst"),
        "affected": f"{one.affected} ids, predicted {one.predicted_affected}",
        "detected": "" if one.detected_seconds is None else f"after {one.detected_seconds:.1f} s",
    }


def _against(actual: float | None, predicted: float | None, word: str) -> str:
    if actual is None:
        return ""
    return f"{actual:.1f} s" + (f", {word} {predicted:.0f} s were predicted" if predicted is not None else "")
