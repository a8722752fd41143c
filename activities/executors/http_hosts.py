"""Which hosts an HTTP executor may ask, and how one is known there.

1. A host has a secret that signs what is sent there, or headers that log in, or both. `reading_headers` log in to read;
   where there are none, the others are used.
2. Plain http is for a host that says so. An address that is not of the public internet is asked only where `networks`
   of its host has it.
3. A name is written as it is asked: in small letters, without a port, and no number that a resolver would take for an
   address.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Annotated

from pydantic import AfterValidator, SecretStr, model_validator

from activities.executors.kinds import ExecutorSettings
from activities.standard_webhooks import WebhookSecret

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_OURS = ("accept-encoding", "connection", "content-length", "content-type", "host", "idempotency-key", "if-match")
_OURS_BEGIN = (
    "countersign-",
    "webhook-",
    "proxy-",
    "transfer-",
    "content-encoding",
    "expect",
    "te",
    "trailer",
    "upgrade",
)


def _host(name: str) -> str:
    try:
        plain = str(ip_address(name)) == name
    except ValueError:
        # 2130706433, 0x7f.1 and 0177.0.0.1 are addresses to a resolver, and no names.
        plain = bool(_HOST.fullmatch(name)) and not _NUMBER.fullmatch(name.rpartition(".")[2])
    if not plain:
        raise ValueError("a host is a name in small letters or an address in its usual form, without a port")
    return name


def _headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in _OURS or name.lower().startswith(_OURS_BEGIN):
            raise ValueError(f"header {name[:60]} is no header of an entry's own")
        text = value.get_secret_value()
        if not (text.isascii() and text.isprintable()):
            raise ValueError(f"header {name} has a value that is no printable ascii")
    return headers


HostName = Annotated[str, AfterValidator(_host)]
Headers = Annotated[dict[str, SecretStr], AfterValidator(_headers)]


class Host(ExecutorSettings):
    """One host that may be asked, and how one is known there.

    Attributes:
        secret: signs what is sent (Standard Webhooks 1.0).
        headers: what logs in to act.
        reading_headers: what logs in to read.
        networks: addresses besides those of the public internet; one alone (`/32`, `/128`) where it is one of a
            cloud's metadata service.
        plain: it is asked without TLS.
        ca_file: the authorities that its certificate may be of, instead of the system's.
    """

    secret: WebhookSecret | None = None
    headers: Headers = {}
    reading_headers: Headers = {}
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    plain: bool = False
    ca_file: str | None = None

    @model_validator(mode="after")
    def _known(self) -> "Host":
        if self.secret is None and not self.headers:
            raise ValueError("neither secret nor headers: who acts has to be known there")
        return self
