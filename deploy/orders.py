"""The database `orders`: the real target that the demo and the tests act on, and the least that its operator needs.

- `orders_app` is the application: it owns the table and opens the sessions. It is no superuser, so that its sessions
  can be ended without one.
- `orders_operator` is whom the executor logs in as: it may signal sessions, see what they do, write the server
  parameters of `MAY_SET` and reload them. It reads no table.
- `orders_maintainer` maintains the indexes. Only who owns a table may, so it is a member of the application's role and
  could read and write the rows: that is what PostgreSQL has, and why it is another role than the operator.
- `orders_reader` is whom the executor looks as, for what an operation would touch and for measured values: it sees
  sessions and reads the tables, and owns nothing and writes nothing.
- The database itself says that it is production, and so does `reports` beside it, in which there is nothing yet: the
  parameters are those of the server.
"""

import contextlib
from urllib.parse import urlsplit, urlunsplit

import asyncpg

DATABASE = "orders"
REPORTS = "reports"
APP = "orders_app"
OPERATOR = "orders_operator"
MAINTAINER = "orders_maintainer"
READER = "orders_reader"
MAY_SET = ("work_mem", "maintenance_work_mem", "max_connections", "idle_in_transaction_session_timeout")

_ROLES = "".join(
    f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;"
    for role in (APP, OPERATOR, MAINTAINER, READER)
)
# Nothing but the names above is put in.
_GRANTS = f"""
SELECT pg_advisory_xact_lock(hashtextextended('countersign orders', 0));
REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;
GRANT CONNECT ON DATABASE {DATABASE} TO {APP}, {OPERATOR}, {MAINTAINER}, {READER};
GRANT CONNECT ON DATABASE {REPORTS} TO {OPERATOR}, {READER};
ALTER DATABASE {DATABASE} SET countersign.environment = 'production';
ALTER DATABASE {REPORTS} SET countersign.environment = 'production';
GRANT pg_signal_backend, pg_read_all_stats TO {OPERATOR};
GRANT pg_read_all_stats TO {MAINTAINER}, {READER};
GRANT {APP} TO {MAINTAINER};
GRANT ALTER SYSTEM ON PARAMETER {", ".join(MAY_SET)} TO {OPERATOR};
GRANT EXECUTE ON FUNCTION pg_reload_conf() TO {OPERATOR};
CREATE TABLE IF NOT EXISTS public.orders (
  order_id integer PRIMARY KEY,
  customer text NOT NULL,
  state text NOT NULL CHECK (state IN ('placed', 'paid', 'shipped'))
);
ALTER TABLE public.orders OWNER TO {APP};
GRANT CREATE ON SCHEMA public TO {APP};
GRANT SELECT ON public.orders TO {READER};
INSERT INTO public.orders
  SELECT number, 'customer ' || number, (ARRAY['placed', 'paid', 'shipped'])[1 + number % 3]
  FROM generate_series(1, 100) AS number ON CONFLICT DO NOTHING;
"""  # noqa: S608 - constants of this module


async def prepare_orders(superuser_url: str) -> None:
    """Create the database, its table and its roles where they are missing; safe to run again.

    Args:
        superuser_url: `postgresql://` address of any database of the server, as a superuser.
    """
    server = await asyncpg.connect(superuser_url)
    try:
        await server.execute(_ROLES)
        for name in (DATABASE, REPORTS):
            with contextlib.suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                await server.execute(f"CREATE DATABASE {name}")
    finally:
        await server.close()
    orders = await asyncpg.connect(urlunsplit(urlsplit(superuser_url)._replace(path=f"/{DATABASE}")))
    try:
        await orders.execute(_GRANTS)
    finally:
        await orders.close()
