"""Runs whose step goes from target to target, and what its criteria leave; `recording.py` has what they share."""

from typing import Any

from tests.replay.recording import Recording, Scenario, proposal, reads


def fleet(proposal_id: str, *criteria: dict[str, Any]) -> dict[str, Any]:
    """Set `work_mem` on both databases of the fleet, one after the other."""
    value = proposal(proposal_id, scratch=True, target="system:default/scratch-fleet")
    value["steps"][0]["one_by_one"] = True
    return {**value, "success_criteria": list(criteria) or value["success_criteria"]}


async def one_by_one(place: Recording, proposal_id: str) -> None:
    """Each is measured before the next, and all of them at the end."""
    await (await place.start(proposal_id, fleet(proposal_id))).result()


async def one_by_one_ended(place: Recording, proposal_id: str) -> None:
    """The first is not well after it: the second is not begun, and only the first is undone."""
    value = fleet(proposal_id, reads("1GB", within_seconds=0))
    await (await place.start(proposal_id, value)).result()


async def inconclusive(place: Recording, proposal_id: str) -> None:
    """What is read is neither success nor failure, so nobody can tell; it is undone."""
    neither = reads("1GB", within_seconds=1, failure={"equals": "2GB"})
    value = proposal(proposal_id, scratch=True, success_criteria=[neither])
    await (await place.start(proposal_id, value)).result()


STAGING: tuple[Scenario, ...] = (one_by_one, one_by_one_ended, inconclusive)
