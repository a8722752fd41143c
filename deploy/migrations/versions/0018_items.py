"""What people say of actions after their end: what is unresolved, how an outcome is amended, what was done outside.

1. What is unresolved is opened by the control role, in the transaction that records the result. It stays open until it
   is closed by a row of its own; so is the hold on its target.
2. An amendment stands beside a result and repeats the columns by which that is history, so that a success which caused
   an incident is found among what went wrong, however many successes came after it.
3. A decision about an item is one row, whatever the item is.
"""

from alembic import op

from deploy.migrations.tables import create_table

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

UNRESOLVED = """
    item_id uuid PRIMARY KEY,
    proposal_id text NOT NULL REFERENCES countersign.proposal CONSTRAINT unresolved_once UNIQUE,
    target text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('compensation_failed', 'outcome_unknown', 'inconclusive')),
    opened_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    body bytea NOT NULL,
    digest text NOT NULL,
    {digest_of_body}"""
DECISION = """
    item_id uuid,
    decision_id text,
    person_id text,
    vote text NOT NULL,
    counted boolean NOT NULL,
    code text,
    body bytea NOT NULL,
    digest text NOT NULL,
    receipt bytea NOT NULL,
    arrival bigint NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (item_id, decision_id),
    {digest_of_body}"""
CLOSED = """
    item_id uuid PRIMARY KEY,
    found text NOT NULL CHECK (found IN ('done', 'not_done', 'undone', 'repaired')),
    closed_at timestamptz NOT NULL,
    body bytea NOT NULL,
    digest text NOT NULL,
    {digest_of_body}"""
AMENDMENT = """
    amendment_id uuid PRIMARY KEY,
    proposal_id text NOT NULL REFERENCES countersign.proposal,
    number integer NOT NULL CHECK (number > 0),
    outcome text NOT NULL
        CHECK (outcome IN ('succeeded', 'compensated', 'failed', 'not_executed', 'caused_incident')),
    body bytea NOT NULL,
    digest text NOT NULL,
    amended_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    operation text,
    target text,
    target_kind text,
    environment text,
    criticality integer,
    agent text,
    confidence double precision,
    measured boolean,
    CONSTRAINT amendment_number UNIQUE (proposal_id, number),
    {digest_of_body}"""
OUTSIDE = """
    outside_id uuid PRIMARY KEY,
    target text NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    stated_by text NOT NULL,
    stated_at timestamptz NOT NULL,
    body bytea NOT NULL,
    digest text NOT NULL,
    {digest_of_body}"""


def upgrade() -> None:
    """Add the tables and what finds an amended outcome as history; runs as `countersign_owner`."""
    create_table("unresolved", UNRESOLVED)
    create_table("item_decision", DECISION)
    create_table("unresolved_closed", CLOSED)
    create_table("amendment", AMENDMENT)
    create_table("outside", OUTSIDE)
    op.execute("CREATE INDEX unresolved_by_due ON countersign.unresolved (due_at)")
    op.execute(
        "CREATE INDEX amendment_by_target ON countersign.amendment (operation, target, measured, outcome, recorded_at)"
    )
    op.execute(
        "CREATE INDEX amendment_by_kind ON countersign.amendment"
        " (operation, environment, target_kind, criticality, measured, outcome, recorded_at)"
    )
    op.execute("CREATE INDEX outside_by_target ON countersign.outside (target, began_at)")


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
