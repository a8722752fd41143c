"""Noting what time and the directory brought to a case, before anybody reads it further.

Whoever takes a decision, lets time pass or settles a case asks for it first, in the same transaction: so a vote after
an escalation is judged with it, an outage is known before it counts against anybody, and a vote that lost its ground
never completes a stage. Nobody answers by an escalation that is not on record.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.case_events import note_event
from activities.cases import CaseFile
from activities.documents import InForce
from activities.ledger import Ledger
from activities.outbox import about_case, tell
from policy.approval.changes import changes, entry_kind, looks_up
from policy.approval.standing import ApprovalCase, CaseEvent, Standing, due_until, stand
from policy.approval.today import today_of
from policy.ledger import of_revision
from policy.notices.notice import Notice
from policy.notices.occasions import due, escalated
from policy.notices.occasions_told import vote_dropped


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
    assert file.revision is not None
    found = changes(case, today_of(file.proposal, file.revision, in_force.directory), now)
    for event, key in found:
        await note_event(connection, ledger, file, event, key, directory=in_force.directory_digest)
    file = replace(file, events=(*file.events, *(item.event for item in found))) if found else file
    await _note_due(connection, ledger, file, now, since=_last(case), time_itself=time_itself)
    if found:
        before, after = (stand(item, now, deadline_counts_as_passed=time_itself) for item in (case, file.case or case))
        await tell(connection, file, before, after, now, also=_told(file, after, [item.event for item in found]))
    return file


def _told(file: CaseFile, standing: Standing, events: Sequence[CaseEvent]) -> tuple[Notice, ...]:
    """What is told of what was noted: whose vote counts no longer, and who was looked up."""
    about = about_case(file)
    voters = {ballot.decision_id: ballot.person_id for ballot in file.ballots}
    dropped = tuple(
        vote_dropped(about, voters[item.decision_id], item.decision_id, item.reason, item.at)
        for item in events
        if item.kind == "dropped" and item.decision_id in voters
    )
    found = tuple(
        escalated(about, standing.current, item.groups, item.people, item.reason, item.at, item.at)
        for item in events
        if item.kind == "escalated" and item.stage == standing.stage and (item.groups or item.people)
    )
    return (*dropped, *found)


async def _note_due(
    connection: AsyncConnection,
    ledger: Ledger,
    file: CaseFile,
    now: datetime,
    *,
    since: datetime | None,
    time_itself: bool,
) -> None:
    """One entry for everything that time brought, and people are told; those noted before stay as they are.

    What looks somebody up has its entry with whom it found.
    """
    case = file.case
    assert case is not None
    assert file.revision is not None
    mine = of_revision(file.revision.revision)
    passed = due_until(case, now, deadline_counts_as_passed=time_itself)
    passed = tuple(item for item in passed if since is None or item.at > since)
    for item in passed:
        if looks_up(case, item) is None:
            content = {"due": item.model_dump(mode="json")}
            await ledger.append(entry_kind(case, item), content, item.stage, item.kind, item.index, *mine)
    if passed:
        standing = stand(case, now, deadline_counts_as_passed=time_itself)
        await tell(connection, file, standing, standing, now, also=due(about_case(file), standing, passed, now))


def _last(case: ApprovalCase) -> datetime | None:
    """When something was taken or noted last: what time had brought by then was noted with it."""
    instants = (*(item.received_at for item in case.ballots), *(item.at for item in case.events))
    return max(instants, default=None)
