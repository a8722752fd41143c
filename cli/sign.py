"""`sign ID --approve`: the one JSON to paste into the Temporal UI, or to send by any client, as update or signal.

- Standard output is the JSON and nothing else. The screen, and what is signed by whom, go to standard error, so that an
  approver reads them while the output goes to a file or to the clipboard.
- Nothing that was given is signed: what the decision names is computed again from the record, and without one nothing
  is signed. It is sent by whoever has it, once or often: it counts once.
"""

import argparse
import json
import sys
from datetime import UTC, datetime

from cli import exits
from cli.accept import acceptance, judged_lines
from cli.arguments import Commands, add_proposal_id
from cli.case import Case, look
from cli.confirming import confirms, refuse_unattended
from cli.decide import NEEDS_WORDS, add_words, decision, question, wanted_by
from cli.place import Place, find_place
from cli.revoke import revocation, wanted_to_revoke
from cli.signing import Signing, add_signing, signing_of
from cli.statement import Statement, prepare
from policy.decision import Vote
from policy.errors import DecisionError


def register(commands: Commands) -> None:
    parser = commands.add_parser("sign", help="print a signed decision, to be pasted into the Temporal UI")
    parser.set_defaults(run=_sign)
    add_proposal_id(parser)
    votes = parser.add_mutually_exclusive_group(required=True)
    for vote in Vote:
        votes.add_argument(
            f"--{vote.replace('_', '-')}", dest="vote", action="store_const", const=vote, help=argparse.SUPPRESS
        )
    # One line for ten flags of one meaning.
    parser.usage = "countersign sign ID --" + "|--".join(vote.replace("_", "-") for vote in Vote) + " [options]"
    add_signing(parser)
    add_words(parser, reason_required=False)
    parser.add_argument("--to", dest="asked", metavar="PERSON", help="whom you ask (with --request-info)")
    parser.add_argument("--question", dest="answers", metavar="D", help="decision id of the question (with --answer)")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")


async def _sign(args: argparse.Namespace) -> int:
    _check(args)
    place = find_place()
    case = await look(place, args.proposal_id)
    statement = prepared(case, args, await signing_of(args, place))
    print(_shown(case, args, place, statement), file=sys.stderr)
    word = args.vote.replace("_", " ")
    if not args.yes and not confirms(f"sign {word} as {statement.who}?", word):
        print("nothing was signed", file=sys.stderr)
        return exits.FAILED
    print(json.dumps(await statement.signed(), indent=2))
    return exits.OK


def _shown(case: Case, args: argparse.Namespace, place: Place, statement: Statement) -> str:
    """What is confirmed: the screen that a stage's vote is about; of what comes later, what it is about."""
    if args.vote is Vote.revoke:
        return "\n".join(statement.lines)
    if args.vote is Vote.accept:
        return "\n".join([*judged_lines(case), *statement.lines])
    return question(case, place, statement)


def prepared(case: Case, args: argparse.Namespace, signing: Signing) -> Statement:
    """The decision that is asked for, ready to be signed.

    Raises:
        NotDecidableError: there is nothing to decide on.
        SigningError: nobody can sign it here, or it would not count.
    """
    now = datetime.now(UTC)
    if args.vote is Vote.revoke:
        return prepare(case, signing, revocation(case, args.because, now), wanted_to_revoke(case))
    if args.vote is Vote.accept:
        return prepare(case, signing, acceptance(case, args.because, now), wanted_to_revoke(case))
    value = decision(case, args, now)
    return prepare(case, signing, value, wanted_by(case, value))


def _check(args: argparse.Namespace) -> None:
    word = args.vote.replace("_", "-")
    if args.vote in (*NEEDS_WORDS, Vote.revoke, Vote.accept) and not args.because:
        raise DecisionError(f"--{word} needs a reason: add --because TEXT")
    if (args.vote is Vote.answer) != (args.answers is not None):
        raise DecisionError("--answer and --question belong together: name the decision id of the question")
    if args.asked is not None and args.vote is not Vote.request_info:
        raise DecisionError(f"--to belongs to --request-info, not to --{word}")
    refuse_unattended("countersign show", confirmed=args.yes)
