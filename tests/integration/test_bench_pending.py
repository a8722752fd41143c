"""The benchmark of what waits, with a handful of actions: it measures what it says and ends."""

import re

import pytest

from bench.pending import measure_pending, measure_votes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def test_what_waits_is_listed_and_decided() -> None:
    """Every row has a number: memory before, meanwhile and after, the time to list and to decide."""
    shown = await measure_pending(actions=6, cached=2)
    rows = dict(re.findall(r"^\| ([^|]+) \| ([0-9][0-9.]*|-[0-9][0-9.]*)", shown, re.MULTILINE))
    assert len(rows) == 8
    assert float(rows["decide all, s"]) > 0


async def test_votes_through_one_workflow_and_across_many() -> None:
    """Two rounds of each of the three ways, all of them counted."""
    shown = await measure_votes(rounds=2)
    assert [name for name in ("updates", "signals", "many workflows") if name not in shown] == []
