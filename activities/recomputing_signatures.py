"""Whose word a recorded proposal is, verified again from the statement in its ledger and the directory of then.

What an assessment, a measurement or the gate knew of the signature is what the kept statement shows by the directory
that the entry names. Assessments of earlier releases knew nothing of it.
"""

from collections.abc import Mapping
from typing import Any

from activities.offering import ORIGINAL
from activities.signatures import signature_again
from policy.audit import GovernedDocuments
from policy.audit_evaluations import compare
from policy.proposal import ReceivedProposal


def check_signature(
    received: ReceivedProposal, observed: Mapping[str, Any], judged: Mapping[str, Any], documents: GovernedDocuments
) -> list[str]:
    """Whether what was observed says of the signature what the kept statement shows, by the documents that were in
    force when it was judged.
    """
    recorded = observed.get("signature")
    if recorded is None:
        return ["it was signed, and the signature was not looked at"] if received.signed is not None else []
    directory = documents.directory(judged["documents"]["directory"])
    return compare("signature", recorded, signature_again(received, directory))


def check_offered(received: ReceivedProposal, content: Mapping[str, Any], documents: GovernedDocuments) -> list[str]:
    """Whether an offer was judged as if its platform signs it like the original, and the original as it is signed."""
    original = content["observed"][str(ORIGINAL)]
    found = check_signature(received, original, content, documents)
    others = [item.get("signature") for item in content["observed"].values()]
    return found + (
        [] if others.count(original.get("signature")) == len(others) else ["alternatives are signed otherwise"]
    )
