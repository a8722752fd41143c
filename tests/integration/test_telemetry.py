"""Metrics at a real Prometheus endpoint, of actions on a real Temporal and a real PostgreSQL."""

import asyncio
import contextlib
import json
import re
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from temporalio import activity, workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.clock import SystemClock
from activities.connection import connect
from activities.ledger import Ledger
from activities.settings import Settings, SettingsError
from activities.telemetry import CODES, LABELS, METER, METRICS, Sample
from activities.telemetry_export import Telemetry, build_runtime, start_telemetry
from activities.telemetry_pending import PendingReader, watch_pending
from deploy.dev import Stack
from deploy.servers import free_ports
from policy.ledger import EntryKind
from tests.world import DOCUMENTS, World, decision, publish_documents, record, running_world, temporal_server, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEPLOY = Path(__file__).parents[2] / "deploy"
SOON = """
      - name: ops
        requirements: [{groups: [ops]}]
        deadline: 1h
        reminders: [1s]
        escalations: [{after: 1s, add_groups: [sre], reason: nobody in ops answered}]
"""

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Measured:
    """A world whose worker has a Prometheus endpoint."""

    world: World
    telemetry: Telemetry
    address: str

    async def scrape(self) -> Series:
        """What the endpoint shows now: by name and labels, without those that every series has."""
        with await asyncio.to_thread(urllib.request.urlopen, f"http://{self.address}/metrics") as answer:
            return parse(answer.read().decode())

    async def shows(self, name: str, value: float, **labels: str) -> None:
        """Wait until a series has a value."""
        key = (name, frozenset(labels.items()))
        await until(self.scrape, lambda found: found.get(key) == value)


def parse(text: str) -> Series:
    """Read the Prometheus text format; a label given twice, which makes Prometheus drop everything, is an error."""
    found: Series = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        name, labels, value = re.fullmatch(r"([a-z_:]+)(?:\{(.*)\})? ([^ ]+)", line).groups()  # type: ignore[union-attr]
        pairs = re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', labels or "")
        assert len(dict(pairs)) == len(pairs), line
        kept = frozenset((key, item) for key, item in pairs if key != "service_name")
        found[name, kept] = float(value)
    return found


def free_address() -> str:
    return f"127.0.0.1:{free_ports({'metrics': 0})['metrics']}"


@pytest_asyncio.fixture(name="measured", scope="module", loop_scope="module")
async def _measured(stack: Stack) -> AsyncIterator[Measured]:
    """A world with an endpoint; `bench.put` asks one stage that reminds and escalates after a second."""
    address = free_address()
    telemetry = start_telemetry(Settings(metrics_address=address), service="countersign-test")
    policy = (DOCUMENTS / "policy.yaml").read_text()
    before, after = policy.split("  pair:")[0], policy[policy.index("  single:") :]
    policy = f"{before}  pair:\n    stages:{SOON}{after}"
    async with AsyncExitStack() as cleanup:
        server = cleanup.enter_context(temporal_server())
        client = await connect(address=server.address, identity="tests", **telemetry.connection)
        name = await cleanup.enter_async_context(record(stack))
        await publish_documents(stack.database_url("postgres", name), policy.encode())
        world = await cleanup.enter_async_context(running_world(stack, client, name))
        every = timedelta(milliseconds=100)
        await cleanup.enter_async_context(watch_pending(world.database, SystemClock(), telemetry.meter, every=every))
        yield Measured(world, telemetry, address)


async def test_a_denied_action_is_counted_once_however_often_it_is_started(measured: Measured) -> None:
    """Proposal, resolution and outcome are counted by the first start; a second start, and another digest, add none."""
    world = measured.world
    body = world.propose("bench.drop")
    await world.run(body)
    await world.run(body)
    other = await world.run({**body, "rationale": "another story"})

    assert other.resolution == "refused"
    tier = (await world.run(body)).risk_tier
    await measured.shows("countersign_refusals_total", 1, what="start", code="digest_conflict")
    found = await measured.scrape()
    counted = {key: value for key, value in found.items() if ("risk_tier", str(tier)) in key[1]}
    assert counted["countersign_proposals_total", frozenset({("verdict", "deny"), ("risk_tier", str(tier))})] == 1
    real = {("risk_tier", str(tier)), ("dry_run", "false")}
    assert counted["countersign_resolutions_total", frozenset({("resolution", "denied"), *real})] == 1
    assert counted["countersign_outcomes_total", frozenset({("outcome", "not_executed"), *real})] == 1


