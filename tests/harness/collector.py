"""An OpenTelemetry collector in this process: receives spans over real HTTP and keeps every byte."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bff.telemetry import tracing
from bff.telemetry.application import ApplicationTelemetry
from bff.telemetry.otlp import OtlpTracer
from tests.harness.waiting import PATIENCE

KINDS = {1: "internal", 2: "server", 3: "client"}
ERROR = 2


@dataclass(frozen=True)
class Received:
    """One span; ids in hex, as a traceparent has them."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    message: str
    events: int
    attributes: dict[str, Any]


@dataclass
class Collector:
    port: int
    raw: list[bytes] = default(default_factory=list)
    headers: list[dict[str, str]] = default(default_factory=list)
    # Until it is set, no request is answered.
    answers: threading.Event = default(default_factory=threading.Event)
    asked: threading.Event = default(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Received]:
        return [
            Received(
                name=span.name,
                kind=KINDS[span.kind],
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                failed=span.status.code == ERROR,
                message=span.status.message,
                events=len(span.events),
                attributes={
                    field.key: getattr(field.value, field.value.WhichOneof("value")) for field in span.attributes
                },
            )
            for request in self._requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str) -> list[Received]:
        return [span for span in self.spans if span.name == name]

    @property
    def resource(self) -> dict[str, str]:
        """The attributes of the resource that sent the spans."""
        return {
            field.key: field.value.string_value
            for request in self._requests()
            for resource in request.resource_spans
            for field in resource.resource.attributes
        }

    def _requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in self.raw]


@contextmanager
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.headers.append({name.lower(): value for name, value in self.headers.items()})
            received.raw.append(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
            received.asked.set()
            received.answers.wait()
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        received = Collector(server.server_address[1])
        received.answers.set()
        # The poll is how long `shutdown` may take.
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield received
        finally:
            received.answers.set()
            server.shutdown()
            thread.join()


@contextmanager
def recording(stop_timeout: float = PATIENCE) -> Iterator[ApplicationTelemetry]:
    """On exit the recorded spans have arrived at the collector, or the tracer has stopped waiting."""
    tracer = OtlpTracer(stop_timeout=stop_timeout)
    tracing.set_tracer(tracer)
    try:
        yield ApplicationTelemetry(tracer=tracer)
    finally:
        tracing.set_tracer(None)
        tracer.stop()
