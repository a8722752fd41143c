"""What a statement of something done outside speaks of: a target, and a time."""

from datetime import UTC, datetime, timedelta

import pytest

from policy.outside import Happened, OutsideStatement, covers

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
STATEMENT = OutsideStatement.model_validate(
    {
        "statement_id": "s-1",
        "target": "component:shop",
        "what": "restarted it",
        "done_by": "ben",
        "because": "the server was down",
        "began_at": NOW,
        "ended_at": NOW + timedelta(minutes=5),
        "issued_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
        "proof": {"kind": "claimed", "identity": "ben"},
    }
)
CASES = {
    "on its resource, then": (("k8s/prod",), "k8s/prod", "deployment/shop/web", 1, True),
    "at its beginning": (("k8s/prod",), "k8s/prod", "x", 0, True),
    "at its end": (("k8s/prod",), "k8s/prod", "x", 5, True),
    "before": (("k8s/prod",), "k8s/prod", "x", -0.1, False),
    "after": (("k8s/prod",), "k8s/prod", "x", 5.1, False),
    "on another resource": (("k8s/prod",), "k8s/prod-2", "x", 1, False),
    "on a part of a cluster": (("k8s/prod/shop",), "k8s/prod", "deployment/shop/web@u-1", 1, True),
    "on the very thing": (("k8s/prod/shop/web",), "k8s/prod", "deployment/shop/web@u-1", 1, True),
    "on another part": (("k8s/prod/shop",), "k8s/prod", "deployment/shop-2/web", 1, False),
    "on the whole, of which a part is stated": (("k8s/prod/shop",), "k8s/prod", "node/n1", 1, False),
    "on what the catalog does not know": ((), "k8s/prod", "x", 1, False),
}


@pytest.mark.parametrize("name", CASES)
def test_a_statement_covers_what_happened_on_its_target_in_its_time(name: str) -> None:
    """Within both, and nothing beside: a statement about a part of a cluster is about that part only."""
    ids, resource, target, minutes, expected = CASES[name]

    assert covers(STATEMENT, ids, Happened(resource, target, NOW + timedelta(minutes=minutes))) is expected
