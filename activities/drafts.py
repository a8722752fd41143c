"""Drafts of governed documents: stored by whoever writes them, put in force by an approved action only.

- A draft is its bytes. Storing it again changes nothing; nobody's name on it is proof of anything yet.
- What an assessment observes of a draft is read from the record: its kind, who wrote it, what is in force of its kind,
  what it would change in meaning, and why it could not be published.
"""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.documents import READERS, InForce, Kind
from activities.tables import DraftRow
from policy.builtin import PUBLISH
from policy.canonical import digest
from policy.checks.policy_diff import diff
from policy.document import PolicySet
from policy.draft import Draft, authors_of, problems_of, stranger
from policy.errors import DocumentError
from policy.observed import DraftFact
from policy.proposal import ActionProposal
from policy.revision import DocumentDigests
from policy.screen import UNSAID

# Reading a large draft and comparing it takes longer than an assessment may: it goes on beside the event loop, and the
# next attempt finds it done. One thread, so that drafts take turns.
_READER = ThreadPoolExecutor(1, thread_name_prefix="read-draft")
_REMEMBERED = 16
# An approver reads no more; `countersign policy diff` shows all of them.
_CHANGES, _SENTENCE = 20, 300
_DRAFT = DraftRow.__table__.c  # type: ignore[attr-defined]
_READ_DRAFTS: "dict[tuple[str, DocumentDigests, date], Future[_Look]]" = {}
_READ = select(_DRAFT.kind, _DRAFT.body, _DRAFT.drafted_by).where(_DRAFT.digest == bindparam("digest"))


class _Look(NamedTuple):
    """What a draft says: whom it names as authors, what it changes in sentences, and why it cannot be published."""

    authors: tuple[str, ...]
    changes: tuple[str, ...]
    problems: tuple[str, ...]


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


async def draft_text(connection: AsyncConnection, kind: Kind, wanted: str) -> bytes:
    """The bytes of a draft.

    Raises:
        DocumentError: there is no draft of this kind and digest, or its bytes are others.
    """
    row = (await connection.execute(_READ, {"digest": wanted})).first()
    if row is None or row.kind != kind:
        raise DocumentError(f"no draft of kind {kind} has digest {wanted}")
    body = bytes(row.body)
    if digest(body) != wanted:
        raise DocumentError(f"the draft {wanted} has digest {digest(body)}: restore the database from a backup")
    return body


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
    key = (wanted, in_force.digests, now.date())
    read = _READ_DRAFTS.get(key)
    if read is None:
        if len(_READ_DRAFTS) >= _REMEMBERED:
            _READ_DRAFTS.clear()
        read = _READ_DRAFTS[key] = _READER.submit(_look_at, kind, bytes(row.body), in_force, now)
    found = await asyncio.shield(asyncio.wrap_future(read))
    return DraftFact(
        kind=kind,
        digest=wanted,
        authors=tuple(dict.fromkeys((row.drafted_by, *found.authors))),
        previous=getattr(in_force.digests, kind),
        changes=found.changes,
        problems=(*stranger(row.drafted_by, in_force.directory, now), *found.problems),
    )


def _look_at(kind: Kind, body: bytes, in_force: InForce, now: datetime) -> _Look:
    try:
        document = READERS[kind](body)
    except DocumentError as error:
        return _Look((), (), (str(error),))
    problems = problems_of(document, policy=in_force.policy, directory=in_force.directory, at=now)
    changes = _changes(in_force, document, now) if isinstance(document, PolicySet) else ()
    return _Look(authors_of(document), changes, problems)


def _changes(in_force: InForce, draft: PolicySet, now: datetime) -> tuple[str, ...]:
    """What a draft of a policy changes in meaning, a sentence each, and how many more there are."""
    try:
        found = diff(in_force.policy, draft, now=now, operations=in_force.operations, catalog=in_force.catalog).changes
    except DocumentError as error:
        return (f"{UNSAID}: {error}"[:_SENTENCE],)
    said = tuple(str(item)[:_SENTENCE] for item in found[:_CHANGES])
    return said if len(found) <= _CHANGES else (*said, f"and {len(found) - _CHANGES} changes more")