async def test_a_pending_action_is_followed_from_the_question_to_the_undo(measured: Measured) -> None:
    """Gauge, reminder, escalation, refused decision, times, outcome and undo show, each counted once."""
    world = measured.world
    body = world.propose("bench.put", undo="bench.take")
    key = body["proposal_id"]
    world.bench.behaviour["bench.put", key] = "fail"
    handle = await world.start(body)
    status = await world.pending(handle)
    tier = status["risk_tier"]

    await measured.shows("countersign_pending", 1, risk_tier=tier, stage="1")
    own = decision(status, "ann")
    assert [(await world.send(handle, own)).code for _ in range(2)] == ["self_approval", "self_approval"]
    await measured.shows("countersign_refusals_total", 1, what="decision", code="self_approval")
    await measured.shows("countersign_reminders_total", 1, stage="1")
    await measured.shows("countersign_escalations_total", 1, stage="1")
    yes = decision(status, "dan")
    assert [(await world.send(handle, yes)).counted for _ in range(2)] == [True, True]
    result = await world.result(handle)

    await measured.shows("countersign_outcomes_total", 1, outcome=str(result.outcome), risk_tier=tier, dry_run="false")
    found = await measured.scrape()
    times = frozenset({("risk_tier", tier)})
    assert found["countersign_time_to_first_decision_seconds_count", times] == 1
    assert found["countersign_time_to_approval_seconds_count", times] == 1
    assert 1 <= found["countersign_time_to_approval_seconds_sum", times] < 60
    assert (
        found[
            "countersign_resolutions_total",
            frozenset({("resolution", "approved"), ("risk_tier", tier), ("dry_run", "false")}),
        ]
        == 1
    )
    assert found["countersign_refusals_total", frozenset({("what", "decision"), ("code", "self_approval")})] == 1
    assert result.outcome == "compensated"
    assert found["countersign_undo_results_total", frozenset({("status", "succeeded")})] == 1
    await measured.shows("countersign_pending", 0, risk_tier=tier, stage="1")


async def test_what_is_rolled_back_is_not_counted(measured: Measured) -> None:
    """A transaction that raises counts nothing; the same entry, committed afterwards and again, counts once."""
    world, now = measured.world, datetime.now(UTC)
    body = world.propose("bench.drop")
    await world.run(body)
    labels = {"what": "claim", "code": "void"}

    async def write(*, fail: bool) -> None:
        async with world.database.transaction(body["proposal_id"]) as connection:
            await Ledger(connection, body["proposal_id"], now).append(EntryKind.claim_refused, {"code": "void"}, "x")
            if fail:
                raise LookupError

    assert measured.telemetry.meter is not None
    meter = METER.set(measured.telemetry.meter)
    with pytest.raises(LookupError):
        await write(fail=True)
    await measured.shows("countersign_refusals_total", 0, **labels)
    await write(fail=False)
    await write(fail=False)
    METER.reset(meter)

    await measured.shows("countersign_refusals_total", 1, **labels)


async def test_a_label_value_that_the_table_does_not_list_is_other(measured: Measured) -> None:
    """Nobody can make series by inventing codes."""
    assert measured.telemetry.meter is not None
    measured.telemetry.meter.measure(Sample("countersign_refusals", 1, ("decision", "p-17")))

    await measured.shows("countersign_refusals_total", 1, what="decision", code="other")


async def test_an_overdue_action_shows(measured: Measured) -> None:
    """An action that no worker ends at its deadline stays pending in its stage, and is overdue a minute later."""
    world = measured.world
    handle = await world.start(world.propose("bench.put", undo="bench.take"))
    status = await world.pending(handle)
    reader = PendingReader(world.database)
    in_two_hours = datetime.now(UTC) + timedelta(hours=2)

    now, later = await reader.read(datetime.now(UTC)), await reader.read(in_two_hours)

    assert (now.pending[status["risk_tier"], "1"], now.overdue) == (1, 0)
    assert (later.pending[status["risk_tier"], "1"], later.overdue) == (1, 1)
    await handle.cancel()
    await world.result(handle)
    assert sum((await reader.read(in_two_hours)).pending.values()) == 0


