"""Ceremonies, signed delegations and the audit of publications from the command line."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import yaml

from cli import audit_governance, exits, policy_publish
from cli.place import place_of
from policy.base import instant_text
from signing.delegations import read_proved_directory
from tests.integration.terminal import DOCUMENTS, House


def _marked(text: str) -> str:
    """A catalog of its own, which says the same."""
    return f"{DOCUMENTS['catalog']}# {text}\n"


def _file(folder: Path, text: str, name: str = "catalog.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_ceremony_needs_what_two_people_signed(idle: House, tmp_path: Path) -> None:
    """Without, with one, with a changed document, and a second time it puts nothing in force; with two it does."""
    part = _file(tmp_path, _marked("signed"))
    publish = ("policy", "publish", "--ceremony", str(part))
    first, second = idle.signatures(part)
    refused = {
        "nobody signed it": idle.run(*publish),
        "it is signed by ana": idle.run(*publish, "--signed", first),
        "what would come in force": idle.run(
            *("policy", "publish", "--ceremony", str(_file(tmp_path, _marked("other"), "other.yaml"))),
            *("--signed", first, second),
        ),
    }
    assert [(said in ran.err, ran.code) for said, ran in refused.items()] == [(True, exits.FAILED)] * 3
    held = idle.run(*publish, "--signed", first, second)
    assert held.code == exits.OK, held.err
    assert idle.run("policy", "show", "--kind", "catalog").out.endswith("# signed\n")
    back = _file(tmp_path, DOCUMENTS["catalog"], "back.yaml")
    assert idle.publish(back).code == exits.OK
    again = idle.run(*publish, "--signed", first, second)
    assert (again.code, "was held before" in again.err) == (exits.FAILED, True)


def test_the_second_signs_what_the_first_signed(idle: House, tmp_path: Path) -> None:
    """What is signed is shown and computed from the documents: a file about others is refused, and so is a stranger."""
    part, other = _file(tmp_path, _marked("one")), _file(tmp_path, _marked("two"), "other.yaml")
    (first,) = idle.signatures(part, signers=("ana",))
    key = str(tmp_path / "ana.jwk")
    elsewhere = idle.run("policy", "ceremony", str(other), "--with", first, "--key", key)
    assert (elsewhere.code, "is about something else" in elsewhere.err) == (exits.FAILED, True)
    shown = idle.run("policy", "ceremony", str(part), "--with", first, "--key", key)
    assert "ceremony for countersign/cli: the tests need it" in shown.err
    assert "signed by ana with key ana-1" in shown.err
    stranger = idle.run("policy", "ceremony", str(part), "--with", first, "--key", key, "--key-id", "nobody")
    assert (stranger.code, "key nobody is nobody's" in stranger.err) == (exits.FAILED, True)
    unsaid = idle.run("policy", "ceremony", str(part), "--key", key)
    assert (unsaid.code, "nobody says why" in unsaid.err) == (exits.FAILED, True)


def test_documents_that_nobody_could_change_are_not_signed(tmp_path: Path, idle: House) -> None:
    """A root policy that asks for two factors where people have keys would lock the place."""
    idle.signatures(_file(tmp_path, _marked("keys")), signers=("ana",))
    strict = _file(tmp_path, DOCUMENTS["policy"].replace("rules:", "proofs: [{assurance: aal3}]\nrules:", 1), "p.yaml")
    ran = idle.run("policy", "ceremony", str(strict), "--because", "more", "--key", str(tmp_path / "ana.jwk"))
    assert (ran.code, "proof_unmeetable" in ran.err, "nothing was signed" in ran.err) == (exits.FAILED, True, True)


def test_the_audit_finds_what_nobody_signed(idle: House, tmp_path: Path) -> None:
    """A ceremony is named with its publications; what the owner inserted is a finding, and the command ends with 5."""
    assert idle.publish(_file(tmp_path, _marked("audited"))).code == exits.OK
    before = idle.run("audit", "governance", "--json").json
    assert before["publications"][-1]["ceremony"] is not None

    async def insert() -> None:
        connection = await asyncpg.connect(idle.stack.database_url("postgres"))
        await connection.execute(
            "INSERT INTO countersign.publication (kind, digest, published_at, published_by)"
            " SELECT kind, digest, now(), 'root' FROM countersign.publication WHERE kind = 'catalog' LIMIT 1"
        )
        await connection.close()

    asyncio.run(insert())
    found = idle.run("audit", "governance")
    assert found.code == exits.INCONSISTENT
    assert "INCONSISTENT" in found.out
    after = idle.run("audit", "governance", "--json").json
    new = [item for item in after["findings"] if item not in before["findings"]]
    assert [item["what"].partition(":")[0] for item in new] == ["unsigned publication"]
    assert " by root at " in new[0]["what"]


def test_a_delegation_is_signed_by_whom_it_speaks_for(idle: House, tmp_path: Path) -> None:
    """The printed entry counts in the directory as it is: the delegator is whose key it is, and nobody's makes none."""
    idle.signatures(_file(tmp_path, _marked("keys")))
    until = instant_text(datetime.now(UTC) + timedelta(days=3))
    given = ("delegate", "ben", "--until", until, "--reason", "on leave", "--groups", "dba")
    signed = idle.run(*given, "--key", str(tmp_path / "ana.jwk"))
    assert signed.code == exits.OK, signed.err
    (entry,) = yaml.safe_load(signed.out)
    assert (entry["delegator"], entry["delegate"], entry["groups"]) == ("ana", "ben", ["dba"])
    directory = read_proved_directory((DOCUMENTS["directory"] + "delegations:\n" + signed.out).encode())
    assert str(directory.shown(directory.delegations[0])) == "aal1"
    stranger = idle.run(*given, "--key", str(tmp_path / "ana.jwk"), "--key-id", "nobody")
    assert (stranger.code, "key nobody is nobody's in the directory" in stranger.err) == (exits.FAILED, True)


def test_the_development_stack_needs_no_signature_and_says_so(
    idle: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs it is the root; the audit finds it all the same, and says why it is expected there."""
    for module in (policy_publish, audit_governance):
        monkeypatch.setattr(module, "find_place", lambda: place_of(idle.stack))
    published = idle.run("policy", "publish", str(_file(tmp_path, _marked("unsigned"))))
    assert published.code == exits.OK, published.err
    assert "unsigned: on the development stack whoever runs it is the root" in published.out
    audited = idle.run("audit", "governance")
    assert audited.code == exits.INCONSISTENT
    assert "unsigned publications are expected here" in audited.out
