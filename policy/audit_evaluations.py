"""Computing recorded evaluations again: the same pure functions, over the inputs that the ledger kept.

Each function takes what an entry recorded and what the entries before it left, and returns what differs, one sentence
each; nothing means that today's code concludes the same.

- assessed: the facts are looked up again in the exported documents, as far as those determine them (what was
  observed of other actions and of the world is taken as recorded); assessment, verdict and digest follow from them.
- reminded, escalated, held: it was due by then, in a stage that was open then.
- resolved: the case stands so at that instant.
- What executors found is taken as recorded, where it is of this action and was young enough then.
- dispatched, dispatch_refused, queued: the gate's inputs are those that the entries before, the documents and the holds
  give; the gate answers the same; the permits are those of the approved steps. What was reserved, or waited for, is
  computed again from what others had then (`activities/recomputing_reservations.py`). That the record was behind the
  copy outside of it is taken as recorded: then an open gate issued nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from policy.anchoring import reasons_of
from policy.approval.changes import entry_kind
from policy.approval.counting import assurance_at_dispatch
from policy.approval.escalation import Due
from policy.approval.standing import ApprovalCase, Ballot, CaseEvent, due_until, stand
from policy.audit import GovernedDocuments
from policy.base import Reason, RecordModel
from policy.canonical import canonical, digest
from policy.errors import AuditError, explain
from policy.facts import Facts, collect
from policy.gate import DispatchInputs, may_dispatch, only_halted
from policy.gate_inputs import gate_inputs
from policy.issuing import issue
from policy.ledger import EntryKind
from policy.observed import Observed
from policy.outcome import EffectReport, StepRecord
from policy.permit import Permit
from policy.proposal import ReceivedProposal
from policy.reserving import Reserving, unreserved
from policy.resolving import carried, check_resolution, ended_at
from policy.revision import DocumentDigests, Revision, assess_revision

_SHOWN = 120


def difference(recorded: Any, computed: Any, path: str = "") -> str | None:
    """Where two JSON values first differ, in words; None where they do not."""
    if isinstance(recorded, dict) and isinstance(computed, dict):
        for key in sorted(recorded.keys() | computed.keys()):
            below = f"{path}.{key}" if path else key
            if key not in recorded or key not in computed:
                return f"{below} is {'recorded' if key in recorded else 'computed'} only"
            if found := difference(recorded[key], computed[key], below):
                return found
        return None
    if isinstance(recorded, list) and isinstance(computed, list) and len(recorded) == len(computed):
        pairs = enumerate(zip(recorded, computed, strict=True))
        return next((found for at, (one, other) in pairs if (found := difference(one, other, f"{path}.{at}"))), None)
    # true is 1 in Python, and not in JSON.
    if recorded == computed and isinstance(recorded, bool) == isinstance(computed, bool):
        return None
    return f"{path or 'the value'} is recorded as {_short(recorded)}, computed as {_short(computed)}"


def compare(what: str, recorded: Any, computed: RecordModel | None) -> list[str]:
    """Compare a recorded JSON value with what today's code computes.

    A field that a later release added has its default in what an earlier one recorded; that is no difference.
    """
    wanted = computed.model_dump(mode="json") if computed is not None else None
    if difference(recorded, wanted) is None:
        return []
    if computed is not None and isinstance(recorded, dict):
        try:
            read = type(computed).model_validate(recorded).model_dump(mode="json")
        except ValidationError as error:
            return [f"{what} is malformed: {explain(error)}"]
        if recorded.keys() <= read.keys() and difference(read, wanted) is None:
            return []
    return [f"{what}: {difference(recorded, wanted)}"]


def check_assessed(
    received: ReceivedProposal,
    recorded: Mapping[str, Any],
    claimed: str,
    at: datetime,
    documents: GovernedDocuments,
    *,
    before: Revision | None = None,
) -> list[str]:
    """Assess again.

    Args:
        received: what was assessed.
        recorded: the revision as recorded, and `claimed` its digest.
        claimed: see there.
        at: when it was assessed (UTC).
        documents: those that the file has.
        before: the revision that was open; its absolute deadline stands, and what it says of itself besides (why it
            superseded that one) is not checked here.
    """
    found = []
    if claimed != (real := digest(canonical(recorded))):
        found.append(f"assessment digest is {claimed}, that of the revision is {real}")
    revision = Revision.model_validate(recorded)
    facts = facts_of(received, revision.documents, documents, revision.facts.observed)
    found += check_resolution(facts.observed.resolution, received.action_digest, at)
    found += compare("facts", recorded["facts"], facts)
    policy = documents.policy(revision.documents.policy)
    computed = assess_revision(
        received,
        revision.facts,
        policy,
        revision.documents,
        revision=revision.revision,
        assessed_at=at,
        absolute_deadline=before.absolute_deadline if before else at + policy.absolute_deadline,
        # Whether a later one can be satisfied is concluded from its votes, by events of its own.
        directory=documents.directory(revision.documents.directory) if before is None else None,
    )
    if before is not None:
        told = {"superseded": revision.superseded, "voids": revision.voids, "held": revision.held}
        computed = computed.model_copy(update=told)
    return found + compare("revision", recorded, computed)


def check_due(case: ApprovalCase | None, content: Mapping[str, Any], at: datetime, kind: EntryKind) -> list[str]:
    """Whether something was due, and noted as what it is."""
    recorded = Due.model_validate(content["due"])
    due = due_until(case, at) if case is not None else ()
    about = (recorded.stage, recorded.kind, recorded.index)
    same = [item for item in due if (item.stage, item.kind, item.index) == about]
    if case is None or not same:
        return [f"{recorded.kind} {recorded.index} of stage {recorded.stage} was not due by {at.isoformat()}"]
    if entry_kind(case, same[0]) is not kind:
        return [f"it is about a {recorded.kind}"]
    return compare(recorded.kind, content["due"], same[0])


def check_resolved(case: ApprovalCase | None, content: Mapping[str, Any], at: datetime) -> list[str]:
    """Whether the case stood so: when a decision was evaluated, or when time itself was."""
    if case is None:
        return ["nobody was asked, so nobody could resolve it"]
    answers = [stand(case, at, deadline_counts_as_passed=time_itself) for time_itself in (False, True)]
    found = [compare("standing", content["standing"], answer) for answer in answers]
    wrong = [] if any(not item for item in found) else found[-1]
    resolution = content["standing"]["resolution"]
    if content["kind"] != resolution or resolution == "pending":
        wrong.append(f"kind is {content['kind']}, the case is {resolution}")
    return wrong


class Before(RecordModel):
    """What the entries before a dispatch left. `permits` and `reports` are those of the revision, in any order.

    `permitted_revisions` are the others of which a permit was issued, `unproven` the votes that nobody signed.
    """

    received: ReceivedProposal
    revision: Revision
    assessment_digest: str
    ballots: tuple[Ballot, ...] = ()
    events: tuple[CaseEvent, ...] = ()
    resolution: str | None = None
    stop: str | None = None
    closed: bool = False
    permits: tuple[Permit, ...] = ()
    reports: dict[str, EffectReport] = {}
    permitted_revisions: tuple[int, ...] = ()
    unproven: dict[str, str] = {}


def check_dispatch(
    before: Before, content: Mapping[str, Any], at: datetime, documents: GovernedDocuments, *, kind: EntryKind
) -> list[str]:
    """Ask the gate again, with inputs that the record before it gives; `kind` is what was recorded of its answer."""
    recorded = DispatchInputs.model_validate(content["inputs"])
    digests = DocumentDigests.model_validate(content["documents"])
    facts = facts_of(before.received, digests, documents, Observed.model_validate(content["observed"]))
    # Only what was observed of others, and what became of permits, is taken as recorded.
    inputs = gate_inputs(
        before.received.proposal,
        before.revision,
        step=recorded.step,
        now=at,
        ballots=before.ballots,
        resolution=before.resolution,
        stop=before.stop,
        closed=before.closed,
        facts=facts,
        document=documents.policy(digests.policy),
        directory=documents.directory(digests.directory),
        records=recorded.records,
        permitted_revisions=before.permitted_revisions,
        events=before.events,
        unproven=before.unproven,
        halted=recorded.halted,
        taken_over=recorded.taken_over,
    )
    inputs = _as_kept(inputs, recorded)
    found = compare("inputs", content["inputs"], inputs)
    found += _check_carried(before, facts, recorded, at)
    found += check_records(recorded.records, before.permits, before.reports)
    reasons = may_dispatch(inputs) or reasons_of(content) or refused_for_want_of_room(content, recorded.step)
    if kind is EntryKind.queued:
        closed = () if only_halted(reasons) else reasons
        return found + [f"it waits, and the gate is closed: {reason.code}" for reason in closed]
    if kind is not EntryKind.dispatched:
        if not reasons:
            found.append("the gate was recorded as closed and is open")
        return found + _compare_all("reasons", content["reasons"], reasons)
    found += [f"the gate is closed: {reason.code}: {reason.message}" for reason in reasons]
    if 1 <= recorded.step <= len(before.received.proposal.steps):
        permits = issue(
            before.received.proposal,
            before.revision,
            before.assessment_digest,
            step=recorded.step,
            now=at,
            document=documents.policy(digests.policy),
            assurance=assurance_at_dispatch(inputs, facts.proposed_with),
            until=inputs.permit_until_now,
            targets=facts.targets_of(recorded.step),
            runs_over=recorded.latest_start_now is None,
        )
        found += _compare_all("permits", content["permits"], permits)
    return found


def _check_carried(before: Before, facts: Facts, recorded: DispatchInputs, at: datetime) -> list[str]:
    """What is wrong with the targets that a permit rests on: found since the last step, or approved and done before."""
    resolution = facts.observed.resolution
    if resolution is None:
        return []
    found = check_resolution(resolution, before.received.action_digest, at, ended_at(recorded.records))
    again = carried(resolution, before.revision.facts.observed.resolution, recorded.step)
    return found + compare("resolution", resolution.model_dump(mode="json"), again)


def refused_for_want_of_room(content: Mapping[str, Any], step: int) -> tuple[Reason, ...]:
    """Why an open gate issued nothing, by what the entry keeps of its reservation; nothing in older entries."""
    kept = content.get("reserved")
    return unreserved(Reserving.model_validate(kept), step) if kept is not None else ()


def _as_kept(inputs: DispatchInputs, recorded: DispatchInputs) -> DispatchInputs:
    """A release that kept the groups of people only asked the gate about those only, and one that let a permit last
    to the end of its window did not ask when a step has to begin.
    """
    if recorded.latest_start_now is None:
        inputs = inputs.model_copy(update={"latest_start_now": None})
    if recorded.people_now is not None or inputs.people_now is None:
        return inputs
    groups = {name: person.groups for name, person in inputs.people_now.items()}
    return inputs.model_copy(update={"people_now": None, "groups_now": groups})


def check_records(
    records: Iterable[StepRecord], permits: Sequence[Permit], reports: Mapping[str, EffectReport]
) -> list[str]:
    """Whether what was recorded of each permit is what the entries say: issued, and reported."""
    issued = {(permit.step, str(permit.direction)): permit for permit in permits}
    found, seen = [], set()
    for record in records:
        key = (record.step, record.direction)
        seen.add(key)
        where = f"record of step {record.step} ({record.direction})"
        permit = issued.get(key)
        if permit is None:
            found.append(f"{where}: no entry says that its permit was issued")
            continue
        if record.issued_at != permit.issued_at:
            found.append(f"{where}: issued at {record.issued_at}, its entry says {permit.issued_at}")
        report = reports.get(permit.permit_id)
        found += compare(f"{where}: report", record.report and record.report.model_dump(mode="json"), report)
        if report is not None and record.use != "claimed":
            found.append(f"{where}: it was reported, and its use is {record.use}")
    return found + [f"step {step} ({way}) was permitted and is missing" for step, way in issued.keys() - seen]


def facts_of(
    received: ReceivedProposal,
    digests: DocumentDigests,
    documents: GovernedDocuments,
    observed: Observed,
) -> Facts:
    """What is known of a proposal by some documents, with what was observed then."""
    return collect(
        received.proposal,
        catalog=documents.catalog(digests.catalog),
        directory=documents.directory(digests.directory),
        registry=documents.operations(digests.operations),
        observed=observed,
    )


def _compare_all(what: str, recorded: Any, computed: Sequence[Permit] | Sequence[Reason]) -> list[str]:
    if not isinstance(recorded, list) or len(recorded) != len(computed):
        raise AuditError(f"{what}: {len(computed)} are computed, recorded is {_short(recorded)}")
    pairs = enumerate(zip(recorded, computed, strict=True), start=1)
    return [line for number, (one, other) in pairs for line in compare(f"{what} {number}", one, other)]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
