"""The outbox: what people are told, and what became of it in each channel.

1. A notice is written with what it speaks of, in the same transaction. Its id is that of its deduplication key.
2. What became of it is one row for each step of each attempt. A row of channel `*` closes the notice, once.
3. A key names a step once, so that of two that drain at once only one takes it.
"""

from alembic import op

from deploy.migrations.tables import create_table

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NOTICE = """
    notice_id uuid PRIMARY KEY,
    proposal_id text,
    kind text NOT NULL,
    recipient_kind text NOT NULL CHECK (recipient_kind IN ('audience', 'person', 'group', 'platform')),
    recipient text NOT NULL,
    urgency text NOT NULL,
    body bytea NOT NULL,
    digest text NOT NULL,
    created_at timestamptz NOT NULL,
    not_before timestamptz NOT NULL,
    {digest_of_body}"""
DELIVERY = """
    notice_id uuid REFERENCES countersign.notice,
    channel text,
    attempt integer,
    status text CHECK (
      status IN ('begun', 'sent', 'failed', 'given_up', 'digested', 'suppressed', 'addressed')
    ),
    detail text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (notice_id, channel, attempt, status)"""
# One closing row, whatever it says.
CLOSED_ONCE = """
CREATE UNIQUE INDEX notice_delivery_closed_once ON countersign.notice_delivery (notice_id) WHERE channel = '*'
"""


def upgrade() -> None:
    """Add the two tables; runs as `countersign_owner`."""
    create_table("notice", NOTICE)
    op.execute("CREATE INDEX notice_by_creation ON countersign.notice (created_at)")
    op.execute("CREATE INDEX notice_by_proposal ON countersign.notice (proposal_id, created_at)")
    create_table("notice_delivery", DELIVERY)
    op.execute("CREATE INDEX notice_delivery_by_time ON countersign.notice_delivery (at)")
    op.execute(CLOSED_ONCE)


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
