"""Reading a decision: what is one, and what is not."""

from datetime import UTC, datetime
from typing import Any

import pytest

from policy.decision import Vote, receive_decision
from policy.errors import DecisionError

_DIGEST = "sha256:" + "0" * 64


def _decision(**changes: Any) -> dict[str, Any]:
    return {
        "decision_id": "d-1",
        "proposal_id": "p-1",
        "revision": 1,
        "stage": 1,
        "action_digest": _DIGEST,
        "assessment_digest": _DIGEST,
        "policy_digest": _DIGEST,
        "presented_digest": _DIGEST,
        "vote": "approve",
        "issued_at": "2030-01-01T09:00:00Z",
        "expires_at": "2030-01-01T11:00:00+01:00",
        "proof": {"kind": "claimed", "identity": "ann"},
        **changes,
    }


REFUSED: dict[str, tuple[Any, str]] = {
    "nothing": (None, "<root>: input should be an object"),
    "a text": ("approve", "<root>"),
    "an unknown field": (_decision(force=True), "force: extra inputs"),
    "a digest left out": ({k: v for k, v in _decision().items() if k != "presented_digest"}, "presented_digest: field"),
    "a digest cut short": (_decision(action_digest="sha256:00"), "action_digest: string should match"),
    "a digest in upper case": (_decision(action_digest="SHA256:" + "0" * 64), "action_digest"),
    "stage zero": (_decision(stage=0), "stage: .* greater than or equal to 1"),
    "a stage in text": (_decision(stage="1"), "stage: .* valid integer"),
    "stage true": (_decision(stage=True), "stage: .* valid integer"),
    "an unknown vote": (_decision(vote="Approve"), "vote: input should be 'approve'"),
    "an instant without an offset": (_decision(issued_at="2030-01-01T09:00:00"), "issued_at: instant must be written"),
    "an instant in seconds": (_decision(issued_at="1700000000"), "issued_at: instant must be written"),
    "an instant as a number": (_decision(issued_at=1700000000), "issued_at"),
    "an instant before the first": (_decision(issued_at="0001-01-01T00:00:00+14:00"), "issued_at: instant is out of"),
    "another proof": (_decision(proof={"kind": "jws", "identity": "ann"}), r"proof: .*'kind'"),
    "an identity with control characters": (_decision(proof={"kind": "claimed", "identity": "a\x1b"}), "identity"),
    "a long justification": (_decision(justification="x" * 4001), "justification: .* at most 4000"),
    "NUL in the justification": (_decision(justification="\0"), r"U\+0000"),
    "bytes": (_decision(justification=b"x"), "type bytes is not json"),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(value: Any, message: str) -> None:
    """What is no decision is refused with the field and what was expected."""
    with pytest.raises(DecisionError, match=f"malformed decision: .*{message}") as raised:
        receive_decision(value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("vote", Vote)
def test_read(vote: Vote) -> None:
    """A decision is read as it is; its instants are kept in UTC."""
    found = receive_decision(_decision(vote=str(vote)))
    assert (found.vote, found.sender, found.justification) == (vote, "ann", "")
    assert found.expires_at == datetime(2030, 1, 1, 10, tzinfo=UTC)
    assert found.expires_at.tzinfo is UTC


def test_stage_may_be_written_as_a_float() -> None:
    """1.0 is 1 in canonical JSON, so it is here."""
    assert receive_decision(_decision(stage=1.0)).stage == 1
