"""What a run shows of itself, and that the record says the same in the same fields."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from markdown_it import MarkdownIt

from activities.cases import CaseFile
from activities.dossier import Dossier
from activities.planning import make_plan
from policy.approval.standing import stand
from policy.base import Reason
from policy.decision import DecisionReceipt, receive_decision
from policy.evaluation import Evaluation
from policy.lifecycle import State
from policy.operations import RiskTier
from policy.outcome import Outcome
from policy.proofs import Assurance
from policy.proposal import receive
from policy.result import ActionResult, Timings
from policy.rules.chains import ApprovalChain, Verdict
from policy.rules.stepping_up import ProofDemand
from policy.screens.screen_markdown import LIMIT_BYTES
from tests.unit.builders import stage
from tests.unit.hostile import TEXTS
from tests.unit.screens import DATABASE, DIGEST, NOW, proposal_of, revision_of
from tests.unit.signed import by_key, proved
from workflows.view import View

_CHAIN = ApprovalChain(stages=(stage("dba", name="dba"), stage("owners", "managers", name="owners")))
_ASKED = Evaluation(
    verdict=Verdict.require_approval, reasons=(Reason(code="rule", message="two people"),), chain=_CHAIN
)
_RECEIPTS = {
    "d-1": DecisionReceipt(decision_id="d-1", counted=False, code="not_eligible"),
    "d-2": DecisionReceipt(decision_id="d-2", counted=True, resolution="pending"),
}


def _file(result: ActionResult | None = None, answer: Evaluation = _ASKED, **changes: Any) -> CaseFile:
    proposal = proposal_of(**changes)
    return CaseFile(
        received=receive(proposal),
        registered_at=NOW,
        absolute_deadline=NOW + timedelta(days=7),
        revision=revision_of(proposal, DATABASE, answer=answer),
        assessment_digest=DIGEST,
        resolution="approved" if result else None,
        resolved_at=NOW if result else None,
        stop=None,
        result=result,
    )


def _view(file: CaseFile, **told: Any) -> View:
    case = file.case
    assert case is not None
    standing = stand(case, NOW, deadline_counts_as_passed=False)
    view = View()
    view.begin(make_plan(file, standing, local_dispatch=True, **told))
    for receipt in _RECEIPTS.values():
        view.answered(receipt)
    return view


def _result(file: CaseFile) -> ActionResult:
    assert file.revision is not None
    return ActionResult(
        proposal_id=file.proposal.proposal_id,
        revision=1,
        action_digest=file.received.action_digest,
        resolution="approved",
        outcome=Outcome.succeeded,
        next_action="none",
        reasons=(Reason(code="done", message="everything | was <b>done</b>"),),
        verdict="require_approval",
        risk_tier=RiskTier.high,
        risk_score=62,
        decided_by=(),
        timings=Timings(proposed_at=NOW, finished_at=NOW),
    )


def test_workflow_and_record_say_the_same() -> None:
    """`status` has the same fields with the same values, whoever answers; what workers accept is not on record."""
    file = _file()
    recorded = Dossier(file=file, entries=(), broken="", receipts=_RECEIPTS).status(NOW)

    assert _view(file).status(State.pending) == {**recorded, "accepts_claimed": True}
    assert recorded["presented_digest"] == json.loads(json.dumps(recorded))["presented_digest"]
    assert recorded["refused_messages"] == 1


def test_they_have_the_same_fields_at_every_time() -> None:
    """Before anything is known, and after the end, no field comes or goes."""
    file = _file()
    view = _view(file)
    view.close(_result(file))
    closed = Dossier(file=_file(_result(file)), entries=(), broken="", receipts={}).status(NOW)

    assert list(view.status(State.closed)) == list(closed) == list(View().status(State.assessing))


def test_the_answer_as_shown_is_a_decision() -> None:
    """The JSON in the details is a whole decision on what is shown, once names are put in."""
    file = _file()
    view = _view(file)
    shown = view.markdown(State.pending).split("```json\n")[1].split("\n```")[0]

    decision = receive_decision(json.loads(shown))

    assert decision.presented_digest == view.status(State.pending)["presented_digest"]
    assert (decision.stage, decision.vote, decision.proposal_id) == (1, "approve", file.proposal.proposal_id)


def test_where_a_name_does_not_count_the_details_ask_for_a_signature() -> None:
    """They say so, name the command that signs, and have all that is signed, so that another program can sign it."""
    file = _file()
    view = _view(file, accepts_claimed=False, audience="countersign/prod")
    details = view.markdown(State.pending)
    shown = json.loads(details.split("```json\n")[1].split("\n```")[0])

    assert details.splitlines()[2].startswith(
        f"to answer, read this, then `countersign approve {file.proposal.proposal_id}`"
    )
    assert "assurance: **proved**" in details
    assert "claimed" not in details
    assert f"`countersign sign {file.proposal.proposal_id} --approve`" in details
    assert "`--key FILE`, `--ssh FILE` or `--oidc ISSUER`" in details
    assert "{" not in details.split("### How to answer")[1].split("```")[0]
    signed = by_key({name: item for name, item in shown.items() if name != "proof"})
    assert proved(signed).identity == "ann"
    assert receive_decision(signed).presented_digest == view.status(State.pending)["presented_digest"]


def test_what_is_held_is_answered_by_a_release() -> None:
    """The details name the vote that counts then: nobody approves what is held."""
    file = _file()
    assert file.revision is not None
    file = replace(file, revision=file.revision.model_copy(update={"held": True}))
    details = _view(file).markdown(State.pending)
    shown = json.loads(details.split("```json\n")[1].split("\n```")[0])

    assert "held, to be released" in details.splitlines()[0]
    assert (shown["vote"], "countersign approve" in details, "--release`" in details) == ("release", False, True)


@pytest.mark.parametrize(
    ("demand", "counts"),
    [
        (ProofDemand(assurance=Assurance.claimed), True),
        (ProofDemand(assurance=Assurance.claimed, votes=("deny",)), True),
        (ProofDemand(assurance=Assurance.aal1), False),
        (ProofDemand(assurance=Assurance.claimed, max_age=timedelta(minutes=5)), False),
    ],
)
def test_a_name_is_shown_only_where_it_counts(demand: ProofDemand, counts: bool) -> None:
    """Where workers take names and the stage asks for more, the JSON in the details has to be signed, too."""
    chain = ApprovalChain(stages=(stage("dba", name="dba").model_copy(update={"proofs": (demand,)}),))
    details = _view(_file(answer=_ASKED.model_copy(update={"chain": chain}))).markdown(State.pending)

    assert ("counts here all the same" in details, "YOUR-IDENTITY" in details) == (counts, counts)
    assert ("signed with" in details) == (not counts)


def test_what_a_stage_asks_of_proofs_is_shown() -> None:
    """The details, `status` and `explain` say which proof a vote needs; a stage that asks nothing says nothing."""
    demand = ProofDemand(assurance=Assurance.aal2, max_age=timedelta(minutes=5))
    first, second = _CHAIN.stages
    chain = ApprovalChain(stages=(first.model_copy(update={"proofs": (demand,)}), second))
    view = _view(_file(answer=_ASKED.model_copy(update={"chain": chain})))
    said = "approve and release need a proof of aal2 and an authentication at most 5m old"

    assert said in view.markdown(State.pending)
    assert view.explain(State.pending)["proofs"] == [f"stage 1 (dba): {said}"]
    wanted = {"assurance": "aal2", "max_age_seconds": 300}
    stages = view.status(State.pending)["stages"]
    assert (stages[0]["wanted"], "wanted" in stages[1]) == ({"approve": wanted, "release": wanted}, False)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_details_are_ours(text: str) -> None:
    """Whatever a proposer writes: our headings, our two code blocks, no link and no picture, and its words last."""
    details = _view(_file(rationale=text, agent={"id": "a@here", "model": text})).markdown(State.pending)

    tokens = MarkdownIt("commonmark").enable("table").parse(details)
    kinds = [child.type for token in tokens for child in (token, *(token.children or ()))]
    assert not {"link_open", "image", "html_block", "html_inline"} & set(kinds)
    assert kinds.count("fence") == 2
    assert details.rindex("\n### ") == details.index("\n### The proposer's words (not verified)")
    assert len(details.encode()) <= LIMIT_BYTES


def test_the_details_of_an_end_are_its_reasons() -> None:
    """Once it ended, the result stands first, without effect."""
    file = _file()
    view = _view(file)
    view.close(_result(file))

    details = view.markdown(State.closed)

    assert details.startswith("## approved, outcome succeeded")
    assert r"- everything \| was \<b\>done\</b\>" in details


@pytest.mark.parametrize("state", [State.pending, State.executing])
def test_a_dry_run_is_marked_in_every_state(state: State) -> None:
    """Details, explanation and status say that nothing is changed, while it is asked about and while it runs."""
    view = _view(_file(dry_run=True))
    assert view.markdown(state).startswith("## dry run: nothing is changed: ")
    assert view.explain(state)["summary"].startswith("dry run: nothing is changed: ")
    assert view.status(state)["dry_run"] is True
    assert _view(_file()).status(state)["dry_run"] is False


def test_a_step_target_by_target_has_as_often_its_time() -> None:
    """What a workflow waits for a step and for its undo is enough for all targets after one another."""
    whole, staged = (
        make_plan(_staged(one_by_one=one_by_one), None, local_dispatch=True).steps[-1] for one_by_one in (False, True)
    )

    assert staged.timeout_seconds == 3 * whole.timeout_seconds
    assert staged.observe_seconds == 3 * whole.observe_seconds
    assert staged.undo_timeout_seconds == 3 * (whole.undo_timeout_seconds or 0) > 0


def _staged(*, one_by_one: bool) -> CaseFile:
    step = {**proposal_of()["steps"][-1], "one_by_one": one_by_one}
    step["undo"] = step.get("undo") or {"operation": step["operation"]}
    file = _file(steps=[step])
    assert file.revision is not None
    facts = file.revision.facts.model_copy(update={"resolved_ids": ("a", "b", "c")})
    return replace(file, revision=file.revision.model_copy(update={"facts": facts}))
