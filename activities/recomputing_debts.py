"""What an action owes besides itself, computed again from its ledger: reviews, offers, and what was wrongly labelled.

- A review is owed from the first permit of what breaks a glass, and nowhere else; its answers are read again, and it is
  closed exactly where they settle it, overdue no earlier than it was due.
- An offer is judged again by what was observed then.
- An assessment whose label the record contradicts is a violation, and nothing else is such a one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from activities.cases import CaseFile
from activities.offering import considering, observed_of, offered
from activities.recomputing_proofs import check_principal, said_again
from activities.recomputing_signatures import check_offered
from activities.reviews import ReviewFile, read_answer
from activities.statements import statement_receipt
from policy.approval.standing import Ballot
from policy.audit import GovernedDocuments, ReadEntry
from policy.audit_evaluations import compare
from policy.base import instant_text
from policy.canonical import canonical, digest
from policy.decision import receive_decision
from policy.errors import AuditError
from policy.facts import collect
from policy.ledger import EntryKind
from policy.offering import Considered
from policy.proposal import ReceivedProposal
from policy.result import Offer
from policy.reviewing import found_by, review_of
from policy.revision import DocumentDigests, Revision
from policy.rollback import label_violation


def check_labels(entries: Sequence[ReadEntry]) -> list[str]:
    """Whether a violation is on record exactly where an assessment found one."""
    owed, said = {}, {}
    for entry in entries:
        if entry.kind is EntryKind.assessed:
            revision = Revision.model_validate(entry.content["revision"])
            owed[revision.revision] = label_violation(revision.evaluation.rollback, revision.revision)
        if entry.kind is EntryKind.violation and "undoes" in entry.content:
            said[entry.content["revision"]] = dict(entry.content)
    wrong = [number for number in {*owed, *said} if owed.get(number) != said.get(number)]
    return [f"revision {number}: the violation of its label is not what was assessed" for number in sorted(wrong)]


def check_label(entry: ReadEntry, revision: Revision) -> list[str]:
    """Whether a violation is what the assessment found of a label."""
    real = label_violation(revision.evaluation.rollback, revision.revision)
    return [] if dict(entry.content) == real else [f"the assessment found {real} of its label"]


class Debts:
    """The reviews and offers of one ledger, entry by entry."""

    def __init__(self, documents: GovernedDocuments) -> None:
        self._documents = documents
        self._review: ReviewFile | None = None
        self.offer: Offer | None = None

    def opened(self, entry: ReadEntry, case: CaseFile) -> list[str]:
        """Whether a review is owed, and is this one."""
        assert case.revision is not None
        review = review_of(case.proposal, case.revision, case.assessment_digest or "", entry.at)
        found = ["it was opened before"] if self._review is not None else []
        found += compare("review", entry.content["review"], review)
        if review is not None:
            self._review = ReviewFile(review, digest(canonical(review.model_dump(mode="json"))))
        return found

    def decided(self, entry: ReadEntry) -> list[str]:
        """Read an answer again."""
        file, content = self._known(), entry.content
        submission = receive_decision(content["submission"])
        directory = self._documents.directory(content["directory"])
        said_by = said_again(content, submission, directory, entry.at)
        reading = read_answer(file, submission, said_by, directory, entry.at)
        if content["ballot"] is not None:
            self._review = replace(file, ballots=(*file.ballots, Ballot.model_validate(content["ballot"])))
        receipt = statement_receipt(submission, reading, self._known().standing(entry.at))
        return [
            *check_principal(content, said_by),
            *compare("person", content["person"], reading.person),
            *compare("ballot", content["ballot"], reading.ballot),
            *compare("receipt", content["receipt"], receipt),
        ]

    def overdue(self, entry: ReadEntry) -> list[str]:
        """Whether it was overdue and open."""
        file = self._known()
        found = [] if file.found is None and file.review.overdue(entry.at) else ["it was not overdue"]
        said = (entry.content["review_id"], entry.content["due_at"])
        real = (file.review.review_id, instant_text(file.review.due_at))
        return found if said == real else [*found, f"it is about {said}, the review is {real}"]

    def closed(self, entry: ReadEntry) -> list[str]:
        """Whether the answers settle it so."""
        file = self._known()
        found = found_by(file.standing(entry.at))
        said = (entry.content["review_id"], entry.content["found"])
        self._review = replace(file, found=found)
        if file.found is not None:
            return [f"it was closed before: {file.found}"]
        real = (file.review.review_id, found)
        return [] if said == real else [f"it says {said}, the answers come to {real}"]

    def offered(self, entry: ReadEntry, case: CaseFile) -> list[str]:
        """Judge what was offered again."""
        content = entry.content
        digests = DocumentDigests.model_validate(content["documents"])

        def facts(number: int, received: ReceivedProposal) -> Any:
            return collect(
                received.proposal,
                catalog=self._documents.catalog(digests.catalog),
                directory=self._documents.directory(digests.directory),
                registry=self._documents.operations(digests.operations),
                observed=observed_of(content, number),
            )

        wrong = check_offered(case.received, content, self._documents)
        considered = considering(case.received, self._documents.policy(digests.policy), facts)
        self.offer = offered(tuple(map(Considered.model_validate, content["considered"])))
        if len(considered) != len(content["considered"]):
            return [f"{len(considered)} alternatives are to be considered, {len(content['considered'])} are"]
        pairs: list[tuple[Mapping[str, Any], Considered]] = list(zip(content["considered"], considered, strict=True))
        return wrong + [line for one, other in pairs for line in compare(f"alternative {other.number}", one, other)]

    def missing(self, case: CaseFile | None, permitted: ReadEntry | None) -> list[str]:
        """What should be on record at the end and is not."""
        if case is None or case.revision is None or permitted is None or self._review is not None:
            return []
        owed = review_of(case.proposal, case.revision, case.assessment_digest or "", permitted.at)
        return ["what ran by a broken glass has no review"] if owed is not None else []

    def _known(self) -> ReviewFile:
        if self._review is None:
            raise AuditError("no entry before it opens a review")
        return self._review
