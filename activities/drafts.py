"""Drafts of governed documents: stored by whoever writes them, put in force by an approved action only.

- A draft is its bytes. Storing it again changes nothing; nobody's name on it is proof of anything yet.
- What an assessment observes of a draft is read from the record: its kind, who wrote it, what is in force of its kind,
  what it would change in meaning, and why it could not be published.
"""

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.documents import READERS, InForce, Kind
from activities.tables import DraftRow
from policy.builtin import PUBLISH
from policy.canonical import digest
from policy.document import PolicySet
from policy.draft import Draft, authors_of, problems_of, stranger
from policy.errors import DocumentError
from policy.observed import DraftFact
from policy.policy_diff import diff
from policy.proposal import ActionProposal

# An approver reads no more; `countersign policy diff` shows all of them.
_CHANGES, _SENTENCE = 20, 300
_DRAFT = DraftRow.__table__.c  # type: ignore[attr-defined]
_READ = select(_DRAFT.kind, _DRAFT.body, _DRAFT.drafted_by).where(_DRAFT.digest == bindparam("digest"))


async def store_draft(connection: AsyncConnection, draft: Draft, *, by: str, at: datetime) -> str:
    """Store a draft; its digest.

    Args:
        connection: a transaction as `countersign_author`.
        draft: kind, name, version and bytes.
        by: who wrote it, an identity of the directory.
        at: the instant (UTC).
    """
    key = digest(draft.body)
    row = {
        "digest": key,
        "kind": draft.kind,
        "name": draft.name,
        "version": draft.version,
        "body": draft.body,
        "drafted_by": by,
        "drafted_at": at,
    }
    await connection.execute(insert(DraftRow).values(row).on_conflict_do_nothing())
    return key


async def read_draft(
    connection: AsyncConnection, proposal: ActionProposal, in_force: InForce, now: datetime
) -> DraftFact | None:
    """What is to be put in force by a proposal; None where it publishes nothing, or there is no such draft."""
    if proposal.operation != PUBLISH:
        return None
    wanted = str(proposal.steps[0].parameters.get("digest"))
    row = (await connection.execute(_READ, {"digest": wanted})).first()
    if row is None:
        return None
    kind: Kind = row.kind
    problems: tuple[str, ...]
    changes: tuple[str, ...] = ()
    authors: tuple[str, ...] = (row.drafted_by,)
    try:
        document = READERS[kind](bytes(row.body))
    except DocumentError as error:
        problems = (str(error),)
    else:
        authors = tuple(dict.fromkeys((row.drafted_by, *authors_of(document))))
        problems = problems_of(document, policy=in_force.policy, directory=in_force.directory, at=now)
        if isinstance(document, PolicySet):
            changes = _changes(in_force, document, now)
    return DraftFact(
        kind=kind,
        digest=wanted,
        authors=authors,
        previous=getattr(in_force.digests, kind),
        changes=changes,
        problems=(*stranger(row.drafted_by, in_force.directory), *problems),
    )


def _changes(in_force: InForce, draft: PolicySet, now: datetime) -> tuple[str, ...]:
    """What a draft of a policy changes in meaning, a sentence each, and how many more there are."""
    found = diff(in_force.policy, draft, now=now, operations=in_force.operations, catalog=in_force.catalog).changes
    said = tuple(str(item)[:_SENTENCE] for item in found[:_CHANGES])
    return said if len(found) <= _CHANGES else (*said, f"and {len(found) - _CHANGES} changes more")
