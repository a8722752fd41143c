"""The texts of the command line against golden files. `python tests/unit/test_render.py` writes them anew."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from cli import render, timeline
from cli.case import delegators
from cli.page import page_width
from policy.approval.escalation import Due
from policy.approval.standing import StageStanding
from policy.base import Reason
from policy.decision import DecisionReceipt
from policy.operations import RiskTier
from policy.outcome import Outcome
from policy.proofs import Assurance
from policy.result import ActionResult, DecidedBy, Timings
from policy.screens.screen_plain import WIDTH
from tests.unit.builders import a_ballot
from tests.unit.screens import high_impact

GOLDEN = Path(__file__).parents[1] / "cli_golden"
NOW = datetime(2030, 1, 31, 9, 0, 0, 913179, tzinfo=UTC)
DIGESTS = {f"{name}_digest": f"sha256:{at:064x}" for at, name in enumerate(("action", "assessment", "policy"), start=1)}
HOSTILE = "\x1b[2J\x1b[31mAPPROVED\x1b[0m\nby security\u202e txt.exe [bold]really[/bold] `x` " + "please " * 30

SCREEN = high_impact().model_copy(update={"words": HOSTILE})
STAGES = (
    StageStanding(
        number=1,
        name="dba",
        state="approved",
        opened_at=NOW,
        resolved_at=NOW,
        deadline=NOW + timedelta(hours=4),
        approvals=("ben",),
        groups=("dba",),
    ),
    StageStanding(
        number=2,
        name="service-owners",
        state="open",
        opened_at=NOW,
        deadline=NOW + timedelta(hours=4),
        missing=("1 of service-owners or managers",),
        groups=("service-owners", "managers"),
    ),
    StageStanding(number=3, name="board", state="waiting"),
)
DUE = (
    Due(at=NOW + timedelta(hours=1), kind="reminder", index=0, stage=2, text="remind stage service-owners"),
    Due(at=NOW + timedelta(hours=4), kind="deadline", index=0, stage=2, text="deadline of stage service-owners: deny"),
)
RESULT = ActionResult(
    proposal_id="orders-work-mem-7",
    revision=1,
    action_digest=DIGESTS["action_digest"],
    resolution="approved",
    outcome=Outcome.compensated,
    next_action="propose_anew",
    reasons=(
        Reason(code="criteria_failed", message="step 1: work_mem is 4MB\x1b[8m, 64MB was expected"),
        Reason(code="undone", message="everything that was done was undone"),
    ),
    verdict="require_approval",
    risk_tier=RiskTier.high,
    risk_score=62,
    decided_by=(
        DecidedBy(person_id="ben", stage=1, vote="approve", at=NOW, assurance=Assurance.claimed),
        DecidedBy(person_id=None, vote="allow", rule="production-parameters"),
    ),
    timings=Timings(proposed_at=NOW, finished_at=NOW + timedelta(minutes=5)),
)
ENTRIES: list[dict[str, Any]] = [
    {
        "at": "2030-01-31T09:00:00Z",
        "kind": "assessed",
        "content": {
            "revision": {
                "assessment": {"risk_tier": "high", "risk_score": 62},
                "evaluation": {"verdict": "require_approval", "reasons": [{"code": "x", "message": "two people"}]},
            }
        },
    },
    {
        "at": "2030-01-31T09:01:00Z",
        "kind": "decision_refused",
        "content": {
            "submission": {"vote": "approve", "stage": 1, "proof": {"kind": "claimed", "identity": "ana"}},
            "channel": "update",
            "person": {"person_id": "ana", "groups": []},
            "receipt": {"counted": False, "code": "self_approval", "message": "ana stands behind this proposal"},
        },
    },
    {
        "at": "2030-01-31T09:02:00Z",
        "kind": "decision_counted",
        "content": {
            "submission": {"vote": "approve", "stage": 1, "justification": "fine\x1b[2J"},
            "channel": "signal",
            "person": {"person_id": "ben", "groups": ["dba"]},
            "receipt": {"counted": True, "code": None, "message": "counted"},
        },
    },
    {"at": "2030-01-31T09:03:00Z", "kind": "stopped", "content": {"kind": "withdrawn", "actor": "unverified"}},
    {"at": "2030-01-31T09:04:00Z", "kind": "assessed", "late": True, "content": {"shape": "of another release"}},
    {
        "at": "2030-01-31T09:05:00Z",
        "kind": "recorded",
        "content": {"result": RESULT.model_dump(mode="json"), "records": [], "steps": 1},
    },
]
_STATUS = {
    "proposal_id": "orders-work-mem-7",
    "revision": 1,
    "state": "pending",
    "resolution": "pending",
    "risk_tier": "high",
    "risk_score": 62,
}


def _json(*models: Any) -> list[dict[str, Any]]:
    return [model.model_dump(mode="json") for model in models]


def _refused() -> DecisionReceipt:
    return DecisionReceipt(
        decision_id="d-1",
        counted=False,
        code="not_eligible",
        message="ana\x07 is in none of the groups that stage 2 asks: service-owners",
        missing=("1 of service-owners",),
    )


def _explanation() -> dict[str, Any]:
    return {
        "summary": "waiting for stage 2 of 3 (service-owners): 1 of service-owners",
        "waiting_for": ["stage 2 (service-owners): 1 of service-owners"],
        "could_unblock": {"service-owners": ["service-owners", "managers"]},
        "unblock": [["ana"], ["ben", "cara\x07"]],
        "then": [{"at": "2030-01-31T13:00:00Z", "what": "deadline of stage service-owners: deny"}],
        "because": ["rule_require_approval: production-parameters: needs two people"],
    }


def _listed() -> list[dict[str, str]]:
    first = {
        "id": "orders-work-mem-7",
        "state": "pending",
        "tier": "high",
        "target": "resource:default/orders-db",
        "environment": "production",
        "waits for": "service-owners, managers",
        "next deadline": "2030-01-31T13:00:00Z",
    }
    return [first, {**first, "id": "x" * 100, "target": "evil\x1b[2Jtarget" + "y" * 80}]


TEXTS: dict[str, Callable[[], str]] = {
    "headline": lambda: render.headline(_STATUS),
    "screen": lambda: render.screen(SCREEN.model_dump(mode="json"), accepts_claimed=True),
    "standing": lambda: render.standing(_json(*STAGES), _json(*DUE)),
    "digests": lambda: render.digests({**DIGESTS, "presented_digest": None}),
    "receipt_refused": lambda: render.receipt(_refused().model_dump(mode="json")),
    "receipt_counted": lambda: render.receipt(
        DecisionReceipt(decision_id="d-2", counted=True, resolution="approved").model_dump(mode="json")
    ),
    "result": lambda: render.result(RESULT.model_dump(mode="json")),
    "explain": lambda: render.explain(_explanation()),
    "timeline": lambda: render.timeline(timeline.lines(ENTRIES)),
    "list": lambda: render.pending(_listed()),
    "list_denied": lambda: render.pending([_listed()[0], {**_listed()[0], "denied before by": "ben, evil\x1b[2J"}]),
    "list_empty": lambda: render.pending([]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_is_the_golden_one(name: str) -> None:
    """What people read changes on purpose only."""
    assert TEXTS[name]() + "\n" == (GOLDEN / f"{name}.txt").read_text()


def test_there_is_no_golden_file_without_its_text() -> None:
    """A text that was dropped leaves no file behind."""
    assert {path.stem for path in GOLDEN.iterdir()} == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_no_control_character_reaches_a_terminal(name: str) -> None:
    """Whatever an agent or an approver wrote is shown, and does nothing."""
    text = TEXTS[name]()

    assert not [char for char in text if not char.isprintable() and char != "\n"]
    assert "\u202e" not in text


def test_markup_of_a_proposer_is_only_text() -> None:
    """Nothing that looks like markup is taken for it."""
    assert "[bold]really[/bold]" in TEXTS["screen"]()


def test_many_reminders_are_said_once() -> None:
    """What comes again and again takes one line, with the next time and the last; the deadline stays in sight."""
    reminders = [
        Due(at=NOW + timedelta(minutes=at), kind="reminder", index=at, stage=2, text="remind stage board")
        for at in range(1, 101)
    ]
    text = render.standing(_json(*STAGES), _json(*reminders, DUE[1]))

    assert text.endswith(
        "\n2030-01-31T09:01:00Z  remind stage board, then 99 times more until 2030-01-31T10:40:00Z"
        "\n2030-01-31T13:00:00Z  deadline of stage service-owners: deny"
    )


def test_a_delegate_is_named_with_the_delegator() -> None:
    """Who voted by a delegation is shown with whom it was for: in the stages, in the result and in the ledger."""
    behind = {(1, "ben"): "dora"}
    counted = {**ENTRIES[2]["content"], "submission": {"vote": "approve", "stage": 1, "on_behalf_of": "dora"}}

    assert "  ben for dora  " in render.standing(_json(*STAGES), (), behind)
    assert "decided: approve by ben for dora, allow by rule" in render.result(RESULT.model_dump(mode="json"), behind)
    ((_, _, said),) = timeline.lines([{**ENTRIES[2], "content": counted}])
    assert said == "ben for dora: approve in stage 1 by signal"


def test_only_the_newest_vote_tells_for_whom_somebody_acts() -> None:
    """A delegate's approval names the delegator until the delegate votes again in the own name; a question does not."""
    first = a_ballot("ben", "approve", 1).model_copy(update={"delegator": "dora"})
    asked = a_ballot("ben", "request_info", 2)

    assert delegators([first, asked]) == {(1, "ben"): "dora"}
    assert delegators([first, a_ballot("ben", "deny", 3)]) == {}


