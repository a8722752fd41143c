"""What the record notes of an open case besides decisions, and what a later revision keeps of an earlier one.

1. An event is one row: `key` makes it the only one of its kind in a revision, and `at` its place among decisions.
2. Tables of this release are made by `tables.py` beside it, which is the same for all that follow.
"""

from deploy.migrations.tables import create_table

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CASE_EVENT = """
    proposal_id text REFERENCES countersign.proposal,
    revision integer,
    key text,
    kind text NOT NULL,
    body bytea NOT NULL,
    digest text NOT NULL,
    happened_at timestamptz NOT NULL,
    PRIMARY KEY (proposal_id, revision, key),
    {digest_of_body}"""


def upgrade() -> None:
    """Add the table; runs as `countersign_owner`."""
    create_table("case_event", CASE_EVENT)


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
