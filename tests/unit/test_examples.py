"""The examples are tutorial, fixture and regression test at once: what each of them is assessed and decided as."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from activities.executors.base import TargetCredentials
from activities.executors.postgres import PostgresExecutor
from policy.catalog import Catalog, read_catalog
from policy.document import PolicyDocument, PolicySet, Verdict, read_policy
from policy.evaluation import Evaluation, evaluate
from policy.facts import collect
from policy.impact import ImpactAssessment, assess
from policy.observed import Observed
from policy.operations import OperationsRegistry, RiskTier, read_operations
from policy.people.directory import Directory, read_directory
from policy.proposal import ActionProposal, receive
from policy.supposing import supposed

EXAMPLES = Path(__file__).parents[2] / "examples"
POLICIES = ("policy.yaml", "demo/policy.yaml")
PROPOSALS = sorted(path.stem for path in (EXAMPLES / "proposals").glob("*.json"))


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Expected(NamedTuple):
    verdict: Verdict
    tier: RiskTier
    decided_by: str
    stages: list[str]


EXPECTED = {
    "1-routine": Expected(Verdict.allow, RiskTier.low, "end-idle-sessions", []),
    "2-high-impact": Expected(Verdict.require_approval, RiskTier.high, "production-parameters", ["on-call", "dba"]),
    "3-undone": Expected(Verdict.require_approval, RiskTier.high, "production-parameters", ["on-call", "dba"]),
    "4-denied": Expected(Verdict.deny, RiskTier.critical, "no-destruction-in-production", []),
    "5-expired": Expected(Verdict.require_approval, RiskTier.high, "reports-parameters", ["reporting"]),
}


def _read(name: str) -> bytes:
    return (EXAMPLES / name).read_bytes()


def _policy(name: str = "policy.yaml") -> PolicySet:
    return read_policy(_read(name))


def _document(name: str = "policy.yaml") -> PolicyDocument:
    (document,) = _policy(name).documents
    return document


def _catalog() -> Catalog:
    return read_catalog(_read("catalog.yaml"))


def _directory() -> Directory:
    return read_directory(_read("directory.yaml"))


def _registry() -> OperationsRegistry:
    return read_operations(_read("operations.yaml"))


def _proposal(name: str) -> ActionProposal:
    return receive(json.loads(_read(f"proposals/{name}.json"))).proposal


def _decide(name: str, policy: str) -> tuple[ImpactAssessment, Evaluation]:
    proposal = _proposal(name)
    found = supposed(proposal, _catalog(), _registry(), NOW)
    observed = Observed(at=NOW, resolution=found)
    facts = collect(proposal, catalog=_catalog(), directory=_directory(), registry=_registry(), observed=observed)
    assessment = assess(proposal, facts)
    return assessment, evaluate(_policy(policy), proposal, facts, assessment)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", EXPECTED)
def test_each_example_gets_its_verdict(name: str, policy: str) -> None:
    """Each example proposal has the tier, the verdict, the deciding rule and the stages that its name promises."""
    assessment, evaluation = _decide(name, policy)

    stages = [stage.name for stage in evaluation.chain.stages] if evaluation.chain else []
    found = Expected(evaluation.verdict, assessment.risk_tier, evaluation.decided_by or "", stages)
    assert EXPECTED[name] == found, evaluation.reasons


def test_every_example_has_an_expectation() -> None:
    """No example proposal is left unchecked."""
    assert sorted(EXPECTED) == PROPOSALS


def test_the_two_policies_differ_in_time_only() -> None:
    """The demo's policy asks the same people about the same actions, only faster."""
    normal, demo = (_document(name).model_dump(mode="json") for name in POLICIES)
    for document in (normal, demo):
        for field in ("metadata", "absolute_deadline"):
            del document[field]
        for chain in document["chains"].values():
            for stage in chain["stages"]:
                stage["deadline"] = stage["reminders"] = None
                for step in stage["escalations"]:
                    step["after"] = None

    assert normal == demo


def test_every_stage_can_be_satisfied_without_the_people_behind_the_agent() -> None:
    """Each group that a policy names has two people at least, and one who does not stand behind the agent."""
    directory = _directory()
    behind = {agent.owner for agent in directory.agents}
    for stage in (stage for chain in _document().chains.values() for stage in chain.stages):
        added = [group for step in stage.escalations for group in step.add_groups]
        for group in [*(name for item in stage.requirements for name in item.groups), *added]:
            assert len(directory.members(group)) >= 2, group
            assert set(directory.members(group)) - behind, group
        assert stage.deadline <= timedelta(days=1)


def test_the_executor_can_do_and_read_what_the_runnable_examples_ask_for() -> None:
    """Every operation, undo and probe of the examples that can run is one that the executor declares."""
    supports = PostgresExecutor(TargetCredentials({})).supports
    for name in PROPOSALS:
        proposal = _proposal(name)
        if EXPECTED[name].verdict is not Verdict.deny:
            assert set(proposal.operations) <= supports.operations
            assert {criterion.probe for criterion in proposal.success_criteria} <= supports.probes


def test_the_registry_names_what_the_executor_can_do() -> None:
    """The executor has no operation that the registry does not describe."""
    described = {item.name for item in _registry().operations if item.executor == "postgres"}

    assert PostgresExecutor(TargetCredentials({})).supports.operations <= described
