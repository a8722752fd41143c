"""The policy document: what can be written, and what would mean less than it seems."""

from datetime import timedelta

import pytest

from policy.document import ApprovalChain, Stage, read_policy
from policy.errors import DocumentError
from tests.unit.builders import POLICY, a_policy


def _with(old: bytes, new: bytes) -> bytes:
    assert old in POLICY
    return POLICY.replace(old, new)


_ONE = b"{name: ops, requirements: [{groups: [ops]}], deadline: 1h}"

REFUSED = {
    "a match of everything": (
        _with(b"{operations: [pg.end_session]}", b"{}"),
        "match is empty and would match everything",
    ),
    "a match of nothing given": (_with(b"[pg.end_session]", b""), "match is empty and would match everything"),
    "an empty list": (_with(b"[pg.end_session]", b"[]"), "at least 1 item"),
    "a boolean of YAML 1.1": (_with(b"destructive: true", b"destructive: yes"), "destructive: .*valid boolean"),
    "an unknown verdict": (_with(b"verdict: allow", b"verdict: permit"), "verdict: input should be 'allow'"),
    "approval without a chain": (_with(b", chain: pair", b""), "rule settings: a chain belongs to require_approval"),
    "a chain without approval": (_with(b"verdict: allow", b"verdict: allow, chain: pair"), "rule sessions: a chain"),
    "a chain that is not there": (
        _with(b"chain: pair", b"chain: trio"),
        "chain trio is named by a rule and not defined",
    ),
    "a limit named like a rule": (_with(b"id: no-drop", b"id: sessions"), "id sessions is used twice"),
    "no rules": (_with(b"  - {id: sessions", b"  []\nx:\n  - {id: sessions"), "rules: .*at least 1 item|x: extra"),
    "no stage": (_with(b"    stages:", b"    stages: []\n    x:"), "at least 1 item"),
    "no requirement": (_with(_ONE, b"{name: ops, requirements: [], deadline: 1h}"), "at least 1 item"),
    "no group": (_with(b"{groups: [ops]}", b"{groups: []}"), "at least 1 item"),
    "nobody": (_with(b"{groups: [ops]}", b"{groups: [ops], count: 0}"), "count: .*greater than or equal to 1"),
    "a count of true": (_with(b"{groups: [ops]}", b"{groups: [ops], count: true}"), "count: .*valid integer"),
    "more people than a stage can seat": (
        _with(b"{groups: [ops]}", b"{groups: [ops], count: 30}, {groups: [dba], count: 30}"),
        "stage ops: all requirements together may ask for 50 people at most",
    ),
    "a deadline of nothing": (_with(b"deadline: 1h}", b"deadline: 0s}"), "deadline: .*greater than"),
    "a deadline in base sixty": (_with(b"deadline: 1h}", b"deadline: 1:30}"), "duration must be written like"),
    "a deadline as a number": (_with(b"deadline: 1h}", b"deadline: 3600}"), "duration must be written like"),
    "a deadline in other digits": (_with(b"deadline: 1h}", b"deadline: \xd9\xa1h}"), "duration must be written like"),
    "a reminder at the deadline": (
        _with(_ONE, b"{name: ops, requirements: [{groups: [ops]}], deadline: 1h, reminders: [60m]}"),
        "stage ops: reminders and escalations must come before the deadline",
    ),
    "an escalation after the deadline": (
        _with(
            _ONE,
            b"{name: ops, requirements: [{groups: [ops]}], deadline: 1h,"
            b" escalations: [{after: 2h, add_groups: [x], reason: y}]}",
        ),
        "stage ops: reminders and escalations must come before the deadline",
    ),
    "a permit that is valid for too long": (
        _with(b"limits:", b"permit_ttl: 3601s\nlimits:"),
        "permit_ttl: .*1h at most",
    ),
    "measured again faster than it may be": (
        _with(b"limits:", b"drift: {recheck_every: 1m}\nlimits:"),
        "drift: recheck_every is 1m, min_interval 5m: make it no shorter than that",
    ),
    "a change that nobody can measure": (
        _with(b"limits:", b"drift: {material: [mood]}\nlimits:"),
        "drift.material.0: input should be 'score', 'dependents', 'in_flight', 'holds', 'slo' or 'stale'",
    ),
    "a change that voids without end": (
        _with(b"limits:", b"drift: {max_voids: 0}\nlimits:"),
        "drift.max_voids: .*greater",
    ),
    "a permit that never is valid": (_with(b"limits:", b"permit_ttl: 0s\nlimits:"), "permit_ttl: .*greater than"),
    "a condition on people that is none": (
        _with(b"{groups: [ops]}", b"{groups: [ops], when: person.age > 3}"),
        "stages.0.requirements.0.when: .*undeclared reference to 'person.age'",
    ),
    "a condition on who releases of another type": (
        _with(b"deadline: 1h}", b"deadline: 1h, on_expiry: hold, release: {when: person.team}}"),
        "stages.[01].release.when: .*of type string, it must be a bool",
    ),
    "a number as a version": (
        _with(b'version: "1"', b"version: 1"),
        "metadata.version: input should be a valid string",
    ),
    "a list": (b"[]", "malformed PolicyDocument: <root>"),
}


@pytest.mark.parametrize(("body", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(body: bytes, message: str) -> None:
    """A document that would allow by being vague, or could never approve, is refused with the place and the fix."""
    with pytest.raises(DocumentError, match=message):
        read_policy(body)


@pytest.mark.parametrize("written", ["90s", "15m", "4h", "7d", "14d", "999999d", "999999s", "100000h"])
def test_a_chain_can_be_read_again(written: str) -> None:
    """A chain that went into the record comes back the same, whatever its durations."""
    stage = Stage.model_validate_json(
        f'{{"name": "s", "requirements": [{{"groups": ["g"]}}], "deadline": "{written}"}}'
    )
    chain = ApprovalChain(stages=(stage,))
    assert ApprovalChain.model_validate_json(chain.model_dump_json()) == chain
    assert ApprovalChain.model_validate(chain.model_dump(mode="json")) == chain


def test_defaults() -> None:
    """What is not said: a week until the end, five minutes for a permit, one denial denies, expiry denies."""
    policy = a_policy()
    assert (policy.absolute_deadline, policy.permit_ttl) == (timedelta(days=7), timedelta(minutes=5))
    first = policy.documents[0].chains["pair"].stages[0]
    assert (first.deny_threshold, first.on_expiry, first.requirements[0].count) == (1, "deny", 1)


def test_what_is_not_said_of_changes_is_not_measured_and_what_is_said_has_defaults() -> None:
    """Without a word an action is measured at dispatch only; with one a step of ten points counts, twice."""
    told = read_policy(_with(b"limits:", b"drift: {recheck_every: 1h}\nlimits:")).drift
    assert a_policy().drift is None
    assert told is not None
    assert (told.min_interval, told.score_step, told.max_voids) == (timedelta(minutes=5), 10, 2)
    assert [str(fact) for fact in told.material] == ["score"]
