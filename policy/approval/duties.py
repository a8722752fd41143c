"""Separation of duties, between people and not between accounts.

- Who asks does not approve: the owner of the proposing agent, and the person it acts for.
- One person approves in one stage only: two pairs of eyes are two people.
- Denying is always allowed, one's own action included: stopping needs no second person.
- Identities are resolved to people before these rules are asked (`policy/directory.py`).
"""

from collections.abc import Collection

from policy.decision import Refusal, Vote


def conflict(
    person_id: str, vote: Vote, *, requesters: Collection[str], approved_elsewhere: Collection[str]
) -> tuple[Refusal, str] | None:
    """Why this person's vote would break the separation of duties, or None.

    Args:
        person_id: who votes.
        vote: only `approve` can conflict.
        requesters: the people behind the proposal.
        approved_elsewhere: the people whose approval counts in another stage of the same revision.
    """
    if vote is not Vote.approve:
        return None
    if person_id in requesters:
        return Refusal.self_approval, f"{person_id} stands behind this proposal and cannot approve it"
    if person_id in approved_elsewhere:
        return Refusal.sod_conflict, f"{person_id} already approved another stage of this proposal"
    return None
