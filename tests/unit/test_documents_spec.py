"""The examples in the specification of the governed documents are documents."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policy.checks.checking import check
from policy.checks.policy_tests import read_policy_tests
from policy.document import PolicySet, read_policy
from policy.operations import read_operations
from policy.people.directory import read_directory
from policy.rules.chains import EscalationStep
from policy.rules.conditions import NAMES, PERSON_NAMES, Condition, PersonCondition
from policy.rules.drifting import DriftRules

SPEC = (Path(__file__).parents[2] / "docs/spec/policy-document.md").read_text()
READERS: dict[str, Callable[[bytes], object]] = {
    "PolicyDocument": read_policy,
    "OperationsRegistry": read_operations,
    "Directory": read_directory,
    "PolicyTests": read_policy_tests,
}
EXAMPLES = [block.encode() for block in re.findall(r"```yaml\n(.*?)```", SPEC, re.DOTALL)]


@pytest.mark.parametrize("kind", READERS)
def test_each_example_is_a_document_of_its_kind(kind: str) -> None:
    """What the page shows can be published as it stands."""
    examples = [body for body in EXAMPLES if f"kind: {kind}\n".encode() in body]

    assert examples
    for example in examples:
        found = READERS[kind](example)
        assert type(found.documents[0] if isinstance(found, PolicySet) else found).__name__ == kind


def test_no_example_has_a_rule_that_never_decides() -> None:
    """What the page shows is what `policy check` would let stand."""
    policies = [body for body in EXAMPLES if b"kind: PolicyDocument\n" in body]
    found = [item for body in policies for item in check("policy", body, now=datetime(2026, 11, 1, tzinfo=UTC))]

    assert [item for item in found if item.code in {"unreachable_rule", "unreachable_choice", "pointless_limit"}] == []


def test_the_page_shows_what_an_escalation_needs() -> None:
    """The row of `escalations` names every field of a step, and says which are lists and must be given."""
    row = next(line for line in SPEC.splitlines() if line.startswith("| `escalations` |"))

    assert all(f"`{field}`" in row for field in EscalationStep.model_fields)
    assert EscalationStep.model_fields["reason"].is_required()
    assert "a list `to`" in row
    assert "`reason`, which MUST be given" in row


def test_no_example_is_of_another_kind() -> None:
    """Every example on the page is checked."""
    assert all(any(f"kind: {kind}\n".encode() in body for kind in READERS) for body in EXAMPLES)


def test_the_page_has_every_field_of_what_counts_as_a_change() -> None:
    """The table of drift fields is the model, and its defaults are the model's."""
    table = SPEC.split("| drift field |")[1].split("\n\n")[0]
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| .* \| (.*) \|$", table, re.MULTILINE))
    said = DriftRules().model_dump(mode="json")

    assert list(rows) == list(said)
    assert [text.strip("`").replace("never", "None") for text in rows.values()] == [
        str(value).replace("'", "") for value in said.values()
    ]


def test_the_page_names_what_a_condition_can_read() -> None:
    """The table of names and types is the environment in which conditions are checked."""
    names = {**NAMES, **PERSON_NAMES}
    rows = re.findall(r"^\| ((?:`[a-z_.]+`(?:, )?)+) \| `([a-z(), ]+)` \|", SPEC, re.MULTILINE)
    described = {name: kind for names, kind in rows for name in re.findall(r"`([a-z_.]+)`", names)}

    assert set(described) == set(names)
    for name, kind in described.items():
        like = {"int": "1", "bool": "true", "string": "''", "double": "1.0"}.get(kind)
        condition = PersonCondition if name in PERSON_NAMES else Condition
        condition.compile(f"{name} == {like}" if like else f"type({name}) == {_TYPES[kind]}")


_TYPES = {
    "list(string)": "list",
    "map(string, dyn)": "map",
    "map(string, double)": "map",
    "timestamp": "google.protobuf.Timestamp",
    "duration": "google.protobuf.Duration",
}
