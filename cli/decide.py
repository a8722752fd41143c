"""`approve`, `deny`, `request-info`, `answer`, `release` and the other votes: one decision, signed, sent and answered.

1. The digests that a decision names are made from the record, never taken from what a workflow says of itself. Without
   a record they can only be the workflow's: that is said, and nothing is signed.
2. The approver sees the screen, what is signed and by what, and confirms. `--yes` is for scripts that showed it
   elsewhere.
3. The decision goes as an update. No answer means unknown, not refused: the same decision then goes as a signal, which
   is durable, and the receipt of its id is waited for. Both may arrive; one counts.
4. What a stage asks of a proof is known before: who can show it is asked once. Where a login turned out too weak or too
   old, it is asked for again at the terminal, and a new decision is sent (`cli/statement.py`).
"""

import argparse
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cli import exits, render
from cli.arguments import Commands, add_proposal_id
from cli.case import Case, look
from cli.confirming import confirms, refuse_unattended
from cli.place import NO_RECORD, Place, find_place
from cli.signing import add_signing, signing_of
from cli.statement import Statement, cast, check, prepare
from policy.base import instant_text
from policy.decision import Feedback, Vote, Wanted
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
NEEDS_WORDS = (Vote.deny, Vote.request_info, Vote.answer)


class NotDecidableError(CountersignError):
    """There is nothing that this person should decide on now."""


def register(commands: Commands) -> None:
    for vote, text in _HELP.items():
        parser = commands.add_parser(vote.replace("_", "-"), help=f"{text} (a decision)")
        parser.set_defaults(run=_decide, vote=vote)
        add_proposal_id(parser)
        add_signing(parser)
        add_words(parser, reason_required=vote in NEEDS_WORDS)
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


def add_words(parser: argparse.ArgumentParser, *, reason_required: bool) -> None:
    """Take what a decision says besides its vote."""
    parser.add_argument("--stage", type=int, help="stage to decide in (default: the open one)")
    parser.add_argument("--because", metavar="TEXT", default="", required=reason_required, help="your reason")
    parser.add_argument("--for", dest="on_behalf_of", metavar="PERSON", help="decide for them, by a delegation")
    parser.add_argument(
        "--feedback",
        action="append",
        default=[],
        choices=[str(item).replace("_", "-") for item in Feedback],
        help="say that it should not have come to you, or lacked evidence; changes no vote",
    )


async def _decide(args: argparse.Namespace) -> int:
    refuse_unattended("countersign show", confirmed=args.yes, silent=args.json)
    place = find_place()
    case = await look(place, args.proposal_id)
    signing = await signing_of(args, place)
    value = decision(case, args, datetime.now(UTC))
    statement = prepare(case, signing, value, wanted_by(case, value))
    if not args.json:
        print(question(case, place, statement))
    word = args.vote.replace("_", " ")
    if not args.yes and not confirms(f"{word} as {statement.who}?", word):
        print("nothing was sent", file=sys.stderr)
        return exits.FAILED
    return await cast(place, statement, patience=timedelta(seconds=args.patience), as_json=args.json)


def decision(case: Case, args: argparse.Namespace, now: datetime) -> dict[str, Any]:
    """The decision as the JSON value that is to be signed, without a proof.

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
    value = {
        "decision_id": str(uuid4()),
        "proposal_id": case.proposal_id,
        "revision": status["revision"],
        "stage": stage,
        **{name: status[name] for name in ("action_digest", "assessment_digest", "policy_digest", "presented_digest")},
        "vote": str(args.vote),
        "justification": args.because,
        "issued_at": instant_text(now.replace(microsecond=0)),
        "expires_at": _expires_at(status, stage, now),
        **_said(args),
    }
    check(value)
    return value


def _said(args: argparse.Namespace) -> dict[str, Any]:
    """What the decision says besides its vote; what is not said is left out."""
    given = {name: getattr(args, name, None) for name in ("on_behalf_of", "asked", "answers")}
    given["feedback"] = [name.replace("-", "_") for name in dict.fromkeys(getattr(args, "feedback", ()))]
    return {name: value for name, value in given.items() if value}


def _expires_at(status: dict[str, Any], stage: int, now: datetime) -> str:
    """The stage's own deadline: later the decision could not count anyway."""
    deadlines = [item["deadline"] for item in status["stages"] if item["number"] == stage and item.get("deadline")]
    return deadlines[0] if deadlines else instant_text(now.replace(microsecond=0) + _VALID_WITHOUT_DEADLINE)


def wanted_by(case: Case, value: dict[str, Any]) -> Wanted | None:
    """What the stage asks of the proof of a vote."""
    stages = {item["number"]: item.get("wanted", {}) for item in case.checked()["stages"]}
    wanted = stages.get(value["stage"], {}).get(value["vote"])
    return Wanted.model_validate(wanted) if wanted is not None else None


def question(case: Case, place: Place, statement: Statement) -> str:
    """What an approver confirms: the screen, where it stands, and what is signed by what."""
    status = case.checked()
    source = "digests were made from the record"
    if case.dossier is None:
        source = f"WARNING: digests are the workflow's own word and were not checked: {NO_RECORD}"
    return "\n".join(
        [
            render.screen(status["screen"], accepts_claimed=status["accepts_claimed"]),
            "",
            render.standing(status["stages"], status["due"], case.acting_for()),
            "",
            render.digests(status),
            source,
            f"temporal ui  {link}" if (link := place.link(case.proposal_id, case.namespace)) else "",
            *statement.lines,
        ]
    )
