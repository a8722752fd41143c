"""One row for each table of the record, and which role may insert it: for the tests of roles and migrations."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tests.integration.item_rows import ITEMS
from tests.integration.review_rows import REVIEWS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BODY = b'{"a":1}'
DIGEST = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
OTHER_DIGEST = f"sha256:{hashlib.sha256(b'other').hexdigest()}"
PERMIT, HOLD, NOTICE = UUID(int=1), UUID(int=2), UUID(int=4)
CONTENT: dict[str, Any] = {"digest": DIGEST, "body": BODY}

# One row a table, each after what it refers to.
RECORD: dict[str, dict[str, Any]] = {
    "document": {**CONTENT, "kind": "policy", "name": "default", "version": "1"},
    "ceremony": {**CONTENT, "nonce": "n-1", "held_by": "ana", "held_at": NOW},
    "publication": {"kind": "policy", "digest": DIGEST, "published_at": NOW, "published_by": "ana"},
    "draft": {**CONTENT, "kind": "policy", "name": "default", "version": "1", "drafted_by": "ana", "drafted_at": NOW},
    "proposal": {
        "proposal_id": "p-1",
        "action_digest": DIGEST,
        "effect_digest": DIGEST,
        "body": BODY,
        "workflow_id": "action/p-1",
        "registered_at": NOW,
        "absolute_deadline": NOW,
    },
    "assessment": {
        **CONTENT,
        "proposal_id": "p-1",
        "revision": 1,
        "verdict": "require_approval",
        "risk_tier": "high",
        "policy_digest": DIGEST,
        "assessed_at": NOW,
    },
    "decision": {
        **CONTENT,
        "proposal_id": "p-1",
        "decision_id": "d-1",
        "revision": 1,
        "stage": 1,
        "person_id": None,
        "vote": "approve",
        "counted": False,
        "code": "unknown_person",
        "receipt": b"{}",
        "arrival": 1,
        "received_at": NOW,
    },
    "resolution": {**CONTENT, "proposal_id": "p-1", "revision": 1, "kind": "approved", "resolved_at": NOW},
    "stop": {**CONTENT, "proposal_id": "p-1", "kind": "revoked", "actor": "ana", "stopped_at": NOW},
    "permit": {
        **CONTENT,
        "permit_id": PERMIT,
        "proposal_id": "p-1",
        "revision": 1,
        "step": 1,
        "direction": "undo",
        "action_digest": DIGEST,
        "issued_at": NOW,
        "expires_at": None,
    },
    "permit_use": {
        "permit_id": PERMIT,
        "use": "claimed",
        "attempt_token": "a-1",
        "used_by": "executor",
        "run_id": "r-1",
        "used_at": NOW,
    },
    "effect_report": {**CONTENT, "permit_id": PERMIT, "status": "unknown", "reported_at": NOW, "late": False},
    "hold": {
        **CONTENT,
        "hold_id": HOLD,
        "target": "db/orders",
        "proposal_id": "p-1",
        "reason": "unknown outcome",
        "owner": "team-db",
        "placed_at": NOW,
    },
    "hold_release": {**CONTENT, "hold_id": HOLD, "proposal_id": None, "released_by": "ana", "released_at": NOW},
    "result": {**CONTENT, "proposal_id": "p-1", "recorded_at": NOW},
    "ledger_entry": {
        **CONTENT,
        "entry_id": UUID(int=3),
        "proposal_id": "p-1",
        "position": 1,
        "kind": "assessed",
        "previous_digest": None,
        "recorded_at": NOW,
        "late": False,
    },
    "archive": {"proposal_id": "p-1", "run_id": "r-1", "path": "p-1.json", "digest": DIGEST, "archived_at": NOW},
    "case_event": {
        **CONTENT,
        "proposal_id": "p-1",
        "revision": 1,
        "key": "dropped.d-1",
        "kind": "dropped",
        "happened_at": NOW,
    },
    "notice": {
        **CONTENT,
        "notice_id": NOTICE,
        "proposal_id": "p-1",
        "kind": "stage_opened",
        "recipient_kind": "audience",
        "recipient": "audience",
        "urgency": "normal",
        "created_at": NOW,
        "not_before": NOW,
    },
    "notice_delivery": {
        "notice_id": NOTICE,
        "channel": "mail",
        "attempt": 1,
        "status": "begun",
        "detail": "",
        "at": NOW,
    },
    "approved_scope": {"scope": "db/orders", "proposal_id": "p-1", "resolved_at": NOW},
    "slo_state": {
        "target": "db/orders",
        "name": "availability",
        "measured_at": NOW,
        "budget_left": 0.5,
        "source": "prometheus",
    },
    "issuer_key": {**CONTENT, "issuer": "https://login.example", "kid": "k-1", "first_seen": NOW},
    "watch": {"at": NOW, "until": NOW, "proposal_id": ""},
    "target_resolution": {**CONTENT, "action_digest": DIGEST, "resolved_at": NOW, "resolved_by": "executor@1"},
    "executor_capability": {**CONTENT, "executor": "postgres", "declared_at": NOW, "declared_by": "executor@1"},
    "trail_look": {"resource": "postgres/orders", "at": NOW, "until": NOW},
    "reservation": {
        "proposal_id": "p-1",
        "scope": "id db-orders",
        "step": 1,
        "amount": 1.0,
        "shared": False,
        "since": NOW,
        "renewed": False,
        "lease_until": NOW,
    },
    "reservation_wait": {
        "proposal_id": "p-1",
        "scope": "id db-orders",
        "asked_at": NOW,
        "since": NOW,
        "priority": 3,
        "registered_at": NOW,
        "until": NOW,
    },
    "takeover": {"taken": "p-1", "proposal_id": "p-1", "at": NOW},
    "halt": {
        **CONTENT,
        "halt_id": "halt-0001",
        "environment": None,
        "target": "component:default/orders",
        "placed_by": "ana",
        "placed_at": NOW,
        "reason": "an incident",
    },
    "halt_statement": {**CONTENT, "halt_id": "halt-0001", "person_id": "ana", "received_at": NOW},
    **REVIEWS,
    **ITEMS,
}
WITH_BODY = [table for table, row in RECORD.items() if "body" in row]
VOID = {"use": "void", "attempt_token": None, "run_id": None}

MAY_INSERT: dict[str, set[str]] = {
    "countersign_control": {
        *{"proposal", "assessment", "decision", "resolution", "stop", "permit_use", "hold", "hold_release"},
        *{
            "result",
            "ledger_entry",
            "archive",
            "approved_scope",
            "slo_state",
            "case_event",
            "notice",
            "notice_delivery",
            "watch",
            "trail_look",
            *{"halt", "halt_statement"},
            *REVIEWS,
            *ITEMS,
        },
    },
    "countersign_permit": {
        *{"permit", "ledger_entry", "review", "issuer_key"},
        *{"reservation", "reservation_wait", "takeover"},
    },
    "countersign_executor": {
        *{"permit_use", "effect_report", "ledger_entry", "target_resolution", "executor_capability"}
    },
    "countersign_app": set(RECORD) - {"document", "ceremony", "publication", "draft"},
    "countersign_reader": set(),
    "countersign_author": {"draft"},
    "countersign_halter": {"halt"},
}
