"""A statement that is about something else than an open case: who makes it, what it is answered, how it is kept.

The order of the questions is that of a decision (`activities/deciding.py`): does it name what it is about, is it valid
at this instant, does its proof show who it is, and is that somebody whom the directory knows.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from activities.deciding import Reading, SaidBy, Why, proved
from policy.approval.standing import Standing
from policy.canonical import canonical, digest
from policy.decision import DecisionReceipt, DecisionSubmission, Refusal, valid_at
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.proofs import Assurance, Principal


def who_says(
    named: Mapping[str, Any],
    submission: DecisionSubmission,
    said_by: SaidBy,
    directory: Directory,
    conditions: Sequence[str],
    now: datetime,
    *,
    what: str,
) -> tuple[PersonFacts | None, Why | None]:
    """The person who makes a statement, and why it does not count whoever that is; pure.

    Args:
        named: what it must name, by field.
        submission: the statement.
        said_by: whoever made it, or why its proof does not show it.
        directory: who is who at that instant.
        conditions: what is asked of people besides groups.
        now: the instant (UTC).
        what: the thing that it is about, in a word.
    """
    person = directory.facts(said_by.identity, now, tuple(conditions)) if isinstance(said_by, Principal) else None
    for field, real in named.items():
        if (given := getattr(submission, field)) != real:
            return person, (Refusal.unknown_request, f"{field} is {given}, this {what}'s is {real}")
    if why_not := valid_at(submission, now):
        return person, why_not
    if not isinstance(said_by, Principal):
        return None, said_by
    if person is None:
        return None, (Refusal.unknown_person, f"identity {said_by.identity} is nobody in the directory")
    return person, None


def statement_receipt(submission: DecisionSubmission, reading: Reading, standing: Standing) -> DecisionReceipt:
    """What such a statement is answered; `standing` is how what it is about stands with it. Pure."""
    code, message = reading.refusal if reading.refusal is not None else (None, "counted")
    return DecisionReceipt(
        decision_id=submission.decision_id,
        counted=reading.counts,
        code=code,
        message=message,
        missing=standing.current.missing,
        resolution=standing.resolution,
        assurance=reading.principal.assurance if reading.principal is not None else Assurance.claimed,
        wanted=reading.wanted,
    )


def answered_before(found: Row[Any] | None, submission: DecisionSubmission, received: Any) -> DecisionReceipt | None:
    """The receipt of a decision id that was seen before; `found` is its row, with `receipt` and `digest`."""
    if found is None:
        return None
    if found.digest == digest(canonical(received)):
        return DecisionReceipt.model_validate_json(found.receipt)
    message = f"decision id {submission.decision_id} was used for another decision: choose a new one"
    return DecisionReceipt(
        decision_id=submission.decision_id, counted=False, code=Refusal.decision_id_reused, message=message
    )


def columns_of(
    submission: DecisionSubmission,
    received: Any,
    reading: Reading,
    receipt: DecisionReceipt,
    *,
    arrival: int,
    now: datetime,
    **kept: Any,
) -> dict[str, Any]:
    """The columns of a statement, counted or refused, as it was `received`, which is what was signed.

    `kept` stands in the stored receipt besides, with the ballot.
    """
    body = canonical(received)
    ballot = reading.ballot.model_dump(mode="json") if reading.ballot else None
    return {
        "decision_id": submission.decision_id,
        "person_id": reading.person.person_id if reading.person else None,
        "vote": str(submission.vote),
        "counted": reading.counts,
        "code": receipt.code,
        "body": body,
        "digest": digest(body),
        "receipt": canonical({**receipt.model_dump(mode="json"), "ballot": ballot, **kept}),
        "arrival": arrival,
        "received_at": now,
    }


def content_of(
    received: Any, reading: Reading, receipt: DecisionReceipt, *, channel: str, arrival: int
) -> dict[str, Any]:
    """What the entry of a statement keeps of it."""
    return {
        "submission": received,
        "channel": channel,
        "arrival": arrival,
        "person": reading.person.model_dump(mode="json") if reading.person else None,
        "ballot": reading.ballot.model_dump(mode="json") if reading.ballot else None,
        "receipt": receipt.model_dump(mode="json"),
        **proved(reading),
    }
