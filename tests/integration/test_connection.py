"""Connecting to a real Temporal, and failing to."""

import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from activities.connection import TemporalConfigError, TemporalUnavailableError, configured, connect
from deploy.dev import Stack


@pytest.fixture(name="silent")
def _silent() -> Iterator[str]:
    """The address of somebody who accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def test_an_address_is_used_as_given(stack: Stack) -> None:
    """A caller's address and namespace win over the environment."""
    client = await connect(address=stack.temporal_address, namespace="default", environ={"TEMPORAL_ADDRESS": "x:1"})

    assert client.namespace == "default"


async def test_a_profile_is_used(stack: Stack, tmp_path: Path) -> None:
    """Address and namespace come from the named profile of the configuration file."""
    file = tmp_path / "temporal.toml"
    file.write_text(f'[profile.prod]\naddress = "{stack.temporal_address}"\nnamespace = "default"\n')

    client = await connect(environ={"TEMPORAL_CONFIG_FILE": str(file), "TEMPORAL_PROFILE": "prod"})

    assert client.service_client.config.target_host == stack.temporal_address


async def test_nobody_at_the_address_is_said_at_once() -> None:
    """A refused connection names the address and what to do, without any retry."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = f"127.0.0.1:{server.getsockname()[1]}"

    with pytest.raises(TemporalUnavailableError, match=rf"temporal at {free}: Connection refused; .*TEMPORAL_ADDRESS"):
        await connect(address=free)


async def test_silence_ends_in_bounded_time(silent: str) -> None:
    """A server that never answers is given up after the timeout."""
    begun = time.monotonic()

    with pytest.raises(TemporalUnavailableError, match=r"gave no answer within 0\.5 s"):
        await connect(address=silent, timeout=timedelta(seconds=0.5))
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"TEMPORAL_PROFILE": "nobody"}, "Profile 'nobody' not found; check TEMPORAL_PROFILE"),
        (
            {"TEMPORAL_TLS_CLIENT_CERT_PATH": "/no/cert.pem", "TEMPORAL_TLS_CLIENT_KEY_PATH": "/no/key.pem"},
            "file /no/cert.pem of the temporal profile does not exist",
        ),
        ({"TEMPORAL_TLS_CLIENT_CERT_DATA": "pem"}, "only one of client certificate and client key"),
        ({"TEMPORAL_API_KEY": "secret", "TEMPORAL_TLS": "false"}, "the key would travel in clear, enable tls"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(environ: dict[str, str], message: str) -> None:
    """The error names the profile, the file or the contradiction."""
    with pytest.raises(TemporalConfigError, match=message):
        configured(environ)


def test_an_api_key_brings_tls() -> None:
    """A key is never sent in clear unless somebody contradicts that, which is refused."""
    config = configured({"TEMPORAL_ADDRESS": "x:7233", "TEMPORAL_API_KEY": "secret"})

    assert (config["tls"], config["api_key"]) == (True, "secret")
