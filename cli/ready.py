"""Making a Temporal and a database ready for Countersign: safe to run again, for a user's own and for the local stack.

The order matters: a worker that finds its search attributes missing runs without them, and one that finds no policy in
force denies nothing and allows nothing: it waits.
"""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.ceremonies import hold_ceremony
from activities.database import Database, DatabaseUnavailableError
from activities.documents import COMPOSED, READERS, Documents, Kind, kind_of, publish, publishers_in_force
from activities.schedules import ensure_schedules
from activities.settings import Role, Settings
from cli.documents import read_file
from deploy.dev import ANCHOR_NAME, StackAddresses
from deploy.migrations.roles import MigrationError
from deploy.migrations.runner import migrate
from deploy.orders import DATABASE as ORDERS
from deploy.orders import OPERATOR, READER, REPORTS, prepare_orders
from policy.canonical import digest
from policy.errors import CountersignError, DocumentError
from policy.search_attributes import TYPES
from signing.keys import kept_signing_key

EXAMPLES = Path(__file__).parents[1] / "examples"
RECORD = "countersign"
ROOT_POLICY = "development root policy"
# The id by which the example catalog knows the database `orders`.
ORDERS_RESOURCE = "postgres/orders"
TARGETS = {ORDERS_RESOURCE: ORDERS, "postgres/reports": REPORTS}

# Beside the record's own data: a permit that was issued before a restart is believed after it.
PERMIT_KEY = "permit-key.json"

_KINDS = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "KeywordList": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    "Datetime": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
}


class SetupError(CountersignError):
    """The user's own Temporal or database cannot be made ready by us."""


async def register_search_attributes(client: Client, wanted: Mapping[str, str] = TYPES) -> list[str]:
    """Register the search attributes that a namespace lacks; their names.

    Raises:
        SetupError: one exists with another type, or we may not register them.

    """
    service, namespace = client.operator_service, client.namespace
    try:
        listed = await service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
        for name, kind in wanted.items():
            if name in listed.custom_attributes and listed.custom_attributes[name] != _KINDS[kind]:
                found = IndexedValueType.Name(listed.custom_attributes[name]).removeprefix("INDEXED_VALUE_TYPE_")
                raise SetupError(
                    f"search attribute {name} has type {found.lower()}, it must be {kind}: rename the other"
                )
        missing = {name: _KINDS[kind] for name, kind in wanted.items() if name not in listed.custom_attributes}
        if missing:
            request = AddSearchAttributesRequest(namespace=namespace, search_attributes=missing)
            await service.add_search_attributes(request)
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            return []
        names = ", ".join(f"{name} ({kind})" for name, kind in wanted.items())
        raise SetupError(
            f"search attributes of namespace {namespace} cannot be registered ({error.message}): "
            f"have an administrator register {names}"
        ) from error
    return sorted(missing)


async def prepare_schedules(
    client: Client, *, slo_states: bool = False, notices: bool = False, trails: bool = False
) -> list[str]:
    """Make the schedules of housekeeping in a namespace; the ids of those that it lacked.

    Raises:
        SetupError: we may not make schedules there.

    """
    try:
        return await ensure_schedules(client, slo_states=slo_states, notices=notices, trails=trails)
    except RPCError as error:
        raise SetupError(
            f"schedules of namespace {client.namespace} cannot be made ({error.message}): "
            f"have an administrator run `countersign setup`"
        ) from error


async def publish_folder(
    url: str, folder: Path, *, statements: Sequence[Mapping[str, Any]] | None, by: str, at: datetime
) -> list[tuple[Kind, str, bool]]:
    """Put the documents of a folder in force of each kind that has none yet, all of them or none; kind, digest in force
    afterwards, and whether it is the folder's. What is in force changes by an action, never by setting up again.

    Args:
        url: the record, as its owner.
        folder: of the documents.
        statements: what people signed; None for the local development stack, where nobody does.
        by: who does it, for people.
        at: the instant (UTC).

    Raises:
        DocumentError: a document cannot be used, or two are of one kind; nothing was published then.

    """
    database = Database(url, pool_size=1, application="countersign-publish")
    bodies = documents_of(folder)
    try:
        async with database.transaction() as connection:
            in_force = await Documents().digests_in_force(connection)
            first = {kind: body for kind, body in bodies.items() if kind not in in_force}
            if statements is not None:
                await hold_ceremony(connection, first, statements, by=by, at=at)
            else:
                for kind, body in first.items():
                    await publish(connection, kind, body, by=by, at=at)
    finally:
        await database.close()
    now_in_force = {kind: in_force.get(kind) or digest(body) for kind, body in bodies.items()}
    return [(kind, key, key == digest(bodies[kind])) for kind, key in now_in_force.items()]


