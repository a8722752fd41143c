"""`accept ID`: what was done stays, although nobody could measure whether it is good.

1. Until when that can be said, and what happens without it, is read from the record, and so is what was measured. It is
   shown before anybody confirms, and to whoever only signs.
2. It is a decision like a revocation: it counts for who may revoke the action and does not stand behind it.
"""

import argparse
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cli import exits
from cli.arguments import Commands, add_proposal_id
from cli.case import Case, look
from cli.confirming import confirms, refuse_unattended
from cli.decide import NotDecidableError
from cli.place import NO_RECORD, find_place
from cli.readings import readings
from cli.revoke import unasked, wanted_to_revoke
from cli.signing import add_signing, signing_of
from cli.statement import cast, prepare
from policy.decision import Vote
from policy.ledger import EntryKind
from policy.screens.neutral import visible
from policy.undecided import WORDS

_READ = {True: "met", False: "failed", None: "nobody can tell"}


def register(commands: Commands) -> None:
    parser = commands.add_parser("accept", help="keep what was done although nobody could measure it (a decision)")
    parser.set_defaults(run=_accept)
    add_proposal_id(parser)
    parser.add_argument("--because", metavar="TEXT", required=True, help="why it stays, and what you looked at")
    add_signing(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    parser.add_argument("--json", action="store_true", help="print the receipt as JSON")
    parser.add_argument("--patience", type=float, default=30, metavar="SECONDS", help="how long to wait (default: 30)")


async def _accept(args: argparse.Namespace) -> int:
    refuse_unattended("countersign show", confirmed=args.yes, silent=args.json)
    place = find_place()
    case = await look(place, args.proposal_id)
    value = acceptance(case, args.because, datetime.now(UTC))
    statement = prepare(case, await signing_of(args, place), value, wanted_to_revoke(case))
    if not args.json:
        print("\n".join([*judged_lines(case), *statement.lines]))
    if not args.yes and not confirms(f"accept {case.proposal_id} as it stands, as {statement.who}?", "accept"):
        print("nothing was sent", file=sys.stderr)
        return exits.FAILED
    code = await cast(place, statement, patience=timedelta(seconds=args.patience), as_json=args.json)
    if code == exits.OK and not args.json:
        print("what was done is kept, and nothing is undone")
    return code


def acceptance(case: Case, because: str, now: datetime) -> dict[str, Any]:
    """The decision that keeps what was done, as the JSON value that is to be signed, without a proof.

    Raises:
        NotDecidableError: nobody is asked, it is too late, or workflow and record contradict each other.
        DecisionError: an argument cannot be part of a decision.
    """
    until = _asked(case)["until"]
    if now > datetime.fromisoformat(until):
        raise NotDecidableError(f"{case.proposal_id} was to be accepted until {until}: the verb of its policy applies")
    return unasked(case, Vote.accept, because, now)


def judged_lines(case: Case) -> list[str]:
    """What people are asked to judge, until when, and what happens without them."""
    asked = _asked(case)
    then = WORDS[asked["judging"]["on_expiry"]]
    return [
        f"{case.proposal_id} was done, and nobody can tell whether it is good",
        *(f"  {visible(line)}" for line in _measured(case)),
        f"until {asked['until']} somebody may accept or revoke it; then {then}",
    ]


def _asked(case: Case) -> Mapping[str, Any]:
    """That people are asked, as the ledger says it.

    Raises:
        NotDecidableError: nobody is.
    """
    if case.dossier is None:
        raise NotDecidableError(
            f"what {case.proposal_id} did, and who is asked about it, is on record only: {NO_RECORD}"
        )
    if case.dossier.file.result is not None:
        raise NotDecidableError(f"{case.proposal_id} has ended as {case.dossier.file.result.outcome}")
    asked = [entry["content"] for entry in case.dossier.entries if entry["kind"] == EntryKind.judging]
    if not asked:
        raise NotDecidableError(f"nothing of {case.proposal_id} waits for somebody to accept it")
    found: Mapping[str, Any] = asked[-1]
    return found


def _measured(case: Case) -> list[str]:
    """What the newest report of the action read, a line each."""
    assert case.dossier is not None
    reports = [item["content"]["report"] for item in case.dossier.entries if item["kind"] == EntryKind.reported]
    return [
        f"{said}: {_READ[item['met']]}" + (f", {item['message']}" if item["message"] else "")
        for item, said in (readings(reports[-1]) if reports else ())
    ]
