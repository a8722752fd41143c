"""A real OpenID provider (npm `oidc-provider`, on Node), and people who sign in at it by http.

The package is fetched once for a checkout, by name and version, into `.dev/`. Without Node the tests fail, and say so.
"""

import asyncio
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from joserfc.jwk import ECKey, RSAKey

from cli.oidc_login import sign_in
from tests.npm import fetched

PACKAGE, VERSION = "oidc-provider", "9.13.3"
CLIENT, OTHER_CLIENT, P256_CLIENT = "countersign-cli", "another-client", "with-p256"
_SCRIPT = Path(__file__).with_suffix(".mjs")


def installed() -> Path:
    """The folder of the package, fetched where it is not there yet."""
    return fetched(f"{PACKAGE}-{VERSION}", {"private": True, "dependencies": {PACKAGE: VERSION}})


def rsa(kid: str) -> RSAKey:
    """A key that a provider signs with."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


def p256(kid: str) -> ECKey:
    """The same of another kind."""
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


class IdentityProvider:
    """A provider that runs; its issuer stays the same whatever it is told."""

    def __init__(self, process: "subprocess.Popen[str]", keys: Sequence[Any]) -> None:
        self._process = process
        self._keys = keys
        self.issuer = ""
        self.publish(*keys)

    def publish(self, *keys: Any) -> None:
        """Publish these keys and no other, and sign with the first of each kind; starts it if it is down."""
        self._keys = keys
        port = urlsplit(self.issuer).port or 0
        told = {"keys": [key.as_dict(private=True) for key in keys], "port": port}
        self.issuer = self._tell(told)["issuer"]

    def go_down(self) -> None:
        """Nobody answers at its address any more, until it publishes again."""
        self._tell({"keys": None})

    def come_back(self) -> None:
        """As it was before it went down."""
        self.publish(*self._keys)

    def _tell(self, value: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the provider ended with {self._process.wait()}"
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def identity_provider(*keys: Any) -> Iterator[IdentityProvider]:
    """A provider of the block's own, on a port of 127.0.0.1."""
    command = ["node", str(_SCRIPT), str(installed())]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield IdentityProvider(process, keys or (rsa("rsa-1"), p256("p256-1")))
        finally:
            process.kill()


@dataclass
class Browser:
    """Somebody's browser: it keeps cookies, follows what it is sent to, and signs in where it is asked to.

    Attributes:
        account: who signs in; None refuses.
        amr: by which methods.
        acr: the class that the provider reaches with them.
        ago: how many seconds ago they authenticated.
        asked: what it was asked for, each time: login or consent.
        ended: the last answer.
    """

    account: str | None = "ann"
    amr: Sequence[str] = ("pwd", "otp")
    acr: str | None = None
    ago: int = 0
    asked: list[str] = field(default_factory=list)
    ended: requests.Response | None = None
    session: requests.Session = field(default_factory=requests.Session)

    def visit(self, address: str) -> None:
        """Go where an address leads."""
        answer = self.session.get(address, timeout=20)
        while urlsplit(answer.url).path.startswith("/sign-in/") and answer.ok:
            self.asked.append(answer.json()["prompt"])
            said = {"account": self.account, "amr": list(self.amr), "acr": self.acr, "ago": self.ago}
            answer = self.session.post(answer.url, json=said, timeout=20)
        self.ended = answer


async def signed_in(
    provider: IdentityProvider, browser: Browser, nonce: str, *, client: str = CLIENT, **asked: Any
) -> str:
    """The token that somebody's signing in gives."""
    visits: list[asyncio.Task[None]] = []

    def tell(address: str) -> None:
        visits.append(asyncio.create_task(asyncio.to_thread(browser.visit, address)))

    token = await sign_in(provider.issuer, client, nonce, tell=tell, **asked)
    await asyncio.gather(*visits)
    return token