def documents_of(folder: Path) -> dict[Kind, bytes]:
    """The governed documents of a folder: files of one policy, or of one registry, are joined in the order of their
    names; the cases beside them (`*.tests.yaml`) are left alone.

    Raises:
        DocumentError: a document cannot be used, or there are two directories or two catalogs.

    """
    found: dict[Kind, list[tuple[Path, bytes]]] = {}
    for path in sorted(folder.glob("*.yaml")):
        if path.name.endswith(".tests.yaml"):
            continue  # cases for `countersign policy test`
        body = read_file(path)
        kind = kind_of(body)
        READERS[kind](body)
        if kind in found and kind not in COMPOSED:
            raise DocumentError(f"{path.name} and {found[kind][0][0].name} are both a {kind}: publish them one by one")
        found.setdefault(kind, []).append((path, body))
    if not found:
        raise DocumentError(f"folder {folder} has no *.yaml: name the folder of the documents")
    return {kind: _joined(kind, [body for _, body in files]) for kind, files in found.items()}


def _joined(kind: Kind, bodies: list[bytes]) -> bytes:
    """One text of several files; it is read again, because names may occur twice in the whole."""
    body = b"\n---\n".join(bodies)
    READERS[kind](body)
    return body


async def prepare_record(url: str) -> list[str]:
    """Migrate the record's database; the revisions applied.

    Raises:
        SetupError: the database does not exist, cannot be reached, or may not be migrated by this user.

    """
    try:
        return await migrate(url)
    except (DatabaseUnavailableError, MigrationError) as error:
        missing = ": create it first, `CREATE DATABASE`" if "does not exist" in str(error) else ""
        raise SetupError(f"the database cannot be migrated: {error}{missing}") from error


async def prepare_local(stack: StackAddresses, at: datetime, documents: Path = EXAMPLES) -> Settings:
    """Make a local stack ready for a worker that does everything; the worker's settings.

    Creates and migrates the record, publishes the example documents as development root policy where nobody has put
    another document in force, prepares the database `orders` as the one target, and makes the key that signs permits,
    which stays with the stack's data. Search attributes come with the stack.
    """
    server = stack.database_url("postgres", "postgres")
    connection = await asyncpg.connect(server)
    try:
        with contextlib.suppress(asyncpg.DuplicateDatabaseError):
            await connection.execute(f"CREATE DATABASE {RECORD}")
    finally:
        await connection.close()
    superuser = stack.database_url("postgres", RECORD)
    await prepare_record(superuser)
    await _publish_root(superuser, documents, at)
    await prepare_orders(server)
    return Settings(
        database_url=stack.database_url("countersign_app", RECORD),
        targets={name: stack.database_url(OPERATOR, database) for name, database in TARGETS.items()},
        target_readers={name: stack.database_url(READER, database) for name, database in TARGETS.items()},
        archive_dir=Path(stack.data_dir) / "archive",
        anchor_file=Path(stack.data_dir) / ANCHOR_NAME,
        unsafe_claimed_identities=True,
        unsafe_claimed_production=True,
        permit_key=kept_signing_key(Path(stack.data_dir) / PERMIT_KEY, "permit"),
        role=Role.all,
    )


async def _publish_root(url: str, folder: Path, at: datetime) -> None:
    database = Database(url, pool_size=1, application="countersign-publish")
    try:
        async with database.transaction() as connection:
            publishers = await publishers_in_force(connection)
            for kind, body in documents_of(folder).items():
                if publishers.get(kind, ROOT_POLICY) == ROOT_POLICY:
                    await publish(connection, kind, body, by=ROOT_POLICY, at=at)
    finally:
        await database.close()
