"""The record: its tables, what protects them, and who may insert what.

1. Nobody but `countersign_owner` can change structure; every other role may SELECT everything and INSERT what
   `MAY_INSERT` gives it, nothing else. No role is a member of another.
2. No row changes or goes away: UPDATE, DELETE and TRUNCATE are not granted, and triggers refuse them to the owner too
   (ALWAYS, so that `session_replication_role` does not silence them).
3. A permit's one use is decided by one row; a row policy lets an executor write only `claimed`, control only `void`.
4. A row with `digest` and `body` carries the SHA-256 of exactly these bytes.
5. No default reads the database's clock; the two numbers that the database gives (`seq`) cannot be chosen by others.

The roles and the schema itself exist before this runs: see `deploy/migrations/roles.py`.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROLES = ("countersign_app", "countersign_control", "countersign_permit", "countersign_executor", "countersign_reader")

CONTROL = "proposal assessment decision resolution stop permit_use hold hold_release result ledger_entry archive"
PERMIT = "permit ledger_entry"
EXECUTOR = "permit_use effect_report ledger_entry"
MAY_INSERT = {
    "countersign_control": set(CONTROL.split()),
    "countersign_permit": set(PERMIT.split()),
    "countersign_executor": set(EXECUTOR.split()),
    "countersign_app": set(f"{CONTROL} {PERMIT} {EXECUTOR}".split()),
    "countersign_reader": set[str](),
}
MAY_USE_PERMIT = {  # what each role may write as `permit_use.use`
    "countersign_control": "use = 'void'",
    "countersign_executor": "use = 'claimed'",
    "countersign_app": "true",
}

TABLES = {
    "document": """
        digest text PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('policy', 'operations', 'catalog', 'directory')),
        name text NOT NULL,
        version text NOT NULL,
        body bytea NOT NULL,
        {digest_of_body}""",
    "publication": """
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('policy', 'operations', 'catalog', 'directory')),
        digest text NOT NULL REFERENCES countersign.document,
        published_at timestamptz NOT NULL,
        published_by text NOT NULL""",
    "proposal": """
        proposal_id text PRIMARY KEY,
        action_digest text NOT NULL,
        effect_digest text NOT NULL CHECK (effect_digest {is_digest}),
        body bytea NOT NULL,
        workflow_id text NOT NULL,
        registered_at timestamptz NOT NULL,
        absolute_deadline timestamptz NOT NULL,
        {action_digest_of_body}""",
    "assessment": """
        proposal_id text REFERENCES countersign.proposal,
        revision integer,
        digest text NOT NULL,
        body bytea NOT NULL,
        verdict text NOT NULL,
        risk_tier text NOT NULL,
        policy_digest text NOT NULL,
        assessed_at timestamptz NOT NULL,
        PRIMARY KEY (proposal_id, revision),
        {digest_of_body}""",
    "decision": """
        proposal_id text REFERENCES countersign.proposal,
        decision_id text,
        revision integer NOT NULL,
        stage integer NOT NULL,
        person_id text,
        vote text NOT NULL,
        counted boolean NOT NULL,
        code text,
        body bytea NOT NULL,
        digest text NOT NULL,
        receipt bytea NOT NULL,
        arrival bigint NOT NULL,
        received_at timestamptz NOT NULL,
        PRIMARY KEY (proposal_id, decision_id),
        CONSTRAINT decision_counted_or_refused CHECK (NOT counted OR code IS NULL),
        {digest_of_body}""",
    "resolution": """
        proposal_id text REFERENCES countersign.proposal,
        revision integer,
        kind text NOT NULL CHECK (kind IN ('approved', 'denied', 'expired', 'withdrawn', 'refused')),
        body bytea NOT NULL,
        digest text NOT NULL,
        resolved_at timestamptz NOT NULL,
        PRIMARY KEY (proposal_id, revision),
        {digest_of_body}""",
    "stop": """
        proposal_id text PRIMARY KEY REFERENCES countersign.proposal,
        kind text NOT NULL CHECK (kind IN ('withdrawn', 'revoked')),
        actor text NOT NULL,
        body bytea NOT NULL,
        digest text NOT NULL,
        stopped_at timestamptz NOT NULL,
        {digest_of_body}""",
    "permit": """
        permit_id uuid PRIMARY KEY,
        proposal_id text NOT NULL REFERENCES countersign.proposal,
        revision integer NOT NULL,
        step integer NOT NULL,
        direction text NOT NULL CHECK (direction IN ('do', 'undo')),
        action_digest text NOT NULL CHECK (action_digest {is_digest}),
        body bytea NOT NULL,
        digest text NOT NULL,
        issued_at timestamptz NOT NULL,
        expires_at timestamptz,
        CONSTRAINT permit_once_per_step_and_direction UNIQUE (proposal_id, revision, step, direction),
        CONSTRAINT permit_undo_never_expires CHECK ((direction = 'undo') = (expires_at IS NULL)),
        {digest_of_body}""",
    "permit_use": """
        permit_id uuid PRIMARY KEY REFERENCES countersign.permit,
        use text NOT NULL CHECK (use IN ('claimed', 'void')),
        attempt_token text,
        used_by text NOT NULL,
        run_id text,
        used_at timestamptz NOT NULL,
        CONSTRAINT permit_use_claim_names_its_attempt CHECK (use = 'void' OR attempt_token IS NOT NULL)""",
    "effect_report": """
        permit_id uuid PRIMARY KEY REFERENCES countersign.permit_use,
        status text NOT NULL CHECK (status IN ('succeeded', 'failed', 'unknown')),
        body bytea NOT NULL,
        digest text NOT NULL,
        reported_at timestamptz NOT NULL,
        late boolean NOT NULL,
        {digest_of_body}""",
    "hold": """
        hold_id uuid PRIMARY KEY,
        target text NOT NULL,
        proposal_id text,
        reason text NOT NULL,
        owner text NOT NULL,
        placed_at timestamptz NOT NULL,
        body bytea NOT NULL,
        digest text NOT NULL,
        {digest_of_body}""",
    "hold_release": """
        hold_id uuid PRIMARY KEY REFERENCES countersign.hold,
        proposal_id text,
        released_by text NOT NULL,
        released_at timestamptz NOT NULL,
        body bytea NOT NULL,
        digest text NOT NULL,
        {digest_of_body}""",
    "result": """
        proposal_id text PRIMARY KEY REFERENCES countersign.proposal,
        body bytea NOT NULL,
        digest text NOT NULL,
        recorded_at timestamptz NOT NULL,
        {digest_of_body}""",
    "ledger_entry": """
        entry_id uuid PRIMARY KEY,
        seq bigint GENERATED ALWAYS AS IDENTITY,
        proposal_id text,
        position integer NOT NULL,
        kind text NOT NULL,
        previous_digest text,
        digest text NOT NULL,
        body bytea NOT NULL,
        recorded_at timestamptz NOT NULL,
        late boolean NOT NULL,
        CONSTRAINT ledger_entry_position UNIQUE (proposal_id, position),
        CONSTRAINT ledger_entry_seq UNIQUE (seq),
        {digest_of_body}""",
    "archive": """
        proposal_id text,
        run_id text,
        path text NOT NULL,
        digest text NOT NULL CHECK (digest {is_digest}),
        archived_at timestamptz NOT NULL,
        PRIMARY KEY (proposal_id, run_id)""",
}

INDEXES = """
CREATE INDEX decision_by_receipt ON countersign.decision (proposal_id, received_at);
CREATE INDEX hold_by_target ON countersign.hold (target)
"""

REFUSE_CHANGE = """
CREATE FUNCTION countersign.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
  RAISE EXCEPTION 'the record is append-only: % on %.% is refused; insert a new row instead',
    lower(TG_OP), TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$
