"""Which programs are started at all, and as whom."""

import os
from pathlib import Path
from typing import Any

import pytest

from activities.executors.base import (
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    TargetCredentials,
)
from activities.executors.command import make
from activities.executors.kinds import ExecutorSettingsError
from tests.integration.executors.command_harness import allowed_program
from tests.integration.executors.commands import PROGRAM, RESOURCE, command_entry, command_executor, command_order, left


def _chmod(mode: int) -> Any:
    return lambda program: program.chmod(mode)


def _link(program: Path) -> None:
    away = program.rename(program.with_name("real"))
    away.chmod(0o757)
    program.symlink_to(away)


def _folder(program: Path) -> None:
    program.unlink()
    program.mkdir()


UNSAFE: dict[str, tuple[Any, str]] = {
    "others write it": (_chmod(0o757), "can be written by others"),
    "its folder is written by others": (lambda program: program.parent.chmod(0o777), "can be written by others"),
    "a link to one that others write": (_link, "can be written by others"),
    "not executable": (_chmod(0o644), "can be executed"),
    "a folder": (_folder, "can be executed"),
    "gone": (lambda program: program.unlink(), "does not exist"),
}


@pytest.mark.parametrize(("spoil", "said"), UNSAFE.values(), ids=UNSAFE)
async def test_a_program_that_somebody_else_could_replace_is_not_started(spoil: Any, said: str) -> None:
    """Neither where the worker starts, nor where it was good then and is not any more."""
    with allowed_program(PROGRAM) as program:
        executor = command_executor(program, "note", probe={"argv": ["print", "x"], "text": "string"})
        spoil(program)
        with pytest.raises(PreconditionFailedError, match=said):
            await executor.execute(command_order())
        with pytest.raises(ProbeError, match=said):
            await executor.measure(ProbeOrder("host.x.y", {}, RESOURCE))
        with pytest.raises(ExecutorSettingsError, match=said):
            command_executor(program, "note")
        assert left(program.parent / "state") == []


@pytest.mark.parametrize("what", ["program", "."])
def test_a_program_of_somebody_else_is_not_started(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to root or to the account of the worker, and so does its folder."""
    with allowed_program(PROGRAM) as program:
        if os.geteuid() == 0:
            os.chown(program.parent / what, 65534, 65534)
        else:
            monkeypatch.setattr("os.geteuid", lambda: 12345)
        with pytest.raises(ExecutorSettingsError, match="must be root's or the worker's own"):
            make("command", {**command_entry(program, "note"), "as_root": True}, TargetCredentials({}))


ACCOUNTS: dict[str, tuple[int, dict[str, Any], str]] = {
    "root without a word": (0, {}, "would run as root"),
    "root by name": (0, {"user": "root"}, "would run as root"),
    "nobody has this name": (0, {"user": "no-such-account"}, "no account or group"),
    "no such group": (0, {"user": "nobody", "group": "no-such-group"}, "no account or group"),
    "somebody else, without being root": (12345, {"user": "nobody"}, "only root can"),
}


@pytest.mark.parametrize(("mine", "given", "said"), ACCOUNTS.values(), ids=ACCOUNTS)
def test_an_account_that_programs_cannot_or_must_not_have_is_refused(
    mine: int, given: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: mine)
    entry = {"operations": {"host.x.act": {"argv": ["/bin/true"]}}, **given}

    with pytest.raises(ExecutorSettingsError, match=said):
        make("command", entry, TargetCredentials({}))
