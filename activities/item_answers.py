"""Reading what somebody says of an item: who it is, what they found, and whether it counts; pure.

What a statement rests on besides itself, the action that is said to have put things right, is handed in as it was read
and kept with the statement: an auditor takes it as recorded, like every other observation.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from activities.deciding import Reading, SaidBy, Why, ballot_of
from activities.statements import who_says
from policy.approval.standing import refuse
from policy.base import Instant, RecordModel
from policy.decision import DecisionSubmission, Refusal, Vote
from policy.findings import AMENDS, Finding, Found
from policy.items import Item, Said, agreeing
from policy.outcome import Outcome
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.proofs import Principal
from policy.rules.stepping_up import too_weak, wanted_in

_OWN = "a statement about an item is one's own: send it without on_behalf_of"


class Repair(RecordModel):
    """What the record has of the action that is said to have put things right. `began` is when its first permit was
    claimed; None where none was.
    """

    proposal_id: str
    outcome: Outcome | None = None
    target: str = ""
    remedies: str | None = None
    began: Instant | None = None


@dataclass(frozen=True)
class ItemFile:
    """What the record holds of an item. `closed` is how it ended, in one word."""

    item: Item
    said: tuple[Said, ...] = ()
    closed: str | None = None


@dataclass(frozen=True)
class ItemReading(Reading):
    """What became of a statement about an item: as of a decision, with what it says where it counts."""

    finding: Finding | None = None


def read_item_answer(
    file: ItemFile,
    submission: DecisionSubmission,
    said_by: SaidBy,
    directory: Directory,
    repair: Repair | None,
    now: datetime,
) -> ItemReading:
    """Read one well-formed statement about an item at the instant at which it was first seen.

    Args:
        file: the item.
        submission: the statement.
        said_by: whoever made it, or why its proof does not show it.
        directory: who is who at that instant.
        repair: what the record has of the action that it names as a repair; None where it names none.
        now: the instant (UTC).
    """
    item = file.item
    named = {
        "proposal_id": item.item_id,
        "revision": item.revision,
        "action_digest": item.action_digest,
        "assessment_digest": item.assessment_digest,
        "policy_digest": item.policy_digest,
        "presented_digest": item.digest,
    }
    person, why = who_says(named, submission, said_by, directory, item.chain.conditions, now, what="item")
    reading = ItemReading(person=person, refusal=why)
    if why is None and person is not None and isinstance(said_by, Principal):
        reading = _answered(file, submission, said_by, person, repair, now)
    return replace(reading, principal=said_by if isinstance(said_by, Principal) else None)


def _answered(
    file: ItemFile,
    submission: DecisionSubmission,
    said_by: Principal,
    person: PersonFacts,
    repair: Repair | None,
    now: datetime,
) -> ItemReading:
    """Whether somebody who is known may say so."""
    item = file.item
    finding, why = _finding(file, submission, repair)
    if person.person_id in item.people:
        message = (
            f"{person.person_id} stands behind this action or what decided about it, and does not say how it ended"
        )
        why = (Refusal.self_approval, message)
    if why is not None or finding is None:
        return ItemReading(person=person, refusal=why)
    at = item.case(tuple(one.ballot for one in file.said)).after(now)
    ballot = ballot_of(submission, person, said_by, at, Vote.approve)
    if refused := refuse(item.case(agreeing(file.said, finding)), ballot):
        return ItemReading(person=person, refusal=refused)
    wanted = wanted_in(item.chain, submission.stage, Vote.approve)
    if weak := too_weak(said_by, wanted, now):
        return ItemReading(person=person, refusal=weak, wanted=wanted)
    return ItemReading(person=person, ballot=ballot, finding=finding)


def _finding(
    file: ItemFile, submission: DecisionSubmission, repair: Repair | None
) -> tuple[Finding | None, Why | None]:
    """What a statement says, or why it says nothing here."""
    item = file.item
    if file.closed is not None:
        return None, (Refusal.not_pending, f"this item is closed: {file.closed}")
    wanted = Vote.resolve if item.kind == "unresolved" else Vote.amend
    if submission.vote is not wanted:
        return None, (Refusal.not_authorized, f"this item is answered by {wanted}, not by {submission.vote}")
    if submission.on_behalf_of is not None:
        return None, (Refusal.not_delegated, _OWN)
    if not submission.justification.strip():
        return None, (Refusal.justification_missing, f"to {wanted} an item needs a justification")
    if wanted is Vote.amend:
        if submission.outcome is None or submission.found is not None or submission.repaired_by is not None:
            return None, (Refusal.malformed, "an amendment gives outcome, and neither found nor repaired_by")
        return Finding(outcome=submission.outcome, incident=submission.incident), None
    if submission.found is None or submission.outcome is not None:
        return None, (Refusal.malformed, "what was found is given as found, and the outcome follows from it")
    if (submission.found is Found.repaired) != (submission.repaired_by is not None):
        return None, (Refusal.malformed, "repaired_by belongs to found: repaired, and only to it")
    if submission.repaired_by is not None and (lack := _no_repair(item, submission.repaired_by, repair)):
        return None, (Refusal.not_repaired, lack)
    finding = Finding(
        outcome=AMENDS[item.outcome, submission.found],
        found=submission.found,
        repaired_by=submission.repaired_by,
        incident=submission.incident,
    )
    return finding, None


def _no_repair(item: Item, named: str, repair: Repair | None) -> str | None:
    """Why an action cannot have put right what this one left, or None."""
    if repair is None or repair.proposal_id != named:
        return f"no action {named} is on record"
    if repair.outcome is not Outcome.succeeded:
        return f"action {named} has not succeeded: {repair.outcome or 'it has no result'}"
    if repair.remedies != item.proposal_id and repair.target != item.target:
        return f"action {named} acted on {repair.target} and remedies {repair.remedies or 'nothing'}"
    if repair.began is None or repair.began < item.opened_at:
        return f"action {named} began at {repair.began}, before there was anything to repair at {item.opened_at}"
    return None


def with_said(file: ItemFile, reading: ItemReading) -> ItemFile:
    """The item with one more statement, where it counts."""
    if reading.ballot is None or reading.finding is None:
        return file
    return replace(file, said=(*file.said, Said(ballot=reading.ballot, finding=reading.finding)))


def kept(reading: ItemReading, repair: Repair | None) -> dict[str, Any]:
    """What an entry keeps of a statement besides what any entry of a decision has."""
    return {
        "finding": reading.finding.model_dump(mode="json") if reading.finding else None,
        "repair": repair.model_dump(mode="json") if repair else None,
    }
