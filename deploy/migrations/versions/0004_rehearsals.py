"""What a dry run rehearsed, and that a dry run publishes nothing.

1. A report says by digest which order it rehearsed, of the step and of its undo, so that the newest rehearsal of
   exactly these parameters on exactly these ids is found by an index.
2. `publish_permitted` refuses the permit of a dry run, whoever holds it; the rest of it is as before.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = "ALTER TABLE countersign.effect_report ADD COLUMN rehearsed text, ADD COLUMN undo_rehearsed text"
INDEXES = {
    "effect_report_by_rehearsal": "effect_report (rehearsed, reported_at)",
    "effect_report_by_undo_rehearsal": "effect_report (undo_rehearsed, reported_at)",
}
PUBLISH = """
CREATE OR REPLACE FUNCTION countersign.publish_permitted(permit uuid, published timestamptz) RETURNS bigint
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
  IF COALESCE((granted->>'dry_run')::boolean, false) THEN
    RAISE EXCEPTION 'permit % is of a dry run, which publishes nothing', permit USING ERRCODE = 'P0001';
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


def upgrade() -> None:
    """Add what is looked up, and replace the function; runs as `countersign_owner`."""
    op.execute(COLUMNS)
    for name, columns_in in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON countersign.{columns_in}")
    op.execute(PUBLISH)


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
