"""Record the replay corpus anew: `python -m tests.replay.record` runs every path and exports it.

The files of `histories/` are real runs: those of `recording*.py` and `flooding.py`, and some whose worker is
killed (SIGKILL) at a telling point and started again. Record them again before a release; after it, add files under a
folder named after the release and keep these, because runs of it may still be open. Names that are given record only
those.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from activities.auditing import audit
from activities.connection import connect
from activities.database import Database
from activities.encryption.keys import Keys
from activities.export import export_action, write_whole
from deploy.dev import Stack, ephemeral_stack
from policy.audit import AuditFile
from policy.search_attributes import TYPES
from tests.faults.ordeal import Ordeal
from tests.keyring import fixed
from tests.replay.flooding import FLOODS
from tests.replay.judging import JUDGING
from tests.replay.permitted import PERMITTED
from tests.replay.recording import SCENARIOS, Recording, recording, two_stages
from tests.replay.recording_changes import CHANGES
from tests.replay.recording_time import TIMES
from tests.replay.recording_turns import TURNS
from tests.replay.resolving import RESOLVING, SHELF
from tests.replay.revoking import REVOKING
from tests.replay.settling import SETTLING
from tests.replay.signing import SIGNING
from tests.replay.staging import STAGING
from worker import workflow_runner
from workflows.interface import workflow_id

HISTORIES = Path(__file__).parent / "histories"
# A run with encrypted payloads, in a folder of its own, under the keys `tests.keyring.fixed("k1")`.
ENCRYPTED = "encrypted"
# Where the worker dies, on which target (the busy one asks people), and whether the criteria fail.
KILLED = {
    "killed-after-assess": ("after:assess:1", "resource:calm", False),
    "killed-after-dispatch": ("after:dispatch:1", "resource:calm", False),
    "killed-before-claim": ("before:execute:1", "resource:calm", False),
    "killed-before-effect": ("before:effect", "resource:calm", False),
    "killed-after-effect": ("after:effect", "resource:calm", False),
    "killed-after-take-decision": ("after:take_decision:1", "resource:busy", False),
    "killed-after-undo": ("after:undo", "resource:calm", True),
}


EVERY = (
    *(*SCENARIOS, *FLOODS, *CHANGES, *TIMES, *REVOKING, *SIGNING, *PERMITTED),
    *(*RESOLVING, *JUDGING, *STAGING, *SETTLING, *TURNS),
)


async def record(stack: Stack, names: list[str]) -> bool:
    """Run, export and audit; whether all of it is consistent."""
    whole = True
    async with recording(stack, executors={SHELF.name: SHELF}) as place:
        for scenario in EVERY:
            name = scenario.__name__.replace("_", "-")
            if not names or name in names:
                await scenario(place, name)
                for suffix, file in await _runs(place, workflow_id(name)):
                    whole = await _keep(f"{name}{suffix}", file) and whole
    if not names or ENCRYPTED in names:
        async with recording(stack, fixed("k1")) as place:
            await two_stages(place, ENCRYPTED)
            for _, file in await _runs(place, workflow_id(ENCRYPTED)):
                whole = await _keep(f"{ENCRYPTED}/{ENCRYPTED}", file, fixed("k1")) and whole
    for name, (point, target, fails) in KILLED.items():
        if not names or name in names:
            whole = await _keep(name, await _killed(stack, Ordeal(stack, point, target=target, fails=fails))) and whole
    return whole


async def _runs(place: Recording, workflow: str) -> list[tuple[str, AuditFile]]:
    """The newest run of a workflow, and the one before it where it continues that one."""
    newest = await export_action(place.client, place.database, workflow, at=datetime.now(UTC))
    assert newest.history is not None
    started = newest.history["events"][0]["workflowExecutionStartedEventAttributes"]
    before = started.get("continuedExecutionRunId")
    if not before:
        return [("", newest)]
    earlier = await export_action(place.client, place.database, workflow, run_id=before, at=datetime.now(UTC))
    return [("-before", earlier), ("", newest)]


async def _killed(stack: Stack, ordeal: Ordeal) -> AuditFile:
    await ordeal.prepare()
    await ordeal.run()
    client = await connect(address=stack.temporal_address, namespace=ordeal.name)
    database = Database(stack.database_url("countersign_reader", ordeal.name))
    try:
        return await export_action(client, database, workflow_id(ordeal.name), at=datetime.now(UTC))
    finally:
        await database.close()


async def _keep(name: str, file: AuditFile, keys: Keys | None = None) -> bool:
    body = file.body()
    found = (await audit(body, workflow_runner(), keys=keys)).findings
    write_whole(HISTORIES / f"{name}.json", body)
    sys.stdout.write(f"{name}: {len(body)} bytes\n" + "".join(f"  {finding}\n" for finding in found))
    sys.stdout.flush()
    return not found


if __name__ == "__main__":
    with ephemeral_stack(search_attributes=TYPES) as stack:
        CODE = 0 if asyncio.run(record(stack, sys.argv[1:])) else 1
    sys.stdout.flush()
    os._exit(CODE)
