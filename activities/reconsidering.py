"""Reconsidering an open case after it moved: are people left, and who could finish what is open?

What follows is noted in the same transaction, so that a recusal which leaves nobody ends the action at once, and says
why. Who could finish it is told, and nothing is decided by it.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.advancing import settle, standing_of
from activities.case_events import note_event
from activities.cases import CaseFile
from activities.documents import InForce
from activities.ledger import Ledger
from activities.outbox import about_case, tell
from policy.approval.following import CAUSE, follows, who_unblocks
from policy.approval.standing import Standing, stand
from policy.approval.today import today_of
from policy.notices.occasions import escalated


async def reconsider(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, in_force: InForce, now: datetime
) -> CaseFile:
    """Note what follows from who is left, and return the case with it.

    Args:
        connection: in a transaction that holds the proposal's lock.
        ledger: of the same proposal, in the same transaction.
        file: the case with everything that happened.
        in_force: the documents in force.
        now: the instant (UTC).
    """
    case, revision = file.case, file.revision
    if case is None or revision is None or file.resolution is not None or file.stop is not None:
        return file
    for event in follows(case, today_of(file.proposal, revision, in_force.directory), now):
        key = "unreachable" if event.kind == "unreachable" else f"escalated {event.stage} {event.index}"
        new = await note_event(connection, ledger, file, event, key, directory=in_force.directory_digest, cause=CAUSE)
        if not new:
            break
        file = replace(file, events=(*file.events, event))
        if event.kind == "escalated" and (event.groups or event.people):
            standing = stand(case, now, deadline_counts_as_passed=False)
            also = (
                escalated(
                    about_case(file), standing.current, event.groups, event.people, event.reason, event.at, event.at
                ),
            )
            await tell(connection, file, standing, standing, now, also=also)
    return file


async def follow(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, in_force: InForce, now: datetime
) -> CaseFile:
    """What follows from who is left, and the resolution that the case amounts to then; as `reconsider`."""
    file = await reconsider(connection, ledger, file, in_force, now)
    resolution = await settle(connection, ledger, file, standing_of(file, now, time_itself=True), now)
    return replace(file, resolution=resolution)


def unblock_of(
    file: CaseFile, standing: Standing | None, in_force: InForce, now: datetime
) -> tuple[tuple[str, ...], ...]:
    """Minimal sets of people who could finish the open stage; none where nobody is asked any more."""
    case, revision = file.case, file.revision
    if (
        case is None
        or revision is None
        or standing is None
        or standing.resolution != "pending"
        or file.resolution is not None
    ):
        return ()
    return who_unblocks(case, today_of(file.proposal, revision, in_force.directory), now)
