"""Making one append-only table of the record: nobody changes a row, every role reads it, the named ones insert."""

from collections.abc import Sequence

from alembic import op

_PROTECT = (
    """CREATE TRIGGER refuse_statement BEFORE UPDATE OR DELETE OR TRUNCATE ON countersign.{table}
  FOR EACH STATEMENT EXECUTE FUNCTION countersign.refuse_change()""",
    """CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON countersign.{table}
  FOR EACH ROW EXECUTE FUNCTION countersign.refuse_change()""",
    "ALTER TABLE countersign.{table} ENABLE ALWAYS TRIGGER refuse_statement",
    "ALTER TABLE countersign.{table} ENABLE ALWAYS TRIGGER refuse_row",
)
_DIGEST = "CONSTRAINT {table}_digest CHECK (digest = 'sha256:' || encode(sha256(body), 'hex'))"
_READERS = (
    "countersign_app, countersign_control, countersign_permit, countersign_executor, countersign_reader, "
    "countersign_author"
)
CONTROL = ("countersign_app", "countersign_control")


def create_table(table: str, columns: str, *, writers: Sequence[str] = CONTROL) -> None:
    """Create a table of the schema `countersign`.

    Args:
        table: its name.
        columns: their definitions; ``{digest_of_body}`` stands for the check that `digest` is that of `body`.
        writers: the roles that may insert, besides the owner.
    """
    op.execute(f"CREATE TABLE countersign.{table} ({columns.format(digest_of_body=_DIGEST.format(table=table))})")
    op.execute(f"REVOKE ALL ON countersign.{table} FROM PUBLIC")
    for statement in _PROTECT:
        op.execute(statement.format(table=table))
    op.execute(f"GRANT SELECT ON countersign.{table} TO {_READERS}")
    if writers:
        op.execute(f"GRANT INSERT ON countersign.{table} TO {', '.join(writers)}")
