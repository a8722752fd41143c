"""What was presented outlives the release that presented it: in the record, in a run that is picked up, in an audit."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from sqlalchemy import text

from activities.auditing import audit
from activities.dossier import read_dossier
from activities.export import export_action
from deploy.dev import Stack, ephemeral_stack
from policy.canonical import digest
from policy.screens.presenting import Advice
from policy.search_attributes import TYPES
from tests.replay import recording as scenes
from tests.replay.recording import Recording, recording
from worker import workflow_runner
from workflows.interface import workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROW = text("SELECT presented_digest, screen FROM countersign.assessment WHERE proposal_id = :id")


@pytest.fixture(name="own_stack", scope="module")
def _own_stack() -> Iterator[Stack]:
    with ephemeral_stack(search_attributes=TYPES) as stack:
        yield stack


@pytest_asyncio.fixture(name="place", scope="module", loop_scope="module")
async def _place(own_stack: Stack) -> AsyncIterator[Recording]:
    async with recording(own_stack) as place:
        yield place


async def test_a_release_with_other_advice_shows_and_takes_what_was_sealed(
    place: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is lost, another release picks the case up: same screen, same digest, the vote counts, and an audit under
    that release notes that it would say something else.
    """
    value = scenes.proposal("sealed")
    lost = await place.start("sealed", value)
    before = await place.status(lost, lambda item: item["state"] == "pending")
    await lost.terminate()

    monkeypatch.setattr("policy.screen.advise", lambda *_: (Advice(code="later", text="look at the moon first"),))
    again = await place.start("sealed", value)
    after = await place.status(again, lambda item: item["state"] == "pending")
    receipt = await again.execute_update("decide", scenes.decision(before, "carol", "deny"))
    await again.result()
    file = await export_action(place.client, place.database, workflow_id("sealed"), at=datetime.now(UTC))
    audited = await audit(file.body(), workflow_runner())

    assert after["screen"] == before["screen"]
    assert after["presented_digest"] == before["presented_digest"]
    assert receipt["counted"]
    assert [str(finding) for finding in audited.findings] == []
    assert [note for note in audited.notes if "would show recommended otherwise" in note]


async def test_the_row_and_the_entry_have_what_was_shown(place: Recording) -> None:
    """The digest is that of the bytes, and an action that nobody is asked about has neither."""
    await scenes.denied_by_person(place, "asked")
    await scenes.allowed(place, "free")
    async with place.database.snapshot() as connection:
        asked = (await connection.execute(ROW, {"id": "asked"})).one()
        free = (await connection.execute(ROW, {"id": "free"})).one()
        dossier = await read_dossier(connection, "asked")

    assert dossier is not None
    content = dossier.entries[0]["content"]
    assert asked.presented_digest == digest(asked.screen) == content["presented_digest"]
    assert dossier.status(datetime.now(UTC))["presented_digest"] == asked.presented_digest
    assert (free.presented_digest, free.screen) == (None, None)
