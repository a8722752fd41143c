"""Halts of one target: a person's hold, beside which stands a row of the holds that Countersign itself places.

1. Whoever halts all or an environment is read with every case; those of a target are not, so they have an index apart.
2. A worker of an earlier release takes such a halt for one of everything: it stops more, never less.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE countersign.halt ADD COLUMN target text CHECK (length(target) <= 400)",
    "ALTER TABLE countersign.halt ADD CONSTRAINT halt_of_one CHECK (target IS NULL OR environment IS NULL)",
    "CREATE INDEX halt_of_all ON countersign.halt (placed_at) WHERE target IS NULL",
    "CREATE INDEX halt_of_target ON countersign.halt (placed_at) WHERE target IS NOT NULL",
)


def upgrade() -> None:
    """Add the column; runs as `countersign_owner`."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
