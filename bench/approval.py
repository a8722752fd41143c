"""What counting votes and looking for who is left costs: 200 people who may answer, one stage of 20 requirements.

- Each person is in four of 24 groups, in one of five teams and below others of a small tree, by a fixed seed; each
  requirement asks two people of two groups.
- `tally` counts 40 votes that fill it. `feasible` looks whether people are left, before any vote and after 36.
  `unblocking` names sets of the people who are missing then. With and without the rules about who may sit together.
- Times are CPU times per call, in rounds; figures are medians and quartiles over the rounds.
"""

import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bench.figures import Quartiles, table
from policy.approval.feasibility import feasible
from policy.approval.quorum import tally_stage
from policy.approval.standing import ApprovalCase, Ballot
from policy.approval.unblocking import unblocking
from policy.decision import Vote
from policy.people.facts import PersonFacts
from policy.proofs import Assurance
from policy.rules.chains import ApprovalChain, Requirement, Stage

_PEOPLE, _REQUIREMENTS, _GROUPS, _TEAMS = 200, 20, 24, 5
_ROUNDS, _CALLS = 9, 5
_AT = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
_OPENED = _AT - timedelta(minutes=5)


def people() -> tuple[PersonFacts, ...]:
    """Two hundred people; each reports to somebody of a tenth of their number, and so on."""
    chance = random.Random(3)
    found = []
    for number in range(_PEOPLE):
        above, managers = number // 10, []
        while above and above != number:
            managers.append(f"p{above}")
            above //= 10
        found.append(
            PersonFacts(
                person_id=f"p{number}",
                groups=tuple(f"g{group}" for group in chance.sample(range(_GROUPS), 4)),
                managers=tuple(managers),
                teams=(f"t{chance.randrange(_TEAMS)}",),
            )
        )
    return tuple(found)


def case(**rules: object) -> ApprovalCase:
    """One stage of twenty requirements for two people each, and somebody of the first team who asks."""
    chance = random.Random(4)
    requirements = tuple(
        Requirement(groups=tuple(f"g{group}" for group in chance.sample(range(_GROUPS), 2)), count=2)
        for _ in range(_REQUIREMENTS)
    )
    stage = {"name": "all", "requirements": requirements, "deadline": timedelta(hours=1), **rules}
    return ApprovalCase(
        chain=ApprovalChain(stages=(Stage.model_validate(stage),)),
        opened_at=_OPENED,
        absolute_deadline=_OPENED + timedelta(days=1),
        requesters=("p0",),
        teams=("t0",),
    )


def measure_approval() -> str:
    """A table: milliseconds per call, with and without the rules about who may sit together."""
    rows = []
    rules: tuple[tuple[str, dict[str, object]], ...] = (
        ("none", {}),
        ("`outside_team: 20`", {"outside_team": 20}),
        ("`separate_lines`", {"separate_lines": True}),
        ("both", {"outside_team": 20, "separate_lines": True}),
    )
    everybody = people()
    for name, chosen in rules:
        opened = case(**chosen)
        found = feasible(opened, everybody, _AT)
        if not found.feasible:
            raise AssertionError(f"with rules {name} nobody is left: the measurement says nothing")
        rows.append((name, *(_figures(call) for call in _calls(opened, everybody))))
    header = ("rules", "tally of 40 votes, ms", "feasible, ms", "feasible after 36 votes, ms", "unblocking, ms")
    return table(header, rows)


def _calls(opened: ApprovalCase, everybody: tuple[PersonFacts, ...]) -> tuple[Callable[[], object], ...]:
    stage, voters = opened.chain.stages[0], everybody[-40:]
    voted = opened.model_copy(update={"ballots": tuple(_approval(person) for person in voters[:36])})
    return (
        lambda: tally_stage(stage, stage.requirements, voters, teams=opened.teams),
        lambda: feasible(opened, everybody, _AT),
        lambda: feasible(voted, everybody, _AT),
        lambda: unblocking(voted, everybody, _AT),
    )


def _approval(person: PersonFacts) -> Ballot:
    return Ballot(
        **dict(person),
        decision_id=person.person_id,
        stage=1,
        vote=Vote.approve,
        received_at=_OPENED,
        assurance=Assurance.claimed,
    )


def _figures(call: Callable[[], object]) -> str:
    rounds = []
    for _ in range(_ROUNDS):
        times = []
        for _ in range(_CALLS):
            began = time.process_time()
            call()
            times.append(1000 * (time.process_time() - began))
        rounds.append(statistics.median(times))
    return Quartiles.of(rounds).text(1)
