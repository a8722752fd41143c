"""`policy check`: each thing that can be wrong with a policy is found, at its line and column, with the fix."""

import textwrap
from datetime import UTC, datetime

import pytest

from policy.catalog import read_catalog
from policy.checks.checking import Kind, check
from policy.checks.findings import MAX_FINDINGS, Finding, Severity, worst
from policy.operations import read_operations
from policy.people.directory import read_directory
from tests.unit.builders import CATALOG, DIRECTORY, OPERATIONS

NOW = datetime(2030, 1, 15, 12, tzinfo=UTC)
HEAD = """\
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: house, version: "1", controls: [cm-3]}
"""
CHAINS = """\
chains:
  pair:
    stages: [{name: ops, requirements: [{groups: [ops]}], deadline: 1h}]
"""
REGISTRY, TARGETS, PEOPLE = read_operations(OPERATIONS), read_catalog(CATALOG), read_directory(DIRECTORY)
ASKS = "  - {id: asks, match: {operations: [pg.set]}, verdict: require_approval, chain: pair}\n"


def _policy(text: str, *, head: str = HEAD, chains: str = CHAINS) -> bytes:
    return (head + textwrap.dedent(text) + chains).encode()


def _rules(*lines: str, chains: str = CHAINS, head: str = HEAD) -> bytes:
    """A policy whose rules begin on line 5."""
    return _policy("rules:\n" + ASKS + "".join(f"  - {line}\n" for line in lines), chains=chains, head=head)


