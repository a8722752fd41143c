"""A halt of one target: what a statement may say, whom it concerns, and who owns what."""

from datetime import UTC, datetime
from typing import Any

import pytest

from activities.held_targets import hold_id_of
from policy.errors import DocumentError
from policy.halting import HaltFact, halts_on, receive_halt, said_of
from policy.permit import entry_id
from policy.rules.chains import owning

STATEMENT: dict[str, Any] = {
    "audience": "countersign/tests",
    "verb": "halt",
    "halt_id": "hold-0001",
    "reason": "INC-4711",
    "issued_at": "2030-01-01T09:00:00Z",
    "expires_at": "2030-01-01T09:30:00Z",
    "proof": {"kind": "key", "jws": "a..b"},
}
HELD = HaltFact(
    halt_id="hold-0001", target="resource:default/orders", placed_by="ann", placed_at=datetime(2030, 1, 1, tzinfo=UTC)
)
HALTED = HELD.model_copy(update={"halt_id": "halt-0001", "target": None, "environment": "production"})

SAYS: dict[str, tuple[dict[str, Any], str | None]] = {
    "a target": ({"target": "resource:orders"}, None),
    "an environment": ({"environment": "production"}, None),
    "everything": ({}, None),
    "both": ({"target": "resource:orders", "environment": "production"}, "name one of the two"),
    "a release of a target": (
        {"verb": "release", "target": "resource:orders"},
        "a release ends the halt that it names",
    ),
    "a target that is no name": ({"target": "everything there is"}, "target"),
}


@pytest.mark.parametrize(("more", "why"), SAYS.values(), ids=SAYS)
def test_a_statement_is_about_everything_an_environment_or_one_target(more: dict[str, Any], why: str | None) -> None:
    if why is None:
        assert receive_halt({**STATEMENT, **more}).target == more.get("target")
    else:
        with pytest.raises(DocumentError, match=why):
            receive_halt({**STATEMENT, **more})


@pytest.mark.parametrize("environment", ["production", "staging", None])
def test_a_held_target_halts_nothing_else(environment: str | None) -> None:
    """Its hold binds on it; in words it is no halt either."""
    found = halts_on((HELD, HALTED), environment)

    assert found == (() if environment == "staging" else (HALTED,))
    assert (said_of((HELD,)) or "").startswith("target resource:default/orders is held by ann since 2030")


OWNERS: dict[str, tuple[str | None, dict[str, tuple[str, ...]] | None]] = {
    "a group": ("group:default/team-orders", {"groups": ("team-orders",)}),
    "a name alone": ("team-orders", {"groups": ("team-orders",)}),
    "a person": ("user:default/ann", {"people": ("ann",)}),
    "words": ("whoever is around", None),
    "nothing behind the slash": ("group:default/", None),
    "nobody": (None, None),
}


@pytest.mark.parametrize(("owner", "wanted"), OWNERS.values(), ids=OWNERS)
def test_who_owns_something_is_one_group_or_person_or_nobody(
    owner: str | None, wanted: dict[str, tuple[str, ...]] | None
) -> None:
    found = owning(owner)

    assert [rule.model_dump(include=set(wanted or ())) for rule in found] == ([wanted] if wanted is not None else [])


def test_no_proposal_can_have_the_hold_of_a_person() -> None:
    """The hold of an action follows from its id, which whoever proposes chooses."""
    assert str(hold_id_of("hold-0001")) != entry_id("hold-0001", "hold")
