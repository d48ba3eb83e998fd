"""The spans of real requests: one trace per request, and no secret, URL or message in any span."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bff.telemetry.logging import configure_logging
from tests.harness.canaries import Canaries
from tests.harness.collector import Collector, collector, recording
from tests.harness.proxy_server import Users, bff
from tests.harness.raw_http import fetch
from tests.harness.raw_upstream import ok, raw_upstream, route, sends
from tests.harness.root_logger import taken_root_logger
from tests.harness.world import small_world
from tests.journeys.test_canaries import EXPECTED, SHORT, journey
from tests.unit.telemetry.test_tracing import PARENT, SPAN, TRACE, sent_trace

ATTRIBUTES = {
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


async def test_a_request_is_a_server_span_with_the_upstreams_request_below_it(received: Collector) -> None:
    with recording() as telemetry:
        async with raw_upstream(ok()) as upstream:
            with bff(route(upstream), trusted=("127.0.0.1",), telemetry=telemetry) as port:
                await fetch(port, "/api/orders/4711?token=canary")
                await fetch(port, "/api/x", f"traceparent: {PARENT}")
    (*above, continued), (*below, _) = received.named("GET"), received.named("GET /api")
    assert (continued.trace_id, continued.parent_id) == (TRACE, SPAN)
    assert [(span.kind, span.parent_id) for span in above] == [("server", "")]
    assert [(span.kind, span.parent_id, span.trace_id) for span in below] == [
        ("client", above[0].span_id, above[0].trace_id)
    ]
    assert sent_trace(upstream.requests[0].all("traceparent")) == (below[0].trace_id, below[0].span_id)
    assert above[0].attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/api",
    }


async def test_an_unsampled_trace_is_not_recorded_and_still_propagated(received: Collector) -> None:
    with recording() as telemetry:
        async with raw_upstream(ok()) as upstream:
            with bff(route(upstream), trusted=("127.0.0.1",), telemetry=telemetry) as port:
                await fetch(port, "/api/x", f"traceparent: {PARENT[:-2]}00")
    assert received.spans == []
    assert upstream.requests[0].all("traceparent")[0].endswith("-00")
    assert sent_trace(upstream.requests[0].all("traceparent"))[0] == TRACE


async def test_a_failure_is_recorded_by_its_code_and_the_reference_is_the_span(received: Collector) -> None:
    with taken_root_logger() as stream, recording() as telemetry:
        configure_logging("debug", "json", stream)
        async with raw_upstream(sends(b"canary of an upstream\r\n\r\n")) as upstream:
            with bff(route(upstream), telemetry=telemetry) as port:
                answer = await fetch(port, "/api/x")
    (above,), (below,) = received.named("GET"), received.named("GET /api")
    assert json.loads(answer.body)["correlation_id"] == above.span_id
    assert (above.failed, above.attributes["error.type"]) == (True, "502")
    assert (below.failed, below.attributes["error.type"]) == (True, "upstream_unreachable")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    (line,) = [line for line in lines if line["message"] == "request failed"]
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
    assert {span.attributes.get("bff.refresh.outcome") for span in received.named("refresh")} >= {"renewed"}
    assert set().union(*(span.attributes for span in spans)) <= ATTRIBUTES
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
    (asked,) = received.named("provider refresh")
    refresh = spans[asked.parent_id]
    request = spans[refresh.parent_id]
    assert (refresh.name, request.kind, request.attributes["http.route"]) == ("refresh", "server", "/api")
