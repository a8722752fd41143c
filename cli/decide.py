"""`approve`, `deny`, `request-info`, `answer`, `release` and the other votes: one decision, sent until answered.

1. The digests that a decision names are made from the record, never taken from what a workflow says of itself. Without
   a record they can only be the workflow's, and that is said.
2. The approver sees the screen and confirms. `--yes` is for scripts that showed it elsewhere.
3. The decision goes as an update. No answer means unknown, not refused: the same decision then goes as a signal, which
   is durable, and the receipt of its id is waited for. Both may arrive; one counts.
"""

import argparse
import getpass
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from activities.settings import IDENTITY, Settings
from cli import exits, render
from cli.arguments import Commands, add_proposal_id
from cli.case import Case, look
from cli.place import NO_RECORD, Place, find_place
from cli.sending import Answer, send
from policy.base import instant_text
from policy.decision import DecisionReceipt, Feedback, Vote, receive_decision
from policy.errors import CountersignError

# A decision nobody could take in must not come to life much later.
_VALID_WITHOUT_DEADLINE = timedelta(hours=1)
_HELP = {
    Vote.approve: "say yes to exactly the action that is shown",
    Vote.deny: "say no",
    Vote.abstain: "say neither, and take back what you said before",
    Vote.retract: "take back what you said before",
    Vote.recuse: "step out of this case for good",
    Vote.request_info: "ask the proposer or a person for something; counts as no vote",
    Vote.answer: "answer a question that was asked; counts as no vote",
    Vote.acknowledge: "say that you are looking, so that nobody is reminded; counts as no vote",
    Vote.release: "let a stage go on that is held",
}
_NEEDS_WORDS = (Vote.deny, Vote.request_info, Vote.answer)


class NotDecidableError(CountersignError):
    """There is nothing that this person should decide on now."""


def register(commands: Commands) -> None:
    for vote, text in _HELP.items():
        parser = commands.add_parser(vote.replace("_", "-"), help=f"{text} (a decision)")
        parser.set_defaults(run=_decide, vote=vote)
        add_proposal_id(parser)
        parser.add_argument(
            "--as", dest="identity", help=f"who you claim to be (default: ${IDENTITY}, else the OS user)"
        )
        parser.add_argument("--stage", type=int, help="stage to decide in (default: the open one)")
        parser.add_argument("--because", metavar="TEXT", default="", required=vote in _NEEDS_WORDS, help="your reason")
        parser.add_argument("--for", dest="on_behalf_of", metavar="PERSON", help="decide for them, by a delegation")
        parser.add_argument(
            "--feedback",
            action="append",
            default=[],
            choices=[str(item).replace("_", "-") for item in Feedback],
            help="say that it should not have come to you, or lacked evidence; changes no vote",
        )
        if vote is Vote.request_info:
            parser.add_argument("--to", dest="asked", metavar="PERSON", help="whom you ask (default: the proposer)")
        if vote is Vote.answer:
            parser.add_argument(
                "--question", dest="answers", metavar="D", required=True, help="decision id of the question"
            )
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
        parser.add_argument("--json", action="store_true", help="print the receipt as JSON; implies no screen")
        parser.add_argument(
            "--patience", type=float, default=30, metavar="SECONDS", help="how long to wait (default: 30)"
        )


async def _decide(args: argparse.Namespace) -> int:
    _refuse_unattended(args)
    place = find_place()
    case = await look(place, args.proposal_id)
    identity = args.identity or claimed_identity(place.settings)
    submission = make_submission(case, args, identity, datetime.now(UTC))
    if not args.json:
        print(_question(case, place, submission))
    if not args.yes and not _confirmed(args, identity):
        print("nothing was sent", file=sys.stderr)
        return exits.FAILED
    answer = await send(place, identity, submission, patience=timedelta(seconds=args.patience))
    return report(answer, submission, as_json=args.json)


