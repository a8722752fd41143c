"""Reviews of what ran by a broken glass: opened with the first permit, answered by people, overdue or closed.

At each commit, what is true: the row and its entry in the ledger of the action are durable together, under the lock of
that action. The rules are in `policy/reviewing.py`.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.deciding import Reading, SaidBy, ballot_of
from activities.ledger import Ledger
from activities.paging import FIRST, After, comes_after, placed
from activities.statements import answered_before, columns_of, content_of, who_says
from activities.tables_reviews import ReviewClosedRow, ReviewDecisionRow, ReviewRow
from policy.approval.standing import Ballot, Standing, refuse, stand
from policy.base import instant_text
from policy.canonical import canonical, digest, parse_canonical
from policy.decision import DecisionReceipt, DecisionSubmission, Refusal, Vote
from policy.ledger import EntryKind
from policy.observed import GlassBreak
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.proofs import Principal
from policy.refusals import Listed
from policy.reviewing import Found, Review, found_by
from policy.rules.stepping_up import too_weak, wanted_in

KEY = "review"
_ANSWERS = frozenset({Vote.approve, Vote.deny, Vote.abstain, Vote.retract, Vote.recuse, Vote.acknowledge})

_REVIEW = ReviewRow.__table__.c  # type: ignore[attr-defined]
_DECISION = ReviewDecisionRow.__table__.c  # type: ignore[attr-defined]
_CLOSED = ReviewClosedRow.__table__.c  # type: ignore[attr-defined]
_ONE = (
    select(_REVIEW.body, _REVIEW.digest, _CLOSED.found)
    .outerjoin(ReviewClosedRow, _CLOSED.review_id == _REVIEW.review_id)
    .where(_REVIEW.review_id == bindparam("review_id"))
    .limit(1)
)
_BALLOTS = (
    select(_DECISION.receipt)
    .where(_DECISION.review_id == bindparam("review_id"), _DECISION.counted)
    .order_by(_DECISION.received_at, _DECISION.arrival)
)
_STORED = select(_DECISION.receipt, _DECISION.digest).where(
    _DECISION.review_id == bindparam("review_id"), _DECISION.decision_id == bindparam("decision_id")
)
_REFUSED = (
    select(_DECISION.person_id, func.count().label("n"))
    .where(_DECISION.review_id == bindparam("review_id"), ~_DECISION.counted)
    .group_by(_DECISION.person_id)
)
_OPEN = (
    select(_REVIEW.body, _REVIEW.due_at, _REVIEW.review_id)
    .distinct()
    .outerjoin(ReviewClosedRow, _CLOSED.review_id == _REVIEW.review_id)
    .where(
        _CLOSED.review_id.is_(None),
        comes_after(_REVIEW.due_at, _REVIEW.review_id),
    )
    .order_by(_REVIEW.due_at, _REVIEW.review_id)
    .limit(bindparam("most"))
)
# Whoever waited for a turn asks with an instant before that of who went first: no break is too new to count.
_BREAKS = text(
    "SELECT found.break_glass, found.person, found.proposal_id, found.opened_at AS at, found.due_at,"
    "  ended.review_id IS NOT NULL AS closed"
    " FROM unnest(:people) AS asked (person)"
    " CROSS JOIN LATERAL (SELECT * FROM countersign.review AS r WHERE r.person = asked.person"
    "   ORDER BY r.opened_at DESC LIMIT 1000) AS found"
    " LEFT JOIN countersign.review_closed AS ended ON ended.review_id = found.review_id"
    " WHERE found.proposal_id <> :proposal_id ORDER BY found.opened_at, found.proposal_id, found.person"
).bindparams(bindparam("people", type_=ARRAY(Text)))


@dataclass(frozen=True)
class ReviewFile:
    """What the record holds of a review."""

    review: Review
    digest: str
    ballots: tuple[Ballot, ...] = ()
    found: Found | None = None

    def standing(self, now: datetime) -> Standing:
        """How it stands by the votes so far."""
        return stand(self.review.case(self.ballots), now, deadline_counts_as_passed=False)


async def read_breaks(connection: AsyncConnection, people: tuple[str, ...], proposal_id: str) -> tuple[GlassBreak, ...]:
    """How often some people broke a glass, the newest 1,000 of each, this action aside."""
    wanted = {"people": list(people), "proposal_id": proposal_id}
    return tuple(GlassBreak.model_validate(dict(row)) for row in (await connection.execute(_BREAKS, wanted)).mappings())


async def open_review(connection: AsyncConnection, ledger: Ledger, review: Review) -> None:
    """Write the debt, a row for each person who has it, and the entry that says so."""
    value = review.model_dump(mode="json")
    body = canonical(value)
    row = {
        "review_id": UUID(review.review_id),
        "proposal_id": review.proposal_id,
        "break_glass": review.break_glass,
        "opened_at": review.opened_at,
        "due_at": review.due_at,
        "body": body,
        "digest": digest(body),
    }
    await connection.execute(insert(ReviewRow), [{**row, "person": person} for person in review.people])
    await ledger.append(EntryKind.review_opened, {"review": value}, KEY, new=True)


async def read_open(connection: AsyncConnection, most: int, after: After = FIRST) -> tuple[Review, ...]:
    """The reviews that nobody closed, those that are due first; of those that come after one in this order."""
    return tuple(Review.model_validate_json(body) for body in await connection.scalars(_OPEN, placed(most, after)))


async def read_review(connection: AsyncConnection, review_id: str) -> ReviewFile | None:
    """A review with its votes, or None where there is none of that id."""
    try:
        key = {"review_id": UUID(review_id)}
    except ValueError:
        return None
    row = (await connection.execute(_ONE, key)).first()
    if row is None:
        return None
    counted = await connection.scalars(_BALLOTS, key)
    return ReviewFile(
        review=Review.model_validate_json(row.body),
        digest=row.digest,
        ballots=tuple(Ballot.model_validate(parse_canonical(item)["ballot"]) for item in counted),
        found=row.found,
    )


async def note_overdue(ledger: Ledger, file: ReviewFile, now: datetime) -> bool:
    """Note once that a review is overdue and open; False where it is not."""
    if file.found is not None or not file.review.overdue(now):
        return False
    content = {"review_id": file.review.review_id, "due_at": instant_text(file.review.due_at)}
    await ledger.append(EntryKind.review_overdue, content, KEY)
    return True


def read_answer(
    file: ReviewFile, submission: DecisionSubmission, said_by: SaidBy, directory: Directory, now: datetime
) -> Reading:
    """Read one well-formed answer to a review at the instant at which it was first seen; pure."""
    reading = _read(file, submission, said_by, directory, now)
    return replace(reading, principal=said_by if isinstance(said_by, Principal) else None)


def _read(
    file: ReviewFile, submission: DecisionSubmission, said_by: SaidBy, directory: Directory, now: datetime
) -> Reading:
    review = file.review
    named = {
        "proposal_id": review.review_id,
        "revision": review.revision,
        "action_digest": review.action_digest,
        "assessment_digest": review.assessment_digest,
        "policy_digest": review.policy_digest,
        "presented_digest": file.digest,
    }
    person, why = who_says(named, submission, said_by, directory, review.chain.conditions, now, what="review")
    if why is not None or person is None or not isinstance(said_by, Principal):
        return Reading(person=person, refusal=why)
    return _answered(file, submission, said_by, person, now)


def _answered(
    file: ReviewFile, submission: DecisionSubmission, said_by: Principal, person: PersonFacts, now: datetime
) -> Reading:
    """Whether somebody who is known may answer so."""
    review = file.review
    if file.found is not None:
        return Reading(person=person, refusal=(Refusal.not_pending, f"this review is closed: {file.found}"))
    if person.person_id in review.people:
        why = f"{person.person_id} stands behind what is reviewed and cannot answer for it"
        return Reading(person=person, refusal=(Refusal.self_approval, why))
    if submission.vote not in _ANSWERS:
        why = f"a review is answered by approve or deny, not by {submission.vote}"
        return Reading(person=person, refusal=(Refusal.not_authorized, why))
    case = review.case(file.ballots)
    ballot = ballot_of(submission, person, said_by, case.after(now), submission.vote)
    if refused := refuse(case, ballot):
        return Reading(person=person, refusal=refused)
    wanted = wanted_in(review.chain, submission.stage, submission.vote)
    if weak := too_weak(said_by, wanted, now):
        return Reading(person=person, refusal=weak, wanted=wanted)
    return Reading(person=person, ballot=ballot)


async def stored_answer(
    connection: AsyncConnection, file: ReviewFile, submission: DecisionSubmission, received: Any
) -> DecisionReceipt | None:
    """The receipt of a decision id that this review has seen before."""
    key = {"review_id": UUID(file.review.review_id), "decision_id": submission.decision_id}
    return answered_before((await connection.execute(_STORED, key)).first(), submission, received)


async def lists_refusal(connection: AsyncConnection, file: ReviewFile, person_id: str | None) -> bool:
    """Whether one more refused answer of somebody is kept; the rule is `policy/refusals.py`."""
    rows = await connection.execute(_REFUSED, {"review_id": UUID(file.review.review_id)})
    return Listed({row.person_id: row.n for row in rows}).has_room(person_id)


async def store_answer(
    connection: AsyncConnection,
    ledger: Ledger,
    file: ReviewFile,
    submission: DecisionSubmission,
    received: Any,
    reading: Reading,
    receipt: DecisionReceipt,
    *,
    directory: str,
    channel: str,
    arrival: int,
    now: datetime,
) -> None:
    """Store an answer, counted or refused, with its entry: as it was `received`, which is what was signed. `directory`
    is the digest of the one that was asked.
    """
    columns = columns_of(submission, received, reading, receipt, arrival=arrival, now=now)
    await connection.execute(insert(ReviewDecisionRow), {"review_id": UUID(file.review.review_id), **columns})
    content = content_of(received, reading, receipt, channel=channel, arrival=arrival) | {"directory": directory}
    await ledger.append(EntryKind.review_decided, content, submission.decision_id, new=True)


async def close(
    connection: AsyncConnection, ledger: Ledger, file: ReviewFile, standing: Standing, now: datetime
) -> Found | None:
    """Write what a review came to, if it came to anything and nobody wrote it before."""
    found = found_by(standing)
    if file.found is not None or found is None:
        return file.found
    value: dict[str, Any] = {"review_id": file.review.review_id, "found": found}
    body = canonical({**value, "at": instant_text(now)})
    row = {"review_id": UUID(file.review.review_id), "found": found, "closed_at": now}
    await connection.execute(insert_once(ReviewClosedRow).values(**row, body=body, digest=digest(body)))
    await ledger.append(EntryKind.review_closed, value, KEY, new=True)
    return found
