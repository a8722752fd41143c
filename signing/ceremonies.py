"""Who signed a ceremony, and whether it puts documents in force (`policy/ceremony.py`)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from policy.ceremony import Replaced, faults, receive_ceremony
from policy.errors import DocumentError
from policy.people.directory import Directory
from policy.proofs import Domain
from signing.proving import Trust, UnprovenError, prove


def ceremony_faults(
    values: Sequence[Mapping[str, Any]], documents: Sequence[Replaced], directory: Directory, at: datetime
) -> tuple[str, ...]:
    """Why signed statements put nothing in force, a sentence each; nothing where they do.

    Args:
        values: the statements as received.
        documents: what comes in force.
        directory: whose keys they are: the one in force, or the first.
        at: the instant (UTC) of the ceremony.
    """
    statements, signers, found = [], [], []
    for value in values:
        try:
            statement = receive_ceremony(value)
            principal = prove(value, statement.proof, Domain.ceremony, Trust(directory), at)
        except DocumentError as error:
            found.append(str(error))
        except UnprovenError as error:
            found.append(f"{error.code}: {error}")
        else:
            person = directory.facts(principal.identity, at)
            statements.append(statement)
            signers.append(person.person_id if person is not None else None)
    # A statement that does not verify is no statement, and no reason to look away from it.
    return (*found, *faults(statements, signers, documents, at))
