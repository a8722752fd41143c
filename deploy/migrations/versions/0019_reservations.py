"""What actions reserve while they are under way, who waits for a place, and what halts all of them.

1. A reservation is a row for each scope and each time its lease was taken. It ends with its action's result, or with
   its lease: nothing is deleted, so nothing is forgotten.
2. Only the permit role reserves and waits, under the locks of the scopes (`activities/reserving.py`).
3. A row of the waiting is a place until an instant; whoever asks again writes the next one.
4. A halt is there as soon as its row is. `countersign_halter` inserts it and can do nothing else, so that a halt needs
   nobody but the database. It ends by a row that needs the statements of two people; control writes both.
"""

from alembic import op

from deploy.migrations.tables import create_table

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

PERMIT = ("countersign_app", "countersign_permit")
RESERVATION = """
    proposal_id text REFERENCES countersign.proposal,
    scope text,
    step integer CHECK (step > 0),
    amount double precision NOT NULL CHECK (amount >= 0),
    shared boolean NOT NULL,
    since timestamptz NOT NULL,
    renewed boolean NOT NULL,
    lease_until timestamptz NOT NULL,
    PRIMARY KEY (proposal_id, scope, step)"""
WAIT = """
    proposal_id text REFERENCES countersign.proposal,
    scope text,
    asked_at timestamptz,
    since timestamptz NOT NULL,
    priority integer NOT NULL,
    registered_at timestamptz NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (proposal_id, scope, asked_at)"""
TAKEOVER = """
    taken text PRIMARY KEY REFERENCES countersign.proposal,
    proposal_id text NOT NULL REFERENCES countersign.proposal,
    at timestamptz NOT NULL"""
INDEXES = (
    "CREATE INDEX reservation_by_lease ON countersign.reservation (scope, lease_until)",
    "CREATE INDEX reservation_by_time ON countersign.reservation (scope, since)",
    "CREATE INDEX reservation_by_end ON countersign.reservation (lease_until)",
    "CREATE INDEX reservation_wait_by_end ON countersign.reservation_wait (scope, until)",
)


HALT = """
    halt_id text PRIMARY KEY CHECK (halt_id ~ '^[A-Za-z0-9][A-Za-z0-9._:/@-]{{7,63}}$'),
    environment text CHECK (length(environment) <= 200),
    placed_by text NOT NULL CHECK (length(placed_by) <= 200),
    placed_at timestamptz NOT NULL,
    reason text NOT NULL CHECK (length(reason) <= 4000),
    body bytea NOT NULL,
    digest text NOT NULL,
    {digest_of_body}"""
STATEMENT = """
    halt_id text REFERENCES countersign.halt,
    digest text,
    person_id text NOT NULL,
    received_at timestamptz NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (halt_id, digest),
    {digest_of_body}"""
RELEASE = """
    halt_id text PRIMARY KEY,
    released_at timestamptz NOT NULL,
    body bytea NOT NULL,
    digest text NOT NULL,
    {digest_of_body}"""
TWO_RELEASE = """
CREATE FUNCTION countersign.two_people_release() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
  IF (SELECT count(DISTINCT s.person_id) FROM countersign.halt_statement AS s WHERE s.halt_id = NEW.halt_id) < 2 THEN
    RAISE EXCEPTION 'halt % is released by two people', NEW.halt_id USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END
$$
"""
TRIGGERS = (
    """CREATE TRIGGER two_people_release BEFORE INSERT ON countersign.halt_release
  FOR EACH ROW EXECUTE FUNCTION countersign.two_people_release()""",
    "ALTER TABLE countersign.halt_release ENABLE ALWAYS TRIGGER two_people_release",
)
HALTER = (
    "GRANT USAGE ON SCHEMA countersign TO countersign_halter",
    "GRANT INSERT ON countersign.halt TO countersign_halter",
)


def upgrade() -> None:
    """Add the tables and what finds what is open; runs as `countersign_owner`."""
    create_table("reservation", RESERVATION, writers=PERMIT)
    create_table("reservation_wait", WAIT, writers=PERMIT)
    create_table("takeover", TAKEOVER, writers=PERMIT)
    create_table("halt", HALT)
    create_table("halt_statement", STATEMENT)
    create_table("halt_release", RELEASE)
    for statement in (*INDEXES, TWO_RELEASE, *TRIGGERS, *HALTER):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: what is on record stays."""
    raise NotImplementedError("the record is append-only: restore a backup instead of downgrading")
