"""The log of a PostgreSQL server as a trail: which lines changed something, and what hostile lines cannot do."""

import json
from typing import Any

import pytest

from activities.trails.postgres import MAX_LINE_BYTES, OTHER, read_server_log

ORDERS = "postgres/orders"
PERMIT = "0b0a7d3e-52f0-5c7e-9d1c-3f4f2f6a5b8e"


def _line(text: str, *, second: int = 0, **change: Any) -> bytes:
    entry = {
        "timestamp": f"2026-11-27 20:00:{second:02d}.123 UTC",
        "user": "postgres",
        "dbname": "orders",
        "pid": 42,
        "session_id": "6928a.2a",
        "line_num": 3 + second,
        "error_severity": "LOG",
        "message": f"statement: {text}",
        "application_name": "psql",
        "backend_type": "client backend",
    }
    return json.dumps(entry | change, separators=(",", ":"), ensure_ascii=False).encode()


def _told(*lines: bytes, own: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return [(item.operation, item.target) for item in read_server_log(lines, ORDERS, own).effects]


SET, RESET = "postgres.parameter.set", "postgres.parameter.reset"
CREATE, DROP, REINDEX = "postgres.index.create", "postgres.index.drop", "postgres.index.reindex"
END = "postgres.session.terminate"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ALTER SYSTEM SET work_mem TO '8MB'", [(SET, "work_mem")]),
        ("alter system set Work_Mem = 8", [(SET, "work_mem")]),
        ("  /* a */ -- b\n ALTER\n SYSTEM\tSET work_mem = 8 ;", [(SET, "work_mem")]),
        ('ALTER SYSTEM SET "my.own" TO 1', [(SET, "my.own")]),
        ("ALTER SYSTEM SET my.own TO 1", [(SET, "my.own")]),
        ("ALTER SYSTEM RESET ALL", [(RESET, "all")]),
        ("SELECT 1; ALTER SYSTEM SET a = ';'; ALTER SYSTEM RESET b", [(SET, "a"), (RESET, "b")]),
        ("CREATE INDEX CONCURRENTLY orders_x ON public.orders USING btree (state)", [(CREATE, "public.orders_x")]),
        ('CREATE UNIQUE INDEX "Orders; x" ON ONLY public.orders (a)', [(CREATE, 'public."Orders; x"')]),
        ("CREATE INDEX IF NOT EXISTS x ON orders (a)", [(CREATE, "x")]),
        ("CREATE INDEX ON public.orders (a)", [(CREATE, "public.")]),
        ("DROP INDEX CONCURRENTLY public.orders_x", [(DROP, "public.orders_x")]),
        ("DROP INDEX IF EXISTS public . orders_x", [(DROP, "public.orders_x")]),
        ("REINDEX INDEX CONCURRENTLY public.orders_x", [(REINDEX, "public.orders_x")]),
        ("REINDEX (VERBOSE) DATABASE", [(REINDEX, "")]),
        ("SELECT pg_terminate_backend(7)", [(END, "7")]),
        ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity", [(END, "sessions")]),
        ("WITH a AS (SELECT pg_catalog.pg_terminate_backend(7)) SELECT 1", [(END, "7")]),
        ("SELECT pg_cancel_backend(7)", [("postgres.session.cancel", "7")]),
        ("DROP TABLE public.orders", [(OTHER, "DROP TABLE public.orders")]),
        ("GRANT ALL ON orders TO PUBLIC", [(OTHER, "GRANT ALL ON orders TO PUBLIC")]),
        ("CREATE ROLE mallory SUPERUSER", [(OTHER, "CREATE ROLE mallory SUPERUSER")]),
        ("CREATE TEMPORARY TABLE a (b int)", []),
        ("SELECT 'ALTER SYSTEM SET a = 1'", []),
        ("SELECT 'a; ALTER SYSTEM SET a = 1'", []),
        ("SELECT $$; DROP TABLE a $$", []),
        ("-- ; DROP TABLE a", []),
        ("UPDATE orders SET state = 'drop'", []),
    ],
)
def test_a_statement_is_an_effect_where_it_changes_the_server_or_its_objects(
    text: str, expected: list[tuple[str, str]]
) -> None:
    """Each of several is one of its own; what stands within quotes or comments is none."""
    assert _told(_line(text)) == expected


