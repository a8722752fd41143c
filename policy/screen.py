"""What an approver sees, before anything else: the same facts in the CLI, the Temporal UI and the exports.

- Measured facts come first, the proposer's words last, labelled as such.
- `presented_digest` is the digest of the screen as JSON: a decision says what its author had in front of them.
- What a proposer wrote is untrusted text. Characters that are invisible, move the cursor, change the direction or pile
  up are written out by code point. In markdown everything that could be markup is escaped, what a renderer could turn
  into a link or a mention by itself gets brackets (`https[:]//`, `www[.]`, `[@]`), and the text is cut, visibly.
- The order: what happens to which resolved targets; how bad; what breaks; how it is undone; how success is measured;
  who is asked; the proposer's words.
"""

import json
import re
import string
import unicodedata
from typing import Any

from policy.base import RecordModel, instant_text
from policy.canonical import digest_of
from policy.proposal import ActionProposal, Parameters, Step
from policy.revision import Revision

WORDS_LIMIT = 600
# Not those that are no markup anywhere: the Temporal UI shows the backslash in front of some of them.
_MARKUP = frozenset(string.punctuation) - frozenset("'\"%,/;=?@")
# Letters, marks and symbols that show nothing: fillers, joiners, variation selectors, the empty Braille cell.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_MARKS_IN_A_ROW = 2
# A renderer may look for these after it has read the escapes, so escaping them is not enough.
_LINKS = (
    (re.compile(r":(?=//)"), "[:]"),
    (re.compile(r"\b(www)\.", re.IGNORECASE), r"\1[.]"),
    (re.compile("@"), "[@]"),
)


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
        # Without defaults, so that a field which a later release adds does not change the digest of this screen.
        return digest_of(self.model_dump(mode="json", exclude_defaults=True))


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
        dependents=_first([item.ref for item in facts.reach.nearest], facts.reach.total),
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
        words=_cut(visible(proposal.rationale), WORDS_LIMIT),
        alternatives=tuple(
            f"{item.operation}: {_cut(visible(item.summary), 120)}" for item in proposal.alternatives[:3]
        ),
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
    """A text on one line in which everything that does not show, or shows elsewhere, is written out."""
    shown: list[str] = []
    marks = 0
    for char in text:
        kind = unicodedata.category(char)[0]
        marks = marks + 1 if kind == "M" else 0
        hidden = (kind in "CZ" and char != " ") or marks > _MARKS_IN_A_ROW or _BLANK.match(char)
        shown.append(_written_out(char) if hidden else char)
    return "".join(shown)


def markdown_text(text: str, limit: int = WORDS_LIMIT) -> str:
    """An untrusted text as markdown that shows just that text, also within a table, and links to nothing."""
    shown = _cut(visible(text).strip(" "), limit)
    for link, broken in _LINKS:
        shown = link.sub(broken, shown)
    return "".join("\\" + char if char in _MARKUP else char for char in shown)


def code_text(text: str, limit: int = WORDS_LIMIT) -> str:
    """An untrusted text as a markdown code span, also within a table. What would end either is written out."""
    shown = _cut(visible(text), limit).replace("`", _written_out("`")).replace("|", _written_out("|"))
    return f"`{shown}`" if shown.strip(" ") else "`(empty)`"


def _written_out(char: str) -> str:
    return f"\\u{{{ord(char):04x}}}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _first(items: list[str], total: int) -> tuple[str, ...]:
    """These, and how many more there are in all."""
    return tuple(items) if total <= len(items) else (*items, f"and {total - len(items)} more")


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True)
