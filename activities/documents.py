"""The governed documents: publishing them, and asking which are in force.

- Of each kind the newest publication is in force. A kind that was never published is an error, never an empty document.
- A document is its bytes: the digest is checked where they are read, and they are parsed once per digest and process.
- Parsing a large catalog takes longer than a transaction may. It goes on when the transaction that asked gave up,
  so that the next attempt finds it done; `warm` does it before anybody asks.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, cast, get_args

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database import Database
from activities.tables import DocumentRow, PublicationRow
from policy.canonical import digest
from policy.catalog import Catalog, read_catalog
from policy.catalogs.json_stream import read_stream
from policy.document import PolicySet, read_policy
from policy.errors import CountersignError, DocumentError
from policy.operations import OperationsRegistry, read_operations
from policy.people.directory import Directory
from policy.revision import DocumentDigests
from signing.delegations import read_proved_directory

Kind = Literal["policy", "operations", "catalog", "directory"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Kinds whose text may hold several documents, each under a name of its own.
COMPOSED: tuple[Kind, ...] = ("policy", "operations")
Document: TypeAlias = PolicySet | OperationsRegistry | Catalog | Directory

READERS: Mapping[Kind, Callable[[bytes], Document]] = {
    "policy": read_policy,
    "operations": read_operations,
    "catalog": read_catalog,
    "directory": read_proved_directory,
}
_KIND_OF = {
    "PolicyDocument": "policy",
    "OperationsRegistry": "operations",
    "Directory": "directory",
    "CatalogSources": "catalog",
    "ServiceEdges": "catalog",
}
_CATALOG_NAME = "catalog"

_DOCUMENT = DocumentRow.__table__.c  # type: ignore[attr-defined]
_IN_FORCE = text(
    "SELECT DISTINCT ON (kind) kind, digest, published_at FROM countersign.publication ORDER BY kind, seq DESC"
)


_IN_FORCE_AT = text(
    "SELECT DISTINCT ON (publication.kind) publication.kind, digest, name, version, published_at, published_by"
    " FROM countersign.publication JOIN countersign.document USING (digest)"
    " WHERE published_at <= :at ORDER BY publication.kind, seq DESC"
)


_INSUFFICIENT_PRIVILEGE = "42501"
_LOCK = text("LOCK TABLE countersign.publication IN SHARE ROW EXCLUSIVE MODE")


class SupersededError(CountersignError):
    """Somebody else published in between: what was compared is not what is in force."""


class NotTheOwnerError(CountersignError):
    """The database role is none that may put documents in force."""


class NotPublishedError(CountersignError):
    """No document of a kind is in force, or none has the digest that was asked for."""


@dataclass(frozen=True)
class Publication:
    """That a document was put in force: which, when (UTC) and by whom. Name and version are what it says of itself."""

    kind: Kind
    digest: str
    name: str
    version: str
    published_at: datetime
    published_by: str


@dataclass(frozen=True)
class InForce:
    """The documents in force at one moment, parsed, with the digests of their bytes, and since when they are."""

    policy: PolicySet
    policy_digest: str
    operations: OperationsRegistry
    operations_digest: str
    catalog: Catalog
    catalog_digest: str
    directory: Directory
    directory_digest: str
    catalog_at: datetime | None = None
    directory_at: datetime | None = None

    @property
    def digests(self) -> DocumentDigests:
        """Which documents these are."""
        return DocumentDigests(
            policy=self.policy_digest,
            operations=self.operations_digest,
            catalog=self.catalog_digest,
            directory=self.directory_digest,
        )


class Documents:
    """Reads governed documents within the caller's transactions; one a process, so that each is parsed once."""

    def __init__(self) -> None:
        self._parsed: dict[str, asyncio.Future[Document]] = {}
        # One thread: parsing is CPU work and must not crowd out the event loop twice.
        self._parser = ThreadPoolExecutor(1, thread_name_prefix="parse-document")

    async def digests_in_force(self, connection: AsyncConnection) -> dict[Kind, str]:
        """The digest in force of each kind that was ever published; one query."""
        return {row.kind: row.digest for row in (await connection.execute(_IN_FORCE)).all()}

    async def in_force(self, connection: AsyncConnection) -> InForce:
        """All four documents in force; one query where they were read before.

        Raises:
            NotPublishedError: names the kind that is missing.
            DocumentError: a stored document is not what its digest says.

        """
        newest = (await connection.execute(_IN_FORCE)).all()
        digests: dict[Kind, str] = {row.kind: row.digest for row in newest}
        since: dict[Kind, datetime] = {row.kind: row.published_at for row in newest}
        for kind in KINDS:
            if kind not in digests:
                raise NotPublishedError(f"no {kind} is in force: publish one with `countersign policy publish FILE`")
        policy, operations, catalog, directory = [
            await self._document(connection, kind, digests[kind]) for kind in KINDS
        ]
        return InForce(
            policy=cast("PolicySet", policy),
            policy_digest=digests["policy"],
            operations=cast("OperationsRegistry", operations),
            operations_digest=digests["operations"],
            catalog=cast("Catalog", catalog),
            catalog_digest=digests["catalog"],
            directory=cast("Directory", directory),
            directory_digest=digests["directory"],
            catalog_at=since["catalog"],
            directory_at=since["directory"],
        )

    async def directory_in_force(self, connection: AsyncConnection) -> Directory | None:
        """The directory in force, or None where none was ever published; one query where it was read before."""
        wanted = (await self.digests_in_force(connection)).get("directory")
        if wanted is None:
            return None
        return cast("Directory", await self._document(connection, "directory", wanted))

    async def directories_at(self, connection: AsyncConnection, *instants: datetime) -> tuple[Directory, ...]:
        """The directories that were in force at some instants (UTC), each once; none before the first."""
        published = [(await in_force_at(connection, at)).get("directory") for at in instants]
        digests = dict.fromkeys(item.digest for item in published if item is not None)
        return tuple([cast("Directory", await self._document(connection, "directory", item)) for item in digests])

    async def deciding_at(self, connection: AsyncConnection, at: datetime) -> tuple[PolicySet, Directory] | None:
        """The policy and the directory that were in force at an instant (UTC); None where one was not there yet."""
        published = await in_force_at(connection, at)
        if "policy" not in published or "directory" not in published:
            return None
        policy, directory = [
            await self._document(connection, kind, published[kind].digest) for kind in ("policy", "directory")
        ]
        return cast("PolicySet", policy), cast("Directory", directory)

    async def policy_by_digest(self, connection: AsyncConnection, digest: str) -> PolicySet:
        """The policy with a digest, in force or not.

        Raises:
            NotPublishedError: no policy has this digest.

        """
        document = await self._document(connection, "policy", digest)
        return cast("PolicySet", document)

    async def warm(self, database: Database) -> None:
        """Read and parse what is in force outside of any transaction, so that none has to wait for it."""
        async with database.snapshot() as connection:
            digests = await self.digests_in_force(connection)
            waiting = [
                await self._parsing(connection, kind, wanted)
                for kind, wanted in digests.items()
                if wanted not in self._parsed
            ]
        await asyncio.gather(*(asyncio.shield(parsing) for parsing in waiting))

    async def _document(self, connection: AsyncConnection, kind: Kind, wanted: str) -> Document:
        parsing = self._parsed.get(wanted) or await self._parsing(connection, kind, wanted)
        return await asyncio.shield(parsing)

    async def _parsing(self, connection: AsyncConnection, kind: Kind, wanted: str) -> asyncio.Future[Document]:
        body = await stored(connection, kind, wanted)
        if wanted not in self._parsed:
            loop = asyncio.get_running_loop()
            self._parsed[wanted] = loop.run_in_executor(self._parser, READERS[kind], body)
        return self._parsed[wanted]


