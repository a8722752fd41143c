"""Exporting an action and replaying the file, through the command line where a person would."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from activities.auditing import audit
from activities.export import export_action, write_whole
from cli import exits
from deploy.dev import Stack
from policy.errors import AuditError
from starter import parser
from tests.replay import recording as scenes
from tests.replay.recording import Recording, recording
from worker import workflow_runner
from workflows.interface import workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(name="place", scope="module", loop_scope="module")
async def _place(own_stack: Stack) -> AsyncIterator[Recording]:
    async with recording(own_stack) as place:
        yield place


async def export(place: Recording, proposal_id: str) -> bytes:
    file = await export_action(place.client, place.database, workflow_id(proposal_id), at=datetime.now(UTC))
    return file.body()


async def test_a_real_run_is_consistent(place: Recording) -> None:
    """What was just run, with a refused and two counted decisions, an effect and a report, holds together."""
    await scenes.two_stages(place, "audited")

    audited = await audit(await export(place, "audited"), workflow_runner())

    assert [str(finding) for finding in audited.findings] == []
    assert {document.kind for document in audited.file.documents} == {"policy", "operations", "catalog", "directory"}


async def test_an_action_whose_history_is_gone_is_exported_from_the_record(place: Recording) -> None:
    """Without a history the file says so, and its ledger is checked all the same."""
    await scenes.allowed(place, "forgotten")
    gone = str(uuid4())
    file = await export_action(
        place.client, place.database, workflow_id("forgotten"), run_id=gone, at=datetime.now(UTC)
    )

    audited = await audit(file.body(), workflow_runner())

    assert audited.file.history is None
    assert "past retention" in audited.file.history_note
    assert audited.findings == ()
    assert any("only the ledger was checked" in note for note in audited.notes)


async def test_the_newest_of_several_runs_is_exported(place: Recording) -> None:
    """A second start of a finished action is what its export shows, unless an older run is asked for."""
    first = await place.start("twice", scenes.proposal("twice", scratch=True))
    await first.result()
    second = await place.start("twice", scenes.proposal("twice", scratch=True))
    await second.result()

    newest = json.loads(await export(place, "twice"))
    older = await export_action(
        place.client,
        place.database,
        workflow_id("twice"),
        run_id=first.result_run_id,
        at=datetime.now(UTC),
    )

    assert newest["run_id"] == second.result_run_id
    assert older.run_id == first.result_run_id != newest["run_id"]
    assert (await audit(older.body(), workflow_runner())).findings == ()


async def test_an_action_that_nobody_knows_is_an_error(place: Recording) -> None:
    """Neither Temporal nor the record knows it: nothing is exported."""
    with pytest.raises(AuditError, match="neither temporal nor the record knows it"):
        await export(place, "never-heard-of")


async def test_a_run_that_goes_on_is_not_taken_for_a_whole_one(place: Recording) -> None:
    """An export in the middle is found incomplete: a cut tail would look the same."""
    handle = await place.start("open", scenes.proposal("open"))
    await place.status(handle, lambda item: item["state"] == "pending")

    audited = await audit(await export(place, "open"), workflow_runner())
    await handle.cancel()
    await handle.result()

    assert any("does not close the run" in finding.what for finding in audited.findings)


async def test_replay_prints_who_did_what_and_the_verdict(
    place: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`audit replay` shows the timeline and what consistency does not prove, and ends with 0."""
    await scenes.denied_by_person(place, "shown")
    path = tmp_path / "shown.json"
    await asyncio.to_thread(write_whole, path, await export(place, "shown"))
    args = parser("audit").parse_args(["audit", "replay", str(path)])

    code = await args.run(args)

    out = capsys.readouterr().out
    assert code == exits.OK
    assert "person:carol: deny in stage 1" in out
    assert "consistent, not proven untampered" in out


async def test_replay_ends_with_its_own_code_and_names_the_entry(
    place: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tampered file among others gives the exit code of an inconsistency, and the entry is named."""
    await scenes.allowed(place, "tampered")
    good, bad, none = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "none.json"
    body = await export(place, "tampered")
    for path, text in ((good, body), (bad, body.replace(b"32MB", b"64MB", 1)), (none, b"[]")):
        await asyncio.to_thread(write_whole, path, text)
    args = parser("audit").parse_args(["audit", "replay", str(good), str(bad), str(none), "--json"])

    code = await args.run(args)

    first, second, third = json.loads(capsys.readouterr().out)
    assert code == exits.INCONSISTENT
    assert (first["verdict"], first["findings"]) == ("consistent, not proven untampered", [])
    assert any("ledger entry" in f"{item['where']} {item['what']}" for item in second["findings"])
    assert third["verdict"] == "inconsistent"


async def test_an_export_is_written_as_a_whole(tmp_path: Path) -> None:
    """A file that cannot be replaced stays as it was, and nothing half-written is left beside it."""
    path = tmp_path / "kept.json"
    write_whole(path, b"before")

    with pytest.raises(TypeError):
        write_whole(path, None)  # type: ignore[arg-type]

    assert path.read_bytes() == b"before"
    assert [item.name for item in tmp_path.iterdir()] == ["kept.json"]  # noqa: ASYNC240 - as above
