"""What broke a glass is reviewed: the debt, what people say of it, and its end.

1. A review is one row for each person who stands behind the action, so that a budget and a debt are found by person.
2. The permit role opens it, in the transaction that permits the first step: what is about to happen by a broken glass
   is never without its review. The control role takes the decisions and closes it.
"""

from alembic import op

from deploy.migrations.tables import CONTROL, create_table

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

REVIEW = """
    review_id uuid,
    person text,
    proposal_id text NOT NULL REFERENCES countersign.proposal,
    break_glass text NOT NULL,
    opened_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    body bytea NOT NULL,
    digest text NOT NULL,
    PRIMARY KEY (review_id, person),
    {digest_of_body}"""
DECISION = """
    review_id uuid,
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
    PRIMARY KEY (review_id, decision_id),
    {digest_of_body}"""
CLOSED = """
    review_id uuid PRIMARY KEY,
    found text NOT NULL CHECK (found IN ('in_order', 'at_fault')),
    closed_at timestamptz NOT NULL,
    body bytea NOT NULL,
    digest text NOT NULL,
    {digest_of_body}"""


def upgrade() -> None:
    """Add the tables and what finds a person's reviews; runs as `countersign_owner`."""
    create_table("review", REVIEW, writers=(*CONTROL, "countersign_permit"))
    create_table("review_decision", DECISION)
    create_table("review_closed", CLOSED)
    op.execute("CREATE INDEX review_by_person ON countersign.review (person, opened_at)")
    op.execute("CREATE INDEX review_by_due ON countersign.review (due_at)")


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
