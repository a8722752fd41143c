"""What was presented is sealed with the assessment: the screen's bytes, kept where people are asked, and their digest.

- A decision names the sealed digest. It stays the same for the life of a revision, whatever a later release, another
  rule of advice or other Unicode tables would make of the same facts; and what was sealed is what is shown.
- The bytes are the RFC 8785 form of the screen without the fields that have their default value. So `policy/screen.py`
  only ever gains fields, with defaults, and no default changes.
- An auditor makes the screen again. What says which action is asked about, what would run on what, and how bad that is
  (`BOUND`) is copied from proposal and revision by every release: a difference there is a finding. Anything else is
  advice and wording, which may change: a difference is a note.
- Assessments of releases that sealed nothing have none: what today's code makes of them counts.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from policy.base import RecordModel
from policy.canonical import canonical, digest, parse_canonical
from policy.errors import explain
from policy.proposal import ActionProposal
from policy.revision import Revision
from policy.screen import Screen, make_screen

BOUND = (
    *("proposal_id", "revision", "operation", "target", "environment", "resolved", "resolved_count", "dry_run"),
    *("risk_tier", "risk_score", "on_stop", "absolute_deadline", "follows", "held", "voided_count", "kept_count"),
    *("action_digest", "assessment_digest", "policy_digest"),
)
# What screens of earlier releases do not say. Where one says it, it is what was assessed.
_NEWER = "judging"
_BOUND_OF_STEP = ("operation", "parameters", "undo", "undo_parameters")


class Sealed(RecordModel):
    """A screen as sealed: its bytes, and the digest that a decision names."""

    body: bytes
    presented_digest: str

    @property
    def value(self) -> Any:
        """The JSON value of the bytes, for a ledger entry."""
        return parse_canonical(self.body)

    @property
    def screen(self) -> Screen:
        """What is shown."""
        return Screen.model_validate(self.value)


def seal(proposal: ActionProposal, revision: Revision, assessment_digest: str) -> Sealed | None:
    """The screen of a revision as it is made now, sealed; None where nobody is asked. Pure."""
    if revision.evaluation.chain is None:
        return None
    return sealed_of(make_screen(proposal, revision, assessment_digest).sealed_value)


def sealed_of(value: Any) -> Sealed:
    """A sealed screen from the JSON value of its bytes."""
    body = canonical(value)
    return Sealed(body=body, presented_digest=digest(body))


def check_sealed(
    proposal: ActionProposal, revision: Revision, content: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """What is wrong with the screen that an `assessed` entry seals, and what today's code would show otherwise.

    Args:
        proposal: what was assessed.
        revision: its assessment, as recorded.
        content: of the entry; without `screen` it is of a release that sealed none.
    """
    if "screen" not in content:
        return [], []
    made = seal(proposal, revision, content["assessment_digest"])
    recorded, claimed = content["screen"], content["presented_digest"]
    if made is None or recorded is None:
        wrong = (made is None) != (recorded is None) or (recorded is None) != (claimed is None)
        return (["a screen is sealed where people are asked, and only there"] if wrong else []), []
    sealed = sealed_of(recorded)
    found = []
    if claimed != sealed.presented_digest:
        found.append(f"presented digest is {claimed}, that of the screen is {sealed.presented_digest}")
    try:
        shown = sealed.screen
    except ValidationError as error:
        return [*found, f"the screen is malformed: {explain(error)}"], []
    return _compared(found, shown, made)


def untrue(proposal: ActionProposal, revision: Revision, assessment_digest: str, sealed: Sealed) -> list[str]:
    """What a stored screen says otherwise than the action that it is about: what is `BOUND`, and each step. Pure."""
    made = seal(proposal, revision, assessment_digest)
    if made is None:
        return ["a screen is sealed where nobody is asked"]
    try:
        return _compared([], sealed.screen, made)[0]
    except ValidationError as error:
        return [f"the screen is malformed: {explain(error)}"]


def _compared(found: list[str], shown: Screen, made: Sealed) -> tuple[list[str], list[str]]:
    today = made.screen
    differing = [name for name in Screen.model_fields if getattr(shown, name) != getattr(today, name)]
    lies = [name for name in differing if name in BOUND or (name == _NEWER and getattr(shown, name) is not None)]
    if [_bound_of(step) for step in shown.steps] != [_bound_of(step) for step in today.steps]:
        lies.append("steps")
    found += [f"the screen's {name} is not what was assessed" for name in lies]
    rest = [name for name in differing if name not in lies]
    if not rest:
        return found, []
    return found, [f"this release would show {', '.join(rest)} otherwise; decisions are about what was sealed"]


def _bound_of(step: Any) -> tuple[Any, ...]:
    return tuple(getattr(step, name) for name in _BOUND_OF_STEP)
