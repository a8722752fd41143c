"""The README, followed as a reader would: every command in its order, in one folder, against `countersign dev`."""

import contextlib
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from activities.documents import KINDS
from deploy.dev import StackAddresses, running_stack
from policy.base import instant_text
from signing.keys import generate
from workflows import interface

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "judges").rglob("*.md")])
OWN_SERVERS = "## On your own Temporal and PostgreSQL"
BOUND_SECONDS = 60.0
OWNER_SAYS = {
    "policy check": "a policy that can be used",
    "policy test": "7 cases as expected",
    "policy diff": "3 changes in meaning",
    "simulate": "1 with another answer",
    "policy propose": "proposed",
}
RUNNABLE = {"make", "countersign", "temporal", "python"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@dataclass
class Desk:
    """A folder with the examples in it, a running development stack, and a shell of sorts."""

    folder: Path
    stack: StackAddresses
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "COUNTERSIGN_"))}
        return kept | {"PATH": f"{Path(sys.executable).parent}:{kept['PATH']}"} | self.variables

    @contextlib.contextmanager
    def start(self, command: str, *, typed: str = "") -> Iterator["subprocess.Popen[str]"]:
        """A command of the README, running in a terminal in which `typed` is typed; it ends with the block."""
        words = shlex.split(command)
        assert words[0] in RUNNABLE, command
        # The stock command line has no other way to find a stack on another port than the usual.
        address = {"TEMPORAL_ADDRESS": self.stack.temporal_address} if words[0] == "temporal" else {}
        controller, terminal = pty.openpty()
        os.write(controller, typed.encode())
        process = subprocess.Popen(
            words,
            cwd=self.folder,
            env=self.environment() | address,
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        os.close(terminal)
        try:
            with process:
                try:
                    yield process
                finally:
                    process.kill()
        finally:
            os.close(controller)

    def run(self, command: str) -> str:
        """Run a command to its good end; what it printed."""
        with self.start(command, typed="approve\n") as process:
            said, _ = process.communicate(timeout=BOUND_SECONDS)
        assert process.returncode == 0, f"{command}\n{said}"
        return said


def _blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _commands(text: str) -> list[str]:
    """The lines of the console blocks that somebody types."""
    lines = [line for block in _blocks("console", text) for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines), lines
    return [line.removeprefix("$ ") for line in lines]


def _until(process: "subprocess.Popen[str]", text: str) -> None:
    """Read what a process says until it says the text."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if text in line:
            return
    raise AssertionError(f"it ended without saying {text!r}: {''.join(said)}")


def _end(process: "subprocess.Popen[str]", number: int) -> None:
    """End a process as Ctrl-C or a supervisor would, and wait for it."""
    process.send_signal(number)
    process.communicate(timeout=BOUND_SECONDS)


@pytest.fixture(name="desk", scope="module")
def _desk() -> Iterator[Desk]:
    """What somebody has who followed the README up to `make dev`."""
    # Not below pytest's own folder: another run of pytest closes that to the user whom PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="countersign-docs-") as name:
        yield from _started(Path(name))


def _started(folder: Path) -> Iterator[Desk]:
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "worker.py").symlink_to(ROOT / "worker.py")
    nowhere = StackAddresses("", "", None, "", 0, "", 0)
    with Desk(folder, nowhere).start("countersign dev") as dev:
        _until(dev, "ready: ")
        stack = running_stack(folder / ".dev")
        assert stack is not None
        yield Desk(folder, stack)
        _end(dev, signal.SIGTERM)
    assert running_stack(folder / ".dev") is None


def test_every_make_target_exists() -> None:
    """Each target of the README starts what the tests try under its own name."""
    recipes = {
        "make demo": "starter.py demo",
        "make test": "-m pytest",
        "make dev": "starter.py dev",
        "make judges": "-m judges",
    }

    wanted = [command for command in _commands(README) if command.startswith("make ")]
    assert wanted == list(recipes)
    for command in wanted:
        dry = subprocess.run(shlex.split(f"{command} -n"), cwd=ROOT, check=True, capture_output=True, text=True)
        assert recipes[command] in dry.stdout


@pytest.mark.parametrize("page", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES])
def test_the_links_lead_somewhere(page: Path) -> None:
    """Every relative link, pictures included, is a file or a folder, and a heading where it names one."""
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if not link.startswith("https://")]

    for link in links:
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not heading or heading in _headings(target.read_text()), link


def _headings(text: str) -> set[str]:
    """The headings of a page as links name them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_document_is_listed() -> None:
    """`docs/README.md` links each document, or the folder's own list."""
    index = ROOT / "docs/README.md"
    linked = {(index.parent / link).resolve() for link in re.findall(r"\]\(([^)\s]+)\)", index.read_text())}
    alone = [path for path in PAGES if path != index and path.parent.name not in {"adr", "data"}]

    assert [path for path in alone if path not in linked and path.name != "README.md"] == []
    decisions = (ROOT / "docs/adr/README.md").read_text()
    assert [path.name for path in (ROOT / "docs/adr").glob("0*.md") if path.name not in decisions] == []


def test_the_other_language_says_the_same_names() -> None:
    """The TypeScript snippet uses the names of the contract."""
    (snippet,) = _blocks("typescript", README)

    for name in (interface.WORKFLOW_TYPE, interface.TASK_QUEUE, interface.workflow_id("${proposal.proposal_id}")):
        assert name in snippet


def test_a_reader_gets_from_a_proposal_to_an_audited_outcome(desk: Desk) -> None:
    """The Python snippet prints the result of its action, again once that is closed; the commands after it were run."""
    (snippet,) = _blocks("python", README)
    (desk.folder / "start_action.py").write_text(snippet.replace("localhost:7233", desk.stack.temporal_address))
    said: dict[str, str] = {}
    with desk.start(f"python {desk.folder / 'start_action.py'}") as platform:
        for command in _commands(README.split(OWN_SERVERS)[0]):
            if not command.startswith("make "):
                said[command] = _follow(desk, command, said)
        result, _ = platform.communicate(timeout=BOUND_SECONDS)
    with desk.start(f"python {desk.folder / 'start_action.py'}") as platform:
        again, _ = platform.communicate(timeout=BOUND_SECONDS)

    # The SDK sometimes aborts an interpreter that is already ending; what it printed before that is the result.
    assert result.splitlines()[0] == "approved succeeded none"
    assert again.splitlines()[0] == result.splitlines()[0]
    assert "1 of orders-oncall" in said["countersign explain high-impact-1"]
    assert "counted" in said["countersign approve high-impact-1 --as ben"]
    assert "approved, outcome succeeded" in said["countersign show high-impact-1"]
    assert "consistent, not proven untampered" in said["countersign audit replay high-impact-1.json"]
    _assert_policy_changed(desk, {command.split("countersign ")[-1]: text for command, text in said.items()})


def _assert_policy_changed(desk: Desk, said: Mapping[str, str]) -> None:
    """The owner's steps say what they find, and after two people's yes the candidate is in force."""
    found = {name: text for command, text in said.items() for name in OWNER_SAYS if command.startswith(name)}
    assert {name for name, text in OWNER_SAYS.items() if text in found.get(name, "")} == set(OWNER_SAYS)

    proposal_id = found["policy propose"].split(":", 1)[0]
    for person in ("sam", "dora"):
        assert "counted" in desk.run(f"countersign approve {proposal_id} --as {person}")
    _await_result(desk, proposal_id)
    assert "approved, outcome succeeded" in desk.run(f"countersign show {proposal_id}")
    assert "count: 2" in desk.run("countersign policy show")


def _follow(desk: Desk, command: str, said: Mapping[str, str]) -> str:
    if "decision.json" in command:
        shown = next(text for earlier, text in said.items() if earlier.startswith("temporal workflow metadata"))
        (decision,) = _blocks("json", shown)
        named = decision.replace("YOUR-NAME", "dora").replace("YOUR-IDENTITY", "dora")
        (desk.folder / "decision.json").write_text(named)
    if command.startswith("countersign show"):
        _await_result(desk, "high-impact-1")
    return desk.run(command)


def _await_result(desk: Desk, proposal_id: str) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while json.loads(desk.run(f"countersign status {proposal_id}"))["result"] is None:
        assert time.monotonic() < deadline


def test_own_servers_are_set_up_and_worked_on(desk: Desk) -> None:
    """With variables for addresses, `setup` makes a Temporal and a database ready, two people sign what comes in force,
    and a worker runs on them.
    """
    setting_up, working = _blocks("console", README.split(OWN_SERVERS)[1])
    _prepare_signers(desk.folder)
    for block in (setting_up, working):
        terminal = Desk(desk.folder, desk.stack)
        for command in _commands(f"```console\n{_with_addresses(block, desk.stack)}```"):
            if command.startswith("export "):
                name, value = shlex.split(command)[1].split("=", 1)
                terminal.variables[name] = value
            elif "worker.py" in command:
                _run_worker(terminal, command)
            elif "--publish" in command:
                assert terminal.run(command).count("is in force") == len(KINDS)
            else:
                terminal.run(command)


def _prepare_signers(folder: Path) -> None:
    """A folder of documents of one's own, whose directory has two people with keys; and these keys."""
    documents = folder / "documents"
    documents.mkdir()
    for path in (ROOT / "examples").glob("*.yaml"):
        shutil.copy(path, documents)
    directory = yaml.safe_load((documents / "directory.yaml").read_text())
    for name in ("ann", "ben"):
        key = generate(f"{name}-1")
        (folder / f"{name}.pem").write_bytes(key.key.as_pem(private=True))
        (folder / f"{name}.pem").chmod(0o600)
        person: dict[str, Any] = next((item for item in directory["people"] if item["id"] == name), {"id": name})
        person["keys"] = [{"id": key.id, "jwk": key.public}]
        directory["people"] = [item for item in directory["people"] if item["id"] != name] + [person]
    directory["audience"] = "countersign/own"
    (documents / "directory.yaml").write_text(json.dumps(directory, default=instant_text))


def _with_addresses(text: str, stack: StackAddresses) -> str:
    """A block in which the example's addresses are those of a stack."""
    text = text.replace("temporal.example.com:7233", stack.temporal_address)
    example = r"postgresql://(\w+)@db\.example\.com/countersign\?sslmode=verify-full"
    return re.sub(example, lambda found: stack.database_url(found[1]), text)


def _run_worker(terminal: Desk, command: str) -> None:
    targets = {"postgres/orders": terminal.stack.database_url("orders_operator", "orders")}
    (terminal.folder / "targets.json").write_text(json.dumps(targets))
    with terminal.start(command) as worker:
        _until(worker, "worker all runs")
        _end(worker, signal.SIGTERM)
    assert worker.returncode == 0
