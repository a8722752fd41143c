"""Computing again what the ledger of halts says: who signed what, whether it counted, and who released a halt.

Every statement is verified again with the directory that was in force then, which alone ever verified it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from activities.held_targets import owners_of
from policy.audit import GovernedDocuments, ReadEntry
from policy.catalog import normalize
from policy.errors import DocumentError
from policy.halting import HaltStatement, missing, receive_halt
from policy.ledger import EntryKind
from policy.revision import DocumentDigests
from signing.halting import signed_by


class Halts:
    """The halts of one ledger as far as it was walked."""

    def __init__(self, documents: GovernedDocuments) -> None:
        self._documents = documents
        self._halted_by: dict[str, str | None] = {}
        self._signers: dict[str, set[str]] = {}

    @property
    def checks(self) -> dict[EntryKind, Callable[[ReadEntry], list[str]]]:
        """What checks an entry, by its kind."""
        return {
            EntryKind.halted: self.halted,
            EntryKind.halt_refused: self.refused,
            EntryKind.halt_signed: self.signed,
            EntryKind.halt_released: self.released,
        }

    def halted(self, entry: ReadEntry) -> list[str]:
        """What differs where a halt was noted."""
        content, halt = entry.content, entry.content["halt"]
        found = self._person(
            entry, content["statement"], "halt", halt["halt_id"], at=datetime.fromisoformat(halt["placed_at"])
        )
        recorded = content["person_id"]
        if isinstance(found, str) and not _about(content["statement"], halt):
            found = "unknown_request", "its statement is about something else"
        self._halted_by[halt["halt_id"]] = recorded
        if isinstance(found, str) and recorded != found:
            return [f"it was signed by {found}, recorded is {recorded or 'nobody'}"]
        if not isinstance(found, str) and recorded is not None:
            return [f"it is recorded as signed by {recorded}, and is not: {found[1]}"]
        return []

    def refused(self, entry: ReadEntry) -> list[str]:
        """What differs where a statement was refused; what was no statement at all is kept no further."""
        return [] if isinstance(entry.content["code"], str) else ["it does not say why it was refused"]

    def signed(self, entry: ReadEntry) -> list[str]:
        """What differs where somebody signed a release."""
        content = entry.content
        halt_id, found = content["halt_id"], self._person(entry, content["statement"], "release", content["halt_id"])
        if halt_id not in self._halted_by:
            return [f"no entry before it halts {halt_id}"]
        if found != content["person_id"]:
            why = found if isinstance(found, str) else found[1]
            return [f"it is recorded as signed by {content['person_id']}: {why}"]
        self._signers.setdefault(halt_id, set()).add(content["person_id"])
        return []

    def released(self, entry: ReadEntry) -> list[str]:
        """What differs where a halt ended."""
        halt_id, people = entry.content["halt_id"], set(entry.content["people"])
        if unsigned := people - self._signers.get(halt_id, set()):
            return [f"no entry before it says that {', '.join(sorted(unsigned))} signed the release"]
        lacks = missing(people, self._halted_by.get(halt_id))
        return [] if lacks is None else [f"it was released, and {lacks}"]

    def _person(
        self, entry: ReadEntry, value: Any, verb: str, halt_id: str, *, at: datetime | None = None
    ) -> str | tuple[str, str]:
        """Whose statement it is, as `signing.halting.signed_by`."""
        try:
            statement: HaltStatement = receive_halt(value)
        except DocumentError as error:
            return "malformed", str(error)
        if (statement.verb, statement.halt_id) != (verb, halt_id):
            return "unknown_request", f"it says {statement.verb} of {statement.halt_id}"
        digests = DocumentDigests.model_validate(entry.content["documents"])
        policy, directory = self._documents.policy(digests.policy), self._documents.directory(digests.directory)
        owners = owners_of(self._documents.catalog(digests.catalog), statement.target) if statement.target else ()
        return signed_by(value, statement, policy, directory, at or entry.at, owners)


def _about(value: Any, halt: dict[str, Any]) -> bool:
    """Whether a statement is about the environment or the target that was halted."""
    said = receive_halt(value)
    target = normalize(said.target) if said.target is not None else None
    return (said.environment, target) == (halt["environment"], halt.get("target"))
