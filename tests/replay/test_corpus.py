"""Every recorded run replays under today's code and is computed again from its ledger, without any server."""

import json
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from activities.auditing import audit
from activities.encryption.histories import without_marks
from activities.replaying import read_history
from tests.keyring import fixed
from tests.replay.flooding import FLOODS
from tests.replay.permitted import PERMITTED
from tests.replay.record import ENCRYPTED
from tests.replay.recording import SCENARIOS
from tests.replay.recording_changes import CHANGES
from tests.replay.recording_time import TIMES
from tests.replay.recording_turns import TURNS
from tests.replay.resolving import RESOLVING
from tests.replay.revoking import REVOKING
from tests.replay.signing import SIGNING
from worker import workflow_runner
from workflows.marks import ROLE

HISTORIES = Path(__file__).parent / "histories"
FILES = sorted(HISTORIES.rglob("*.json"))
KEYS = fixed("k1")
BODIES = {path: path.read_bytes() for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HISTORIES).with_suffix("")))
async def test_a_recorded_run_holds_under_the_code_of_today(path: Path) -> None:
    """A released history replays without a difference, and every evaluation in its ledger comes out the same."""
    audited = await audit(BODIES[path], workflow_runner(), keys=KEYS if path.parent.name == ENCRYPTED else None)

    assert [str(finding) for finding in audited.findings] == []


async def test_a_run_of_before_encryption_holds_after_it_was_turned_on() -> None:
    """What it was told in the clear before `since` counts; a run that began after it would not have believed that."""
    body = BODIES[HISTORIES / "allowed.json"]

    later = await audit(body, workflow_runner(), keys=fixed("k1", since="2100-01-01T00:00:00Z"))
    earlier = await audit(body, workflow_runner(), keys=fixed("k1", since="2020-01-01T00:00:00Z"))

    assert [str(finding) for finding in later.findings] == []
    assert earlier.findings


async def test_downgrade_of_a_recorded_answer_is_found() -> None:
    """An encrypted answer that was replaced in the file by the same one in the clear is believed by no replay."""
    path = HISTORIES / ENCRYPTED / f"{ENCRYPTED}.json"
    changed = json.loads(BODIES[path])
    (read, _, _) = read_history(changed["workflow_id"], changed["history"], KEYS)
    event = next(event for event in read.events if event.HasField("marker_recorded_event_attributes"))
    details = event.marker_recorded_event_attributes.details["result"]
    plain = MessageToDict(without_marks(event).marker_recorded_event_attributes.details["result"])
    assert details.payloads[0].metadata[ROLE] == b"AssessResult"
    number = event.event_id - 1
    changed["history"]["events"][number]["markerRecordedEventAttributes"]["details"]["result"] = plain

    audited = await audit(json.dumps(changed).encode(), workflow_runner(), keys=KEYS)

    assert audited.findings


def test_every_scenario_is_recorded() -> None:
    """The corpus has a run of every path that `tests/replay/record.py` knows."""
    scenarios = (*SCENARIOS, *FLOODS, *CHANGES, *TIMES, *TURNS, *REVOKING, *SIGNING, *PERMITTED, *RESOLVING)
    assert {scenario.__name__.replace("_", "-") for scenario in scenarios} <= {path.stem for path in FILES}
