"""The command executor with real programs: what they get, what they may take, and that nothing of them is left."""

import asyncio
import json
import os
import pwd
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    TargetChangedError,
    TargetCredentials,
    TargetUnreachableError,
)
from activities.executors.command import CommandExecutor, make
from activities.executors.kinds import ExecutorSettingsError
from deploy import unprivileged
from policy.permit import Direction
from tests.integration.executors.command_harness import allowed_program

RESOURCE = "host/web-1"
# Does what its first argument says, and writes down what it was given.
PROGRAM = f"""#!{sys.executable} -ISB
import json, os, pathlib, resource, signal, sys, time
home = pathlib.Path(__file__).parent / "state"
(home / "ran").open("a").write("x")

def note(**what):
    (home / "noted").write_text(json.dumps(what))

def stay(ignoring=()):
    for number in ignoring:
        signal.signal(number, signal.SIG_IGN)
    with (home / "pids").open("a") as pids:
        pids.write(f"{{os.getpid()}}\\n")
    time.sleep(60)

def scatter():
    # A child, a child of another session, and a daemon of which the parent is gone; none of them minds SIGTERM.
    if os.fork() == 0:
        stay([signal.SIGTERM])
    if os.fork() == 0:
        os.setsid()
        stay([signal.SIGTERM])
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            stay([signal.SIGTERM, signal.SIGHUP])
        os._exit(0)
    while not (home / "pids").exists() or len((home / "pids").read_text().splitlines()) < 3:
        time.sleep(0.01)

def leave(status):
    def ending(*_):
        sys.exit(status)
    signal.signal(signal.SIGTERM, ending)
    stay()

match sys.argv[1:]:
    case ["note", *rest]:
        status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines())
        note(
            argv=rest, environment=dict(os.environ), ids=[os.geteuid(), os.getegid(), os.getgroups()],
            stdin=sys.stdin.read(), files=sorted(map(int, os.listdir("/proc/self/fd")))[:-1], directory=os.getcwd(),
            session=os.getsid(0) == os.getpid(), privileges=status["NoNewPrivs"], umask=status["Umask"],
            limits=[resource.getrlimit(getattr(resource, "RLIMIT_" + name))[0] for name in ("AS", "NOFILE", "CORE")],
        )
    case ["exit", status]:
        sys.exit(int(status))
    case ["exit", status, *_]:
        print("hunter2 and more", file=sys.stderr)
        sys.exit(int(status))
    case ["signal", number]:
        os.kill(os.getpid(), int(number))
    case ["scatter"]:
        scatter()
        time.sleep(60)
    case ["scatter-and-end"]:
        scatter()
    case ["stay"]:
        stay()
    case ["stay-on"]:
        stay([signal.SIGTERM])
    case ["leave", status]:
        leave(int(status))
    case ["write", count]:
        left = int(count)
        while left > 0:
            left -= os.write(1, b"y" * min(left, 65536))
    case ["write-on"]:
        while True:
            os.write(2, b"y" * 65536)
    case ["allocate"]:
        kept = bytearray(2**31)
    case ["fill"]:
        (home / "filled").write_bytes(b"x" * 2**20)
    case ["compute"]:
        while True:
            pass
    case ["print", text]:
        print(text)
"""


@pytest.fixture(name="program", scope="module")
def _program() -> Iterator[Path]:
    with allowed_program(PROGRAM) as program:
        yield program


@pytest.fixture(name="state")
def _state(program: Path) -> Path:
    state = program.parent / "state"
    for path in state.iterdir():
        path.unlink()
    return state


def _account() -> dict[str, str]:
    return {"user": user} if (user := unprivileged.account()) else {}


def _entry(program: Path, *argv: str, probe: Any = None, more: Any = None, **settings: Any) -> dict[str, Any]:
    operation = {"argv": [str(program), *argv], **(more or {})}
    probes = {"host.x.y": {**probe, "argv": [str(program), *probe["argv"]]}} if probe else {}
    return {**_account(), "operations": {"host.x.act": operation}, "probes": probes, "stop_seconds": 0.5, **settings}


def _executor(program: Path, *argv: str, **more: Any) -> CommandExecutor:
    return make("command", _entry(program, *argv, **more), TargetCredentials({RESOURCE: "web-1"}))


def _order(seconds: float = 20, **parameters: Any) -> Order:
    order = Order("permit-1", Direction.do, "host.x.act", parameters, (RESOURCE,), timedelta(seconds=seconds))
    return replace(order, signed="the.signed.permit")


def _noted(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state / "noted").read_text())
    return found


def _left(state: Path) -> list[Path]:
    """What a program wrote down."""
    return list(state.iterdir())


