"""Separation of duties, between people and not between accounts.

- Who asks does not approve: the owner of the proposing agent, by whose schedule it runs, the person it acts for, and
  whoever wrote what is to be published. So it is with who asks today, where that changed since the action was assessed.
- Who wrote the policy that asks, who granted an exception that applies, and who runs the executor that acts or undoes,
  does not approve either.
- One person approves in one stage only: two pairs of eyes are two people.
- A delegate and the delegator are held to this together: what keeps one of the two from approving keeps the delegate
  from it, and what a delegate has approved, the delegator has.
- Denying is always allowed, one's own action included: stopping needs no second person.
- Identities are resolved to people before these rules are asked (`policy/people/directory.py`).

NIST SP 800-53 r5 AC-5; Clark and Wilson 1987.
"""

from collections.abc import Collection, Mapping

from policy.approval.eligibility import stands_for
from policy.decision import Refusal, Vote
from policy.people.facts import PersonFacts


def conflict(
    person: PersonFacts,
    vote: Vote,
    *,
    requesters: Collection[str],
    approved_elsewhere: Collection[str],
    because: Mapping[str, str] | None = None,
) -> tuple[Refusal, str] | None:
    """Why this person's vote would break the separation of duties, or None.

    Args:
        person: who votes, and for whom.
        vote: only `approve` can conflict.
        requesters: the people behind the proposal, and whoever else may not approve it.
        approved_elsewhere: the people whose approval counts in another stage of the same revision, and for whom.
        because: of those who may not approve although they do not ask, why.
    """
    if vote is not Vote.approve:
        return None
    for name in dict.fromkeys((person.person_id, stands_for(person))):
        acting = "" if name == person.person_id else f"{person.person_id} acts for {name}, and "
        if name in requesters:
            why = (because or {}).get(name, "stands behind this proposal")
            return Refusal.self_approval, f"{acting}{name} {why} and cannot approve it"
        if name in approved_elsewhere:
            return Refusal.sod_conflict, f"{acting}{name} already approved another stage of this proposal"
    return None
