"""What a client needs to trace, by the settings: all that a command of the command line has of telemetry.

It loads neither workers nor OpenTelemetry where no endpoint is set.
"""

import sys
from dataclasses import dataclass

from temporalio import client

from activities.settings import Settings

_TRACING = "activities.telemetry_tracing"


@dataclass(frozen=True)
class Tracing:
    """What a client needs to trace; workers inherit both. Empty where nothing is traced."""

    plugins: tuple[client.Plugin, ...] = ()
    interceptors: tuple[client.Interceptor, ...] = ()


def tracing(settings: Settings, *, service: str = "countersign") -> Tracing:
    """What a client needs to trace; empty where no OTLP endpoint is set. Spans are sent from the first call on."""
    if settings.otlp_endpoint is None:
        return Tracing()
    from activities import telemetry_tracing  # noqa: PLC0415 - OpenTelemetry is loaded only where it is used

    plugin, guard = telemetry_tracing.start(settings.otlp_endpoint, service)
    return Tracing((plugin,), (guard,))


def stop_tracing() -> None:
    """Send the spans that are left; before a process ends with `os._exit`."""
    if (started := sys.modules.get(_TRACING)) is not None:
        started.stop()
