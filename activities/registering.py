"""The rows of a proposal that is registered, in one statement: the proposal, its assessment and, where the verdict
needs nobody, its resolution. They are there together or not at all. A later revision adds all but the proposal.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Integer, LargeBinary, Text

from activities.ledger import Ledger
from policy.base import Reason, instant_text
from policy.canonical import canonical, digest
from policy.ledger import EntryKind
from policy.operations import RegisteredOperation
from policy.permit import order_digest
from policy.proposal import ActionProposal, ReceivedProposal, Step, Undo
from policy.revision import Revision, revision_digest
from policy.rollback import label_violation
from policy.screens.telling import telling
from policy.sealing import Sealed

# Of a target with thousands of ids the first are enough to know it again, and all of them together always are.
_MAX_ORDERS = 2000
_SCOPES = """
INSERT INTO countersign.approved_scope (scope, proposal_id, resolved_at)
  SELECT DISTINCT wanted.scope, resolved.proposal_id, resolved.resolved_at
  FROM resolved CROSS JOIN unnest(:scopes) AS wanted (scope) ON CONFLICT DO NOTHING"""
_RESOLVED = """resolved AS (
  INSERT INTO countersign.resolution (proposal_id, revision, kind, body, digest, resolved_at)
  SELECT :proposal_id, :revision, :kind, :resolution_body, :resolution_digest, :resolved_at WHERE :kind IS NOT NULL
  ON CONFLICT DO NOTHING RETURNING proposal_id, resolved_at)"""
_REGISTERED = """registered AS (
  INSERT INTO countersign.proposal
    (proposal_id, action_digest, effect_digest, body, workflow_id, registered_at, absolute_deadline, signed)
  VALUES
    (:proposal_id, :action_digest, :effect_digest, :proposal_body, :workflow_id, :at, :absolute_deadline, :signed))"""
_ASSESSED = """assessed AS (
  INSERT INTO countersign.assessment
    (proposal_id, revision, digest, body, verdict, risk_tier, policy_digest, assessed_at, screen, presented_digest)
  VALUES
    (:proposal_id, :revision, :digest, :body, :verdict, :risk_tier, :policy_digest, :at, :screen, :presented_digest))"""
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("proposal_id", "kind", "resolution_digest"), Text()),
    **dict.fromkeys(("resolution_body",), LargeBinary()),
    "revision": Integer(),
    "resolved_at": TIMESTAMP(timezone=True),
    "scopes": ARRAY(Text),
}
_REGISTER_TYPES: dict[str, Any] = _TYPES | {
    **dict.fromkeys(("action_digest", "effect_digest", "workflow_id", "digest", "verdict"), Text()),
    **dict.fromkeys(("risk_tier", "policy_digest", "presented_digest"), Text()),
    **dict.fromkeys(("proposal_body", "body", "screen", "signed"), LargeBinary()),
    **dict.fromkeys(("at", "absolute_deadline"), TIMESTAMP(timezone=True)),
}
_RESOLVE = text(f"WITH {_RESOLVED} {_SCOPES}").bindparams(
    *(bindparam(name, type_=kind) for name, kind in _TYPES.items())
)
_REGISTER = text(f"WITH {_REGISTERED}, {_ASSESSED}, {_RESOLVED} {_SCOPES}").bindparams(
    *(bindparam(name, type_=kind) for name, kind in _REGISTER_TYPES.items())
)
_OF_A_PROPOSAL = frozenset(
    {"action_digest", "effect_digest", "proposal_body", "workflow_id", "absolute_deadline", "signed"}
)
_REVISE = text(f"WITH {_ASSESSED}, {_RESOLVED} {_SCOPES}").bindparams(
    *(bindparam(name, type_=kind) for name, kind in _REGISTER_TYPES.items() if name not in _OF_A_PROPOSAL)
)


async def store_registered(
    connection: AsyncConnection,
    received: ReceivedProposal,
    revision: Revision,
    body: bytes,
    sealed: Sealed | None,
    *,
    workflow_id: str,
    resolution: str | None,
) -> None:
    """Store a proposal that nobody registered before, with its first revision and its resolution, if it has one.

    Args:
        connection: in a transaction that holds the proposal's lock.
        received: the proposal.
        revision: its assessment, and `body` the canonical bytes of it.
        body: see there.
        sealed: what people are shown; None where nobody is asked.
        workflow_id: which workflow it was started as.
        resolution: approved or denied where the verdict needs nobody; None where people are asked.
    """
    row = {
        "action_digest": received.action_digest,
        "effect_digest": received.effect_digest,
        "proposal_body": received.body,
        "workflow_id": workflow_id,
        "absolute_deadline": revision.absolute_deadline,
        "signed": canonical(signed) if (signed := signed_value(received)) is not None else None,
    }
    scopes = approved_scopes(received, revision) if resolution == "approved" else []
    rest = _assessed(revision, body, sealed, resolution)
    await connection.execute(_REGISTER, {**row, **rest, "scopes": scopes})


async def store_revision(
    connection: AsyncConnection, revision: Revision, body: bytes, sealed: Sealed | None, *, resolution: str | None
) -> None:
    """Store a later revision of a proposal, with its resolution where the policy denies it; arguments as above."""
    await connection.execute(_REVISE, {**_assessed(revision, body, sealed, resolution), "scopes": []})


def _assessed(revision: Revision, body: bytes, sealed: Sealed | None, resolution: str | None) -> dict[str, Any]:
    """The values of the rows of one revision."""
    at, reasons = revision.assessed_at, revision.evaluation.reasons
    return {
        "digest": revision_digest(body),
        "body": body,
        "verdict": str(revision.evaluation.verdict),
        "risk_tier": str(revision.assessment.risk_tier),
        "policy_digest": revision.documents.policy,
        "at": at,
        "screen": sealed.body if sealed else None,
        "presented_digest": sealed.presented_digest if sealed else None,
        **_resolution(revision.proposal_id, revision.revision, resolution, reasons, at),
    }


def signed_value(received: ReceivedProposal) -> dict[str, Any] | None:
    """What was signed of a proposal, as a JSON value; None where nothing was."""
    return received.signed.model_dump(mode="json") if received.signed is not None else None


async def note_assessed(
    ledger: Ledger,
    revision: Revision,
    assessment_digest: str,
    value: dict[str, Any],
    sealed: Sealed | None,
    signed: dict[str, Any] | None = None,
) -> None:
    """The entries of a new revision: what was assessed and is shown, who denied the same before, and a wrong label.

    Args:
        ledger: in the transaction that stores it.
        revision: what was assessed.
        assessment_digest: its digest.
        value: it as a JSON value.
        sealed: what people are shown; None where nobody is asked.
        signed: what its platform signed, in the entry of the first revision.
    """
    number = revision.revision
    content = {
        "assessment_digest": assessment_digest,
        "revision": value,
        "presented_digest": sealed.presented_digest if sealed else None,
        "screen": sealed.value if sealed else None,
        **({"signed": signed} if signed is not None else {}),
    }
    await ledger.append(EntryKind.assessed, content, number, new=True)
    if (told := telling(revision)) is not None:
        await ledger.append(EntryKind.denier_told, told, number, new=True)
    if (wrong := label_violation(revision.evaluation.rollback, number)) is not None:
        await ledger.append(EntryKind.violation, wrong, "undoes", number, new=True)


async def store_resolution(
    connection: AsyncConnection,
    proposal_id: str,
    revision: int,
    kind: str,
    reasons: tuple[Reason, ...],
    at: datetime,
    *,
    scopes: Iterable[str] = (),
) -> None:
    """Write the resolution of a revision, unless it has one; with `scopes`, what an approved action acts on, or what
    people denied.
    """
    row = _resolution(proposal_id, revision, kind, reasons, at)
    await connection.execute(_RESOLVE, {**row, "scopes": list(scopes)})


def scopes_of(target: str, resolved: Iterable[str], failure_domains: Iterable[str]) -> list[str]:
    """What an action acts on, each said so that a domain is never taken for an id."""
    return [f"target {target}", *(f"id {one}" for one in resolved), *(f"domain {one}" for one in failure_domains)]


def approved_scopes(received: ReceivedProposal, revision: Revision) -> list[str]:
    """What is in flight from its approval on. A dry run touches nothing, so it is in nobody's way."""
    if received.proposal.dry_run:
        return []
    undoes = [undoing_scope(received.proposal.undoes)] if received.proposal.undoes is not None else []
    return [*scopes_of(received.proposal.target_ref, revision.facts.resolved, revision.facts.failure_domains), *undoes]


