"""What people stated to have been done outside, computed again: each statement is verified again, and counts once."""

from policy.audit import GovernedDocuments, ReadEntry
from policy.outside import receive_outside, why_not
from policy.proofs import Domain, Principal
from signing.proving import KeysWantedError, Trust, UnprovenError, prove


class Outside:
    """The statements of one ledger, entry by entry."""

    def __init__(self, documents: GovernedDocuments) -> None:
        self._documents = documents

    def stated(self, entry: ReadEntry) -> list[str]:
        """Whether a statement is somebody's, and counts."""
        content = entry.content
        statement = receive_outside(content["statement"])
        directory = self._documents.directory(content["directory"])
        kept = Principal.model_validate(content["principal"])
        trust = Trust.again(directory, kept.issuer, kept.key, accepts_claimed=kept.kind == "claimed")
        try:
            by = prove(content["statement"], statement.proof, Domain.outside, trust, entry.at)
        except (UnprovenError, KeysWantedError) as error:
            return [str(error)]
        found = [] if by == kept else [f"its proof shows {by!r:.200}, recorded is {kept!r:.200}"]
        if (why := why_not(statement, by, directory, entry.at)) is not None:
            found.append(f"it was counted and is refused: {why[0]}: {why[1]}")
        if content["person"] != directory.resolve(by.identity):
            found.append(
                f"it says that {content['person']} stated it, its proof shows {directory.resolve(by.identity)}"
            )
        return found