FOUND: dict[str, tuple[bytes, list[str]]] = {
    "a typo in a field": (
        _rules("{id: a, match: {operation: [pg.set]}, verdict: deny}"),
        ["6:21 error schema: rules.1.match.operation is no field here: remove it, or correct its name"],
    ),
    "a condition of the wrong type": (
        _rules('{id: a, when: "risk.score", verdict: deny}'),
        ["6:19 error schema: rules.1.when: condition is of type int, it must be a bool (got 'risk.score')"],
    ),
    "a condition with an unknown name": (
        _rules('{id: a, when: "risk.scroe > 3", verdict: deny}'),
        ["6:19 error schema: rules.1.when: condition line 1, column 5: undeclared reference to 'risk"],
    ),
    "a condition on people with the name of an action": (
        _rules(chains=CHAINS.replace("[{groups: [ops]}]", "[{groups: [ops], when: risk.score > 3}]")),
        ["8:63 error schema: chains.pair.stages.0.requirements.0.when: condition line 1, column 5: undeclared"],
    ),
    "several mistakes at once": (
        _rules("{id: a, when: 3, verdict: deny}", "{id: b, match: {destructive: yes}, verdict: allow}"),
        ["6:19 error schema: rules.1.when", "7:34 error schema: rules.2.match.destructive"],
    ),
    "a chain that is not there": (
        _rules("{id: a, match: {operations: [pg.reset]}, verdict: require_approval, chain: trio}"),
        ["6:80 error schema: chain trio is named by a rule and not defined"],
    ),
    "an id twice": (
        _rules("{id: asks, match: {operations: [pg.reset]}, verdict: deny}"),
        ["6:10 error schema: id asks is used twice"],
    ),
    "a key twice": (
        _rules("{id: a, id: b}"),
        ["6:13 error unreadable: key 'id' occurs twice"],
    ),
    "two documents of one name": (
        _rules() + b"---\n" + _rules(),
        ["12:18 error unusable: document house occurs in two documents"],
    ),
    "the same rule again": (
        _rules("{id: again, match: {operations: [pg.set]}, verdict: require_approval, chain: pair}"),
        ["6:5 warning unreachable_rule: rule again never decides: rule asks covers all that it matches, comes first"],
    ),
    "a rule that a stricter one after it covers": (
        _rules("{id: no, match: {operations: [pg.set, pg.drop]}, verdict: deny}"),
        ["5:5 warning unreachable_rule: rule asks never decides: rule no covers all that it matches"],
    ),
    "a milder one after it covers nothing": (
        _rules("{id: a, match: {operations: [pg.set]}, verdict: allow}", chains=CHAINS),
        [
            "6:5 warning unreachable_rule: rule a never decides",
        ],
    ),
    "a rule under a limit": (
        _policy("limits:\n  - {id: wall, match: {operations: [pg.set]}, reason: r}\nrules:\n" + ASKS),
        ["7:5 warning unreachable_rule: rule asks never decides: limit wall denies everything that it matches"],
    ),
    "a rule under a cap is reached": (
        _policy("limits:\n  - {id: cap, match: {operations: [pg.set]}, max_resolved: 3, reason: r}\nrules:\n" + ASKS),
        [],
    ),
    "a rule under a condition is not analysed": (
        _rules('{id: no, match: {operations: [pg.set]}, when: "risk.score > 90", verdict: deny}'),
        ["5:5 info not_analysed: not analysed: conditions, exceptions or enforcement", "asks (by no)"],
    ),
    "a chain after one that fits everything": (
        _rules("{id: a, match: {operations: [pg.reset]}, verdict: hold, chain: [{chain: pair}, {chain: pair}]}"),
        ["6:84 warning unreachable_choice: rule a never asks chain pair: the choice before it fits everything"],
    ),
    "chains that may not fit": (
        _rules("{id: a, match: {operations: [pg.reset]}, verdict: hold, chain: [{tiers: [low], chain: pair}]}"),
        ["6:68 warning no_chain_fits_all: rule a denies where none of its chains fits"],
    ),
    "a limit within a limit": (
        _policy(
            "limits:\n  - {id: one, match: {operations: [pg.drop]}, reason: r}\n"
            "  - {id: two, match: {operations: [pg.drop], destructive: true}, reason: r}\n"
            "  - {id: six, match: {operations: [pg.drop]}, reason: r}\nrules:\n" + ASKS
        ),
        ["6:5 warning pointless_limit: limit two adds nothing", "7:5 warning pointless_limit: limit six adds nothing"],
    ),
    "a team that speaks of what is not its own": (
        _rules(
            head=HEAD.replace("name: house", "name: house, scope: team, covers: {environments: [production]}"),
        ).replace(b"[pg.set]}", b"[pg.set], environments: [staging]}"),
        ["5:60 error matches_nothing: asks matches nothing: its environments", "5:61 warning unknown_environment: "],
    ),
    "a misspelt operation": (
        _rules("{id: a, match: {operations: [pg.rest]}, verdict: deny}"),
        ["6:34 warning unknown_operation: operation pg.rest is not in the operations registry", "mean pg.reset?"],
    ),
    "unknown places": (
        _rules("{id: a, match: {environments: [prod], targets: [orders, order]}, verdict: deny}"),
        [
            "6:36 warning unknown_environment: environment prod is not in the catalog",
            "6:61 warning unknown_target: target order is not in the catalog",
        ],
    ),
    "a control that is none": (
        _rules("{id: a, match: {operations: [pg.drop]}, verdict: deny, controls: [cm-99, CM-3(1), SOC 2 CC8.1]}"),
        [
            "6:71 warning unknown_control: control cm-99",
            "6:78 warning unknown_control: control CM-3(1)",
            "write cm-3.1",
        ],
    ),
    "no controls at all": (
        _rules(head=HEAD.replace(", controls: [cm-3]", "")),
        ["4:1 info no_controls: no control is named by asks"],
    ),
    "a chain that nobody asks": (
        _rules(chains=CHAINS + "  other:\n    stages: [{name: x, requirements: [{groups: [dba]}], deadline: 1h}]\n"),
        ["9:3 warning unused_chain: chain other is asked by no rule"],
    ),
    "a chain that asks one person twice": (
        _rules(
            chains=CHAINS.replace("}]\n", "}, {name: sre, requirements: [{groups: [sre], count: 2}], deadline: 1h}]\n")
        ),
        ["7:3 error chain_unsatisfiable: chain pair needs 3 different people and the directory lacks 1 of sre"],
    ),
    "a chain without its author": (
        _rules(
            head=HEAD.replace("name: house", "name: house, authors: [ann, bob]"),
        ),
        ["7:3 error chain_unsatisfiable", "lacks 1 of ops without ann and bob, who wrote this document"],
    ),
    "a chain of one": (
        _rules(chains=CHAINS.replace("[ops]}", "[sre]}")),
        ["7:3 warning chain_needs_requester: chain pair cannot be satisfied when dan asks"],
    ),
    "a group of nobody": (
        _rules(chains=CHAINS.replace("[ops]}", "[ops, opps]}")),
        ["8:56 warning unknown_group: chain pair asks group opps, in which the directory has nobody"],
    ),
    "a release by nobody": (
        _rules(chains=CHAINS.replace("deadline", "on_expiry: hold, release: {groups: [opps]}, deadline")),
        ["8:95 warning unknown_group: chain pair asks group opps, in which the directory has nobody"],
    ),
    "an escalation at the deadline to nobody": (
        _rules(
            chains=CHAINS.replace(
                "deadline",
                "on_expiry: escalate, expiry_escalation: {after: 0s, add_groups: [opps], reason: late}, deadline",
            )
        ),
        ["8:124 warning unknown_group: chain pair asks group opps, in which the directory has nobody"],
    ),
    "a denial by more than there are": (
        _rules(chains=CHAINS.replace("deadline", "deny_threshold: 3, deadline")),
        ["8:75 warning denial_impossible: stage ops is denied by 3 people and only 2 could deny it"],
    ),
    "people who are all new": (
        _rules(chains=CHAINS.replace("deadline", "newcomer_wait: 14d, deadline")),
        ["8:41 warning only_newcomers: stage ops counts nobody who is there, or holds what it asks, for less than 14d"],
    ),
    "people who are all new in some tier": (
        _rules(head=HEAD + "newcomers: {tiers: [low], wait: 7d}\n"),
        [
            "9:41 warning only_newcomers: stage ops counts nobody",
            "less than 7d",
            "says of none of 2 people that they do",
        ],
    ),
    "an author whom nobody knows": (
        _rules(head=HEAD.replace("name: house", "name: house, authors: [ghost]")),
        ["3:35 warning unknown_person: ghost is nobody in the directory"],
    ),
    "somebody who may revoke and whom nobody knows": (
        _rules(chains=CHAINS + "revocation: {during: {people: [ann, ghost]}}\n"),
        ["9:37 warning unknown_person: ghost is nobody in the directory"],
    ),
    "a group of nobody that may revoke": (
        _rules(chains=CHAINS + "revocation: {during: {groups: [ops, opps]}}\n"),
        ["9:37 warning unknown_group: revocation.during asks group opps, in which the directory has nobody"],
    ),
    "a glass for a group of nobody": (
        _rules(
            chains=CHAINS + "break_glass:\n  - {id: out, match: {operations: [pg.set]}, chain: pair,"
            " review_within: 1d, who: {groups: [opps]}}\n"
        ),
        ["10:93 warning unknown_group: break_glass.0.who asks group opps, in which the directory has nobody"],
    ),
    "a deadline after the end of the action": (
        _rules(head=HEAD + "absolute_deadline: 30m\n"),
        ["9:69 warning deadline_never_comes: stage ops waits 1h, and absolute_deadline ends every action after 30m"],
    ),
    "a deadline at the end of the action": (_rules(head=HEAD + "absolute_deadline: 1h\n"), []),
    "a review that outlasts the action": (
        _rules(
            chains=CHAINS
            + "  later:\n    stages: [{name: x, requirements: [{groups: [ops]}], deadline: 30d}]\n"
            + "break_glass: [{id: out, match: {operations: [pg.set]}, chain: pair, review: later, review_within: 1d}]\n"
        ),
        [],
    ),
    "a review that is overdue": (
        _rules("{id: a, match: {operations: [pg.drop]}, verdict: deny, review_by: 2030-01-14}"),
        ["6:71 warning review_overdue: the review of rule a was due on 2030-01-14"],
    ),
    "a review today is not overdue": (
        _rules("{id: a, match: {operations: [pg.drop]}, verdict: deny, review_by: 2030-01-15}"),
        ["6:71 info review_soon"],
    ),
    "a rule that observes": (
        _rules(
            "{id: a, match: {operations: [pg.drop]}, verdict: deny, enforcement: observe, enforce_from: 2030-03-01}"
        ),
        ["6:96 info not_enforced: rule a only observes until 2030-03-01"],
    ),
    "a rule that observes for a few days": (
        _rules("{id: a, match: {operations: [pg.drop]}, verdict: deny, enforcement: warn, enforce_from: 2030-01-20}"),
        ["6:93 warning switch_expires_soon: rule a only warns until 2030-01-20"],
    ),
    "a rule that observes for ever": (
        _rules(
            "{id: a, match: {operations: [pg.drop]}, verdict: deny, enforcement: observe, enforce_from: 9999-12-31}"
        ),
        ["6:96 error observes_too_long: rule a only observes until 9999-12-31: name a day within a year"],
    ),
    "a rule that does not observe any more": (
        _rules("{id: a, match: {operations: [pg.drop]}, verdict: deny, enforcement: warn, enforce_from: 2030-01-15}"),
        ["6:93 warning switch_expired: rule a enforces since 2030-01-15"],
    ),
}


