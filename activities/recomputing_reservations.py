"""Computing again what a ledger says of reservations: what was needed, whose turn it was, and whether there was room.

What others had and waited for is taken as recorded, as everything is that was observed of others. What the action had
itself follows from the entries before. Entries of a release that reserved nothing say nothing of it.
"""

from datetime import datetime

from activities.cases import CaseFile
from activities.reserving import takes_over, turn_of
from policy.audit import GovernedDocuments, ReadEntry
from policy.audit_evaluations import compare, facts_of
from policy.ledger import EntryKind
from policy.observed import Observed
from policy.reserving import Lease, Reserving, after, decide, lease_until, taken_over, wanted_of
from policy.revision import DocumentDigests
from workflows.ports import UNDO_RETRY


def check_reserved(
    entry: ReadEntry, case: CaseFile, documents: GovernedDocuments, leased: dict[str, Lease]
) -> list[str]:
    """What differs of a reservation; `leased` is what the action had of each scope, and is brought up to date."""
    content = entry.content
    if "reserved" not in content:
        return []
    recorded = Reserving.model_validate(content["reserved"])
    digests = DocumentDigests.model_validate(content["documents"])
    policy = documents.policy(digests.policy)
    facts = facts_of(case.received, digests, documents, Observed.model_validate(content["observed"]))
    step = content["inputs"]["step"]
    computed = decide(
        wanted_of(policy, case.proposal, facts),
        recorded.used,
        turn_of(case, recorded.turn.since, recorded.turn.asked),
        entry.at,
        lease_until=lease_until(
            case.proposal,
            case.criteria,
            step=step,
            acted_on=case.revision.facts.acted_on if case.revision is not None else facts.acted_on,
            now=entry.at,
            permit_ttl=policy.permit_ttl,
            undo_attempts=UNDO_RETRY.maximum_attempts,
        ),
        leases=leased,
    )
    found = compare("reservation", content["reserved"], computed)
    if entry.kind is EntryKind.queued and not computed.waits:
        found.append("it waits for its turn, and nothing is in its way")
    if entry.kind is EntryKind.dispatched and computed.lease_until is None:
        found.append("it was permitted, and what it needs was not free")
    if computed.lease_until is not None and entry.kind is EntryKind.dispatched:
        for item in computed.wanted:
            leased[item.scope] = after(leased.get(item.scope), computed.lease_until, item.amount, entry.at)
    return found


def check_lapsed(entry: ReadEntry, case: CaseFile, leased: dict[str, Lease]) -> list[str]:
    """What differs where a lease is said to have ended without a result."""
    until = datetime.fromisoformat(entry.content["lease_until"])
    found = ["the action had its result before"] if case.result is not None else []
    if not leased or sorted(leased) != entry.content["scopes"] or max(item.until for item in leased.values()) != until:
        found.append("no entry before it takes a lease of these scopes that ends then")
    return found if until <= entry.at else [*found, "the lease had not ended yet"]


def check_moved_over(entry: ReadEntry, case: CaseFile) -> list[str]:
    """What differs where an action took over a reservation, or another took over its own: people approved that, the
    other was in its way, and it had not ended.
    """
    found = ["the action had its result before"] if case.result is not None else []
    if entry.kind is EntryKind.taken_over:
        return found + (["it took over itself"] if entry.content["by"] == case.proposal.proposal_id else [])
    recorded = Reserving.model_validate(entry.content["reserved"])
    if taken_over(recorded, case.proposal, approved=takes_over(case)) != entry.content["taken"]:
        found.append(f"nothing that people approved takes over from {entry.content['taken']}")
    return found