def test_a_list_breaks_no_word_where_nobody_reads_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe each action is one line, and `COLUMNS` is heeded."""
    monkeypatch.setenv("COLUMNS", "0")
    monkeypatch.setattr(sys, "__stdout__", None)
    piped = render.pending(_listed(), page_width()).split("\n")
    monkeypatch.setenv("COLUMNS", "60")

    assert len(piped) == 2 + len(_listed())
    assert all(value in piped[2] for value in _listed()[0].values())
    assert max(len(line) for line in render.pending(_listed(), page_width()).split("\n")) <= 60


def test_notices_that_nobody_sends_say_what_is_missing() -> None:
    """Where every notice waits, the setting is named that lets a worker send them."""
    waits = ("2030-01-31T09:00:00Z", "asked", "p-1", "audience", "waits", "", "")
    tried = (*waits[:4], "tried", "mail 1 begun", "")

    assert render.notices([waits, waits]).endswith(
        "\n\nnone of these was tried: a worker sends them where COUNTERSIGN_CHANNELS_FILE is set"
    )
    assert "COUNTERSIGN_CHANNELS_FILE" not in render.notices([waits, tried])


def test_a_clock_that_stands_still_is_said() -> None:
    """Where a stage waits for an answer, both the stages and the explanation say so, and until when."""
    paused = _json(STAGES[1].model_copy(update={"paused_until": NOW + timedelta(hours=2)}))
    said = "the clock of stage service-owners waits for an answer until 2030-01-31T11:00:00Z at the latest"

    assert said in render.standing(paused, ()).split("\n")
    assert f"clock:\n- {said}\nthen:" in render.explain(_explanation(), {**_STATUS, "stages": paused})


def test_a_question_comes_with_the_command_that_answers_it() -> None:
    """Only what has no answer yet is shown, ready to copy, and nothing once the action is decided."""
    asked = {"by": "ben", "asked": None, "decision_id": "d-1;\x1b[2J", "answered_by": None}
    status = {**_STATUS, "stages": (), "questions": [asked, {**asked, "decision_id": "d-2", "answered_by": "ana"}]}
    line = "countersign answer orders-work-mem-7 --question 'd-1;\\u{001b}[2J' --because TEXT"

    assert render.to_answer(status) == f"to answer:\n- ben asked the proposer: {line}"
    assert line in render.explain(_explanation(), status)
    assert render.to_answer({**status, "resolution": "approved"}) == ""


def test_a_screen_that_cannot_be_read_is_said() -> None:
    """A workflow of another release may show what this one does not know."""
    text = render.screen({"proposal_id": "p-1"}, accepts_claimed=None)

    assert text.startswith("what an approver sees cannot be read by this release: ")


def test_the_words_of_the_proposer_come_last() -> None:
    """Measured facts stand above everything that the proposer could have made up."""
    text = TEXTS["screen"]()

    assert (
        text.index("What will happen")
        < text.index("What weighs most")
        < text.index("The proposer's words (not verified)")
        < text.index("APPROVED")
    )


@pytest.mark.parametrize("name", TEXTS)
def test_no_line_is_wider_than_a_page(name: str) -> None:
    """Tables fit, whatever they hold; only lines that are one value may be longer."""
    if name not in ("headline", "digests"):
        assert max(len(line) for line in TEXTS[name]().split("\n")) <= WIDTH


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, text in TEXTS.items():
        (GOLDEN / f"{name}.txt").write_text(text() + "\n")
