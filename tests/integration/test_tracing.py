"""Traces, OTLP metrics and logs of a real worker process, received by a real OTLP receiver on loopback."""

import asyncio
import contextlib
import gzip
import json
import logging
import os
import signal
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from temporalio.api.common.v1 import Header, Payload, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client, Interceptor, OutboundInterceptor, StartWorkflowInput, WorkflowHandle
from temporalio.converter import PayloadConverter
from temporalio.runtime import PrometheusConfig
from temporalio.service import RPCError
from temporalio.worker import Replayer

import worker
from activities import telemetry_export, telemetry_tracing
from activities.connection import connect
from activities.settings import Settings
from activities.telemetry_export import Telemetry, start_telemetry
from activities.telemetry_logs import TextFormatter
from deploy.dev import Stack
from deploy.servers import free_ports
from tests.permit_keys import JWK
from tests.world import Handle, decision, proposal, record, temporal_server, until
from workflows.authorize import AuthorizeAction
from workflows.converter import DATA_CONVERTER
from workflows.interface import DECIDE, STATUS, TASK_QUEUE, WORKFLOW_TYPE, workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = "_tracer-data"
BAD_HEADERS = {
    "no json": Payload(metadata={"encoding": b"json/plain"}, data=b"{"),
    "a number": Payload(metadata={"encoding": b"json/plain"}, data=b"7"),
    "bytes": Payload(metadata={"encoding": b"binary/plain"}, data=b"\xff"),
    "an unknown encoding": Payload(metadata={"encoding": b"magic"}, data=b"{}"),
    "no encoding": Payload(data=b"{}"),
    "too deep": Payload(metadata={"encoding": b"json/plain"}, data=b"[" * 4000),
    "numbers in it": Payload(metadata={"encoding": b"json/plain"}, data=b'{"traceparent": 7, "baggage": []}'),
}


@dataclass
class Receiver:
    """What was sent to an OTLP receiver."""

    endpoint: str
    bodies: dict[str, list[bytes]] = field(default_factory=dict)

    def spans(self) -> list[Span]:
        """Every span, in order of arrival."""
        requests = [_read(ExportTraceServiceRequest(), body) for body in self.bodies.get("/v1/traces", ())]
        return [
            span
            for request in requests
            for of in request.resource_spans
            for some in of.scope_spans
            for span in some.spans
        ]

    def metrics(self) -> set[str]:
        """The name of every metric."""
        requests = [_read(ExportMetricsServiceRequest(), body) for body in self.bodies.get("/v1/metrics", ())]
        return {
            metric.name
            for request in requests
            for of in request.resource_metrics
            for some in of.scope_metrics
            for metric in some.metrics
        }


def _read(message: Any, body: bytes) -> Any:
    assert isinstance(message, Message)
    message.ParseFromString(body)
    return message


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """An OTLP/HTTP receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.bodies.setdefault(self.path, []).append(body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Traced(Interceptor):
    """What the interceptor of a platform's SDK, in any language, adds to a start."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - the SDK's name
        return _TracedCalls(next)


class _TracedCalls(OutboundInterceptor):
    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:  # noqa: A002 - the SDK's name
        carrier = {"traceparent": f"00-{TRACE}-{PARENT}-01", "baggage": "secret=1"}
        input.headers = {HEADER: PayloadConverter.default.to_payloads([carrier])[0]}
        return await super().start_workflow(input)


