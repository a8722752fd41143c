"""The statements behind the votes of a case, verified again by whoever issues permits (`policy/approval/proved.py`),
and the escalations by which some of them count, looked up again (`policy/approval/founded.py`).

- A token is verified by a key that the permit role saw its issuer publish (`activities/issuer_keys.py`), however long
  ago.
- Where nobody can say now, because an issuer or OpenSSH is away, nothing is issued and it is asked again, until the
  absolute deadline; from then on what is not proved counts for nothing.
- Which directory was in force when somebody was escalated to is what the publications say. Whoever noted it may have
  read the one that another replaced just then.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text
from temporalio.exceptions import ApplicationError

from activities.cases import CaseFile
from activities.deciding import SaidBy
from activities.documents import Documents
from activities.proving import Prover
from activities.tables import AssessmentRow, DecisionRow
from policy.approval.founded import escalations, unfounded
from policy.approval.proved import CARRIES, Asked, Statement, as_shown, unproven
from policy.canonical import parse_canonical
from policy.decision import Refusal, receive_decision
from policy.people.directory import Directory
from policy.proofs import Principal
from policy.revision import Revision
from policy.sealing import Sealed, untrue

_JUST_THEN = timedelta(minutes=1)
_DECISION = DecisionRow.__table__.c  # type: ignore[attr-defined]
_ASSESSMENT = AssessmentRow.__table__.c  # type: ignore[attr-defined]
_STATEMENTS = select(_DECISION.decision_id, _DECISION.body, _DECISION.received_at).where(
    _DECISION.proposal_id == bindparam("proposal_id"),
    _DECISION.decision_id == bindparam("ids", type_=ARRAY(Text)).any_(),
)
_ASKED: Select[Any] = select(
    _ASSESSMENT.revision,
    _ASSESSMENT.digest,
    _ASSESSMENT.policy_digest,
    _ASSESSMENT.presented_digest,
    _ASSESSMENT.body,
    _ASSESSMENT.screen,
).where(_ASSESSMENT.proposal_id == bindparam("proposal_id"))


async def unproven_votes(
    connection: AsyncConnection, file: CaseFile, prover: Prover, directory: Directory, now: datetime
) -> dict[str, str]:
    """Why votes of the open revision are not proved, by decision id.

    Raises:
        KeysWantedError: keys of an issuer must be fetched first.
        ApplicationError: nobody can say now (`now`, UTC), and there is time to ask again.
    """
    carrying = [ballot for ballot in file.ballots if ballot.vote in CARRIES]
    if not carrying or file.revision is None:
        return {}
    ids = [ballot.decision_id for ballot in carrying]
    wanted: dict[str, Any] = {"proposal_id": file.proposal.proposal_id, "ids": ids}
    statements = {}
    for row in (await connection.execute(_STATEMENTS, wanted)).all():
        value = parse_canonical(row.body)
        submission = receive_decision(value)
        said_by = await prover.decided(value, submission, directory, row.received_at)
        if now <= file.revision.absolute_deadline:
            _refuse_unverifiable(row.decision_id, said_by)
        statements[row.decision_id] = Statement(submission, said_by, row.received_at)
    action = file.received.action_digest
    about = {ballot.kept_from or file.revision.revision for ballot in carrying}
    asked: dict[int, Asked | str] = {
        row.revision: _shown_lies(file, row) or Asked(action, row.digest, row.policy_digest, row.presented_digest)
        for row in await connection.execute(_ASKED, {"proposal_id": file.proposal.proposal_id})
        if row.revision in about
    }
    presented = file.sealed.presented_digest if file.sealed is not None else None
    return unproven(
        carrying,
        statements,
        as_shown(asked, file.revision.revision, presented),
        directory,
        proposal_id=file.proposal.proposal_id,
        revision=file.revision.revision,
        chain=file.revision.evaluation.chain,
    )


async def unfounded_escalations(connection: AsyncConnection, file: CaseFile, documents: Documents) -> tuple[str, ...]:
    """What speaks against the escalations of the open revision; nothing where there are none."""
    case = file.case
    if case is None or not (places := escalations(case)):
        return ()
    instants = {place: case.events[place].at for place in places}
    directories = {
        place: await documents.directories_at(connection, at, at - _JUST_THEN) for place, at in instants.items()
    }
    return unfounded(case, directories)


def _shown_lies(file: CaseFile, row: Row[Any]) -> str:
    """What the screen of a revision said otherwise than its action is, in a sentence; empty where it did not."""
    if row.screen is None:
        return ""
    revision = Revision.model_validate_json(row.body)
    sealed = Sealed(body=row.screen, presented_digest=row.presented_digest)
    return "; ".join(untrue(file.proposal, revision, row.digest, sealed))


def _refuse_unverifiable(decision_id: str, said_by: SaidBy) -> None:
    if isinstance(said_by, Principal):
        return
    code, why = said_by
    if code is Refusal.unverifiable:
        raise ApplicationError(f"vote {decision_id} cannot be verified now: {why}", type="Unverifiable")
