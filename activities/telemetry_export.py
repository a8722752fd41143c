"""Where metrics and traces go, by the settings; nothing is built, imported or sent where none is set.

- `COUNTERSIGN_METRICS_ADDRESS`: a Prometheus endpoint with Temporal's core metrics and our own.
- `OTEL_EXPORTER_OTLP_ENDPOINT`: traces over OTLP/HTTP, and the same metrics unless there is a Prometheus endpoint. The
  SDK's core has one exporter of metrics a process: with both set the metrics are at the endpoint, and a collector that
  scrapes it sends them on (`deploy/otel-collector.yaml`).
- A process starts its telemetry before its first client, and stops it last.
"""

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio import client, worker
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    OpenTelemetryConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from activities.settings import METRICS_ADDRESS, Settings, SettingsError
from activities.telemetry import METER, METRICS, Meter
from activities.telemetry_client import Tracing, tracing

log = logging.getLogger("countersign.telemetry")

EVERY = timedelta(seconds=15)


@dataclass(frozen=True)
class Telemetry:
    """What a connection and its workers need. Empty where nothing is set.

    Attributes:
        runtime: carries the core's metrics and ours.
        meter: our own metrics; None where they go nowhere.
        tracing: what a client needs to trace.

    """

    runtime: Runtime | None = None
    meter: Meter | None = None
    tracing: Tracing = field(default_factory=Tracing)

    @property
    def connection(self) -> dict[str, Any]:
        """The keyword arguments of `activities.connection.connect`."""
        counting = (Counting(self.meter),) if self.meter is not None else ()
        return {
            "runtime": self.runtime,
            "interceptors": (*self.tracing.interceptors, *counting),
            "plugins": self.tracing.plugins,
        }


def start_telemetry(settings: Settings, *, service: str) -> Telemetry:
    """Everything that a worker process exports, by its settings.

    Args:
        settings: the metrics address and the OTLP endpoint.
        service: what this process is called in traces and metrics, as `countersign-worker`.

    Raises:
        SettingsError: the metrics address cannot be listened on.

    """
    runtime = build_runtime(settings, service=service)
    if runtime is None:
        return Telemetry()
    if settings.metrics_address is not None:
        log.info("metrics at http://%s/metrics", settings.metrics_address)
    return Telemetry(runtime, Meter(runtime.metric_meter), tracing(settings, service=service))


def build_runtime(settings: Settings, *, service: str = "countersign", every: timedelta = EVERY) -> Runtime | None:
    """The runtime that exports metrics; None where neither address is set, and then the SDK's own is used.

    Args:
        settings: the metrics address and the OTLP endpoint.
        service: the `service_name` of every series.
        every: how often metrics are sent by OTLP; what came after the last time is lost when a process ends.

    Raises:
        SettingsError: the metrics address cannot be listened on.

    """
    metrics = _metrics(settings, every)
    if metrics is None:
        return None
    warnings = TelemetryFilter(core_level="WARN", other_level="ERROR")
    logs = LoggingConfig(filter=warnings, forwarding=LogForwardingConfig(logger=logging.getLogger("temporalio.core")))
    # Not the SDK's own service name besides ours: a series with a label twice makes Prometheus drop the whole scrape.
    config = TelemetryConfig(
        metrics=metrics, logging=logs, global_tags={"service_name": service}, attach_service_name=False
    )
    try:
        return Runtime(telemetry=config)
    except (ValueError, RuntimeError) as error:
        raise SettingsError(
            f"{METRICS_ADDRESS} = {settings.metrics_address} cannot be listened on ({error}): name a free host:port"
        ) from error


class Counting(client.Interceptor, worker.Interceptor):
    """Gives the activities of a worker the meter that counts what they commit."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def intercept_activity(self, next: worker.ActivityInboundInterceptor) -> worker.ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        return _CountingActivity(next, self._meter)


class _CountingActivity(worker.ActivityInboundInterceptor):
    def __init__(self, inner: worker.ActivityInboundInterceptor, meter: Meter) -> None:
        super().__init__(inner)
        self._meter = meter

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        before = METER.set(self._meter)
        try:
            return await super().execute_activity(input)
        finally:
            METER.reset(before)


def _metrics(settings: Settings, every: timedelta) -> PrometheusConfig | OpenTelemetryConfig | None:
    buckets = {metric.name: metric.buckets for metric in METRICS.values() if metric.buckets}
    if settings.metrics_address is not None:
        return PrometheusConfig(
            settings.metrics_address,
            counters_total_suffix=True,
            unit_suffix=True,
            durations_as_seconds=True,
            histogram_bucket_overrides=buckets,
        )
    if settings.otlp_endpoint is None:
        return None
    return OpenTelemetryConfig(
        f"{settings.otlp_endpoint.rstrip('/')}/v1/metrics",
        http=True,
        metric_periodicity=every,
        durations_as_seconds=True,
        histogram_bucket_overrides=buckets,
    )