@dataclass
class Processes:
    """Worker processes of their own, with everything that they need in the environment."""

    client: Client
    receiver: Receiver
    environment: dict[str, str]
    lines: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def worker(self, **more: str) -> AsyncIterator[None]:
        """A worker process inside the block, with more in its environment; ends by SIGTERM."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ROOT / "worker.py"), "--role", "all"),
            env=self.environment | more,
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        reading = asyncio.create_task(self._collect(process.stderr))
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                await reading
                await process.wait()

    async def _collect(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.lines.append(line.decode())

    async def start(self, body: Any) -> Handle:
        return await self.client.start_workflow(
            WORKFLOW_TYPE, body, id=workflow_id(body["proposal_id"]), task_queue=TASK_QUEUE
        )

    async def pending(self, handle: Handle) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(RPCError):
                    if (found := await handle.query(STATUS, rpc_timeout=timedelta(seconds=20)))["state"] == "pending":
                        return dict(found)


@pytest_asyncio.fixture(name="processes", scope="module", loop_scope="module")
async def _processes(stack: Stack) -> AsyncIterator[Processes]:
    """A Temporal, a record and an OTLP receiver for worker processes."""
    async with contextlib.AsyncExitStack() as cleanup:
        receiver = cleanup.enter_context(receiving())
        server = cleanup.enter_context(temporal_server())
        name = await cleanup.enter_async_context(record(stack))
        client = await connect(address=server.address, interceptors=(Traced(),))
        environment = {
            "PATH": os.environ["PATH"],
            "TEMPORAL_ADDRESS": server.address,
            "COUNTERSIGN_DATABASE_URL": stack.database_url("countersign_app", name),
            "COUNTERSIGN_ANCHOR_FILE": str(Path(stack.data_dir, f"{name}.anchor")),
            "COUNTERSIGN_UNSAFE_CLAIMED_IDENTITIES": "1",
            "COUNTERSIGN_PERMIT_KEY": JWK,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        yield Processes(client, receiver, environment)


@dataclass
class Denied:
    """An action that one worker process asked about and another, with an endpoint, ended after a replay.

    `scraped` is what the endpoint showed.
    """

    status: dict[str, Any]
    scraped: str


@pytest_asyncio.fixture(name="denied", scope="module", loop_scope="module")
async def _denied(processes: Processes) -> Denied:
    async with processes.worker():
        handle = await processes.start(proposal("traced-1", "bench.put", undo="bench.take"))
        status = await processes.pending(handle)
        for payload in BAD_HEADERS.values():
            await _signal(processes.client, handle.id, payload)
        await processes.pending(handle)
    address = f"127.0.0.1:{free_ports({'metrics': 0})['metrics']}"
    async with processes.worker(COUNTERSIGN_METRICS_ADDRESS=address):
        await processes.pending(handle)
        await handle.execute_update(DECIDE, decision(status, "eve", "deny"))
        async with asyncio.timeout(30):
            result = await handle.result()
        with await asyncio.to_thread(urllib.request.urlopen, f"http://{address}/metrics") as answer:
            scraped = answer.read().decode()
    assert result["resolution"] == "denied"
    return Denied(status, scraped)


async def _signal(client: Client, workflow: str, header: Payload) -> None:
    """A signal with a trace header that a stranger wrote."""
    request = SignalWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow),
        signal_name="whatever",
        header=Header(fields={HEADER: header}),
    )
    await client.workflow_service.signal_workflow_execution(request)


async def test_a_platforms_trace_goes_on_through_workflow_and_activities(processes: Processes, denied: Denied) -> None:
    """The workflow's span is a child of the client's, the activities belong to it and name the action."""
    spans = {span.name: span for span in processes.receiver.spans() if span.trace_id.hex() == TRACE}
    run = spans["RunWorkflow:AuthorizeAction"]
    attributes = {item.key: item.value.string_value for item in spans["RunActivity:take_decision"].attributes}

    assert run.parent_span_id.hex() == PARENT
    assert spans["StartActivity:assess"].parent_span_id == run.span_id
    assert spans["RunActivity:assess"].parent_span_id == spans["StartActivity:assess"].span_id
    assert spans["RunActivity:take_decision"].parent_span_id == spans["StartActivity:take_decision"].span_id
    assert attributes["countersign.action_digest"] == denied.status["action_digest"]
    assert attributes["temporalWorkflowID"] == "action/traced-1"


@pytest.mark.usefixtures("denied")
async def test_a_replay_adds_no_spans(processes: Processes) -> None:
    """The second process replayed everything, and each thing that happened once has one span."""
    names = [span.name for span in processes.receiver.spans() if span.trace_id.hex() == TRACE]

    once = ("RunWorkflow:AuthorizeAction", "StartActivity:assess", "RunActivity:assess")
    assert [names.count(name) for name in once] == [1, 1, 1]
    assert names.count("StartActivity:take_decision") == names.count("RunActivity:take_decision")


@pytest.mark.usefixtures("denied")
async def test_a_trace_header_that_cannot_be_read_is_dropped(processes: Processes) -> None:
    """The workflow went on after each of them, and no task of it ever failed."""
    history = (await processes.client.get_workflow_handle("action/traced-1").fetch_history()).to_json()

    assert "EVENT_TYPE_WORKFLOW_TASK_FAILED" not in history
    assert [span.name for span in processes.receiver.spans()].count("HandleSignal:whatever") == len(BAD_HEADERS)


@pytest.mark.usefixtures("denied")
async def test_a_history_with_traces_replays_without_them(processes: Processes) -> None:
    """An auditor needs nothing of OpenTelemetry to replay what was recorded with it."""
    history = await processes.client.get_workflow_handle("action/traced-1").fetch_history()
    replayer = Replayer(
        workflows=[AuthorizeAction], data_converter=DATA_CONVERTER, workflow_runner=worker.workflow_runner()
    )

    assert (await replayer.replay_workflow(history)).replay_failure is None


async def test_only_a_trace_context_passes() -> None:
    """Parent and state of a trace are kept, baggage and whatever else a header holds is not."""
    parent = f"00-{TRACE}-{PARENT}-01"
    carrier = {"traceparent": parent, "tracestate": "a=b", "baggage": "secret=1", "more": "x"}
    other = Payload(data=b"y")
    headers = {HEADER: PayloadConverter.default.to_payloads([carrier])[0], "other": other}

    passed = telemetry_tracing.well_formed(headers)

    assert json.loads(passed[HEADER].data) == {"traceparent": parent, "tracestate": "a=b"}
    assert passed["other"] == other
    assert all(
        telemetry_tracing.well_formed({HEADER: bad, "other": other}) == {"other": other} for bad in BAD_HEADERS.values()
    )


async def test_the_logs_of_a_worker_are_json_lines_that_say_where_they_come_from(
    processes: Processes, denied: Denied
) -> None:
    """Every line is one JSON object; those of a ledger entry name workflow, run, activity, proposal and digest."""
    lines = [json.loads(line) for line in processes.lines]
    entry = next(line for line in lines if line["message"] == "decision_counted")

    assert all({"at", "level", "logger", "message"} <= set(line) for line in lines)
    assert {name: entry[name] for name in ("workflow_id", "activity", "proposal_id", "action_digest")} == {
        "workflow_id": "action/traced-1",
        "activity": "take_decision",
        "proposal_id": "traced-1",
        "action_digest": denied.status["action_digest"],
    }
    assert entry["run_id"]
    refused = [line["codes"] for line in lines if line["message"] == "decision_refused"]
    assert refused == [["malformed"]] * len(BAD_HEADERS)


async def test_metrics_go_out_by_otlp_where_there_is_no_endpoint(processes: Processes) -> None:
    """The core's metrics and ours are sent together."""
    code = (
        "import asyncio, sys\n"
        "from datetime import timedelta\n"
        "from activities.connection import connect\n"
        "from activities.settings import Settings\n"
        "from activities.telemetry import Meter\n"
        "from activities.telemetry_export import build_runtime\n"
        "runtime = build_runtime(Settings(otlp_endpoint=sys.argv[1]), every=timedelta(milliseconds=200))\n"
        "Meter(runtime.metric_meter)\n"
        "client = asyncio.run(connect(address=sys.argv[2], runtime=runtime))\n"
        "sys.stdin.read()\n"
    )
    address = processes.client.service_client.config.target_host
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, processes.receiver.endpoint, address), cwd=ROOT, stdin=asyncio.subprocess.PIPE
    )

    async def names() -> set[str]:
        return processes.receiver.metrics()

    try:
        await until(names, lambda found: {"countersign_outcomes", "temporal_request"} <= found)
    finally:
        process.kill()
        await process.wait()


