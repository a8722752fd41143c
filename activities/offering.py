"""Offering the safer alternative of an action that expired: judged by the facts of now, on record, never started."""

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.cases import CaseFile
from activities.documents import InForce
from activities.ledger import Ledger
from activities.starting import gather
from policy.document import PolicySet
from policy.facts import Facts
from policy.judging import judge
from policy.ledger import EntryKind
from policy.observed import Observed
from policy.offering import OFFER, Considered, alternatives, consider
from policy.proposal import ReceivedProposal
from policy.result import Offer

# The original among what was observed; alternatives are numbered from 1.
ORIGINAL = 0


def wants_offer(file: CaseFile) -> bool:
    """Whether an action ended without an answer, by the verb that offers something safer, and is not recorded yet."""
    asked = file.resolution == "expired" and any(reason.code == OFFER for reason in file.reasons)
    return asked and file.result is None and any(item.steps is not None for item in file.proposal.alternatives)


async def offer(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, in_force: InForce, now: datetime
) -> Offer | None:
    """The first alternative that may be offered, with the entry that keeps why; None where there is none."""
    assert file.revision is not None
    facts: dict[int, Facts] = {}
    for number, received in {ORIGINAL: file.received, **dict(_proposals(file.received))}.items():
        # Its platform signs an alternative where it starts it: judged is what would be then.
        signature = facts[ORIGINAL].signature if number != ORIGINAL else None
        facts[number] = await gather(connection, received, in_force, now, signature)
    considered = considering(file.received, in_force.policy, lambda number, _: facts[number])
    content = {
        "revision": file.revision.revision,
        "documents": in_force.digests.model_dump(mode="json"),
        "observed": {str(number): item.observed.model_dump(mode="json") for number, item in facts.items()},
        "considered": [item.model_dump(mode="json") for item in considered],
    }
    await ledger.append(EntryKind.offered, content, file.revision.revision)
    return offered(considered)


def considering(
    received: ReceivedProposal, policy: PolicySet, facts_of: Callable[[int, ReceivedProposal], Facts]
) -> tuple[Considered, ...]:
    """What came of each alternative that has steps; pure. `facts_of` gives those of the original, or of one of them."""
    original = judge(policy, received.proposal, facts_of(ORIGINAL, received))
    found = []
    for number, item in alternatives(received):
        if isinstance(item, str):
            found.append(Considered(number=number, why=item))
        else:
            judged = judge(policy, item.proposal, facts_of(number, item))
            found.append(consider(number, item, original, judged))
    return tuple(found)


def offered(considered: tuple[Considered, ...]) -> Offer | None:
    """The first offer."""
    return next((item.offer for item in considered if item.offer is not None), None)


def observed_of(content: Mapping[str, Mapping[str, object]], number: int) -> Observed:
    """What an entry kept as observed of one of them."""
    return Observed.model_validate(content["observed"][str(number)])


def _proposals(received: ReceivedProposal) -> list[tuple[int, ReceivedProposal]]:
    return [(number, item) for number, item in alternatives(received) if isinstance(item, ReceivedProposal)]
