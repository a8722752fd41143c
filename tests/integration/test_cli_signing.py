"""Signing at the command line against a real stack that takes no name for an identity: keys, agents, a person."""

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli import exits
from cli.case import look
from cli.place import find_place
from policy.builtin import AGENT
from signing.keys import generate
from tests.integration.terminal import BOUND_SECONDS, DOCUMENTS, ROOT, SIGNERS, House, proposal
from tests.unit.signed import ssh_key

BEN = SIGNERS["ben"]
PROOFS = """
proofs:
  - {assurance: aal1}
  - {assurance: aal2, max_age: 5m, stages: [owners]}
"""


def _directory() -> str:
    """The directory of the terminal, in which Eva has an SSH key, too."""
    keys = json.dumps([{"id": "eva-ssh", "ssh": ssh_key("eva")[1]}])
    return DOCUMENTS["directory"].replace("{id: eva, groups: [owners]}", f"{{id: eva, groups: [owners], keys: {keys}}}")


@pytest.fixture(name="documents", scope="module")
def _documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents of the terminal, with keys; the second stage wants more than a key shows."""
    folder = tmp_path_factory.mktemp("documents")
    policy = DOCUMENTS["policy"].replace("limits:", PROOFS + "limits:")
    for name, text in {**DOCUMENTS, "policy": policy, "directory": _directory()}.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture(name="key")
def _key(idle: House) -> str:
    """Ben's key, in a file."""
    return idle.key("ben")


def test_a_decision_is_signed_with_a_key(strict: House, key: str) -> None:
    """What is signed, and for which place, is shown; receipt and ledger say what it rests on."""
    strict.pending("keyed")
    done = strict.run("approve", "keyed", "--key", key, "--yes", "--because", "fine")
    assert done.code == exits.OK, done.err
    for line in ("signed by      ben, by key ben-1", "valid at       countersign/cli", "assurance: aal1"):
        assert line in done.out
    assert "assurance: proved (a decision counts by a signature or a login" in done.out
    assert re.search(r"ben: approve in stage 1 by\s+update, shown by key ben-1", strict.run("show", "keyed").out)
    assert str(BEN.key.as_dict(private=True)["d"]) not in json.dumps(strict.run("status", "keyed").json)


