"""What is checked: the documents of a policy with their places, and the world that they are checked against."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from policy.catalog import Catalog
from policy.checks.findings import Finding, Severity, finding
from policy.checks.positions import Place, Positions
from policy.document import PolicyDocument
from policy.operations import OperationsRegistry
from policy.people.directory import Directory


class WrittenPolicy(NamedTuple):
    """One document of a policy and where its parts stand."""

    document: PolicyDocument
    positions: Positions

    def say(self, severity: Severity, code: str, message: str, *path: str | int) -> Finding:
        """A finding about a part of this document."""
        return finding(severity, code, self.positions.of(*path), message, self.document.metadata.name)

    def place(self, *path: str | int) -> Place:
        """Where a part stands."""
        return self.positions.of(*path)


@dataclass(frozen=True)
class Subject:
    """The documents of one text, the instant (UTC) and the other documents, where they are given."""

    policies: Sequence[WrittenPolicy]
    now: datetime
    operations: OperationsRegistry | None = None
    catalog: Catalog | None = None
    directory: Directory | None = None

    @property
    def chains(self) -> Iterator[tuple[WrittenPolicy, str]]:
        """Each chain by its name, with the document that it is in."""
        return ((written, name) for written in self.policies for name in written.document.chains)
