"""A database that logs what changes it: what counts is its own log, by the permit that its sessions are named for."""

import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from activities.trails.postgres import read_server_log
from deploy import unprivileged
from deploy.orders import prepare_orders
from deploy.postgres import PostgresServer
from tests.faults.place import Place
from tests.faults.places_servers import PostgresPlace


class LoggedPostgres(PostgresPlace):
    """One table of the database, on which an index is created and dropped again."""

    def __init__(self, server: PostgresServer, resource: str = PostgresPlace.resource, table: str = "orders") -> None:
        Place.__init__(self)
        self._server, self.resource, self._table = server, resource, table
        self._url, self._reader = self.url_as("orders_maintainer"), self.url_as("orders_reader")

    def url_as(self, role: str, database: str = "orders") -> str:
        """The URL of a database of it, for a role."""
        return f"postgresql://{role}@/{database}?host={self._server.socket_dir}&port={self._server.port}"

    def parameters(self, *, undo: bool = False) -> dict[str, Any]:
        return {**super().parameters(undo=undo), "table": f"public.{self._table}"}

    def log(self) -> Counter[str]:
        """Of a permit every index that it created, and where it created none every index that it dropped."""
        files = sorted(self._server.trail_dir.glob("*.json"))
        lines = [line for path in files for line in path.read_bytes().splitlines()]
        found: dict[str, Counter[str]] = {}
        for effect in read_server_log(lines, self.resource).effects:
            if effect.permit_id is not None:
                found.setdefault(effect.permit_id, Counter())[effect.operation] += 1
        created, dropped = "postgres.index.create", "postgres.index.drop"
        return Counter({permit: each[created] or each[dropped] for permit, each in found.items()})

    async def another(self, number: int) -> Place:
        # Two CREATE INDEX CONCURRENTLY on one table wait for each other.
        table = f"orders_{number}"
        session = await asyncpg.connect(self.url_as("postgres"))
        await session.execute(f"CREATE TABLE public.{table} (LIKE public.orders)")
        await session.execute(f"INSERT INTO public.{table} SELECT * FROM public.orders")
        await session.execute(f"ALTER TABLE public.{table} OWNER TO orders_app")
        await session.execute(f"GRANT SELECT ON public.{table} TO orders_reader")
        await session.close()
        return LoggedPostgres(self._server, f"{self.resource}/{number}", table)


@asynccontextmanager
async def logged_postgres() -> AsyncIterator[Place]:
    """A server of its own, for the executor of the kind postgres."""
    with _logging_server() as server:
        place = LoggedPostgres(server)
        await prepare_orders(place.url_as("postgres", "postgres"))
        yield place


@contextmanager
def _logging_server() -> Iterator[PostgresServer]:
    home = Path(tempfile.mkdtemp(prefix="countersign-")).resolve()
    unprivileged.admit(home)
    server = PostgresServer(home / "postgres", durable=False, temporary=True, trail=True)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
