"""Where notices arrive in the tests: a real mail server and a real HTTP server, on this machine, and a drain."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message as Mail
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from activities.channels.file import Channels, read_channels
from activities.channels.lanes import make_lanes
from activities.clock import Clock
from activities.delivering import NoticeActivities
from activities.documents import Documents
from activities.outbox import write
from deploy.servers import free_ports
from policy.notices.addressing import Addressee
from policy.notices.notice import Audience, Notice, NoticeKind, Subject, Urgency
from tests.world import DOCUMENTS, World

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SUBJECT = Subject(
    proposal_id="p-1",
    revision=1,
    operation="bench.put",
    target="shop",
    environment="production",
    risk_tier="high",
    risk_score=61,
)


# Shorter than a channel waits for an answer.
SLOW_SECONDS = 3.5


@dataclass
class Mailbox:
    """A mail server that keeps what it gets.

    Each of `faults` is what the next mail meets: it is refused (`fail`), its answer is lost (`lose`) or late (`slow`).
    """

    port: int
    mails: list[tuple[str, Mail]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        assert isinstance(envelope.content, bytes)
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "fail":
            return "451 try again later"
        self.mails += [(to, message_from_bytes(envelope.content)) for to in envelope.rcpt_tos]
        if fault == "lose":
            assert server.transport is not None
            server.transport.close()
        if fault == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        return "250 OK"

    def to(self, address: str) -> list[Mail]:
        """What came for an address, oldest first."""
        return [mail for to, mail in self.mails if to == address]


@dataclass
class Post:
    """One request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Endpoint:
    """An HTTP server that keeps what it gets, and answers as its `answers` say by the first part of the path.

    `faults` are those of `Mailbox`.
    """

    port: int
    posts: list[Post] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    hanging: threading.Event = field(default_factory=threading.Event)

    def to(self, path: str) -> list[Post]:
        """What came for a path, oldest first."""
        return [post for post in self.posts if post.path == path]


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mail server inside the block."""
    found = Mailbox(free_ports({"mail": 0})["mail"])
    server = Controller(found, hostname="127.0.0.1", port=found.port)
    server.start()
    try:
        yield found
    finally:
        server.stop()


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """An HTTP server inside the block. `/hang/…` answers once `hanging` is set, `/away/…` by a redirect to itself."""
    found = Endpoint(0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            path = unquote(self.path.partition("?")[0])
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            fault = found.faults.pop(0) if found.faults else ""
            if fault == "fail":
                self.send_error(503)
                return
            found.posts.append(Post(path, headers, body))
            if fault == "lose":
                self.close_connection = True
                return
            if fault == "slow":
                time.sleep(SLOW_SECONDS)
            if path.startswith("/hang/"):
                found.hanging.wait(60)
            self.send_response(found.answers.get(path.split("/")[1], 204))
            self.send_header("location", f"http://127.0.0.1:{found.port}/stolen")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield found
    finally:
        found.hanging.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Later:
    """This machine's clock, and so much later."""

    later: timedelta = timedelta(0)

    async def now(self) -> datetime:
        return datetime.now(UTC) + self.later


@dataclass
class Fixed:
    """A clock that stands still until it is moved."""

    at: datetime

    async def now(self) -> datetime:
        return self.at


@dataclass
class Office:
    """A world whose people have contacts, and what drains its outbox."""

    world: World
    mail: Mailbox
    http: Endpoint

    def channels(self, **changes: Any) -> Channels:
        """Mail first, then chat, then a platform; and what a test changes."""
        found = {
            "channels": {
                "mail": {
                    "kind": "apprise",
                    "url": f"mailto://127.0.0.1:{self.mail.port}/?from=countersign@example.org&to={{address}}",
                    "timeout_seconds": 5,
                },
                "chat": {
                    "kind": "apprise",
                    "url": f"json://127.0.0.1:{self.http.port}/chat/{{address}}",
                    "format": "markdown",
                    "timeout_seconds": 5,
                },
            },
            "operators": "operators",
            "pacing": {"digest_from": 100, "per_hour": 1000},
            **changes,
        }
        return read_channels(json.dumps(found).encode())

    def drain(self, clock: Clock | None = None, **changes: Any) -> NoticeActivities:
        """What drains the outbox by these channels."""
        channels = self.channels(**changes)
        lanes = make_lanes(channels)
        return NoticeActivities(self.world.database, Documents(), clock or Later(), channels, lanes)

    async def tell(self, name: str, key: str, at: datetime | None = None, *, to: str = "person", **changes: Any) -> str:
        """Write a notice for one person or group; its id."""
        now = at or datetime.now(UTC)
        notice = Notice(
            key=f"{self.world.prefix}/{name}/{key}",
            kind=NoticeKind.answered,
            urgency=Urgency.normal,
            audience=Audience(people=(name,)),
            at=now,
            not_before=now,
            subject=SUBJECT,
            text="because",
        ).model_copy(update=changes)
        addressee = Addressee.model_validate({"kind": to, "name": name, "not_before": now})
        async with self.world.database.transaction() as connection:
            await write(connection, [(notice, addressee)])
        return notice.notice_id

    async def rows(self, notice_id: str) -> list[tuple[str, int, str]]:
        """Channel, attempt and status of everything that was done with a notice, in order."""
        found = await self.world.sql(
            "SELECT channel, attempt, status FROM countersign.notice_delivery WHERE notice_id = $1"
            " ORDER BY at, channel DESC, attempt, status",
            UUID(notice_id),
        )
        return [(row["channel"], row["attempt"], row["status"]) for row in found]

    async def written(self, proposal_id: str) -> list[tuple[str, str, str]]:
        """Kind, recipient kind and recipient of every notice of a proposal."""
        found = await self.world.sql(
            "SELECT kind, recipient_kind, recipient FROM countersign.notice WHERE proposal_id = $1"
            " ORDER BY created_at, recipient_kind, recipient",
            proposal_id,
        )
        return [(row["kind"], row["recipient_kind"], row["recipient"]) for row in found]


def directory() -> bytes:
    """The directory of the tests, with contacts for everybody, and operators."""
    lines = []
    for line in (DOCUMENTS / "directory.yaml").read_text().splitlines():
        if line.startswith("  - {id: ") and "owner" not in line:
            name = line.removeprefix("  - {id: ").partition(",")[0]
            line = line.removesuffix("}") + f", contacts: {{mail: {name}@example.org, chat: {name}}}}}"  # noqa: PLW2901
        lines.append(line)
        if line == "people:":
            lines.append("  - {id: otto, groups: [operators], contacts: {chat: otto}}")
            lines.append("  - {id: nora, groups: []}")
    return "\n".join(lines).encode()
