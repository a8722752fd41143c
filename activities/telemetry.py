"""What is measured: one table of our own metrics, and the one place where they are counted.

- A metric counts what is durable. What a transaction notes is counted after its commit, and dropped when it rolls back.
- Only the first writer notes, so an activity that runs twice counts once. Where the answer to a commit was lost, the
  attempt that follows finds the entry stored and does not count it: a count can be short by one, never over.
- Label values are bounded: no ids, no names, no texts. A value that the table does not list is counted as `other`.
- Without a meter nothing is collected. Nothing here decides anything, and no metric is evidence: the record is.

`docs/observability.md` says what each is for.
"""

import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from temporalio.common import MetricCounter, MetricGauge, MetricHistogramFloat, MetricMeter

from policy.decision import Refusal
from policy.document import MAX_STAGES, Verdict
from policy.findings import Amended
from policy.ledger import EntryKind
from policy.operations import RiskTier
from policy.outcome import Outcome

if TYPE_CHECKING:  # what is measured is below what notes it
    from activities.cases import CaseFile

log = logging.getLogger("countersign.record")

OTHER = "other"
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0

# Why something is refused, by what it is.
CODES: Mapping[str, frozenset[str]] = {
    "start": frozenset({"digest_conflict", "start_option", "workflow_id_mismatch"}),
    "decision": frozenset(Refusal),
    "dispatch": frozenset(
        {
            *("already_closed", "approval_lapsed", "chain_changed", "compensating", "denied", "no_case"),
            *("not_approved", "on_hold", "past_deadline", "policy_stricter", "revoked", "risk_higher", "step_order"),
            *(
                "target_changed",
                "unknown_step",
                "unresolved_target",
                "withdrawn",
                "material_change",
                "permitted_before",
                "record_behind",
                "assessment_differs",
                "unfounded_escalation",
                "aggregate_hold",
                "aggregate_limit",
                "halted",
                "reservation_lost",
                "taken_over",
                "target_not_resolved",
                "window_too_short",
            ),
        }
    ),
    "claim": frozenset(
        {
            *("action_digest_mismatch", "already_closed", "assurance_not_accepted", "claimed_already"),
            *("claimed_by_another", "malformed_permit", "no_cause_to_undo", "nothing_to_undo", "permit_expired"),
            *("clock_differs", "halted", "later_step_open", "on_hold", "revoked", "taken_over"),
            *("dry_run_mismatch", "unknown_executor", "unknown_permit", "void", "withdrawn"),
            *("unsigned_permit", "bad_permit_signature", "unknown_permit_key", "revoked_permit_key", "wrong_issuer"),
            *("wrong_audience", "permit_mismatch", "permit_not_yet", "approval_unproven"),
            *("unresolved_permit", "window_too_short"),
        }
    ),
}
LABELS: Mapping[str, frozenset[str]] = {
    "amended": frozenset(Amended),
    "code": frozenset().union(*CODES.values()),
    "delivery": frozenset({"begun", "sent", "failed", "given_up", "digested", "suppressed", "addressed"}),
    "dry_run": frozenset({"false", "true"}),
    "outcome": frozenset(Outcome),
    "resolution": frozenset({"approved", "denied", "expired", "withdrawn", "refused"}),
    "risk_tier": frozenset(RiskTier),
    "stage": frozenset(str(number) for number in range(1, MAX_STAGES + 1)),
    "status": frozenset({"succeeded", "failed", "unknown"}),
    "verdict": frozenset(Verdict),
    "what": frozenset(CODES),
}


@dataclass(frozen=True)
class Metric:
    """One metric. `unit` is seconds, or empty for plain numbers; `buckets` are a histogram's upper bounds in it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    description: str
    unit: str = ""
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which a Prometheus endpoint shows it."""
        stem = f"{self.name}_{self.unit}" if self.unit else self.name
        if self.kind == "histogram":
            return tuple(f"{stem}_{part}" for part in ("bucket", "count", "sum"))
        return (f"{stem}_total",) if self.kind == "counter" else (stem,)


