"""Step-up at a terminal: a person who signs in at a real identity provider, once, and again where that was too weak."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import exits
from tests.integration.terminal import BOUND_SECONDS, DOCUMENTS, ROOT, House
from tests.provider import CLIENT, Browser, IdentityProvider, identity_provider

PROOFS = "proofs:\n  - {assurance: aal2, max_age: 5m, stages: [dba]}\n"
ADDRESS = re.compile(r"to sign in, open (\S+)")


@pytest.fixture(name="provider", scope="module")
def _provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture(name="documents", scope="module")
def _documents(tmp_path_factory: pytest.TempPathFactory, provider: IdentityProvider) -> Path:
    """The documents of the terminal: the first stage wants a new and strong login, at this provider."""
    folder = tmp_path_factory.mktemp("documents")
    issuer = {"issuer": provider.issuer, "client_ids": [CLIENT], "prefix": "sso:"}
    told = f"issuers: [{json.dumps(issuer)}]\npeople:\n"
    known = DOCUMENTS["directory"].replace("people:\n", told)
    people = known.replace("{id: ben,", "{id: ben, aliases: [sso:ben],")
    policy = DOCUMENTS["policy"].replace("limits:", PROOFS + "limits:")
    for name, text in {**DOCUMENTS, "policy": policy, "directory": people}.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def _at_a_terminal(*arguments: str, browsers: tuple[Browser, ...], typed: str = "") -> tuple[int, str]:
    """Run a command at a terminal, with a browser for each time that somebody is to sign in; its code and output."""
    controller, terminal = pty.openpty()
    command = [sys.executable, str(ROOT / "starter.py"), *arguments]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    os.write(controller, typed.encode())
    heard, waiting, deadline = b"", list(browsers), time.monotonic() + BOUND_SECONDS
    while time.monotonic() < deadline:
        try:
            heard += os.read(controller, 1 << 16)
        except OSError:
            break
        said = heard.decode("utf-8", "replace")
        addresses = ADDRESS.findall(said.replace("\r\n", "\n"))
        done = len(browsers) - len(waiting)
        if len(addresses) > done and said.rstrip().endswith(addresses[done]):
            threading.Thread(target=waiting.pop(0).visit, args=(addresses[done],), daemon=True).start()
    code = process.wait(BOUND_SECONDS)
    os.close(controller)
    said = heard.decode()
    assert not waiting, said
    return code, said


def test_a_login_that_is_new_and_strong_counts_at_once(strict: House, provider: IdentityProvider) -> None:
    """The provider is asked for what the stage wants, and what it says is in the receipt and in the ledger."""
    strict.pending("step-up")
    browser = Browser("ben")
    code, said = _at_a_terminal("approve", "step-up", "--oidc", provider.issuer, browsers=(browser,), typed="approve\n")
    assert code == exits.OK, said
    assert "it needs       a proof of aal2 and an authentication at most 5m old" in said
    assert "assurance: aal2" in said
    assert f"shown by a login at {provider.issuer}" in " ".join(strict.run("show", "step-up").out.split())


def test_a_weak_login_is_asked_for_again_with_a_new_decision(strict: House, provider: IdentityProvider) -> None:
    """The receipt says what is wanted; another login makes another decision, and that one counts."""
    strict.pending("again")
    weak, strong = Browser("ben", amr=("pwd",)), Browser("ben")
    code, said = _at_a_terminal(
        "approve", "again", "--oidc", provider.issuer, browsers=(weak, strong), typed="approve\nyes\n"
    )
    assert code == exits.OK, said
    assert "refused (assurance_too_low): this vote needs aal2, its proof shows aal1" in said
    assert "sign in again for a new decision" in said
    receipts = strict.run("status", "again").json["receipts"]
    assert [receipt["counted"] for receipt in receipts.values()] == [False, True]


def test_a_key_steps_up_to_the_login_that_is_set(
    strict: House, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key for every day and a login for what is critical nobody says which: the stage does."""
    monkeypatch.setenv("COUNTERSIGN_SIGNING_KEY_FILE", strict.key("ben"))
    monkeypatch.setenv("COUNTERSIGN_OIDC_ISSUER", provider.issuer)
    strict.pending("both")
    assert strict.run("acknowledge", "both", "--yes").code == exits.OK
    code, said = _at_a_terminal("approve", "both", browsers=(Browser("ben"),), typed="approve\n")
    assert (code, "assurance: aal2" in said) == (exits.OK, True), said
    assert "shown by key ben-1" in " ".join(strict.run("show", "both").out.split())


def test_who_does_not_sign_in_again_is_told_what_is_needed(strict: House, provider: IdentityProvider) -> None:
    """A no is a no: the refusal stands, with what would have counted."""
    strict.pending("no-more")
    weak = Browser("ben", amr=("pwd",))
    code, said = _at_a_terminal(
        "approve", "no-more", "--oidc", provider.issuer, browsers=(weak,), typed="approve\nno\n"
    )
    assert code == exits.REFUSED, said
    assert (
        f"this vote needs a proof of aal2 and an authentication at most 5m old: sign with --oidc {provider.issuer}"
        in said
    )
