"""The first activity of every run: is this start allowed, is it known already, and if not, what is it?

- What a platform may not choose (another workflow id, timeouts, cron, retries, a parent) is refused as a result.
- The same id with another digest is refused. The same digest gives back the stored result, or picks the case up where
  the record is: nothing is assessed, asked or run a second time.
- What its platform should have signed and did not, or what does not verify, is refused and not registered: who sends it
  takes nobody's proposal id (`activities/signatures.py`).
- A refused start changes nothing of a registered proposal; the attempt is an entry in its ledger.
- What would ask people is admitted first (`policy/admission.py`). What is not is not registered: it may be started
  again when there is room.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.admitting import NotAdmitted, admit
from activities.advancing import standing_of
from activities.cases import FIRST_REVISION, CaseFile
from activities.closing import finish, make_result
from activities.documents import InForce
from activities.drafts import read_draft
from activities.ledger import Ledger
from activities.observing import observe
from activities.outbox import about_case, tell
from activities.reconsidering import reconsider
from activities.registering import note_assessed, signed_value, store_registered
from activities.signatures import signature_today
from policy.admission import is_listed
from policy.base import Reason
from policy.canonical import canonical
from policy.document import Verdict
from policy.envelope import REFUSED, Start, proposed
from policy.facts import Facts, collect
from policy.ledger import EntryKind
from policy.notices.occasions_told import denied_again
from policy.outcome import Outcome
from policy.proposal import ReceivedProposal
from policy.result import ActionResult, Offer
from policy.revision import Revision, assess_revision, revision_digest
from policy.rules.unsigned import asked_unsigned, unsigned_refusals
from policy.screens.neutral import visible
from policy.screens.telling import deniers
from policy.sealing import seal
from policy.signature import Signature
from policy.targets import TargetResolution, objects_of
from workflows.interface import workflow_id
from workflows.messages import StartFacts


def start_refusals(start: StartFacts, proposal_id: str) -> tuple[Reason, ...]:
    """What was chosen at the start that a platform may not choose."""
    found = []
    if start.workflow_id != workflow_id(proposal_id):
        message = f"workflow id is {_shown(start.workflow_id)}, this proposal's is {workflow_id(proposal_id)}"
        found.append(Reason(code="workflow_id_mismatch", message=message))
    options = {
        "an execution timeout": start.execution_timeout,
        "a run timeout": start.run_timeout,
        "a cron schedule": start.cron,
        "a retry policy": start.retry_policy,
        "a parent workflow": start.parent,
    }
    found += [
        Reason(code="start_option", message=f"the start has {name}: leave it out")
        for name, chosen in options.items()
        if chosen
    ]
    return tuple(found)


def _shown(workflow_id: str) -> str:
    """A workflow id that anybody may have chosen, cut and without anything that JSON or a terminal cannot take."""
    return visible(workflow_id)[:200]


async def refuse_start(
    ledger: Ledger,
    received: ReceivedProposal,
    reasons: tuple[Reason, ...],
    start: StartFacts,
    now: datetime,
    *,
    because: Mapping[str, Any] = MappingProxyType({}),
) -> ActionResult:
    """Record the attempt and answer it. The proposal's own result is another matter and stays as it is.

    `because` is what the entry keeps besides, so that the reasons can be computed again.
    """
    shown = start.model_copy(update={"workflow_id": _shown(start.workflow_id)})
    content = {
        "start": shown.model_dump(mode="json"),
        "action_digest": received.action_digest,
        "reasons": [reason.model_dump(mode="json") for reason in reasons],
        **because,
    }
    await ledger.append(EntryKind.start_refused, content, start.workflow_id, start.run_id)
    return refused_result(received, reasons, now)


def refused_result(
    received: ReceivedProposal, reasons: tuple[Reason, ...], now: datetime, see: str | None = None
) -> ActionResult:
    """The result of a start that is refused; `see` is the action to wait for instead."""
    file = CaseFile(
        received=received,
        registered_at=now,
        absolute_deadline=now,
        revision=None,
        assessment_digest=None,
        resolution=None,
        resolved_at=None,
        stop=None,
        result=None,
    )
    return make_result(file, resolution="refused", outcome=Outcome.not_executed, reasons=reasons, at=now, see=see)


async def _turn_away(
    ledger: Ledger, received: ReceivedProposal, why: NotAdmitted, in_force: InForce, start: StartFacts, now: datetime
) -> ActionResult:
    """Record that an action was not admitted, unless too many were, and answer it."""
    if is_listed(why.number):
        content = {
            "start": start.model_dump(mode="json"),
            "action_digest": received.action_digest,
            "documents": in_force.digests.model_dump(mode="json"),
            "counted": [item.model_dump(mode="json") for item in why.counted],
            "see": why.see,
            "number": why.number,
            "reasons": [reason.model_dump(mode="json") for reason in why.reasons],
        }
        await ledger.append(EntryKind.admission_refused, content, start.workflow_id, start.run_id)
    return refused_result(received, why.reasons, now, why.see)


async def refuse_signature(
    ledger: Ledger, start: Start, why: str, in_force: InForce, facts: StartFacts, now: datetime
) -> ActionResult:
    """Record a statement that does not show who proposes, and answer it."""
    reasons = (Reason(code=REFUSED, message=why),)
    because = {**_proposed(start.received, in_force), "statement": dict(start.value or {})}
    return await refuse_start(ledger, start.received, reasons, facts, now, because=because)


async def _refuse_unsigned(
    ledger: Ledger,
    received: ReceivedProposal,
    revision: Revision,
    in_force: InForce,
    start: StartFacts,
) -> ActionResult | None:
    """Record a proposal that may not come unsigned, and answer it; None where it may, or is signed."""
    tier = revision.assessment.risk_tier
    asked = asked_unsigned(in_force.policy, received.proposal, revision.facts, tier)
    reasons = unsigned_refusals(in_force.policy, asked)
    if asked is None or not reasons:
        return None
    because = {**_proposed(received, in_force), "unsigned": asked.model_dump(mode="json")}
    return await refuse_start(ledger, received, reasons, start, revision.assessed_at, because=because)


def _proposed(received: ReceivedProposal, in_force: InForce) -> dict[str, Any]:
    """What an entry keeps of a proposal that is not in the record, and of the documents by which it is refused."""
    documents = in_force.digests.model_dump(mode="json")
    return {"proposed": proposed(received).model_dump(mode="json"), "documents": documents}


async def gather(
    connection: AsyncConnection,
    received: ReceivedProposal,
    in_force: InForce,
    now: datetime,
    signature: Signature | None = None,
    resolution: TargetResolution | None = None,
) -> Facts:
    """The facts of a proposal as of now; with a `signature`, as if that was shown of who proposes.

    `resolution` is what its executors found, where they are asked.
    """
    shown = signature or await signature_today(received, in_force.directory)
    objects = objects_of(one for step in resolution.steps for one in step.targets) if resolution is not None else ()
    observed = await observe(connection, received, in_force, now, objects)
    observed = observed.model_copy(update={"signature": shown})
    if (draft := await read_draft(connection, received.proposal, in_force, now)) is not None:
        observed = observed.model_copy(update={"draft": draft})
    if resolution is not None:
        observed = observed.model_copy(update={"resolution": resolution})
    return collect(
        received.proposal,
        catalog=in_force.catalog,
        directory=in_force.directory,
        registry=in_force.operations,
        observed=observed,
    )


async def register(
    connection: AsyncConnection,
    ledger: Ledger,
    received: ReceivedProposal,
    in_force: InForce,
    start: StartFacts,
    now: datetime,
    touched: TargetResolution | None = None,
) -> CaseFile | ActionResult:
    """Register a proposal, assess it, and store both with what people are shown and the deadline that nothing moves.

    A verdict that needs nobody is a resolution at once; a denial is the end. One that asks people and is not admitted
    is not stored, and gives its result. `touched` is what its executors found, where they are asked.
    """
    deadline = now + in_force.policy.absolute_deadline
    revision = assess_revision(
        received,
        await gather(connection, received, in_force, now, resolution=touched),
        in_force.policy,
        in_force.digests,
        revision=FIRST_REVISION,
        assessed_at=now,
        absolute_deadline=deadline,
        directory=in_force.directory,
    )
    if (unsigned := await _refuse_unsigned(ledger, received, revision, in_force, start)) is not None:
        return unsigned
    if (why := await admit(connection, received, revision, in_force.policy, now)) is not None:
        return await _turn_away(ledger, received, why, in_force, start, now)
    value = revision.value()
    body = canonical(value)
    assessment_digest = revision_digest(body)
    resolution = {Verdict.allow: "approved", Verdict.deny: "denied"}.get(revision.evaluation.verdict)
    sealed = seal(received.proposal, revision, assessment_digest)
    await store_registered(
        connection, received, revision, body, sealed, workflow_id=start.workflow_id, resolution=resolution
    )
    await note_assessed(ledger, revision, assessment_digest, value, sealed, signed_value(received))
    file = CaseFile(
        received=received,
        registered_at=now,
        absolute_deadline=deadline,
        revision=revision,
        assessment_digest=assessment_digest,
        resolution=resolution,
        resolved_at=now if resolution else None,
        stop=None,
        result=None,
        reasons=revision.evaluation.reasons if resolution else (),
        kept=sealed,
    )
    file = await reconsider(connection, ledger, file, in_force, now)
    await _tell(connection, file, now)
    return file


async def _tell(connection: AsyncConnection, file: CaseFile, now: datetime) -> None:
    """Tell whom the first stage asks, and who denied the same effect before."""
    assert file.revision is not None
    denials = file.revision.facts.denials
    earlier = tuple(denial.proposal_id for denial in denials)
    also = (denied_again(about_case(file), deniers(file.revision.facts), earlier, now),) if denials else ()
    await tell(connection, file, None, standing_of(file, now), now, also=also)


async def end_without_effect(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, now: datetime, offer: Offer | None = None
) -> ActionResult | None:
    """The result of a case that is resolved and runs nothing; None while it is open or approved."""
    if file.result is not None or file.revision is None or file.resolution in (None, "approved"):
        return file.result
    return await finish(
        connection,
        ledger,
        file,
        resolution=file.resolution,  # type: ignore[arg-type]
        outcome=Outcome.not_executed,
        reasons=file.reasons,
        at=now,
        offer=offer,
    )
