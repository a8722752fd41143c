"""The log of a PostgreSQL server (`log_destination = jsonlog`, one JSON object a line): what of it changed something.

1. An effect is a logged statement that changes the server or its objects: ALTER SYSTEM, indexes, sessions that are
   ended, and every other statement of the kind that `log_statement = ddl` logs. Writes of rows are none: a database is
   there for them. Each statement of a text with several is an effect of its own.
2. The server logs a statement before it carries it out. One alone that it then refused in the same session is none,
   except where it runs CONCURRENTLY: that leaves something. What a transaction rolled back looks as if it was done.
3. The mark is the session's name, `countersign/<permit id>`. Anybody who can log in can take it.
4. The log shows every effect of `SHOWN` with `log_statement = ddl`; those of `SHOWN_BY_ALL` only where every statement
   of every role that could is logged (`all_statements`). It never shows what a function or a DO block does inside.
5. A line is text from outside, read to a size, and a line of JSON cannot pretend to be two. What cannot be read is
   counted. `log_timezone` has to be UTC.
   csvlog and stderr are not read: what is in a statement can look like a line of theirs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from policy.canonical import parse_json
from policy.errors import CanonicalError
from policy.trails import TrailEffect

MAX_LINE_BYTES = 1024 * 1024
ACTS = "countersign/"
SHOWN = frozenset(
    {"postgres.parameter.set", "postgres.parameter.reset", "postgres.index.create", "postgres.index.drop"}
)
SHOWN_BY_ALL = frozenset({"postgres.index.reindex", "postgres.session.terminate"})
OTHER = "postgres.statement.other"

_EVIDENCE, _TEXT = 300, 200
_STAMP = re.compile(rb'^\{"timestamp":"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) (?:UTC|GMT)"')
# Only lines with one of these are read further.
_WORTH = re.compile(
    rb"alter|create|drop|reindex|truncate|comment|grant|revoke|security|import|reassign|refresh|cluster|vacuum"
    rb"|terminate_backend|cancel_backend|reload_conf|rename",
    re.IGNORECASE,
)
_LOGGED = re.compile(r"^(?:statement|execute [^:]{1,80}): (?P<text>.*)", re.DOTALL)
_NOISE = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)+", re.DOTALL)
_QUOTED = re.compile(r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"]|\"\")*\"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/", re.DOTALL)
_NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|[\w$]+))*'
_CREATE_INDEX = (
    r"create\s+(?:unique\s+)?index\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?(?:(?!on\b)(?P<target>NAME)\s*)?"
    r"\bon\s+(?:only\s+)?(?P<table>NAME)"
)
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (operation, re.compile(form.replace("NAME", _NAME), re.IGNORECASE | re.DOTALL))
    for operation, form in (
        ("postgres.parameter.set", r"alter\s+system\s+set\s+(?P<target>NAME)"),
        ("postgres.parameter.reset", r"alter\s+system\s+reset\s+(?P<target>NAME)"),
        ("postgres.index.create", _CREATE_INDEX),
        ("postgres.index.drop", r"drop\s+index\s+(?:concurrently\s+)?(?:if\s+exists\s+)?(?P<target>NAME)"),
        (
            "postgres.index.reindex",
            r"reindex\s+(?:\([^)]*\)\s*)?(?:index|table|schema|database|system)\b(?:\s+concurrently\b)?\s*(?P<target>NAME)?",
        ),
        ("postgres.session.terminate", r".*\bpg_terminate_backend\s*\("),
        ("postgres.session.cancel", r".*\bpg_cancel_backend\s*\("),
        (
            OTHER,
            r"(?P<target>(?:alter|create|drop|truncate|comment|grant|revoke|security|import|reassign|refresh)\b.{0,60})",
        ),
    )
)
# What makes nothing that lasts beyond its session, and what the executor does to find out whether a value is accepted.
_PASSING = re.compile(r"create\s+(?:local\s+|global\s+)?temp", re.IGNORECASE)
_PID = re.compile(r"\$1 = '(\d+)'")
_BEGAN = re.compile(r"\$2 = '([^']+)'")
_LITERAL = re.compile(r"_backend\s*\(\s*'?(\d+)")


@dataclass(frozen=True)
class Trail:
    """What was read.

    Attributes:
        effects: in the order of the lines.
        unreadable: how many lines say nothing.
        unanswered: what was asked of the target and has no answer in the trail; a log of PostgreSQL has none of it.
        covers: from when to when the lines go (UTC); None without any.
    """

    effects: tuple[TrailEffect, ...]
    unreadable: int
    unanswered: tuple[str, ...] = ()
    covers: tuple[datetime, datetime] | None = None


def read_server_log(
    lines: Iterable[bytes], resource: str, own: tuple[str, ...] = (), since: datetime | None = None
) -> Trail:
    """The effects in lines of a server's JSON log.

    Args:
        lines: one JSON object each; empty ones are passed over.
        resource: the resource id of the catalog that stands for the server.
        own: names of roles whose statements are somebody else's to judge; none, unless an operator says so.
        since: what is older than this (UTC) is passed over.
    """
    found: dict[tuple[str, str], list[TrailEffect]] = {}
    order: list[TrailEffect] = []
    unreadable, first, last = 0, None, None
    for line in lines:
        if not line.strip():
            continue
        at = _at(line)
        if at is None or len(line) > MAX_LINE_BYTES:
            unreadable += 1
            continue
        if since is not None and at < since:
            continue
        first, last = min(first or at, at), max(last or at, at)
        if not _WORTH.search(line):
            continue
        try:
            entry = _entry(line)
        except (CanonicalError, _UnreadableError):
            unreadable += 1
            continue
        session = str(entry.get("session_id"))
        if entry["error_severity"] == "ERROR":
            refused = found.pop((session, _stripped(str(entry.get("statement")))), [])
            order = [item for item in order if not any(item is one for one in refused)]
        elif (logged := _logged(entry)) is not None and str(entry.get("user")) not in own:
            effects = list(_effects(entry, logged, at, resource))
            order += effects
            # Of several statements some may have been carried out before one was refused.
            if len(effects) == 1 and _is_alone(logged):
                found[session, _stripped(logged)] = effects
    covers = (first, last) if first is not None and last is not None else None
    return Trail(tuple(order), unreadable, covers=covers)


class _UnreadableError(Exception):
    """A line that is no entry of a log."""


def _at(line: bytes) -> datetime | None:
    stamp = _STAMP.match(line)
    return datetime.fromisoformat(stamp[1].decode()).replace(tzinfo=UTC) if stamp is not None else None


def _entry(line: bytes) -> Mapping[str, Any]:
    entry = parse_json(line.strip(), MAX_LINE_BYTES)
    if not isinstance(entry, dict) or not isinstance(entry.get("error_severity"), str):
        raise _UnreadableError
    return entry


def _logged(entry: Mapping[str, Any]) -> str | None:
    """The statement that an entry logs; None where it logs something else."""
    message = entry.get("message")
    logged = _LOGGED.match(message) if entry["error_severity"] == "LOG" and isinstance(message, str) else None
    # What a checkpointer or an autovacuum does is the server's own.
    return logged["text"] if logged is not None and entry.get("backend_type") == "client backend" else None


def _effects(entry: Mapping[str, Any], logged: str, at: datetime, resource: str) -> Iterator[TrailEffect]:
    name, permit = str(entry.get("application_name") or ""), None
    if name.startswith(ACTS):
        permit = _permit(name.removeprefix(ACTS))
    for statement in _statements(logged):
        if (told := _told(statement, str(entry.get("detail") or ""))) is not None:
            operation, target = told
            yield TrailEffect(
                at=at,
                target=target[:_TEXT],
                resource=resource,
                operation=operation,
                actor=str(entry.get("user") or "nobody")[:_TEXT],
                permit_id=permit,
                evidence=f"{entry.get('session_id')}:{entry.get('line_num')} {statement}"[:_EVIDENCE],
            )


def _is_alone(logged: str) -> bool:
    """Whether a text is one statement, which does all or nothing."""
    return len(list(_statements(logged))) == 1 and re.search(r"\bconcurrently\b", logged, re.IGNORECASE) is None


def _permit(name: str) -> str:
    """The permit id that a mark has; what is none stays what it is, and no permit has it."""
    try:
        return str(UUID(name))
    except ValueError:
        return name[:_TEXT] or "nothing"


def _told(statement: str, detail: str) -> tuple[str, str] | None:
    """Operation and target of one statement; None where it changes nothing that counts."""
    if _PASSING.match(statement):
        return None
    for operation, form in _FORMS:
        if (match := form.match(statement)) is None:
            continue
        if operation.startswith("postgres.session"):
            return operation, _session(statement, detail)
        if operation == OTHER:
            return operation, match["target"]
        target = _plain(match["target"] or "")
        if operation.startswith("postgres.parameter"):
            return operation, target.replace('"', "").lower()
        if operation == "postgres.index.create" and "." not in target:
            schema, dot, _ = _plain(match["table"]).rpartition(".")
            return operation, f"{schema}{dot}{target}"
        return operation, target
    return None


def _session(statement: str, detail: str) -> str:
    """The session that a statement ends, as the executor names it, as far as it says."""
    process, began = _PID.search(detail) or _LITERAL.search(statement), _BEGAN.search(detail)
    if process is None:
        return "sessions"
    try:
        began_at = datetime.fromisoformat(began[1]).astimezone(UTC).isoformat() if began is not None else None
    except ValueError:
        began_at = None
    return f"{process[1]}@{began_at}" if began_at is not None else process[1]


def _plain(name: str) -> str:
    """A name as the server's `format('%I')` writes it, without blanks around its dots."""
    parts = re.findall(r'"(?:[^"]|"")+"|[\w$]+', name)
    return ".".join(_unquoted(part) if part.startswith('"') else part.lower() for part in parts)


def _unquoted(part: str) -> str:
    bare = part[1:-1]
    return bare if re.fullmatch(r"[a-z_][a-z0-9_]*", bare) else part


def _statements(text: str) -> Iterator[str]:
    """The statements of a text, split where a semicolon is not within quotes; what precedes each is taken off."""
    hidden = _QUOTED.sub(
        lambda match: " " * len(match[0]) if match[0][:2] in ("--", "/*") else "x" * len(match[0]), text
    )
    start = 0
    for end in [match.start() for match in re.finditer(";", hidden)] + [len(text)]:
        if statement := _stripped(text[start:end]):
            yield statement
        start = end + 1


def _stripped(text: str) -> str:
    """A statement without what the server passes over before and after it."""
    begun = _NOISE.match(text)
    return text[begun.end() if begun else 0 :].strip().rstrip(";").strip()
