"""The command executor with real programs: what they get, what they say, and what is read of them."""

import os
import pwd
import time
from pathlib import Path
from typing import Any

import pytest

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Inquiry,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    TargetChangedError,
    TargetUnreachableError,
)
from deploy import unprivileged
from tests.integration.executors.commands import (
    RESOURCE,
    command_executor,
    command_order,
    left,
    noted,
)

HOSTILE = ["; touch /tmp/x", "$(id)", "`id`", "a b", "*", "|cat", "> /tmp/x", "'", '"', "\\", "~", "{flag}", "ü"]


async def test_a_value_is_one_argument_and_no_shell_reads_it(program: Path, state: Path) -> None:
    text = {"type": "string"}
    executor = command_executor(program, "note", "--to={value}", "--", "{value}", more={"parameters": {"value": text}})

    for value in [*HOSTILE, "-rf", "--"]:
        await executor.execute(command_order(value=value))
        assert noted(state)["argv"] == [f"--to={value}", "--", value]


async def test_what_would_be_an_option_is_refused_before_anything_runs(program: Path, state: Path) -> None:
    executor = command_executor(program, "note", "{value}", more={"parameters": {"value": {"type": "string"}}})

    for value in ("-rf", "--help", "-", "", "a\nb", "a\0b", "x" * 5000):
        with pytest.raises(PreconditionFailedError):
            await executor.execute(command_order(value=value))

    assert left(state) == []


