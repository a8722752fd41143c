"""Whose word a proposal is: its statement verified when it comes, and again wherever the action is judged.

- A statement that does not show what it should refuses the start. Nothing is registered, so a bad signature takes
  nobody's proposal id; the attempt is an entry, with the statement in it.
- What verified is kept with the proposal. It is verified again from that, by the directory of then: no process believes
  another one that it verified.
- A proposal that is registered is known: starting it again needs no signature, whatever the first start had. What came
  unsigned stays so, and is what its platform would have signed: the digest is the same.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from activities.proving import Prover
from policy.decision import Refusal
from policy.envelope import (
    Proposed,
    Start,
    not_about,
    not_of_the_proposer,
    proposed,
    read_statement,
    signature_of,
    unsigned,
)
from policy.people.directory import Directory
from policy.proofs import Domain, Principal
from policy.proposal import ReceivedProposal
from policy.signature import Signature, Signed
from signing.proving import NEEDS_OTHERS, KeysWantedError, Trust, UnprovenError, prove

_TAKEN = tuple(f"{code}: " for code in NEEDS_OTHERS)


async def signed_by(prover: Prover, start: Start, directory: Directory, now: datetime) -> ReceivedProposal | str:
    """What came with what its statement shows, or why it is refused; what is unsigned stays as it is.

    Args:
        prover: verifies who made a statement.
        start: what came.
        directory: whose key it is.
        now: when it was first seen (UTC).

    Raises:
        KeysWantedError: keys must be fetched first (`Prover.with_keys`).
    """
    statement, value, about = start.statement, start.value, proposed(start.received)
    if statement is None or value is None:
        return start.received
    if why := not_about(statement, about, now):
        return why
    said_by = await prover.prove(value, statement.proof, directory, now, domain=Domain.proposal)
    if not isinstance(said_by, Principal):
        return _said(*said_by)
    if why := not_of_the_proposer(said_by, statement, about, directory, now):
        return why
    signed = Signed(statement=dict(value), seen_at=now, issuer=said_by.issuer, key=said_by.key)
    return start.received.model_copy(update={"signed": signed})


async def signature_today(received: ReceivedProposal, directory: Directory) -> Signature:
    """What is shown of who proposes, by a directory: verified again from what is kept."""
    if received.signed is not None and received.signed.statement["proof"]["kind"] == "ssh":
        return await asyncio.to_thread(signature_again, received, directory)
    return signature_again(received, directory)


def signature_again(received: ReceivedProposal, directory: Directory) -> Signature:
    """The same, in this thread; pure but for an SSH signature, about which OpenSSH is asked."""
    signed, about = received.signed, proposed(received)
    if signed is None:
        return unsigned(about, directory)
    trust = Trust.again(directory, signed.issuer, signed.key)
    said_by = _shown(signed.statement, about, trust, signed.seen_at)
    return signature_of(signed, said_by, about, directory)


def refused_again(
    value: Mapping[str, Any], about: Proposed, directory: Directory, at: datetime, recorded: str
) -> str | None:
    """Why a statement was refused, computed again; None where nothing speaks against it.

    What cannot be computed without a key of an issuer, or OpenSSH, is taken as it was recorded: it harms nobody.
    """
    said_by = _shown(value, about, Trust(directory), at)
    if isinstance(said_by, Principal):
        return None
    by_others = read_statement(value).proof.kind != "key"
    return recorded if by_others and said_by.startswith(_TAKEN) and recorded.startswith(_TAKEN) else said_by


def _shown(value: Mapping[str, Any], about: Proposed, trust: Trust, at: datetime) -> Principal | str:
    """Whoever signed a statement about a proposal, or why it does not show that."""
    statement = read_statement(value)
    if why := not_about(statement, about, at):
        return why
    try:
        said_by = prove(value, statement.proof, Domain.proposal, trust, at)
    except UnprovenError as error:
        return _said(*error.why)
    except KeysWantedError as error:
        return _said(Refusal.unknown_key, str(error))
    return not_of_the_proposer(said_by, statement, about, trust.directory, at) or said_by


def _said(code: Refusal, message: str) -> str:
    return f"{code}: {message}"
