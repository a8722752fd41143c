"""Drafts of governed documents, and the one way in which an approved action puts one in force.

1. Who writes documents may insert drafts, as `countersign_author`, and nothing else.
2. `publish_permitted` is the only way for a worker to add a publication. It needs a claimed permit of the operation
   `countersign.document.publish`, publishes what that permit names, over the document that it names as the one in
   force, and does it once: asked again it answers what it did. It runs as the owner: no role needs more than EXECUTE.
3. The instant is the caller's; the database's clock is not read.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DRAFT = """
CREATE TABLE countersign.draft (
  digest text PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('policy', 'operations', 'catalog', 'directory')),
  name text NOT NULL,
  version text NOT NULL,
  body bytea NOT NULL,
  drafted_by text NOT NULL,
  drafted_at timestamptz NOT NULL,
  CONSTRAINT draft_digest CHECK (digest = 'sha256:' || encode(sha256(body), 'hex'))
)
"""
PROTECT = (
    """CREATE TRIGGER refuse_statement BEFORE UPDATE OR DELETE OR TRUNCATE ON countersign.draft
  FOR EACH STATEMENT EXECUTE FUNCTION countersign.refuse_change()""",
    """CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON countersign.draft
  FOR EACH ROW EXECUTE FUNCTION countersign.refuse_change()""",
    "ALTER TABLE countersign.draft ENABLE ALWAYS TRIGGER refuse_statement",
    "ALTER TABLE countersign.draft ENABLE ALWAYS TRIGGER refuse_row",
)
ONCE_PER_PERMIT = """
ALTER TABLE countersign.publication
  ADD COLUMN permit_id uuid REFERENCES countersign.permit,
  ADD CONSTRAINT publication_once_per_permit UNIQUE (permit_id)
"""
# Every message begins with a word that the executor knows: what is refused was not done.
PUBLISH = """
CREATE FUNCTION countersign.publish_permitted(permit uuid, published timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
  granted jsonb;
  wanted text;
  wanted_kind text;
  before text;
  done bigint;
BEGIN
  SELECT convert_from(p.body, 'UTF8')::jsonb INTO granted
    FROM countersign.permit AS p JOIN countersign.permit_use AS u ON u.permit_id = p.permit_id
    WHERE p.permit_id = permit AND u.use = 'claimed';
  IF granted IS NULL OR granted->>'operation' <> 'countersign.document.publish' THEN
    RAISE EXCEPTION 'permit % is not a claimed permit to publish a document', permit USING ERRCODE = 'P0001';
  END IF;
  wanted := granted->'parameters'->>'digest';
  wanted_kind := granted->'parameters'->>'kind';
  LOCK TABLE countersign.publication IN SHARE ROW EXCLUSIVE MODE;
  SELECT seq INTO done FROM countersign.publication WHERE permit_id = permit;
  IF done IS NOT NULL THEN
    RETURN done;
  END IF;
  SELECT digest INTO before FROM countersign.publication WHERE kind = wanted_kind ORDER BY seq DESC LIMIT 1;
  IF before IS DISTINCT FROM granted->'parameters'->>'previous' THEN
    RAISE EXCEPTION 'the % in force is %, approved was a change of %',
      wanted_kind, before, granted->'parameters'->>'previous' USING ERRCODE = 'P0001';
  END IF;
  INSERT INTO countersign.document (digest, kind, name, version, body)
    SELECT d.digest, d.kind, d.name, d.version, d.body FROM countersign.draft AS d
    WHERE d.digest = wanted AND d.kind = wanted_kind ON CONFLICT DO NOTHING;
  IF NOT EXISTS (SELECT FROM countersign.document WHERE digest = wanted AND kind = wanted_kind) THEN
    RAISE EXCEPTION 'there is no draft % of kind %', wanted, wanted_kind USING ERRCODE = 'P0001';
  END IF;
  INSERT INTO countersign.publication (kind, digest, published_at, published_by, permit_id)
    VALUES (wanted_kind, wanted, published, 'action/' || (granted->>'proposal_id'), permit) RETURNING seq INTO done;
  RETURN done;
END
$$
"""
READERS = "countersign_app, countersign_control, countersign_permit, countersign_executor, countersign_reader"
ACTORS = "countersign_app, countersign_executor"


def upgrade() -> None:
    """Add drafts; runs as `countersign_owner`."""
    op.execute(DRAFT)
    op.execute("REVOKE ALL ON countersign.draft FROM PUBLIC")
    for statement in PROTECT:
        op.execute(statement)
    op.execute(ONCE_PER_PERMIT)
    op.execute(f"GRANT SELECT ON countersign.draft TO {READERS}")
    op.execute("GRANT USAGE ON SCHEMA countersign TO countersign_author")
    op.execute("GRANT SELECT ON ALL TABLES IN SCHEMA countersign TO countersign_author")
    op.execute("GRANT INSERT ON countersign.draft TO countersign_author")
    op.execute("CREATE POLICY author_may_read ON countersign.permit_use FOR SELECT TO countersign_author USING (true)")
    op.execute(PUBLISH)
    op.execute("REVOKE ALL ON FUNCTION countersign.publish_permitted(uuid, timestamptz) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION countersign.publish_permitted(uuid, timestamptz) TO {ACTORS}")


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