async def stored(connection: AsyncConnection, kind: Kind, wanted: str) -> bytes:
    """The bytes of a stored document.

    Raises:
        NotPublishedError: no document of this kind has this digest.
        DocumentError: the bytes are not what the digest says.

    """
    found = await connection.execute(select(_DOCUMENT.body).where(_DOCUMENT.digest == wanted, _DOCUMENT.kind == kind))
    body = found.scalar_one_or_none()
    if body is None:
        raise NotPublishedError(f"no {kind} has digest {wanted}")
    if digest(body) != wanted:
        raise DocumentError(f"the stored {kind} {wanted} has digest {digest(body)}: restore the database from a backup")
    return bytes(body)


async def in_force_at(connection: AsyncConnection, at: datetime) -> dict[Kind, Publication]:
    """What was in force of each kind at an instant (UTC), by the publications before it, the newest of each kind.

    A kind that was not yet published then is not in it.
    """
    found = (await connection.execute(_IN_FORCE_AT, {"at": at})).mappings().all()
    by_kind = {row["kind"]: Publication(**row) for row in found}
    return {kind: by_kind[kind] for kind in KINDS if kind in by_kind}


async def publishers_in_force(connection: AsyncConnection) -> dict[Kind, str]:
    """Who published the document in force of each kind."""
    newest = text("SELECT DISTINCT ON (kind) kind, published_by FROM countersign.publication ORDER BY kind, seq DESC")
    return {row.kind: row.published_by for row in (await connection.execute(newest)).all()}


