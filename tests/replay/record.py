"""Record the replay corpus anew: `python -m tests.replay.record` runs every scenario and exports it.

The files of `histories/` are real runs. Record them again before a release; after it, add files under a folder named
after the release and keep these, because runs of it may still be open.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from activities.auditing import audit
from activities.export import export_action, write_whole
from deploy.dev import Stack, ephemeral_stack
from policy.search_attributes import TYPES
from tests.replay.recording import SCENARIOS, recording
from worker import workflow_runner
from workflows.interface import workflow_id

HISTORIES = Path(__file__).parent / "histories"


async def record(stack: Stack) -> bool:
    """Run, export and audit every scenario; whether all of them are consistent."""
    whole = True
    async with recording(stack) as place:
        for scenario in SCENARIOS:
            name = scenario.__name__.replace("_", "-")
            await scenario(place, name)
            file = await export_action(place.client, place.database, workflow_id(name), at=datetime.now(UTC))
            body = file.body()
            found = (await audit(body, workflow_runner())).findings
            whole = whole and not found
            write_whole(HISTORIES / f"{name}.json", body)
            sys.stdout.write(f"{name}: {len(body)} bytes\n" + "".join(f"  {finding}\n" for finding in found))
    return whole


if __name__ == "__main__":
    with ephemeral_stack(search_attributes=TYPES) as stack:
        CODE = 0 if asyncio.run(record(stack)) else 1
    sys.stdout.flush()
    os._exit(CODE)
