"""What a platform signed of its proposal, with what verifies it again; null where it came unsigned.

Rows of earlier releases have none: nobody looked whether they were signed.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; runs as `countersign_owner`."""
    op.execute("ALTER TABLE countersign.proposal ADD COLUMN signed bytea")


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
