"""Governed documents in a real database: publishing, what is in force, and parsing once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from activities.database import Database
from activities.documents import Documents, Kind, NotPublishedError, in_force_at, kind_of, publish, stored
from deploy.dev import Stack
from policy.canonical import digest
from policy.errors import DocumentError
from tests.copies import create_migrated

NOW = datetime(2030, 1, 31, 9, tzinfo=UTC)
POLICY = b"""
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: default, version: "1"}
rules:
  - {id: everything, match: {environments: [production]}, verdict: deny}
"""
OPERATIONS = b"""
apiVersion: countersign/v1
kind: OperationsRegistry
metadata: {name: default, version: "1"}
operations: []
"""
DIRECTORY = b"""
apiVersion: countersign/v1
kind: Directory
metadata: {name: default, version: "1"}
people: [{id: ana}]
"""
CATALOG = b"""
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata: {name: orders-db}
spec: {}
"""
ALL: dict[Kind, bytes] = {"policy": POLICY, "operations": OPERATIONS, "catalog": CATALOG, "directory": DIRECTORY}


@pytest.fixture(name="owner")
async def _owner(stack: Stack) -> AsyncIterator[Database]:
    """A migrated, empty record, as a superuser."""
    name = f"documents_{uuid4().hex}"
    admin = await asyncpg.connect(stack.database_url("postgres", "postgres"))
    await create_migrated(stack, name)
    database = Database(stack.database_url("postgres", name), pool_size=2)
    yield database
    await database.close()
    await admin.execute(f"DROP DATABASE {name}")
    await admin.close()


async def _publish(owner: Database, kind: Kind, body: bytes) -> str:
    async with owner.transaction() as connection:
        return await publish(connection, kind, body, by="ana", at=NOW)


async def _publish_all(owner: Database) -> None:
    for kind, body in ALL.items():
        await _publish(owner, kind, body)


async def test_published_documents_are_in_force(owner: Database) -> None:
    """All four are given back parsed, with the digests of their bytes."""
    await _publish_all(owner)

    async with owner.snapshot() as connection:
        found = await Documents().in_force(connection)

    assert found.policy.documents[0].rules[0].id == "everything"
    assert found.policy_digest == digest(POLICY)
    assert "resource:default/orders-db" in found.catalog.entities
    assert found.catalog_digest == digest(CATALOG)
    assert found.directory.people[0].id == "ana"
    assert found.directory_digest == digest(DIRECTORY)
    assert found.operations.find("postgres.parameter.set") is None
    assert found.operations_digest == digest(OPERATIONS)


@pytest.mark.parametrize("missing", list(ALL))
async def test_a_kind_that_was_never_published_is_an_error(owner: Database, missing: Kind) -> None:
    """No kind is replaced by an empty document."""
    for kind, body in ALL.items():
        if kind != missing:
            await _publish(owner, kind, body)

    async with owner.snapshot() as connection:
        with pytest.raises(NotPublishedError, match=f"no {missing} is in force"):
            await Documents().in_force(connection)


async def test_the_newest_publication_is_in_force_and_the_older_ones_stay_readable(owner: Database) -> None:
    """A new version replaces the old one in force, publishing an old one again brings it back."""
    await _publish_all(owner)
    newer = POLICY.replace(b'"1"', b'"2"')
    documents = Documents()

    async def in_force() -> tuple[str, str]:
        async with owner.snapshot() as connection:
            found = await documents.in_force(connection)
            old = await documents.policy_by_digest(connection, digest(POLICY))
            return found.policy.metadata.version, old.metadata.version

    await _publish(owner, "policy", newer)
    assert await in_force() == ("2", "1")
    await _publish(owner, "policy", POLICY)
    assert await in_force() == ("1", "1")


async def test_what_was_in_force_at_an_instant_stays_known(owner: Database) -> None:
    """Each kind has the newest publication up to that instant, with its publisher; before the first there is none."""
    newer = POLICY.replace(b'"1"', b'"2"')
    await _publish_all(owner)
    for body, by, hours in ((newer, "ben", 1), (POLICY, "eva", 2)):
        async with owner.transaction() as connection:
            await publish(connection, "policy", body, by=by, at=NOW + timedelta(hours=hours))

    async def policy_at(hours: float) -> tuple[str, str, str]:
        async with owner.snapshot() as connection:
            found = (await in_force_at(connection, NOW + timedelta(hours=hours)))["policy"]
        return found.version, found.published_by, found.digest

    assert await policy_at(0) == ("1", "ana", digest(POLICY))
    assert await policy_at(1.5) == ("2", "ben", digest(newer))
    assert await policy_at(2) == ("1", "eva", digest(POLICY))
    async with owner.snapshot() as connection:
        assert list(await in_force_at(connection, NOW)) == list(ALL)
        assert await in_force_at(connection, NOW - timedelta(seconds=1)) == {}


async def test_publishing_what_is_in_force_changes_nothing(owner: Database) -> None:
    """Set-up can be repeated without a new publication."""
    await _publish_all(owner)
    await _publish_all(owner)

    async with owner.snapshot() as connection:
        count = await connection.exec_driver_sql("SELECT count(*) FROM countersign.publication")
        assert count.scalar_one() == len(ALL)


async def test_publications_at_the_same_time_follow_each_other(owner: Database) -> None:
    """Two people who publish at once both succeed, and one of the two is in force."""
    bodies = [POLICY.replace(b'"1"', b'"a"'), POLICY.replace(b'"1"', b'"b"')]

    published = await asyncio.gather(*(_publish(owner, "policy", body) for body in bodies))

    async with owner.snapshot() as connection:
        assert (await Documents().digests_in_force(connection))["policy"] in published


async def test_a_malformed_document_is_not_stored(owner: Database) -> None:
    """Publishing parses first and names what is wrong."""
    with pytest.raises(DocumentError, match="rules"):
        await _publish(owner, "policy", POLICY.split(b"rules")[0])

    async with owner.snapshot() as connection:
        count = await connection.exec_driver_sql("SELECT count(*) FROM countersign.document")
        assert count.scalar_one() == 0


async def test_a_digest_that_nobody_published_is_an_error(owner: Database) -> None:
    """A policy is found by its exact digest and kind, or not at all."""
    await _publish_all(owner)

    async with owner.snapshot() as connection:
        with pytest.raises(NotPublishedError, match="no policy has digest sha256:00"):
            await Documents().policy_by_digest(connection, "sha256:" + "0" * 64)
        with pytest.raises(NotPublishedError, match="no policy has digest"):
            await stored(connection, "policy", digest(CATALOG))


async def test_a_document_is_parsed_once(owner: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking again and again costs one query and no parsing, until another digest is in force."""
    await _publish_all(owner)
    documents = Documents()
    await documents.warm(owner)
    monkeypatch.setattr("activities.documents.READERS", {})

    async with owner.snapshot() as connection:
        first = await documents.in_force(connection)
        second = await documents.in_force(connection)

    assert first.policy is second.policy
    assert first.catalog is second.catalog


@pytest.mark.parametrize(("kind", "body"), ALL.items())
def test_a_document_says_its_kind(kind: Kind, body: bytes) -> None:
    """The kind is read from the document, so that nothing is published as something else by mistake."""
    assert kind_of(body) == kind


def test_a_text_of_no_governed_kind_is_refused() -> None:
    """A YAML file that happens to lie there is not taken for a document."""
    with pytest.raises(DocumentError, match="of no governed kind: set kind to one of PolicyDocument"):
        kind_of(b"services: {web: {image: nginx}}")
