"""Ceremonies: by which signed statements the owner put documents in force, beside the gate.

1. The statements are kept as they were signed, so that they can be verified for as long as the record is kept.
2. A nonce is of one ceremony: the same signatures put nothing in force a second time.
3. Only the owner inserts: no worker holds a ceremony.
"""

from alembic import op

from deploy.migrations.tables import create_table

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

CEREMONY = """
    digest text PRIMARY KEY,
    nonce text NOT NULL UNIQUE,
    body bytea NOT NULL,
    held_by text NOT NULL,
    held_at timestamptz NOT NULL,
    {digest_of_body}"""
NAMED = """
ALTER TABLE countersign.publication
  ADD COLUMN ceremony text REFERENCES countersign.ceremony,
  ADD CONSTRAINT publication_by_permit_or_ceremony CHECK (permit_id IS NULL OR ceremony IS NULL)
"""


def upgrade() -> None:
    """Add the table and the column; runs as `countersign_owner`."""
    create_table("ceremony", CEREMONY, writers=())
    op.execute(NAMED)


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
