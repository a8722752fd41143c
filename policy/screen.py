"""What an approver sees, before anything else: the same facts in the CLI, the Temporal UI and the exports.

- Measured facts come first, the proposer's words last, labelled as such.
- `presented_digest` is the digest of the screen as JSON: a decision says what its author had in front of them.
- What a proposer wrote is untrusted text. Control, formatting and bidirectional characters are made visible, and in
  markdown everything that could be markup, a link or a mention is escaped and the text is cut.
- The order: what happens to which resolved targets; how bad; what breaks; how it is undone; how success is measured;
  who is asked; the proposer's words.
"""

import json
import unicodedata
from typing import Any

from policy.base import RecordModel, instant_text
from policy.canonical import digest_of
from policy.proposal import ActionProposal, Parameters, Step
from policy.revision import Revision

_MARKUP = set("\\`*_{}[]()<>#+-.!|~@:/&=\"'")
WORDS_LIMIT = 600


class ScreenStep(RecordModel):
    name: str
    operation: str
    parameters: Parameters
    undo: str | None
    undo_parameters: Parameters = {}


class Screen(RecordModel):
    """The facts of one revision as shown. `words` are the proposer's."""

    proposal_id: str
    revision: int
    operation: str
    target: str
    resolved: tuple[str, ...]
    environment: str
    risk_tier: str
    risk_score: int
    impact: float
    likelihood: float
    indicators: tuple[tuple[str, float, str, str], ...]
    dependents: tuple[str, ...]
    steps: tuple[ScreenStep, ...]
    criteria: tuple[str, ...]
    policy: str
    action_digest: str
    assessment_digest: str
    policy_digest: str
    assessed_at: str
    absolute_deadline: str
    agent: str
    requesters: tuple[str, ...]
    words: str
    alternatives: tuple[str, ...] = ()

    @property
    def presented_digest(self) -> str:
        return digest_of(self.model_dump(mode="json"))


def make_screen(proposal: ActionProposal, revision: Revision, assessment_digest: str) -> Screen:
    """Put together what is shown of a revision."""
    facts, assessment = revision.facts, revision.assessment
    strongest = sorted(assessment.indicators, key=lambda item: -item.contribution)[:3]
    return Screen(
        proposal_id=revision.proposal_id,
        revision=revision.revision,
        operation=proposal.operation,
        target=proposal.target,
        resolved=facts.resolved,
        environment=facts.target_environment or "unknown",
        risk_tier=assessment.risk_tier,
        risk_score=assessment.risk_score,
        impact=assessment.impact,
        likelihood=assessment.likelihood,
        indicators=tuple((item.name, item.contribution, item.evidence, item.writer) for item in strongest),
        dependents=tuple(item.ref for item in facts.dependents[:10]),
        steps=tuple(_step(step) for step in proposal.steps),
        criteria=tuple(
            f"{item.probe} {_json(item.parameters)} = {_json(item.equals)}" for item in proposal.success_criteria
        ),
        policy="; ".join(reason.message for reason in revision.evaluation.reasons),
        action_digest=revision.action_digest,
        assessment_digest=assessment_digest,
        policy_digest=revision.documents.policy,
        assessed_at=instant_text(revision.assessed_at),
        absolute_deadline=instant_text(revision.absolute_deadline),
        agent=proposal.agent.id,
        requesters=facts.requesters,
        words=visible(proposal.rationale)[:WORDS_LIMIT],
        alternatives=tuple(f"{item.operation}: {visible(item.summary)[:120]}" for item in proposal.alternatives[:3]),
    )


def _step(step: Step) -> ScreenStep:
    return ScreenStep(
        name=step.name,
        operation=step.operation,
        parameters=step.parameters,
        undo=step.undo.operation if step.undo else None,
        undo_parameters=step.undo.parameters if step.undo else {},
    )


def visible(text: str) -> str:
    """A text on one line in which every control, format, surrogate and bidirectional character is written out."""
    return "".join(
        char if char == " " or unicodedata.category(char)[0] not in "CZ" else f"\\u{ord(char):04x}" for char in text
    )


def markdown_text(text: str, limit: int = WORDS_LIMIT) -> str:
    """An untrusted text as markdown that shows just that text."""
    shown = visible(text)
    cut = shown if len(shown) <= limit else shown[: limit - 1] + "…"
    return "".join("\\" + char if char in _MARKUP else char for char in cut)


def code_text(text: str, limit: int = WORDS_LIMIT) -> str:
    """An untrusted text inside a markdown code span."""
    shown = visible(text).replace("`", "'")
    return f"`{shown if len(shown) <= limit else shown[: limit - 1] + '…'}`"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True)
