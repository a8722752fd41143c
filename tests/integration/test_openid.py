"""What a provider publishes is read strictly: everything that is not what was asked for is an error that says so."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey, OctKey

from activities.openid import (
    ANSWER_BYTES,
    DISCOVERY,
    OpenIdError,
    Provider,
    discover,
    exchanged,
    published_keys,
    usable,
)
from policy.canonical import canonical

PUBLIC = ECKey.generate_key("P-256").as_dict(private=False)


class Server:
    """A server on loopback that answers what it is told to, path by path."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.asked: list[str] = []
        self.released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                server.asked.append(self.path)
                status, fields, body = answers[self.path]
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)
                    if "x-endless" in fields:
                        self.wfile.flush()
                        server.released.wait(30)

            do_GET = do_POST = _answer  # noqa: N815 - the library's names

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.answers = answers


@contextlib.contextmanager
def serving(answers: dict[str, Any], context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server inside the block."""
    server = Server(answers)
    if context is not None:
        server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
        server.url = server.url.replace("http:", "https:")
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def said(value: Any, status: int = 200, **fields: str) -> tuple[int, dict[str, str], bytes]:
    return status, fields, value if isinstance(value, bytes) else canonical(value)


def _discovery(server: Server, **changes: Any) -> None:
    """Have a server publish a discovery document of its own."""
    value = {"issuer": server.url, "jwks_uri": f"{server.url}/keys", **changes}
    server.answers[DISCOVERY] = said({name: item for name, item in value.items() if item is not None})


async def test_what_is_published_is_read() -> None:
    """An issuer without a login has no endpoints, and its keys are there without what is not needed."""
    with serving({}) as server:
        _discovery(server, authorization_endpoint="urn:kubernetes:programmatic_authorization")
        more = {"kid": "k", "use": "sig", "x5c": ["MII"], "x5u": "https://evil.example"}
        others = [
            {"kty": "oct", "k": "c2VjcmV0"},
            {**PUBLIC, "use": "enc"},
            {**PUBLIC, "key_ops": ["encrypt"]},
            "no key",
            {**PUBLIC, "kid": 5},
            {**OctKey.generate_key(256).as_dict(), "kid": "secret"},
        ]
        private = ECKey.generate_key("P-256").as_dict(private=True)
        server.answers["/keys"] = said({"keys": [{**PUBLIC, **more}, *others, {**private, "kid": "leaked"}]})
        found = await discover(server.url)
        keys = await published_keys(found)
    assert (found.authorization_endpoint, found.token_endpoint, found.challenges) == (None, None, None)
    assert [key.get("kid") for key in keys] == ["k", "leaked"]
    assert all(key.keys() <= {"kty", "crv", "x", "y", "kid", "use"} for key in keys)


BAD_DISCOVERY: dict[str, tuple[Any, str]] = {
    "another issuer": ({"issuer": "https://login.example"}, "they must be equal"),
    "the same issuer with a slash": ({"issuer": "/"}, "they must be equal"),
    "no issuer": ({"issuer": None}, "they must be equal"),
    "no keys": ({"jwks_uri": None}, "has no jwks_uri"),
    "keys that are a number": ({"jwks_uri": 5}, "has no jwks_uri"),
}


@pytest.mark.parametrize("name", BAD_DISCOVERY)
async def test_a_discovery_document_of_somebody_else_is_none(name: str) -> None:
    """The issuer is the one that was asked for, to the letter."""
    changes, message = BAD_DISCOVERY[name]
    with serving({}) as server:
        if changes.get("issuer") == "/":
            changes = {"issuer": f"{server.url}/"}
        _discovery(server, **changes)
        with pytest.raises(OpenIdError, match=message):
            await discover(server.url)


BAD_ANSWERS: dict[str, tuple[tuple[int, dict[str, str], bytes], str]] = {
    "a redirect": (said(b"", 302, location="/elsewhere"), "answers with status 302"),
    "an error": (said({"keys": [PUBLIC]}, 500), "answers with status 500"),
    "no json": (said(b"<html>"), "no strict json"),
    "a key twice": (said(b'{"keys": [], "keys": []}'), "no strict json"),
    "a list": (said([]), "no object"),
    "no list of keys": (said({"keys": {}}), "no list of at most 100 keys"),
    "too many keys": (said({"keys": [PUBLIC] * 101}), "no list of at most 100 keys"),
    "no key": (said({"keys": []}), "no key that verifies"),
    "only a secret": (said({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}), "no key that verifies"),
    "too much": (said(b" " * (ANSWER_BYTES + 1)), f"more than {ANSWER_BYTES} bytes"),
    "without an end": ((200, {"x-endless": "1"}, b"{"), "cannot be asked|no answer within|too slowly"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_an_answer_that_is_no_list_of_keys_is_an_error(name: str) -> None:
    """Nothing is followed, nothing is waited for without end, nothing is guessed."""
    answer, message = BAD_ANSWERS[name]
    with serving({"/keys": answer, "/elsewhere": said({"keys": [PUBLIC]})}) as server:
        with pytest.raises(OpenIdError, match=message):
            await published_keys(Provider(server.url, f"{server.url}/keys"))
        assert server.asked == ["/keys"]


async def test_what_a_token_endpoint_says_besides_its_error_is_not_passed_on() -> None:
    """It may repeat what was sent; and a code that is no code is not shown."""
    answers = {
        "/known": said({"error": "invalid_grant", "error_description": "code SECRET"}, 400),
        "/unknown": said({"error": "SECRET <b>"}, 400),
        "/broken": said(b"SECRET", 502),
    }
    with serving(answers) as server:
        for path, message in (("/known", "invalid_grant"), ("/unknown", "no known error"), ("/broken", "status 502")):
            with pytest.raises(OpenIdError, match=message) as refused:
                await exchanged(server.url + path, {"code": "SECRET"})
            assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://login.example/keys", True),
        ("http://127.0.0.1:8080/keys", True),
        ("http://[::1]/keys", True),
        ("http://localhost/keys", True),
        ("http://login.example/keys", False),
        ("http://127.0.0.1.evil.example/", False),
        ("http://127.0.0.1@evil.example/", False),
        ("https://user:password@login.example/", False),
        ("https://login.example\\@evil.example/", False),
        ("https://login.example/#keys", False),
        ("https:///keys", False),
        ("file:///etc/passwd", False),
        ("ftp://login.example/keys", False),
        ("https://[half/", False),
        ("https://login.example/\r\nHost: evil", False),
    ],
)
async def test_only_https_or_this_machine_is_asked(url: str, asked: bool) -> None:
    """Whatever a discovery document names."""
    assert usable(url) is asked
    if not asked:
        with pytest.raises(OpenIdError, match="is not asked"):
            await published_keys(Provider("https://login.example", url))


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """Until it is one of this machine's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = await asyncio.to_thread(_certificate, tmp_path)
    context.load_cert_chain(certificate)
    with serving({"/keys": said({"keys": [PUBLIC]})}, context) as server:
        provider = Provider(server.url, f"{server.url}/keys")
        with pytest.raises(OpenIdError, match="cannot be asked: SSLError"):
            await published_keys(provider)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(certificate))
            assert len(await published_keys(provider)) == 1


def _certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that it signed itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "tests.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path
