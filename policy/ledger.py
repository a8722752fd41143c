"""The ledger: one entry for everything that was received, evaluated or about to happen, each with canonical bytes.

- An entry is a JSON object in RFC 8785 form; its digest is over those bytes (`docs/spec/ledger.md`).
- The entries of one proposal form a chain: `position` counts from 1 and `previous` is the digest of the one before. An
  edited, deleted, inserted or swapped entry breaks it. A cut tail does not: only whoever holds the last digest sees it.
  The chain is tamper-evident towards whoever holds a later digest; it proves nothing against somebody who can rewrite
  all of it.
- An entry keeps the inputs of an evaluation, so that anybody can compute it again.
- `late` marks an entry that was written after the fact because compensation did not wait for the ledger.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from policy.base import RecordModel, instant_text
from policy.canonical import canonical, digest, parse_canonical
from policy.errors import AuditError, CanonicalError

_FIELDS: dict[str, tuple[type, ...]] = {
    "entry_id": (str,),
    "proposal_id": (str,),
    "position": (int,),
    "previous": (str, type(None)),
    "kind": (str,),
    "at": (str,),
    "late": (bool,),
}


class EntryKind(StrEnum):
    start_refused = "start_refused"
    admission_refused = "admission_refused"
    assessed = "assessed"
    denier_told = "denier_told"
    decision_counted = "decision_counted"
    decision_refused = "decision_refused"
    refusals_unlisted = "refusals_unlisted"
    remeasured = "remeasured"
    votes_kept = "votes_kept"
    reminded = "reminded"
    escalated = "escalated"
    vote_dropped = "vote_dropped"
    unreachable = "unreachable"
    graced = "graced"
    held = "held"
    resolved = "resolved"
    stopped = "stopped"
    queued = "queued"
    takes_over = "takes_over"
    taken_over = "taken_over"
    dispatched = "dispatched"
    dispatch_refused = "dispatch_refused"
    claim_refused = "claim_refused"
    reported = "reported"
    judging = "judging"
    recorded = "recorded"
    violation = "violation"
    offered = "offered"
    review_opened = "review_opened"
    review_decided = "review_decided"
    review_overdue = "review_overdue"
    review_closed = "review_closed"
    restore_acknowledged = "restore_acknowledged"
    unresolved_opened = "unresolved_opened"
    unresolved_overdue = "unresolved_overdue"
    unresolved_closed = "unresolved_closed"
    item_decided = "item_decided"
    amended = "amended"
    outside_stated = "outside_stated"
    lease_lapsed = "lease_lapsed"
    halted = "halted"
    halt_refused = "halt_refused"
    halt_signed = "halt_signed"
    halt_released = "halt_released"


class Entry(RecordModel):
    """A ledger entry as stored: the bytes and their digest."""

    entry_id: str
    proposal_id: str
    position: int
    previous: str | None
    kind: EntryKind
    body: bytes
    digest: str
    late: bool = False


class EntryRef(RecordModel):
    """What an activity tells its workflow of an entry it wrote, so that history and ledger can be compared."""

    position: int
    digest: str


def of_revision(revision: int | None) -> tuple[int, ...]:
    """The part of an entry's key that tells what happened in one revision from the same in another; none in the first,
    whose entries have none.
    """
    return () if revision is None or revision == 1 else (revision,)


def make_entry(
    *,
    entry_id: str,
    proposal_id: str,
    position: int,
    previous: str | None,
    kind: EntryKind,
    at: datetime,
    content: Any,
    late: bool = False,
) -> Entry:
    """Build an entry. `content` is the JSON value that the kind of entry keeps."""
    body = canonical(
        {
            "v": 1,
            "entry_id": entry_id,
            "proposal_id": proposal_id,
            "position": position,
            "previous": previous,
            "kind": str(kind),
            "at": instant_text(at),
            "late": late,
            "content": content,
        }
    )
    return Entry(
        entry_id=entry_id,
        proposal_id=proposal_id,
        position=position,
        previous=previous,
        kind=kind,
        body=body,
        digest=digest(body),
        late=late,
    )


def read_entry(body: bytes) -> dict[str, Any]:
    """The JSON object of an entry's bytes.

    Raises:
        AuditError: the bytes are not an entry in canonical form.
    """
    try:
        value = parse_canonical(body)
    except CanonicalError as error:
        raise AuditError(f"ledger entry is malformed: {error}") from None
    if not isinstance(value, dict) or value.get("v") is True or value.get("v") != 1:
        raise AuditError("ledger entry is not a version 1 entry")
    for field, kinds in _FIELDS.items():
        if field not in value or type(value[field]) not in kinds:
            raise AuditError(f"ledger entry is malformed: {field} is {value.get(field)!r:.60}")
    return value


def verify_chain(
    proposal_id: str, entries: Sequence[tuple[bytes, str]], head: EntryRef | None = None
) -> list[dict[str, Any]]:
    """Check the chain of one proposal's entries; returns the entries' objects.

    Args:
        proposal_id: whose entries they must be.
        entries: (bytes, digest) in order.
        head: an entry that somebody else remembers, which must be among them; without it a cut tail is not seen.

    Raises:
        AuditError: names the first entry that does not hold, and why.
    """
    previous: str | None = None
    values = []
    for number, (body, claimed) in enumerate(entries, start=1):
        if digest(body) != claimed:
            raise AuditError(f"ledger entry {number}: its bytes have digest {digest(body)}, it is listed as {claimed}")
        value = read_entry(body)
        where = f"ledger entry {number} ({value['kind']})"
        if value["position"] != number:
            raise AuditError(f"{where}: it says position {value['position']}, an entry is missing or out of order")
        if value["previous"] != previous:
            raise AuditError(f"{where}: it follows {value['previous']}, the entry before it is {previous}")
        if value["proposal_id"] != proposal_id:
            raise AuditError(f"{where}: it belongs to proposal {value['proposal_id']}")
        previous = claimed
        values.append(value)
    if head is not None and [claimed for _, claimed in entries][head.position - 1 : head.position] != [head.digest]:
        raise AuditError(f"ledger entry {head.position} with digest {head.digest} is known and not among these")
    return values
