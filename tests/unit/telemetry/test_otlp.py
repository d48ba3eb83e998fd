"""Spans as a collector receives them over HTTP: one trace per request, and no secret, URL or message in any span."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bff.errors import ConfigurationError
from bff.telemetry import tracing
from bff.telemetry.application import ApplicationTelemetry
from bff.telemetry.logging import configure_logging
from bff.telemetry.otlp import OtlpTracer
from tests.harness.canaries import Canaries
from tests.harness.collector import Collector, Received, collector
from tests.harness.root_logger import taken_root_logger
from tests.harness.settings import with_changes
from tests.harness.upstream_wire import Users, bff, fetch, ok, raw_upstream, route, says
from tests.harness.waiting import PATIENCE
from tests.harness.world import small_world
from tests.journeys.test_canaries import EXPECTED, SHORT, journey
from tests.unit.telemetry.test_trace_context import PARENT, SPAN, TRACE, sent_trace

NAMES = {
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "error.type",
    "bff.outcome",
    "bff.refresh.outcome",
}


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


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


def named(spans: list[Received], name: str) -> list[Received]:
    return [span for span in spans if span.name == name]


async def test_a_request_is_a_server_span_with_the_upstreams_request_below_it(received: Collector) -> None:
    with recording() as telemetry:
        async with raw_upstream(ok()) as upstream:
            with bff(route(upstream), telemetry=telemetry) as port:
                await fetch(port, "/api/orders/4711?token=canary")
    above, below = named(received.spans, "GET"), named(received.spans, "GET /api")
    assert [(span.kind, span.parent_id) for span in above] == [("server", "")]
    assert [(span.kind, span.parent_id, span.trace_id) for span in below] == [
        ("client", above[0].span_id, above[0].trace_id)
    ]
    assert sent_trace(upstream.heard[0].all("traceparent")) == (below[0].trace_id, below[0].span_id)
    assert above[0].attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/api",
    }


async def test_the_trace_of_a_trusted_proxy_is_continued_in_the_spans(received: Collector) -> None:
    with recording() as telemetry:
        async with raw_upstream(ok()) as upstream:
            with bff(route(upstream), trusted=("127.0.0.1",), telemetry=telemetry) as port:
                await fetch(port, "/api/x", f"traceparent: {PARENT}", "tracestate: a=1", "baggage: tenant=7")
    (above,) = named(received.spans, "GET")
    assert (above.trace_id, above.parent_id) == (TRACE, SPAN)
    assert upstream.heard[0].all("tracestate") == ["a=1"]
    assert upstream.heard[0].all("baggage") == ["tenant=7"]


async def test_an_unsampled_trace_is_not_recorded_and_still_propagated(received: Collector) -> None:
    with recording() as telemetry:
        async with raw_upstream(ok()) as upstream:
            with bff(route(upstream), trusted=("127.0.0.1",), telemetry=telemetry) as port:
                await fetch(port, "/api/x", f"traceparent: {PARENT[:-2]}00")
    assert received.spans == []
    assert upstream.heard[0].all("traceparent")[0].endswith("-00")
    assert sent_trace(upstream.heard[0].all("traceparent"))[0] == TRACE


async def test_a_failure_is_recorded_by_its_code_and_the_reference_is_the_span(received: Collector) -> None:
    with taken_root_logger() as stream, recording() as telemetry:
        configure_logging("debug", "json", stream)
        async with raw_upstream(says(b"canary of an upstream\r\n\r\n")) as upstream:
            with bff(route(upstream), telemetry=telemetry) as port:
                answer = await fetch(port, "/api/x")
    (above,), (below,) = named(received.spans, "GET"), named(received.spans, "GET /api")
    assert json.loads(answer.body)["correlation_id"] == above.span_id
    assert (above.failed, above.attributes["error.type"]) == (True, "502")
    assert (below.failed, below.attributes["error.type"]) == (True, "upstream_unreachable")
    lines = [json.loads(each) for each in stream.getvalue().splitlines()]
    (line,) = [each for each in lines if each["message"] == "request failed"]
    assert (line["trace_id"], line["correlation_id"]) == (above.trace_id, above.span_id)


async def test_a_refused_request_is_not_a_failed_span(received: Collector) -> None:
    with recording() as telemetry, bff(users=Users(), telemetry=telemetry) as port:
        await fetch(port, "/api/x", user=None)
    (span,) = received.spans
    assert (span.failed, span.attributes["http.response.status_code"]) == (False, 404)


async def test_the_spans_of_a_journey_contain_no_secret_url_or_message(tmp_path: Path, received: Collector) -> None:
    async with small_world(tmp_path, rotation=SHORT, tracing="otlp") as world:
        browser = world.browser()
        canaries = Canaries(world.environ)
        await journey(world, canaries, browser, world.public_url)
        for kind in ("lose_answer", "server_error", None):
            world.advance(301)
            if kind:
                world.okta.control.fault(kind, grant="refresh_token")
            await browser.fetch("/api/renewed?secret=the-canary-of-a-query")
            await world.settled()
            await canaries.gather(browser)
        world.advance(61)
        await browser.fetch("/api/renewed")
        answer = await browser.sign_out()
        await canaries.gather(browser)
        await world.settled()
    assert answer is not None
    spans, sent = received.spans, b"".join(received.raw).decode("latin-1")
    names = {span.name for span in spans}
    assert {"GET", "POST", "GET /api", "refresh", "provider code", "provider refresh", "provider document"} <= names
    routes = {span.attributes.get("http.route") for span in spans}
    assert {"/api", "/auth/login", "/auth/session", "/authorization-code/callback"} <= routes
    assert {span.attributes.get("bff.refresh.outcome") for span in named(spans, "refresh")} >= {"renewed"}
    assert set().union(*(span.attributes for span in spans)) <= NAMES
    assert {(span.message, span.events) for span in spans} == {("", 0)}
    assert canaries.known.keys() >= EXPECTED - {"id_token_hint", "ticket"}
    assert canaries.found_in(sent) == []
    assert "://" not in sent
    for text in ("canary", "?", "alice", "/api/"):
        assert text not in str(spans)


async def test_a_refresh_belongs_to_the_trace_of_the_request_that_caused_it(
    tmp_path: Path, received: Collector
) -> None:
    async with small_world(tmp_path, rotation=SHORT, tracing="otlp") as world:
        browser = world.browser()
        await browser.sign_in()
        world.advance(301)
        await browser.fetch("/api/x")
        await world.settled()
    spans = {span.span_id: span for span in received.spans}
    (asked,) = named(list(spans.values()), "provider refresh")
    refresh = spans[asked.parent_id]
    request = spans[refresh.parent_id]
    assert (refresh.name, request.kind, request.attributes["http.route"]) == ("refresh", "server", "/api")


async def test_the_standard_variables_configure_the_exporter(
    received: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=of-the-vendor")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop-bff")
    with recording(), tracing.span("work", "internal"):
        pass
    assert received.headers[0]["x-api-key"] == "of-the-vendor"
    assert received.headers[0]["content-encoding"] == "gzip"
    assert received.resource["service.name"] == "shop-bff"


def test_the_default_service_name(received: Collector) -> None:
    with recording(), tracing.span("work", "internal"):
        pass
    assert received.resource["service.name"] == "okta-bff"


def test_an_unresponsive_collector_does_not_delay_shutdown(received: Collector) -> None:
    received.answers.clear()
    with recording(0.2), tracing.span("work", "internal"):
        pass
    assert received.asked.wait(60)  # the last spans are sent by a separate thread
    assert not received.answers.is_set()


def test_a_malformed_key_of_the_vendor_is_not_logged(received: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key:the canary, x=1")
    with taken_root_logger() as stream:
        configure_logging("debug", "json", stream)
        with recording(), tracing.span("work", "internal"):
            pass
        assert "canary" not in stream.getvalue()


@pytest.mark.parametrize(("name", "value"), [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_SDK_DISABLED", "true")])
def test_contradicting_variables_are_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refused:
        OtlpTracer(stop_timeout=PATIENCE)
    assert refused.value.setting == name


# --- on and off


def run(program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/bin:/bin", **environ}
    return subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False)


def test_off_does_not_load_the_sdk() -> None:
    """FastAPI depends on the API package; the SDK and the exporter are not loaded."""
    loaded = "[m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'opentelemetry.exporter', 'google'))]"
    assert run(f"import sys, bff.app, bff.cli.main, bff.server.run, bff.server.serve; print({loaded})").stdout == "[]\n"


FRAMEWORK = """
import asyncio, httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from bff.web.dispatch import build_auth_app
from bff.web.error_responder import ErrorResponder

exported, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exported))
trace.set_tracer_provider(provider)

async def ask():
    transport = httpx.ASGITransport(build_auth_app(ErrorResponder()))
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        return (await client.get("/authorization-code/callback?code=canary")).status_code

print(asyncio.run(ask()), exported.get_finished_spans())
"""


def test_the_frameworks_own_spans_stay_off() -> None:
    """They would contain the callback's query."""
    assert run(FRAMEWORK, FASTAPI_OTEL_AUTO_CONFIGURE="true").stdout == "404 ()\n"


@pytest.mark.parametrize("command", ["check", "serve"])
def test_on_without_the_extra_is_refused_with_the_fix(command: str, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.modules['opentelemetry'] = None; from bff.cli.main import main; sys.exit(main(['{command}']))"
    )
    done = run(program, **with_changes(tracing="otlp"))
    assert done.returncode == 1
    assert "BFF_TRACING: is otlp, and OpenTelemetry is not installed. Install okta-bff[otel]" in done.stderr