def test_a_setting_signs_like_an_option(strict: House, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the key in a variable every command signs, a revocation like a vote; an option wins over it."""
    strict.pending("by-setting")
    monkeypatch.setenv("COUNTERSIGN_SIGNING_KEY_FILE", key)
    assert (
        "the name eva, which nobody proves, shows claimed at most" in strict.decide("approve", "by-setting", "eva").err
    )
    assert strict.run("acknowledge", "by-setting", "--yes").code == exits.OK
    revoked = strict.run("revoke", "by-setting", "--because", "wrong", "--yes")
    assert (revoked.code, "signed by      ben, by key ben-1" in revoked.out) == (exits.OK, True), revoked.err


def test_a_name_is_not_sent_where_it_does_not_count(strict: House) -> None:
    """Whoever claims is told how to sign, and nothing reaches the workflow."""
    strict.pending("named")
    done = strict.decide("approve", "named", "ben")
    assert done.code == exits.FAILED
    assert "this vote needs a proof of aal1" in done.err
    denied = strict.decide("deny", "named", "ben", "--because", "no")
    assert "a name alone does not count here (ben): sign with --key FILE, --ssh FILE or --oidc ISSUER" in denied.err
    assert strict.run("status", "named").json["receipts"] == {}


def test_what_a_stage_wants_is_known_before(strict: House, key: str) -> None:
    """`explain` says which proof each stage wants, and who cannot show it is told before anybody signs."""
    strict.pending("wanting")
    explained = strict.run("explain", "wanting").out
    assert "- stage 1 (dba): approve and release need a proof of aal1" in explained
    wanted = "a proof of aal2 and an authentication at most 5m old"
    assert f"- stage 2 (owners): approve and release need {wanted}" in explained
    assert strict.run("approve", "wanting", "--key", key, "--yes").code == exits.OK
    weak = strict.run("approve", "wanting", "--ssh", str(ssh_key("eva")[0]), "--yes")
    assert weak.code == exits.FAILED
    assert f"this vote needs {wanted}: sign with --ssh FILE with a security key" in weak.err
    assert "shows aal1 at most" in weak.err


def test_what_a_person_proposes_is_signed_with_an_ssh_key(strict: House) -> None:
    """Who has nothing but an SSH key in the directory proposes all the same, and nobody does it in their name."""
    value = {**proposal("by-ssh"), "agent": {"id": AGENT}, "on_behalf_of": "eva"}
    unsigned = strict.run("propose", strict.file(value), "--wait")
    assert (unsigned.code, "unsigned" in unsigned.out) == (exits.REFUSED, True), unsigned.out
    stranger = strict.run("propose", strict.file(value), "--ssh", str(ssh_key("stranger")[0]))
    assert (stranger.code, "is nobody's in the directory" in stranger.err) == (exits.FAILED, True), stranger.err
    signed = strict.run("propose", strict.file(value), "--ssh", str(ssh_key("eva")[0]))
    assert signed.code == exits.OK, signed.err
    strict.until("by-ssh", lambda status: status["action_digest"] is not None)
    assert "eva-ssh" in strict.run("show", "by-ssh").out


@pytest.mark.parametrize("by", ["file", "agent"])
def test_an_ssh_key_signs_by_its_file_or_by_an_agent(strict: House, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSH signs: with the private file, or with an agent's key that the public half names."""
    proposal_id = f"ssh-{by}"
    strict.pending(proposal_id)
    private = ssh_key("eva")[0]
    given = (proposal_id, "--deny", "--because", "no", "--stage", "2", "--yes")
    if by == "file":
        signed = strict.run("sign", *given, "--ssh", str(private))
    else:
        with _agent(monkeypatch, private):
            signed = strict.run("sign", *given, "--ssh", f"{private}.pub")
    assert signed.code == exits.OK, signed.err
    assert signed.json["proof"]["kind"] == "ssh"
    assert "signed by      eva, by ssh key" in signed.err


class _agent:  # noqa: N801 - read as a word where it is used
    """An SSH agent that has a key, inside of the block."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, key: Path) -> None:
        self._monkeypatch, self._key = monkeypatch, key

    def __enter__(self) -> None:
        told = subprocess.run(["ssh-agent", "-s"], check=True, capture_output=True, text=True).stdout
        self._pid = re.findall(r"SSH_AGENT_PID=(\d+)", told)[0]
        self._monkeypatch.setenv("SSH_AUTH_SOCK", re.findall(r"SSH_AUTH_SOCK=([^;]+)", told)[0])
        subprocess.run(["ssh-add", "-q", str(self._key)], check=True, capture_output=True)

    def __exit__(self, *_: object) -> None:
        os.kill(int(self._pid), 15)


async def _sent(*submissions: Any) -> list[Any]:
    """The answers of the workflow, as any client gets them."""
    client = await find_place().client()
    handle = client.get_workflow_handle(f"action/{submissions[0]['proposal_id']}")
    return [await handle.execute_update("decide", item) for item in submissions]


def test_signed_json_is_pasted_and_counts_once(strict: House, key: str) -> None:
    """`sign` prints the JSON alone; any client sends it, as signal or update, as often as it likes."""
    strict.pending("pasted")
    signed = strict.run("sign", "pasted", "--approve", "--key", key, "--yes")
    submission = json.loads(signed.out)
    assert "What will happen" in signed.err
    first, again, bent = asyncio.run(_sent(submission, submission, {**submission, "vote": "deny", "decision_id": "x"}))
    assert (first["counted"], first["assurance"], again) == (True, "aal1", first)
    assert bent["code"] == "bad_proof"


def test_what_the_record_does_not_bear_out_is_not_signed(strict: House) -> None:
    """Each digest is computed again: of the proposal, of the assessment in the ledger, and of the screen."""
    strict.pending("doubted")
    case = asyncio.run(look(find_place(), "doubted"))
    assert case.dossier is not None
    file = case.dossier.file
    assert case.dossier.doubts() == []
    swapped = file.received.model_copy(update={"body": file.received.body.replace(b"work_mem", b"fsync")})
    assert file.kept is not None
    for changed, why in (
        (replace(file, received=swapped), "proposal: has another digest"),
        (replace(file, assessment_digest="sha256:" + "0" * 64), "assessment: its ledger entry has another digest"),
        (replace(file, kept=file.kept.model_copy(update={"body": b"{}"})), "screen: has another digest"),
    ):
        assert any(item.startswith(why) for item in replace(case.dossier, file=changed).doubts()), why


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--key", "/nowhere.jwk"), "key file /nowhere.jwk cannot be read: No such file"),
        (("--ssh", "/nowhere"), "ssh key /nowhere cannot be read: no such file"),
        (("--oidc", "https://else.example"), "is not believed by the directory in force, which names none"),
        (("--key", "STRANGER"), "key ben-1 of ben in the directory is another key than this file has"),
        (("--key", "NOBODY"), "key nobody-1 is nobody's in the directory in force"),
        (("--ssh", "SSH"), "is nobody's in the directory in force: have it added (`countersign keys add`)"),
    ],
)
def test_what_cannot_count_is_said_before_it_is_signed(
    house: House, tmp_path: Path, arguments: tuple[str, str], message: str
) -> None:
    """A wrong file, a key of somebody else, a key that the directory does not know: named, with what to do."""
    if "unsignable" not in [row["id"] for row in house.run("list", "--json").json]:
        house.propose("unsignable")
        house.until("unsignable", lambda status: status["state"] == "pending")
    files = {"STRANGER": generate("ben-1"), "NOBODY": generate("nobody-1")}
    option, given = arguments
    if given in files:
        path = tmp_path / "key.jwk"
        path.write_text(files[given].private_json)
        path.chmod(0o600)
        given = str(path)
    given = str(ssh_key("stranger")[0]) if given == "SSH" else given
    done = house.run("approve", "unsignable", option, given, "--yes")
    assert (done.code, message in done.err) == (exits.FAILED, True), done.err


def test_without_a_record_nobody_signs(strict: House, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place that a signature is for, and what is signed, are on record only."""
    strict.pending("blind")
    monkeypatch.delenv("COUNTERSIGN_DATABASE_URL")
    monkeypatch.delenv("COUNTERSIGN_ADMIN_DATABASE_URL")
    done = strict.run("sign", "blind", "--approve", "--key", key, "--yes")
    assert (done.code, done.out) == (exits.FAILED, "")
    assert "what is signed names the installation, which its directory says" in done.err


def test_a_person_is_asked_at_the_terminal_and_the_output_stays_json(strict: House, key: str, tmp_path: Path) -> None:
    """The screen and the question are on the terminal, while standard output, to a file, has the JSON alone."""
    strict.pending("at-terminal")
    out = tmp_path / "signed.json"
    controller, terminal = pty.openpty()
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "starter.py"), "sign", "at-terminal", "--approve", "--key", key],
            stdin=terminal,
            stdout=file,
            stderr=terminal,
        )
    os.close(terminal)
    os.write(controller, b"approve\n")
    assert process.wait(BOUND_SECONDS) == exits.OK
    shown = os.read(controller, 1 << 20).decode()
    os.close(controller)
    assert "sign approve as ben, by key ben-1?" in shown
    assert json.loads(out.read_text())["proof"]["kind"] == "key"
    assert str(BEN.key.as_dict(private=True)["d"]) not in out.read_text()
