"""The command line against a real Temporal, a real record, a real worker and a real target."""

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from temporalio import workflow
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

import starter
from activities.connection import connect
from activities.database import Database
from activities.settings import Settings
from cli import case, exits, sending
from cli.pending import query
from cli.ready import prepare_local
from deploy.dev import Stack, ephemeral_stack
from policy.search_attributes import TYPES
from worker import running_workers

ROOT = Path(__file__).parents[2]
BOUND_SECONDS = 30.0
DOCUMENTS = {
    "policy": """
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: cli, version: "1"}
limits:
  - {id: no-destruction, match: {operations: [postgres.session.terminate]}, reason: nothing is ended here}
rules:
  - {id: parameters, match: {operations: [postgres.parameter.set]}, verdict: require_approval, chain: two}
chains:
  two:
    stages:
      - {name: dba, requirements: [{groups: [dba]}], deadline: 4h, reminders: [1h]}
      - {name: owners, requirements: [{groups: [owners]}], deadline: 4h}
""",
    "operations": """
apiVersion: countersign/v1
kind: OperationsRegistry
metadata: {name: cli, version: "1"}
operations:
  - name: postgres.parameter.set
    executor: postgres
    severity: 50
    inverse: [postgres.parameter.set]
    parameters:
      name: {type: string}
      value: {type: string}
      expected: {type: string, required: false}
  - name: postgres.session.terminate
    executor: postgres
    severity: 10
    parameters: {pid: {type: integer}}
""",
    "directory": """
apiVersion: countersign/v1
kind: Directory
metadata: {name: cli, version: "1"}
people:
  - {id: ana, groups: [dba]}
  - {id: ben, groups: [dba]}
  - {id: eva, groups: [owners]}
agents: [{id: tuning-agent, owner: ana}]
""",
    "catalog": """
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: orders-db
  annotations:
    countersign/environment: production
    countersign/criticality: high
    countersign/resource-id: postgres/orders
spec: {owner: team-orders}
""",
}


def _proposal(proposal_id: str, value: str = "32MB", operation: str = "postgres.parameter.set") -> dict[str, Any]:
    parameters: dict[str, Any] = {"name": "work_mem", "value": value}
    return {
        "api_version": "countersign/v1",
        "proposal_id": proposal_id,
        "operation": operation,
        "target": "resource:orders-db",
        "environment": "production",
        "agent": {"id": "tuning-agent"},
        "on_behalf_of": "ana",
        "rationale": "sorts \x1b[2J spill",
        "steps": [
            {
                "name": "set",
                "operation": operation,
                "parameters": parameters if operation.endswith("set") else {"pid": 1},
                "undo": {"operation": operation, "parameters": {**parameters, "value": "4MB"}}
                if operation.endswith("set")
                else None,
            }
        ],
        "success_criteria": [
            {"probe": "postgres.parameter.value", "parameters": {"name": "work_mem"}, "equals": value}
        ],
    }