def _check(body: bytes) -> tuple[Finding, ...]:
    return check("policy", body, now=NOW, operations=REGISTRY, catalog=TARGETS, directory=PEOPLE)


@pytest.mark.parametrize(("body", "expected"), FOUND.values(), ids=FOUND)
def test_each_finding_has_its_place_and_its_fix(body: bytes, expected: list[str]) -> None:
    """What is expected is found, nothing else is, and each finding says where it stands."""
    found = [str(item) for item in _check(body) if not item.code.startswith("gap")]

    lines = [text for text in expected if text.partition(":")[0].isdigit()]
    assert len(found) == len(lines), found
    for line, text in zip(lines, found, strict=True):
        assert text.startswith(line), found
    assert all(any(text in line for line in found) for text in expected), found


def test_what_is_not_given_is_not_checked() -> None:
    """Without registry, catalog and directory no name is wrong and no chain is empty."""
    body = _rules(
        "{id: a, match: {operations: [x.y], targets: [nowhere]}, verdict: deny}", chains=CHAINS.replace("ops]", "none]")
    )
    assert check("policy", body, now=NOW) == ()
    assert len([item for item in _check(body) if item.code != "gap"]) == 4


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("operations", OPERATIONS, []),
        ("catalog", CATALOG, []),
        ("directory", DIRECTORY, []),
        (
            "directory",
            DIRECTORY.replace(b"groups: [sre]", b"group: [sre]"),
            ["9:15 error schema: people.3.group is no field"],
        ),
        (
            "directory",
            DIRECTORY.replace(b"owner: ann", b"owner: zoe"),
            ["11:10 error schema: agent tuner: owner zoe is not the"],
        ),
        ("catalog", b"kind: Component\nspec: {}\n", ["1:1 error unusable: "]),
        ("operations", b"a: [\n", ["2:1 error unreadable: did not find expected node content"]),
        ("operations", OPERATIONS.replace(b"severity: 40", b"severity: 400"), ["1:1 error unusable: "]),
    ],
)
def test_the_other_kinds_are_read(kind: Kind, body: bytes, expected: list[str]) -> None:
    """Operations, catalog and directory are held to their schema, with a place where the reader knows one."""
    found = [str(item) for item in check(kind, body, now=NOW)]
    assert len(found) == len(expected), found
    assert all(text.startswith(line) for line, text in zip(expected, found, strict=True)), found


