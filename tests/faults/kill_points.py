"""Where a worker is killed, and how the action ends: for each path a table by the state the action is in.

- A point is what `crashing.py` says: `before` or `after` a commit of an activity, or the effect. With `+` there are
  several, one kill after the other.
- An end is the outcome and how often the target counts the effect. Where the claim is durable and the effect was not
  seen, nobody can know. Where nobody had claimed, the step is tried once more, and not a third time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from policy.lifecycle import State
from tests.faults.people import Conduct

End = tuple[str, int]
DONE: End = ("succeeded", 1)
UNDONE: End = ("compensated", 1)
KEPT: End = ("inconclusive", 1)
UNKNOWN: End = ("outcome_unknown", 0)
NOTHING: End = ("not_executed", 0)


@dataclass(frozen=True)
class Path:
    """One way through the lifecycle, and the kills on it.

    Attributes:
        kills: state -> point -> end.
        target: which rule of `governed.py` applies.
        fails: whether the success criteria fail, so that it is undone.
        undecided: whether nobody can tell whether they are met, so that people are asked.
        conduct: what people do.
        observed: for how many seconds the criteria are observed after the effect.
        again: whether the proposal is started once more after its end.
        resolution: of the result.
    """

    kills: Mapping[State, Mapping[str, End]]
    target: str = "resource:calm"
    fails: bool = False
    undecided: bool = False
    conduct: Conduct = Conduct.approve
    observed: int = 0
    again: bool = False
    resolution: str = "approved"

    @property
    def ends(self) -> dict[str, End]:
        """The end after each point."""
        return {point: end for kills in self.kills.values() for point, end in kills.items()}


def around(*commits: str, end: End) -> dict[str, End]:
    """Before and after each of these commits, with the same end."""
    return {f"{when}:{commit}": end for commit in commits for when in ("before", "after")}


PATHS: Mapping[str, Path] = {
    "allowed": Path(
        kills={
            State.assessing: around("assess:1", end=DONE),
            State.dispatching: around("dispatch:1", end=DONE),
            State.executing: {
                "before:execute:1": DONE,
                "after:execute:1": UNKNOWN,
                "before:effect": UNKNOWN,
                "after:effect": DONE,
                # The first transaction of `execute` claims, the second stores the report.
                **around("execute:2", end=DONE),
            },
            State.recording: around("record:1", end=DONE),
        }
    ),
    "looked at": Path(
        kills={
            State.executing: {
                "after:effect+before:observe:1": DONE,
                "after:effect+after:observe:1": DONE,
                "before:effect+before:observe:1": UNKNOWN,
                "before:effect+after:observe:1": UNKNOWN,
            }
        }
    ),
    "tried again": Path(
        kills={
            State.executing: {
                "before:execute:1+before:execute:1": NOTHING,
                "before:execute:1+after:execute:1": UNKNOWN,
                "before:execute:1+after:effect": DONE,
            }
        }
    ),
    "asked": Path(
        target="resource:busy",
        kills={State.pending: around("take_decision:1", "take_decision:2", "advance:1", end=DONE)},
    ),
    "flooded": Path(
        target="resource:open",
        conduct=Conduct.flood,
        kills={State.pending: around("take_decisions:1", end=DONE)},
    ),
    "undone": Path(
        fails=True,
        kills={
            # The third transaction of `execute` claims the undo permit, the fourth stores its report.
            State.compensating: around("undo", "execute:3", "execute:4", end=UNDONE),
            State.recording: around("record:1", end=UNDONE),
        },
    ),
    "lapsed": Path(
        undecided=True,
        kills={State.judging: around("advance:1", "advance:2", end=UNDONE)},
    ),
    "accepted": Path(
        target="resource:open",
        conduct=Conduct.accept,
        undecided=True,
        kills={State.judging: around("take_decision:2", end=KEPT), State.recording: around("record:1", end=KEPT)},
    ),
    "stopped": Path(
        conduct=Conduct.stop,
        observed=8,
        kills={State.executing: around("advance:1", end=UNDONE), State.compensating: around("undo", end=UNDONE)},
    ),
    "revoked": Path(
        conduct=Conduct.revoke,
        observed=8,
        kills={State.executing: around("take_decision:1", end=UNDONE), State.compensating: around("undo", end=UNDONE)},
    ),
    "called off": Path(
        target="resource:open",
        conduct=Conduct.revoke,
        resolution="withdrawn",
        kills={
            State.pending: around("take_decision:1", end=NOTHING),
            State.recording: around("record:1", end=NOTHING),
        },
    ),
    "withdrawn": Path(
        target="resource:open",
        conduct=Conduct.withdraw,
        resolution="withdrawn",
        kills={
            State.pending: around("advance:1", end=NOTHING),
            State.recording: around("record:1", end=NOTHING),
        },
    ),
    "denied": Path(
        target="resource:open",
        conduct=Conduct.deny,
        resolution="denied",
        kills={
            State.pending: around("take_decision:1", end=NOTHING),
            State.recording: around("record:1", end=NOTHING),
        },
    ),
    "expired": Path(
        target="resource:brief",
        conduct=Conduct.ignore,
        resolution="expired",
        kills={
            State.pending: around("advance:1", end=NOTHING),
            State.recording: around("record:1", end=NOTHING),
        },
    ),
    "asked anew": Path(
        target="resource:open",
        conduct=Conduct.see_it_move,
        kills={State.pending: around("advance:1", "take_decision:1", end=DONE)},
    ),
    "given back": Path(
        target="resource:open",
        conduct=Conduct.miss_it_move,
        kills={
            # The gate closes at the first transaction of `dispatch`, and holds at the second.
            State.dispatching: around("dispatch:1", "advance:1", "dispatch:2", end=DONE),
            State.pending: around("take_decision:2", end=DONE),
        },
    ),
    "barred": Path(
        target="resource:barred",
        resolution="denied",
        kills={State.assessing: around("assess:1", end=NOTHING)},
    ),
    "started again": Path(again=True, kills={State.closed: around("assess:2", end=DONE)}),
}

# What commits in a state. `observe` and stops come while a step runs; a closed action is only read again.
COMMITS: Mapping[State, frozenset[str]] = {
    State.assessing: frozenset({"assess"}),
    State.pending: frozenset({"take_decision", "take_decisions", "advance"}),
    # What closed the gate may go back to people.
    State.dispatching: frozenset({"dispatch", "advance"}),
    State.executing: frozenset({"execute", "effect", "observe", "advance", "take_decision"}),
    State.judging: frozenset({"advance", "take_decision"}),
    State.compensating: frozenset({"execute", "undo"}),
    State.recording: frozenset({"record"}),
    State.closed: frozenset({"assess"}),
}
