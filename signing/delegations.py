"""The delegations of a directory, and what their proofs show: who let somebody else decide, by their own signature.

1. A delegation is signed by whom it speaks for, by a key of the same directory, for its `audience`. Signed are all of
   its fields (`Delegation.statement`): nobody makes it longer or wider afterwards.
2. The key is looked up at `issued_at`. A key that was revoked shows nothing, and what it had signed counts no longer.
3. A directory is asked once, when it is read: the same bytes show the same, to the gate and to an auditor.
"""

from policy.people.directory import Directory, read_directory
from policy.people.entries import Delegation
from policy.proofs import Assurance, Domain
from signing.proving import Trust, UnprovenError, prove


def read_proved_directory(body: bytes) -> Directory:
    """Read a directory document, and verify the proofs of its delegations.

    Raises:
        DocumentError: names the place, the value and the fix.
    """
    directory = read_directory(body)
    if not directory.delegations:
        return directory
    return directory.with_shown({item.id: shown_by(item, directory) for item in directory.delegations})


def shown_by(delegation: Delegation, directory: Directory) -> Assurance | str:
    """How strongly a delegation is shown to be its delegator's, or why it is not."""
    if delegation.proof is None or delegation.issued_at is None:
        return "it has no proof, sign it with `countersign delegate`"
    value = {**delegation.statement(directory.audience), "proof": delegation.proof.model_dump(mode="json")}
    try:
        principal = prove(value, delegation.proof, Domain.delegation, Trust(directory), delegation.issued_at)
    except UnprovenError as error:
        return f"{error.code}: {error}"
    if principal.identity != delegation.delegator:
        return f"{principal.identity} signed it"
    return principal.assurance
