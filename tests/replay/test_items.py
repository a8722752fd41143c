"""The workflow of an item, as it ran once: opened by the sweep, settled by a person; it replays under today's code.

An audit file is of an action; the corpus of those has no place for it (`tests/replay/test_corpus.py`).
"""

from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from worker import workflow_runner
from workflows.converter import DATA_CONVERTER
from workflows.items import ResolveItem

HISTORIES = Path(__file__).parent / "items"


async def test_what_a_person_settled_replays() -> None:
    """Every recorded history of an item replays without a difference."""
    replayer = Replayer(workflows=[ResolveItem], workflow_runner=workflow_runner(), data_converter=DATA_CONVERTER)
    paths = sorted(HISTORIES.glob("*.json"))
    assert paths

    for path in paths:
        replayed = await replayer.replay_workflow(WorkflowHistory.from_json("resolve-item", path.read_text()))

        assert replayed.replay_failure is None, path.name