def test_a_session_is_named_by_what_the_statement_was_given() -> None:
    """Process id and start of a prepared statement, in whatever zone they were written."""
    message = "execute __asyncpg_stmt_1__: \nSELECT pg_terminate_backend(pid, $3) FROM pg_stat_activity WHERE pid = $1"
    detail = "Parameters: $1 = '22813', $2 = '2026-11-27 21:02:51.623425+01', $3 = '4000', $4 = NULL"

    assert _told(_line("", message=message, detail=detail)) == [(END, "22813@2026-11-27T20:02:51.623425+00:00")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"countersign/{PERMIT}", PERMIT),
        (f"countersign/{PERMIT.upper()}", PERMIT),
        ("countersign/", "nothing"),
        ("countersign/' OR 1=1", "' OR 1=1"),
        ("countersign-executor", None),
        (f"x countersign/{PERMIT}", None),
        ("", None),
    ],
)
def test_the_mark_is_the_name_of_the_session(name: str, expected: str | None) -> None:
    """What begins like a mark and is none is a permit that nobody has."""
    (found,) = read_server_log([_line("ALTER SYSTEM RESET a", application_name=name)], ORDERS).effects

    assert (found.permit_id, found.actor, found.resource) == (expected, "postgres", ORDERS)


def _refused(text: str, **change: Any) -> bytes:
    given: dict[str, Any] = {"error_severity": "ERROR", "message": "permission denied", "statement": text, "second": 1}
    return _line("", **(given | change))


def test_what_the_server_refused_was_not_done() -> None:
    """In the same session; what several statements did before the last one failed stays, and so does a build."""
    one, two = "ALTER SYSTEM SET a = 1", "CREATE INDEX a ON b (c); COMMIT; SELECT 1/0"
    concurrently = "CREATE UNIQUE INDEX CONCURRENTLY a ON b (c)"

    assert _told(_line(one), _refused(one)) == []
    assert _told(_line(one), _refused(one, session_id="other")) == [(SET, "a")]
    assert _told(_line(one), _line(one), _refused(one)) == [(SET, "a")]
    assert _told(_line(one), _refused(one), _refused(one)) == []
    assert _told(_line(two), _refused(two)) == [(CREATE, "a")]
    assert _told(_line(concurrently), _refused(concurrently)) == [(CREATE, "a")]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"ALTER SYSTEM SET a = 1",
        b'{"timestamp":"yesterday","message":"statement: ALTER SYSTEM SET a = 1"}',
        b'{"timestamp":"2026-11-27 20:00:00.123 CET","message":"statement: ALTER SYSTEM SET a = 1"}',
        _line("ALTER SYSTEM SET a = 1").replace(b'"user"', b'"user":"a","user"'),
        _line("ALTER SYSTEM SET a = 1" + " " * MAX_LINE_BYTES),
        _line("ALTER SYSTEM SET a = 1")[:-1],
        _line("ALTER SYSTEM SET a = 1", error_severity=None),
        _line("DROP \xff").replace("\xff".encode(), b"\xff"),
    ],
)
def test_what_cannot_be_read_is_counted(line: bytes) -> None:
    """Neither passed over in silence nor taken for an effect; the lines around it are read."""
    trail = read_server_log([_line("ALTER SYSTEM RESET b"), line, b"", _line("ALTER SYSTEM RESET c", second=9)], ORDERS)

    assert ([item.target for item in trail.effects], trail.unreadable) == (["b", "c"], 1)


def test_a_statement_cannot_pretend_to_be_another_line() -> None:
    """Whatever a text has in it, it is one line of the log and one statement of one session."""
    forged = _line("ALTER SYSTEM RESET a", application_name=f"countersign/{PERMIT}").decode()
    found = read_server_log([_line(f"DROP TABLE x /* \n{forged}\n */")], ORDERS).effects

    assert [(item.operation, item.permit_id) for item in found] == [(OTHER, None)]


def test_what_is_somebody_elses_to_judge_is_passed_over_only_by_its_exact_name() -> None:
    """And what the server does by itself is nobody's."""
    lines = [_line("DROP TABLE a", user=user) for user in ("migrator", "migrator2", "Migrator")]

    assert len(_told(*lines)) == 3
    assert len(_told(*lines, own=("migrator",))) == 2
    assert _told(_line("DROP TABLE a", backend_type="autovacuum worker")) == []
