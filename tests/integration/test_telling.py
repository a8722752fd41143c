"""Who denied an effect is told when it is proposed again, on record and where a dashboard finds it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from activities.auditing import audit
from activities.dossier import read_dossier
from activities.export import export_action
from cli import timeline
from cli.pending import query
from deploy.dev import Stack
from policy.audit import read_entries
from policy.audit_entries import check_told
from policy.ledger import EntryKind
from policy.search_attributes import DENIED_BY
from tests.integration.left_behind import kinds_of
from tests.replay import recording as scenes
from tests.replay.recording import Recording, recording
from worker import workflow_runner
from workflows.interface import workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, AGAIN = "denied", "again"


@pytest_asyncio.fixture(name="place", scope="module", loop_scope="module")
async def _place(own_stack: Stack) -> AsyncIterator[Recording]:
    """Carol denied an effect, and it was proposed again and withdrawn."""
    async with recording(own_stack) as place:
        await scenes.denied_by_person(place, FIRST)
        await scenes.withdrawn(place, AGAIN)
        yield place


async def test_the_denier_is_told_with_the_assessment(place: Recording) -> None:
    """The entry follows the assessment of the second proposal, names who denied what, and is not in the first."""
    async with place.database.snapshot() as connection:
        dossier = await read_dossier(connection, AGAIN)

    assert dossier is not None
    told = dossier.entries[1]["content"]
    assert (await kinds_of(place.database, AGAIN))[:2] == ["assessed", "denier_told"]
    assert "denier_told" not in await kinds_of(place.database, FIRST)
    assert told["told"] == ["person:carol"]
    assert [item["proposal_id"] for item in told["denied"]] == [FIRST]
    assert dossier.entries[1]["at"] == dossier.entries[0]["at"]


async def test_a_dashboard_finds_what_a_person_denied_before(place: Recording) -> None:
    """The search attribute names the denier, also of an action that is closed by now."""
    found = await place.client.get_workflow_handle(workflow_id(AGAIN)).describe()
    first = await place.client.get_workflow_handle(workflow_id(FIRST)).describe()

    assert found.search_attributes[DENIED_BY] == ["person:carol"]
    assert not first.search_attributes.get(DENIED_BY)
    assert query(None, everything=True, denied_by="person:carol").endswith("CountersignDeniedBy = 'person:carol'")


async def test_the_timeline_says_who_is_told(place: Recording) -> None:
    """People read it in the ledger of the action as a sentence."""
    async with place.database.snapshot() as connection:
        dossier = await read_dossier(connection, AGAIN)

    assert dossier is not None
    assert timeline.lines(dossier.entries)[1][1:] == (
        "denier_told",
        "person:carol denied the same effect in denied, and is told that it is proposed again",
    )


async def test_an_audit_misses_what_was_not_told(place: Recording) -> None:
    """Whoever leaves the entry out, or adds one, is found out; as it was written it holds together."""
    files = [
        await export_action(place.client, place.database, workflow_id(name), at=datetime.now(UTC))
        for name in (FIRST, AGAIN)
    ]
    reports = [await audit(file.body(), workflow_runner()) for file in files]
    entries = [read_entries(file)[0] for file in files]
    silent = [entry for entry in entries[1] if entry.kind is not EntryKind.denier_told]
    invented = [*entries[0], entries[1][1]]

    assert [report.findings for report in reports] == [(), ()]
    assert check_told(silent) == ["revision 1: person:carol denied this effect before and was not told"]
    assert check_told(invented) == ["revision 1: what the denier was told is not what the assessment knew"]
