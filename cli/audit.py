"""`audit export ID` and `audit replay FILE…`: an action as one file, and checking such files offline.

Replaying needs no server and no database. What it prints is who did what, when, on which grounds, and a verdict: each
finding names the event or the ledger entry. Until checkpoints are signed, consistent is all that it can say.
"""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig

from activities.auditing import Audited, audit
from activities.encryption.keys import Keys
from activities.export import export_action, write_whole
from activities.settings_keys import read_codec_keys
from cli import audit_governance, exits, render, timeline
from cli.arguments import Commands, add_proposal_id
from cli.place import NO_RECORD, find_place
from policy.audit import VERDICT, ReadEntry
from policy.base import instant_text
from policy.canonical import digest
from policy.errors import AuditError
from policy.screens.neutral import visible
from worker import workflow_runner
from workflows.interface import workflow_id


def register(commands: Commands) -> None:
    parser = commands.add_parser("audit", help="export an action to a file, and check such files offline")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    export = actions.add_parser("export", help="write history, ledger and documents of an action to one file")
    export.set_defaults(run=_export)
    add_proposal_id(export)
    export.add_argument("-o", "--output", metavar="FILE", type=Path, help="where to (default: standard output)")
    export.add_argument("--run", dest="run_id", metavar="RUN", help="run id (default: the newest run)")
    replay = actions.add_parser("replay", help="check files: replay, compute every evaluation again, compare")
    replay.set_defaults(run=_replay)
    replay.add_argument("files", metavar="FILE", type=Path, nargs="+", help="files of `audit export` or of the archive")
    replay.add_argument("--json", action="store_true", help="print JSON")
    audit_governance.register(actions)


async def _export(args: argparse.Namespace) -> int:
    place = find_place()
    client = await place.client()
    async with place.record() as database:
        if database is None:
            raise AuditError(f"action {args.proposal_id} cannot be exported: {NO_RECORD}")
        now, workflow = datetime.now(UTC), workflow_id(args.proposal_id)
        file = await export_action(client, database, workflow, run_id=args.run_id, at=now)
    body = file.body()
    if args.output is None:
        print(body.decode())
    else:
        try:
            await asyncio.to_thread(write_whole, args.output, body)
        except OSError as error:
            raise AuditError(f"file {args.output} cannot be written: {error.strerror}") from error
        print(f"{args.output}: {len(file.entries)} ledger entries, {digest(body)}")
    if file.history is None:
        print(f"note: {file.history_note}", file=sys.stderr)
    return exits.OK


async def _replay(args: argparse.Namespace) -> int:
    # What the SDK logs about a tampered history is said by the findings, with the event.
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    runtime = Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter="off")))
    keys = read_codec_keys()
    answers = [(path, await _audit(path, runtime, keys)) for path in args.files]
    if args.json:
        print(json.dumps([_as_json(path, answer) for path, answer in answers], indent=2))
    else:
        print("\n\n".join(report(str(path), answer) for path, answer in answers))
    return exits.OK if all(_holds(answer) for _, answer in answers) else exits.INCONSISTENT


async def _audit(path: Path, runtime: Runtime, keys: Keys | None) -> Audited | str:
    """The audit of a file, or why it is no audit file."""
    try:
        body = await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise AuditError(f"file {path} cannot be read: {error.strerror}") from None
    try:
        return await audit(body, workflow_runner(), runtime, keys)
    except AuditError as error:
        return str(error)


def report(name: str, answer: Audited | str) -> str:
    """What an audit found, as text."""
    if isinstance(answer, str):
        return f"{visible(name)}\nINCONSISTENT\n- file: {visible(answer)}"
    file = answer.file
    events = len(file.history.get("events", ())) if file.history else 0
    lines = [
        visible(f"{name}: {file.workflow_id}, run {file.run_id or 'unknown'}"),
        f"{events} events, {len(answer.entries)} ledger entries, {len(file.documents)} documents, {answer.digest}",
        "",
        render.timeline(_timeline(answer)),
        "",
        *(f"note: {visible(note)}" for note in answer.notes),
        _verdict(answer).upper() if answer.findings else _verdict(answer),
        *(f"- {visible(str(finding))}" for finding in answer.findings),
    ]
    return "\n".join(lines)


def _as_json(path: Path, answer: Audited | str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"file": str(path), "verdict": "inconsistent", "findings": [{"where": "file", "what": answer}]}
    return {
        "file": str(path),
        "digest": answer.digest,
        "workflow_id": answer.file.workflow_id,
        "run_id": answer.file.run_id,
        "verdict": _verdict(answer),
        "findings": [{"where": finding.where, "what": finding.what} for finding in answer.findings],
        "notes": list(answer.notes),
        "timeline": [{"at": at, "kind": kind, "said": said} for at, kind, said in _timeline(answer)],
    }


def _timeline(answer: Audited) -> list[tuple[str, str, str]]:
    return timeline.lines(_entries(answer.entries))


def _entries(entries: Sequence[ReadEntry]) -> list[dict[str, Any]]:
    return [
        {"at": instant_text(entry.at), "kind": str(entry.kind), "late": entry.late, "content": entry.content}
        for entry in entries
    ]


def _verdict(answer: Audited) -> str:
    if answer.findings:
        return "inconsistent"
    return VERDICT if answer.file.history is not None else f"{VERDICT}: only its ledger could be checked"


def _holds(answer: Audited | str) -> bool:
    return isinstance(answer, Audited) and not answer.findings
