"""What each database role may do to the record, tried as that role."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from deploy.dev import Stack
from deploy.migrations.runner import migrate
from tests.integration.record_rows import MAY_INSERT, NOW, OTHER_DIGEST, RECORD, VOID, WITH_BODY

ROLES = ["countersign_app", "countersign_control", "countersign_permit", "countersign_executor", "countersign_reader"]
ROLES += ["countersign_author", "countersign_halter"]
ON_EACH_TABLE = {
    "update": "UPDATE countersign.{table} SET {column} = {column}",
    "delete": "DELETE FROM countersign.{table}",
    "truncate": "TRUNCATE countersign.{table} CASCADE",
    "drop": "DROP TABLE countersign.{table} CASCADE",
    "disable_trigger": "ALTER TABLE countersign.{table} DISABLE TRIGGER ALL",
    "disable_one_trigger": "ALTER TABLE countersign.{table} DISABLE TRIGGER refuse_row",
    "drop_trigger": "DROP TRIGGER refuse_row ON countersign.{table}",
    "create_trigger": "CREATE TRIGGER mine BEFORE INSERT ON countersign.{table} "
    "FOR EACH ROW EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
    "create_rule": "CREATE RULE mine AS ON INSERT TO countersign.{table} DO INSTEAD NOTHING",
    "create_policy": "CREATE POLICY mine ON countersign.{table} FOR ALL USING (true)",
    "disable_row_security": "ALTER TABLE countersign.{table} DISABLE ROW LEVEL SECURITY",
    "add_column": "ALTER TABLE countersign.{table} ADD COLUMN mine text",
    "create_index": "CREATE INDEX ON countersign.{table} ((1))",
    "take_ownership": "ALTER TABLE countersign.{table} OWNER TO CURRENT_USER",
    "lock_out_others": "DO $$ BEGIN LOCK TABLE countersign.{table} IN ACCESS EXCLUSIVE MODE; END $$",
}
ONCE = {
    "session_replication_role": "SET session_replication_role = replica",
    "set_role_owner": "SET ROLE countersign_owner",
    "set_role_superuser": "SET ROLE postgres",
    "session_authorization": "SET SESSION AUTHORIZATION countersign_owner",
    "grant_owner": "GRANT countersign_owner TO CURRENT_USER",
    "become_superuser": "ALTER ROLE CURRENT_USER SUPERUSER",
    "bypass_row_security": "ALTER ROLE CURRENT_USER BYPASSRLS",
    "create_table": "CREATE TABLE countersign.mine (a int)",
    "create_view": "CREATE VIEW countersign.mine AS SELECT 1",
    "create_function": "CREATE FUNCTION countersign.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "replace_function": "CREATE OR REPLACE FUNCTION countersign.refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN RETURN NEW; END'",
    "drop_function": "DROP FUNCTION countersign.refuse_change() CASCADE",
    "execute_function": "SELECT countersign.refuse_change()",
    "drop_schema": "DROP SCHEMA countersign CASCADE",
    "rename_schema": "ALTER SCHEMA countersign RENAME TO mine",
    "drop_policy": "DROP POLICY may_insert_as_control ON countersign.permit_use",
    "turn_back_the_sequence": "SELECT setval('countersign.ledger_entry_seq_seq', 1)",
    "forge_the_revision": "UPDATE countersign.alembic_version SET version_num = 'mine'",
    "edit_the_catalog": "UPDATE pg_catalog.pg_trigger SET tgenabled = 'D'",
    "run_a_program": "COPY (SELECT 1) TO PROGRAM 'true'",
}

Connect = Callable[[str], Any]


@pytest.fixture(name="record", scope="module")
def _record(stack: Stack) -> Iterator[Connect]:
    """A database with one row in every table; gives a function that connects to it as a role."""
    database = f"roles_{uuid4().hex}"

    async def admin(statement: str) -> None:
        connection = await asyncpg.connect(stack.database_url("postgres", "postgres"))
        await connection.execute(statement)
        await connection.close()

    async def fill() -> None:
        await admin(f"CREATE DATABASE {database}")
        await migrate(stack.database_url("postgres", database))
        connection = await asyncpg.connect(stack.database_url("countersign_owner", database))
        for table, row in RECORD.items():
            await insert(connection, table, row)
        await connection.close()

    asyncio.run(fill())
    yield lambda role: asyncpg.connect(stack.database_url(role, database))
    asyncio.run(admin(f"DROP DATABASE {database} WITH (FORCE)"))


@pytest.fixture(name="empty")
async def _empty(record: Connect) -> AsyncIterator[Any]:
    """A superuser's transaction, rolled back at the end, in which the record is empty."""
    connection = await record("postgres")
    transaction = connection.transaction()
    await transaction.start()
    for table in RECORD:
        await connection.execute(f"ALTER TABLE countersign.{table} DISABLE TRIGGER refuse_statement")
    await connection.execute(f"TRUNCATE {', '.join(f'countersign.{table}' for table in RECORD)}")
    yield connection
    await transaction.rollback()
    await connection.close()


