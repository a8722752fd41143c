"""The database roles and the schema, which exist before the first revision runs.

1. A missing role is created without any power of its own: it may log in, and that is all. Its password is the DBA's.
2. No role of ours may act as another of ours, as a superuser, as the owner of the database, or as a role that writes
   everything: then the grants would protect nothing, and the migration refuses.
3. Whoever migrates is a superuser, or is `countersign_owner` itself after a DBA ran `BY_A_DBA`.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

OWNER = "countersign_owner"
ROLES = (
    OWNER,
    "countersign_app",
    "countersign_control",
    "countersign_permit",
    "countersign_executor",
    "countersign_reader",
    "countersign_author",
    "countersign_halter",
)
CREATE_ROLE = "CREATE ROLE {role} LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
CREATE_SCHEMA = f"CREATE SCHEMA countersign AUTHORIZATION {OWNER}"
BY_A_DBA = ";\n".join([*(CREATE_ROLE.format(role=role) for role in ROLES), CREATE_SCHEMA]) + ";"

# Roles are shared by all databases of a server, so another database's migration may have just created this one.
_CREATE_IF_MISSING = """
DO $$ BEGIN {statement}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$
"""
_MISSING = "SELECT wanted FROM unnest(CAST(:roles AS text[])) AS wanted WHERE to_regrole(wanted) IS NULL"
_SCHEMA_OWNER = "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'countersign'"
_TOO_POWERFUL = """
SELECT ours.rolname, other.rolname
FROM pg_roles AS ours JOIN pg_roles AS other ON pg_has_role(ours.oid, other.oid, 'MEMBER')
WHERE ours.rolname = ANY (CAST(:roles AS text[]))
  AND (
    other.rolsuper OR other.rolcreaterole OR other.rolbypassrls OR other.rolreplication
    OR (other.oid <> ours.oid AND other.rolname = ANY (CAST(:roles AS text[])))
    OR other.rolname IN ('pg_write_all_data', 'pg_maintain', 'pg_write_server_files', 'pg_execute_server_program')
    OR (ours.rolname <> :owner AND other.oid = (SELECT datdba FROM pg_database WHERE datname = current_database()))
  )
ORDER BY 1, 2
"""


class MigrationError(Exception):
    """The database cannot be migrated safely as it is; the message says what a DBA has to do."""


async def prepare(connection: AsyncConnection) -> None:
    """Create the missing roles and the schema, and refuse roles that could undo what the grants protect.

    Raises:
        MigrationError: something is missing and the connecting user may not create it, or a role is too powerful.

    """
    missing = list((await connection.scalars(text(_MISSING), {"roles": list(ROLES)})).all())
    owner = await connection.scalar(text(_SCHEMA_OWNER))
    if missing or owner is None:
        await _create(connection, missing, schema=owner is None)
    elif owner != OWNER:
        raise MigrationError(f"schema countersign belongs to {owner}: ALTER SCHEMA countersign OWNER TO {OWNER}")
    await _refuse_power(connection)


async def _create(connection: AsyncConnection, missing: list[str], *, schema: bool) -> None:
    if not await connection.scalar(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")):
        raise MigrationError(f"roles or schema are missing: as a superuser run, in this database:\n{BY_A_DBA}")
    for role in missing:
        await connection.execute(text(_CREATE_IF_MISSING.format(statement=CREATE_ROLE.format(role=role))))
    if schema:
        await connection.execute(text(CREATE_SCHEMA))


async def _refuse_power(connection: AsyncConnection) -> None:
    found = (await connection.execute(text(_TOO_POWERFUL), {"roles": list(ROLES), "owner": OWNER})).all()
    if found:
        pairs = ", ".join(f"{ours} can act as {other}" if ours != other else f"{ours} itself" for ours, other in found)
        raise MigrationError(f"roles have powers that would make the record's protection void: {pairs}; revoke them")
