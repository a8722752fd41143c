"""What the record has of an action that another one says it undoes; read only for a proposal that says so.

Others that were approved to undo the same count from their approval on, the earliest first, so that of two that come
together one runs and the other is what it is not: a second undo.
"""

from datetime import datetime

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.registering import undoing_scope
from policy.canonical import parse_canonical
from policy.observed import RecordedStep, UndoneFact
from policy.proposal import ActionProposal
from policy.result import ActionResult
from policy.revision import Revision

_ACTION = text(
    "SELECT p.body, r.body AS result, r.recorded_at, a.body AS revision, mine.registered_at"
    " FROM countersign.proposal AS p"
    " LEFT JOIN countersign.result AS r ON r.proposal_id = p.proposal_id"
    " LEFT JOIN LATERAL (SELECT body FROM countersign.assessment AS found WHERE found.proposal_id = p.proposal_id"
    "   ORDER BY found.revision DESC LIMIT 1) AS a ON true"
    " LEFT JOIN countersign.proposal AS mine ON mine.proposal_id = :proposal_id"
    " WHERE p.proposal_id = :undoes"
)
# What did nothing, or was itself undone, undid nothing.
_OTHERS = text(
    "SELECT s.proposal_id FROM countersign.approved_scope AS s"
    " LEFT JOIN countersign.result AS r ON r.proposal_id = s.proposal_id"
    " LEFT JOIN countersign.approved_scope AS mine ON mine.scope = s.scope AND mine.proposal_id = :proposal_id"
    " WHERE s.scope = :scope AND s.proposal_id <> :proposal_id"
    " AND (s.resolved_at, s.proposal_id) < (COALESCE(mine.resolved_at, :at), COALESCE(mine.proposal_id, 'zzz'))"
    " AND (r.proposal_id IS NULL"
    "   OR CAST(convert_from(r.body, 'UTF8') AS jsonb)->>'outcome' NOT IN ('not_executed', 'compensated'))"
    " ORDER BY s.resolved_at LIMIT 10"
).bindparams(
    bindparam("scope", type_=Text),
    bindparam("proposal_id", type_=Text),
    bindparam("at", type_=TIMESTAMP(timezone=True)),
)


async def read_undone(connection: AsyncConnection, proposal: ActionProposal, now: datetime) -> UndoneFact | None:
    """The action that a proposal names in `undoes`; None where it names none, or the record has none."""
    if proposal.undoes is None:
        return None
    wanted = {"proposal_id": proposal.proposal_id, "undoes": proposal.undoes}
    row = (await connection.execute(_ACTION, wanted)).first()
    if row is None or row.revision is None:
        return None
    undone = ActionProposal.model_validate(parse_canonical(row.body))
    result = ActionResult.model_validate_json(row.result) if row.result is not None else None
    resolved = Revision.model_validate_json(row.revision).facts.resolved
    scope = {"scope": undoing_scope(proposal.undoes), "proposal_id": proposal.proposal_id, "at": now}
    others = await connection.execute(_OTHERS, scope)
    return UndoneFact(
        proposal_id=proposal.undoes,
        outcome=str(result.outcome) if result is not None else None,
        ended_at=row.recorded_at,
        target=undone.target_ref,
        environment=undone.environment,
        resolved=resolved,
        steps=tuple(RecordedStep.model_validate(step.model_dump(mode="json")) for step in undone.steps),
        undone_by=tuple(other.proposal_id for other in others),
        asked_at=row.registered_at or now,
    )
