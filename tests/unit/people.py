"""Directories of a few people, with one thing said of each."""

from datetime import datetime, timedelta
from typing import Any

from policy.people.directory import Directory
from tests.unit.builders import T0


def days(count: float) -> datetime:
    """So many days after T0."""
    return T0 + timedelta(days=count)


def people(*items: dict[str, Any], **more: Any) -> Directory:
    """A directory of these people, and of whatever else is given."""
    return Directory.model_validate(
        {
            "apiVersion": "countersign/v1",
            "kind": "Directory",
            "metadata": {"name": "people", "version": "1"},
            "people": items,
            **more,
        }
    )


def held(name: str, since: float | None = None, until: float | None = None) -> dict[str, Any]:
    """Something that is held, from and to so many days after T0."""
    return {
        "name": name,
        "since": days(since) if since is not None else None,
        "until": days(until) if until is not None else None,
    }
