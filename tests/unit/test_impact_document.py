"""docs/impact.md: its tables are those of the code, and its example is computed again from what is printed there."""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from policy.catalog import read_catalog
from policy.facts import collect
from policy.impact import TIER_STARTS, ImpactAssessment, assess
from policy.observed import Observed
from policy.operations import read_operations
from policy.people.directory import read_directory
from policy.proposal import receive
from policy.risk.indicators import WEIGHTS, Reading, filled
from policy.rules.timing import Timing

TEXT = (Path(__file__).parents[2] / "docs" / "impact.md").read_text()
INPUTS = {found[1]: found[2] for found in re.finditer(r"```\w+ (\w+)\n(.*?)```", TEXT, re.DOTALL)}


def _rows(header: str) -> list[list[str]]:
    """The rows of the table that begins with these columns."""
    table = TEXT[TEXT.index(f"| {header} |") :].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table]


@cache
def _assessment() -> ImpactAssessment:
    proposal = receive(json.loads(INPUTS["proposal"])).proposal
    facts = collect(
        proposal,
        catalog=read_catalog(INPUTS["catalog"].encode()),
        directory=read_directory(INPUTS["directory"].encode()),
        registry=read_operations(INPUTS["operations"].encode()),
        observed=Observed.model_validate_json(INPUTS["observed"]),
    )
    assert not facts.bad_parameters
    return assess(proposal, facts, Timing.model_validate_json(INPUTS["timing"]))


def test_every_indicator_is_documented() -> None:
    """The table names each indicator with its group and weight, in the order in which they are shown."""
    rows = [row[:3] for row in _rows("indicator | group | weight")]
    assert rows == [[name, item.group, f"{item.weight:g}"] for name, item in WEIGHTS.items()]
    assert all(all(row) for row in _rows("indicator | group | weight"))


def test_the_tiers_are_documented() -> None:
    """The table of the tiers is the one that is used."""
    assert _rows("tier | from a score of") == [[str(tier), str(start)] for start, tier in reversed(TIER_STARTS)]


def test_the_example_is_computed_again() -> None:
    """Value, weight, contribution and evidence of every indicator are what the printed inputs give."""
    found = [
        [item.name, f"{item.value:.4f}", f"{item.weight:g}", f"{item.contribution:.4f}", item.evidence]
        for item in _assessment().indicators
    ]
    assert _rows("indicator | value | weight") == found


def test_the_result_follows_from_the_rows() -> None:
    """Groups, impact, likelihood and score follow from the printed values and weights alone."""
    readings = tuple(Reading(row[0], float(row[1]), row[4], "") for row in _rows("indicator | value | weight"))
    result = dict(_rows("result | value"))
    change, exposure, likelihood = (float(result[name]) for name in ("change", "exposure", "likelihood"))
    assert filled(readings, "change") == pytest.approx(change, abs=1e-4)
    assert filled(readings, "exposure") == pytest.approx(exposure, abs=1e-4)
    assert filled(readings, "likelihood") == pytest.approx(likelihood, abs=1e-4)
    assert float(result["impact"]) == pytest.approx(change * (0.25 + 0.75 * exposure), abs=1e-4)
    assert int(result["risk_score"]) == round(100 * float(result["impact"]) * (0.6 + 0.4 * likelihood))


@pytest.mark.parametrize("name", ["impact", "likelihood", "risk_score", "risk_tier", "floor", "worst_state"])
def test_the_result_is_the_assessment(name: str) -> None:
    """What the document says comes out is what comes out."""
    assert dict(_rows("result | value"))[name] == str(getattr(_assessment(), name))
