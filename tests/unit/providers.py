"""What identity providers say of people, and what an import makes of it."""

import json
from typing import Any

from policy.importing.directories import ImportedDirectory, import_directory
from policy.people.directory import Directory, Person
from tests.unit.builders import T0
from tests.unit.people import days, held, people

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def user(key: str, account: str, **more: Any) -> dict[str, Any]:
    """A user as a SCIM service has it."""
    return {"schemas": [USER], "id": key, "userName": account, "active": True, **more}


def group(key: str, name: str, *members: str) -> dict[str, Any]:
    """A group of users."""
    return {"schemas": [GROUP], "id": key, "displayName": name, "members": [{"value": item} for item in members]}


def scim(*resources: Any, base: Directory | None = None, day: float = 0, **listed: Any) -> ImportedDirectory:
    """The import of one list response, at so many days after T0."""
    response = {"totalResults": len(resources), "Resources": resources, **listed}
    return import_directory("scim", [("users.json", json.dumps(response).encode())], base, days(day))


def claims(*sets: Any, base: Directory | None = None, day: float = 0) -> ImportedDirectory:
    """The import of one array of claim sets."""
    return import_directory("oidc-groups", [("claims.json", json.dumps(sets).encode())], base, days(day))


def person_of(found: ImportedDirectory, identity: str) -> Person:
    person_id = found.directory.resolve(identity)
    return next(person for person in found.directory.people if person.id == person_id)


def said_of(found: ImportedDirectory) -> str:
    return "\n".join(found.report.lines())


BASE = people(
    {
        "id": "ann",
        "aliases": ["scim:1", "ann@example.org", "old@example.org"],
        "groups": [held("ops", since=-9), "dba", held("gone", until=-5)],
        "roles": ["boss"],
        "qualifications": ["first-aid", held("entitlement:a", since=-9), held("entitlement:b", since=-9)],
        "manager": "kim",
        "team": "old",
        "since": days(-99),
        "contacts": {"mail": "ann@example.org"},
    },
    {"id": "bob", "aliases": ["scim:2"], "groups": ["ops"], "since": days(-99)},
    {"id": "cleo", "aliases": ["scim:3"], "until": days(-3), "groups": ["ops"], "since": days(-99)},
    {"id": "kim", "groups": ["dba"]},
    agents=[{"id": "tuner", "owner": "ann"}],
    service_accounts=[{"id": "ci", "owner": "kim"}],
    groups=[{"name": "ops", "parent": "sre"}],
    rotations=[{"group": "ops", "order": ["ann", "bob"], "start": T0, "every": "7d"}],
    delegations=[
        {"id": "d", "delegator": "ann", "delegate": "bob", "since": T0, "until": days(9), "reason": "away\u2028\x85"}
    ],
)
