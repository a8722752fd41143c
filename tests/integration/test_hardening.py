"""The page about hardening: every file in it is read by what would read it, as far as that is here."""

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from temporalio.envconfig import ClientConfig

from activities.connection import TemporalUnavailableError, connect
from activities.settings import Role, read_settings
from deploy.dev import Stack
from tests.permit_keys import JWK, JWKS
from tests.world import record

PAGE = (Path(__file__).parents[2] / "docs" / "hardening.md").read_text()
FILES: dict[str, str] = dict(re.findall(r"^```[a-z]+ (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
ROLES = (Role.control, Role.permit, Role.executor)
# What a profile is made of, by Temporal's own word.
PROFILE = {"address", "namespace", "tls", "grpc_meta"}


def test_every_block_is_a_file_that_is_read_here() -> None:
    """No example stands on the page that no test reads."""
    assert set(FILES) == {
        *(f"{role}.env" for role in ROLES),
        *("temporal.yaml", "temporal.toml", "control.claims.json", "roles.sql", "pg_hba.conf"),
    }
    assert PAGE.count("```") == 2 * len(FILES)


@pytest.mark.parametrize("role", ROLES)
def test_a_worker_of_each_role_may_start_with_its_file(role: Role, tmp_path: Path) -> None:
    """Our own code takes each file as it stands, and no file serves another role."""
    (tmp_path / "targets.json").write_text('{"postgres/orders": "postgresql://operator@localhost/orders"}')
    (tmp_path / "temporal.toml").write_text(FILES["temporal.toml"])
    (tmp_path / "permit-keys.json").write_text(JWKS)
    (tmp_path / "permit-key.json").touch(mode=0o600)
    (tmp_path / "permit-key.json").write_text(JWK)
    text = re.sub(r"/etc/countersign|/var/lib/countersign", str(tmp_path), FILES[f"{role}.env"])
    environ = dict(line.split("=", 1) for line in text.splitlines())
    settings = read_settings({**environ, "COUNTERSIGN_UNSAFE_CLAIMED_IDENTITIES": "1"})
    assert (settings.role, settings.database_role) == (role, f"countersign_{role}")
    assert f"countersign_{role}@" in settings.check_worker()
    assert (settings.anchor_file is not None) == (role is Role.permit)
    assert environ["TEMPORAL_PROFILE"] == role


def test_the_profiles_are_read_by_temporals_own_reader() -> None:
    """Strictly: an unknown word is an error. Each role has a certificate and a token of its own."""
    loaded = ClientConfig.load(config_source=FILES["temporal.toml"], config_file_strict=True)
    assert set(loaded.profiles) == set(ROLES)
    described: list[Any] = [profile.to_dict() for profile in loaded.profiles.values()]
    assert all(set(item) == PROFILE for item in described)
    for own in (
        [item["tls"]["client_cert"]["path"] for item in described],
        [item["tls"]["client_key"]["path"] for item in described],
        [item["grpc_meta"]["authorization"] for item in described],
    ):
        assert len(set(own)) == len(ROLES)


def test_the_servers_file_asks_every_client_for_a_certificate_and_a_token() -> None:
    """Read as YAML: both listeners ask for certificates, by two authorities, and the stock authorizer is on."""
    value = yaml.safe_load(FILES["temporal.yaml"])["global"]
    listeners = [value["tls"][name]["server"] for name in ("internode", "frontend")]
    assert all(item["requireClientAuth"] is True for item in listeners)
    assert len({item["clientCaFiles"][0] for item in listeners}) == 2
    names = {"jwtKeyProvider", "permissionsClaimName", "authorizer", "claimMapper"}
    assert set(value["authorization"]) == names
    assert value["authorization"]["jwtKeyProvider"]["keySourceURIs"]


def test_the_claims_give_one_permission_in_one_namespace() -> None:
    """A worker's token says nothing of other namespaces, and nothing of the system's."""
    value = json.loads(FILES["control.claims.json"])
    assert value["permissions"] == ["countersign:write"]


def test_the_lines_of_the_database_end_in_a_refusal() -> None:
    """Each line has the fields that PostgreSQL wants; TLS and certificates only; whoever is not named is refused."""
    lines = [line.split() for line in FILES["pg_hba.conf"].splitlines()]
    assert all(len(line) == 5 and line[0] == "hostssl" for line in lines)
    assert {line[4] for line in lines[:-1]} == {"cert"}
    assert lines[-1][1:] == ["all", "all", "0.0.0.0/0", "reject"]


async def test_the_statements_for_the_database_are_taken(stack: Stack) -> None:
    """PostgreSQL runs them, and the role that is all in one cannot log in any more."""
    async with record(stack):
        connection = await asyncpg.connect(stack.database_url("postgres", "postgres"))
        # Rolled back, because every database of the server has the same roles.
        await connection.execute("BEGIN")
        await connection.execute(FILES["roles.sql"])
        rows = await connection.fetch("SELECT rolname FROM pg_roles WHERE NOT rolcanlogin")
        await connection.execute("ROLLBACK")
        await connection.close()
    assert {"countersign_app", "countersign_owner"} <= {row["rolname"] for row in rows}


class Authority:
    """A certificate authority of a test."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        self._certificate = self._sign(name, self._key, authority=True)
        self.file.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """The files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(self._sign(name, key).public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, *, authority: bool = False) -> x509.Certificate:
        now = datetime.now(UTC)
        names = [x509.DNSName("temporal.example.com"), x509.IPAddress(ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )


@contextlib.asynccontextmanager
async def endpoint(address: str, certificate: tuple[Path, Path], clients: Authority) -> AsyncIterator[str]:
    """A TLS endpoint in front of a Temporal without TLS, that asks every client for a certificate; its address."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(clients.file))
    context.load_cert_chain(*certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")

    serving: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        ways = [asyncio.create_task(pump(reader, inner_writer)), asyncio.create_task(pump(inner_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.transport.abort()
            inner_writer.transport.abort()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        # A transport that was aborted says goodbye in the loop's next turns.
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def _without_certificate(text: str) -> str:
    return re.sub(r"^client_(?:cert|key)_path.*\n", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("who", ["with a certificate", "without one", "with another authority's"])
async def test_a_profile_passes_an_endpoint_that_asks_for_a_certificate(stack: Stack, tmp_path: Path, who: str) -> None:
    """The permit role's profile, but for addresses and paths, gets through; without its certificate nobody does."""
    server, clients, others = (Authority(tmp_path, name) for name in ("frontend-ca", "clients-ca", "others-ca"))
    (others if who == "with another authority's" else clients).issue("permit")
    async with endpoint(stack.temporal_address, server.issue("frontend"), clients) as address:
        text = FILES["temporal.toml"].replace("/etc/countersign", str(tmp_path)).replace('"countersign"', '"default"')
        text = text.replace("temporal.example.com:7233", address)
        file = tmp_path / "temporal.toml"
        file.write_text(_without_certificate(text) if who == "without one" else text)
        environ = {"TEMPORAL_CONFIG_FILE": str(file), "TEMPORAL_PROFILE": "permit"}
        if who == "with a certificate":
            client = await connect(environ=environ)
            assert [item async for item in client.list_workflows("WorkflowType = 'Nobody'")] == []
        else:
            with pytest.raises(TemporalUnavailableError):
                await connect(environ=environ, timeout=timedelta(seconds=5))
