"""Acting for somebody: whether a person may, and what then counts of whom.

- Who acts is a person who is there; an agent or an account never is a delegate. So is who is acted for.
- A delegation holds from `since` on and until just before `until`, in its environments and tiers, where it says any.
- The delegator's groups, roles and qualifications count. One that names `groups` gives those only: no role, and
  not what the delegator is asked for by name.
- It is not passed on: the delegate of a delegate has nothing, whatever the two delegations say.
- Who signs what they decide needs a delegation that its delegator signed; one that is not gives them nothing, and the
  weakest of those that count is kept. Whoever only claims to be somebody may claim a delegation, too.
- Duties apply to both: managers and teams are those of both, and the delegator is named. So is being new: who acts is
  there since the later of the two, and nobody knows since when where one is not known.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from policy.people.directory import Delegation, Directory
from policy.people.entries import within
from policy.people.facts import PersonFacts
from policy.people.holding import fitted
from policy.proofs import Assurance, lowest


def acting(
    directory: Directory,
    delegate_identity: str,
    delegator_identity: str,
    at: datetime,
    *,
    environment: str | None,
    tier: str | None,
    conditions: Iterable[str],
    signed: bool,
) -> PersonFacts | str:
    """The facts by which a person acts for another, or the reason why they may not; pure.

    Args:
        directory: as it is at the instant.
        delegate_identity: who acts.
        delegator_identity: for whom.
        at: the instant (UTC).
        environment: of the action; None, where nobody knows it, is in no scope that names environments.
        tier: the risk tier of the action; None as for the environment.
        conditions: texts of `when`; `satisfies` keeps those that hold of the delegator within the scope.
        signed: whether who acts proves who they are, and so must the delegator.
    """
    delegate, delegator = directory.facts(delegate_identity, at), directory.facts(delegator_identity, at)
    for identity, person in ((delegate_identity, delegate), (delegator_identity, delegator)):
        if person is None:
            return f"{identity} is nobody in the directory"
    assert delegate is not None
    assert delegator is not None
    between = f"{delegate.person_id} for {delegator.person_id}"
    if delegate.person_id == delegator.person_id:
        return f"nobody acts for themselves: {between}"
    given = [
        item
        for item in directory.delegations
        if (item.delegate, item.delegator) == (delegate.person_id, delegator.person_id)
        and within(item.since, item.until, at)
    ]
    if not given:
        return f"no delegation lets {between} decide now; one is never passed on"
    if not (fitting := [item for item in given if _covers(item, environment, tier)]):
        return f"the delegation {given[0].id} of {between} does not cover tier {tier} in {environment}"
    shown = [(item, directory.shown(item)) for item in fitting] if signed else []
    proved = [(item, found) for item, found in shown if isinstance(found, Assurance)]
    if signed and not proved:
        return f"{delegator.person_id} did not sign the delegation {fitting[0].id} of {between}: {shown[0][1]}"
    given = [item for item, _ in proved] if signed else fitting
    return fitted(_scoped(delegator, given), conditions).model_copy(
        update={
            "person_id": delegate.person_id,
            "delegator": delegator.person_id,
            "managers": tuple(dict.fromkeys((*delegate.managers, *delegator.managers))),
            "teams": tuple(dict.fromkeys((*delegate.teams, *delegator.teams))) if _known(delegate, delegator) else (),
            "since": _since(delegate, delegator),
            "delegated": lowest(found for _, found in proved) if signed else None,
        }
    )


def _covers(item: Delegation, environment: str | None, tier: str | None) -> bool:
    return (item.environments is None or environment in item.environments) and (
        item.tiers is None or tier in item.tiers
    )


def _scoped(delegator: PersonFacts, given: Sequence[Delegation]) -> PersonFacts:
    """The delegator's facts as far as any of the delegations gives them."""
    if any(item.groups is None for item in given):
        return delegator
    scope = {name for item in given for name in item.groups or ()}
    groups = tuple(name for name in delegator.groups if name in scope)
    return delegator.model_copy(update={"groups": groups, "roles": (), "groups_only": True})


def _known(*people: PersonFacts) -> bool:
    return all(person.teams for person in people)


def _since(delegate: PersonFacts, delegator: PersonFacts) -> dict[str, datetime]:
    """The delegator's, but for the presence of whoever acts: the later of both."""
    there = [person.since["person"] for person in (delegate, delegator) if "person" in person.since]
    held = {what: since for what, since in delegator.since.items() if what != "person"}
    return {"person": max(there), **held} if len(there) == 2 else held  # noqa: PLR2004 - both of them
