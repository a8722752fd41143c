"""Edits of what was signed, in a ledger whose chain was written anew: each is found and named."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from activities.auditing import audit
from policy.canonical import canonical
from signing.keys import generate
from signing.permits import PermitKeys, sign_permit, verify_permit
from tests.unit.tampering import Doc, chain_again, entries, load, position
from worker import workflow_runner

OTHER = generate("permit-of-somebody-else")


def _signed(doc: Doc, change: Callable[[Doc], None]) -> None:
    """Change what the entry keeps of the signatures, and write the chain anew."""
    values = entries(doc)
    change(values[position(doc, "dispatched")]["content"]["signed"])
    chain_again(doc, values)


def _claims(change: Callable[[dict[str, Any]], Any]) -> Callable[[Doc], None]:
    """Other claims, signed again by somebody with another key, who puts that key in the place of ours."""

    def edit(kept: Doc) -> None:
        keys = PermitKeys.read_value({"keys": [kept["key"]]})
        said = [verify_permit(token, keys) for token in kept["jws"]]
        for item in said:
            change(item)
        kept["jws"] = [sign_permit(item, OTHER) for item in said]
        kept["key"] = {**OTHER.public, "kid": OTHER.id}

    return edit


def _payload(kept: Doc) -> None:
    """Other claims under the signature of ours."""
    header, payload, signature = kept["jws"][0].split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    text = base64.urlsafe_b64encode(canonical({**claims, "operation": "postgres.parameter.reset"}))
    kept["jws"][0] = f"{header}.{text.rstrip(b'=').decode()}.{signature}"


CASES: dict[str, tuple[str, Callable[[Doc], None]]] = {
    "the payload of a signature": ("does not verify with key", _payload),
    "the key that is kept": (
        "does not hold",
        lambda kept: kept.update(key={**OTHER.public, "kid": kept["key"]["kid"]}),
    ),
    "the id of that key": ("signed by", lambda kept: kept["key"].update(kid="another")),
    "the permits swapped": ("signed permit", lambda kept: kept["jws"].reverse()),
    "one of them left out": ("2 permits were issued and 1 are signed", lambda kept: kept["jws"].pop()),
    "whom they are for": ("aud", _claims(lambda claims: claims.update(aud="unnamed/another"))),
    "who issued them": ("iss", _claims(lambda claims: claims.update(iss="another"))),
    "until when they hold": ("exp", _claims(lambda claims: claims.update(exp=4102444800))),
    "what they let be done": ("parameters", _claims(lambda claims: claims.update(parameters={"name": "fsync"}))),
    "to which ids": ("resolved", _claims(lambda claims: claims.update(resolved=["postgres/other"]))),
    "how risky it was": ("risk_tier", _claims(lambda claims: claims.update(risk_tier="low"))),
    "what they rest on": ("assurance", _claims(lambda claims: claims.update(assurance="aal3"))),
    "an approval left out": ("approvals", _claims(lambda claims: claims["approvals"].pop())),
    "an approval that nobody gave": (
        "approvals",
        _claims(lambda claims: claims["approvals"][0].update(proof={"kind": "claimed", "identity": "erin"})),
    ),
    "that people were asked": ("resolution", _claims(lambda claims: claims["resolution"].update(verdict="allow"))),
}


@pytest.mark.parametrize(("named", "change"), CASES.values(), ids=CASES)
async def test_what_was_signed_is_computed_again(named: str, change: Callable[[Doc], None]) -> None:
    """Each claim follows from the record before it, and each signature from the key that is kept with it."""
    doc = load("permits-signed")
    _signed(doc, change)

    found = (await audit(json.dumps(doc).encode(), workflow_runner())).findings

    assert any(named in finding.what for finding in found), [str(finding) for finding in found]


async def test_who_asked_is_taken_as_recorded() -> None:
    """The run is a fact that nothing else in the ledger says; whoever can sign can write another."""
    doc = load("permits-signed")
    _signed(doc, _claims(lambda claims: claims.update(run_id="another")))

    assert (await audit(json.dumps(doc).encode(), workflow_runner())).findings == ()


async def test_permits_of_before_are_not_looked_for() -> None:
    """A ledger of a release that signed nothing is consistent as it is."""
    doc = load("two-stages")

    assert all("signed" not in entry["content"] for entry in entries(doc))
    assert (await audit(json.dumps(doc).encode(), workflow_runner())).findings == ()