def _alive(state: Path) -> list[int]:
    """Those of the processes which wrote their number down that still run."""
    pids = [int(line) for line in (state / "pids").read_text().splitlines()]
    return [pid for pid in pids if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


HOSTILE = ["; touch /tmp/x", "$(id)", "`id`", "a b", "*", "|cat", "> /tmp/x", "'", '"', "\\", "~", "{flag}", "ü"]


async def test_a_value_is_one_argument_and_no_shell_reads_it(program: Path, state: Path) -> None:
    text = {"type": "string"}
    executor = _executor(program, "note", "--to={value}", "--", "{value}", more={"parameters": {"value": text}})

    for value in [*HOSTILE, "-rf", "--"]:
        await executor.execute(_order(value=value))
        assert _noted(state)["argv"] == [f"--to={value}", "--", value]


async def test_what_would_be_an_option_is_refused_before_anything_runs(program: Path, state: Path) -> None:
    executor = _executor(program, "note", "{value}", more={"parameters": {"value": {"type": "string"}}})

    for value in ("-rf", "--help", "-", "", "a\nb", "a\0b", "x" * 5000):
        with pytest.raises(PreconditionFailedError):
            await executor.execute(_order(value=value))

    assert _left(state) == []


async def test_a_program_gets_what_the_entry_gives_and_nothing_of_the_worker(
    program: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environment, files, stdin, folder, session, account, limits and no way to gain privileges."""
    monkeypatch.setenv("WORKERS_SECRET", "hunter2")
    with open(os.devnull) as inherited:  # noqa: ASYNC230, PTH123 - only its number counts
        os.set_inheritable(inherited.fileno(), True)
        more = {"environment": {"TO": "{target.resource}/{order.direction}"}}
        executor = _executor(
            program, "note", more=more, environment={"LANG": "C"}, limits={"memory_bytes": 2**30, "files": 99}
        )
        await executor.execute(_order())

    noted = _noted(state)
    noted["environment"].pop("LC_CTYPE", None)
    assert noted["environment"] == {
        "LANG": "C",
        "TO": f"{RESOURCE}/do",
        "COUNTERSIGN_PERMIT_ID": "permit-1",
        "COUNTERSIGN_PERMIT": "the.signed.permit",
    }
    assert (noted["files"], noted["stdin"], noted["directory"], noted["session"]) == ([0, 1, 2], "", "/", True)
    assert (noted["privileges"], noted["umask"], noted["limits"]) == ("1", "0077", [2**30, 99, 0])
    if user := unprivileged.account():
        known = pwd.getpwnam(user)
        assert noted["ids"] == [known.pw_uid, known.pw_gid, []]


async def test_a_secret_stands_in_the_environment_and_what_is_not_given_is_left_out(program: Path, state: Path) -> None:
    more = {
        "parameters": {"password": {"type": "string", "secret": True, "required": False}},
        "environment": {"PASSWORD": "{password}"},
    }
    executor = _executor(program, "note", more=more, secrets={"db": "hunter2"})

    await executor.execute(_order(password="secret://db"))
    given = _noted(state)
    await executor.execute(_order())

    assert given["environment"]["PASSWORD"] == "hunter2"
    assert "PASSWORD" not in _noted(state)["environment"]
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
    executor = _executor(program, "exit", str(status), more={"exits": exits})

    if error is None:
        await executor.execute(_order())
    else:
        with pytest.raises(error) as raised:
            await executor.execute(_order())
        assert type(raised.value) is error
    assert (state / "ran").read_text() == "x"


CUT: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "a signal": (["signal", "9"], {}, "signal 9"),
    "its own abort": (["signal", "6"], {}, "signal 6"),
    "out of time": (["stay"], {}, "out of time"),
    "out of time, and it does not mind": (["stay-on"], {}, "signal 9, out of time"),
    "too much output": (["write-on"], {}, "too much output"),
    "one byte too much": (["write", "65537"], {}, "too much output"),
    "too much memory": (["allocate"], {"memory_bytes": 2**28}, "status 1"),
    "too large a file": (["fill"], {"file_bytes": 2**16}, "status 1"),
    "too much of the processor": (["compute"], {"cpu_seconds": 1}, "signal"),
}


@pytest.mark.parametrize(("argv", "limits", "said"), CUT.values(), ids=CUT)
async def test_what_does_not_end_by_itself_is_ended_and_unknown(
    program: Path, state: Path, argv: list[str], limits: dict[str, Any], said: str
) -> None:
    seconds = 1.0 if argv[0].startswith("stay") else 20.0
    started = time.monotonic()

    with pytest.raises(EffectUnknownError, match=said):
        await _executor(program, *argv, limits=limits).execute(_order(seconds))

    assert time.monotonic() - started < 10
    assert argv[0] not in ("stay", "stay-on") or _alive(state) == []


async def test_as_much_output_as_allowed_is_no_fault(program: Path, state: Path) -> None:
    await _executor(program, "write", "65536").execute(_order())

    assert (state / "ran").exists()


@pytest.mark.parametrize("argv", ["scatter", "scatter-and-end"])
async def test_nothing_that_a_program_started_is_left(program: Path, state: Path, argv: str) -> None:
    """Neither a child, nor one in another session, nor a daemon whose parent is gone; done or out of time."""
    executor = _executor(program, argv)
    if argv == "scatter-and-end":
        await executor.execute(_order())
    else:
        with pytest.raises(EffectUnknownError, match="out of time"):
            await executor.execute(_order(2))

    assert len((state / "pids").read_text().splitlines()) == 3
    assert _alive(state) == []


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


async def _until_there(path: Path, lines: int = 1) -> None:
    await _until(lambda: path.exists() and len(path.read_text().splitlines()) >= lines)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def test_a_cancelled_order_is_over_when_it_says_so(program: Path, state: Path) -> None:
    """The executor role cancels what takes longer than permitted: then nothing acts any more."""
    acting = asyncio.create_task(_executor(program, "scatter").execute(_order()))
    await _until_there(state / "pids", 3)
    acting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await acting
    assert _alive(state) == []


STOPS: dict[str, tuple[list[str], bool, type[Exception] | None]] = {
    "it ends, and may have meant something else": (["leave", "0"], False, EffectUnknownError),
    "it ends and says that it is done": (["leave", "0"], True, None),
    "it ends and says that nothing was done": (["leave", "3"], True, PreconditionFailedError),
    "it does not mind": (["stay-on"], True, EffectUnknownError),
}


@pytest.mark.parametrize(("argv", "when_stopped", "error"), STOPS.values(), ids=STOPS)
async def test_a_stop_ends_a_program_in_the_middle(
    program: Path, state: Path, argv: list[str], when_stopped: bool, error: type[Exception] | None
) -> None:
    executor = _executor(program, *argv, more={"exits": {"refused": [3], "when_stopped": when_stopped}})
    order = _order()
    acting = asyncio.create_task(executor.execute(order))
    await _until_there(state / "pids")
    started = time.monotonic()
    order.stop.set()

    if error is None:
        await acting
    else:
        with pytest.raises(error) as raised:
            await acting
        assert type(raised.value) is error
    assert time.monotonic() - started < executor.supports.stops_within.total_seconds()
    assert _alive(state) == []


WORKER = """
import asyncio, json, sys
from datetime import timedelta
from activities.executors.base import Order, TargetCredentials
from activities.executors.command import make
from policy.permit import Direction
executor = make("command", json.loads(sys.argv[1]), TargetCredentials({"host/web-1": "web-1"}))
order = Order("permit-1", Direction.do, "host.x.act", {}, ("host/web-1",), timedelta(seconds=60))
asyncio.run(executor.execute(order))
"""


async def test_nothing_goes_on_when_the_worker_is_killed(program: Path, state: Path) -> None:
    written = json.dumps(_entry(program, "scatter"))
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, written)
    await _until_there(state / "pids", 3)
    worker.kill()
    await worker.wait()

    await _until(lambda: not _alive(state))


async def test_a_program_whose_supervisor_is_killed_dies_and_is_unknown(program: Path, state: Path) -> None:
    acting = asyncio.create_task(_executor(program, "stay-on").execute(_order()))
    await _until_there(state / "pids")
    [pid] = _alive(state)
    os.kill(_parent(pid), signal.SIGKILL)

    with pytest.raises(EffectUnknownError, match="nobody knows"):
        await acting
    await _until(lambda: not _runs(pid))


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
        executor = _executor(program, "note", probe={"argv": ["print", "x"], "text": "string"})
        spoil(program)
        with pytest.raises(PreconditionFailedError, match=said):
            await executor.execute(_order())
        with pytest.raises(ProbeError, match=said):
            await executor.measure(ProbeOrder("host.x.y", {}, RESOURCE))
        with pytest.raises(ExecutorSettingsError, match=said):
            _executor(program, "note")
        assert _left(program.parent / "state") == []


@pytest.mark.parametrize("what", ["program", "."])
def test_a_program_of_somebody_else_is_not_started(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to root or to the account of the worker, and so does its folder."""
    with allowed_program(PROGRAM) as program:
        if os.geteuid() == 0:
            os.chown(program.parent / what, 65534, 65534)
        else:
            monkeypatch.setattr("os.geteuid", lambda: 12345)
        with pytest.raises(ExecutorSettingsError, match="must be root's or the worker's own"):
            make("command", {**_entry(program, "note"), "as_root": True}, TargetCredentials({}))


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
    executor = _executor(program, "note", probe=probe)
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
    executor = _executor(program, "note", probe=probe)

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
    executor = _executor(program, "note", more={"resolve": resolve})
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
    executor = _executor(program, "exit", "1", "x", shows_errors=shows, secrets={"db": "hunter2"})

    with pytest.raises(EffectUnknownError) as error:
        await executor.execute(_order())
    assert ("… and more" in str(error.value)) is shows
    assert "hunter2" not in str(error.value)
