"""Spans as an OpenTelemetry collector receives them over HTTP, and the variables that configure the exporter."""

from collections.abc import Iterator

import pytest

from bff.errors import ConfigurationError
from bff.telemetry import tracing
from bff.telemetry.logging import configure_logging
from bff.telemetry.otlp import OtlpTracer
from tests.harness.collector import Collector, collector, recording
from tests.harness.root_logger import taken_root_logger


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


def test_the_standard_variables_configure_the_exporter(received: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=of-the-vendor")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop-bff")
    with recording(), tracing.span("work", "internal"):
        pass
    assert received.headers[0]["x-api-key"] == "of-the-vendor"
    assert received.headers[0]["content-encoding"] == "gzip"
    assert received.resource["service.name"] == "shop-bff"


def test_spans_are_nested_and_have_kind_attributes_and_failure(received: Collector) -> None:
    with recording(), tracing.span("outer", "server"), tracing.span("inner", "client") as span:
        span.set("http.route", "/api")
        span.fail("timeout")
    assert received.resource["service.name"] == "okta-bff"
    (outer,), (inner,) = received.named("outer"), received.named("inner")
    assert (outer.kind, outer.parent_id, outer.failed) == ("server", "", False)
    assert (inner.kind, inner.parent_id, inner.trace_id) == ("client", outer.span_id, outer.trace_id)
    assert (inner.failed, inner.message, inner.events) == (True, "", 0)
    assert inner.attributes == {"http.route": "/api", "error.type": "timeout"}


def test_an_unresponsive_collector_does_not_delay_shutdown(received: Collector) -> None:
    received.answers.clear()
    with recording(stop_timeout=0.2), tracing.span("work", "internal"):
        pass
    assert received.asked.wait(60)  # the last spans are sent by another thread
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
        OtlpTracer(stop_timeout=1)
    assert refused.value.setting == name
