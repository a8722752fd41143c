"""A decision on record is read again, and judged by the case as it stood before it."""

from dataclasses import replace
from datetime import datetime

from activities.accepting import read_acceptance
from activities.advancing import standing_of
from activities.cases import CaseFile
from activities.deciding import Reading, SaidBy, read_decision
from activities.recomputing_permits import Permitted
from activities.recomputing_proofs import check_principal, said_again
from activities.recomputing_revocations import counted_again
from activities.revoking import read_revocation
from activities.taking import receipt_of, refused
from policy.approval.standing import Ballot
from policy.audit import GovernedDocuments, ReadEntry
from policy.audit_evaluations import compare
from policy.decision import DecisionSubmission, Refusal, Vote, receive_decision
from policy.ledger import EntryKind
from policy.people.directory import Directory
from policy.undecided import accepted_reason


def check_decided(
    entry: ReadEntry, case: CaseFile, documents: GovernedDocuments, permitted: Permitted, *, stopped: bool
) -> tuple[list[str], CaseFile]:
    """What is wrong with a counted or refused decision, and the case after it.

    `stopped` says whether an entry of the ledger stops the action.
    """
    content, counted = entry.content, entry.kind is EntryKind.decision_counted
    if content["directory"] is None:
        receipt = refused(None, Refusal.malformed, content["receipt"]["message"])
        found = ["a decision that counts names no directory"] if counted else []
        return found + compare("receipt", content["receipt"], receipt), case
    submission = receive_decision(content["submission"])
    directory = documents.directory(content["directory"])
    said_by = said_again(content, submission, directory, entry.at)
    reading = _read(case, submission, said_by, directory, permitted, entry.at)
    found = counted_again(reading, counted=counted) + check_principal(content, said_by)
    if reading.revokes is not None and not stopped:
        found.append("it revokes the action, and no entry stops it")
    found += compare("person", content["person"], reading.person)
    found += compare("ballot", content["ballot"], reading.ballot)
    after = case
    if content["ballot"] is not None:
        after = replace(case, ballots=(*case.ballots, Ballot.model_validate(content["ballot"])))
    if counted and reading.accepts and reading.person is not None:
        after = replace(case, accepted=accepted_reason(reading.person.person_id, submission.justification))
    standing = standing_of(after, entry.at)
    return found + compare("receipt", content["receipt"], receipt_of(submission, reading, standing, case)), after


def _read(
    case: CaseFile,
    submission: DecisionSubmission,
    said_by: SaidBy,
    directory: Directory,
    permitted: Permitted,
    at: datetime,
) -> Reading:
    if submission.vote not in (Vote.revoke, Vote.accept):
        return read_decision(case, submission, said_by, directory, at)
    records = permitted.forward(submission.revision)
    if submission.vote is Vote.accept:
        return read_acceptance(case, submission, said_by, directory, records, at)
    return read_revocation(case, submission, said_by, directory, records, at)