def test_findings_are_bounded_and_ordered() -> None:
    """A document full of mistakes is told a readable number of them, in the order of its text."""
    many = [f"{{id: r{number}, match: {{operations: [x.n{number}]}}, verdict: deny}}" for number in range(600)]
    found = _check(_rules(*many))
    assert len(found) == MAX_FINDINGS
    assert [item.line for item in found] == sorted(item.line for item in found)
    assert worst(found) is Severity.warning
    assert worst(()) is None


GAPS: dict[str, tuple[bytes, list[str]]] = {
    "what no rule names": (
        _rules(),
        ["4:1 warning gap: no rule covers pg.reset, pg.end_session, pg.drop in production: it is denied"],
    ),
    "an environment": (
        _rules("{id: rest, match: {operations: [pg.reset, pg.end_session, pg.drop]}, verdict: deny}").replace(
            b"[pg.set]}", b"[pg.set], environments: [production], tiers: [medium]}"
        ),
        ["4:1 warning gap: no rule covers pg.set in production at high, critical: it is denied"],
    ),
    "a limit leaves none": (
        _policy(
            "limits:\n  - {id: wall, match: {operations: [pg.drop]}, reason: r}\nrules:\n"
            + ASKS
            + "  - {id: rest, match: {operations: [pg.reset, pg.end_session]}, verdict: deny}\n"
        ),
        [],
    ),
    "a part alone covers little": (_rules(head=HEAD.replace("name: house", "name: house, scope: root")), []),
    "what changes documents is asked about elsewhere": (
        _rules("{id: a, match: {operations: [pg.reset, pg.end_session, pg.drop]}, verdict: deny}")
        + b"---\n"
        + HEAD.replace("name: house", "name: root, scope: root").encode()
        + b"rules: [{id: b, match: {environments: [countersign], operations: [countersign.document.publish],"
        + b" targets: ['resource:countersign/documents']}, verdict: deny}]\n",
        [],
    ),
    "break-glass, a freeze and a rule that observes cover nothing": (
        _rules(
            "{id: a, match: {operations: [pg.drop]}, verdict: deny, enforcement: observe, enforce_from: 2030-03-01}",
            chains=CHAINS
            + "break_glass: [{id: out, match: {environments: [production]}, chain: pair, review_within: 1d}]\n"
            + "calendars: [{id: ice, kind: freeze, zone: UTC, start: 2030-12-24, duration: 3d}]\n",
        ),
        ["4:1 warning gap: no rule covers pg.reset, pg.end_session, pg.drop in production: it is denied"],
    ),
    "a condition may": (
        _rules(
            '{id: x, match: {operations: [pg.reset, pg.end_session, pg.drop]}, when: "risk.score < 3", verdict: deny}'
        ),
        ["4:1 info gap_unless: only rules with conditions or windows cover pg.reset, pg.end_session, pg.drop in"],
    ),
}


@pytest.mark.parametrize(("body", "expected"), GAPS.values(), ids=GAPS)
def test_what_is_registered_and_not_covered_is_a_gap(body: bytes, expected: list[str]) -> None:
    """Each registered operation is asked about where it may be proposed, from its floor on."""
    found = [str(item) for item in _check(body) if item.code.startswith("gap")]
    assert len(found) == len(expected), found
    assert all(text.startswith(line) for line, text in zip(expected, found, strict=True)), found
