"""Auditing who governed: every publication of the record, in order, and by what it came in force.

1. By an action: its permit is of the operation that publishes, names this document over the one that was in force, was
   claimed and is reported as done; and the action's whole ledger is computed again (`activities/recomputing.py`), in
   which that permit was issued on the approvals of at least as many different people as governance pins.
2. By a ceremony: what its people signed verifies by the directory of then (the first: by the one that it brought),
   names exactly what came in force by it and over what, and was held once (`policy/ceremony.py`).
3. By neither: an `unsigned publication`. Nothing but the database's owner can make one.
4. Between two publications of a kind nothing is missing: each is over the document that the one before it put in force.

It proves who signed, as far as the keys do. It cannot see a publication at the end that an owner removed again: keep
the digest of the newest one elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.documents import Kind, stored
from activities.export import export_record
from activities.recomputing import MALFORMED, Recomputation, say
from policy.audit import Finding, check_texts, read_entries
from policy.builtin import PUBLISH
from policy.canonical import digest, parse_json
from policy.ceremony import Replaced
from policy.decision import Vote
from policy.governance import MINIMUM
from policy.people.directory import read_directory
from policy.permit import Permit
from signing.ceremonies import ceremony_faults
from workflows.interface import workflow_id

UNSIGNED = "unsigned publication"
_ALL = text(
    "SELECT p.seq, p.kind, p.digest, p.published_at, p.published_by, p.permit_id::text AS permit_id,"
    " t.body AS permit, u.use, r.status, p.ceremony, c.body AS statements"
    " FROM countersign.publication AS p LEFT JOIN countersign.permit AS t USING (permit_id)"
    " LEFT JOIN countersign.permit_use AS u USING (permit_id)"
    " LEFT JOIN countersign.effect_report AS r USING (permit_id)"
    " LEFT JOIN countersign.ceremony AS c ON c.digest = p.ceremony ORDER BY p.seq"
)


@dataclass(frozen=True)
class Published:
    """A publication as the record has it, with what it rests on."""

    seq: int
    kind: Kind
    digest: str
    published_at: datetime
    published_by: str
    permit_id: str | None
    permit: bytes | None
    use: str | None
    status: str | None
    ceremony: str | None
    statements: bytes | None

    @property
    def where(self) -> str:
        """How findings name it."""
        return f"publication {self.seq} ({self.kind})"

    @property
    def by(self) -> str:
        """By what it came in force, in words."""
        if self.permit_id is not None:
            return f"permit {self.permit_id}"
        return f"ceremony {self.ceremony}" if self.ceremony is not None else "nothing that anybody signed"


@dataclass
class Governed:
    """What an audit of publications found; `notes` is what holds and should be known all the same."""

    publications: tuple[Published, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def audit_publications(connection: AsyncConnection, at: datetime) -> Governed:
    """Walk all publications.

    Args:
        connection: in one snapshot, as any role that may read.
        at: the instant (UTC) of the audit.
    """
    rows = [dict(row) for row in (await connection.execute(_ALL)).mappings()]
    found = Governed(tuple(Published(**row) for row in rows))
    walk = _Walk(connection, at, found)
    for _, together in groupby(found.publications, lambda item: item.ceremony or item.seq):
        await walk.take(tuple(together))
    return found


class _Walk:
    """One walk from the first publication to the newest."""

    def __init__(self, connection: AsyncConnection, at: datetime, found: Governed) -> None:
        self._connection, self._at, self._found = connection, at, found
        self._in_force: dict[Kind, str] = {}
        self._held: set[str] = set()

    async def take(self, together: Sequence[Published]) -> None:
        """Check one publication, or those of one ceremony, and let them be in force."""
        first = together[0]
        try:
            for item in together:
                await stored(self._connection, item.kind, item.digest)
            problems = await self._problems(first, together)
        except MALFORMED as error:
            problems = [f"cannot be checked: {say(error)}"]
        self._found.findings += [Finding(first.where, problem) for problem in problems]
        self._in_force |= {item.kind: item.digest for item in together}

    async def _problems(self, first: Published, together: Sequence[Published]) -> list[str]:
        if first.permit_id is not None:
            return await self._by_permit(first)
        if first.ceremony is not None:
            return await self._by_ceremony(first, first.ceremony, together)
        by = f"{first.published_by} at {first.published_at.isoformat()}"
        return [f"{UNSIGNED}: {first.digest} by {by}, over {self._in_force.get(first.kind, 'none')}"]

    async def _by_permit(self, item: Published) -> list[str]:
        if item.permit is None:
            return [f"permit {item.permit_id} is not in the record"]
        permit = Permit.model_validate_json(item.permit)
        wanted = {"kind": item.kind, "digest": item.digest, "previous": self._in_force.get(item.kind)}
        found = [
            f"{name} is {value}, its permit says {permit.parameters.get(name)}"
            for name, value in wanted.items()
            if permit.parameters.get(name) != value
        ]
        if permit.operation != PUBLISH or permit.dry_run:
            found.append(f"its permit is of {'a dry run of ' if permit.dry_run else ''}{permit.operation}")
        if item.use != "claimed":
            found.append("its permit was never claimed")
        if item.status != "succeeded":
            found.append(f"nobody reported that it was done: the report is {item.status or 'missing'}")
        return found + [f"action {permit.proposal_id}: {problem}" for problem in await self._of_action(item, permit)]

    async def _of_action(self, item: Published, permit: Permit) -> list[str]:
        """What is wrong with the action that a permit is of, by its ledger alone."""
        file = await export_record(self._connection, workflow_id(permit.proposal_id), self._at)
        entries, broken = read_entries(file)
        books = Recomputation(file, entries)
        found = [str(problem) for problem in (*broken, *check_texts(file), *books.findings)]
        if books.permits.get(permit.permit_id) != permit:
            found.append("its ledger issues no such permit")
        approvals = [ballot for ballot in (books.case.ballots if books.case else ()) if ballot.vote is Vote.approve]
        people = sorted({ballot.person_id for ballot in approvals})
        if len(people) < MINIMUM:
            found.append(f"approved by {', '.join(people) or 'nobody'}, at least {MINIMUM} people must")
        if claimed := sorted({ballot.person_id for ballot in approvals if not ballot.signed}):
            self._found.notes.append(f"{item.where}: that {', '.join(claimed)} approved it is only claimed")
        return found

    async def _by_ceremony(self, first: Published, key: str, together: Sequence[Published]) -> list[str]:
        if key in self._held:
            return [f"ceremony {key} was over before: {UNSIGNED}"]
        self._held.add(key)
        if first.statements is None or digest(first.statements) != key:
            return [f"ceremony {key} is not in the record as it was held: {UNSIGNED}"]
        brought = next((item.digest for item in together if item.kind == "directory"), None)
        wanted = self._in_force.get("directory", brought)
        if wanted is None:
            return ["no directory was in force, and its ceremony brought none"]
        directory = read_directory(await stored(self._connection, "directory", wanted))
        documents = [
            Replaced(kind=item.kind, digest=item.digest, previous=self._in_force.get(item.kind)) for item in together
        ]
        return list(ceremony_faults(parse_json(first.statements), documents, directory, first.published_at))
