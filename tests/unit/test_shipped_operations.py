"""The registries that ship: documents that can be published, for what the executors can do."""

from pathlib import Path

import pytest

from activities.executors.base import TargetCredentials
from activities.executors.postgres import PostgresExecutor
from policy.operations import OperationsRegistry, RegisteredOperation, RiskTier, read_operations

FOLDER = Path(__file__).parents[2] / "operations"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))


def _whole() -> OperationsRegistry:
    return read_operations(b"---\n".join((FOLDER / name).read_bytes() for name in FILES))


WHOLE = _whole()
OPERATIONS = {item.name: item for item in WHOLE.operations if item.executor != "countersign"}


def test_all_of_them_together_are_one_registry() -> None:
    """Nothing is in two files, every inverse is there, and nothing contradicts itself."""
    assert {item.executor for item in OPERATIONS.values()} >= {"postgres", "kubernetes", "http", "command"}


@pytest.mark.parametrize("name", FILES)
def test_each_says_what_it_is(name: str) -> None:
    """Each file begins with a comment, and fits on a page or two."""
    lines = (FOLDER / name).read_text().splitlines()
    assert lines[0].startswith("# ")
    assert len(lines) < 400


def test_the_postgresql_executor_is_covered() -> None:
    """What the executor does and reads is described, with its types."""
    supports = PostgresExecutor(TargetCredentials({})).supports
    assert supports.operations <= set(OPERATIONS)
    assert supports.probes <= {probe.name for probe in WHOLE.probes}


@pytest.mark.parametrize("item", OPERATIONS.values(), ids=OPERATIONS)
def test_each_entry_says_enough(item: RegisteredOperation) -> None:
    """What is no read has effects; what destroys is of tier high at least; what is of tier low is reversible."""
    assert item.description
    assert item.read_only or item.effect_levels or item.severity <= 20
    assert not item.destructive or item.floor.rank >= RiskTier.high.rank
    assert item.floor is not RiskTier.low or item.reversible
    assert item.reversible or item.floor.rank >= RiskTier.high.rank or item.executor == "platform"


@pytest.mark.parametrize("item", OPERATIONS.values(), ids=OPERATIONS)
def test_a_name_is_never_taken_for_an_option(item: RegisteredOperation) -> None:
    """No parameter that has a pattern takes a text that begins with a dash, or has a line end in it."""
    for parameter in item.parameters.values():
        if parameter.type == "string" and parameter.pattern is not None and "[^" not in parameter.pattern:
            assert parameter.refusal("-all") is not None
            assert parameter.refusal("a\nb") is not None
