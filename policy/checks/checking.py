"""`policy check`: what is wrong with a governed document, where, and what to do about it.

- First what cannot be read at all, then what the schema refuses, every place of it, then what contradicts itself. Only
  a document that can be used is looked at further: what it can never do, whom it asks in vain, what is over, what it
  names and nobody knows, what it does not cover.
- What is not given is not checked: without a directory no chain is, without an operations registry no name of one.
- A directory that is too large for YAML is read as JSON; what is wrong with it has no place in its text.
- Nothing that somebody writes makes it raise or run on: size, depth and number of findings are bounded.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import ValidationError

from policy.base import EdgeModel
from policy.catalog import Catalog, read_catalog
from policy.checks.checking_dates import date_findings
from policy.checks.checking_deadlines import deadline_findings
from policy.checks.checking_gaps import gap_findings
from policy.checks.checking_names import name_findings
from policy.checks.checking_newcomers import newcomer_findings
from policy.checks.checking_people import people_findings
from policy.checks.checking_proofs import proof_findings
from policy.checks.checking_reach import reach_findings
from policy.checks.findings import Finding, Severity, finding, in_order
from policy.checks.positions import Place, Positions
from policy.document import PolicyDocument, PolicySet, read_policy
from policy.errors import DocumentError
from policy.governed import MAX_DOCUMENTS
from policy.operations import OperationsRegistry, read_operations
from policy.people.directory import Directory, read_directory
from policy.subject import Subject, WrittenPolicy
from policy.yaml_text import MAX_DOCUMENT_BYTES, Written, read_written

Kind = Literal["policy", "operations", "catalog", "directory"]
READERS: Mapping[Kind, Callable[[bytes], object]] = {
    "policy": read_policy,
    "operations": read_operations,
    "catalog": read_catalog,
    "directory": read_directory,
}
MODELS: Mapping[Kind, type[EdgeModel]] = {"policy": PolicyDocument, "directory": Directory}


def check(
    kind: Kind,
    body: bytes,
    *,
    now: datetime,
    operations: OperationsRegistry | None = None,
    catalog: Catalog | None = None,
    directory: Directory | None = None,
) -> tuple[Finding, ...]:
    """Everything that is found in a governed document, in the order of its text; pure.

    Args:
        kind: what it is.
        body: its text.
        now: the instant (UTC) that ends and reviews are compared with.
        operations: the operations registry that a policy's names are looked up in.
        catalog: the same for environments, targets, systems and owners.
        directory: the people who must be able to satisfy its chains.
    """
    try:
        placed = kind in MODELS and not (kind == "directory" and len(body) > MAX_DOCUMENT_BYTES)
        written = [item for item in read_written(body) if item.value is not None] if placed else []
    except DocumentError as error:
        return (_unreadable(error),)
    found, models = _schema(written, MODELS.get(kind))
    if found:
        return in_order(found)
    policies = [WrittenPolicy(document, places) for document, places in models if isinstance(document, PolicyDocument)]
    try:
        # What was read needs not be read again.
        if 0 < len(policies) <= MAX_DOCUMENTS:
            _put_together(policies)
        else:
            READERS[kind](body)
    except DocumentError as error:
        return (_unreadable(error, [Positions(item.node) for item in written]),)
    if kind != "policy":
        return ()
    subject = Subject(policies, now, operations=operations, catalog=catalog, directory=directory)
    parts = (
        name_findings,
        reach_findings,
        gap_findings,
        people_findings,
        newcomer_findings,
        proof_findings,
        date_findings,
        deadline_findings,
    )
    return in_order(item for part in parts for item in part(subject))


def _put_together(policies: list[WrittenPolicy]) -> None:
    """Refuse documents that cannot be in force together."""
    try:
        PolicySet(documents=tuple(item.document for item in policies))
    except ValidationError as error:
        raise DocumentError("; ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())) from None


def _schema(written: list[Written], model: type[EdgeModel] | None) -> tuple[list[Finding], list[tuple[Any, Positions]]]:
    found: list[Finding] = []
    models = []
    for item in written if model else ():
        assert model is not None
        places = Positions(item.node)
        try:
            models.append((model.model_validate_json(json.dumps(item.value), strict=True), places))
        except ValidationError as error:
            name = _name(item.value)
            found += [finding(Severity.error, "schema", at, text, name) for at, text in places.misfits(error)]
    return found, models


def _unreadable(error: DocumentError, places: list[Positions] | None = None) -> Finding:
    """What a reader refuses as a whole, at its own place or at that of what it names last."""
    message = str(error)
    if error.line is not None and error.column is not None:
        place = Place(error.line, error.column)
        message = message.removeprefix(f"line {error.line}, column {error.column}: ")
        return finding(Severity.error, "unreadable", place, message)
    named = [at for item in places or () if (at := item.named(message))]
    return finding(Severity.error, "unusable", named[-1] if named else Place(1, 1), message)


def _name(value: Any) -> str:
    metadata = value.get("metadata") if isinstance(value, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""
