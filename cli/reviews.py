"""`reviews`: what broke a glass and is not reviewed yet, and the answer to one review.

The list comes from the record. An answer is a decision that goes to the review's own workflow (`cli/item.py`).
"""

import argparse
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from activities.reviews import ReviewFile, read_open, read_review
from cli import exits, render
from cli.arguments import Commands, proposal_id
from cli.case import UnknownActionError
from cli.decide import NotDecidableError
from cli.item import VALID, listed, recorded, say
from cli.place import find_place
from cli.signing import add_signing, signing_of
from cli.statement import check
from policy.base import instant_text
from policy.reviewing import review_id
from policy.rules.stepping_up import wanted_in

_VOTES = {"in-order": "approve", "at-fault": "deny"}


def register(commands: Commands) -> None:
    parser = commands.add_parser("reviews", help="what broke a glass and is not reviewed yet; answer one review")
    parser.set_defaults(run=_list)
    parser.add_argument("--limit", type=int, default=100, help="at most so many (default: 100)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    answers = parser.add_subparsers(metavar="ANSWER")
    for name, vote in _VOTES.items():
        answer = answers.add_parser(name, help=f"find an action {name.replace('-', ' ')}")
        answer.set_defaults(run=_answer, vote=vote)
        answer.add_argument("proposal_id", metavar="ID", type=proposal_id, help="the action that broke the glass")
        answer.add_argument("--because", metavar="TEXT", required=True, help="your reason")
        add_signing(answer)
        answer.add_argument("--json", action="store_true", help="print JSON")


async def _list(args: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    async with recorded(find_place(), "reviews") as database, database.snapshot() as connection:
        reviews = await read_open(connection, args.limit)
    rows = [
        {
            "action": review.proposal_id,
            "glass": review.break_glass,
            "asked by": ", ".join(review.people),
            "due": instant_text(review.due_at) + (" OVERDUE" if review.overdue(now) else ""),
            "waits for": "; ".join(rule.wanted for stage in review.chain.stages for rule in stage.requirements),
        }
        for review in reviews
    ]
    print(json.dumps(rows, indent=2) if args.json else listed(rows, "nothing that broke a glass waits for a review"))
    return exits.OK


async def _answer(args: argparse.Namespace) -> int:
    place = find_place()
    signing = await signing_of(args, place)
    async with recorded(place, "reviews") as database, database.snapshot() as connection:
        file = await read_review(connection, review_id(args.proposal_id))
    if file is None:
        raise UnknownActionError(f"no review of {args.proposal_id} is on record: it broke no glass, or did not run")
    if file.found is not None:
        raise NotDecidableError(f"the review of {args.proposal_id} is closed: {file.found}")
    value = answer(file, args.vote, args.because, datetime.now(UTC))
    wanted = wanted_in(file.review.chain, value["stage"], args.vote)
    return await say(place, signing, file.review.review_id, value, wanted, args, about=render.OF_REVIEW)


def answer(file: ReviewFile, vote: str, because: str, now: datetime) -> dict[str, Any]:
    """The decision that answers a review, as the JSON value that is to be signed, without a proof.

    Raises:
        DecisionError: an argument cannot be part of a decision.
    """
    review, instant = file.review, now.replace(microsecond=0)
    value = {
        "decision_id": str(uuid4()),
        "proposal_id": review.review_id,
        "revision": review.revision,
        "stage": file.standing(now).stage,
        "action_digest": review.action_digest,
        "assessment_digest": review.assessment_digest,
        "policy_digest": review.policy_digest,
        "presented_digest": file.digest,
        "vote": vote,
        "justification": because,
        "issued_at": instant_text(instant),
        "expires_at": instant_text(instant + VALID),
    }
    check(value)
    return value
