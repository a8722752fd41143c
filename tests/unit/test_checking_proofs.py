"""`policy check` and `policy diff` on proofs: what nobody could show, what asks nothing, and what changed."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from policy.checks.checking import check
from policy.checks.policy_diff import diff
from policy.document import read_policy
from policy.people.directory import Directory, read_directory
from signing.keys import generate

NOW = datetime(2030, 1, 15, 12, tzinfo=UTC)
CODES = {"proof_unmeetable", "no_audience", "proof_asks_nothing", "unknown_stage", "unknown_environment"}
KEYS = [generate("x").public for _ in range(3)]
SK = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t"
SK += "AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo="
ISSUER = {"issuer": "https://login.example", "client_ids": ["cli"], "prefix": "sso:", "acr": {"phr": "aal3"}}


def _directory(*, audience: bool = True, issuers: bool = False, sk: bool = False) -> Directory:
    people: list[dict[str, Any]] = [
        {"id": "ann", "groups": ["ops"], "keys": [{"id": "ann-1", "jwk": KEYS[0]}]},
        {"id": "ben", "groups": ["ops"], "keys": [{"id": "ben-1", "jwk": KEYS[1]}]},
        {"id": "old", "groups": ["ops"], "keys": [{"id": "o", "jwk": KEYS[2], "revoked_at": "2029-01-01T00:00:00Z"}]},
    ]
    if sk:
        people[0]["keys"].append({"id": "ann-sk", "ssh": SK})
    if issuers:
        people[0]["aliases"] = ["sso:ann"]
    value = {
        "apiVersion": "countersign/v1",
        "kind": "Directory",
        "metadata": {"name": "people", "version": "1"},
        "people": people,
        **({"audience": "countersign/test"} if audience else {}),
        **({"issuers": [ISSUER]} if issuers else {}),
    }
    return read_directory(json.dumps(value).encode())


def _policy(*, stage: str = "", rules: str = "", count: int = 1, more: str = "") -> bytes:
    return f"""apiVersion: countersign/v1
kind: PolicyDocument
metadata: {{name: house, version: "1", controls: [cm-3]}}
proofs: [{rules}]
rules:
  - {{id: asks, match: {{operations: [pg.set]}}, verdict: require_approval, chain: one}}
chains:
  one:
    stages: [{{name: ops, requirements: [{{groups: [ops], count: {count}}}], deadline: 1h, proofs: [{stage}]{more}}}]
""".encode()


AAL1, AAL2 = "{assurance: aal1}", "{assurance: aal2}"
FOUND: dict[str, tuple[bytes, Directory, list[str]]] = {
    "nothing is asked": (_policy(), _directory(audience=False), []),
    "keys are enough": (_policy(stage=AAL1, count=2), _directory(), []),
    "a key that was revoked shows nothing": (
        _policy(stage=AAL1, count=3),
        _directory(),
        ["error proof_unmeetable: stage ops lacks 1 of ops who can show a proof of aal1"],
    ),
    "keys show aal1": (
        _policy(stage=AAL2),
        _directory(),
        ["error proof_unmeetable: stage ops lacks 1 of ops who can show a proof of aal2: register keys or an issuer"],
    ),
    "keys show no time": (
        _policy(stage="{assurance: aal1, max_age: 5m}"),
        _directory(),
        ["who can show a proof of aal1 and an authentication at most 5m old"],
    ),
    "a security key shows both": (_policy(stage="{assurance: aal2, max_age: 5m}"), _directory(sk=True), []),
    "a login shows what is believed of it": (_policy(stage="{assurance: aal3}"), _directory(issuers=True), []),
    "it is only whose account is known": (
        _policy(stage=AAL2, count=2),
        _directory(issuers=True),
        ["error proof_unmeetable: stage ops lacks 1 of ops"],
    ),
    "a rule for every action": (_policy(rules=AAL2), _directory(), ["4:10 error proof_unmeetable: stage ops lacks"]),
    "a rule for some tiers": (
        _policy(rules="{assurance: aal2, tiers: [critical]}"),
        _directory(),
        ["4:10 warning proof_unmeetable: stage ops lacks 1 of ops"],
    ),
    "a rule for another stage": (
        _policy(rules="{assurance: aal2, stages: [dba]}"),
        _directory(),
        ["4:37 warning unknown_stage: stage dba is in no chain"],
    ),
    "denials": (
        _policy(stage="{assurance: aal1, votes: [deny]}", more=", deny_threshold: 3"),
        _directory(),
        ["error proof_unmeetable: stage ops is denied by 3 people and has 2 who can show a proof of aal1"],
    ),
    "a release": (
        _policy(stage="{assurance: aal2, votes: [release]}", more=", on_expiry: hold"),
        _directory(),
        ["error proof_unmeetable: stage ops has nobody to release it who can show a proof of aal2"],
    ),
    "no audience": (_policy(stage=AAL1), _directory(audience=False), ["error no_audience: the directory names no"]),
    "a bare name": (
        _policy(stage="{assurance: claimed}"),
        _directory(),
        ["warning proof_asks_nothing: a proof of claimed is met by any name"],
    ),
}


@pytest.mark.parametrize(("body", "directory", "wanted"), FOUND.values(), ids=FOUND)
def test_what_is_found_of_proofs(body: bytes, directory: Directory, wanted: list[str]) -> None:
    """Each finding stands at its place and says what to do; nothing else is found."""
    found = [str(item) for item in check("policy", body, now=NOW, directory=directory) if item.code in CODES]
    assert len(found) == len(wanted), found
    for item, part in zip(found, wanted, strict=True):
        assert part in item


CHANGED: dict[str, tuple[bytes, bytes, list[str]]] = {
    "a rule more": (
        _policy(),
        _policy(rules="{assurance: aal2, max_age: 5m, tiers: [critical]}"),
        ["none -> critical: approve and release need a proof of aal2 and an authentication at most 5m old (stricter)"],
    ),
    "a rule less": (
        _policy(rules="{assurance: aal2, votes: [deny], environments: [production], stages: [ops]}"),
        _policy(),
        ["in production in stage ops: deny needs a proof of aal2 -> none (milder)"],
    ),
    "a demand of a stage": (
        _policy(stage=AAL1),
        _policy(stage=AAL2),
        ["release need a proof of aal1) -> 1 of ops (within 1h, then deny; denied by 1; approve and release need a"],
    ),
    "the same": (_policy(stage=AAL1, rules=AAL2), _policy(stage=AAL1, rules=AAL2), []),
}


@pytest.mark.parametrize(("old", "new", "wanted"), CHANGED.values(), ids=CHANGED)
def test_a_changed_demand_is_said(old: bytes, new: bytes, wanted: list[str]) -> None:
    """Before and after are in words, and more is stricter."""
    found = [str(item) for item in diff(read_policy(old), read_policy(new), now=NOW).changes]
    assert len(found) == len(wanted), found
    for item, part in zip(found, wanted, strict=True):
        assert part in item
