"""Runs whose permits are signed and carry what people said; `recording.py` has what they share."""

from tests.replay.recording import Recording, Scenario, proposal


async def permits_signed(place: Recording, proposal_id: str) -> None:
    """What is high is approved by two, permitted, and done; its permits carry both approvals."""
    handle = await place.start(proposal_id, proposal(proposal_id))
    await place.decide(handle, "carol")
    await place.decide(handle, "bob")
    await handle.result()


PERMITTED: tuple[Scenario, ...] = (permits_signed,)
