"""Telling the denier: an effect that people denied and that is proposed again is said to those who denied it.

- It is told where the assessment knows of an earlier denial, once a revision, with the same commit.
- Who is told, and of what, follows from the recorded facts, so an auditor computes it again.
"""

from typing import Any

from policy.base import instant_text
from policy.facts import Facts
from policy.revision import Revision


def deniers(facts: Facts) -> tuple[str, ...]:
    """The people who denied the same effect before, of the newest denial first."""
    return tuple(dict.fromkeys(person for denial in facts.denials for person in denial.denied_by))


def telling(revision: Revision) -> dict[str, Any] | None:
    """The content of the ledger entry `denier_told`; None where there is nothing to tell."""
    denials = revision.facts.denials
    if not denials:
        return None
    return {
        "revision": revision.revision,
        "told": list(deniers(revision.facts)),
        "denied": [
            {
                "proposal_id": denial.proposal_id,
                "denied_by": list(denial.denied_by),
                "at": instant_text(denial.at) if denial.at else None,
            }
            for denial in denials
        ],
    }