async def test_a_program_gets_what_the_entry_gives_and_nothing_of_the_worker(
    program: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environment, files, stdin, folder, session, account, limits and no way to gain privileges."""
    monkeypatch.setenv("WORKERS_SECRET", "hunter2")
    with open(os.devnull) as inherited:  # noqa: ASYNC230, PTH123 - only its number counts
        os.set_inheritable(inherited.fileno(), True)
        more = {"environment": {"TO": "{target.resource}/{order.direction}"}}
        executor = command_executor(
            program, "note", more=more, environment={"LANG": "C"}, limits={"memory_bytes": 2**30, "files": 99}
        )
        await executor.execute(command_order())

    found = noted(state)
    found["environment"].pop("LC_CTYPE", None)
    assert found["environment"] == {
        "LANG": "C",
        "TO": f"{RESOURCE}/do",
        "COUNTERSIGN_PERMIT_ID": "permit-1",
        "COUNTERSIGN_PERMIT": "the.signed.permit",
    }
    assert (found["files"], found["stdin"], found["directory"], found["session"]) == ([0, 1, 2], "", "/", True)
    assert (found["privileges"], found["umask"], found["limits"]) == ("1", "0077", [2**30, 99, 0])
    if user := unprivileged.account():
        known = pwd.getpwnam(user)
        assert found["ids"] == [known.pw_uid, known.pw_gid, []]


async def test_a_secret_stands_in_the_environment_and_what_is_not_given_is_left_out(program: Path, state: Path) -> None:
    more = {
        "parameters": {"password": {"type": "string", "secret": True, "required": False}},
        "environment": {"PASSWORD": "{password}"},
    }
    executor = command_executor(program, "note", more=more, secrets={"db": "hunter2"})

    await executor.execute(command_order(password="secret://db"))
    given = noted(state)
    await executor.execute(command_order())

    assert given["environment"]["PASSWORD"] == "hunter2"
    assert "PASSWORD" not in noted(state)["environment"]
    assert "hunter2" not in f"{executor!r} {executor.__dict__}"


EXITS: dict[str, tuple[int, type[Exception] | None]] = {
    "done": (0, None),
    "also done": (7, None),
    "refused": (3, PreconditionFailedError),
    "changed": (4, TargetChangedError),
    "unreachable": (5, TargetUnreachableError),
    "failed": (6, ExecutorError),
    "in no list": (1, EffectUnknownError),
    "in no list either": (255, EffectUnknownError),
}


@pytest.mark.parametrize(("status", "error"), EXITS.values(), ids=EXITS)
async def test_an_exit_status_means_what_the_entry_says(
    program: Path, state: Path, status: int, error: type[Exception] | None
) -> None:
    exits = {"done": [0, 7], "refused": [3], "changed": [4], "unreachable": [5], "failed": [6]}
    executor = command_executor(program, "exit", str(status), more={"exits": exits})

    if error is None:
        await executor.execute(command_order())
    else:
        with pytest.raises(error) as raised:
            await executor.execute(command_order())
        assert type(raised.value) is error
    assert (state / "ran").read_text() == "x"


PROBES: dict[str, tuple[dict[str, Any], Any]] = {
    "a text": ({"argv": ["print", "active"], "text": "string"}, "active"),
    "a number": ({"argv": ["print", "17"], "text": "integer"}, 17),
    "a truth": ({"argv": ["print", "true"], "text": "boolean"}, True),
    "another type": ({"argv": ["print", "true"], "text": "integer"}, None),
    "words for a number": ({"argv": ["print", "many"], "text": "integer"}, None),
    "a place in json": ({"argv": ["print", '{{"a": [{{"b": 7}}]}}'], "value": "/a/0/b"}, 7),
    "no such place": ({"argv": ["print", "{{}}"], "value": "/a"}, None),
    "no single value": ({"argv": ["print", '{{"a": [1]}}'], "value": "/a"}, None),
    "a key twice": ({"argv": ["print", '{{"a": 1, "a": 2}}'], "value": "/a"}, None),
    "an exit status": ({"argv": ["exit", "3"], "by_exit": {"0": True, "3": False}}, False),
    "an exit status that means nothing": ({"argv": ["exit", "4"], "by_exit": {"0": True, "3": False}}, None),
    "a failure": ({"argv": ["exit", "1"], "text": "string"}, None),
    "slow": ({"argv": ["stay"], "text": "string", "timeout_seconds": 0.5}, None),
    "a giant": ({"argv": ["write-on"], "text": "string"}, None),
    "killed": ({"argv": ["signal", "9"], "by_exit": {"9": True}}, None),
}


@pytest.mark.parametrize(("probe", "value"), PROBES.values(), ids=PROBES)
async def test_a_probe_reads_a_value_or_says_in_time_that_it_cannot(
    program: Path, state: Path, probe: dict[str, Any], value: Any
) -> None:
    executor = command_executor(program, "note", probe=probe)
    started = time.monotonic()

    if value is None:
        with pytest.raises(ProbeError):
            await executor.measure(ProbeOrder("host.x.y", {}, RESOURCE))
    else:
        found = await executor.measure(ProbeOrder("host.x.y", {}, RESOURCE))
        assert (found, type(found)) == (value, type(value))
    assert time.monotonic() - started < 10


async def test_a_probe_takes_no_argument_that_it_has_no_place_for(program: Path, state: Path) -> None:
    probe = {"argv": ["print", "{unit}"], "text": "string", "parameters": {"unit": {"type": "string"}}}
    executor = command_executor(program, "note", probe=probe)

    assert await executor.measure(ProbeOrder("host.x.y", {"unit": "; id"}, RESOURCE)) == "; id"
    assert await executor.measure(ProbeOrder("shop.x.y", {"unit": "7"}, RESOURCE, "host.x.y", {}, "string")) == "7"
    with pytest.raises(ProbeError, match="not of type integer"):
        await executor.measure(ProbeOrder("host.x.y", {"unit": "7"}, RESOURCE, reads="integer"))
    for parameters in ({"unit": "--help"}, {}, {"unit": 7}, {"unit": "x", "more": "y"}):
        with pytest.raises(ProbeError):
            await executor.measure(ProbeOrder("host.x.y", parameters, RESOURCE))
    with pytest.raises(ProbeError, match="no credentials for resource host/other"):
        await executor.measure(ProbeOrder("host.x.y", {"unit": "x"}, "host/other"))
    assert (state / "ran").read_text() == "xxx"


LISTED: dict[str, tuple[list[str], Any]] = {
    "two": (["print", '[{{"id": "a"}}, {{"id": 7}}]'], ["a", "7"]),
    "none": (["print", "[]"], []),
    "nothing, by exit status": (["exit", "3"], []),
    "a failure": (["exit", "1"], TargetUnreachableError),
    "no json": (["print", "a b"], PreconditionFailedError),
    "without an id": (["print", '[{{"name": "a"}}]'], PreconditionFailedError),
    "an empty id": (["print", '[{{"id": ""}}]'], PreconditionFailedError),
    "an id twice": (["print", '[{{"id": "a"}}, {{"id": "a"}}]'], PreconditionFailedError),
    "an id that is a list": (["print", '[{{"id": ["a"]}}]'], PreconditionFailedError),
    "a giant": (["write-on"], TargetUnreachableError),
    "killed": (["signal", "9"], TargetUnreachableError),
}


@pytest.mark.parametrize(("argv", "found"), LISTED.values(), ids=LISTED)
async def test_what_would_be_touched_has_ids_or_is_not_known(
    program: Path, state: Path, argv: list[str], found: Any
) -> None:
    resolve = {"argv": [str(program), *argv], "listing": {"id": "/id"}, "nothing": [3]}
    executor = command_executor(program, "note", more={"resolve": resolve})
    inquiry = Inquiry("host.x.act", {}, (RESOURCE,), "production")

    if isinstance(found, list):
        assert [target.id for target in await executor.resolve(inquiry)] == found
    else:
        with pytest.raises(found) as raised:
            await executor.resolve(inquiry)
        assert type(raised.value) is found


@pytest.mark.parametrize("shows", [False, True])
async def test_what_a_program_writes_is_in_no_error_unless_the_entry_lets_it_and_never_a_secret(
    program: Path, state: Path, shows: bool
) -> None:
    executor = command_executor(program, "exit", "1", "x", shows_errors=shows, secrets={"db": "hunter2"})

    with pytest.raises(EffectUnknownError) as error:
        await executor.execute(command_order())
    assert ("… and more" in str(error.value)) is shows
    assert "hunter2" not in str(error.value)
