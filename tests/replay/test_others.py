"""The workflows beside an action's, as they ran once: an item that people settled, halts that two people released.

An audit file is of an action; the corpus of those has no place for them (`tests/replay/test_corpus.py`).
"""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from worker import workflow_runner
from workflows.converter import DATA_CONVERTER
from workflows.halting import Halt
from workflows.items import ResolveItem

HERE = Path(__file__).parent


@pytest.mark.parametrize(("folder", "of"), [("items", ResolveItem), ("halts", Halt)], ids=["items", "halts"])
async def test_what_people_ended_replays(folder: str, of: type) -> None:
    """Every recorded history replays under today's code without a difference."""
    replayer = Replayer(workflows=[of], workflow_runner=workflow_runner(), data_converter=DATA_CONVERTER)
    paths = sorted((HERE / folder).glob("*.json"))
    assert paths

    for path in paths:
        replayed = await replayer.replay_workflow(WorkflowHistory.from_json("other", path.read_text()))

        assert replayed.replay_failure is None, path.name
