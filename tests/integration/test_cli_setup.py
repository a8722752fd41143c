"""Documents, set-up and the development stack from the command line, and how a command ends."""

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client

import starter
from cli import exits
from cli.pending import query
from policy.search_attributes import TYPES
from tests.integration.terminal import BOUND_SECONDS, DOCUMENTS, ROOT, House, Ran, proposal


def test_documents_are_checked_published_and_shown(idle: House, documents: Path, tmp_path: Path) -> None:
    """A policy is checked offline, put in force by the administrator, and printed as it was written."""
    newer = tmp_path / "newer.yaml"
    newer.write_text(DOCUMENTS["policy"].replace('"1"', '"2"'))
    checked = idle.run("policy", "check", str(newer))
    assert checked.code == exits.OK
    assert "a policy that can be used, sha256:" in checked.out
    assert idle.publish(newer).code == exits.OK
    assert 'version: "2"' in idle.run("policy", "show").out
    assert "tuning-agent" in idle.run("policy", "show", "--kind", "directory").out
    assert idle.publish(documents / "policy.yaml").code == exits.OK
    newer.write_text("kind: PolicyDocument\nrules: 3\n")
    broken = idle.run("policy", "publish", "--ceremony", str(newer))
    assert broken.code == exits.FAILED
    assert "errors in PolicyDocument" in broken.err


def test_set_up_can_be_repeated(idle: House, documents: Path) -> None:
    """On a database and namespace that are ready, `setup` has nothing to do and says so."""
    ran = idle.run("setup", "--publish", str(documents))

    assert ran.code == exits.OK, ran.err
    assert "nothing to migrate" in ran.out
    assert "no search attribute registered" in ran.out
    assert ran.out.count("is in force") == len(DOCUMENTS)


def test_set_up_leaves_alone_what_is_in_force(idle: House, documents: Path, tmp_path: Path) -> None:
    """A document that was changed since is not rolled back by setting up again; who asked for it is told."""
    before = idle.run("policy", "show").out
    other = tmp_path / "other"
    shutil.copytree(documents, other)
    (other / "policy.yaml").write_text((documents / "policy.yaml").read_text() + "# another\n")

    ran = idle.run("setup", "--publish", str(other))

    assert ran.code == exits.OK, ran.err
    assert ran.out.count("and was before: change it with `countersign policy propose FILE`") == 1
    assert idle.run("policy", "show").out == before


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
    while (ran := idle.run("setup")).code and "not found" in ran.err:
        assert time.monotonic() < deadline, ran.err  # a new namespace takes a moment to be known
    assert ran.code == exits.OK, ran.err
    assert all(name in ran.out for name in TYPES)
    unsigned = idle.run("setup", "--publish", str(documents))
    assert (unsigned.code, "nobody signed it: at least 2 people do" in unsigned.err) == (exits.FAILED, True)

    monkeypatch.setenv("COUNTERSIGN_DATABASE_URL", idle.stack.database_url("countersign_reader", "fresh"))
    ran = idle.run("setup", "--publish", str(documents), "--signed", *idle.signatures(documents))
    assert ran.code == exits.OK, ran.err
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

    (tmp_path / "proposal.json").write_text(json.dumps(proposal("at-home")))
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
