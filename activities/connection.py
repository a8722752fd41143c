"""The connection to Temporal, wherever it is: one function, the SDK's own profiles, and errors that say what to do.

- An address given by the caller (the development stack's) is used as it is. Without one, Temporal's own configuration
  decides: TEMPORAL_* variables over the profile of TEMPORAL_PROFILE in TEMPORAL_CONFIG_FILE, TLS and API key included.
- Nothing set means `localhost:7233`, namespace `default`.
- The answer comes within `timeout`, whatever the network does.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import Client, Interceptor, Plugin
from temporalio.envconfig import ClientConfigProfile
from temporalio.runtime import Runtime
from temporalio.service import TLSConfig

from activities.encryption.connecting import data_converter
from activities.encryption.keys import Keys
from activities.encryption.requests import RefuseInTheClear
from policy.errors import CountersignError

DEFAULT_ADDRESS = "localhost:7233"
CONNECT_TIMEOUT = timedelta(seconds=10)
_BRIEF = 200


class TemporalConfigError(CountersignError):
    """The configuration of the connection cannot be used."""


class TemporalUnavailableError(CountersignError):
    """Temporal did not answer, or refused us."""


async def connect(
    *,
    address: str | None = None,
    namespace: str | None = None,
    identity: str | None = None,
    keys: Keys | None = None,
    interceptors: Sequence[Interceptor] = (),
    plugins: Sequence[Plugin] = (),
    runtime: Runtime | None = None,
    timeout: timedelta = CONNECT_TIMEOUT,  # noqa: ASYNC109 - it bounds more than one await, and becomes a named error
    environ: Mapping[str, str] | None = None,
) -> Client:
    """A client that answered once.

    Args:
        address: host:port to use instead of Temporal's own configuration.
        namespace: to use instead of the configured one.
        identity: what Temporal records as the sender; a hint for people, never authority.
        keys: what encrypts payloads; nothing does where none are given.
        interceptors: for tracing and counting; workers inherit them.
        plugins: for tracing; workers inherit them.
        runtime: carries the metrics; one a process.
        timeout: how long to wait for the first answer.
        environ: TEMPORAL_* variables to read instead of the process's own.

    Raises:
        TemporalConfigError: a profile, a file or a combination of settings cannot be used.
        TemporalUnavailableError: nobody answered in time, or the server refused.

    """
    config = {"target_host": address} if address else configured(environ)
    config.setdefault("target_host", DEFAULT_ADDRESS)
    if namespace is not None:
        config["namespace"] = namespace
    target = config["target_host"]
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            return await Client.connect(
                **config,
                data_converter=data_converter(keys),
                interceptors=[*interceptors, RefuseInTheClear()] if keys else interceptors,
                plugins=plugins,
                runtime=runtime,
                identity=identity,
            )
    except TimeoutError:
        raise TemporalUnavailableError(
            f"temporal at {target} gave no answer within {timeout.total_seconds():g} s: {_fix(config)}"
        ) from None
    except RuntimeError as error:
        raise TemporalUnavailableError(f"temporal at {target}: {brief(error)}; {_fix(config)}") from error
    except (ValueError, TypeError) as error:
        raise TemporalConfigError(f"temporal address {target} cannot be used ({error}): write host:port") from error


def configured(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What Temporal's own configuration says, as arguments of `Client.connect`.

    Raises:
        TemporalConfigError: names the profile, the file or the contradiction.

    """
    try:
        profile = ClientConfigProfile.load(override_env_vars=environ)
        config: dict[str, Any] = {**profile.to_client_connect_config()}
    except FileNotFoundError as error:
        raise TemporalConfigError(
            f"file {error.filename} of the temporal profile does not exist: correct the profile or TEMPORAL_TLS_*"
        ) from error
    except OSError as error:
        raise TemporalConfigError(
            f"file {error.filename} of the temporal profile cannot be read: {error.strerror}"
        ) from error
    except RuntimeError as error:
        raise TemporalConfigError(
            f"temporal profile cannot be used: {brief(error)}; check TEMPORAL_PROFILE and TEMPORAL_CONFIG_FILE"
        ) from error
    _refuse_contradiction(profile, config)
    return config


def _refuse_contradiction(profile: ClientConfigProfile, config: dict[str, Any]) -> None:
    if profile.api_key is not None and config.get("tls") is False:
        raise TemporalConfigError(
            "temporal profile has an api key and tls.disabled = true: the key would travel in clear, enable tls"
        )
    tls = config.get("tls")
    if isinstance(tls, TLSConfig) and (tls.client_cert is None) != (tls.client_private_key is None):
        raise TemporalConfigError(
            "temporal profile has only one of client certificate and client key: give both "
            "(TEMPORAL_TLS_CLIENT_CERT_PATH, TEMPORAL_TLS_CLIENT_KEY_PATH)"
        )


def _fix(config: dict[str, Any]) -> str:
    tls = "with tls" if config.get("tls") else "without tls"
    return f"it was asked {tls}; start `countersign dev`, or correct TEMPORAL_ADDRESS or the profile"


def brief(error: BaseException) -> str:
    """The innermost sentence of an error that the SDK's core wrote as nested structures."""
    inner = re.findall(r'(?:message|error): "([^"]+)"', str(error))
    text = " ".join((inner[-1] if inner else str(error)).split())
    return text if len(text) <= _BRIEF else text[: _BRIEF - 1] + "…"
