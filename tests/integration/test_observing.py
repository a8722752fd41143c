"""What is observed of a proposal: how similar actions ended, what runs now, what was proved, and who said no before."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from activities.documents import Documents
from activities.observing import observe
from deploy.dev import Stack
from policy.document import read_policy
from policy.observed import Calibration, Tally
from policy.proposal import receive
from tests.integration.left_behind import UNDO_OVERDUE, recorded, unasked
from tests.integration.observed import Past, objective, proposal, targets
from tests.replay import recording as scenes
from tests.replay.recording import recording

pytestmark = pytest.mark.asyncio(loop_scope="module")

SET = "postgres.parameter.set"
AGENT = "agent:tuner"
CATALOG = (
    targets(
        "tallied", "elsewhere", "bigger", "flying", "beside", "undone", "hourly", "told", "dry", "owned", "old", "tried"
    )
    + targets("first", "second", zone="shared")
    + targets("above", criticality="high")
    + targets("unlike", environment="test")
    + objective("answers", "tallied")
    + objective("latency", "tallied")
)


@pytest_asyncio.fixture(name="past", scope="module", loop_scope="module")
async def _past(own_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Past]:
    documents = unasked(tmp_path_factory.mktemp("recording") / "documents")
    async with recording(own_stack, documents=documents) as place:
        past = Past(place)
        await past.govern(CATALOG)
        yield past


def tally(found: Any, scope: str) -> dict[str, int]:
    """The outcomes of a scope, over all agents; only those that occurred."""
    names = ("succeeded", "compensated", "failed", "unknown")
    rows = [item for item in found.tallies if item.scope == scope]
    return {name: total for name in names if (total := sum(getattr(item, name) for item in rows))}


async def test_outcomes_are_tallied_by_target_and_by_kind(past: Past) -> None:
    """Every outcome of the same operation counts once: on the target itself, or on another one of its kind."""
    for number, outcome in enumerate(("succeeded", "succeeded", "compensated", "compensation_failed")):
        await past.ended(f"tallied-{number}", "tallied", outcome)
    await past.ended("tallied-lost", "tallied", "outcome_unknown")

    same, other = await past.observed("tallied"), await past.observed("elsewhere")

    assert same.tallies[0] == Tally(
        scope="target", operation=SET, agent=AGENT, succeeded=2, compensated=1, failed=1, unknown=1
    )
    assert tally(other, "target") == {}
    assert tally(other, "kind") == {"succeeded": 2, "compensated": 1, "failed": 1, "unknown": 1}
    assert [item.proposal_id for item in same.similar[:2]] == ["tallied-lost", "tallied-3"]
    assert len(same.similar) == 5


@pytest.mark.parametrize("target", ["above", "unlike"])
async def test_outcomes_elsewhere_say_nothing_of_a_target_that_matters_more(past: Past, target: str) -> None:
    """What went well on a less critical target, or in another environment, is no history."""
    environment = "test" if target == "unlike" else "staging"
    await past.ended(f"before-{target}", "elsewhere")

    found = await past.observed(target, environment=environment)

    assert found.tallies == ()


async def test_the_critical_count_for_the_less_critical(past: Past) -> None:
    """A target that is at least as critical is comparable."""
    before = tally(await past.observed("bigger"), "kind").get("succeeded", 0)
    await past.ended("on-above", "above")

    assert tally(await past.observed("bigger"), "kind")["succeeded"] == before + 1


async def test_history_ends_after_half_a_year(past: Past) -> None:
    """What is older than 180 days is neither counted nor shown."""
    await past.ended("old", "old")

    first, second = [await past.observed("old", later=timedelta(days=days)) for days in (179, 181)]

    assert tally(first, "target") == {"succeeded": 1}
    assert (second.tallies, second.similar, second.calibration) == ((), (), None)


async def test_a_dry_run_is_no_history(past: Past) -> None:
    """It touched nothing: it is not tallied, not shown as similar, and not in flight."""
    await past.begun("dry", "dry", dry_run=True)
    running = await past.observed("dry")
    await past.ended("dry-2", "dry", "not_executed", dry_run=True)

    found = await past.observed("dry")

    assert "dry" not in running.in_flight
    assert tally(found, "target") == {}
    assert "dry-2" not in [item.proposal_id for item in found.similar]


async def test_confidence_is_held_against_what_was_measured(past: Past) -> None:
    """Of the agent that proposes: how often it stated a confidence, the mean of it, and how often it was right."""
    agent = {"id": "agent:tuner", "confidence": 0.5}
    before = (await past.observed("owned")).calibration or Calibration(n=0, mean_stated=0, succeeded=0)
    await past.ended("sure", "owned", agent={**agent, "confidence": 1.0})
    await past.ended("unsure", "owned", "compensated", agent=agent)
    await past.ended("silent", "owned", agent={"id": "agent:tuner"})

    found = (await past.observed("owned")).calibration
    nobody = (await past.observed("owned", agent={"id": "agent:other"})).calibration

    assert found is not None
    assert (found.n, found.succeeded) == (before.n + 2, before.succeeded + 1)
    assert found.mean_stated == pytest.approx((before.n * before.mean_stated + 1.5) / found.n)
    assert nobody is None


async def test_what_is_at_work_is_in_flight_until_it_ends(past: Past) -> None:
    """From the approval to the result, on the same target or in the same failure domain, and nowhere else."""
    await past.begun("flying", "flying")
    await past.begun("first", "first")

    here, domain, elsewhere = [(await past.observed(name)).in_flight for name in ("flying", "second", "beside")]
    await past.ended("flying-2", "flying")
    again = (await past.observed("flying")).in_flight

    assert (here, domain, elsewhere, again) == (("flying",), ("first",), (), ("flying",))


async def test_effects_of_the_last_hour_are_counted_over_all_targets(past: Past) -> None:
    """Every claimed permit to do something counts for an hour; undos do not."""
    before = (await past.observed("hourly")).last_hour.get(SET, 0)
    await past.ended("hour-1", "hourly", "compensated")
    await past.ended("hour-2", "undone")

    now = await past.observed("hourly")
    later = await past.observed("hourly", later=timedelta(minutes=61))

    assert now.last_hour == {SET: before + 2}
    assert later.last_hour == {}


async def test_a_limit_on_effects_an_hour_has_every_operation_counted(past: Past) -> None:
    """Such a limit may speak of several operations, so all of them are counted; otherwise those of the steps are."""
    await past.ended("hour-3", "hourly")
    end = {"name": "end", "operation": "postgres.session.terminate", "parameters": {}}
    received = receive(proposal("next", "hourly", operation=end["operation"], steps=[end]))
    capped = b"limits: [{id: slowly, match: {destructive: false}, max_per_hour: 100, reason: one at a time}]\nrules:"
    body = (scenes.DOCUMENTS / "policy.yaml").read_bytes()
    limited = body.replace(body[body.index(b"limits:") : body.index(b"rules:") + 6], capped)

    async with past.place.database.snapshot() as connection:
        in_force = await Documents().in_force(connection)
        without = await observe(connection, received, in_force, datetime.now(UTC))
        slow = replace(in_force, policy=read_policy(limited))
        found = await observe(connection, received, slow, datetime.now(UTC))

    assert without.last_hour == {}
    assert found.last_hour[SET] >= 1


async def test_an_undo_that_worked_here_is_a_proof(past: Past) -> None:
    """The newest time that the same undo worked on the same ids, and how long it took."""
    nothing = await past.observed("undone")
    await past.ended("undone-1", "undone", "compensated")

    found, elsewhere = await past.observed("undone"), await past.observed("beside")

    assert nothing.undo_proofs == elsewhere.undo_proofs == ()
    (proof,) = found.undo_proofs
    assert (proof.operation, proof.kind) == ("postgres.parameter.reset", "undone")
    assert proof.seconds == pytest.approx(2)


async def test_a_dry_run_proves_exactly_what_it_rehearsed(past: Past) -> None:
    """The same orders on the same ids: not with another value, not on another target, and no seconds of an undo."""
    nothing = await past.observed("tried")
    await past.ended("tried-1", "tried", "not_executed", dry_run=True)
    step = scenes.proposal("other")["steps"][0]
    bigger = {**step, "parameters": {**step["parameters"], "value": "64MB"}}
    other_undo = {**step, "undo": {**step["undo"], "parameters": {"name": "maintenance_work_mem"}}}

    found, elsewhere = await past.observed("tried"), await past.observed("beside")
    changed = await past.observed("tried", steps=[bigger])
    twice = await past.observed("tried", steps=[step, {**bigger, "name": "again"}])
    undone = await past.observed("tried", steps=[other_undo])

    def proofs(observed: Any) -> list[tuple[str, str]]:
        return [(item.direction, item.operation) for item in observed.undo_proofs]

    do, undo = ("do", SET), ("undo", "postgres.parameter.reset")
    assert proofs(nothing) == proofs(elsewhere) == []
    assert proofs(found) == [do, undo]
    assert {(item.kind, item.seconds) for item in found.undo_proofs} == {("dry_run", None)}
    assert (proofs(changed), proofs(twice), proofs(undone)) == ([undo], [undo], [do])


async def test_a_dry_run_that_nobody_reported_leaves_no_hold(past: Past) -> None:
    """A claim without a report is no unknown effect: it ends as not executed, and the target stays free."""
    await past.begun("dry-lost", "dry", dry_run=True)

    answer = await recorded(past.place, "dry-lost", UNDO_OVERDUE)
    found = await past.observed("dry")

    assert answer.result is not None
    assert (answer.result.outcome, answer.result.next_action) == ("not_executed", "propose_anew")
    assert [reason.code for reason in answer.result.reasons] == ["rehearsal_failed"]
    assert found.holds == ()


async def test_the_newest_measured_state_of_each_objective_counts(past: Past) -> None:
    """Older ones are history; of an objective that was never measured nothing is known."""
    now = datetime.now(UTC)
    await past.measured("tallied", "answers", 0.9, now - timedelta(hours=1))
    await past.measured("tallied", "answers", -0.2, now)
    await past.measured("elsewhere", "answers", 0.1, now)

    found = (await past.observed("tallied")).slo_states

    assert [(item.name, item.target, item.budget_left, item.at) for item in found] == [
        ("answers", "resource:default/tallied", -0.2, now)
    ]


async def test_a_denial_says_who_when_and_why(past: Past) -> None:
    """The people whose vote stood, the tier that they saw, and the reason that was given."""
    await scenes.denied_by_person(past.place, "said-no")

    (denial,) = (await past.observed("orders-db", environment="production")).denials

    assert (denial.proposal_id, denial.denied_by, denial.tier) == ("said-no", ("person:carol",), "high")
    assert denial.reason == "not in this season"
    assert denial.at is not None


async def test_the_documents_say_since_when_they_are_in_force(past: Past) -> None:
    """Catalog and directory have the instants of their publications."""
    found = await past.observed("beside")

    assert found.catalog_at is not None
    assert found.directory_at is not None
    assert found.directory_at < found.catalog_at


async def test_outcomes_by_criteria_of_the_proposer_alone_are_no_history(past: Past) -> None:
    """Where the operations registry measures nothing, an outcome is shown to people and counted by nobody."""
    await past.govern(CATALOG, criteria="")
    await past.ended("unmeasured", "beside")

    found = await past.observed("beside")

    await past.govern(CATALOG)
    assert tally(found, "target") == {}
    assert found.similar[0].proposal_id == "unmeasured"