@dataclass
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class House:
    """A stack with its worker, and the command line beside it."""

    stack: Stack
    settings: Settings
    run: Callable[..., Ran]
    folder: Path

    def file(self, value: Any) -> str:
        path = self.folder / "proposal.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return str(path)

    def propose(self, proposal_id: str, **more: Any) -> Ran:
        return self.run("propose", self.file(_proposal(proposal_id, **more)))

    def until(self, proposal_id: str, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The status, once it is as wanted."""
        deadline = time.monotonic() + BOUND_SECONDS
        while True:
            status: dict[str, Any] = self.run("status", proposal_id).json
            if done(status):
                return status
            assert time.monotonic() < deadline, status
            time.sleep(0.05)

    def pending(self, proposal_id: str) -> dict[str, Any]:
        assert self.propose(proposal_id).code == exits.OK
        return self.until(proposal_id, lambda status: status["state"] == "pending")

    def decide(self, vote: str, proposal_id: str, identity: str, *more: str) -> Ran:
        return self.run(vote, proposal_id, "--as", identity, "--yes", *more)


@contextlib.contextmanager
def _workers(stack: Stack, settings: Settings) -> Iterator[None]:
    """Workers in a thread of their own, so that commands run in this one as they do in a terminal."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def work() -> None:
        client = await connect(address=stack.temporal_address)
        database = Database(settings.check_worker())
        async with running_workers(client, database, settings):
            ready.set()
            await stop.wait()
        await database.close()

    def main() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(work())

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    assert ready.wait(BOUND_SECONDS), "the workers did not start"
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(BOUND_SECONDS)
        assert not thread.is_alive()


@pytest.fixture(name="documents", scope="module")
def _documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the four governed documents."""
    folder = tmp_path_factory.mktemp("documents")
    for name, text in DOCUMENTS.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture(name="place", scope="module")
def _place(documents: Path) -> Iterator[tuple[Stack, Settings]]:
    """A stack of its own, ready, without a worker."""
    with ephemeral_stack(search_attributes=TYPES) as stack:
        yield stack, asyncio.run(prepare_local(stack, datetime.now(UTC), documents))


@pytest.fixture(name="idle")
def _idle(
    place: tuple[Stack, Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> House:
    """The house while no worker runs."""
    stack, settings = place
    for name in os.environ:
        if name.startswith(("TEMPORAL_", "COUNTERSIGN_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_ADDRESS", stack.temporal_address)
    monkeypatch.setenv("COUNTERSIGN_DATABASE_URL", stack.database_url("countersign_reader"))
    monkeypatch.setenv("COUNTERSIGN_ADMIN_DATABASE_URL", stack.database_url("postgres"))
    monkeypatch.setenv("COUNTERSIGN_IDENTITY", "ben")

    def run(*arguments: str) -> Ran:
        code = starter.run(arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return House(stack, settings, run, tmp_path)


@pytest.fixture(name="house")
def _house(idle: House) -> Iterator[House]:
    """The house with its worker."""
    with _workers(idle.stack, idle.settings):
        yield idle


def test_an_action_from_proposal_to_outcome(house: House) -> None:
    """Two people of two groups approve, the parameter is changed, and every command tells the same story."""
    started = house.propose("whole-way")
    assert started.code == exits.OK
    assert started.out.startswith("whole-way: ")
    house.until("whole-way", lambda status: status["state"] == "pending")

    own = house.decide("approve", "whole-way", "ana")
    assert own.code == exits.REFUSED
    assert "refused (self_approval)" in own.out
    first = house.decide("approve", "whole-way", "ben", "--because", "looks right")
    assert first.code == exits.OK
    assert "still missing: 1 of owners" in first.out
    assert "digests were made from the record" in first.out
    second = house.decide("approve", "whole-way", "eva", "--json")
    assert second.json["receipt"]["resolution"] == "approved"
    assert second.json["way"] == "update"

    done = house.run("propose", house.file(_proposal("whole-way")), "--wait", "--json")
    assert (done.code, done.json["outcome"]) == (exits.OK, "succeeded")
    shown = house.run("show", "whole-way").out
    for part in ("approved, outcome succeeded", "self_approval", "looks right", "sorts \\u{001b}[2J spill"):
        assert part in shown
    assert house.run("explain", "whole-way").out.startswith("approved, outcome succeeded")
    assert house.run("status", "whole-way").json["source"] == "record"


def test_a_pending_action_explains_itself(house: House) -> None:
    """What it waits for, who could unblock it, and what happens when."""
    house.pending("waiting")

    explained = house.run("explain", "waiting")
    assert "stage 1 (dba): 1 of dba" in explained.out
    assert "deadline of stage dba" in explained.out
    answer = house.run("explain", "waiting", "--json").json
    assert answer["could_unblock"] == {"dba": ["dba"]}
    status = house.run("status", "waiting").json
    assert (status["source"], status["mismatches"], status["stage"]) == ("workflow", [], 1)


def test_the_list_shows_who_is_asked(house: House) -> None:
    """Visibility finds a pending action by the group that it waits for."""
    house.pending("listed")

    def found(*more: str) -> list[str]:
        return [row["id"] for row in house.run("list", "--json", *more).json]

    deadline = time.monotonic() + BOUND_SECONDS
    while "listed" not in found("--group", "dba"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "listed" not in found("--group", "owners")
    assert "listed" in house.run("list").out


def test_a_denial_needs_a_reason_and_ends_the_action(house: House) -> None:
    """`deny` without a reason is a wrong call; with one, the action is denied for good."""
    house.pending("denied")

    with pytest.raises(SystemExit) as ended:
        house.decide("deny", "denied", "ben")
    assert ended.value.code == exits.USAGE
    assert house.decide("deny", "denied", "ben", "--because", "not today").code == exits.OK
    done = house.run("propose", house.file(_proposal("denied")), "--wait")
    assert done.code == exits.REFUSED
    assert "stage dba was denied by ben" in done.out
    late = house.decide("approve", "denied", "ben")
    assert late.code == exits.FAILED
    assert "action denied is denied: it waits for no decision" in late.err


def test_a_withdrawn_action_runs_nothing(house: House) -> None:
    """`withdraw` stops a pending action; again, there is nothing to stop."""
    house.pending("withdrawn")

    assert house.run("withdraw", "withdrawn").code == exits.OK
    status = house.until("withdrawn", lambda status: status["result"] is not None)
    assert (status["result"]["resolution"], status["outcome"]) == ("withdrawn", "not_executed")


def test_a_closed_action_is_told_without_temporal(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record answers where Temporal has forgotten or is away; proposing it again gives the recorded result."""
    proposal = house.file(_proposal("forgotten", operation="postgres.session.terminate"))
    assert house.run("propose", proposal).code == exits.OK
    house.until("forgotten", lambda status: status["result"] is not None)

    again = house.run("propose", proposal, "--wait")
    assert again.code == exits.REFUSED
    assert "no-destruction" in again.out
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    assert "denied, outcome not_executed" in house.run("show", "forgotten").out
    assert "limit: no-destruction: nothing is ended here" in house.run("explain", "forgotten").out
    assert house.run("propose", proposal).err.startswith("countersign: temporal at 127.0.0.1:1: Connection refused")


def test_a_pending_action_is_told_without_temporal(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Temporal is away the record still says what is waited for, and that nobody answers."""
    house.pending("away")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")

    shown = house.run("show", "away")
    assert shown.code == exits.OK
    assert "note: temporal at 127.0.0.1:1: Connection refused" in shown.out
    assert "stage 1 (dba): 1 of dba" in house.run("explain", "away").out
    assert house.run("status", "away").json["source"] == "record"


def test_another_proposal_under_the_same_id_is_refused(house: House) -> None:
    """Once closed, an id gives its result to the same proposal only."""
    assert house.propose("taken", operation="postgres.session.terminate").code == exits.OK
    house.until("taken", lambda status: status["result"] is not None)

    other = house.propose("taken")
    assert other.code == exits.FAILED
    assert "give the new proposal an id of its own" in other.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"proposal_id": "x", "proposal_id": "y"}', "key 'proposal_id' occurs twice"),
        ("[]", "malformed proposal: <root>"),
        (json.dumps({**_proposal("x"), "surprise": 1}), "malformed proposal: surprise: extra inputs"),
        ("nonsense", "json text is malformed"),
    ],
)
def test_what_is_no_proposal_is_never_started(idle: House, text: str, message: str) -> None:
    """A malformed file is refused before Temporal hears of it, with the field and what is wrong."""
    ran = idle.run("propose", idle.file(text))

    assert ran.code == exits.FAILED
    assert message in ran.err


def test_an_unanswered_decision_is_unknown_and_counts_once_later(idle: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a worker the decision is sent as update and as signal; when a worker comes back it is counted once."""
    monkeypatch.setattr(sending, "UPDATE_TIMEOUT", timedelta(seconds=1))
    monkeypatch.setattr(case, "QUERY_TIMEOUT", timedelta(seconds=1))
    with _workers(idle.stack, idle.settings):
        idle.pending("silent")
    sent = idle.decide("approve", "silent", "ben", "--json", "--patience", "0.5")
    assert sent.code == exits.UNKNOWN
    assert (sent.json["receipt"], sent.json["way"]) == (None, "signal")

    with _workers(idle.stack, idle.settings):
        decision_id = sent.json["decision_id"]
        status = idle.until("silent", lambda status: decision_id in status["receipts"])
        assert status["receipts"][decision_id]["counted"]
        shown = idle.run("show", "silent").out
    assert shown.count("decision_counted") == 1
    assert "decision_refused" not in shown


def test_without_a_record_the_digests_are_said_to_be_unchecked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An approver who can reach only Temporal is told what that means, and the decision counts."""
    house.pending("unchecked")
    monkeypatch.delenv("COUNTERSIGN_DATABASE_URL")
    monkeypatch.delenv("COUNTERSIGN_ADMIN_DATABASE_URL")

    ran = house.decide("approve", "unchecked", "ben")
    assert ran.code == exits.OK
    assert "WARNING: digests are the workflow's own word and were not checked" in ran.out
    assert "WARNING: not checked against the record" in house.run("show", "unchecked").out


@workflow.defn(name="Impostor", sandboxed=False)
class Impostor:
    """A workflow of somebody who can write to the namespace, in the place of ours."""

    @workflow.run
    async def run(self, status: dict[str, Any]) -> None:
        self._status = status
        await asyncio.Event().wait()

    @workflow.query
    def status(self) -> dict[str, Any]:
        return self._status


def test_a_workflow_that_contradicts_the_record_gets_no_decision(idle: House) -> None:
    """A foreign workflow under the action's id cannot make an approver vote for other digests."""
    with _workers(idle.stack, idle.settings):
        status = idle.pending("impostor")
    harmless = {**status, "action_digest": "sha256:" + "0" * 64}

    async def impostor(stop: threading.Event, ready: threading.Event) -> None:
        client = await Client.connect(idle.stack.temporal_address)
        await client.get_workflow_handle("action/impostor").terminate()
        worker = Worker(client, task_queue="foreign", workflows=[Impostor], workflow_runner=UnsandboxedWorkflowRunner())
        async with worker:
            handle = await client.start_workflow(Impostor.run, harmless, id="action/impostor", task_queue="foreign")
            ready.set()
            await asyncio.get_running_loop().run_in_executor(None, stop.wait)
            await handle.terminate()

    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(impostor(stop, ready)), daemon=True)
    thread.start()
    try:
        assert ready.wait(BOUND_SECONDS)
        ran = idle.decide("approve", "impostor", "ben")
        assert ran.code == exits.FAILED
        assert "workflow and record contradict each other, decide nothing on it: action_digest" in ran.err
        assert "WARNING: action_digest: the workflow says" in idle.run("show", "impostor").out
    finally:
        stop.set()
        thread.join(BOUND_SECONDS)


def test_nobody_to_confirm_sends_nothing(house: House) -> None:
    """Without a terminal and without --yes no decision is sent."""
    house.pending("unconfirmed")

    ran = house.run("approve", "unconfirmed")
    assert ran.code == exits.FAILED
    assert "nobody is there to confirm" in ran.err
    assert house.run("status", "unconfirmed").json["receipts"] == {}


def test_documents_are_checked_published_and_shown(idle: House, documents: Path, tmp_path: Path) -> None:
    """A policy is checked offline, put in force by the administrator, and printed as it was written."""
    newer = tmp_path / "newer.yaml"
    newer.write_text(DOCUMENTS["policy"].replace('"1"', '"2"'))
    checked = idle.run("policy", "check", str(newer))
    assert checked.code == exits.OK
    assert "a policy that can be used, sha256:" in checked.out
    assert idle.run("policy", "publish", str(newer)).code == exits.OK
    assert 'version: "2"' in idle.run("policy", "show").out
    assert "tuning-agent" in idle.run("policy", "show", "--kind", "directory").out
    assert idle.run("policy", "publish", str(documents / "policy.yaml")).code == exits.OK
    newer.write_text("kind: PolicyDocument\nrules: 3\n")
    broken = idle.run("policy", "publish", str(newer))
    assert broken.code == exits.FAILED
    assert "malformed PolicyDocument" in broken.err


def test_set_up_can_be_repeated(idle: House, documents: Path) -> None:
    """On a database and namespace that are ready, `setup` has nothing to do and says so."""
    ran = idle.run("setup", "--publish", str(documents))

    assert ran.code == exits.OK, ran.err
    assert "nothing to migrate" in ran.out
    assert "no search attribute registered" in ran.out
    assert ran.out.count("is in force") == len(DOCUMENTS)


def test_set_up_makes_a_fresh_namespace_and_database_ready(
    idle: House, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a user's own empty database and namespace, `setup` migrates, registers and publishes; then nothing is left."""
    server = idle.stack.database_url("postgres", "postgres")

    async def make() -> None:
        connection = await asyncpg.connect(server)
        await connection.execute("CREATE DATABASE fresh")
        await connection.close()
        client = await Client.connect(idle.stack.temporal_address)
        request = RegisterNamespaceRequest(namespace="fresh")
        request.workflow_execution_retention_period.FromTimedelta(timedelta(days=1))
        await client.workflow_service.register_namespace(request)

    asyncio.run(make())
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "fresh")
    monkeypatch.setenv("COUNTERSIGN_ADMIN_DATABASE_URL", idle.stack.database_url("postgres", "fresh"))
    deadline = time.monotonic() + BOUND_SECONDS
    while (ran := idle.run("setup", "--publish", str(documents))).code and "not found" in ran.err:
        assert time.monotonic() < deadline, ran.err  # a new namespace takes a moment to be known

    assert ran.code == exits.OK, ran.err
    assert all(name in ran.out for name in TYPES)
    assert ran.out.count("is in force") == len(DOCUMENTS)
    again = idle.run("setup").out
    assert "nothing to migrate" in again
    assert "no search attribute registered" in again


def test_set_up_without_an_administrator_says_what_is_missing(idle: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named, and an ordinary role is told what it may not do."""
    monkeypatch.setenv("COUNTERSIGN_ADMIN_DATABASE_URL", idle.stack.database_url("countersign_app"))
    assert "connect as countersign_owner or a superuser to migrate" in idle.run("setup").err
    monkeypatch.delenv("COUNTERSIGN_ADMIN_DATABASE_URL")
    assert "COUNTERSIGN_ADMIN_DATABASE_URL is not set" in idle.run("setup").err


@pytest.mark.slow
def test_the_development_stack_is_found_from_a_second_terminal(documents: Path, tmp_path: Path) -> None:
    """`dev` runs until Ctrl-C; meanwhile every command in the same folder works without any variable; data stay."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "COUNTERSIGN_"))}
    command = [sys.executable, str(ROOT / "starter.py")]

    def second(*arguments: str) -> Ran:
        ended = subprocess.run(
            [*command, *arguments], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    @contextlib.contextmanager
    def dev() -> Iterator[list[str]]:
        starting = [*command, "dev", "--documents", str(documents)]
        with subprocess.Popen(starting, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if line.startswith("ready"):
                    break
            try:
                yield said
            finally:
                process.send_signal(signal.SIGINT)
                assert process.wait(2 * BOUND_SECONDS) == exits.OK

    (tmp_path / "proposal.json").write_text(json.dumps(_proposal("at-home")))
    with dev() as said:
        assert any(line.startswith("temporal ui  http://127.0.0.1:") for line in said)
        started = second("propose", "proposal.json")
        assert started.code == exits.OK, started.err
        assert "/namespaces/default/workflows/action%2Fat-home" in started.out
        assert second("approve", "at-home", "--as", "ben", "--yes").code == exits.OK
    with dev():
        shown = second("show", "at-home")
        assert shown.code == exits.OK, shown.err
        assert "ben: approve in stage 1 by update" in shown.out


def test_an_unknown_action_is_said_to_be_unknown(idle: House) -> None:
    """Neither the record nor Temporal knows it."""
    ran = idle.run("show", "nobody-proposed-this")

    assert ran.code == exits.FAILED
    assert "temporal has no such workflow" in ran.err


def test_each_module_adds_the_commands_that_it_is_listed_with() -> None:
    """A command is found in the module that the tree names, and the whole tree has them all."""
    for name, adds in starter.MODULES.items():
        if importlib.util.find_spec(name) is None:
            continue
        for command in adds:
            with pytest.raises(SystemExit) as ended:
                starter.parser(command).parse_args([command, "--help"])
            assert ended.value.code == 0
        assert all(command in starter.parser().format_help() for command in adds)


def test_a_group_cannot_be_a_query() -> None:
    """What a user types becomes a value of the query, never a part of it."""
    assert query("dba", everything=False).endswith("CountersignWaitingGroups = 'dba'")
    with pytest.raises(Exception, match="is no name"):
        query("x' OR ExecutionStatus = 'Running", everything=False)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "approve"),
        (["frobnicate"], exits.USAGE, "invalid choice"),
        (["show", "no id at all"], exits.USAGE, "is no proposal id"),
        (["show", "x"], exits.FAILED, "COUNTERSIGN_DATABSE_URL is no setting"),
    ],
)
def test_the_process_ends_with_the_code_and_all_of_its_output(arguments: list[str], code: int, said: str) -> None:
    """The entry point flushes and exits with the command's code, also into a pipe."""
    environ = {**os.environ, "COUNTERSIGN_DATABSE_URL": "x"}
    ended = subprocess.run(
        [sys.executable, "starter.py", *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )

    assert ended.returncode == code
    assert said in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
