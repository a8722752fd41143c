"""What an import read, what it skipped and why, and what it had to guess."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from policy.catalogs.catalog_text import Source

_FIRST = 20


class Skip(NamedTuple):
    """Something that was not read: in which file, which entity or row, and why.

    `harmless`: there was nothing in it to read, so it is listed after what was wrong.
    """

    file: str
    entity: str
    reason: str
    harmless: bool = False


@dataclass(frozen=True)
class ImportReport:
    """The outcome of an import.

    Attributes:
        sources: the files, as the catalog names them.
        read: how many of each kind were read.
        skips: everything that was not.
        notes: what was read with a guess, or decided between two statements.
        dangling: references to entities that nobody described.
    """

    sources: tuple[Source, ...]
    read: dict[str, int]
    skips: tuple[Skip, ...] = ()
    notes: tuple[str, ...] = ()
    dangling: tuple[str, ...] = ()

    def lines(self, first: int = _FIRST) -> list[str]:
        """The report for people, with the first of each long list. Texts are as the files have them: neutralise them.

        Args:
            first: how many notes, skips and references are named; the others are counted.
        """
        skips = sorted(self.skips, key=lambda skip: skip.harmless)
        return [
            *(f"source {at}: {item.file}, {item.format}, {_as_of(item)}" for at, item in enumerate(self.sources)),
            *(f"read: {count} {kind}" for kind, count in sorted(self.read.items())),
            *(f"note: {note}" for note in self.notes[:first]),
            *([f"note: and {len(self.notes) - first} more"] if len(self.notes) > first else []),
            *_listed("skipped", [f"{skip.file}, {skip.entity}: {skip.reason}" for skip in skips], first),
            *_listed("not in the catalog, the worst is assumed", self.dangling, first),
        ]


def _as_of(source: Source) -> str:
    return f"as of {source.as_of}" if source.as_of else "of unknown age"


def _listed(what: str, items: Sequence[str], first: int) -> Iterator[str]:
    if items:
        yield f"{what}: {len(items)}"
        yield from (f"  {item}" for item in items[:first])
        if len(items) > first:
            yield f"  and {len(items) - first} more"
