"""How far the detector came in the trail of each target."""

from deploy.migrations.tables import create_table

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

TRAIL_LOOK = """
    resource text NOT NULL,
    at timestamptz NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (resource, at)"""


def upgrade() -> None:
    """Add the table; runs as `countersign_owner`."""
    create_table("trail_look", TRAIL_LOOK)


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
