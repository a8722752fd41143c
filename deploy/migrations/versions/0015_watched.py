"""How far the watcher of runs came: up to which instant, and up to which action that is open on record."""

from deploy.migrations.tables import create_table

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

WATCH = """
    at timestamptz PRIMARY KEY,
    until timestamptz NOT NULL,
    proposal_id text NOT NULL"""


def upgrade() -> None:
    """Add the table; runs as `countersign_owner`."""
    create_table("watch", WATCH)


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
