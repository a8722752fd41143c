"""The examples in the specification of the governed documents are documents."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from policy.directory import read_directory
from policy.document import PolicySet, read_policy
from policy.operations import read_operations

SPEC = (Path(__file__).parents[2] / "docs/spec/policy-document.md").read_text()
READERS: dict[str, Callable[[bytes], object]] = {
    "PolicyDocument": read_policy,
    "OperationsRegistry": read_operations,
    "Directory": read_directory,
}
EXAMPLES = [block.encode() for block in re.findall(r"```yaml\n(.*?)```", SPEC, re.DOTALL)]


@pytest.mark.parametrize("kind", READERS)
def test_each_example_is_a_document_of_its_kind(kind: str) -> None:
    """What the page shows can be published as it stands."""
    (example,) = (body for body in EXAMPLES if f"kind: {kind}\n".encode() in body)

    found = READERS[kind](example)

    assert type(found.documents[0] if isinstance(found, PolicySet) else found).__name__ == kind