# People answer in minutes, hours and days: the SDK's own buckets end long before.
_PATIENCE = (
    *(1.0, 10.0, 30.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR, _DAY, 2 * _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY),
)

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("countersign_proposals", "counter", ("verdict", "risk_tier"), "proposals that were assessed"),
        Metric("countersign_pending", "gauge", ("risk_tier", "stage"), "actions that wait for people, from the record"),
        Metric("countersign_overdue", "gauge", (), "pending actions a minute past a deadline that nobody acted on"),
        Metric(
            "countersign_time_to_first_decision",
            "histogram",
            ("risk_tier",),
            "from the assessment to the first decision that counted",
            "seconds",
            _PATIENCE,
        ),
        Metric(
            "countersign_time_to_approval",
            "histogram",
            ("risk_tier",),
            "from the assessment to the approval by the last stage",
            "seconds",
            _PATIENCE,
        ),
        Metric("countersign_reminders", "counter", ("stage",), "reminders that became due"),
        Metric("countersign_escalations", "counter", ("stage",), "escalations that became due"),
        Metric(
            "countersign_resolutions",
            "counter",
            ("resolution", "risk_tier", "dry_run"),
            "finished actions by resolution: denials, expiries, withdrawals, approvals",
        ),
        Metric("countersign_outcomes", "counter", ("outcome", "risk_tier", "dry_run"), "finished actions by outcome"),
        Metric("countersign_amendments", "counter", ("amended",), "outcomes that people amended, by how they ended"),
        Metric(
            "countersign_unresolved", "gauge", (), "actions that ended without a definite state and wait for a person"
        ),
        Metric("countersign_unresolved_overdue", "gauge", (), "those of them that nobody resolved in time"),
        Metric("countersign_refusals", "counter", ("what", "code"), "starts, decisions, dispatches and claims refused"),
        Metric(
            "countersign_violations",
            "counter",
            (),
            "violations on record: lies, runs tampered with, targets changed past permits",
        ),
        Metric("countersign_queued", "counter", (), "actions that found no room, or a halt, and waited for their turn"),
        Metric("countersign_takeovers", "counter", (), "reservations that another action took over"),
        Metric("countersign_leases_lapsed", "counter", (), "leases that ended while their action had no result"),
        Metric("countersign_halts", "counter", (), "halts that were put on the ledger"),
        Metric("countersign_record_behind", "gauge", (), "1 while the record is behind the copy outside of it"),
        Metric(
            "countersign_notice_deliveries",
            "counter",
            ("delivery",),
            "what became of notices, in channels and as a whole",
        ),
        Metric("countersign_notices_open", "gauge", (), "notices that are due and that nobody was told yet"),
        Metric("countersign_notices_oldest_seconds", "gauge", (), "for how long the oldest of them has been due"),
        Metric("countersign_undo_results", "counter", ("status",), "undo reports by status"),
    )
}


@dataclass(frozen=True)
class Sample:
    """One value for one metric; the labels in the order of the table."""

    metric: str
    value: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Noted:
    """A ledger entry for the log; `codes` say why, where something was refused."""

    kind: EntryKind
    proposal_id: str
    codes: tuple[str, ...] = ()


class Meter:
    """Our metrics as instruments of one runtime. Every counter begins at 0, or its first increase would not be seen."""

    def __init__(self, meter: MetricMeter) -> None:
        self._instruments = {metric.name: _instrument(meter, metric) for metric in METRICS.values()}
        for metric in METRICS.values():
            if metric.kind == "counter":
                for labels in label_sets(metric):
                    self.measure(Sample(metric.name, 0, labels))

    def measure(self, sample: Sample) -> None:
        """Count, set or observe one sample."""
        names = METRICS[sample.metric].labels
        labels = {name: bounded(name, value) for name, value in zip(names, sample.labels, strict=True)}
        instrument = self._instruments[sample.metric]
        if isinstance(instrument, MetricHistogramFloat):
            instrument.record(sample.value, labels)
        elif isinstance(instrument, MetricCounter):
            instrument.add(int(sample.value), labels)
        else:
            instrument.set(int(sample.value), labels)


def _instrument(meter: MetricMeter, metric: Metric) -> MetricCounter | MetricGauge | MetricHistogramFloat:
    create: Callable[..., Any] = {
        "counter": meter.create_counter,
        "gauge": meter.create_gauge,
        "histogram": meter.create_histogram_float,
    }[metric.kind]
    instrument: MetricCounter | MetricGauge | MetricHistogramFloat = create(
        metric.name, metric.description, metric.unit or None
    )
    return instrument


def label_sets(metric: Metric) -> Iterable[tuple[str, ...]]:
    """Every combination of label values that a metric can have, `other` left out."""
    if metric.labels == ("what", "code"):
        return [(what, code) for what, codes in CODES.items() for code in sorted(codes)]
    return itertools.product(*(sorted(LABELS[label]) for label in metric.labels))


def bounded(label: str, value: str) -> str:
    """A label's value, or `other` where the table does not list it."""
    return value if value in LABELS[label] else OTHER


_COUNTED: Mapping[EntryKind, str] = {
    EntryKind.queued: "countersign_queued",
    EntryKind.takes_over: "countersign_takeovers",
    EntryKind.lease_lapsed: "countersign_leases_lapsed",
    EntryKind.halted: "countersign_halts",
}

# The meter of the activity that runs, and what its open transaction has noted.
METER: ContextVar[Meter | None] = ContextVar("countersign_meter", default=None)
DIGEST: ContextVar[str | None] = ContextVar("countersign_action_digest", default=None)
_NOTED: ContextVar[list[Sample | Noted] | None] = ContextVar("countersign_noted", default=None)
_annotators: list[Callable[[str, str], None]] = []


