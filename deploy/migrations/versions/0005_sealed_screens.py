"""What was presented is sealed with the assessment: the bytes of the screen, and the digest that decisions name.

Both are null where nobody is asked, and in rows of earlier releases, for which the screen is made when it is needed.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SEALED = """
ALTER TABLE countersign.assessment
  ADD COLUMN screen bytea,
  ADD COLUMN presented_digest text,
  ADD CONSTRAINT assessment_presented_digest_of_screen
    CHECK ((screen IS NULL) = (presented_digest IS NULL)
           AND presented_digest = 'sha256:' || encode(sha256(screen), 'hex'))
"""


def upgrade() -> None:
    """Add what is sealed; runs as `countersign_owner`."""
    op.execute(SEALED)


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
