"""Noting what time and the directory brought to a case, before anybody reads it further.

Whoever takes a decision, lets time pass or settles a case asks for it first, in the same transaction: so a vote after
an escalation is judged with it, an outage is known before it counts against anybody, and a vote that lost its ground
never completes a stage. Nobody answers by an escalation that is not on record.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.case_events import note_event
from activities.cases import CaseFile
from activities.documents import InForce
from activities.ledger import Ledger
from policy.approval.changes import changes, entry_kind, looks_up
from policy.approval.standing import ApprovalCase, due_until


async def notice(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, in_force: InForce, now: datetime, *, time_itself: bool
) -> CaseFile:
    """Note what is to be noted, and return the case with it.

    Args:
        connection: in a transaction that holds the proposal's lock.
        ledger: of the same proposal, in the same transaction.
        file: the case as it was read.
        in_force: the documents in force.
        now: the instant (UTC).
        time_itself: whether a deadline at exactly this instant has passed.
    """
    case = file.case
    if case is None or file.resolution is not None or file.stop is not None:
        return file
    agent = file.proposal.agent.id
    found = changes(case, in_force.directory, agent, now)
    for event, key in found:
        await note_event(connection, ledger, file, event, key, directory=in_force.directory_digest, agent=agent)
    file = replace(file, events=(*file.events, *(item.event for item in found))) if found else file
    await _note_due(ledger, file, now, since=_last(case), time_itself=time_itself)
    return file


async def _note_due(
    ledger: Ledger, file: CaseFile, now: datetime, *, since: datetime | None, time_itself: bool
) -> None:
    """One entry for everything that time brought; those noted before stay as they are.

    What looks somebody up has its entry with whom it found.
    """
    case = file.case
    assert case is not None
    for due in due_until(case, now, deadline_counts_as_passed=time_itself):
        if (since is None or due.at > since) and looks_up(case, due) is None:
            content = {"due": due.model_dump(mode="json")}
            await ledger.append(entry_kind(case, due), content, due.stage, due.kind, due.index)


def _last(case: ApprovalCase) -> datetime | None:
    """When something was taken or noted last: what time had brought by then was noted with it."""
    instants = (*(item.received_at for item in case.ballots), *(item.at for item in case.events))
    return max(instants, default=None)
