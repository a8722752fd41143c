"""The public keys of identity providers, as they were published, so that a token can be verified when they are gone.

1. Whoever inserts says what an issuer's keys are, and so in whose name a token can be. The permit role does, for it
   fetches them itself: a control worker in the wrong hands then cannot plant a key by which a permit is issued.
2. The control role only reads. It takes decisions with what it fetched, in memory.
"""

from deploy.migrations.tables import create_table

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ISSUER_KEY = """
    issuer text,
    digest text,
    kid text,
    body bytea NOT NULL,
    first_seen timestamptz NOT NULL,
    PRIMARY KEY (issuer, digest),
    {digest_of_body}"""


def upgrade() -> None:
    """Add the table; runs as `countersign_owner`."""
    create_table("issuer_key", ISSUER_KEY, writers=("countersign_app", "countersign_permit"))


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