async def test_the_stage_of_a_pending_action_is_computed_from_its_votes(measured: Measured) -> None:
    """An action whose first stage approved is shown in the second."""
    world = measured.world
    handle = await world.start(world.propose("bench.outlast"))
    tier = (await world.pending(handle))["risk_tier"]
    await world.decide(handle, "eve")

    await measured.shows("countersign_pending", 1, risk_tier=tier, stage="2")
    await handle.cancel()
    await world.result(handle)


@pytest.mark.parametrize("address", ["taken", "localhost:9464", "nowhere.invalid:9464"])
async def test_an_address_that_cannot_be_listened_on_is_refused(measured: Measured, address: str) -> None:
    """The error names the variable, the value and the fix."""
    address = measured.address if address == "taken" else address

    with pytest.raises(SettingsError, match=f"COUNTERSIGN_METRICS_ADDRESS = {address} cannot be listened on"):
        build_runtime(Settings(metrics_address=address))


@workflow.defn
class Stumble:
    """A workflow whose activities and task fail, so that the core shows the series of failures."""

    @workflow.run
    async def run(self) -> None:
        for execute in (workflow.execute_local_activity, workflow.execute_activity):
            with contextlib.suppress(ActivityError, ApplicationError):
                await execute("fail", start_to_close_timeout=timedelta(seconds=5))
        raise RuntimeError("on purpose")


@activity.defn
async def fail() -> None:
    raise ApplicationError("on purpose", non_retryable=True)


async def test_dashboards_and_alerts_name_what_there_is(measured: Measured) -> None:
    """Every metric in them is in our table or in a real scrape, and every label value is one that can come."""
    client = measured.world.client
    worker = Worker(
        client,
        task_queue="stumble",
        workflows=[Stumble],
        activities=[fail],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        handle = await client.start_workflow(Stumble.run, id="stumble", task_queue="stumble")
        failed = "temporal_workflow_task_execution_failed_total"
        found = await until(measured.scrape, lambda found: any(name == failed for name, _ in found))
        await handle.terminate()
    known = {name for name, _ in found if name.startswith("temporal_")}
    known |= {series for metric in METRICS.values() for series in metric.series}

    for expression in expressions():
        assert set(re.findall(r"\b(?:countersign|temporal)_[a-z_]+", expression)) <= known, expression
        for label, values in re.findall(r'([a-z_]+)(?:=|!=|=~)"([^"]*)"', expression):
            assert label not in LABELS or set(values.split("|")) <= LABELS[label], expression


def expressions() -> list[str]:
    """Every expression of the dashboards and of the alert rules."""
    rules = [rule for group in _alerts()["groups"] for rule in group["rules"]]
    boards = [json.loads(path.read_text()) for path in (DEPLOY / "dashboards").glob("*.json")]
    targets = [target for board in boards for panel in board["panels"] for target in panel.get("targets", ())]
    found = [str(item["expr"]) for item in (*rules, *targets)]
    assert len(found) > 30
    return found


def _alerts() -> Any:
    return yaml.safe_load((DEPLOY / "alerts.yaml").read_text())


async def test_every_alert_leads_to_a_section_of_a_page() -> None:
    """Whoever is woken up finds what to do."""
    for group in _alerts()["groups"]:
        for rule in group["rules"]:
            file, _, section = rule["annotations"]["runbook"].partition("#")
            titles = re.findall(r"^#+ (.+)$", (DEPLOY.parent / file).read_text(), re.MULTILINE)
            sections = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert section in sections, rule["alert"]


async def test_the_page_has_the_table_of_metrics() -> None:
    """Names, labels and descriptions on the page are those of the code."""
    page = (DEPLOY.parent / "docs" / "observability.md").read_text()

    for metric in METRICS.values():
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
        assert f"| `{metric.name}` | {metric.kind} | {labels} | {metric.description} |" in page


async def test_every_code_of_a_refusal_is_in_the_table() -> None:
    """No code that the gate, a start or a claim can give is counted as `other`."""
    root = DEPLOY.parent
    sources = {
        "dispatch": [root / "policy" / "gate.py"],
        "start": [root / "activities" / "starting.py", root / "activities" / "control.py"],
        "claim": [root / "activities" / "claims.py"],
    }
    for what, paths in sources.items():
        text = "\n".join(path.read_text().partition("def may_undo")[0] for path in paths)
        codes = set(re.findall(r'Reason\(code="([a-z_]+)"|Refused\("([a-z_]+)"', text))
        assert {one or other for one, other in codes} <= CODES[what], what
