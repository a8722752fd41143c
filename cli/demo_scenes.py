"""The five scenes of the demo. Each proposes what a file in `examples/proposals/` says, and ends as it promises."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from temporalio.client import WorkflowHandle

from cli import demo_orders
from cli.demo_world import Ended, World
from cli.ready import EXAMPLES
from policy.decision import Refusal, Vote
from policy.ledger import EntryKind

_WENT_ON_SECONDS = 10.0
Handle = WorkflowHandle[Any, Any]


def proposal(name: str) -> dict[str, Any]:
    """A proposal of `examples/proposals/`."""
    value: dict[str, Any] = json.loads((EXAMPLES / "proposals" / f"{name}.json").read_text())
    return value


async def routine(world: World) -> Ended:
    """1: policy allows it, it runs, and the blocked session goes on."""
    world.screen.heading("1  routine: end the session that blocks the checkout")
    world.screen.say(
        "In the database `orders` a batch session has changed an order and now sits idle in its transaction. The "
        "checkout waits for that row. An agent finds it and proposes to end the session. The policy allows that to "
        "an automation, so nobody is asked."
    )
    async with demo_orders.trouble(world.stack) as trouble:
        value = _about(proposal("1-routine"), trouble)
        result = await world.result(await world.propose(value))
        try:
            async with asyncio.timeout(_WENT_ON_SECONDS):
                went_on = await asyncio.shield(trouble.went_on)
        except TimeoutError:
            went_on = ""
    return world.judge(
        1,
        result,
        {
            "allowed by the policy alone, ran and succeeded": _is(result, "approved", "succeeded")
            and result["verdict"] == "allow",
            f"the checkout went on: its statement answered {went_on or 'nothing'}": went_on == "UPDATE 1",
        },
    )


def _about(value: dict[str, Any], trouble: demo_orders.Trouble) -> dict[str, Any]:
    """The proposal with the session that was found instead of the example's."""
    found = {"pid": trouble.pid, "backend_start": trouble.backend_start}
    for step in value["steps"]:
        step["parameters"].update(found)
    for criterion in value["success_criteria"]:
        about_waiting = criterion["probe"] == "postgres.session.blocked"
        facts = {"pid": trouble.blocked_pid} if about_waiting else found
        criterion["parameters"].update({name: facts[name] for name in criterion["parameters"] if name in facts})
    return value


async def high_impact(world: World) -> Ended:
    """2: two people of two groups, after a refusal, a reminder and an escalation."""
    value = proposal("2-high-impact")
    proposal_id, behind = value["proposal_id"], value["on_behalf_of"]
    world.screen.heading("2  high impact: change a server parameter of the production database")
    world.screen.say(
        "The agent wants more work_mem. Every service on that server would feel it, so the policy asks two people of "
        "two groups, one after the other. What takes hours in life takes seconds here."
    )
    handle = await world.propose(value)
    await world.until(proposal_id, EntryKind.assessed)
    world.screen.say(f"{behind}, who is behind the agent, tries to approve:")
    own = await world.decide(proposal_id, behind, Vote.approve)
    world.screen.say(await world.why(handle))
    world.screen.say("Nobody of the first group answers. Time brings a reminder, then the escalation:")
    await world.until(proposal_id, EntryKind.reminded)
    await world.until(proposal_id, EntryKind.escalated)
    world.screen.say("Somebody of the group that was added approves, and somebody of the second group:")
    await world.decide(proposal_id, "sam", Vote.approve, "looked at the memory headroom")
    await world.decide(proposal_id, "dora", Vote.approve)
    result = await world.result(handle)
    wanted = _value(value)
    now = await demo_orders.in_force(world.stack, "work_mem")
    return world.judge(
        2,
        result,
        {
            f"{behind} was refused: {own.message}": own.code == Refusal.self_approval,
            f"approved by two people and succeeded: {_people(result)}": _is(result, "approved", "succeeded")
            and len(set(_people(result).split(", "))) == 2,  # noqa: PLR2004 - two people
            f"a new session reads work_mem = {now}": now == wanted,
        },
    )


async def undone(world: World) -> Ended:
    """3: it runs, does not do what it promised, and is compensated."""
    value = proposal("3-undone")
    proposal_id = value["proposal_id"]
    world.screen.heading("3  undone: a change that does not do what it promised")
    world.screen.say(
        "The agent wants more max_connections and promises that new sessions see the value. That parameter needs a "
        "restart, so the promise fails after the change, and the approved undo runs at once: its permit was issued "
        "together with the change's."
    )
    before, seen = await demo_orders.in_force(world.stack, "max_connections"), list[str | None]()
    watching = asyncio.create_task(demo_orders.watch_written(world.stack, "max_connections", seen))
    handle = await world.propose(value)
    await world.until(proposal_id, EntryKind.assessed)
    await world.decide(proposal_id, "ben", Vote.approve)
    await world.decide(proposal_id, "dora", Vote.approve)
    result = await world.result(handle)
    watching.cancel()
    await asyncio.wait([watching])
    left = await demo_orders.in_force(world.stack, "max_connections")
    way = ", then ".join(item or "nothing" for item in seen)
    return world.judge(
        3,
        result,
        {
            "it ran, failed its own criterion, and was compensated": _is(result, "approved", "compensated"),
            f"max_connections in the server's configuration file was {way}": seen == [None, _value(value), None],
            f"a new session reads max_connections = {left}, as before": left == before,
        },
    )


async def denied(world: World) -> Ended:
    """4: a limit denies, and no approval lifts it."""
    world.screen.heading("4  denied: a destructive statement")
    world.screen.say("A limit of the policy denies it. Nobody is asked, because nobody could say yes.")
    result = await world.result(await world.propose(proposal("4-denied")))
    by_limit = any(reason["code"] == "limit" for reason in result["reasons"])
    return world.judge(
        4, result, {"denied by a limit, nothing ran": by_limit and _is(result, "denied", "not_executed")}
    )


async def expired(world: World, handle: Handle) -> Ended:
    """5: nobody answered; the stage's verb applies."""
    value = proposal("5-expired")
    name = value["steps"][0]["parameters"]["name"]
    world.screen.heading("5  expired: nobody answers")
    world.screen.say("It was proposed at the beginning and nobody has looked since. This is its ledger:")
    result = await world.result(handle)
    verb = result["reasons"][0]["code"].removeprefix("expired_")
    left = await demo_orders.written(world.stack, name)
    return world.judge(
        5,
        result,
        {
            f"its deadline passed; the stage's verb for that is {verb}": _is(result, "expired", "not_executed")
            and verb == "cancel",
            f"nobody changed {name}": left is None,
        },
    )


# The fifth is proposed before all of them and told after.
IN_ORDER = (routine, high_impact, undone, denied)


def _is(result: Mapping[str, Any], resolution: str, outcome: str) -> bool:
    return bool(result["resolution"] == resolution and result["outcome"] == outcome)


def _people(result: Mapping[str, Any]) -> str:
    return ", ".join(item["person_id"] for item in result["decided_by"] if item["vote"] == "approve")


def _value(value: Mapping[str, Any]) -> str:
    return str(value["steps"][0]["parameters"]["value"])
