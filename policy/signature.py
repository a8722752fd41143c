"""Whose word a proposal is: the signature that came with it, and the fact that an assessment rests on.

- `Signed` is the evidence: the statement as it came, when it was first seen, and the issuer's key where a token was
  verified with one. Whoever needs to know verifies it again from these; nobody is believed that it verified once.
- `Signature` is what it shows. Unsigned is the word of nobody: whoever can start a workflow wrote it.
- A signature lapses where the directory of today does not show it any more: its key was revoked or taken away, or the
  agent was. Then the action is denied wherever it is judged, also at dispatch.
- Assessments of earlier releases say nothing of it. They are judged as they were.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from policy.base import Instant, RecordModel
from policy.proofs import Assurance


class Signed(RecordModel):
    """A statement about a proposal that verified when it was first seen (UTC), and what verifies it again: of a token,
    its issuer and the issuer's key.
    """

    statement: dict[str, Any]
    seen_at: Instant
    issuer: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None
    key: Annotated[dict[str, Any] | None, Field(exclude_if=lambda value: value is None)] = None


class Signature(RecordModel):
    """What is shown of who proposes.

    Attributes:
        kind: by what it was signed.
        assurance: how strongly that shows who signed.
        signer: the id of the agent, or of the person who proposes from the command line.
        expected: whether the directory has a key or a workload of whoever has to sign.
        key_id: the key that verified.
        issuer: of the token, and `subject` as it names the account.
        signed_at: when, by the signer's word.
        seen_at: when it was first seen here.
        lapsed: why it counts no longer; empty where it does.
    """

    kind: Literal["unsigned", "key", "ssh", "oidc"]
    assurance: Assurance = Assurance.claimed
    signer: str | None = None
    expected: bool = False
    key_id: str | None = None
    issuer: str | None = None
    subject: str | None = None
    signed_at: Instant | None = None
    seen_at: Instant | None = None
    lapsed: str = ""

    @property
    def unsigned(self) -> bool:
        """Whether nobody signed it."""
        return self.kind == "unsigned"

    @property
    def words(self) -> str:
        """Whose word the proposal is, in words."""
        if self.unsigned:
            return "unsigned: nobody can say who proposed it"
        by = f"key {self.key_id}" if self.issuer is None else f"{self.subject} at {self.issuer}"
        return f"signed by {self.signer} ({self.kind}, {by}, {self.assurance})"
