"""Spans through OpenTelemetry over OTLP/HTTP: the only file that imports its SDK, loaded only if BFF_TRACING is set.

OpenTelemetry's own variables configure the exporter (OTEL_EXPORTER_OTLP_ENDPOINT and others). Only what
`bff.telemetry.tracing` records is exported: no events, exception messages or URLs.
"""

import os
import threading
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan

from bff import __version__
from bff.errors import ConfigurationError
from bff.telemetry.tracing import SAMPLED, Kind, TraceContext

_KINDS: Final = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class OtlpTracer:
    """Implements `bff.telemetry.tracing.Tracer`. A thread of the SDK exports spans in batches; callers do not wait."""

    def __init__(self, *, stop_timeout: float) -> None:
        """`stop_timeout`: seconds to export the last spans, so that an unavailable collector does not delay a restart.

        Raises ConfigurationError for an unsupported protocol.
        """
        for name in _PROTOCOLS:
            if os.environ.get(name, "http/protobuf") != "http/protobuf":
                raise ConfigurationError(name, "is not http/protobuf.", "Remove it: traces are sent over OTLP/HTTP.")
        if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            raise ConfigurationError("OTEL_SDK_DISABLED", "is true, and BFF_TRACING is otlp.", "Set BFF_TRACING=off.")
        self._stop_timeout = stop_timeout
        self._processor = BatchSpanProcessor(OTLPSpanExporter())
        # The SDK's sampler: OTEL_TRACES_SAMPLER, by default the caller's decision and every new trace.
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("bff", __version__)

    def start(self, name: str, kind: Kind, parent: TraceContext | None) -> "OtlpSpan":
        context = Context()
        if parent is not None:
            state = TraceState.from_header([parent.state.decode("ascii")]) if parent.state else None
            ids = int(parent.trace_id, 16), int(parent.span_id, 16)
            remote = SpanContext(
                *ids, is_remote=kind == "server", trace_flags=TraceFlags(parent.flags), trace_state=state
            )
            context = set_span_in_context(NonRecordingSpan(remote), context)
        span = self._tracer.start_span(name, context, kind=_KINDS[kind])
        return OtlpSpan(span, parent.baggage if parent is not None else b"")

    def stop(self) -> None:
        """Exports the remaining spans, for at most `stop_timeout` seconds."""
        # The processor would wait up to 30 seconds, and has no other timeout.
        stopping = threading.Thread(target=self._processor.shutdown, name="last spans", daemon=True)
        stopping.start()
        stopping.join(self._stop_timeout)


class OtlpSpan:
    """Implements `bff.telemetry.tracing.Span`."""

    __slots__ = ("_span", "context")

    def __init__(self, span: OtelSpan, baggage: bytes) -> None:
        ids = span.get_span_context()
        span_id = f"{ids.span_id:016x}"
        flags = int(ids.trace_flags) & SAMPLED
        state = ids.trace_state.to_header().encode("ascii")
        self._span = span
        self.context = TraceContext(f"{ids.trace_id:032x}", span_id, span_id, flags, state, baggage)

    def set(self, attribute: str, value: str | int | bool) -> None:
        self._span.set_attribute(attribute, value)

    def fail(self, error_type: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR))
        self._span.set_attribute("error.type", error_type)

    def end(self) -> None:
        self._span.end()


def _resource() -> Resource:
    """The resource of the spans: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, by default our own name."""
    resource = Resource.create({SERVICE_VERSION: __version__})
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "okta-bff"}))
    return resource
