"""The copy outside the record: what a worker that issues remembers of the ledger, and when the record is behind it.

1. The copy has the last `REMEMBERED` entries by which permits were given to somebody: number, digest, proposal. The
   record has every one of them, number and digest, or it is behind: somebody restored a backup, or it is another one.
2. One entry would not do. Numbers are taken before the commit, so a higher one can be on record without a lower one. Of
   more entries than one process has transactions, one began after the oldest was remembered: what has that one has the
   oldest, too, so the oldest may be forgotten.
3. A copy that is lost or cannot be read is not an empty one: where the record has a permit, it counts as behind.
4. What the copy knows to be permitted and the record forgot stays refused after people acknowledged it: nobody can know
   from the record whether it ran.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from policy.base import Digest, EdgeModel, Instant, Reason, RecordModel
from policy.canonical import canonical, digest, parse_json
from policy.errors import CanonicalError, CountersignError, explain

CODE = "record_behind"
# Far above the transactions that processes with one file between them have open at a time (five each).
REMEMBERED = 64
# The ledger of what is about the record as a whole. No proposal can have this id.
RECORD_LEDGER = "@record"
_MAX_LOST = 10_000
_MAX_BYTES = 4 * 1024 * 1024
_FIX = "nothing is issued until people acknowledged it: `countersign record status`"


class AnchorError(CountersignError):
    """The copy outside the record cannot be read or written."""


class Known(EdgeModel):
    """An entry of the ledger that is remembered. `at` is when it was."""

    seq: Annotated[int, Field(ge=1)]
    digest: Digest
    proposal_id: str
    at: Instant


class AnchorCopy(EdgeModel):
    """What is remembered: the newest entries, in order, and the proposals of which the record forgot a permit."""

    v: Literal[1] = 1
    entries: Annotated[tuple[Known, ...], Field(max_length=REMEMBERED)] = ()
    lost: Annotated[tuple[str, ...], Field(max_length=_MAX_LOST)] = ()

    @property
    def body(self) -> bytes:
        """Its only bytes."""
        return canonical(self.model_dump(mode="json"))

    @property
    def newest(self) -> Known | None:
        """What was remembered last."""
        return self.entries[-1] if self.entries else None

    def remembers(self, known: Known) -> bool:
        """Whether an entry is among those that are remembered."""
        return any((item.seq, item.digest) == (known.seq, known.digest) for item in self.entries)

    def with_entry(self, known: Known) -> "AnchorCopy":
        """The copy with one entry more, and without the oldest where there are too many."""
        if self.remembers(known):
            return self
        return self.model_copy(update={"entries": (*self.entries, known)[-REMEMBERED:]})


class Behind(RecordModel):
    """How the record is behind the copy. `known` is the newest entry that it lacks, `missing` are the proposals of all
    that it lacks. Of `permitted_before` the record as a whole is in order by now.
    """

    kind: Literal["entry_missing", "copy_lost", "copy_unreadable", "permitted_before"]
    known: Known | None = None
    missing: tuple[str, ...] = ()

    @property
    def reason(self) -> Reason:
        """Why nothing is issued."""
        return Reason(code=CODE, message=self._why)

    @property
    def _why(self) -> str:
        match self.kind:
            case "entry_missing" if self.known is not None:
                entry = f"entry {self.known.seq} of the ledger ({self.known.digest})"
                what = f"by which a permit for {self.known.proposal_id} was issued"
                return f"the record lacks {entry}, {what}: a backup was restored; {_FIX}"
            case "permitted_before":
                return (
                    "a permit for this action was issued before a backup was restored, and nobody can know whether it "
                    "ran: look at its target, then propose it anew under another id"
                )
            case "copy_unreadable":
                return f"the copy outside the record cannot be read; {_FIX}"
        return f"the copy outside the record is gone, and the record has permits; {_FIX}"


def read_copy(body: bytes) -> AnchorCopy:
    """The copy as it is kept in a file.

    Raises:
        AnchorError: it is none.
    """
    try:
        copy = AnchorCopy.model_validate_json(canonical(parse_json(body, _MAX_BYTES)), strict=True)
    except CanonicalError as error:
        raise AnchorError(f"the copy outside the record is malformed: {error}") from None
    except ValidationError as error:
        raise AnchorError(f"the copy outside the record is malformed: {explain(error)}") from None
    return copy


def digest_of_copy(body: bytes | None) -> str | None:
    """What a statement about a copy names it by; None where there is none."""
    return digest(body) if body is not None else None


def missing_of(copy: AnchorCopy, found: Mapping[int, str]) -> tuple[Known, ...]:
    """The entries of a copy that a record lacks, which has these digests by number."""
    return tuple(item for item in copy.entries if found.get(item.seq) != item.digest)


def proposals_of(missing: Iterable[Known]) -> tuple[str, ...]:
    """The proposals of some entries, each once, sorted."""
    return tuple(sorted({item.proposal_id for item in missing} - {RECORD_LEDGER}))


def compare(body: bytes | None, found: Mapping[int, str], *, permitted: bool) -> Behind | None:
    """Whether a record is behind the copy; None where it is not.

    Args:
        body: the copy's bytes; None where there is none.
        found: the digests that the record has of the entries that the copy names, by number.
        permitted: whether the record has any permit.
    """
    if body is None:
        return Behind(kind="copy_lost") if permitted else None
    try:
        copy = read_copy(body)
    except AnchorError:
        return Behind(kind="copy_unreadable")
    missing = missing_of(copy, found)
    if not missing:
        return None
    return Behind(kind="entry_missing", known=missing[-1], missing=proposals_of(missing))


def refusal_of(body: bytes | None, behind: Behind | None, proposal_id: str) -> Behind | None:
    """Why nothing is issued for a proposal; None where nothing speaks against it.

    Args:
        body: the copy's bytes; None where there is none.
        behind: how the record is behind it.
        proposal_id: whose permit is asked for.
    """
    if behind is not None or body is None or proposal_id not in read_copy(body).lost:
        return behind
    return Behind(kind="permitted_before")


def reasons_of(content: Mapping[str, object]) -> tuple[Reason, ...]:
    """Why an open gate did not issue, by what a ledger entry keeps; nothing where it says nothing of a copy."""
    kept = content.get("behind")
    return (Behind.model_validate(kept).reason,) if kept is not None else ()
