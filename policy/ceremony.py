"""The ceremony: documents come in force past the gate, by the owner of the database and people who sign for it.

1. It starts a place, where no policy could ask anybody yet, and repairs one whose policy nobody can follow any more.
2. A statement names each document that comes in force and the one that it replaces, by digest, with a reason, a span of
   at most `LONGEST`, and a nonce. All signers sign the same statement.
3. At least `MINIMUM` different people of the directory in force sign it, by keys of that directory. Where none is in
   force, by keys of the directory that the ceremony brings: whoever starts a place chooses who they are, once.
4. Agents and people who have left sign nothing, and an issuer signs nothing here: the directory alone verifies it, so
   that it can be verified as long as the record is kept.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from policy.base import Digest, EdgeModel, Instant, Name, Text
from policy.errors import DocumentError
from policy.governance import MINIMUM
from policy.proofs import OfflineProof
from policy.receiving import receive_as

LONGEST = timedelta(days=7)
_SKEW = timedelta(minutes=1)


class Replaced(EdgeModel):
    """That a document comes in force, over which one; over none where it is the first of its kind."""

    kind: Literal["policy", "operations", "catalog", "directory"]
    digest: Digest
    previous: Digest | None = None


class Ceremony(EdgeModel):
    """A signed statement that these documents are to be in force."""

    audience: Name
    documents: Annotated[tuple[Replaced, ...], Field(min_length=1, max_length=4)]
    reason: Annotated[Text, Field(min_length=1)]
    issued_at: Instant
    expires_at: Instant
    nonce: Annotated[Name, Field(min_length=16)]
    proof: OfflineProof

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if not timedelta() < self.expires_at - self.issued_at <= LONGEST:
            raise ValueError(f"expires_at must be after issued_at and at most {LONGEST.days} days later")
        kinds = [item.kind for item in self.documents]
        if kinds != sorted(set(kinds)):
            raise ValueError("documents must be in the order of their kinds, one of each")
        return self

    @property
    def said(self) -> dict[str, Any]:
        """What all signers must say alike."""
        return self.model_dump(exclude={"proof"})


def receive_ceremony(value: Any) -> Ceremony:
    """Read a JSON value as a signed statement of a ceremony.

    Raises:
        DocumentError: names the field, the value and what was expected.
    """
    return receive_as(Ceremony, value, "ceremony", DocumentError)


def in_order(documents: Iterable[Replaced]) -> tuple[Replaced, ...]:
    """Documents as a statement lists them."""
    return tuple(sorted(documents, key=lambda item: item.kind))


def faults(
    statements: Sequence[Ceremony], signers: Sequence[str | None], documents: Sequence[Replaced], at: datetime
) -> tuple[str, ...]:
    """Why a ceremony puts nothing in force, a sentence each; nothing where it does; pure.

    Args:
        statements: as they were signed.
        signers: the person id of who signed each; None for nobody who was there.
        documents: what comes in force by it.
        at: the instant (UTC) of the ceremony.
    """
    if not statements:
        return (f"nobody signed it: at least {MINIMUM} people do, with `countersign policy ceremony`",)
    found = []
    if any(item.said != statements[0].said for item in statements):
        found.append("the signed statements say different things: sign one after the other, with --with")
    for item in statements:
        found += _unfit(item, documents, at)
    people = {name for name in signers if name is not None}
    if None in signers:
        found.append("a signature is of nobody who is there: agents, and people who have left, sign nothing")
    if len(people) < MINIMUM:
        named = ", ".join(sorted(people)) or "nobody"
        found.append(f"it is signed by {named}: at least {MINIMUM} different people must sign")
    return tuple(dict.fromkeys(found))


def _unfit(item: Ceremony, documents: Sequence[Replaced], at: datetime) -> Iterable[str]:
    if item.documents != in_order(documents):
        yield f"signed is {_listed(item.documents)}; what would come in force is {_listed(documents)}"
    if item.issued_at > at + _SKEW:
        yield f"it was signed for {item.issued_at.isoformat()}, which is not yet"
    if at >= item.expires_at:
        yield f"it expired at {item.expires_at.isoformat()}: sign it anew"


def _listed(documents: Iterable[Replaced]) -> str:
    return "; ".join(f"{item.kind} {item.digest} over {item.previous or 'none'}" for item in in_order(documents))
