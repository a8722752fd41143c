"""The signature of a permit, beside the permit: executors verify it before they claim.

Rows of before have none, and no executor acts under them any more.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SIGNED = """
ALTER TABLE countersign.permit
  ADD COLUMN signed text,
  ADD CONSTRAINT permit_signed_is_compact
    CHECK (signed ~ '^[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]+$')
"""


def upgrade() -> None:
    """Add the column; runs as `countersign_owner`."""
    op.execute(SIGNED)


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
