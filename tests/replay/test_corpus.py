"""Every recorded run replays under today's code and is computed again from its ledger, without any server."""

from pathlib import Path

import pytest

from activities.auditing import audit
from tests.replay.flooding import FLOODS
from tests.replay.permitted import PERMITTED
from tests.replay.recording import SCENARIOS
from tests.replay.recording_changes import CHANGES
from tests.replay.recording_time import TIMES
from tests.replay.revoking import REVOKING
from tests.replay.signing import SIGNING
from worker import workflow_runner

HISTORIES = Path(__file__).parent / "histories"
FILES = sorted(HISTORIES.rglob("*.json"))
BODIES = {path: path.read_bytes() for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HISTORIES).with_suffix("")))
async def test_a_recorded_run_holds_under_the_code_of_today(path: Path) -> None:
    """A released history replays without a difference, and every evaluation in its ledger comes out the same."""
    audited = await audit(BODIES[path], workflow_runner())

    assert [str(finding) for finding in audited.findings] == []


def test_every_scenario_is_recorded() -> None:
    """The corpus has a run of every path that `tests/replay/record.py` knows."""
    scenarios = (*SCENARIOS, *FLOODS, *CHANGES, *TIMES, *REVOKING, *SIGNING, *PERMITTED)
    assert {scenario.__name__.replace("_", "-") for scenario in scenarios} <= {path.stem for path in FILES}
