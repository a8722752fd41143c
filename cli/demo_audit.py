"""The end of the demo: each action is exported to a file and audited from it, as an auditor would months later."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from activities.auditing import Audited, audit
from activities.export import export_action, write_whole
from cli.demo_world import Ended, World
from policy.audit import VERDICT
from worker import workflow_runner
from workflows.interface import workflow_id


async def audit_all(world: World, ends: Sequence[Ended], into: Path) -> bool:
    """Export and audit every action; whether nothing was found.

    Args:
        world: the stack to export from. The audit itself reads the files only.
        ends: the actions.
        into: the folder of the files, made if it is missing.

    """
    world.screen.heading("The audit: every history is replayed, every evaluation computed again from the ledger")
    # What the SDK logs about a history that does not replay is said by the findings, with the event.
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    answers = [await _audit(world, end, into / f"{end.proposal_id}.json") for end in ends]
    world.screen.say(f"the same again: countersign audit replay {into}/*.json")
    return not any(answer.findings for answer in answers)


async def _audit(world: World, end: Ended, path: Path) -> Audited:
    file = await export_action(world.client, world.record, workflow_id(end.proposal_id), at=datetime.now(UTC))
    write_whole(path, file.body())
    answer = await audit(await asyncio.to_thread(path.read_bytes), workflow_runner())
    events = len(file.history.get("events", ())) if file.history else 0
    what = f"{path}: {events} events, {len(answer.entries)} ledger entries"
    if answer.findings:
        world.screen.broken(f"{what}: inconsistent")
    else:
        world.screen.found(f"{what}: {VERDICT}")
    for finding in answer.findings:
        world.screen.broken(str(finding))
    return answer