async def test_with_both_addresses_the_endpoint_has_the_metrics(denied: Denied) -> None:
    """The process that had both sent its traces and showed its metrics."""
    both = Settings(metrics_address="127.0.0.1:9464", otlp_endpoint="http://127.0.0.1:4318")

    assert isinstance(telemetry_export._metrics(both, telemetry_export.EVERY), PrometheusConfig)
    resolutions = [line for line in denied.scraped.splitlines() if line.startswith("countersign_resolutions_total{")]
    assert any('resolution="denied"' in line for line in resolutions), resolutions
    assert "temporal_workflow_completed_total{" in denied.scraped


async def test_off_loads_nothing_and_changes_nothing() -> None:
    """Without settings there is no runtime, no interceptor, no plugin, and no module of OpenTelemetry."""
    nothing = {"runtime": None, "interceptors": (), "plugins": ()}
    assert start_telemetry(Settings(), service="test") == Telemetry()
    assert start_telemetry(Settings(), service="test").connection == nothing
    code = (
        "import sys, starter, worker\n"
        "from activities import telemetry_client, telemetry_export\n"
        "from activities.settings import Settings\n"
        "starter.parser()\n"
        "telemetry_export.start_telemetry(Settings(), service='test')\n"
        "telemetry_client.stop_tracing()\n"
        "sys.exit(' '.join(name for name in sys.modules if name.startswith('opentelemetry')))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert (process.returncode, said.decode()) in [(0, ""), (1, "\n")]


async def test_a_line_on_a_terminal_controls_nothing() -> None:
    """What came from outside cannot move the cursor or begin a line of its own."""
    line = logging.LogRecord("countersign.x", logging.WARNING, "", 0, "bad %s", ("\x1b[2J\nworse",), None)
    line.proposal_id = "p-1"
    shown = TextFormatter().format(line)
    assert shown.isprintable()
    assert shown.endswith("[p-1]")
