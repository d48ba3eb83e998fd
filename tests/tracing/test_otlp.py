"""Spans as a collector gets them over HTTP: one trace for a request, and no secret, URL or message in any of it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bff.errors import ConfigurationError
from bff.telemetry import otlp, tracing
from bff.telemetry.application import ApplicationTelemetry
from bff.telemetry.logging import configure_logging
from bff.telemetry.otlp import OtlpTracer
from tests.journeys.canaries import Canaries
from tests.journeys.test_canaries import EXPECTED, SHORT, journey
from tests.journeys.world import small_world
from tests.logs.root_logger import taken_root_logger
from tests.proxy.wire import Users, bff, fetch, ok, raw_upstream, route, says
from tests.settings.world import with_changes
from tests.tracing.collector import Collector, Received, collector
from tests.tracing.test_trace_context import PARENT, SPAN, TRACE, told

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
    monkeypatch.setattr(otlp, "STOP_TIMEOUT", 60.0)  # a busy machine may need more than three seconds
    with collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


@contextmanager
def recording() -> Iterator[ApplicationTelemetry]:
    """What is recorded inside has arrived when it ends, or the tracer has given it up."""
    tracer = OtlpTracer()
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
    assert told(upstream.heard[0].all("traceparent")) == (below[0].trace_id, below[0].span_id)
    assert above[0].attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/api",
    }


async def test_a_trusted_hops_trace_goes_on_in_the_spans(received: Collector) -> None:
    with recording() as telemetry:
        async with raw_upstream(ok()) as upstream:
            with bff(route(upstream), trusted=("127.0.0.1",), telemetry=telemetry) as port:
                await fetch(port, "/api/x", f"traceparent: {PARENT}", "tracestate: a=1", "baggage: tenant=7")
    (above,) = named(received.spans, "GET")
    assert (above.trace_id, above.parent_id) == (TRACE, SPAN)
    assert upstream.heard[0].all("tracestate") == ["a=1"]
    assert upstream.heard[0].all("baggage") == ["tenant=7"]


async def test_what_the_caller_did_not_sample_is_not_recorded_and_still_carried(received: Collector) -> None:
    with recording() as telemetry:
        async with raw_upstream(ok()) as upstream:
            with bff(route(upstream), trusted=("127.0.0.1",), telemetry=telemetry) as port:
                await fetch(port, "/api/x", f"traceparent: {PARENT[:-2]}00")
    assert received.spans == []
    assert upstream.heard[0].all("traceparent")[0].endswith("-00")
    assert told(upstream.heard[0].all("traceparent"))[0] == TRACE


async def test_a_failure_is_told_by_its_code_and_the_reference_is_the_span(received: Collector) -> None:
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


async def test_a_refusal_is_no_failure_of_ours(received: Collector) -> None:
    with recording() as telemetry, bff(users=Users(), telemetry=telemetry) as port:
        await fetch(port, "/api/x", user=None)
    (span,) = received.spans
    assert (span.failed, span.attributes["http.response.status_code"]) == (False, 404)


async def test_a_whole_journey_is_told_without_a_secret_a_url_or_a_message(tmp_path: Path, received: Collector) -> None:
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


async def test_a_refresh_that_a_request_caused_stands_in_its_trace(tmp_path: Path, received: Collector) -> None:
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


async def test_the_standard_variables_say_where_with_what_and_as_whom(
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


def test_without_a_name_it_is_ours(received: Collector) -> None:
    with recording(), tracing.span("work", "internal"):
        pass
    assert received.resource["service.name"] == "okta-bff"


def test_a_collector_that_answers_nobody_does_not_hold_up_the_end(
    received: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "STOP_TIMEOUT", 0.2)
    received.answers.clear()
    with recording(), tracing.span("work", "internal"):
        pass
    assert received.asked.wait(60)  # the last spans leave by a thread of their own, which nobody waits for
    assert not received.answers.is_set()


def test_a_malformed_key_of_the_vendor_is_not_logged(received: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key:the canary, x=1")
    with taken_root_logger() as stream:
        configure_logging("debug", "json", stream)
        with recording(), tracing.span("work", "internal"):
            pass
        assert "canary" not in stream.getvalue()


@pytest.mark.parametrize(("name", "value"), [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_SDK_DISABLED", "true")])
def test_what_contradicts_it_is_told(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as told_by:
        OtlpTracer()
    assert told_by.value.setting == name


# --- on and off, as the operator has it


def run(program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/bin:/bin", **environ}
    return subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False)


def test_off_loads_nothing_of_it() -> None:
    """FastAPI brings OpenTelemetry's interface along; what records and sends is not there."""
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


def test_the_frameworks_own_spans_stay_off_whoever_listens() -> None:
    """They would hold the callback's query."""
    assert run(FRAMEWORK, FASTAPI_OTEL_AUTO_CONFIGURE="true").stdout == "404 ()\n"


@pytest.mark.parametrize("command", ["check", "serve"])
def test_on_without_the_extra_is_refused_with_the_fix(command: str, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.modules['opentelemetry'] = None; from bff.cli.main import main; sys.exit(main(['{command}']))"
    )
    done = run(program, **with_changes(tracing="otlp"))
    assert done.returncode == 1
    assert "BFF_TRACING: is otlp, and OpenTelemetry is not installed. Install okta-bff[otel]" in done.stderr
