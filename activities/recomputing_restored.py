"""Who acknowledged that the record was restored, computed again from the entry.

- Every statement is verified again by the directory that the entry names, and an issuer's by the key kept with it.
- That the record lacked what the entry says is taken as recorded: what is missing cannot be shown. That the copy knew
  it is checked.
- Whether `claimed` was accepted is a setting of then, which is not evidence.
"""

from typing import Any

from policy.anchoring import Known, digest_of_copy, proposals_of, read_copy
from policy.audit import GovernedDocuments, ReadEntry
from policy.canonical import canonical
from policy.people.directory import Directory
from policy.proofs import Domain, Principal
from policy.restoring import Said, Situation, counted, receive_acknowledgement
from policy.revision import DocumentDigests
from signing.proving import KeysWantedError, Trust, UnprovenError, prove


class Restored:
    """The acknowledgements of one ledger, entry by entry."""

    def __init__(self, documents: GovernedDocuments) -> None:
        self._documents = documents
        self._used: frozenset[str] = frozenset()

    def acknowledged(self, entry: ReadEntry) -> list[str]:
        """What differs where people acknowledged that the record was behind."""
        content = entry.content
        digests = DocumentDigests.model_validate(content["documents"])
        directory = self._documents.directory(digests.directory)
        missing = tuple(Known.model_validate_json(canonical(item), strict=True) for item in content["missing"])
        body = canonical(content["copy"]) if content["copy"] is not None else None
        copy = read_copy(body) if body is not None else None
        found = []
        if body is not None and content["copy_digest"] != digest_of_copy(body):
            found.append(f"the copy has digest {digest_of_copy(body)}, the entry says {content['copy_digest']}")
        if set(missing) - set(copy.entries if copy is not None else ()):
            found.append("it says that entries are missing of which the copy knows nothing")
        said = []
        for item in content["acknowledged"]:
            by = _said(item, directory, entry)
            if isinstance(by, str):
                found.append(by)
            else:
                said.append(by)
        newest = copy.newest if copy is not None else None
        situation = Situation(content["copy_digest"], newest, proposals_of(missing), self._used)
        people, problems = counted(said, situation, self._documents.policy(digests.policy), directory, entry.at)
        if list(people) != content["people"]:
            found.append(
                f"it says that {content['people']!r:.200} acknowledged it, by their statements {people!r:.200} did"
            )
        self._used |= {item.statement.acknowledgement_id for item in said}
        return found + list(problems)


def _said(item: Any, directory: Directory, entry: ReadEntry) -> Said | str:
    """A statement, and whoever its proof shows again; or what is wrong, in a sentence."""
    statement = receive_acknowledgement(item["statement"])
    kept = Principal.model_validate(item["principal"])
    trust = Trust.again(directory, kept.issuer, kept.key, accepts_claimed=kept.kind == "claimed")
    try:
        by = prove(item["statement"], statement.proof, Domain.acknowledgement, trust, entry.at)
    except (UnprovenError, KeysWantedError) as error:
        return f"statement {statement.acknowledgement_id}: {error}"
    if by != kept:
        return f"statement {statement.acknowledgement_id}: its proof shows {by!r:.200}, recorded is {kept!r:.200}"
    return Said(statement, by)
