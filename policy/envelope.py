"""The start argument: a proposal, or an envelope that has a proposal and its platform's signed statement about it.

- The statement names the proposal's id, its agent and its `action_digest`; the digest is that of the proposal's own
  JSON, so that the same proposal with a statement that was signed again is the same proposal.
- It is signed as `countersign/proposal/v1` (`policy/proofs.py`), for one installation, and is valid from its
  `issued_at` until its `expires_at`. Only the first sight of it has to lie between them: what is registered is known.
- An agent's platform signs, with a key that the directory gives to that very agent, or by a token of the workload that
  it runs as, which its issuer bound to the statement (`signing/workloads.py`). A person's key signs for no agent,
  its owner's neither: who answers for an agent could else propose in its name and be asked nothing.
- What a person proposes from the command line (`agent:countersign`) is signed by the person that it acts for.
- Whoever has a key or a workload there is expected to sign, also where all of its keys are revoked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, JsonValue

from policy.base import Digest, EdgeModel, Instant, Name, ProposalId, RecordModel, instant_text
from policy.builtin import AGENT
from policy.canonical import canonical
from policy.errors import ProposalError
from policy.people.directory import Directory
from policy.proofs import KeyProof, OidcProof, Principal, SshProof
from policy.proposal import ReceivedProposal, receive
from policy.receiving import receive_as
from policy.signature import Signature, Signed

# How far the clocks of who signs and of who takes it may be apart.
CLOCK_SKEW = timedelta(minutes=1)
REFUSED = "signature_refused"
LAPSED = "signature_lapsed"

_Proof = Annotated[KeyProof | SshProof | OidcProof, Field(discriminator="kind")]


class ProposalStatement(EdgeModel):
    """What a platform signs of a proposal; `docs/spec/contract.md` describes each field."""

    audience: Name
    proposal_id: ProposalId
    agent: Name
    action_digest: Digest
    issued_at: Instant
    expires_at: Instant
    proof: _Proof


class ProposalEnvelope(EdgeModel):
    """A proposal with its statement, as a platform sends both."""

    proposal: dict[str, JsonValue]
    statement: ProposalStatement


class Proposed(RecordModel):
    """What a proposal says of itself that its statement has to agree with."""

    proposal_id: str
    agent: str
    on_behalf_of: str
    action_digest: str


@dataclass(frozen=True)
class Start:
    """A proposal that came, and the statement that came with it, as sent and as read; None where it is unsigned."""

    received: ReceivedProposal
    value: Mapping[str, Any] | None = None
    statement: ProposalStatement | None = None


def receive_start(value: Any) -> Start:
    """Read a start argument: a proposal, or an envelope.

    Raises:
        ProposalError: names the field, the value and what was expected.
    """
    if not isinstance(value, dict) or not {"proposal", "statement"} & value.keys():
        return Start(receive(value))
    if not isinstance(value.get("proposal"), dict):
        raise ProposalError("malformed proposal: an envelope has proposal and statement, proposal is no json object")
    received = receive(value["proposal"])
    read = receive_as(ProposalEnvelope, value, "proposal: envelope", ProposalError)
    return Start(received, value["statement"], read.statement)


def proposed(received: ReceivedProposal) -> Proposed:
    """What a proposal says of itself that its statement has to agree with."""
    proposal = received.proposal
    return Proposed(
        proposal_id=proposal.proposal_id,
        agent=proposal.agent.id,
        on_behalf_of=proposal.on_behalf_of,
        action_digest=received.action_digest,
    )


def statement_of(received: ReceivedProposal, *, audience: str, now: datetime, valid: timedelta) -> dict[str, Any]:
    """The statement about a proposal that its platform signs, without a proof.

    Args:
        received: what is proposed.
        audience: the installation that it is for, as its directory says.
        now: the instant (UTC) of signing.
        valid: for how long it may be started with it.
    """
    about = proposed(received)
    return {
        "audience": audience,
        "proposal_id": about.proposal_id,
        "agent": about.agent,
        "action_digest": about.action_digest,
        "issued_at": instant_text(now),
        "expires_at": instant_text(now + valid),
    }


def not_about(statement: ProposalStatement, about: Proposed, at: datetime) -> str | None:
    """Why a statement says nothing of a proposal at an instant (UTC), or None where it does; pure."""
    for field in ("proposal_id", "agent", "action_digest"):
        said, real = getattr(statement, field), getattr(about, field)
        if said != real:
            return f"{field} of the statement is {said}, the proposal's is {real}"
    if at > statement.expires_at:
        return f"the statement expired at {instant_text(statement.expires_at)}: sign it again"
    if statement.issued_at > at + CLOCK_SKEW:
        return f"the statement is issued at {instant_text(statement.issued_at)}, in the future"
    return None


def not_of_the_proposer(
    principal: Principal, statement: ProposalStatement, about: Proposed, directory: Directory, at: datetime
) -> str | None:
    """Why whoever signed does not propose in this agent's name, or None where they do; pure.

    Args:
        principal: whoever signed.
        statement: what was signed.
        about: what it is about.
        directory: whose key it is.
        at: when it was first seen (UTC).
    """
    if about.agent == AGENT:
        person = directory.facts(principal.identity, at)
        if person is not None and person.person_id == directory.resolve(about.on_behalf_of):
            return None
        return f"{principal.identity} signed, {AGENT} proposes for {about.on_behalf_of}: who it is for signs"
    agent = _platform(principal, statement, directory)
    if agent is None:
        return f"{principal.identity} signed, the platform of agent {about.agent} signs what it proposes"
    if agent != about.agent:
        return f"the platform of agent {agent} signed, the proposal is agent {about.agent}'s"
    return None


def _platform(principal: Principal, statement: ProposalStatement, directory: Directory) -> str | None:
    """The agent whose platform signed: by its key, or as the workload that the directory names; None for nobody's."""
    if isinstance(statement.proof, KeyProof):
        found = directory.key_of_agent(principal.key_id or "")
        return found[0].id if found is not None else None
    agent = directory.agent(principal.identity)
    account = agent.workload if agent is not None and isinstance(statement.proof, OidcProof) else None
    if agent is None or account is None or (account.issuer, account.subject) != (principal.issuer, principal.subject):
        return None
    return agent.id


