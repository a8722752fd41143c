"""Whether an action may ask people at all, decided before anybody is asked or told.

- What is already asked for is not asked twice: of pending actions with the same effect in the same environment, the
  first one stands and the next is told which one to wait for. Once it is over, the effect may be asked for again.
- An emergency that the policy's break-glass lets ask other people is no repetition of an action that asks the usual
  ones, a rollback none of another action's or of an action that only does the same, and a dry run none of the real
  action. What the record contradicts is no rollback, whatever it says that it undoes.
- An unsigned action waits for one that is signed, and never keeps one waiting: nobody can say who asked for it.
- Then the admission limits of every document that speaks of the action (`policy/rules/admission.py`).
- A refusal changes nothing of what is pending. The first `KEPT` of a scope in an hour are listed one by one, the others
  when their number reaches the next power of two.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from policy.base import Reason
from policy.document import PolicySet
from policy.proposal import ReceivedProposal
from policy.revision import Revision
from policy.rules.admission import LIMIT, AdmissionLimit, Counted, Per, exceeded

SAME_EFFECT = "same_effect_pending"
CODES = frozenset({LIMIT, SAME_EFFECT})
KEPT = 20


def effect_scopes(received: ReceivedProposal, revision: Revision) -> tuple[str, ...]:
    """What two actions have in common that ask for the same: where it is counted, and then where else it is looked."""
    glass, rollback = revision.evaluation.break_glass, revision.evaluation.rollback
    undone = rollback.undoes if rollback is not None and not rollback.violation else None
    why = f"{f' break-glass {glass}' if glass else ''}{f' undoes {undone}' if undone else ''}"
    known = _apart(received, f"effect {received.effect_digest}{why}")
    signature = revision.facts.signature
    return (f"{known} unsigned", known) if signature is not None and signature.unsigned else (known,)


def place_scopes(received: ReceivedProposal, revision: Revision) -> dict[Per, str]:
    """Where an action comes from, by each way of counting."""
    owner = revision.facts.target_owner or "nobody"
    return {
        "agent": _apart(received, f"agent {received.proposal.agent.id}"),
        "target": _apart(received, f"target {received.proposal.target_ref}"),
        "owner_group": _apart(received, f"owner_group {owner}"),
    }


def limits_of(
    policy: PolicySet, received: ReceivedProposal, revision: Revision
) -> Iterator[tuple[AdmissionLimit, str]]:
    """The admission limits that speak of an action, each with the scope that it counts; pure."""
    places, facts = place_scopes(received, revision), revision.facts
    operations = [facts.operation(name) for name in received.proposal.operations]
    for document in policy.documents:
        mine = [item for item in operations if document.speaks_of(item, facts)]
        for limit in document.admission:
            if any(limit.match is None or limit.match.covers(item, facts) for item in mine):
                place = places[limit.per]
                yield limit, place if limit.match is None else f"{place} by {limit.id}"


def same_effect(proposal_id: str) -> Reason:
    """The reason of an action whose effect another one asks for already."""
    return Reason(
        code=SAME_EFFECT, message=f"proposal {proposal_id} asks for the same effect and is pending: wait for it"
    )


def refusals(limits: Mapping[str, AdmissionLimit], counted: Iterable[Counted], see: str | None) -> tuple[Reason, ...]:
    """Why an action is not admitted, from what the record counted; nothing where it is. Pure.

    Args:
        limits: by their ids, which are distinct in a policy.
        counted: for each limit that speaks of the action.
        see: the pending proposal with the same effect.
    """
    if see is not None:
        return (same_effect(see),)
    return tuple(reason for item in counted for reason in exceeded(limits[item.id], item))


def is_listed(number: int) -> bool:
    """Whether the refusal of that number within an hour has an entry of its own."""
    return number <= KEPT or number & (number - 1) == 0


def check_refused(policy: PolicySet, content: Mapping[str, Any]) -> list[str]:
    """What is wrong with an entry that says that an action was not admitted."""
    limits = {limit.id: limit for document in policy.documents for limit in document.admission}
    counted = [Counted.model_validate(item) for item in content["counted"]]
    if unknown := [item.id for item in counted if item.id not in limits]:
        return [f"the policy has no admission limit {unknown[0]}"]
    found = []
    computed = [reason.model_dump(mode="json") for reason in refusals(limits, counted, content["see"])]
    if content["reasons"] != computed:
        found.append(f"reasons: recorded as {content['reasons']!r:.200}, computed as {computed!r:.200}")
    if not computed:
        found.append("nothing speaks against this start")
    if not is_listed(content["number"]):
        found.append(f"refusal {content['number']} within an hour is not one that is listed")
    return found


def _apart(received: ReceivedProposal, scope: str) -> str:
    return f"dry-run {scope}" if received.proposal.dry_run else scope
