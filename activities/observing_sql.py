"""The one statement by which the record is asked what it observed of a proposal (`activities/observing.py`).

Each part is a row of JSON in the answer. Every look-up stops at a number of rows of an index that ends in the instant:
100 outcomes of each kind, recorded or amended (5 where people only read them), 500 stated confidences, 10 denials, 300
approvals a scope, 10,000 effects of an operation, 10,000 permits that are not used yet. What is asked for comes as
parameters, limits are written here.

Nothing here may be answered by reading a whole table, however the planner is mistaken about its size: each look-up is a
lateral or scalar subquery of its own, and sessions plan once and avoid sequential scans (`activities/database.py`).
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.types import Boolean, Integer, Text


def _worse(outcome: str) -> str:
    """How bad an outcome is, by the name of a column; as `policy/risk/outcomes.py` has it."""
    return (
        f"CASE {outcome} WHEN 'succeeded' THEN 0 WHEN 'not_executed' THEN 1 WHEN 'compensated' THEN 2"
        " WHEN 'failed' THEN 3 WHEN 'compensation_failed' THEN 3 ELSE 4 END"
    )


def _counts(one: str) -> str:
    """Whether an amendment counts for the people behind the action that is assessed: not where they themselves said it
    and it is better than anything that was recorded or said before it.
    """
    return f"""(CASE WHEN jsonb_exists_any(CAST(convert_from({one}.body, 'UTF8') AS jsonb)->'by', :people)
            THEN {_worse(f"{one}.outcome")} >= (SELECT max(was.worse) FROM (
              SELECT {_worse("o.outcome")} AS worse FROM countersign.result AS o
                WHERE o.proposal_id = {one}.proposal_id
              UNION ALL SELECT {_worse("c.outcome")} FROM countersign.amendment AS c
                WHERE c.proposal_id = {one}.proposal_id AND c.number < {one}.number) AS was)
            ELSE true END)"""  # noqa: S608


_HISTORY = f"""
  SELECT 'target' AS scope, found.* FROM unnest(:operations) AS asked (operation)
    CROSS JOIN (VALUES (true), (false)) AS kept (measured)
    CROSS JOIN unnest(:done) AS ended (outcome)
    CROSS JOIN LATERAL (
      SELECT r.proposal_id, r.operation, r.agent, r.outcome, r.measured, r.recorded_at FROM countersign.result AS r
      WHERE r.operation = asked.operation AND r.target = :target AND r.measured = kept.measured
        AND r.outcome = ended.outcome AND r.recorded_at > :history_since
        AND (SELECT a.number FROM countersign.amendment AS a
          WHERE a.proposal_id = r.proposal_id AND {_counts("a")} LIMIT 1) IS NULL
      ORDER BY r.recorded_at DESC LIMIT CASE WHEN kept.measured THEN 100 ELSE 5 END) AS found
  UNION ALL
  SELECT 'kind', found.proposal_id, found.operation, found.agent, found.outcome, found.measured, found.recorded_at
    FROM unnest(:operations) AS asked (operation)
    CROSS JOIN (VALUES (true), (false)) AS kept (measured)
    CROSS JOIN unnest(:done) AS ended (outcome)
    CROSS JOIN unnest(:criticalities) AS level (criticality)
    CROSS JOIN LATERAL (
      SELECT r.* FROM countersign.result AS r
      WHERE r.operation = asked.operation AND r.environment = :environment AND r.target_kind = :target_kind
        AND r.criticality = level.criticality AND r.measured = kept.measured
        AND r.outcome = ended.outcome AND r.recorded_at > :history_since
        AND (SELECT a.number FROM countersign.amendment AS a
          WHERE a.proposal_id = r.proposal_id AND {_counts("a")} LIMIT 1) IS NULL
      ORDER BY r.recorded_at DESC LIMIT CASE WHEN kept.measured THEN 100 ELSE 5 END) AS found
    WHERE found.target <> :target
  UNION ALL
  SELECT 'target', found.* FROM unnest(:operations) AS asked (operation)
    CROSS JOIN (VALUES (true), (false)) AS kept (measured)
    CROSS JOIN unnest(:amended) AS ended (outcome)
    CROSS JOIN LATERAL (
      SELECT a.proposal_id, a.operation, a.agent, a.outcome, a.measured, a.recorded_at FROM countersign.amendment AS a
      WHERE a.operation = asked.operation AND a.target = :target AND a.measured = kept.measured
        AND a.outcome = ended.outcome AND a.recorded_at > :history_since
        AND {_counts("a")} AND (SELECT b.number FROM countersign.amendment AS b
          WHERE b.proposal_id = a.proposal_id AND b.number > a.number AND {_counts("b")} LIMIT 1) IS NULL
      ORDER BY a.recorded_at DESC LIMIT CASE WHEN kept.measured THEN 100 ELSE 5 END) AS found
  UNION ALL
  SELECT 'kind', found.proposal_id, found.operation, found.agent, found.outcome, found.measured, found.recorded_at
    FROM unnest(:operations) AS asked (operation)
    CROSS JOIN (VALUES (true), (false)) AS kept (measured)
    CROSS JOIN unnest(:amended) AS ended (outcome)
    CROSS JOIN unnest(:criticalities) AS level (criticality)
    CROSS JOIN LATERAL (
      SELECT a.* FROM countersign.amendment AS a
      WHERE a.operation = asked.operation AND a.environment = :environment AND a.target_kind = :target_kind
        AND a.criticality = level.criticality AND a.measured = kept.measured
        AND a.outcome = ended.outcome AND a.recorded_at > :history_since
        AND {_counts("a")} AND (SELECT b.number FROM countersign.amendment AS b
          WHERE b.proposal_id = a.proposal_id AND b.number > a.number AND {_counts("b")} LIMIT 1) IS NULL
      ORDER BY a.recorded_at DESC LIMIT CASE WHEN kept.measured THEN 100 ELSE 5 END) AS found
    WHERE found.target <> :target"""  # noqa: S608
_TALLIES = """
  SELECT scope, operation, agent,
    count(*) FILTER (WHERE outcome = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE outcome = 'compensated') AS compensated,
    count(*) FILTER (WHERE outcome IN ('compensation_failed', 'failed', 'caused_incident')) AS failed,
    count(*) FILTER (WHERE outcome = 'caused_incident') AS incidents,
    count(*) FILTER (WHERE outcome IN ('outcome_unknown', 'inconclusive')) AS unknown
  FROM history WHERE measured GROUP BY scope, operation, agent ORDER BY scope DESC, operation, agent"""
_SIMILAR = """
  SELECT proposal_id, operation, outcome, recorded_at AS at FROM history
  ORDER BY recorded_at DESC, proposal_id LIMIT 5"""
_CALIBRATION = f"""
  SELECT count(*) AS n, avg(confidence) AS mean_stated, count(*) FILTER (WHERE outcome = 'succeeded') AS succeeded
  FROM (SELECT r.confidence, COALESCE((SELECT a.outcome FROM countersign.amendment AS a
        WHERE a.proposal_id = r.proposal_id AND {_counts("a")} ORDER BY a.number DESC LIMIT 1), r.outcome) AS outcome
    FROM countersign.result AS r
    WHERE r.agent = :agent AND r.measured AND r.recorded_at > :history_since
    ORDER BY r.recorded_at DESC LIMIT 500) AS stated
  WHERE confidence IS NOT NULL HAVING count(*) > 0"""  # noqa: S608
_HOLDS = """
  SELECT h.hold_id, h.target, h.proposal_id, h.reason, (
      SELECT CAST(convert_from(p.body, 'UTF8') AS jsonb)->>'remedies' FROM countersign.proposal AS p
      WHERE p.proposal_id = h.proposal_id) AS remedies
  FROM countersign.hold AS h
  WHERE CASE WHEN (SELECT e.hold_id FROM countersign.hold_release AS e WHERE e.hold_id = h.hold_id) IS NULL
    THEN h.target = :target
      OR jsonb_exists_any(CAST(convert_from(h.body, 'UTF8') AS jsonb)->'resolved', :resolved) ELSE false END
  ORDER BY h.placed_at"""
_DENIALS = """
  SELECT p.proposal_id, denied.resolved_at AS at, denied.tier, (
      SELECT json_agg(json_build_object('person', d.person_id, 'stage', d.stage, 'vote', d.vote, 'body',
        CASE WHEN d.vote = 'deny' THEN convert_from(d.body, 'UTF8') END) ORDER BY d.received_at, d.arrival)
      FROM countersign.decision AS d
      WHERE d.proposal_id = p.proposal_id AND d.revision = denied.revision AND d.counted) AS votes
  FROM (SELECT e.proposal_id FROM countersign.proposal AS e WHERE e.effect_digest = :effect
      UNION SELECT near.proposal_id FROM unnest(:orders) AS wanted (scope)
        CROSS JOIN LATERAL (SELECT s.proposal_id FROM countersign.approved_scope AS s
          WHERE s.scope = wanted.scope ORDER BY s.resolved_at DESC LIMIT 10) AS near) AS p
    CROSS JOIN LATERAL (
      SELECT r.revision, r.resolved_at, a.risk_tier AS tier FROM countersign.resolution AS r
      JOIN countersign.assessment AS a ON a.proposal_id = r.proposal_id AND a.revision = r.revision
      WHERE r.proposal_id = p.proposal_id AND r.kind = 'denied' AND a.verdict IN ('require_approval', 'hold')
      ORDER BY r.revision DESC LIMIT 1) AS denied
  WHERE p.proposal_id <> :proposal_id
  ORDER BY denied.resolved_at DESC LIMIT 10"""
_FLYING = """
  SELECT DISTINCT near.proposal_id FROM unnest(:scopes) AS wanted (scope)
    CROSS JOIN LATERAL (
      SELECT s.proposal_id FROM countersign.approved_scope AS s
      WHERE s.scope = wanted.scope AND s.resolved_at > :flying_since ORDER BY s.resolved_at DESC LIMIT 300) AS near
  WHERE near.proposal_id <> :proposal_id
    AND (SELECT r.proposal_id FROM countersign.result AS r WHERE r.proposal_id = near.proposal_id) IS NULL
  ORDER BY near.proposal_id LIMIT 100"""
_LAST_HOUR = """
  SELECT asked.operation, counted.n - mine.n AS n FROM unnest(:counted) AS asked (operation)
    CROSS JOIN LATERAL (SELECT count(*) AS n FROM (SELECT FROM countersign.permit_use AS u
      WHERE u.effect = asked.operation AND u.used_at > :hour_since AND u.used_at <= :at
      LIMIT 10000) AS recent) AS counted
    CROSS JOIN LATERAL (SELECT count(*) AS n FROM countersign.permit AS p
      JOIN countersign.permit_use AS u ON u.permit_id = p.permit_id
      WHERE p.proposal_id = :proposal_id AND u.effect = asked.operation AND u.used_at > :hour_since
        AND u.used_at <= :at) AS mine"""
# A permit that is issued and not used yet will be an effect: whoever comes at once would come before anything counts.
_ISSUED = """
  SELECT live.operation, count(*) AS n FROM (
    SELECT granted.body->>'operation' AS operation FROM countersign.permit AS p
      CROSS JOIN LATERAL (SELECT CAST(convert_from(p.body, 'UTF8') AS jsonb) AS body) AS granted
    WHERE :capped AND p.expires_at > :at AND p.direction = 'do' AND p.proposal_id <> :proposal_id
      AND NOT COALESCE(CAST(granted.body->>'dry_run' AS boolean), false)
      AND (SELECT u.use FROM countersign.permit_use AS u WHERE u.permit_id = p.permit_id
        AND (u.use <> 'claimed' OR u.used_at <= :at)) IS NULL
    LIMIT 10000) AS live GROUP BY live.operation"""
_PROOFS = """
  SELECT asked.operation, 'undone' AS kind, last.at, last.seconds FROM unnest(:undos) AS asked (operation)
    CROSS JOIN LATERAL (
      SELECT e.reported_at AS at, e.seconds FROM countersign.effect_report AS e
      WHERE e.resolved_digest = :resolved_digest AND e.undone_by = asked.operation
      ORDER BY e.reported_at DESC LIMIT 1) AS last"""
_REHEARSALS = """
  SELECT 'do' AS direction, asked.digest, last.at FROM unnest(:rehearsals) AS asked (digest)
    CROSS JOIN LATERAL (
      SELECT e.reported_at AS at FROM countersign.effect_report AS e WHERE e.rehearsed = asked.digest
      ORDER BY e.reported_at DESC LIMIT 1) AS last
  UNION ALL
  SELECT 'undo', asked.digest, last.at FROM unnest(:rehearsals) AS asked (digest)
    CROSS JOIN LATERAL (
      SELECT e.reported_at AS at FROM countersign.effect_report AS e WHERE e.undo_rehearsed = asked.digest
      ORDER BY e.reported_at DESC LIMIT 1) AS last"""
_SLOS = """
  SELECT wanted.name, wanted.target, last.budget_left, last.measured_at AS at, last.source
  FROM unnest(:slo_targets, :slo_names) AS wanted (target, name)
    CROSS JOIN LATERAL (
      SELECT s.* FROM countersign.slo_state AS s WHERE s.target = wanted.target AND s.name = wanted.name
      ORDER BY s.measured_at DESC LIMIT 1) AS last"""
# What the executors of its operations said last, of these operations only.
_DECLARED = """
  SELECT asked.executor, (
      SELECT json_agg(one.value) FROM jsonb_array_elements(last.body->'capabilities') AS one (value)
      WHERE one.value->>'operation' = ANY (:every)) AS capabilities
  FROM unnest(:executors) AS asked (executor)
    CROSS JOIN LATERAL (
      SELECT CAST(convert_from(c.body, 'UTF8') AS jsonb) AS body FROM countersign.executor_capability AS c
      WHERE c.executor = asked.executor ORDER BY c.seq DESC LIMIT 1) AS last"""
_PARTS = {
    "tallies": _TALLIES,
    "similar": _SIMILAR,
    "calibration": _CALIBRATION,
    "holds": _HOLDS,
    "denials": _DENIALS,
    "in_flight": _FLYING,
    "last_hour": _LAST_HOUR,
    "issued": _ISSUED,
    "undo_proofs": _PROOFS,
    "rehearsals": _REHEARSALS,
    "slo_states": _SLOS,
    "declared": _DECLARED,
}
_TEXTS = ARRAY(Text)
_TYPES: Mapping[str, Any] = {
    **dict.fromkeys(
        (
            "operations",
            "counted",
            "done",
            "amended",
            "resolved",
            "scopes",
            "undos",
            "rehearsals",
            "slo_targets",
            "slo_names",
            "orders",
            "every",
            "executors",
            "people",
        ),
        _TEXTS,
    ),
    **dict.fromkeys(("target", "target_kind", "environment", "agent", "effect", "proposal_id"), Text()),
    **dict.fromkeys(("history_since", "flying_since", "hour_since", "at"), TIMESTAMP(timezone=True)),
    "criticalities": ARRAY(Integer),
    "capped": Boolean(),
    "resolved_digest": Text(),
}
_COLUMNS = ", ".join(f"(SELECT json_agg(part) FROM ({sql}) AS part) AS {name}" for name, sql in _PARTS.items())  # noqa: S608
OBSERVE = text(f"WITH history AS MATERIALIZED ({_HISTORY}) SELECT {_COLUMNS}").bindparams(
    *(bindparam(name, type_=kind) for name, kind in _TYPES.items())
)
