"""Traces: OpenTelemetry spans across client, workflow and activities, sent by OTLP over HTTP.

- The only module that imports OpenTelemetry, and only loaded where an endpoint is set.
- The trace of whoever started an action goes on through the workflow and its activities. A replay adds no spans.
- Anybody who can write to the namespace writes headers, and a trace header that cannot be read would fail the workflow
  task again and again. So only a well-formed W3C trace context is let through, without baggage; the rest is dropped.
- A trace is for finding out, and is no evidence: its parent and its sampling are what a client claimed.
"""

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from temporalio import client, worker
from temporalio.api.common.v1 import Payload
from temporalio.contrib.opentelemetry import OpenTelemetryPlugin, ReplaySafeTracerProvider, create_tracer_provider
from temporalio.converter import PayloadConverter

from activities.telemetry import annotate_with

_HEADER = "_tracer-data"
_HEADER_BYTES = 4096
_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_STATE = re.compile(r"[\x20-\x7e]{1,512}")
_EXPORT_SECONDS = 3.0

Headers = Mapping[str, Payload]


def start(endpoint: str, service: str) -> tuple[OpenTelemetryPlugin, "HeaderGuard"]:
    """Begin to send spans; the plugin and the interceptor that a client needs. Later calls go on with the first's.

    Args:
        endpoint: base address of an OTLP/HTTP receiver; `/v1/traces` is added.
        service: the `service.name`, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES says otherwise.

    """
    if not isinstance(trace.get_tracer_provider(), ReplaySafeTracerProvider):
        resource = Resource({SERVICE_NAME: service}).merge(OTELResourceDetector().detect())
        # Ended by `stop`: a hook at the interpreter's exit would hold a command back while a collector is away.
        provider = create_tracer_provider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        annotate_with(_annotate)
        # A run that leaves the worker's memory ends its spans outside the context they began in. That is harmless, and
        # OpenTelemetry writes an error with a traceback each time.
        logging.getLogger("opentelemetry.context").setLevel(logging.CRITICAL)
    return OpenTelemetryPlugin(add_temporal_spans=True), HeaderGuard()


def stop() -> None:
    """Send what is left, and end. Takes as long as one attempt to send at most."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, ReplaySafeTracerProvider):
        provider.shutdown()


def _annotate(name: str, value: str) -> None:
    trace.get_current_span().set_attribute(name, value)


def well_formed(headers: Headers) -> Headers:
    """Headers with a trace context that can be read, or without one."""
    payload = headers.get(_HEADER)
    if payload is None:
        return headers
    kept = {name: value for name, value in headers.items() if name != _HEADER}
    carrier = _carrier(payload)
    return {**kept, _HEADER: PayloadConverter.default.to_payloads([carrier])[0]} if carrier else kept


def _carrier(payload: Payload) -> dict[str, str]:
    """The W3C trace context in a header; empty where there is none."""
    if payload.metadata.get("encoding") != b"json/plain" or len(payload.data) > _HEADER_BYTES:
        return {}
    try:
        value = json.loads(payload.data)
    except (ValueError, RecursionError):
        return {}
    parent = value.get("traceparent") if isinstance(value, dict) else None
    if not isinstance(parent, str) or not _PARENT.fullmatch(parent):
        return {}
    state = value.get("tracestate")
    known = {"tracestate": state} if isinstance(state, str) and _STATE.fullmatch(state) else {}
    return {"traceparent": parent, **known}


class HeaderGuard(client.Interceptor, worker.Interceptor):
    """Lets nothing but a well-formed trace context reach the tracing interceptor; stands before it."""

    def intercept_activity(self, next: worker.ActivityInboundInterceptor) -> worker.ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        return _GuardedActivity(next)

    def workflow_interceptor_class(
        self,
        input: worker.WorkflowInterceptorClassInput,  # noqa: A002, ARG002 - the SDK's name
    ) -> type[worker.WorkflowInboundInterceptor]:
        return _GuardedWorkflow


class _GuardedActivity(worker.ActivityInboundInterceptor):
    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        input.headers = well_formed(input.headers)
        return await super().execute_activity(input)


class _GuardedWorkflow(worker.WorkflowInboundInterceptor):
    async def execute_workflow(self, input: worker.ExecuteWorkflowInput) -> Any:  # noqa: A002 - the SDK's name
        input.headers = well_formed(input.headers)
        return await super().execute_workflow(input)

    async def handle_signal(self, input: worker.HandleSignalInput) -> None:  # noqa: A002 - the SDK's name
        input.headers = well_formed(input.headers)
        await super().handle_signal(input)

    async def handle_query(self, input: worker.HandleQueryInput) -> Any:  # noqa: A002 - the SDK's name
        input.headers = well_formed(input.headers)
        return await super().handle_query(input)

    def handle_update_validator(self, input: worker.HandleUpdateInput) -> None:  # noqa: A002 - the SDK's name
        input.headers = well_formed(input.headers)
        super().handle_update_validator(input)

    async def handle_update_handler(self, input: worker.HandleUpdateInput) -> Any:  # noqa: A002 - the SDK's name
        input.headers = well_formed(input.headers)
        return await super().handle_update_handler(input)