@asynccontextmanager
async def counted() -> AsyncIterator[None]:
    """Count and log what is noted inside the block once it has ended without an error; put it around a transaction."""
    meter = METER.get()
    if meter is None and not log.isEnabledFor(logging.INFO):
        yield
        return
    noted: list[Sample | Noted] = []
    before = _NOTED.set(noted)
    try:
        yield
    finally:
        _NOTED.reset(before)
    for item in noted:
        if isinstance(item, Noted):
            log.info("%s", item.kind, extra={"proposal_id": item.proposal_id, "codes": item.codes})
        elif meter is not None:
            meter.measure(item)


def about(action_digest: str) -> None:
    """Say which action the running activity is about, for its log lines and its span."""
    DIGEST.set(action_digest)
    for annotate in _annotators:
        annotate("countersign.action_digest", action_digest)


def annotate_with(annotate: Callable[[str, str], None]) -> None:
    """Have `about` tell somebody else, too; once a process."""
    _annotators[:] = [annotate]


def note_entry(kind: EntryKind, proposal_id: str, content: Any) -> None:
    """Note a ledger entry that the open transaction appended as the first."""
    noted = _NOTED.get()
    if noted is not None:
        noted.append(Noted(kind, proposal_id, tuple(code for _, code in _refusals(kind, content))))
        noted.extend(samples_of(kind, content))


def note_first_decision(file: "CaseFile", now: datetime) -> None:
    """Note that the first decision of an action counted."""
    _note_time("countersign_time_to_first_decision", file, now)


def note_resolution(resolution: str, file: "CaseFile", now: datetime) -> None:
    """Note that people resolved an action."""
    if resolution == "approved":
        _note_time("countersign_time_to_approval", file, now)


def note_delivery(status: str) -> None:
    """Note a step of a notice's delivery that the open transaction stored."""
    noted = _NOTED.get()
    if noted is not None:
        noted.append(Sample("countersign_notice_deliveries", 1, (status,)))


def samples_of(kind: EntryKind, content: Any) -> Iterable[Sample]:
    """What one ledger entry counts as."""
    match kind:
        case EntryKind.assessed:
            revision = content["revision"]
            if revision["revision"] > 1:
                # The same proposal, asked about anew.
                return []
            labels = (str(revision["evaluation"]["verdict"]), str(revision["assessment"]["risk_tier"]))
            return [Sample("countersign_proposals", 1, labels)]
        case EntryKind.reminded:
            return [Sample("countersign_reminders", 1, (str(content["due"]["stage"]),))]
        case EntryKind.escalated:
            # By time, or by an event for another cause.
            stage = (content.get("due") or content["event"])["stage"]
            return [Sample("countersign_escalations", 1, (str(stage),))]
        case EntryKind.recorded:
            result, tier = content["result"], str(content["result"]["risk_tier"])
            dry = str(bool(result.get("dry_run"))).lower()
            return [
                Sample("countersign_resolutions", 1, (str(result["resolution"]), tier, dry)),
                Sample("countersign_outcomes", 1, (str(result["outcome"]), tier, dry)),
            ]
        case EntryKind.reported if content["direction"] == "undo":
            return [Sample("countersign_undo_results", 1, (str(content["report"]["status"]),))]
        case EntryKind.violation:
            return [Sample("countersign_violations", 1)]
        case EntryKind.amended:
            return [Sample("countersign_amendments", 1, (str(content["finding"]["outcome"]),))]
    # A hold on one target pages nobody.
    if kind in _COUNTED and "target" not in content.get("halt", ()):
        return [Sample(_COUNTED[kind], 1)]
    return [Sample("countersign_refusals", 1, pair) for pair in _refusals(kind, content)]


def _refusals(kind: EntryKind, content: Any) -> list[tuple[str, str]]:
    """What was refused and why, each code once."""
    match kind:
        case EntryKind.decision_refused | EntryKind.item_decided:
            code = content["receipt"]["code"]
            return [("decision", str(code))] if code is not None else []
        case EntryKind.claim_refused:
            return [("claim", str(content["code"]))]
        case EntryKind.start_refused | EntryKind.admission_refused | EntryKind.dispatch_refused:
            what = "dispatch" if kind is EntryKind.dispatch_refused else "start"
            return [(what, code) for code in sorted({str(reason["code"]) for reason in content["reasons"]})]
    return []


def _note_time(metric: str, file: "CaseFile", now: datetime) -> None:
    noted = _NOTED.get()
    if noted is not None and file.revision is not None:
        seconds = max((now - file.registered_at).total_seconds(), 0.0)
        noted.append(Sample(metric, seconds, (str(file.revision.assessment.risk_tier),)))