async def insert(connection: Any, table: str, row: dict[str, Any], overriding: str = "") -> None:
    marks = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await connection.execute(
        f"INSERT INTO countersign.{table} ({', '.join(row)}) {overriding} VALUES ({marks})", *row.values()
    )


async def insert_before(connection: Any, table: str) -> None:
    """Insert every row that `table` may refer to."""
    for name, row in RECORD.items():
        if name == table:
            break
        await insert(connection, name, row)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("attack", ON_EACH_TABLE)
async def test_a_worker_role_cannot_change_any_table(record: Connect, role: str, attack: str) -> None:
    """Nobody but the owner may change the rows or the structure of any table."""
    connection = await record(role)
    for table, row in RECORD.items():
        statement = ON_EACH_TABLE[attack].format(table=table, column=next(iter(row)))

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("attack", ONCE)
async def test_a_worker_role_cannot_get_around_the_protection(record: Connect, role: str, attack: str) -> None:
    """Nobody but the owner may switch roles, silence triggers, or make or replace anything in the schema."""
    connection = await record(role)

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(ONCE[attack])
    await connection.close()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", RECORD)
async def test_each_role_inserts_what_is_granted_and_nothing_else(empty: Any, role: str, table: str) -> None:
    """A role inserts into the tables of its task only."""
    await insert_before(empty, table)
    row = RECORD[table]
    if (role, table) == ("countersign_control", "permit_use"):
        row = {**row, **VOID}
    await empty.execute(f"SET LOCAL ROLE {role}")

    if table in MAY_INSERT[role]:
        await insert(empty, table, row)
    else:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await insert(empty, table, row)


@pytest.mark.parametrize("role", [role for role in ROLES if role != "countersign_halter"])
async def test_every_role_reads_every_table(record: Connect, role: str) -> None:
    """Whoever may connect as one of the roles sees the whole record, row policies included."""
    connection = await record(role)

    assert {table: await connection.fetchval(f"SELECT count(*) FROM countersign.{table}") for table in RECORD} == (
        dict.fromkeys(RECORD, 1)
    )
    await connection.close()


@pytest.mark.parametrize(("role", "change"), [("countersign_control", {}), ("countersign_executor", VOID)])
async def test_only_the_executor_claims_and_only_control_voids(empty: Any, role: str, change: dict[str, Any]) -> None:
    """Control cannot claim a permit and an executor cannot void one."""
    await insert_before(empty, "permit_use")
    await empty.execute(f"SET LOCAL ROLE {role}")

    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await insert(empty, "permit_use", {**RECORD["permit_use"], **change})


@pytest.mark.parametrize("change", [{}, VOID], ids=["claimed", "void"])
async def test_the_application_may_claim_and_void(empty: Any, change: dict[str, Any]) -> None:
    """The union of the worker roles writes both uses of a permit."""
    await insert_before(empty, "permit_use")
    await empty.execute("SET LOCAL ROLE countersign_app")

    await insert(empty, "permit_use", {**RECORD["permit_use"], **change})


