"""What people said of an action after its end, computed again from its ledger.

- What is unresolved is opened by an end without a definite state, and is what the policy of the assessment makes of it.
- Every statement about it or about the outcome is read again; what it came to is closed and amended, and nothing else.
- That its hold ended is what the record says beside the ledger: people must have settled it, or an action remedied it.
- That another action remedied it, and how an action ended that is named as a repair, are observations: taken as
  recorded, like those of an assessment.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from activities.cases import CaseFile
from activities.item_answers import ItemFile, Repair, read_item_answer, with_said
from activities.item_rows import repaired
from activities.recomputing_proofs import check_principal, said_again
from activities.statements import statement_receipt
from policy.audit import GovernedDocuments, ReadEntry
from policy.audit_evaluations import compare
from policy.base import instant_text
from policy.canonical import parse_canonical
from policy.decision import receive_decision
from policy.errors import AuditError
from policy.findings import Finding
from policy.items import Item, agreeing, amendment_item, made_of, settled, standing_of, unresolved_item
from policy.ledger import EntryKind


class Items:
    """The items of one ledger, entry by entry; `released` is how the record says that the hold ended."""

    def __init__(self, documents: GovernedDocuments, released: str | None = None) -> None:
        self._documents = documents
        self._released = released
        # Who closed it, or which action remedied it.
        self._closed_by: tuple[list[str], str | None] | None = None
        self._file: ItemFile | None = None
        self._amending: ItemFile | None = None
        self._amended = 0
        # What an entry owes that has not come yet: the amendment of what was settled, by whom.
        self._owed: tuple[Finding, tuple[str, ...]] | None = None

    def checks(self, case: Callable[[], CaseFile]) -> dict[EntryKind, Callable[[ReadEntry], list[str]]]:
        """What checks an entry, by its kind; `case` is as the ledger has it by then."""
        return {
            EntryKind.unresolved_opened: lambda entry: self.opened(entry, case()),
            EntryKind.unresolved_overdue: self.overdue,
            EntryKind.unresolved_closed: self.closed,
            EntryKind.item_decided: lambda entry: self.decided(entry, case()),
            EntryKind.amended: lambda entry: self.amended(entry, case()),
        }

    def opened(self, entry: ReadEntry, case: CaseFile) -> list[str]:
        """Whether the end left something to find out, and it is this."""
        found = ["it was opened before"] if self._file is not None else []
        if case.result is None or case.revision is None:
            return [*found, "the action has not ended"]
        policy = self._documents.policy(case.revision.documents.policy)
        item = unresolved_item(
            case.proposal,
            case.revision,
            case.assessment_digest or "",
            policy,
            outcome=case.result.outcome,
            at=entry.at,
        )
        recorded = _as_opened(entry.content["item"], item, case)
        if recorded is not None:
            self._file = ItemFile(recorded)
        return found + compare("item", entry.content["item"], recorded)

    def decided(self, entry: ReadEntry, case: CaseFile) -> list[str]:
        """Read a statement again."""
        content = entry.content
        kind = content["item"]["kind"]
        file = self._known() if kind == "unresolved" else self._amendment(entry, case)
        submission = receive_decision(content["submission"])
        directory = self._documents.directory(content["directory"])
        said_by = said_again(content, submission, directory, entry.at)
        repair = _repair(content["repair"], file.item)
        reading = read_item_answer(file, submission, said_by, directory, repair, entry.at)
        after = with_said(file, reading)
        receipt = statement_receipt(submission, reading, standing_of(file.item, after.said, reading.finding, entry.at))
        if kind == "unresolved":
            self._file = after
        else:
            self._amending = after
        if reading.counts and (finding := settled(file.item, after.said, entry.at)) is not None:
            self._owed = finding, tuple(ballot.person_id for ballot in agreeing(after.said, finding))
        return [
            *compare("item", content["item"], file.item),
            *check_principal(content, said_by),
            *compare("person", content["person"], reading.person),
            *compare("ballot", content["ballot"], reading.ballot),
            *compare("receipt", content["receipt"], receipt),
            *compare("finding", content["finding"], reading.finding),
        ]

    def overdue(self, entry: ReadEntry) -> list[str]:
        """Whether it was overdue and open, for so long."""
        file, content = self._known(), entry.content
        item = file.item
        real = (item.item_id, instant_text(item.due_at) if item.due_at else None, item.pages(entry.at))
        said = (content["item_id"], content["due_at"], content["page"])
        if file.closed is not None or not item.pages(entry.at):
            return ["it was not overdue"]
        return [] if said == real else [f"it says {said}, the item says {real}"]

    def closed(self, entry: ReadEntry) -> list[str]:
        """Whether people settled it so; what another action remedied is taken as recorded."""
        file, content = self._known(), entry.content
        found = [f"it was closed before: {file.closed}"] if file.closed is not None else []
        if not content["by"]:
            self._owed = repaired(file.item, content["repaired_by"]), ()
        finding, by = self._owed or (None, ())
        said = (content["item_id"], content["found"], content["by"], content["repaired_by"])
        real = (file.item.item_id, finding.found, list(by), finding.repaired_by) if finding is not None else None
        self._file = replace(file, closed=content["found"])
        self._closed_by = content["by"], content["repaired_by"]
        return found if said == real else [*found, f"it says {said}, the statements come to {real}"]

    def amended(self, entry: ReadEntry, case: CaseFile) -> list[str]:
        """Whether people settled that it ended so."""
        content, self._amended = entry.content, self._amended + 1
        finding, by = self._owed or (None, ())
        self._owed, self._amending = None, None
        found = compare("finding", content["finding"], finding)
        found += [] if content["by"] == list(by) else [f"it is by {content['by']}, {list(by)} say it"]
        if content["number"] != self._amended:
            found.append(f"it is amendment {content['number']}, {self._amended - 1} were before it")
        if case.result is None or content["was"] != case.result.outcome:
            found.append(f"it amends {content['was']}, the result says {case.result.outcome if case.result else None}")
        return found

    def missing(self) -> list[str]:
        """What should be on record at the end and is not."""
        owed = ["what people settled has no amendment"] if self._owed is not None else []
        return [*owed, *self._wrongly_released()]

    def _wrongly_released(self) -> list[str]:
        """What speaks against the release of the hold; an action that remedied it is on record before it is closed."""
        if self._released is None:
            return []
        said = parse_canonical(self._released.encode())
        by, repair = said.get("released_by", "nobody"), said.get("proposal_id")
        people, repaired_by = self._closed_by or ([], repair)
        if (by == "item" and people) or (by == "remedy" and (people or repair == repaired_by)):
            return []
        return [f"the record has its hold as released by {repair or by}, and no statements or repair that did"]

    def _known(self) -> ItemFile:
        if self._file is None:
            raise AuditError("no entry before it opens an item")
        return self._file

    def _amendment(self, entry: ReadEntry, case: CaseFile) -> ItemFile:
        """The question how it ended, under the policy that was in force then."""
        if case.result is None or case.revision is None:
            raise AuditError("no entry before it says that the action has ended")
        item: Item = amendment_item(
            case.proposal,
            case.revision,
            case.assessment_digest or "",
            self._documents.policy(entry.content["documents"]["policy"]),
            outcome=case.result.outcome,
            at=case.result.timings.finished_at,
            number=self._amended + 1,
        )
        said = self._amending.said if self._amending is not None else ()
        return ItemFile(_as_opened(entry.content["item"], item, case) or item, said)


def _repair(value: Any, item: Item) -> Repair | None:
    """What the record had of a repair; earlier releases did not ask when it began."""
    if value is None:
        return None
    repair = Repair.model_validate(value)
    return repair if "began" in value else repair.model_copy(update={"began": item.opened_at})


def _as_opened(value: Any, today: Item | None, case: CaseFile) -> Item | None:
    """The item as it is recorded where an earlier release made it so of the action; else as today's rules make it."""
    try:
        recorded = Item.model_validate(value)
    except ValidationError:
        return today
    known = case.revision is not None and made_of(recorded, today, case.revision)
    return recorded if known else today
