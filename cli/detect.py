"""`detect`: what was done to a target without a permit that allows it, by the target's own audit trail.

It reads a file and the record, and changes neither; what the schedule finds is in the ledger as well. Every violation
is one line; the exit code is that of an audit that found something. What somebody stated to have been done outside at
that time on that target is said below it: it is a violation all the same.
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from activities.detecting import detected
from activities.documents import Documents
from activities.outside import stated_outside
from activities.trails.kinds import KINDS, Looked, TrailError, TrailSource
from cli import exits
from cli.arguments import Commands
from cli.outside import outside_said
from cli.place import NO_RECORD, find_place
from policy.base import instant_text
from policy.outside import Happened
from policy.screens.neutral import visible
from policy.trails import Finding


def register(commands: Commands) -> None:
    parser = commands.add_parser("detect", help="hold a target's own audit trail against the permits of the record")
    parser.set_defaults(run=_detect)
    parser.add_argument("--target", metavar="RESOURCE", required=True, help="resource id of the catalog")
    parser.add_argument("--trail", metavar="FILE", type=Path, help="file or folder (default: COUNTERSIGN_TRAILS_FILE)")
    parser.add_argument("--kind", choices=sorted(KINDS), help="what the trail is (default: that of the setting)")
    parser.add_argument("--since", metavar="TIME", type=_instant, help="leave out what is older (2030-01-31T09:00:00Z)")
    parser.add_argument(
        "--own", metavar="NAME", action="append", help="whose changes are not looked at; may be repeated"
    )
    parser.add_argument(
        "--all-statements", action="store_true", help="the log has every statement of every role that could act"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


async def _detect(args: argparse.Namespace) -> int:
    place = find_place()
    source = _source(args, place.settings.trails.get(args.target))
    async with place.record() as record:
        if record is None:
            raise TrailError(NO_RECORD)
        findings, looked = await detected(record, args.target, source, args.since)
        async with record.snapshot() as connection:
            stated = await stated_outside(connection, Documents(), [_happened(finding) for finding in findings])
    told = [(finding, outside_said(stated.get(_happened(finding), ()))) for finding in findings]
    if args.json:
        known = [{**finding.content, **({"stated_outside": said} if said else {})} for finding, said in told]
        print(json.dumps(known, indent=2))
    else:
        for finding, said in told:
            print("\n".join([_line(finding), *(f"  {one}" for one in said)]))
        sys.stderr.write(_summary(args.target, findings, looked))
    return exits.INCONSISTENT if findings else exits.OK


def _source(args: argparse.Namespace, known: TrailSource | None) -> TrailSource:
    """The trail that is meant: that of the settings, with what the command line says otherwise."""
    if args.trail is None and known is None:
        raise TrailError(f"no trail of {args.target} is known: name one with --trail, or in COUNTERSIGN_TRAILS_FILE")
    kind = args.kind or (known.kind if known is not None else "postgres")
    given = known.model_dump() if known is not None and known.kind == kind else {"kind": kind, "path": ""}
    if args.trail is not None:
        given["path"] = str(args.trail)
    if args.own:
        given["own"] = args.own
    if args.all_statements:
        given["all_statements"] = True
    return TrailSource.model_validate(given)


def _line(finding: Finding) -> str:
    trail = finding.content["trail"]
    known = [f"{name} {trail[name]}" for name in ("target", "permit_id", "why", "evidence") if name in trail]
    who = trail.get("actor", "nobody")
    return visible(f"{trail['at']} {finding.sign} {trail.get('operation', '-')} by {who}: {'; '.join(known)}")


def _happened(finding: Finding) -> Happened:
    return Happened(finding.resource, finding.target, finding.at)


def _summary(resource: str, findings: tuple[Finding, ...], looked: Looked) -> str:
    if looked.covers is None:
        return f"{resource}: the trail says nothing: is this its file, and is its log_timezone UTC?\n"
    span = " to ".join(map(instant_text, looked.covers))
    open_ones = f", {looked.unanswered} requests without an answer" if looked.unanswered else ""
    counted = f"{len(looked.effects)} changes, {len(findings)} violations"
    return f"{resource}: {counted}; the trail goes from {span}{open_ones}\n"


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"`{text[:40]}` is no instant with a zone: write 2030-01-31T09:00:00Z")
    return found.astimezone(UTC)
