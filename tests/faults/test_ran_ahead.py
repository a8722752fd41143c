"""A run that ran ahead of its history, as the chaos run met it: what the runbook says of it is so."""

from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from tests.faults.resetting import reset_point
from worker import workflow_runner
from workflows.authorize import AuthorizeAction
from workflows.converter import DATA_CONVERTER

HISTORY = Path(__file__).parent / "ran_ahead.json"


async def test_it_replays_up_to_where_it_is_reset_and_no_further() -> None:
    """The order of two local activities differs in the last completed task, and in nothing before it."""
    whole = WorkflowHistory.from_json("ran-ahead", HISTORY.read_text())
    point = reset_point(whole.events)
    assert point is not None
    before = WorkflowHistory("ran-ahead", [event for event in whole.events if event.event_id <= point + 1])
    replayer = Replayer(workflows=[AuthorizeAction], workflow_runner=workflow_runner(), data_converter=DATA_CONVERTER)

    stuck = await replayer.replay_workflow(whole, raise_on_replay_failure=False)
    mended = await replayer.replay_workflow(before, raise_on_replay_failure=False)

    assert "marker 'advance' does not match" in str(stuck.replay_failure)
    assert mended.replay_failure is None