def undoing_scope(undoes: str) -> str:
    """By what two proposals that would undo the same action find each other."""
    return f"undoes {undoes}"


def denied_scopes(received: ReceivedProposal, revision: Revision) -> list[str]:
    """What people denied, by which it is known again under another name of the target, split, or among other steps."""
    return orders_of(received.proposal, revision.facts.resolved, revision.facts.operation)


def orders_of(
    proposal: ActionProposal, resolved: tuple[str, ...], known: Callable[[str], RegisteredOperation | None]
) -> list[str]:
    """What a proposal would do to all of its ids, and to each alone: a scope for each order that changes something.

    Args:
        proposal: what is asked for; its undos count as if they were proposed themselves.
        resolved: the ids of its target.
        known: the operations registry.
    """
    each: list[Step | Undo] = [*proposal.steps, *(step.undo for step in proposal.steps if step.undo is not None)]
    acting = [item for item in each if (operation := known(item.operation)) is None or not operation.read_only]
    found = (
        f"denied {order_digest(proposal.environment, ids, item.operation, item.parameters)}"
        for ids in (resolved, *((one,) for one in resolved))
        for item in acting
    )
    return list(dict.fromkeys(islice(found, _MAX_ORDERS)))


def _resolution(
    proposal_id: str, revision: int, kind: str | None, reasons: tuple[Reason, ...], at: datetime
) -> dict[str, Any]:
    content = {
        "proposal_id": proposal_id,
        "revision": revision,
        "kind": kind,
        "reasons": [reason.model_dump(mode="json") for reason in reasons],
        "at": instant_text(at),
    }
    body = canonical(content)
    row = {"proposal_id": proposal_id, "revision": revision, "kind": kind, "resolved_at": at}
    return {**row, "resolution_body": body, "resolution_digest": digest(body)}