@pytest.mark.parametrize("role", ["countersign_app", "countersign_control"])
async def test_a_role_cannot_choose_the_number_of_a_ledger_entry(record: Connect, role: str) -> None:
    """The order of the ledger comes from the database, also with OVERRIDING SYSTEM VALUE."""
    connection = await record(role)
    row = {**RECORD["ledger_entry"], "entry_id": uuid4(), "position": 2, "seq": 99}

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await insert(connection, "ledger_entry", row, "OVERRIDING SYSTEM VALUE")
    await connection.close()


@pytest.mark.parametrize("role", ["countersign_owner", "postgres"])
@pytest.mark.parametrize("table", RECORD)
@pytest.mark.parametrize("attack", ["update", "delete", "truncate"])
async def test_triggers_refuse_changes_to_the_owner_too(record: Connect, role: str, table: str, attack: str) -> None:
    """The owner and a superuser cannot change a row in passing, also as a replica."""
    connection = await record(role)
    if role == "postgres":
        await connection.execute("SET session_replication_role = replica")
    statement = ON_EACH_TABLE[attack].format(table=table, column=next(iter(RECORD[table])))

    with pytest.raises(asyncpg.RestrictViolationError, match=r"the record is append-only"):
        await connection.execute(statement)
    await connection.close()


async def test_a_role_without_grants_sees_nothing(record: Connect) -> None:
    """PUBLIC has no right in the schema."""
    admin = await record("postgres")
    await admin.execute("CREATE ROLE stranger LOGIN")
    try:
        stranger = await record("stranger")
        for table in RECORD:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await stranger.execute(f"SELECT 1 FROM countersign.{table}")
        await stranger.close()
    finally:
        await admin.execute("DROP ROLE stranger")
        await admin.close()


@pytest.mark.parametrize("table", WITH_BODY)
async def test_a_row_carries_the_digest_of_its_body(empty: Any, table: str) -> None:
    """A digest that is not that of the stored bytes is refused."""
    await insert_before(empty, table)
    column = "action_digest" if table == "proposal" else "digest"

    with pytest.raises(asyncpg.CheckViolationError, match=f"{table}_digest"):
        await insert(empty, table, {**RECORD[table], column: OTHER_DIGEST})


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("document", {"kind": "poem"}),
        ("proposal", {"effect_digest": "sha256:ABC"}),
        ("decision", {"counted": True}),
        ("resolution", {"kind": "shrugged"}),
        ("stop", {"kind": "paused"}),
        ("permit", {"direction": "sideways"}),
        ("permit", {"direction": "do"}),
        ("permit", {"expires_at": NOW}),
        ("permit", {"action_digest": ""}),
        ("permit_use", {"use": "maybe"}),
        ("permit_use", {"attempt_token": None}),
        ("effect_report", {"status": "fine"}),
        ("archive", {"digest": "sha256:"}),
        ("permit_use", {**VOID, "effect": "postgres.parameter.set"}),
        ("slo_state", {"budget_left": float("nan")}),
        ("slo_state", {"budget_left": 1.5}),
    ],
)
async def test_rows_that_mean_nothing_are_refused(empty: Any, table: str, change: dict[str, Any]) -> None:
    """A kind outside its list, a counted refusal, a claim without its attempt and a permit without end are refused."""
    await insert_before(empty, table)

    with pytest.raises(asyncpg.CheckViolationError):
        await insert(empty, table, {**RECORD[table], **change})


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("permit", {"permit_id": UUID(int=9)}),
        ("permit_use", VOID),
        ("resolution", {"kind": "denied"}),
        ("stop", {"kind": "withdrawn"}),
        ("ledger_entry", {"entry_id": UUID(int=9)}),
    ],
)
async def test_the_first_writer_wins(record: Connect, table: str, change: dict[str, Any]) -> None:
    """A second permit for a step, use of a permit, resolution, stop or entry at a position is refused."""
    connection = await record("countersign_owner")

    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(connection, table, {**RECORD[table], **change})
    await connection.close()
