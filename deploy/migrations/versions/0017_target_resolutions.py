"""Target resolutions and capabilities: what executors found that an action would touch, and what they can do.

1. Only who holds the targets' credentials says what is there: the executor role inserts, control and permit read.
2. The newest row of an action counts, for a minute. It may be of an action that nobody registered yet: it is resolved
   before it is assessed.
3. Of an executor the newest row says what it can do now.
"""

from alembic import op

from deploy.migrations.tables import create_table

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

EXECUTOR = ("countersign_app", "countersign_executor")
TARGET_RESOLUTION = """
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action_digest text NOT NULL,
    digest text NOT NULL,
    body bytea NOT NULL,
    resolved_at timestamptz NOT NULL,
    resolved_by text NOT NULL,
    {digest_of_body}"""
EXECUTOR_CAPABILITY = """
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    executor text NOT NULL,
    digest text NOT NULL,
    body bytea NOT NULL,
    declared_at timestamptz NOT NULL,
    declared_by text NOT NULL,
    {digest_of_body}"""


def upgrade() -> None:
    """Add the tables; runs as `countersign_owner`."""
    create_table("target_resolution", TARGET_RESOLUTION, writers=EXECUTOR)
    op.execute("CREATE INDEX target_resolution_newest ON countersign.target_resolution (action_digest, seq)")
    create_table("executor_capability", EXECUTOR_CAPABILITY, writers=EXECUTOR)
    op.execute("CREATE INDEX executor_capability_newest ON countersign.executor_capability (executor, seq)")


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
