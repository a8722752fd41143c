"""A row of each table of reviews, for the tests of the database roles."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

_NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
_BODY = b"{}"
_CONTENT: dict[str, Any] = {"digest": f"sha256:{hashlib.sha256(_BODY).hexdigest()}", "body": _BODY}
_REVIEW = UUID(int=4)
REVIEWS: dict[str, dict[str, Any]] = {
    "review": {
        **_CONTENT,
        "review_id": _REVIEW,
        "person": "ana",
        "proposal_id": "p-1",
        "break_glass": "outage",
        "opened_at": _NOW,
        "due_at": _NOW,
    },
    "review_decision": {
        **_CONTENT,
        "review_id": _REVIEW,
        "decision_id": "d-1",
        "person_id": "ben",
        "vote": "approve",
        "counted": True,
        "code": None,
        "receipt": b"{}",
        "arrival": 1,
        "received_at": _NOW,
    },
    "review_closed": {**_CONTENT, "review_id": _REVIEW, "found": "in_order", "closed_at": _NOW},
}
