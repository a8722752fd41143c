"""What an assessment looks up in the record: columns written with the rows they describe, and measured SLO states.

1. The new columns are null in rows of earlier releases: those count as no history, as no effect, and as no proof.
2. A history row says what was done to what, and whether the registry's own criteria measured it, so that nobody has to
   read the body of a result to count it.
3. `approved_scope` and `slo_state` are append-only like everything else; control writes both.
4. Every look-up of an assessment has an index that ends in the instant, so that it reads the newest few and stops.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = {
    "permit_use": ("effect text",),
    "effect_report": ("undone_by text", "resolved_digest text", "seconds double precision"),
    "result": (
        *("operation text", "target text", "target_kind text", "environment text", "criticality integer"),
        *("agent text", "confidence double precision", "outcome text", "measured boolean"),
    ),
}
TABLES = {
    "approved_scope": """
        scope text,
        proposal_id text REFERENCES countersign.proposal,
        resolved_at timestamptz NOT NULL,
        PRIMARY KEY (scope, proposal_id)""",
    "slo_state": """
        target text,
        name text,
        measured_at timestamptz,
        budget_left double precision NOT NULL CHECK (budget_left BETWEEN -1e6 AND 1),
        source text NOT NULL,
        PRIMARY KEY (target, name, measured_at)""",
}
INDEXES = {
    "proposal_by_effect": "proposal (effect_digest)",
    "permit_use_by_effect": "permit_use (effect, used_at)",
    "effect_report_by_undo": "effect_report (resolved_digest, undone_by, reported_at)",
    "result_by_target": "result (operation, target, measured, outcome, recorded_at)",
    "result_by_kind": ("result (operation, environment, target_kind, criticality, measured, outcome, recorded_at)"),
    "result_by_agent": "result (agent, measured, recorded_at)",
    "approved_scope_by_time": "approved_scope (scope, resolved_at)",
}
PROTECT = (
    """CREATE TRIGGER refuse_statement BEFORE UPDATE OR DELETE OR TRUNCATE ON countersign.{table}
  FOR EACH STATEMENT EXECUTE FUNCTION countersign.refuse_change()""",
    """CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON countersign.{table}
  FOR EACH ROW EXECUTE FUNCTION countersign.refuse_change()""",
    "ALTER TABLE countersign.{table} ENABLE ALWAYS TRIGGER refuse_statement",
    "ALTER TABLE countersign.{table} ENABLE ALWAYS TRIGGER refuse_row",
)
EFFECT_IS_A_CLAIM = """
ALTER TABLE countersign.permit_use ADD CONSTRAINT permit_use_effect_was_claimed
  CHECK (effect IS NULL OR use = 'claimed')
"""
READERS = (
    "countersign_app, countersign_control, countersign_permit, countersign_executor, countersign_reader, "
    "countersign_author"
)
WRITERS = "countersign_app, countersign_control"


def upgrade() -> None:
    """Add what is looked up; runs as `countersign_owner`."""
    for table, columns in COLUMNS.items():
        op.execute(f"ALTER TABLE countersign.{table} {', '.join(f'ADD COLUMN {column}' for column in columns)}")
    op.execute(EFFECT_IS_A_CLAIM)
    for table, columns_of in TABLES.items():
        op.execute(f"CREATE TABLE countersign.{table} ({columns_of})")
        op.execute(f"REVOKE ALL ON countersign.{table} FROM PUBLIC")
        for statement in PROTECT:
            op.execute(statement.format(table=table))
        op.execute(f"GRANT SELECT ON countersign.{table} TO {READERS}")
        op.execute(f"GRANT INSERT ON countersign.{table} TO {WRITERS}")
    for name, columns_in in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON countersign.{columns_in}")


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
