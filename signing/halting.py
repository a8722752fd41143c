"""Who signed a halt or its release, and whether it counts (`policy/halting.py`)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from policy.document import PolicySet
from policy.halting import HaltStatement, why_not
from policy.people.directory import Directory
from policy.proofs import Domain
from policy.rules.chains import Requirement
from signing.proving import Trust, UnprovenError, prove


def signed_by(
    value: Mapping[str, Any],
    statement: HaltStatement,
    policy: PolicySet,
    directory: Directory,
    at: datetime,
    owners: Sequence[Requirement] = (),
) -> str | tuple[str, str]:
    """The id of the person whose statement counts, or why it does not, as code and sentence.

    Args:
        value: the statement as received.
        statement: the same, as read.
        policy: in force now.
        directory: in force now; it alone verifies.
        at: the instant (UTC) at which it has to count.
        owners: who owns the target that it is about.
    """
    try:
        principal = prove(value, statement.proof, Domain.halt, Trust(directory), at)
    except UnprovenError as error:
        return str(error.code), str(error)
    person = directory.facts(principal.identity, at)
    if (refused := why_not(statement, person, policy, directory, at, owners)) is not None:
        return refused
    assert person is not None
    return person.person_id
