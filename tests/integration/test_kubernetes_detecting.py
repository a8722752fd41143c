"""A cluster's own trail through the operator's file, the detector and `detect`: what a real server wrote down once.

`tests/data/kubernetes-audit.jsonl` (see `tests/unit/test_kubernetes_trail.py`) has the marks of permits of that run.
Here one of its permits is in the record, under the id that this record gives it; the others are nobody's.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from activities.clock import SystemClock
from activities.database import Database
from activities.detecting import DetectActivities, detected
from activities.permits import resolved_digest
from activities.settings_keys import trails
from cli import exits
from deploy.dev import Stack
from policy.targets import ResolvedTarget, targets_digest
from policy.trails import TRAILS_LEDGER, Finding
from tests.integration.effects import World
from tests.integration.terminal import House

SAMPLE = Path(__file__).parents[1] / "data" / "kubernetes-audit.jsonl"
CLUSTER, SHOP = "k8s/prod", "k8s/prod/shop"
PAUSED = "fce6f545-eafa-4a9b-9b48-0adb4aa6be4e"
PAUSED_AT = datetime(2026, 11, 27, 20, 22, 36, 206908, tzinfo=UTC)


def _named(folder: Path, log: Path) -> Path:
    """The operator's file that names the trail."""
    path = folder / "trails.json"
    path.write_text(json.dumps({CLUSTER: {"kind": "kubernetes", "path": str(log)}}))
    return path


async def _looked(world: World, folder: Path, *, target: str, claimed: timedelta = timedelta(0)) -> list[Finding]:
    """What is wrong where the permit to pause is on record, for a target, claimed so long after it was used."""
    found = ResolvedTarget(id=target, resource=SHOP)
    permit = await world.permit(
        executor="kubernetes",
        operation="kubernetes.rollout.pause",
        resolved=(SHOP,),
        resolved_digest=resolved_digest((SHOP,)),
        targets=(found,),
        targets_digest=targets_digest((found,)),
    )
    await world.sql(
        "INSERT INTO countersign.permit_use VALUES ($1, 'claimed', 'mine', 'executor', NULL, $2)",
        *(UUID(permit.permit_id), PAUSED_AT + claimed),
    )
    log = folder / "audit.log"
    log.write_text(SAMPLE.read_text().replace(PAUSED, permit.permit_id))
    source = trails(str(_named(folder, log)))[CLUSTER]
    findings, looked = await detected(world.database, CLUSTER, source, None)
    assert (looked.unreadable, looked.unanswered) == (0, 0)
    return list(findings)


async def test_what_a_permit_allows_in_a_cluster_is_no_violation(world: World, tmp_path: Path) -> None:
    """The permit of a part of the cluster covers its one change; by hand and in nobody's name are found."""
    found = await _looked(world, tmp_path, target="deployment/shop/w-6d08909a@u-1")

    by_hand = [(one.target, one.operation) for one in found if one.sign == "no_permit"]
    assert by_hand == [
        ("node/n1", "kubernetes.cluster_object.change"),
        ("deployment/shop/w-6d08909a", "kubernetes.workload.change"),
        ("deployment/shop/w-6032ad56", "kubernetes.workload.change"),
    ]
    assert [one.operation for one in found if one.sign == "forged_marker"] == [
        "kubernetes.node.cordon",
        "kubernetes.rollout.resume",
        "kubernetes.node.uncordon",
    ]
    assert len(found) == 6


@pytest.mark.parametrize(
    ("target", "claimed", "sign"),
    [
        ("deployment/shop/another@u-1", timedelta(0), "other_target"),
        ("deployment/shop/w-6d08909a@u-1", timedelta(hours=1), "outside_window"),
    ],
)
async def test_a_mark_of_another_time_or_target_authorizes_nothing(
    world: World, tmp_path: Path, target: str, claimed: timedelta, sign: str
) -> None:
    """The mark is the right one, and what it was used for is not."""
    found = await _looked(world, tmp_path, target=target, claimed=claimed)

    assert [one.operation for one in found if one.sign == sign] == ["kubernetes.rollout.pause"]


async def test_the_schedule_writes_it_down_once_and_tells_the_operators(
    world: World, stack: Stack, tmp_path: Path
) -> None:
    """Two looks: one entry for each violation, and one notice to the operators."""
    log = tmp_path / "audit.log"
    moved = SAMPLE.read_text().replace("2026-11-27T20", f"{datetime.now(UTC) - timedelta(hours=2):%Y-%m-%dT%H}")
    log.write_text(moved)
    control = Database(stack.database_url("countersign_control", world.name))
    detector = DetectActivities(control, SystemClock(), trails(str(_named(tmp_path, log))))
    try:
        assert [await detector.detect(), await detector.detect()] == [7, 0]
    finally:
        await control.close()
    record = await asyncpg.connect(world.url)
    entries = await record.fetch(
        "SELECT body FROM countersign.ledger_entry WHERE proposal_id = $1 AND kind = 'violation'", TRAILS_LEDGER
    )
    assert sum(CLUSTER in bytes(row["body"]).decode() for row in entries) == 7
    notices = await record.fetch("SELECT urgency, body FROM countersign.notice WHERE kind = 'violation'")
    await record.close()
    [told] = [json.loads(row["body"]) for row in notices if CLUSTER in bytes(row["body"]).decode()]
    assert (told["audience"]["operators"], told["urgency"]) == (True, "urgent")
    assert told["text"] == "4 forged marker; 3 no permit"
    assert "administrator" in told["by"]


def test_the_command_reads_a_clusters_trail_and_what_was_stated_outside(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kind is that of the operator's file; a statement that covers a violation is said below it: it stays one."""
    monkeypatch.setenv("COUNTERSIGN_TRAILS_FILE", str(_named(tmp_path, SAMPLE)))
    before = house.run("detect", "--target", CLUSTER)
    assert before.code == exits.INCONSISTENT, before.err
    assert "no_permit kubernetes.workload.change by administrator" in before.out
    assert "stated outside" not in before.out

    what = ("outside", "record", "--target", CLUSTER, "--what", "made a node by hand", "--by", "ana")
    when = ("--began", "2026-11-27T20:22:36Z", "--ended", "2026-11-27T20:22:36.130Z", "--because", "it was down")
    assert (stated := house.run(*what, *when, "--as", "ben")).code == exits.OK, stated.err

    after, as_json = house.run("detect", "--target", CLUSTER), house.run("detect", "--target", CLUSTER, "--json")
    assert after.code == exits.INCONSISTENT
    lines = after.out.splitlines()
    said = [number for number, line in enumerate(lines) if "stated outside by ben: made a node by hand" in line]
    assert len(said) == 1
    assert "kubernetes.cluster_object.change" in lines[said[0] - 1]
    assert [len(one.get("stated_outside", ())) for one in as_json.json] == [1, 0, 0, 0, 0, 0, 0]
