"""What people are asked for, by effect and by the place it comes from, so that it can be counted before they are asked.

1. A row is there for each scope of an action that asks people, and for each scope that spoke against one that was not
   admitted. Such an action is not registered, so a row does not refer to a proposal.
2. `ends_at` is the absolute deadline: an action whose workflow is gone counts until then and no longer.
"""

from alembic import op

from deploy.migrations.tables import create_table

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ASKED_SCOPE = """
    scope text,
    proposal_id text,
    asked_at timestamptz,
    ends_at timestamptz NOT NULL,
    admitted boolean NOT NULL,
    PRIMARY KEY (scope, proposal_id, asked_at)"""


def upgrade() -> None:
    """Add the table; runs as `countersign_owner`."""
    create_table("asked_scope", ASKED_SCOPE)
    op.execute("CREATE INDEX asked_scope_by_time ON countersign.asked_scope (scope, asked_at)")
    op.execute("CREATE INDEX asked_scope_by_end ON countersign.asked_scope (scope, ends_at)")


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
