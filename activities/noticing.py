"""Noting what time and the directory brought to a case, before anybody reads it further.

Whoever takes a decision, lets time pass or settles a case asks for it first, in the same transaction: so a vote after
an escalation is judged with it, an outage is known before it counts against anybody, and a vote that lost its ground
never completes a stage.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.case_events import note_event
from activities.cases import CaseFile
from activities.documents import InForce
from activities.ledger import Ledger
from policy.approval.changes import changes
from policy.approval.today import today_of


async def notice(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, in_force: InForce, now: datetime
) -> CaseFile:
    """Note what is to be noted, and return the case with it."""
    case = file.case
    if case is None or file.resolution is not None or file.stop is not None:
        return file
    assert file.revision is not None
    found = changes(case, today_of(file.proposal, file.revision, in_force.directory), now)
    for event, key in found:
        await note_event(connection, ledger, file, event, key, directory=in_force.directory_digest)
    return replace(file, events=(*file.events, *(item.event for item in found))) if found else file
