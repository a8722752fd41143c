"""An audit file: everything that is needed to check one action without a server and without a database.

- It holds the Temporal history of one run, the ledger of its proposal, the proposal and the result as registered, and
  every governed document that the ledger names (`docs/spec/audit-export.md`).
- What is checked is that it holds together: chain and digests, documents by digest, and every recorded evaluation
  computed again. Somebody who can rewrite all of it consistently is not found out: "consistent, not proven untampered".
- A finding names the event or the entry, and says what was recorded and what was computed.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, cast, get_args

from pydantic import Field, ValidationError

from policy.base import Digest, EdgeModel, Instant
from policy.canonical import digest, parse_json
from policy.catalog import Catalog, read_catalog
from policy.document import PolicySet, read_policy
from policy.errors import AuditError, CanonicalError, DocumentError, explain
from policy.ledger import EntryKind, read_entry, verify_chain
from policy.operations import OperationsRegistry, read_operations
from policy.people.directory import Directory, read_directory

FORMAT: Literal["countersign-audit/1"] = "countersign-audit/1"
VERDICT = "consistent, not proven untampered"
MAX_FILE_BYTES = 256 * 1024 * 1024

DocumentKind: TypeAlias = Literal["policy", "operations", "catalog", "directory"]
_KINDS: tuple[DocumentKind, ...] = get_args(DocumentKind)
Document = TypeVar("Document")


class ExportedEntry(EdgeModel):
    """A ledger entry: its canonical bytes as text, and the digest under which the record lists them."""

    digest: Digest
    body: str


class ExportedDocument(EdgeModel):
    """A governed document: its bytes as text, and its digest."""

    kind: DocumentKind
    digest: Digest
    body: str


class AuditFile(EdgeModel):
    """One run of one action, exported. `history` is None where Temporal had none any more; `history_note` says why.
    `released` is how the record says that the hold ended which the action left; None where it left none or it stands.
    """

    format: Literal["countersign-audit/1"] = FORMAT
    exported_at: Instant
    proposal_id: str
    workflow_id: str
    run_id: str | None
    history: dict[str, Any] | None
    history_note: str = ""
    proposal: str | None
    entries: tuple[ExportedEntry, ...]
    documents: tuple[ExportedDocument, ...]
    result: str | None = None
    released: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None

    def body(self) -> bytes:
        """The bytes of the file: JSON, sorted and indented, so that two exports can be compared by eye."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True).encode()


@dataclass(frozen=True)
class Finding:
    """Something that does not hold together: which event or entry, and what is wrong with it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class ReadEntry:
    """A ledger entry, read."""

    entry_id: str
    position: int
    kind: EntryKind
    at: datetime
    late: bool
    content: Mapping[str, Any]
    digest: str

    @property
    def where(self) -> str:
        """How findings name it."""
        return f"ledger entry {self.position} ({self.kind})"


class GovernedDocuments:
    """The documents of an audit file, by digest; each is parsed once.

    Args:
        documents: their texts.
        directories: what reads a directory; by itself, nobody verifies the proofs in it.
    """

    def __init__(
        self, documents: Sequence[ExportedDocument], directories: Callable[[bytes], Directory] = read_directory
    ) -> None:
        self._directories = directories
        self._texts = {(item.kind, item.digest): item.body for item in documents}
        self._parsed: dict[tuple[str, str], object] = {}

    def policy(self, wanted: str) -> PolicySet:
        """The policy with that digest; all four raise AuditError where the file has none that can be read."""
        return self._read("policy", wanted, read_policy)

    def operations(self, wanted: str) -> OperationsRegistry:
        return self._read("operations", wanted, read_operations)

    def catalog(self, wanted: str) -> Catalog:
        return self._read("catalog", wanted, read_catalog)

    def directory(self, wanted: str) -> Directory:
        return self._read("directory", wanted, self._directories)

    def _read(self, kind: DocumentKind, wanted: str, read: Callable[[bytes], Document]) -> Document:
        if (kind, wanted) not in self._parsed:
            body = self._texts.get((kind, wanted), "").encode()
            if digest(body) != wanted:
                raise AuditError(f"the file has no {kind} {wanted}")
            try:
                self._parsed[kind, wanted] = read(body)
            except DocumentError as error:
                raise AuditError(f"{kind} {wanted}: {error}") from None
        return cast("Document", self._parsed[kind, wanted])


def read_audit_file(body: bytes) -> AuditFile:
    """Read an audit file.

    Raises:
        AuditError: it is none, and why.
    """
    try:
        value = parse_json(body, MAX_FILE_BYTES)
        return AuditFile.model_validate(value)
    except CanonicalError as error:
        raise AuditError(f"audit file cannot be read: {error}") from None
    except ValidationError as error:
        raise AuditError(f"audit file is malformed: {explain(error)}") from None


def read_entries(file: AuditFile) -> tuple[tuple[ReadEntry, ...], tuple[Finding, ...]]:
    """The entries of a file that can be read, and what is wrong with their chain."""
    rows = [(entry.body.encode(), entry.digest) for entry in file.entries]
    findings = []
    try:
        verify_chain(file.proposal_id, rows)
    except AuditError as error:
        findings.append(Finding("ledger", str(error)))
    entries = []
    for number, (body, claimed) in enumerate(rows, start=1):
        try:
            entries.append(_read(read_entry(body), claimed))
        except (AuditError, ValueError) as error:
            findings.append(Finding(f"ledger entry {number}", str(error)))
    return tuple(entries), tuple(findings)


def named_documents(entries: Sequence[ReadEntry]) -> frozenset[tuple[DocumentKind, str]]:
    """Kind and digest of every governed document that some entries name."""
    found: set[tuple[DocumentKind, str]] = set()
    for entry in entries:
        content = entry.content
        revision = content.get("revision")
        for digests in (content.get("documents"), revision.get("documents") if isinstance(revision, dict) else None):
            if isinstance(digests, dict):
                found |= {(kind, digests[kind]) for kind in _KINDS if isinstance(digests.get(kind), str)}
        if isinstance(content.get("directory"), str):
            found.add(("directory", content["directory"]))
    return frozenset(found)


def check_texts(file: AuditFile) -> list[Finding]:
    """Whether every text that is listed under a digest has it."""
    return [
        Finding(f"document {item.kind} {item.digest}", f"its bytes have digest {digest(item.body.encode())}")
        for item in file.documents
        if digest(item.body.encode()) != item.digest
    ]


def _read(value: Mapping[str, Any], claimed: str) -> ReadEntry:
    content = value["content"]
    if not isinstance(content, dict):
        raise AuditError("its content is no json object")
    return ReadEntry(
        entry_id=value["entry_id"],
        position=value["position"],
        kind=EntryKind(value["kind"]),
        at=datetime.fromisoformat(value["at"]),
        late=value["late"],
        content=content,
        digest=claimed,
    )