def make_submission(case: Case, args: argparse.Namespace, identity: str, now: datetime) -> dict[str, Any]:
    """The decision as the JSON value that is sent.

    Raises:
        NotDecidableError: nothing is pending, or workflow and record contradict each other.
        DecisionError: an argument cannot be part of a decision.

    """
    if found := case.mismatches():
        raise NotDecidableError(f"workflow and record contradict each other, decide nothing on it: {'; '.join(found)}")
    status = case.checked()
    if status["resolution"] != "pending" or status["screen"] is None:
        state = status["resolution"] or status["state"]
        raise NotDecidableError(f"action {case.proposal_id} is {state}: it waits for no decision")
    stage = args.stage or status["stage"]
    submission = {
        "decision_id": str(uuid4()),
        "proposal_id": case.proposal_id,
        "revision": status["revision"],
        "stage": stage,
        **{name: status[name] for name in ("action_digest", "assessment_digest", "policy_digest", "presented_digest")},
        "vote": str(args.vote),
        "justification": args.because,
        "issued_at": instant_text(now.replace(microsecond=0)),
        "expires_at": _expires_at(status, stage, now),
        "proof": {"kind": "claimed", "identity": identity},
        **_said(args),
    }
    receive_decision(submission)
    return submission


def _said(args: argparse.Namespace) -> dict[str, Any]:
    """What the decision says besides its vote; what is not said is left out."""
    given = {name: getattr(args, name, None) for name in ("on_behalf_of", "asked", "answers")}
    given["feedback"] = [name.replace("-", "_") for name in dict.fromkeys(getattr(args, "feedback", ()))]
    return {name: value for name, value in given.items() if value}


def claimed_identity(settings: Settings) -> str:
    """Who the user says to be without saying it: the variable, else the account of the operating system."""
    return settings.identity or getpass.getuser()


def _expires_at(status: dict[str, Any], stage: int, now: datetime) -> str:
    """The stage's own deadline: later the decision could not count anyway."""
    deadlines = [item["deadline"] for item in status["stages"] if item["number"] == stage and item.get("deadline")]
    return deadlines[0] if deadlines else instant_text(now.replace(microsecond=0) + _VALID_WITHOUT_DEADLINE)


def _question(case: Case, place: Place, submission: dict[str, Any]) -> str:
    status = case.checked()
    source = "digests were made from the record"
    if case.dossier is None:
        source = f"WARNING: digests are the workflow's own word and were not checked: {NO_RECORD}"
    return "\n".join(
        [
            render.screen(status["screen"]),
            "",
            render.standing(status["stages"], status["due"], case.acting_for()),
            "",
            render.digests(status),
            source,
            f"temporal ui  {link}" if (link := place.link(case.proposal_id, case.namespace)) else "",
            f"your decision: {submission['vote']} in stage {submission['stage']}, id {submission['decision_id']}",
        ]
    )


def _refuse_unattended(args: argparse.Namespace) -> None:
    if not args.yes and (args.json or not sys.stdin.isatty()):
        raise NotDecidableError("nobody is there to confirm: look at it with `countersign show`, then add --yes")


def _confirmed(args: argparse.Namespace, identity: str) -> bool:
    word = args.vote.replace("_", " ")
    answer = input(f'{word} as {identity}? Type "{word}" to confirm: ')
    return answer.strip().replace("-", "_").replace(" ", "_") == str(args.vote)


def report(answer: Answer, submission: dict[str, Any], *, as_json: bool) -> int:
    """Print what a decision was answered; the exit code."""
    receipt, decision_id = answer.receipt, submission["decision_id"]
    if as_json:
        shown = receipt.model_dump(mode="json") if receipt else None
        print(
            json.dumps({"decision_id": decision_id, "receipt": shown, "way": answer.way, "note": answer.note}, indent=2)
        )
    elif receipt is None:
        print(f"unknown: {answer.note}")
        print(
            f"decision {decision_id} counts once if it arrives; look with `countersign show`, deciding anew replaces it"
        )
    else:
        print(render.receipt(receipt.model_dump(mode="json")))
    return _code(receipt)


def _code(receipt: DecisionReceipt | None) -> int:
    if receipt is None:
        return exits.UNKNOWN
    return exits.OK if receipt.counted else exits.REFUSED
