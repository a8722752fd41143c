"""Receiving a proposal: what is refused, and that the view follows from the digest alone."""

import json
from typing import Any

import pytest

from policy.canonical import canonical
from policy.errors import ProposalError
from policy.proposal import ActionProposal, effect_digest, receive
from tests.unit.builders import a_proposal, proposal_json, step_json

REFUSED: dict[str, tuple[Any, str]] = {
    "not an object": ([], "<root>: input should be an object"),
    "no json": ({"a": (1,)}, "type tuple is not json"),
    "an unknown field": (proposal_json(undo_everything=True), "undo_everything: extra inputs are not permitted"),
    "an unknown field with control characters": (
        proposal_json(**{"\x1b[31m": 1}),
        r"'\\x1b\[31m': extra inputs",
    ),
    "an unknown field further in": (proposal_json(agent={"id": "tuner", "admin": True}), "agent.admin: extra"),
    "a missing field": (proposal_json(target=None), "target: field required"),
    "another version": (proposal_json(api_version="countersign/v2"), "api_version: input should be 'countersign/v1'"),
    "an id with a slash": (proposal_json(proposal_id="a/b"), r"proposal_id: string should match pattern '\^\[A-Z"),
    "an id with a line end": (proposal_json(proposal_id="a\n"), "proposal_id: string should match"),
    "an id too long": (proposal_json(proposal_id="a" * 101), "proposal_id"),
    "an operation without a dot": (proposal_json(operation="drop"), "operation: string should match"),
    "no step": (proposal_json(steps=[]), "steps: .* at least 1 item"),
    "no criterion": (proposal_json(success_criteria=[]), "success_criteria: .* at least 1 item"),
    "a headline that is no step": (proposal_json(operation="pg.look"), "operation pg.look is not the operation of any"),
    "two steps of one name": (proposal_json(steps=[step_json(), step_json()]), "two steps have the same name"),
    "a timeout in text": (proposal_json(steps=[step_json(timeout_seconds="60")]), "valid integer"),
    "a timeout of true": (proposal_json(steps=[step_json(timeout_seconds=True)]), "valid integer"),
    "a confidence beyond one": (proposal_json(agent={"id": "tuner", "confidence": 1.1}), "less than or equal to 1"),
    "a confidence of true": (proposal_json(agent={"id": "tuner", "confidence": True}), "valid number"),
    "an unknown verb": (proposal_json(on_stop="ignore"), "on_stop: input should be 'compensate' or 'ask'"),
    "a number beyond 2^53": (proposal_json(rationale=2**53), "beyond 2"),
    "a lone surrogate": (proposal_json(rationale="\ud800"), r"U\+D800"),
    "too large": (proposal_json(steps=[step_json(parameters={"value": "x" * 300_000})]), "at most 262144 are read"),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(value: Any, message: str) -> None:
    """What is no proposal is refused with the field and what was expected, on one short printable line."""
    with pytest.raises(ProposalError, match=f"malformed proposal: .*{message}") as raised:
        receive(value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 350


def test_digest_is_of_what_was_received() -> None:
    """The action digest covers every received field, and the bytes are kept."""
    value = proposal_json()
    received = receive(value)
    assert received.body == canonical(value)
    assert received.action_digest != receive({**value, "rationale": "less"}).action_digest
    assert received.action_digest == receive(json.loads(json.dumps(value, indent=3))).action_digest


def test_one_digest_has_one_view() -> None:
    """1.0 and 1 have one digest, so they are one value for everybody who acts on it."""
    written = receive(proposal_json(steps=[step_json(parameters={"value": 1.0}, timeout_seconds=30.0)]))
    plain = receive(proposal_json(steps=[step_json(parameters={"value": 1}, timeout_seconds=30)]))
    assert written.action_digest == plain.action_digest
    assert written.proposal == plain.proposal
    assert type(written.proposal.steps[0].parameters["value"]) is int


def test_view_can_be_made_again_from_the_bytes() -> None:
    """Whoever reads the stored bytes sees the proposal that was received."""
    received = receive(proposal_json(steps=[step_json(parameters={"a": [1.5, True, None, {"b": "ä"}]})]))
    assert ActionProposal.model_validate_json(received.body, strict=True) == received.proposal


SAME_EFFECT: dict[str, dict[str, Any]] = {
    "another id": {"proposal_id": "p-2"},
    "another story": {"rationale": "because", "agent": {"id": "other"}, "on_behalf_of": "bob"},
    "another spelling of the target": {"target": "Component:Default/Orders"},
    "another name and undo of the step": {"steps": [step_json(name="x", undo=None, timeout_seconds=9)]},
    "other criteria": {"success_criteria": [{"probe": "pg.up", "equals": True}]},
}
OTHER_EFFECT: dict[str, dict[str, Any]] = {
    "another target": {"target": "shop"},
    "another environment": {"environment": "staging"},
    "another parameter": {"steps": [step_json(parameters={"name": "work_mem", "value": "9MB"})]},
    "one more step": {"steps": [step_json(), step_json(name="again")]},
}


@pytest.mark.parametrize("changes", SAME_EFFECT.values(), ids=SAME_EFFECT)
def test_same_effect(changes: dict[str, Any]) -> None:
    """The same effect is recognised under another id, story or spelling."""
    assert effect_digest(a_proposal(**changes)) == effect_digest(a_proposal())


@pytest.mark.parametrize("changes", OTHER_EFFECT.values(), ids=OTHER_EFFECT)
def test_other_effect(changes: dict[str, Any]) -> None:
    """Another target, environment or parameter is another effect."""
    assert effect_digest(a_proposal(**changes)) != effect_digest(a_proposal())
