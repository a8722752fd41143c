"""The outbox: writing down what people are to be told, in the transaction of what it speaks of.

- It is one statement, and none where there is nothing to tell: an allowed action, and a vote that opens nothing.
- Nothing is looked up and nobody is asked: who an audience is, and how they are reached, is found when it is sent.
- A notice that is written already stays as it is. So whoever tells may tell the same again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.cases import CaseFile
from activities.tables_notices import NoticeRow
from policy.approval.standing import Standing
from policy.canonical import digest
from policy.notices.addressing import Addressee
from policy.notices.notice import Notice
from policy.notices.occasions import About, about, notices_of
from policy.notices.occasions_told import break_glass

AUDIENCE = "audience"
# A statement of thousands of parameters takes longer to make than to run.
ROWS_AT_ONCE = 200


def about_case(file: CaseFile) -> About:
    """What is told of a case that was assessed."""
    assert file.revision is not None
    return about(file.proposal, file.revision)


def glass_broken(file: CaseFile, at: datetime) -> tuple[Notice, ...]:
    """What is told of an emergency that other people than usual approved; nothing where none did, or in a dry run."""
    assert file.revision is not None
    asked = file.revision.evaluation
    if asked.break_glass is None or asked.review is None or file.proposal.dry_run:
        return ()
    return (break_glass(about_case(file), asked.review, file.proposal.rationale, at),)


async def tell(
    connection: AsyncConnection,
    file: CaseFile,
    before: Standing | None,
    after: Standing | None,
    at: datetime,
    *,
    also: Sequence[Notice] = (),
) -> None:
    """Write down what the difference of two standings tells people, and `also` these.

    Args:
        connection: in the transaction of what happened.
        file: the case.
        before: how it stood; None where it was not there yet.
        after: how it stands; None where nobody is asked.
        at: the instant (UTC) of what happened.
        also: what no standing shows (`policy/notices/occasions_told.py`).
    """
    moved = notices_of(about_case(file), before, after, at) if after is not None else ()
    await write(connection, [(notice, None) for notice in (*moved, *also)])


async def write(connection: AsyncConnection, notices: Sequence[tuple[Notice, Addressee | None]]) -> None:
    """Write notices, each for its whole audience or for one of it; those that are there already stay."""
    rows = [_row(notice, addressee) for notice, addressee in notices]
    for at in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[at : at + ROWS_AT_ONCE]
        await connection.execute(insert_once(NoticeRow).values(some).on_conflict_do_nothing())


def _row(notice: Notice, addressee: Addressee | None) -> dict[str, Any]:
    body = notice.body
    return {
        "notice_id": UUID(notice.notice_id),
        "proposal_id": notice.subject.proposal_id if notice.subject else None,
        "kind": str(notice.kind),
        "recipient_kind": addressee.kind if addressee else AUDIENCE,
        "recipient": addressee.name if addressee else AUDIENCE,
        "urgency": str(notice.urgency),
        "body": body,
        "digest": digest(body),
        "created_at": notice.at,
        "not_before": notice.not_before,
    }