async def lock_publications(connection: AsyncConnection) -> None:
    """Let nobody else publish until the transaction ends, so that the newest number is the newest publication.

    Raises:
        NotTheOwnerError: this role may not.
    """
    try:
        await connection.execute(_LOCK)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _INSUFFICIENT_PRIVILEGE:
            raise
        raise NotTheOwnerError("this role may not put documents in force: connect as countersign_owner") from None


async def publish(
    connection: AsyncConnection, kind: Kind, body: bytes, *, by: str, at: datetime, ceremony: str | None = None
) -> str:
    """Store a document and put it in force; its digest. Publishing what is in force already changes nothing.

    Args:
        connection: a transaction as `countersign_owner` or a superuser; no worker's role may do this.
        kind: which kind the document must be.
        body: the document as written; it is parsed first.
        by: who publishes, for people.
        at: the instant (UTC).
        ceremony: the digest of the statements by which it may (`activities/ceremonies.py`); without them an audit of
            the publications finds it.

    Raises:
        DocumentError: the document cannot be used, or its bytes are stored as another kind.
        NotTheOwnerError: this role may not.

    """
    name, version = identity_of(kind, body)
    key = digest(body)
    await lock_publications(connection)
    row = {"digest": key, "kind": kind, "name": name, "version": version, "body": body}
    await connection.execute(insert(DocumentRow).values(row).on_conflict_do_nothing())
    await _refuse_other_kind(connection, kind, key)
    in_force = {found.kind: found.digest for found in (await connection.execute(_IN_FORCE)).all()}
    if in_force.get(kind) != key:
        added = {"kind": kind, "digest": key, "published_at": at, "published_by": by, "ceremony": ceremony}
        await connection.execute(insert(PublicationRow).values(added))
    return key


async def publish_over(
    connection: AsyncConnection, kind: Kind, body: bytes, previous: str | None, *, by: str, at: datetime
) -> str:
    """Publish a document over the one that it was compared with; its digest.

    Args:
        connection: as for `publish`.
        kind: as for `publish`.
        body: as for `publish`.
        previous: the digest of what must be in force; None where nothing was.
        by: who publishes, for people.
        at: the instant (UTC).

    Raises:
        SupersededError: something else is in force by now.
        DocumentError: the document cannot be used.

    """
    await lock_publications(connection)
    in_force = {found.kind: found.digest for found in (await connection.execute(_IN_FORCE)).all()}.get(kind)
    if in_force != previous:
        raise SupersededError(f"{kind} {in_force} was published meanwhile: publish again to see what changes now")
    return await publish(connection, kind, body, by=by, at=at)


async def _refuse_other_kind(connection: AsyncConnection, kind: Kind, key: str) -> None:
    stored_kind = await connection.scalar(select(_DOCUMENT.kind).where(_DOCUMENT.digest == key))
    if stored_kind != kind:
        raise DocumentError(f"these bytes are stored as {stored_kind}, they cannot be published as {kind}")


def identity_of(kind: Kind, body: bytes) -> tuple[str, str]:
    """Name and version of a document, for people.

    Raises:
        DocumentError: it cannot be used.
    """
    return _identity(READERS[kind](body), digest(body))


def _identity(document: Document, key: str) -> tuple[str, str]:
    if isinstance(document, Catalog):
        return _CATALOG_NAME, key[7:19]
    return document.metadata.name, document.metadata.version


def kind_of(body: bytes) -> Kind:
    """Which kind of document a text declares itself to be; everything of Backstage's is catalog.

    Raises:
        DocumentError: it is no YAML, or of no kind that is governed.

    """
    items = (item for value in read_stream(body) for item in (value if isinstance(value, list) else [value]))
    first = next((item for item in items if item is not None), None)
    if isinstance(first, dict):
        declared = first.get("kind")
        if str(first.get("apiVersion", "")).startswith(("backstage.io/", "openslo/")):
            return "catalog"
        if isinstance(declared, str) and declared in _KIND_OF:
            return cast("Kind", _KIND_OF[declared])
    known = ", ".join(_KIND_OF)
    raise DocumentError(f"document is of no governed kind: set kind to one of {known}, or use backstage.io entities")