"""

# The row trigger stands beside the statement trigger because logical replication fires only row triggers.
PROTECT = """
CREATE TRIGGER refuse_statement BEFORE UPDATE OR DELETE OR TRUNCATE ON countersign.{table}
  FOR EACH STATEMENT EXECUTE FUNCTION countersign.refuse_change();
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON countersign.{table}
  FOR EACH ROW EXECUTE FUNCTION countersign.refuse_change();
ALTER TABLE countersign.{table} ENABLE ALWAYS TRIGGER refuse_statement;
ALTER TABLE countersign.{table} ENABLE ALWAYS TRIGGER refuse_row
"""

DIGEST_OF_BODY = "CONSTRAINT {table}_digest CHECK ({column} = 'sha256:' || encode(sha256(body), 'hex'))"


def _run(statements: str) -> None:
    for statement in statements.split(";\n"):
        op.execute(statement)


def _create(table: str, columns: str) -> None:
    checks = {
        "digest_of_body": DIGEST_OF_BODY.format(table=table, column="digest"),
        "action_digest_of_body": DIGEST_OF_BODY.format(table=table, column="action_digest"),
        "is_digest": "~ '^sha256:[0-9a-f]{64}$'",
    }
    op.execute(f"CREATE TABLE countersign.{table} ({columns.format(**checks)})")
    op.execute(f"REVOKE ALL ON countersign.{table} FROM PUBLIC")
    _run(PROTECT.format(table=table))


def _grant(role: str, tables: set[str]) -> None:
    op.execute(f"GRANT USAGE ON SCHEMA countersign TO {role}")
    op.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA countersign TO {role}")
    for table in sorted(tables - {"ledger_entry"}):
        op.execute(f"GRANT INSERT ON countersign.{table} TO {role}")
    if "ledger_entry" in tables:
        # Every column but `seq`: with INSERT on the whole table OVERRIDING SYSTEM VALUE could choose the number.
        columns = "entry_id, proposal_id, position, kind, previous_digest, digest, body, recorded_at, late"
        op.execute(f"GRANT INSERT ({columns}) ON countersign.ledger_entry TO {role}")


def _restrict_permit_use() -> None:
    op.execute("ALTER TABLE countersign.permit_use ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY may_read ON countersign.permit_use FOR SELECT TO {', '.join(ROLES)} USING (true)")
    for role, condition in MAY_USE_PERMIT.items():
        name = role.replace("countersign_", "may_insert_as_")
        op.execute(
            f"CREATE POLICY {name} ON countersign.permit_use FOR INSERT TO {role} WITH CHECK ({condition})",
        )


def upgrade() -> None:
    """Create the record; runs as `countersign_owner`."""
    op.execute("REVOKE ALL ON SCHEMA countersign FROM PUBLIC")
    op.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    op.execute(REFUSE_CHANGE)
    for table, columns in TABLES.items():
        _create(table, columns)
    _run(INDEXES)
    for role in ROLES:
        _grant(role, MAY_INSERT[role])
    _restrict_permit_use()


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
