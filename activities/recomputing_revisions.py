"""Computing again how one revision followed another, and what was measured in between, from the ledger alone.

- A revision follows where people were asked and something material changed, or where the gate closed for what people
  can cure; never once a permit was issued. What changed, whose votes are void, which are kept and whether it is held
  follow from both revisions and the documents.
- A measurement without a material change was due, was compared with the open revision, and said something new.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from activities.advancing import standing_of
from activities.cases import CaseFile
from activities.remeasuring import (
    closed_by,
    event_of,
    kept_votes,
    newest_effect,
    not_before,
    successor,
    vanished_reasons,
)
from policy.approval.drift import LAPSED, Drift, compare
from policy.approval.standing import Ballot
from policy.audit import GovernedDocuments, ReadEntry
from policy.audit_evaluations import difference
from policy.errors import AuditError
from policy.gate import DispatchInputs, curable
from policy.gate_inputs import gate_inputs
from policy.ledger import EntryKind
from policy.revision import Revision
from policy.rules.drifting import UNSAID


def check_superseding(
    case: CaseFile,
    revision: Revision,
    at: datetime,
    documents: GovernedDocuments,
    *,
    refused: bool,
    permitted: bool,
) -> tuple[list[str], tuple[Ballot, ...] | None]:
    """What is wrong with a revision that followed another one, and the ballots that it keeps; None for none.

    Args:
        case: as it was before.
        revision: as recorded; its facts, assessment and evaluation are checked elsewhere.
        at: when it was opened (UTC).
        documents: those that the file has.
        refused: whether an entry says that the gate closed on the revision before.
        permitted: whether a permit was issued before.
    """
    base = _base(case)
    found = [f"it follows revision {base.revision}"] if revision.revision != base.revision + 1 else []
    if permitted or case.stop is not None or case.result is not None:
        found.append("a permit was issued, or the action was over: no revision follows")
    policy = documents.policy(revision.documents.policy)
    measured = revision.model_copy(update={"superseded": None, "voids": 0, "held": False})
    rules = policy.drift or UNSAID
    drift, kept = compare(base, measured, rules), None
    if case.resolution is None:
        if policy.drift is None or drift.kind != "material":
            found.append("nothing material changed while people were asked")
    elif case.resolution == "approved" and refused:
        inputs = _inputs(case, base, measured, at, documents)
        if not curable(inputs, closed_by(inputs, measured)):
            found.append("people could not cure what closed the gate")
        kept = None if drift.kind == "material" else kept_votes(measured, base, inputs)
    else:
        found.append(f"the revision before it was {case.resolution}, and no gate had closed")
    wanted = successor(case, measured, drift, max_voids=rules.max_voids, kept=kept)
    return found + differences("revision", revision.value(), wanted.value()), kept


def check_remeasured(
    case: CaseFile, content: Mapping[str, Any], at: datetime, documents: GovernedDocuments
) -> tuple[list[str], CaseFile]:
    """What is wrong with a measurement that left the revision as it was, and the case after it."""
    base, measured = _base(case), Revision.model_validate(content["revision"])
    rules = documents.policy(measured.documents.policy).drift
    standing = standing_of(case, at, time_itself=True)
    if rules is None or standing is None or case.resolution is not None:
        raise AuditError("nothing was to be measured then")
    found = differences("base", content["base"], {"revision": base.revision, "digest": case.assessment_digest})
    if standing.held or at < not_before(case, base, rules.min_interval):
        found.append("it was measured while it was held, or twice in one slot")
    drift = compare(base, measured, rules)
    found += differences("drift", content["drift"], drift.model_dump(mode="json"))
    if drift.kind == "material" or drift.effect == newest_effect(case, base):
        found.append("what was measured is material, or as it was before")
    return found, _after(replace(case, events=(*case.events, event_of(case, drift, at))), drift, at)


def unkept(entries: Sequence[ReadEntry]) -> list[str]:
    """The revisions that keep votes by their own word, without the entry that says which."""
    keeping = {
        entry.content["revision"]["revision"]
        for entry in entries
        if entry.kind is EntryKind.assessed
        and (entry.content["revision"].get("superseded") or {}).get("rule") == LAPSED
    }
    said = {entry.content["revision"] for entry in entries if entry.kind is EntryKind.votes_kept}
    return [f"revision {number}: no entry says which votes it keeps" for number in sorted(keeping - said)]


def differences(what: str, recorded: Any, computed: Any) -> list[str]:
    """Where two JSON values first differ, as a list of at most one sentence."""
    found = difference(recorded, computed)
    return [f"{what}: {found}"] if found else []


def _base(case: CaseFile) -> Revision:
    if case.revision is None:
        raise AuditError("no entry before it says that the action was assessed")
    return case.revision


def _after(case: CaseFile, drift: Drift, at: datetime) -> CaseFile:
    if drift.kind != "vanished":
        return case
    return replace(case, resolution="withdrawn", resolved_at=at, reasons=vanished_reasons(drift))


def _inputs(
    case: CaseFile, base: Revision, measured: Revision, at: datetime, documents: GovernedDocuments
) -> DispatchInputs:
    return gate_inputs(
        case.proposal,
        base,
        step=1,
        now=at,
        ballots=case.ballots,
        resolution=case.resolution,
        stop=case.stop,
        closed=case.result is not None,
        facts=measured.facts,
        document=documents.policy(measured.documents.policy),
        directory=documents.directory(measured.documents.directory),
        records=(),
    )
