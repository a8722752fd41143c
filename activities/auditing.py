"""Auditing one file, start to end: no server, no database, nothing but the file and the current code.

The order is that of `docs/spec/audit-export.md`: texts and chain, every evaluation from the ledger, the history's
shape, its replay, its answers against the ledger, and who wrote each entry. All findings are collected; one suffices.
"""

from dataclasses import dataclass

from temporalio.runtime import Runtime
from temporalio.worker import WorkflowRunner

from activities.encryption.keys import Keys
from activities.explaining import check_answers, check_carried, describe_end, explain_entries, read_calls
from activities.history import check_numbers, check_shape
from activities.matching import check_commands
from activities.recomputing import Recomputation
from activities.replaying import read_history, replay
from policy.audit import AuditFile, Finding, ReadEntry, check_texts, read_audit_file, read_entries
from policy.canonical import digest
from policy.errors import AuditError


@dataclass(frozen=True)
class Audited:
    """What came of an audit. Without findings the file is consistent, which does not prove it untampered."""

    file: AuditFile
    digest: str
    entries: tuple[ReadEntry, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Replaying:
    """Under what a history is replayed."""

    runner: WorkflowRunner
    runtime: Runtime | None
    keys: Keys | None


async def audit(
    body: bytes, runner: WorkflowRunner, runtime: Runtime | None = None, keys: Keys | None = None
) -> Audited:
    """Audit the bytes of an audit file.

    Args:
        body: the file.
        runner: the worker's, so that the replay is under the code that runs today.
        runtime: carries the SDK's own log; the process's unless given.
        keys: what opens the payloads of its history, where they are encrypted.

    Raises:
        AuditError: it is no audit file.
    """
    file = read_audit_file(body)
    entries, broken = read_entries(file)
    books = Recomputation(file, entries)
    findings = [*broken, *check_texts(file), *books.findings]
    notes = list(books.notes)
    if file.history is None:
        notes.append(f"no history, so only the ledger was checked: {file.history_note or 'no reason is given'}")
    else:
        found, said = await _audit_history(file, file.history, books, _Replaying(runner, runtime, keys))
        findings += found
        notes += said
    findings += _check_nothing(file)
    violations = [f"{entry.where}: {entry.content.get('what')}" for entry in entries if entry.kind == "violation"]
    # A text may be found wrong in two ways that say the same.
    return Audited(file, digest(body), entries, tuple(dict.fromkeys(findings)), (*notes, *violations))


async def _audit_history(
    file: AuditFile, history: dict[str, object], books: Recomputation, under: _Replaying
) -> tuple[list[Finding], list[str]]:
    try:
        read, events, unread = read_history(file.workflow_id, history, under.keys)
    except AuditError as error:
        return [Finding("history", str(error))], []
    if broken := check_numbers(events):
        return [broken], []
    replayed = await replay(read, under.runner, under.runtime)
    findings = [*check_shape(file, events), *check_commands(events, replayed)]
    findings += check_carried(events, books.entries)
    calls, unreadable = read_calls(events, replayed)
    findings += [*unreadable, *check_answers(calls, books)]
    notes = [*unread, *([end] if (end := describe_end(events)) else [])]
    if not replayed.failure:
        unexplained, origins = explain_entries(file, events, calls, books.entries)
        findings += unexplained
        notes += origins
    return findings, notes


def _check_nothing(file: AuditFile) -> list[Finding]:
    """A file that says nothing proves nothing."""
    if file.history is None and not file.entries:
        return [Finding("file", "it has neither a history nor a ledger")]
    if file.proposal is not None and not file.entries:
        return [Finding("ledger", "a proposal is registered and the ledger has no entry about it")]
    return []
