"""A row of each table of items, for the tests of the database roles."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

_NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
_BODY = b"{}"
_CONTENT: dict[str, Any] = {"digest": f"sha256:{hashlib.sha256(_BODY).hexdigest()}", "body": _BODY}
_ITEM = UUID(int=5)
ITEMS: dict[str, dict[str, Any]] = {
    "unresolved": {
        **_CONTENT,
        "item_id": _ITEM,
        "proposal_id": "p-1",
        "target": "component:default/shop",
        "outcome": "outcome_unknown",
        "opened_at": _NOW,
        "due_at": _NOW,
    },
    "item_decision": {
        **_CONTENT,
        "item_id": _ITEM,
        "decision_id": "d-1",
        "person_id": "ben",
        "vote": "resolve",
        "counted": True,
        "code": None,
        "receipt": b"{}",
        "arrival": 1,
        "received_at": _NOW,
    },
    "unresolved_closed": {**_CONTENT, "item_id": _ITEM, "found": "undone", "closed_at": _NOW},
    "amendment": {
        **_CONTENT,
        "amendment_id": UUID(int=6),
        "proposal_id": "p-1",
        "number": 1,
        "outcome": "caused_incident",
        "amended_at": _NOW,
        "recorded_at": _NOW,
    },
    "outside": {
        **_CONTENT,
        "outside_id": UUID(int=7),
        "target": "component:default/shop",
        "began_at": _NOW,
        "ended_at": _NOW,
        "stated_by": "ben",
        "stated_at": _NOW,
    },
}
