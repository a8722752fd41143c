"""One revision of an action acts: whatever the gate is asked, no two of them can both have a permit.

1. A step has one permit in each direction over all revisions of its proposal.
2. No permit is issued of a revision that is not the newest, or where another revision has one. No revision is opened
   once a permit was issued. Whoever writes checks both under the proposal's lock (`activities/database.py`); the
   triggers refuse what somebody writes without it.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ONCE = """
ALTER TABLE countersign.permit
  ADD CONSTRAINT permit_once_over_all_revisions UNIQUE (proposal_id, step, direction)
"""
NEWEST_ACTS = """
CREATE FUNCTION countersign.newest_revision_acts() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
  IF EXISTS (SELECT FROM countersign.permit AS p
             WHERE p.proposal_id = NEW.proposal_id AND p.revision <> NEW.revision)
    OR EXISTS (SELECT FROM countersign.assessment AS a
               WHERE a.proposal_id = NEW.proposal_id AND a.revision > NEW.revision) THEN
    RAISE EXCEPTION 'revision % of proposal % does not act: another one does, or is newer',
      NEW.revision, NEW.proposal_id USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END
$$
"""
NONE_OPENS = """
CREATE FUNCTION countersign.no_revision_after_a_permit() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
  IF EXISTS (SELECT FROM countersign.permit AS p WHERE p.proposal_id = NEW.proposal_id) THEN
    RAISE EXCEPTION 'a permit of proposal % was issued: no revision opens any more', NEW.proposal_id
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END
$$
"""
TRIGGERS = (
    """CREATE TRIGGER newest_revision_acts BEFORE INSERT ON countersign.permit
  FOR EACH ROW EXECUTE FUNCTION countersign.newest_revision_acts()""",
    "ALTER TABLE countersign.permit ENABLE ALWAYS TRIGGER newest_revision_acts",
    """CREATE TRIGGER no_revision_after_a_permit BEFORE INSERT ON countersign.assessment
  FOR EACH ROW EXECUTE FUNCTION countersign.no_revision_after_a_permit()""",
    "ALTER TABLE countersign.assessment ENABLE ALWAYS TRIGGER no_revision_after_a_permit",
)


def upgrade() -> None:
    """Add the constraint and the triggers; runs as `countersign_owner`."""
    for statement in (ONCE, NEWEST_ACTS, NONE_OPENS, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