def is_expected(about: Proposed, directory: Directory) -> bool:
    """Whether the directory has a key or a workload of whoever has to sign a proposal."""
    if about.agent == AGENT:
        return bool(directory.keys_of_person(about.on_behalf_of))
    agent = directory.agent(about.agent)
    return agent is not None and bool(agent.keys or agent.workload)


def unsigned(about: Proposed, directory: Directory) -> Signature:
    """What is shown of who proposes where nobody signed."""
    return Signature(kind="unsigned", expected=is_expected(about, directory))


def read_statement(value: Mapping[str, Any]) -> ProposalStatement:
    """A statement that was read before."""
    return ProposalStatement.model_validate_json(canonical(dict(value)), strict=True)


def signature_of(signed: Signed, said_by: Principal | str, about: Proposed, directory: Directory) -> Signature:
    """What a statement shows of who proposes; `said_by` is whoever signed it, or why it does not show that today."""
    statement, expected = read_statement(signed.statement), is_expected(about, directory)
    if isinstance(said_by, str):
        kind = statement.proof.kind
        return Signature(kind=kind, expected=expected, seen_at=signed.seen_at, lapsed=said_by)
    assert said_by.kind != "claimed"  # no statement has such a proof
    return Signature(
        kind=said_by.kind,
        assurance=said_by.assurance,
        signer=directory.resolve(said_by.identity) or said_by.identity,
        expected=expected,
        key_id=said_by.key_id,
        issuer=said_by.issuer,
        subject=said_by.subject,
        signed_at=statement.issued_at,
        seen_at=signed.seen_at,
    )
