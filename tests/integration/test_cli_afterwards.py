"""What people do after the end of an action, from the command line, against a real stack."""

from cli import exits
from tests.integration.terminal import House, proposal


def _failed(house: House, name: str) -> None:
    """An action that failed its criterion and has no undo."""
    body = proposal(name)
    body["steps"][0]["undo"] = None
    body["success_criteria"][0] |= {"equals": "1GB", "within_seconds": 0}
    assert house.run("propose", house.file(body)).code == exits.OK
    house.until(name, lambda status: status["state"] == "pending")
    house.decide("approve", name, "ben")
    house.decide("approve", name, "eva")
    done = house.until(name, lambda status: status["result"] is not None)
    assert done["result"]["outcome"] == "compensation_failed", done["result"]


def _audited(house: House, *export: str) -> None:
    """What is exported holds together."""
    file = str(house.folder / f"{export[0]}.audit.json")
    assert house.run(*export, "-o", file).code == exits.OK
    audited = house.run("audit", "replay", file)
    assert audited.code == exits.OK, audited.out


def test_what_is_unresolved_is_listed_resolved_and_amended(house: House) -> None:
    """It is in the lists until somebody says what they found; then nothing is held, and its outcome can be amended."""
    _failed(house, "left-1")
    listed, held = house.run("unresolved").out, house.run("holds").out
    assert ("left-1" in listed, "compensation_failed" in listed, "countersign resolve left-1" in held) == (
        True,
        True,
        True,
    )
    own = house.run("resolve", "left-1", "--found", "done", "--because", "I like it", "--as", "ana")
    assert (own.code, "self_approval" in own.out) == (exits.REFUSED, True), own.out
    said = house.run("resolve", "left-1", "--found", "undone", "--because", "set it back", "--as", "eva", "--json")
    assert (said.code, said.json["resolution"]) == (exits.OK, "approved"), said.err
    assert house.run("unresolved").out.strip() == "nothing is unresolved"
    assert house.run("holds").out.strip() == "no target is under hold"
    again = house.run("resolve", "left-1", "--found", "done", "--because", "no", "--as", "eva")
    assert (again.code, "is known: undone" in again.err) == (exits.FAILED, True)
    shown = house.run("show", "left-1").out
    assert "known now: compensated" in shown
    assert "eva found undone" in shown
    traced = ("--outcome", "caused_incident", "--incident", "INC-9", "--because", "the postmortem")
    assert house.run("amend", "left-1", *traced, "--as", "ana").code == exits.REFUSED
    assert house.run("amend", "left-1", *traced, "--as", "ben").code == exits.OK
    assert "known now: caused_incident" in house.run("show", "left-1").out
    assert "INC-9" in house.run("show", "left-1").out
    found = house.run("outcomes", "--by", "agent", "--json").json
    assert [(one["name"], one["score"], one["failure_rate"]) for one in found] == [("tuning-agent", 0, 1.0)]
    assert "change score" in house.run("outcomes").out
    _audited(house, "audit", "export", "left-1")


def test_what_was_done_outside_is_evidence_and_authorizes_nothing(house: House) -> None:
    """It is signed, listed and audited; without a key nobody can sign it, and it releases nothing."""
    what = ("outside", "record", "--target", "resource:orders-db", "--what", "restarted it", "--by", "ana")
    when = ("--began", "2026-01-02T03:04:05Z", "--because", "temporal was down", "--reference", "CHG-1")
    signed = house.run(*what, *when, "--key", house.key("ben"))
    assert signed.code == exits.OK, signed.err
    nobody = house.run(*what, *when, "--as", "mallory")
    assert (nobody.code, "unknown_person" in nobody.out) == (exits.REFUSED, True), nobody.out
    later = house.run(*what, "--began", "2999-01-01T00:00:00Z", "--because", "x", "--as", "ben")
    assert (later.code, "not_yet_valid" in later.out) == (exits.REFUSED, True)
    wrong = house.run(*what, "--began", "yesterday", "--because", "x", "--as", "ben")
    assert wrong.code == exits.FAILED
    (stated,) = house.run("outside", "list", "--json").json
    assert (stated["what"], stated["done by"], stated["see"]) == ("restarted it", "ana", "CHG-1")
    assert stated["stated by"].startswith("ben at ")
    _audited(house, "outside", "export")
