"""What moves a case besides a decision: time, and a stop.

What it brings is noted first (`activities/noticing.py`). A resolution is written by whoever sees first that the case
amounts to one.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.cases import CaseFile
from activities.closing import stop
from activities.ledger import Ledger
from activities.outbox import about_case, glass_broken, tell
from activities.registering import approved_scopes, denied_scopes, store_resolution
from activities.telemetry import note_resolution
from policy.approval.standing import Standing, stand
from policy.base import Reason, instant_text
from policy.ledger import EntryKind
from policy.notices.occasions import resolved


def standing_of(file: CaseFile, now: datetime, *, time_itself: bool = False) -> Standing | None:
    """How the case stands; None where nobody is asked."""
    return stand(file.case, now, deadline_counts_as_passed=time_itself) if file.case is not None else None


async def settle(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, standing: Standing | None, now: datetime
) -> str | None:
    """Write the resolution that a standing amounts to, if it does and there is none; returns the recorded one."""
    if file.resolution is not None or standing is None or standing.resolution == "pending":
        return file.resolution
    assert file.revision is not None
    proposal_id, revision = file.proposal.proposal_id, file.revision.revision
    # Where nobody was left nobody said no: that is no denial which later assessments are to know of.
    said = standing.reasons[0].code if standing.reasons else standing.resolution
    scopes_of = {"approved": approved_scopes, "denied": denied_scopes}.get(said)
    scopes = scopes_of(file.received, file.revision) if scopes_of else []
    await store_resolution(connection, proposal_id, revision, standing.resolution, standing.reasons, now, scopes=scopes)
    content = {"kind": standing.resolution, "at": instant_text(now), "standing": standing.model_dump(mode="json")}
    await ledger.append(EntryKind.resolved, content, revision)
    also = resolved(about_case(file), standing, standing.resolution, standing.reasons, now)
    glass = glass_broken(file, now) if standing.resolution == "approved" else ()
    await tell(connection, file, standing, standing, now, also=(*also, *glass))
    note_resolution(standing.resolution, file, now)
    return standing.resolution


async def note_stop(connection: AsyncConnection, ledger: Ledger, file: CaseFile, actor: str, now: datetime) -> str:
    """Note a stop; a case that is not resolved ends as withdrawn. Returns the resolution."""
    assert file.revision is not None
    proposal_id, revision = file.proposal.proposal_id, file.revision.revision
    await stop(connection, proposal_id, "withdrawn", actor, now)
    await ledger.append(EntryKind.stopped, {"kind": "withdrawn", "actor": actor}, "stop")
    if file.resolution is not None:
        return file.resolution
    reasons = (Reason(code="withdrawn", message=f"withdrawn by {actor}"),)
    await store_resolution(connection, proposal_id, revision, "withdrawn", reasons, now)
    if (standing := standing_of(file, now)) is not None:
        also = resolved(about_case(file), standing, "withdrawn", reasons, now)
        await tell(connection, file, standing, standing, now, also=also)
    return "withdrawn"
