"""Runs that are revoked, roll others back, break a glass or end with an offer; `recording.py` has what they share."""

from typing import Any

from tests.replay.recording import Recording, Scenario, decision, proposal, reads
from workflows import interface


async def revoked(place: Recording, proposal_id: str) -> None:
    """Somebody whom nobody knows cannot revoke it; whoever is asked for the second stage does, before it runs."""
    handle = await place.start(proposal_id, proposal(proposal_id))
    await place.decide(handle, "erin", "revoke", justification="not mine")
    await place.decide(handle, "bob", "revoke", justification="the wrong database", decision_id="stop-it")
    await handle.result()


async def revoked_while_running(place: Recording, proposal_id: str) -> None:
    """It is revoked while its effect is observed, and undone though the verb for other stops is to ask people."""
    value = proposal(proposal_id, success_criteria=[reads("32MB", observe_seconds=30)], on_stop="ask")
    handle = await place.start(proposal_id, value)
    await place.decide(handle, "carol")
    await place.decide(handle, "bob")
    await place.status(handle, lambda item: item["state"] == "executing")
    found = await handle.query(interface.STATUS)
    await handle.execute_update(interface.DECIDE, decision(found, "dana", "revoke", justification="reports fail"))
    await handle.result()


async def rolled_back(place: Recording, proposal_id: str) -> None:
    """What has succeeded is undone by its recorded undo, which the faster chain is asked about."""
    original = f"{proposal_id}-original"
    handle = await place.start(original, proposal(original))
    await place.decide(handle, "carol")
    await place.decide(handle, "bob")
    await handle.result()
    await place.publish("rollback/policy.yaml")
    try:
        step = {"name": "back", "operation": "postgres.parameter.reset", "parameters": {"name": "work_mem"}}
        undo: dict[str, Any] = {"operation": step["operation"], "steps": [step], "success_criteria": [reads("4MB")]}
        handle = await place.start(proposal_id, proposal(proposal_id, undoes=original, **undo))
        await place.decide(handle, "alice")
        await handle.result()
    finally:
        await place.publish("policy.yaml")


async def rolled_back_wrongly(place: Recording, proposal_id: str) -> None:
    """It says that it undoes what nobody knows: the usual people are asked, and the label is a violation."""
    handle = await place.start(proposal_id, proposal(proposal_id, undoes="nothing-of-that-name"))
    await place.decide(handle, "carol", "deny")
    await handle.result()


async def glass_broken(place: Recording, proposal_id: str) -> None:
    """An emergency asks the chain of the glass, runs, and owes a review."""
    await place.publish("rollback/policy.yaml")
    try:
        handle = await place.start(proposal_id, proposal(proposal_id, change_type="emergency"))
        await place.decide(handle, "alice")
        await handle.result()
    finally:
        await place.publish("policy.yaml")


async def offered(place: Recording, proposal_id: str) -> None:
    """Nobody answers in time, and a safer alternative is offered."""
    await place.publish("rollback/policy.yaml")
    end: dict[str, Any] = {
        "name": "end-it",
        "operation": "postgres.session.terminate",
        "parameters": {"pid": 1, "backend_start": "2026-01-01T00:00:00Z"},
    }
    alternative: dict[str, Any] = {
        "operation": end["operation"],
        "summary": "end the other one",
        "steps": [{**end, "parameters": {**end["parameters"], "pid": 2}}],
        "success_criteria": [reads("4MB")],
    }
    try:
        value = proposal(proposal_id, operation=end["operation"], steps=[end], alternatives=[alternative])
        await (await place.start(proposal_id, value)).result()
    finally:
        await place.publish("policy.yaml")


REVOKING: tuple[Scenario, ...] = (
    revoked,
    revoked_while_running,
    rolled_back,
    rolled_back_wrongly,
    glass_broken,
    offered,
)
