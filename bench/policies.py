"""What an answer costs with 10, 100 and 1,000 rules, next to Cedar on the same rules, and how fast it simulates.

- Rule number n asks for operation n, an environment and a severity below a bound: `match` and `when` here, a `permit`
  with a condition there. The same requests are put to both, and both must give the same answers before anything is
  timed.
- Ours returns verdict, chain, reasons and who was excluded from a whole case; Cedar's returns allow or deny for one
  request. Cedar is asked through cedarpy with its policies parsed once.
- Rounds alternate; figures are medians of per-request times.
"""

import statistics
import time
from collections.abc import Callable, Sequence

from cedarpy import Decision, is_authorized
from cedarpy import PolicySet as CedarPolicies

from bench.assessment import AT, real_catalog
from bench.figures import Quartiles, table
from policy.checks.simulation import PastAction, simulate
from policy.document import PolicySet, read_policy
from policy.evaluation import evaluate
from policy.facts import Facts, collect
from policy.impact import assess
from policy.observed import Observed
from policy.operations import OperationsRegistry, read_operations
from policy.people.directory import read_directory
from policy.proposal import ActionProposal, receive

_SIZES = (10, 100, 1000)
_ROUNDS, _REQUESTS = 9, 40
_DIRECTORY = b"""
apiVersion: countersign/v1
kind: Directory
metadata: {name: people, version: "1"}
people: [{id: owner}]
agents: [{id: bot, owner: owner}]
"""


def _operation(number: int) -> str:
    return f"bench.operation_{number}"


def _severity(number: int) -> int:
    return number % 60


def _bound(number: int) -> int:
    """Below the severity of every third operation, so that a third is not allowed."""
    return 60 if number % 3 else 0


def _registry(size: int) -> OperationsRegistry:
    items = [
        f"  - {{name: {_operation(number)}, executor: bench, severity: {_severity(number)}, needs_no_undo: true}}"
        for number in range(size)
    ]
    head = 'apiVersion: countersign/v1\nkind: OperationsRegistry\nmetadata: {name: bench, version: "1"}\noperations:\n'
    return read_operations((head + "\n".join(items)).encode())


def _policy(size: int) -> PolicySet:
    rules = [
        f"  - {{id: r{number}, match: {{operations: [{_operation(number)}], environments: [production]}},"
        f" when: 'operation.severity < {_bound(number)}', verdict: allow}}"
        for number in range(size)
    ]
    head = 'apiVersion: countersign/v1\nkind: PolicyDocument\nmetadata: {name: bench, version: "1"}\nrules:\n'
    return read_policy((head + "\n".join(rules)).encode())


def _cedar(size: int) -> CedarPolicies:
    return CedarPolicies.from_str(
        "\n".join(
            f'permit(principal, action == Action::"{_operation(number)}", resource) when '
            f'{{ context.environment == "production" && context.severity < {_bound(number)} }};'
            for number in range(size)
        )
    )


def _proposal(number: int, target: str) -> ActionProposal:
    value = {
        "api_version": "countersign/v1",
        "proposal_id": f"measured-{number}",
        "operation": _operation(number),
        "target": target,
        "environment": "production",
        "agent": {"id": "bot"},
        "on_behalf_of": "owner",
        "rationale": "to measure it",
        "steps": [{"name": "act", "operation": _operation(number)}],
        "success_criteria": [{"probe": "platform.healthy", "equals": True}],
    }
    return receive(value).proposal


def measure_policies() -> str:
    """The table of evaluation times, and a line about simulation."""
    header = ("rules", "ours, us", "cedar, us", "ours / cedar")
    return f"{table(header, [_row(size) for size in _SIZES])}\n\n{_simulation()}"


def _row(size: int) -> tuple[str, ...]:
    policy, cedar = _policy(size), _cedar(size)
    cases = _cases(size)
    ours = [_ours(policy, *case) for case in cases]
    theirs = [_theirs(cedar, number) for number in _numbers(size)]
    if [ask() for ask in ours] != [ask() for ask in theirs]:
        raise AssertionError(f"with {size} rules the two engines disagree: the comparison says nothing")
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(_ROUNDS):
        times["ours"].append(_timed(ours))
        times["theirs"].append(_timed(theirs))
    ratios = [mine / other for mine, other in zip(times["ours"], times["theirs"], strict=True)]
    figures = (Quartiles.of(times["ours"]).text(0), Quartiles.of(times["theirs"]).text(0), Quartiles.of(ratios).text(2))
    return (str(size), *figures)


def _numbers(size: int) -> list[int]:
    return [(number * 7) % size for number in range(_REQUESTS)]


def _cases(size: int) -> list[tuple[ActionProposal, Facts]]:
    catalog, directory, registry = real_catalog(), read_directory(_DIRECTORY), _registry(size)
    target = next(ref for ref in catalog.entities if ref.startswith("component:"))
    observed = Observed(at=AT, catalog_at=AT, directory_at=AT)
    found = []
    for number in _numbers(size):
        proposal = _proposal(number, target)
        facts = collect(proposal, catalog=catalog, directory=directory, registry=registry, observed=observed)
        found.append((proposal, facts))
    return found


def _ours(policy: PolicySet, proposal: ActionProposal, facts: Facts) -> Callable[[], bool]:
    assessment = assess(proposal, facts)
    return lambda: evaluate(policy, proposal, facts, assessment).verdict == "allow"


def _theirs(cedar: CedarPolicies, number: int) -> Callable[[], bool]:
    request = {
        "principal": 'Agent::"bot"',
        "action": f'Action::"{_operation(number)}"',
        "resource": 'Target::"target"',
        "context": {"environment": "production", "severity": _severity(number)},
    }
    return lambda: is_authorized(request, cedar, []).decision == Decision.Allow


def _timed(asks: Sequence[Callable[[], bool]]) -> float:
    """Microseconds per request, the median of a round."""
    times = []
    for ask in asks:
        began = time.perf_counter()
        ask()
        times.append(1e6 * (time.perf_counter() - began))
    return statistics.median(times)


def _simulation() -> str:
    policy, directory = _policy(100), read_directory(_DIRECTORY)
    actions = [PastAction(item.proposal_id, AT, item, facts, policy, directory) for item, facts in _cases(100)] * 25
    rates = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        simulate(policy, actions)
        rates.append(len(actions) / (time.perf_counter() - began))
    return f"simulation: {Quartiles.of(rates).text(0)} actions a second, 100 rules, each judged under both policies."
