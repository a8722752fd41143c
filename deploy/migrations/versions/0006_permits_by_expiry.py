"""Permits that are not used yet, found by an index: where effects an hour are limited, they count already."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index; runs as `countersign_owner`."""
    op.execute("CREATE INDEX permit_by_expiry ON countersign.permit (expires_at)")


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
